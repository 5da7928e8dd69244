"""MONAI's recorded metric and box cases, beyond those of test_metrics.py; where ours differs the test says how."""

import numpy as np
import pytest

from medimg import boxes, metrics
from tests.support.monai import arguments, cases

NAMES = {
    "tpr": "sensitivity",
    "tnr": "specificity",
    "ppv": "precision",
    "npv": "negative_predictive_value",
    "fpr": "false_positive_rate",
    "fnr": "false_negative_rate",
    "fdr": "false_discovery_rate",
    "for": "false_omission_rate",
    "pt": "prevalence_threshold",
    "ts": "threat_score",
    "acc": "accuracy",
    "ba": "balanced_accuracy",
    "f1": "f1",
    "mcc": "matthews",
    "fm": "fowlkes_mallows",
    "bm": "informedness",
    "mk": "markedness",
}


@pytest.mark.parametrize(
    "case",
    [
        *cases("metrics__test_hausdorff_distance", "TestHausdorffDistance.test_nans"),
        *cases("metrics__test_surface_distance", "TestAllSurfaceMetrics.test_nans"),
    ],
)
def test_missed_structures_are_infinite_where_monai_says_nan(case):
    ((a, b, spacing),) = arguments(case)
    found = metrics.surface_distances(a, b, spacing or (1, 1, 1))
    wanted = 0 if not a.any() and not b.any() else np.inf
    assert found.hd == found.hd95 == found.assd == wanted


@pytest.mark.parametrize("case", cases("metrics__test_compute_confusion_matrix", "TestConfusionMatrix.test_value"))
def test_counts(case):
    arrays, expected = arguments(case)
    for n, c in np.ndindex(*expected.shape[:2]):
        found = metrics.confusion(arrays["y_pred"][n, c], arrays["y"][n, c])
        assert [found.tp, found.fp, found.tn, found.fn] == expected[n, c].tolist()


@pytest.mark.parametrize(
    "case",
    cases(
        "metrics__test_compute_confusion_matrix",
        "TestConfusionMatrix.test_compute_sample",
        "TestConfusionMatrix.test_compute_sample_multiple_metrics",
    ),
)
def test_ratios_where_monai_has_a_value(case):
    given, expected = arguments(case)
    names = given["metric_name"]
    wanted = expected if isinstance(names, list) else [expected]
    for name, value in zip([names] if isinstance(names, str) else names, wanted, strict=True):
        found = np.array(
            [
                [getattr(metrics.confusion(p, t), NAMES[name]) for p, t in zip(*sample, strict=True)]
                for sample in zip(given["y_pred"], given["y"], strict=True)
            ]
        )
        if name == "pt":
            # Where both rates are equal MONAI divides 0 by 0 and leaves the sample out; the threshold is 1/2.
            found = np.where(found == 0.5, np.nan, found)
        over_batch = given["reduction"] == "mean_batch"
        mean = np.nanmean(found, 0) if over_batch else np.nanmean(np.nanmean(found, 1))
        np.testing.assert_allclose(np.ravel(mean), np.ravel(value), rtol=1e-3, atol=1e-5)


def columns(scores, truth, average, measure):
    """A measure by class; `truth` as class numbers (N, 1) or one column a class."""
    scores, truth = np.asarray(scores, np.float64), np.asarray(truth)
    if scores.ndim == 1 or scores.shape[1] == 1:
        return measure(scores.ravel(), truth.ravel())
    if truth.ndim == 1 or truth.shape[1] == 1:
        truth = np.eye(scores.shape[1])[truth.ravel().astype(int)]
    if average == "micro":
        return measure(scores.ravel(), truth.ravel())
    values = [measure(scores[:, c], truth[:, c]) for c in range(scores.shape[1])]
    if average == "weighted":
        return float(np.average(values, weights=truth.sum(0)))
    return values if average == "none" else float(np.mean(values))


@pytest.mark.parametrize(
    "case",
    [
        *cases("metrics__test_compute_roc_auc", "TestComputeROCAUC.test_value"),
        *cases("metrics__test_compute_average_precision", "TestComputeAveragePrecision.test_value"),
    ],
)
def test_ranking(case):
    scores, truth, softmax, _, average, expected = arguments(case)
    measure = metrics.roc_auc if "roc" in case[0] else metrics.average_precision
    scores = np.asarray(scores, np.float64)
    if softmax:
        scores = np.exp(scores - scores.max(1, keepdims=True))
        scores /= scores.sum(1, keepdims=True)
    if expected is None or np.isnan(np.asarray(expected, float)).any():  # one class only: MONAI warns and goes on
        with pytest.raises(ValueError, match=r"needs|0 or 1"):
            columns(scores, truth, average, measure)
        return
    np.testing.assert_allclose(columns(scores, truth, average, measure), expected, rtol=1e-4)


@pytest.mark.parametrize("case", cases("metrics__test_compute_froc", "TestComputeFrocScore.test_value"))
def test_froc(case):
    given, rates, expected = arguments(case)
    hits = np.asarray(given["tp_probs"])
    hits = hits[hits > 0]  # MONAI writes a missed target as a hit of score 0
    found = metrics.froc_score(given["fp_probs"], hits, given["num_targets"], given["num_images"], np.atleast_1d(rates))
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "case", cases("metrics__test_compute_panoptic_quality", "TestPanopticQualityMetric.test_value")
)
def test_panoptic_quality(case):
    given, expected = arguments(case)
    found = metrics.match_things(np.asarray(given["pred"]), np.asarray(given["gt"]), given["match_iou_threshold"])
    name = {"sq": "segmentation_quality", "RQ": "f1"}.get(given.get("metric_name"), "panoptic_quality")
    assert getattr(found, name) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("case", cases("data__test_box_utils", "TestCreateBoxList.test_value"))
def test_boxes(case):
    given, mode2, expected, volume = arguments(case)
    modes = {
        "cccwhd": "centre_size",
        "CenterSizeMode": "centre_size",
        "xyzwhd": "start_size",
        "CornerSizeMode": "start_size",
        "xxyyzz": "interleaved",
        "CornerCornerModeTypeB": "interleaved",
        "xyzxyz": "start_stop",
        "CornerCornerModeTypeA": "start_stop",
    }
    ours, theirs = (
        next((m for name, m in modes.items() if name in str(mode)), None) for mode in (given["mode"], mode2)
    )
    assert ours is not None
    found = boxes.to_start_stop(given["boxes"], ours)
    np.testing.assert_allclose(boxes.box_volume(found), volume, atol=1e-3)
    if theirs is not None:  # xyxyzz has no counterpart
        np.testing.assert_allclose(boxes.from_start_stop(found, theirs), expected, atol=1e-3)
