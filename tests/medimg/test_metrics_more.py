"""Ranking, counting, calibration, lesions, detection, intervals: scikit-learn, hand calculation, empty policy."""

import math

import numpy as np
import pytest

from medimg import boxes, metrics

RNG = np.random.default_rng(3)


def test_curves_equal_scikit_learn_with_ties():
    sk = pytest.importorskip("sklearn.metrics")
    for _ in range(20):
        truth, scores = RNG.integers(0, 2, 60), RNG.integers(0, 12, 60) / 12
        assert metrics.roc_auc(scores, truth) == pytest.approx(sk.roc_auc_score(truth, scores))
        assert metrics.average_precision(scores, truth) == pytest.approx(sk.average_precision_score(truth, scores))
        a, b = RNG.integers(0, 4, 60), RNG.integers(0, 4, 60)
        for weights in (None, "linear", "quadratic"):
            assert metrics.cohen_kappa(a, b, weights=weights) == pytest.approx(
                sk.cohen_kappa_score(a, b, weights=weights)
            )
        counts = metrics.confusion(scores > 0.5, truth)
        assert counts.matthews == pytest.approx(sk.matthews_corrcoef(truth, scores > 0.5))
        assert counts.f_beta(2) == pytest.approx(sk.fbeta_score(truth, scores > 0.5, beta=2))
        np.testing.assert_array_equal(metrics.confusion_matrix(a, b, range(4)), sk.confusion_matrix(b, a))


def test_no_ratio_is_nan():
    none, some = np.zeros(4), np.array([1, 0, 0, 0])
    missed, absent = metrics.confusion(none, some), metrics.confusion(none, none)
    assert (missed.precision, missed.sensitivity, missed.f1, missed.matthews) == (0, 0, 0, 0)
    assert (absent.precision, absent.sensitivity, absent.f1, absent.matthews) == (1, 1, 1, 1)
    assert metrics.volume_similarity(none, some) == 0
    assert metrics.volume_similarity(none, none) == 1
    assert metrics.volume_similarity([1, 1, 0] * np.ones(3), np.array([0, 1, 0])) == pytest.approx(2 / 3)


def test_froc_by_hand():
    # Two images, four targets of which three are hit.
    x, y, _ = metrics.froc_curve([0.8, 0.3], [0.9, 0.5, 0.2], 4, 2)
    assert x.tolist() == [0, 0, 0.5, 0.5, 1, 1]
    assert y.tolist() == [0, 0.25, 0.25, 0.5, 0.5, 0.75]
    assert metrics.froc_score([0.8, 0.3], [0.9, 0.5, 0.2], 4, 2, [0, 0.5, 0.75, 1, 8]) == pytest.approx(
        (0.25 + 0.5 + 0.625 + 0.75 + 0.75) / 5
    )


def test_lesions_by_hand_and_empty_policy():
    truth, found = np.zeros((2, 20, 20), int)
    truth[2:6, 2:6] = truth[10:14, 10:14] = 1
    found[2:6, 3:7] = found[17:19, 2:4] = 1
    match = metrics.match_lesions(found, truth)
    assert (match.tp, match.fp, match.fn) == (1, 1, 1)
    assert match.iou == (pytest.approx(12 / 20),)
    assert match.panoptic_quality == pytest.approx(0.6 * 0.5)
    nothing = np.zeros_like(truth)
    assert metrics.match_lesions(nothing, nothing).f1 == metrics.match_lesions(nothing, nothing).panoptic_quality == 1
    missed = metrics.match_lesions(nothing, truth)
    assert missed.f1 == missed.precision == missed.sensitivity == missed.panoptic_quality == 0


def test_average_precision_of_boxes_by_hand():
    truth = metrics.Boxes([[0, 0, 2, 2], [5, 5, 8, 8]], [1, 1])
    found = metrics.Boxes([[0, 0, 2, 2], [9, 9, 10, 10], [5, 5, 8, 8]], [1, 1, 1], [0.9, 0.8, 0.7])
    result = metrics.mean_average_precision([found], [truth], [0.5])
    assert result["map"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert result["recall"][1, 0.5] == 1
    empty = metrics.Boxes(np.zeros((0, 4)), [], [])
    assert metrics.mean_average_precision([empty], [truth])["map"] == 0


def test_calibration_by_hand():
    result = metrics.reliability([0.1, 0.2, 0.9, 0.9], [0, 1, 1, 1], bins=2)
    assert result.cases.tolist() == [2, 2]
    assert result.expected_error == pytest.approx((abs(0.5 - 0.15) + abs(1 - 0.9)) / 2)
    assert result.largest_error == pytest.approx(0.35)
    assert metrics.brier_score([0.5, 1.0], [0, 1]) == pytest.approx(0.125)
    p = RNG.random(40000)
    assert metrics.expected_calibration_error(p, RNG.random(40000) < p) < 0.02


def test_limits_of_agreement_by_hand():
    a, b = np.array([10.0, 12, 14, 16]), np.array([9.0, 12, 12, 15])
    result = metrics.bland_altman(a, b)
    assert result.bias.estimate == 1
    assert result.upper.estimate == pytest.approx(1 + 1.96 * math.sqrt(2 / 3))
    assert result.bias.high == pytest.approx(1 + 3.182446 * math.sqrt(2 / 3) / 2, rel=1e-6)


def test_bootstrap_covers_and_keeps_infinity():
    hits = 0
    for seed in range(60):
        values = np.random.default_rng(seed).normal(3, 1, 40)
        _, low, high = metrics.bootstrap(values, resamples=300, seed=seed)
        hits += low <= 3 <= high
    assert hits >= 50
    assert metrics.bootstrap([1.0, 2.0, np.inf]).high == np.inf
    assert metrics.bootstrap([1.0, 2.0, 3.0], seed=4) == metrics.bootstrap([1.0, 2.0, 3.0], seed=4)
    assert metrics.bootstrap([1.0, 1.0, 5.0], groups=["a", "a", "a"]).low == pytest.approx(7 / 3)
    with pytest.raises(ValueError, match="NaN"):
        metrics.bootstrap([1.0, np.nan])


def test_boxes_by_hand():
    a = np.array([[0, 0, 0, 2, 2, 2], [1, 1, 1, 3, 3, 3.0]])
    assert boxes.box_iou(a, a)[0, 1] == pytest.approx(1 / 15)
    assert boxes.box_giou(a, a)[0, 1] == pytest.approx(1 / 15 - (27 - 15) / 27)
    for mode in boxes.MODES:
        np.testing.assert_allclose(boxes.to_start_stop(boxes.from_start_stop(a, mode), mode), a)
    assert boxes.non_maximum_suppression(a, [0.5, 0.9], iou=0.05).tolist() == [1]
    clipped, kept = boxes.clip_boxes([[-1, -1, 1, 1], [5, 5, 6, 6]], (4, 4))
    assert clipped.tolist() == [[0, 0, 1, 1]]
    assert kept.tolist() == [True, False]
    found, names = boxes.boxes_of(np.pad(np.full((2, 3), 7), 1))
    assert found.tolist() == [[1, 1, 3, 4]]
    assert names.tolist() == [7]
