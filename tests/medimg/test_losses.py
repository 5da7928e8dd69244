"""Losses against MONAI's recorded cases, formulas by hand and torch."""

import numpy as np
import pytest

import framework
from framework import nn
from medimg.losses import DeepSupervisionLoss, DiceCELoss, DiceLoss, resized_target
from tests.support.monai import fill, recorded

RNG = np.random.default_rng(2)


def monai_cases(name, test_class, test):
    """Arguments of the cases, or none where the folder is absent."""
    return [
        fill(name, c["args"])
        for c in recorded(name) or []
        if c["class"] == test_class and c["test"] == test and c["args"]
    ]


def as_tensor(value):
    return framework.from_numpy(np.ascontiguousarray(value))


def test_dice_with_cross_entropy_equals_monai():
    cases = monai_cases("losses__test_dice_ce_loss", "TestDiceCELoss", "test_result")
    if not cases:
        pytest.skip("MONAI's cases are not here")
    assert len(cases) == 7
    for settings, arrays, expected in cases:
        settings = dict(settings)
        settings.pop("to_onehot_y", None)
        softmax = not settings.pop("sigmoid", False)
        # MONAI applies no softmax in its Dice part unless asked; both parts of ours see probabilities.
        ours = DiceCELoss(
            "softmax" if softmax else "sigmoid",
            dice_weight=settings.pop("lambda_dice", 1.0),
            ce_weight=settings.pop("lambda_ce", 1.0),
            **settings,
        )
        logits, target = as_tensor(arrays["input"]), as_tensor(arrays["target"])
        if softmax:
            ours.dice.activation = None
        np.testing.assert_allclose(ours(logits, target).item(), expected, rtol=1e-3, atol=1e-4)


def test_deep_supervision_equals_monai_up_to_its_sum_of_weights():
    cases = monai_cases("losses__test_ds_loss", "TestDSLossDiceCE", "test_result")
    cases += monai_cases("losses__test_ds_loss", "TestDSLossDiceCE2", "test_result")
    if not cases:
        pytest.skip("MONAI's cases are not here")
    loss = DiceCELoss()
    loss.dice.activation = None
    for _, deep, arrays, expected in cases:
        given = arrays["input"]
        levels = [as_tensor(a) for a in (given if isinstance(given, list) else [given])]
        modes = {"same": [1.0] * 3, "two": [1.0, 0.5, 0.5], "exp": [1, 0.5, 0.25]}
        weights = deep.get("weights") or modes[deep.get("weight_mode", "exp")][: len(levels)]
        ours = DeepSupervisionLoss(loss, weights)(levels, as_tensor(arrays["target"])).item()
        np.testing.assert_allclose(ours * sum(weights), expected, rtol=1e-3)


def by_hand(p, t, smooth=1e-5):
    return 1 - (2 * (p * t).sum() + smooth) / (p.sum() + t.sum() + smooth)


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_dice_by_hand_per_sample_and_over_the_batch():
    logits = RNG.standard_normal((2, 3, 4, 5, 6)).astype(np.float32)
    target = RNG.integers(0, 3, (2, 4, 5, 6))
    p, t = softmax(logits), np.moveaxis(np.eye(3)[target], -1, 1)
    single = np.mean([by_hand(p[n, c], t[n, c]) for n in range(2) for c in range(3)])
    batch = np.mean([by_hand(p[:, c], t[:, c]) for c in (1, 2)])
    x, y = as_tensor(logits), as_tensor(target)
    assert DiceLoss()(x, y).item() == pytest.approx(single, rel=1e-5)
    assert DiceLoss(batch=True, include_background=False)(x, y).item() == pytest.approx(batch, rel=1e-5)
    assert DiceLoss()(x, y.unsqueeze(1)).item() == pytest.approx(single, rel=1e-5)
    assert DiceLoss()(x, as_tensor(t)).item() == pytest.approx(single, rel=1e-5)
    assert DiceLoss()(x, y.to(framework.uint8)).item() == pytest.approx(single, rel=1e-5)


def test_ignored_voxels_count_nowhere():
    logits = RNG.standard_normal((1, 3, 4, 4)).astype(np.float32)
    target = RNG.integers(0, 3, (1, 4, 4))
    target[0, 2:] = 255
    other = logits.copy()
    other[:, :, 2:] = 50 * RNG.standard_normal((1, 3, 2, 4))
    for loss in (DiceLoss(ignore_index=255), DiceCELoss(ignore_index=255)):
        first, second = loss(as_tensor(logits), as_tensor(target)), loss(as_tensor(other), as_tensor(target))
        assert first.item() == pytest.approx(second.item(), rel=1e-6)
    kept = DiceCELoss()(as_tensor(logits[:, :, :2]), as_tensor(target[:, :2])).item()
    assert DiceCELoss(ignore_index=255)(as_tensor(logits), as_tensor(target)).item() == pytest.approx(kept, rel=1e-5)
    x = as_tensor(logits).requires_grad_()
    DiceCELoss(ignore_index=255)(x, as_tensor(target)).backward()
    assert not x.grad.numpy()[:, :, 2:].any()
    assert x.grad.numpy()[:, :, :2].any()


def test_a_class_may_be_the_ignored_one():
    logits = RNG.standard_normal((1, 3, 4, 4)).astype(np.float32)
    target = RNG.integers(0, 3, (1, 4, 4))
    renamed = np.where(target == 0, 255, target)
    first = DiceCELoss(ignore_index=0)(as_tensor(logits), as_tensor(target))
    second = DiceCELoss(ignore_index=255)(as_tensor(logits), as_tensor(renamed))
    assert first.item() == pytest.approx(second.item(), rel=1e-6)


