"""Metrics against scikit-learn and SciPy, and against sums by hand."""

import numpy as np
import pytest

from bio import SequenceError, metrics

STREAM = np.random.default_rng(0)
TRUTH = STREAM.integers(0, 2, 200)
SCORE = np.round(TRUTH * 0.3 + STREAM.random(200) * 0.7, 2)  # with ties
CLASSES = STREAM.integers(0, 4, 200)
TABLE = STREAM.random((200, 4)) + np.eye(4)[CLASSES] * 0.3
TABLE /= TABLE.sum(1, keepdims=True)


def test_beside_scikit_learn():
    sk = pytest.importorskip("sklearn.metrics")
    assert metrics.auroc(TRUTH, SCORE) == pytest.approx(sk.roc_auc_score(TRUTH, SCORE), abs=1e-12)
    assert metrics.auprc(TRUTH, SCORE) == pytest.approx(sk.average_precision_score(TRUTH, SCORE), abs=1e-12)
    false, true, _ = sk.roc_curve(TRUTH, SCORE, drop_intermediate=False)
    np.testing.assert_allclose(metrics.roc_curve(TRUTH, SCORE), [false, true])
    answer = TABLE.argmax(1)
    assert metrics.matthews(CLASSES, answer) == pytest.approx(sk.matthews_corrcoef(CLASSES, answer), abs=1e-12)
    assert metrics.f1(CLASSES, answer) == pytest.approx(sk.f1_score(CLASSES, answer, average="macro"), abs=1e-12)
    assert metrics.f1(TRUTH, SCORE > 0.5, "binary") == pytest.approx(sk.f1_score(TRUTH, SCORE > 0.5), abs=1e-12)
    assert metrics.accuracy(CLASSES, answer) == pytest.approx(sk.accuracy_score(CLASSES, answer))
    assert metrics.top_k(CLASSES, TABLE, 2) == pytest.approx(sk.top_k_accuracy_score(CLASSES, TABLE, k=2))


def test_correlations_beside_scipy():
    stats = pytest.importorskip("scipy.stats")
    assert metrics.pearson(TRUTH, SCORE) == pytest.approx(stats.pearsonr(TRUTH, SCORE)[0], abs=1e-12)
    assert metrics.spearman(TRUTH, SCORE) == pytest.approx(stats.spearmanr(TRUTH, SCORE)[0], abs=1e-12)
    assert np.isnan(metrics.pearson([1, 2, 3], [5, 5, 5]))


def test_by_hand():
    assert metrics.auroc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.8]) == 0.875
    assert metrics.auprc([0, 1, 0, 1], [0.1, 0.3, 0.4, 0.8]) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.top_k_positions([0, 1, 0, 1, 0], [0.9, 0.8, 0.1, 0.7, 0.2]) == 0.5
    assert metrics.q_score([[0, 1], [2, 0]], [[0, 1], [1, 9]], [[True, True], [True, False]]) == pytest.approx(2 / 3)
    bins = metrics.reliability([1, 0, 1, 1], [0.9, 0.1, 0.2, 0.95], bins=2)
    np.testing.assert_allclose(bins.confidence, [0.15, 0.925])
    np.testing.assert_allclose(bins.accuracy, [0.5, 1])
    assert bins.error == pytest.approx((0.35 * 2 + 0.075 * 2) / 4)
    assert metrics.calibration_error([1, 0], [[0.2, 0.8], [0.3, 0.7]], 5) == pytest.approx((0.2 + 0.7) / 2)
    assert metrics.matthews([1, 1], [0, 1]) == 0


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = 0
    for seed in range(60):
        sample = np.random.default_rng(seed).random(80) < 0.7
        interval = metrics.bootstrap(metrics.accuracy, np.ones(80), sample, samples=200, level=0.9, seed=seed)
        held += interval.low <= 0.7 <= interval.high
    assert 46 <= held <= 60
    again = metrics.bootstrap(metrics.auroc, TRUTH, SCORE, samples=100)
    assert again == metrics.bootstrap(metrics.auroc, TRUTH, SCORE, samples=100)
    assert again.low < again.value < again.high
    assert str(again) == f"{again.value:.3f} ({again.low:.3f} to {again.high:.3f})"


def test_rows_of_a_group_are_drawn_together():
    groups = np.repeat(np.arange(8), 25)
    right = np.repeat([1, 0, 1, 1, 0, 1, 0, 1], 25)
    alone = metrics.bootstrap(metrics.accuracy, np.ones(200), right, samples=300)
    together = metrics.bootstrap(metrics.accuracy, np.ones(200), right, samples=300, groups=groups)
    assert together.high - together.low > 3 * (alone.high - alone.low)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.auroc([1, 1], [0.1, 0.2]), "both classes"),
        (lambda: metrics.auroc([0, 1], [0.1, np.nan]), "finite"),
        (lambda: metrics.accuracy([0, 1], [0]), "2 and 1 values"),
        (lambda: metrics.top_k([0], [[0.1, 0.9]], 3), "k=3"),
        (lambda: metrics.reliability([0, 1], [0.1, 1.2]), "between 0 and 1"),
        (lambda: metrics.f1([0, 1], [0, 1], "micro"), "'micro'"),
        (lambda: metrics.top_k_positions([0, 0], [0.1, 0.2]), "at least one positive"),
        (lambda: metrics.bootstrap(metrics.auroc, [0, 1], [0.1, 0.2], samples=1), "two samples"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(SequenceError, match=message):
        call()
