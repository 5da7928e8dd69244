"""Average pooling sums each window by itself, so that a NaN or infinity stays where it is."""

import numpy as np
import pytest

import framework
from framework.nn import functional as F
from tests.support.beside_torch import assert_same, uniform

pytestmark = pytest.mark.oracle

CASES = {
    "overlap": (lambda m, x: m.nn.functional.avg_pool2d(x, 3, 1, 1), (2, 3, 6, 7)),
    "excluding the padding": (
        lambda m, x: m.nn.functional.avg_pool2d(x, (3, 2), 2, 1, count_include_pad=False),
        (2, 3, 7, 6),
    ),
    "ceil": (lambda m, x: m.nn.functional.avg_pool1d(x, 3, 2, 1, ceil_mode=True), (2, 3, 8)),
    "divisor": (lambda m, x: m.nn.functional.avg_pool3d(x, 2, divisor_override=3), (1, 2, 4, 5, 6)),
    "whole": (lambda m, x: m.nn.functional.avg_pool2d(x, (5, 4)), (2, 3, 5, 4)),
    "adaptive": (lambda m, x: m.nn.functional.adaptive_avg_pool2d(x, (3, 5)), (2, 3, 7, 6)),
    "adaptive to one": (lambda m, x: m.nn.functional.adaptive_avg_pool3d(x, 1), (2, 3, 3, 4, 5)),
    "adaptive to more": (lambda m, x: m.nn.functional.adaptive_avg_pool1d(x, 9), (2, 3, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_both_gradients(name: str) -> None:
    function, shape = CASES[name]
    assert_same(function, uniform([shape]))


@pytest.mark.parametrize("pool", ["avg", "adaptive", "lp"])
def test_what_is_not_finite_stays_in_its_window(pool: str) -> None:
    torch = pytest.importorskip("torch")
    x = uniform([(1, 2, 8, 8)])[0]
    x[0, 0, 2, 3], x[0, 1, 5, 5] = np.nan, np.inf
    call = {
        "avg": lambda f, y: f.avg_pool2d(y, 2),
        "adaptive": lambda f, y: f.adaptive_avg_pool2d(y, 4),
        "lp": lambda f, y: f.lp_pool2d(y, 1.5, 2),
    }[pool]
    np.testing.assert_allclose(
        call(F, framework.tensor(x)).numpy(), call(torch.nn.functional, torch.tensor(x)).numpy(), rtol=1e-12
    )


def test_half_precision_is_summed_in_float32() -> None:
    x = framework.full((1, 1, 4096), 1.0, dtype=framework.bfloat16)
    assert F.avg_pool1d(x, 4096).item() == 1.0
