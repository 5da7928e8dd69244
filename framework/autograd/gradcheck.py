"""Derivatives against finite differences."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from framework.autograd.backward import grad
from framework.core.tensor import Tensor


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the gradients of `func` at float64 `inputs` agree with central differences of step `eps`.

    RuntimeError with both Jacobians where they do not, unless `raise_exception` is False.
    """
    sources = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    wanted = [source for source in sources if isinstance(source, Tensor) and source.requires_grad]
    if not wanted:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have "
            "requires_grad=True."
        )
    outputs = _outputs(func(*sources))
    for number, output in enumerate(outputs):
        for place, source in enumerate(wanted):
            analytical = _analytical(output, source)
            numerical = _numerical(lambda: _outputs(func(*sources))[number], source, eps)  # noqa: B023
            if not np.allclose(analytical, numerical, rtol=rtol, atol=atol):
                if not raise_exception:
                    return False
                raise RuntimeError(
                    f"Jacobian mismatch for output {number} with respect to input {place},\nnumerical:{numerical}\n"
                    f"analytical:{analytical}\n"
                )
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """`gradcheck` of the gradients of `func`, weighted by fixed random numbers."""
    sources = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    stream = np.random.default_rng(0)
    outputs = _outputs(func(*sources))
    weights = [Tensor._wrap(stream.standard_normal(output.shape)).requires_grad_() for output in outputs]
    wanted = [number for number, source in enumerate(sources) if isinstance(source, Tensor) and source.requires_grad]

    def first_order(*arguments: Any) -> tuple[Any, ...]:
        given, factors = arguments[: len(sources)], arguments[len(sources) :]
        gradients = grad(
            _outputs(func(*given)), [given[n] for n in wanted], factors, create_graph=True, allow_unused=True
        )
        return tuple(gradient for gradient in gradients if gradient is not None and gradient.requires_grad)

    return gradcheck(first_order, [*sources, *weights], eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)


def _outputs(result: Any) -> list[Tensor]:
    results: Sequence[Any] = result if isinstance(result, tuple | list) else [result]
    return [each for each in results if isinstance(each, Tensor) and each._data.dtype.kind in "fc"]


def _analytical(output: Tensor, source: Tensor) -> np.ndarray[Any, Any]:
    """The Jacobian (inputs, outputs) by one backward pass an output element."""
    columns = []
    for number in range(output.numel()):
        weight = np.zeros(output.numel(), output._data.dtype)
        weight[number] = 1
        found = None
        if output.requires_grad:
            (found,) = grad(
                output, source, Tensor._wrap(weight.reshape(output.shape)), retain_graph=True, allow_unused=True
            )
        columns.append(np.zeros(source.numel()) if found is None else found.numpy(force=True).reshape(-1))
    return np.stack(columns, 1) if columns else np.zeros((source.numel(), 0))


def _numerical(function: Callable[[], Tensor], source: Tensor, eps: float) -> np.ndarray[Any, Any]:
    """The same Jacobian by central differences."""
    rows = []
    values = source._data
    for place in np.ndindex(*values.shape):
        before = values[place].copy()
        values[place] = before + eps
        above = function().numpy(force=True).astype(np.float64).reshape(-1)
        values[place] = before - eps
        below = function().numpy(force=True).astype(np.float64).reshape(-1)
        values[place] = before
        rows.append((above - below) / (2 * eps))
    return np.stack(rows) if rows else np.zeros((0, function().numel()))
