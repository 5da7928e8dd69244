"""MONAI's recorded loss cases."""

import numpy as np
import pytest

import framework
from framework.nn import functional as F
from medimg.losses import CLDiceLoss, DiceLoss, FocalLoss, GeneralizedDiceLoss, HausdorffDTLoss, TverskyLoss
from tests.support.monai import arguments, cases


def as_tensor(value):
    return framework.from_numpy(np.ascontiguousarray(value))


def ours(settings, **renamed):
    """Our settings for MONAI's."""
    settings = dict(settings)
    settings.pop("to_onehot_y", None)
    activation = "sigmoid" if settings.pop("sigmoid", False) else None
    activation = "softmax" if settings.pop("softmax", False) else activation
    other = settings.pop("other_act", None)
    if other:
        activation = framework.tanh if "tanh" in str(other) else lambda x: F.log_softmax(x, 1)
    smooth = (settings.pop("smooth_nr", 1e-5), settings.pop("smooth_dr", 1e-5))
    for theirs, name in renamed.items():
        if theirs in settings:
            settings[name] = settings.pop(theirs)
    return {"activation": activation, "smooth": smooth, **settings}


def agree(loss, arrays, expected):
    mask = as_tensor(arrays["mask"]) if "mask" in arrays else None
    x, y = as_tensor(arrays["input"]), as_tensor(arrays["target"])
    result = (loss(x, y) if mask is None else loss(x, y, mask)).numpy()
    wanted = np.asarray(expected)
    np.testing.assert_allclose(result.reshape(wanted.shape), wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("case", cases("losses__test_dice_loss", "TestDiceLoss.test_shape"))
def test_dice(case):
    settings, arrays, expected = arguments(case)
    agree(DiceLoss(**ours(settings, squared_pred="squared")), arrays, expected)


@pytest.mark.parametrize("case", cases("losses__test_generalized_dice_loss", "TestGeneralizedDiceLoss.test_shape"))
def test_generalized_dice(case):
    settings, arrays, expected = arguments(case)
    agree(GeneralizedDiceLoss(**ours(settings, w_type="class_weight")), arrays, expected)


@pytest.mark.parametrize("case", cases("losses__test_tversky_loss", "TestTverskyLoss.test_shape"))
def test_tversky(case):
    settings, arrays, expected = arguments(case)
    agree(TverskyLoss(**ours(settings)), arrays, expected)


@pytest.mark.parametrize("case", cases("losses__test_focal_loss", "TestFocalLoss.test_result"))
def test_focal(case):
    settings, arrays, expected = arguments(case)
    settings = ours(settings)
    del settings["smooth"], settings["activation"]
    softmax = settings.pop("use_softmax", False)
    agree(FocalLoss("softmax" if softmax else "sigmoid", **settings), arrays, expected)


@pytest.mark.parametrize(
    "case",
    cases("losses__test_hausdorff_loss", "TestHausdorffDTLoss.test_shape", "TesLogtHausdorffDTLoss.test_shape"),
)
def test_hausdorff(case, request):
    settings, arrays, expected = arguments(case)
    settings = ours(settings)
    del settings["smooth"]
    agree(HausdorffDTLoss(log="TesLogt" in request.node.name, **settings), arrays, expected)


@pytest.mark.parametrize("case", cases("losses__test_cldice_loss", "TestclDiceLoss.test_result"))
def test_centreline(case):
    arrays, expected = arguments(case)
    agree(CLDiceLoss(None), {"input": arrays["y_pred"], "target": arrays["y_true"]}, expected)


@pytest.mark.parametrize("case", cases("losses__test_masked_dice_loss", "TestDiceLoss.test_shape"))
def test_masked_dice(case):
    settings, arrays, expected = arguments(case)
    if "mask" in arrays and ours(settings)["activation"] is not None:
        pytest.skip("MONAI multiplies logits by the mask, so a masked voxel counts as p = 1/2; ours counts nowhere")
    agree(DiceLoss(**ours(settings, squared_pred="squared")), arrays, expected)