def test_a_batch_of_ignored_voxels_has_a_finite_loss():
    x = as_tensor(RNG.standard_normal((1, 3, 4, 4)).astype(np.float32)).requires_grad_()
    for activation in ("softmax", "sigmoid"):
        loss = DiceCELoss(activation, ignore_index=9)(x, framework.full((1, 4, 4), 9))
        assert loss.item() == pytest.approx(0, abs=1e-6)
        loss.backward()
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.oracle
@pytest.mark.parametrize("batch", [False, True])
def test_gradients_equal_torch(batch):
    torch = pytest.importorskip("torch")
    logits = RNG.standard_normal((2, 3, 4, 5, 6)).astype(np.float32)
    target = RNG.integers(0, 3, (2, 4, 5, 6))
    weight = [0.5, 1.0, 2.0]
    x = as_tensor(logits.copy()).requires_grad_()
    loss = DiceCELoss(batch=batch, weight=weight, include_background=False)(x, as_tensor(target))
    loss.backward()
    u = torch.from_numpy(logits.copy()).requires_grad_()
    t = torch.from_numpy(target)
    p, h = torch.softmax(u, 1), torch.nn.functional.one_hot(t, 3).movedim(-1, 1).float()
    axes = (0, 2, 3, 4) if batch else (2, 3, 4)
    dice = 1 - (2 * (p * h).sum(axes) + 1e-5) / (p.sum(axes) + h.sum(axes) + 1e-5)
    dice = (dice[..., 1:] * torch.tensor(weight[1:])).mean()
    wanted = dice + torch.nn.functional.cross_entropy(u, t, torch.tensor(weight))
    wanted.backward()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    np.testing.assert_allclose(x.grad.numpy(), u.grad.numpy(), rtol=1e-3, atol=1e-7)


@pytest.mark.oracle
def test_targets_shrink_as_torchs_nearest_exact():
    torch = pytest.importorskip("torch")
    target = RNG.integers(0, 9, (2, 7, 8, 9))
    for size in [(7, 4, 3), (3, 8, 5), (1, 1, 1)]:
        wanted = torch.nn.functional.interpolate(
            torch.from_numpy(target[:, None]).double(), size=size, mode="nearest-exact"
        )[:, 0]
        np.testing.assert_array_equal(resized_target(as_tensor(target), size).numpy(), wanted.numpy())
    same = as_tensor(target)
    assert resized_target(same, (7, 8, 9)) is same
    soft = resized_target(as_tensor(target[:, None].astype(np.float32)), (7, 4, 3))
    assert tuple(soft.shape) == (2, 1, 7, 4, 3)


def test_deep_supervision_weights_and_levels():
    sizes = [(8, 8), (4, 4), (2, 2)]
    levels = [as_tensor(RNG.standard_normal((1, 3, *size)).astype(np.float32)) for size in sizes]
    target = as_tensor(RNG.integers(0, 3, (1, 8, 8)))
    loss = DiceCELoss()
    parts = [loss(level, resized_target(target, size)).item() for level, size in zip(levels, sizes)]
    expected = (4 * parts[0] + 2 * parts[1] + parts[2]) / 7
    assert DeepSupervisionLoss(loss)(levels, target).item() == pytest.approx(expected, rel=1e-5)
    assert DeepSupervisionLoss(loss)(levels[0], target).item() == pytest.approx(parts[0], rel=1e-6)
    assert DeepSupervisionLoss(loss, [3, 1, 0])(levels, target).item() == pytest.approx(
        (3 * parts[0] + parts[1]) / 4, rel=1e-5
    )
    assert list(DeepSupervisionLoss(DiceCELoss(weight=[1, 2, 3])).state_dict()) == ["loss.weight", "loss.dice.weight"]
    with pytest.raises(ValueError, match="2 weights were given for 3 levels"):
        DeepSupervisionLoss(loss, [1, 1])(levels, target)
    with pytest.raises(ValueError, match="positive sum"):
        DeepSupervisionLoss(loss, [0, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, t: DiceLoss()(x, t[:, :3]), "need class numbers"),
        (lambda x, t: DiceLoss()(x, t + 5), "the target holds class 7, but the logits have classes 0 to 2"),
        (lambda x, t: DiceLoss()(x, t - 5), "the target holds class -5"),
        (lambda x, t: DiceLoss(ignore_index=1)(x, t + 1), "the target holds class 3"),
        (lambda x, t: DiceLoss()(x[:, :1], t), "use activation='sigmoid'"),
        (lambda x, t: DiceLoss("sigmoid", include_background=False)(x[:, :1], t), "leaves nothing"),
        (lambda x, t: DiceLoss("tanh"), "activation must be"),
        (lambda x, t: DiceLoss(reduction="median"), "reduction must be"),
        (lambda x, t: DiceLoss(weight=[-1.0]), "must not be negative"),
        (lambda x, t: DiceLoss(weight=[1.0, 2.0])(x, t), "weight has 2 entries, but 3 classes count"),
        (lambda x, t: DiceCELoss(None), "activation must be 'softmax' or 'sigmoid'"),
        (lambda x, t: DiceCELoss(ce_weight=-1), "must not be negative"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    logits = framework.zeros(2, 3, 4, 5)
    target = framework.arange(40).reshape(2, 4, 5) % 3
    with pytest.raises(ValueError, match=message):
        call(logits, target)


def test_losses_are_modules_without_parameters():
    loss = DiceCELoss(weight=[1.0, 2.0])
    assert isinstance(loss, nn.Module)
    assert not list(loss.parameters())
