"""Masked reductions against PyTorch, rows that a mask empties included."""

from typing import Any

import numpy as np
import pytest

import framework as vh

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

ALONG = ["sum", "prod", "cumsum", "cumprod", "amax", "amin", "mean", "median", "logsumexp", "var", "std"]


@pytest.mark.parametrize("name", [*ALONG, "norm", "normalize", "softmax", "log_softmax", "softmin", "argmax", "argmin"])
def test_masked_values_and_gradients_match_torch(name: str) -> None:
    stream = np.random.default_rng(0)
    array, mask = stream.standard_normal((4, 5)), stream.random((4, 5)) > 0.4
    mask[:, 0] = True
    mask[:, 1] = False
    order = (2.0,) if name in ("norm", "normalize") else ()

    def run(module: Any, dim: int) -> list[Any]:
        x = module.tensor(array).requires_grad_()
        out = getattr(module.masked, name)(x, *order, dim, mask=module.tensor(mask))
        if name.startswith("arg"):
            return [out.numpy()]
        kept = out[1:] if name in ("softmax", "log_softmax", "softmin") and dim == 1 else out
        kept.nan_to_num().square().sum().backward()
        return [out.detach().numpy(), x.grad.nan_to_num().numpy()]

    for dim in (0, 1):
        for ours, theirs in zip(run(vh, dim), run(torch, dim)):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_a_wide_mask_is_refused() -> None:
    with pytest.raises(IndexError):
        vh.masked.sum(vh.ones(3), mask=vh.ones(2, 3) > 0)
