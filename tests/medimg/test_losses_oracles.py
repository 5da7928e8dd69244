"""Losses beyond Dice: hand calculations, SciPy, and finite differences in float64."""

import numpy as np
import pytest
from scipy import ndimage

import framework
from framework.autograd import gradcheck
from framework.nn import functional as F
from medimg.losses import (
    BoundaryLoss,
    CLDiceLoss,
    DiceCELoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    GeneralizedDiceLoss,
    HausdorffDTLoss,
    SSIMLoss,
    TverskyLoss,
    ssim,
)

RNG = np.random.default_rng(5)
LOGITS = RNG.standard_normal((2, 3, 4, 5))
TARGET = RNG.integers(0, 3, (2, 4, 5))
ALL = [
    DiceLoss(),
    DiceLoss(soft_label=True),
    DiceCELoss(),
    DiceFocalLoss(alpha=0.3),
    GeneralizedDiceLoss(),
    TverskyLoss(alpha=0.3, beta=0.7, gamma=0.75),
    FocalLoss("softmax"),
    FocalLoss("sigmoid", alpha=0.25),
    CLDiceLoss(iterations=1),
    HausdorffDTLoss(),
    BoundaryLoss(),
]


def tensor(array):
    return framework.from_numpy(np.ascontiguousarray(array))


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: type(loss).__name__)
def test_gradients(loss):
    x = tensor(LOGITS).requires_grad_()
    assert gradcheck(lambda logits: loss(logits, tensor(TARGET)), (x,))


def test_gradient_of_structural_similarity():
    x = tensor(RNG.random((1, 1, 6, 7))).requires_grad_()
    assert gradcheck(lambda image: SSIMLoss(window=5)(image, tensor(RNG.random((1, 1, 6, 7)) * 0 + 0.3)), (x,))


@pytest.mark.parametrize("loss", [m for m in ALL if not isinstance(m, CLDiceLoss | HausdorffDTLoss | BoundaryLoss)])
def test_masked_voxels_count_nowhere(loss):
    mask = np.ones((2, 1, 4, 5))
    mask[:, :, 2:] = 0
    other, wrong = LOGITS.copy(), TARGET.copy()
    other[:, :, 2:] += 9 * RNG.standard_normal((2, 3, 2, 5))
    wrong[:, 2:] = 0
    first = loss(tensor(LOGITS), tensor(TARGET), tensor(mask)).item()
    assert loss(tensor(other), tensor(wrong), tensor(mask)).item() == pytest.approx(first, rel=1e-6)
    assert loss(tensor(LOGITS[:, :, :2]), tensor(TARGET[:, :2])).item() == pytest.approx(first, rel=1e-6)


def test_focal_without_focus_is_cross_entropy_per_class():
    x, y = tensor(LOGITS), tensor(TARGET)
    assert FocalLoss("softmax", gamma=0)(x, y).item() == pytest.approx(F.cross_entropy(x, y).item() / 3, rel=1e-6)


def test_distances_are_scipys():
    p, t = RNG.random((1, 1, 6, 7, 5)), (RNG.random((1, 1, 6, 7, 5)) > 0.6).astype(float)
    edges = (2.0, 0.5, 1.5)

    def field(mask):
        return [ndimage.distance_transform_edt(m, sampling=edges) for m in (mask, ~mask)]

    (pin, pout), (tin, tout) = field(p[0, 0] > 0.5), field(t[0, 0] > 0.5)
    by_hand = ((p - t)[0, 0] ** 2 * ((pin + pout) ** 2 + (tin + tout) ** 2)).mean()
    loss = HausdorffDTLoss(None, include_background=True, spacing=edges)(tensor(p), tensor(t))
    assert loss.item() == pytest.approx(by_hand, rel=1e-5)
    loss = BoundaryLoss(None, include_background=True, spacing=edges)(tensor(p), tensor(t))
    assert loss.item() == pytest.approx((p[0, 0] * (tout - tin)).mean(), rel=1e-5)


def test_structural_similarity_is_that_of_scipys_filters():
    x, y = RNG.random((2, 20, 24))

    def smooth(a):
        return ndimage.gaussian_filter(a, 1.5, truncate=5 / 1.5)[5:-5, 5:-5]

    mx, my = smooth(x), smooth(y)
    vx, vy, c = smooth(x * x) - mx * mx, smooth(y * y) - my * my, smooth(x * y) - mx * my
    value = (2 * mx * my + 1e-4) * (2 * c + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    assert ssim(tensor(x[None, None]), tensor(y[None, None])).item() == pytest.approx(value.mean(), rel=1e-6)
    assert ssim(tensor(x[None, None]), tensor(x[None, None])).item() == pytest.approx(1)


def test_centreline_of_a_cut_tube_is_worse_than_its_dice():
    tube = np.zeros((1, 1, 20, 40))
    tube[..., 8:11, 2:38] = 1
    cut = tube.copy()
    cut[..., 18:22] = 0
    line = CLDiceLoss(None, include_background=True, smooth=1e-6)
    assert line(tensor(tube), tensor(tube)).item() == pytest.approx(0, abs=1e-6)
    assert line(tensor(cut), tensor(tube)).item() > 0.03


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TverskyLoss(alpha=-1), "must not be negative"),
        (lambda: GeneralizedDiceLoss(class_weight="cube"), "class_weight"),
        (lambda: FocalLoss("tanh"), "activation"),
        (lambda: HausdorffDTLoss(spacing=(1, 0))(tensor(LOGITS), tensor(TARGET)), "positive lengths"),
        (lambda: DiceLoss()(tensor(LOGITS), tensor(TARGET), tensor(np.ones((2, 3, 4, 5)))), "mask has shape"),
        (lambda: ssim(tensor(LOGITS), tensor(LOGITS)), "window must be odd"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
