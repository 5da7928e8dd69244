"""Derivatives against finite differences."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from framework.autograd.backward import grad
from framework.core.tensor import Tensor

Array = np.ndarray[Any, Any]


class GradcheckError(RuntimeError):
    """A derivative disagrees with finite differences, or breaks another promise that gradcheck tests."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    fast_mode: bool = False,
) -> bool:
    """Whether the gradients of `func` at float64 or complex128 `inputs` agree with central differences of step `eps`.

    Tested besides: two backward passes differ by at most `nondet_tol`; missing gradients of outputs count as zeros
    (`check_undefined_grad`); gradients have the types of their inputs (`check_grad_dtypes`); many backward passes at
    once by `vmap` agree with one after the other (`check_batched_grad`). `fast_mode` compares random projections of the
    Jacobians instead of all their elements: two evaluations an input instead of two an element. For complex numbers the
    derivatives along the real and the imaginary axis are both compared, in torch's convention that the gradient of a
    real loss is its direction of steepest ascent. The error names the output and the input and shows both Jacobians.
    """
    try:
        sources, wanted = _checked_inputs(inputs)
        outputs = _outputs(func(*sources))
        _check_values(func, sources, wanted, outputs, eps, atol, rtol, fast_mode)
        _check_repeatable(func, sources, wanted, nondet_tol)
        if check_grad_dtypes:
            _check_types(outputs, wanted)
        if check_undefined_grad:
            _check_undefined(func, sources, wanted)
        if check_batched_grad:
            _check_batched(outputs, wanted)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    fast_mode: bool = False,
) -> bool:
    """`gradcheck` of the gradients of `func`, weighted by `grad_outputs` or by fixed random numbers.

    With `gen_non_contig_grad_outputs` the random weights have gaps in memory.
    """
    sources = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if grad_outputs is None:
        stream = np.random.default_rng(0)
        weights = [_random_like(stream, output, gen_non_contig_grad_outputs) for output in _outputs(func(*sources))]
    else:
        weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
        weights = [weight.detach().requires_grad_() for weight in weights]
    wanted = [number for number, source in enumerate(sources) if _is_wanted(source)]

    def first_order(*arguments: Any) -> tuple[Any, ...]:
        given, factors = arguments[: len(sources)], arguments[len(sources) :]
        pairs = [pair for pair in zip(_outputs(func(*given)), factors) if pair[0].requires_grad]
        gradients = grad(
            [output for output, _ in pairs],
            [given[n] for n in wanted],
            [factor for _, factor in pairs],
            create_graph=True,
            allow_unused=True,
        )
        return tuple(gradient for gradient in gradients if gradient is not None and gradient.requires_grad)

    return gradcheck(
        first_order,
        [*sources, *weights],
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
    )


# -- what is tested ---------------------------------------------------------------------------------------------------


def _check_values(
    func: Any, sources: Any, wanted: list[Tensor], outputs: list[Tensor], eps: float, atol: float, rtol: float,
    fast: bool,
) -> None:  # fmt: skip
    compare = _compare_projected if fast else _compare_whole
    for number, output in enumerate(outputs):
        for place, source in enumerate(wanted):

            def evaluate(number: int = number) -> Tensor:
                return _outputs(func(*sources))[number]

            compare(evaluate, output, source, (number, place), eps, atol, rtol)


def _compare_whole(
    evaluate: Any, output: Tensor, source: Tensor, where: tuple[int, int], eps: float, atol: float, rtol: float
) -> None:
    analytical = _analytical(output, source)
    numerical = _numerical(evaluate, source, eps)
    if not np.allclose(analytical, numerical, rtol=rtol, atol=atol):
        worst = np.unravel_index(np.argmax(np.nan_to_num(np.abs(analytical - numerical), nan=np.inf)), numerical.shape)
        raise GradcheckError(
            f"Jacobian mismatch for output {where[0]} with respect to input {where[1]},\n"
            f"numerical:{numerical}\nanalytical:{analytical}\n"
            f"The largest difference is at [{worst[0]}, {worst[1]}] (input element, output element): "
            f"{numerical[worst]} numerically, {analytical[worst]} from backward.\n"
        )


def _compare_projected(
    evaluate: Any, output: Tensor, source: Tensor, where: tuple[int, int], eps: float, atol: float, rtol: float
) -> None:
    """<v, J u> by differences along a random direction u, against <J^T v, u> by one backward pass."""
    stream = np.random.default_rng(where[0] * 1000 + where[1])
    cotangent = _unit(stream, output)
    for axis in (1, 1j) if source.is_complex() else (1,):  # a complex input has two directions to be moved in
        direction = _unit(stream, source, real=source.is_complex()) * axis
        change = _difference(evaluate, source, direction, eps)
        numerical = float(np.real(np.vdot(cotangent, change)))
        pulled = _pull(output, source, cotangent)
        analytical = float(np.real(np.vdot(pulled, direction)))
        scale = max(np.sqrt(source.numel() * output.numel()), 1.0)  # an error in one element is this much diluted
        if not np.allclose(analytical * scale, numerical * scale, rtol=rtol, atol=atol * scale):
            raise GradcheckError(
                f"Jacobian mismatch for output {where[0]} with respect to input {where[1]} in fast mode,\n"
                f"numerical:{numerical}\nanalytical:{analytical}\n"
                "The above quantities relating the numerical and analytical jacobians are computed in fast mode: they "
                "are projections on random vectors. Run with fast_mode=False to see all elements.\n"
            )


def _check_repeatable(func: Any, sources: Any, wanted: list[Tensor], tolerance: float) -> None:
    stream = np.random.default_rng(1)
    outputs = [output for output in _outputs(func(*sources)) if output.requires_grad]
    if not outputs:
        return
    weights = [Tensor._wrap(_unit(stream, output).reshape(output.shape)) for output in outputs]
    first, second = (grad(outputs, wanted, weights, retain_graph=True, allow_unused=True) for _ in range(2))
    for place, (one, other) in enumerate(zip(first, second)):
        if one is None or other is None or not one.numel():
            continue
        difference = float(np.abs(one.numpy(force=True) - other.numpy(force=True)).max())
        if difference > tolerance:
            raise GradcheckError(
                f"Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                f"gives different values, although analytical gradient matches numerical gradient: input {place} "
                f"differs by {difference}. The tolerance for nondeterminism was {tolerance}."
            )


def _check_types(outputs: list[Tensor], wanted: list[Tensor]) -> None:
    for output in outputs:
        if not output.requires_grad:
            continue
        weight = Tensor._wrap(np.ones(output.shape, output._data.dtype))
        for place, found in enumerate(grad(output, wanted, weight, retain_graph=True, allow_unused=True)):
            if found is not None and found.dtype is not wanted[place].dtype:
                raise GradcheckError(
                    f"Gradient of input {place} has type {found.dtype}, but the input has {wanted[place].dtype}"
                )


def _check_undefined(func: Any, sources: Any, wanted: list[Tensor]) -> None:
    """An output that gets no gradient must do as much as one that gets zeros."""
    outputs = [output for output in _outputs(func(*sources)) if output.requires_grad]
    node = outputs[0].grad_fn if outputs else None
    if node is None or len(outputs) < 2 or any(output.grad_fn is not node for output in outputs):
        return  # the engine leaves out what gets no gradient; only outputs of one node can miss theirs
    for number, output in enumerate(outputs):
        weight = Tensor._wrap(np.ones(output.shape, output._data.dtype))
        zeros = [Tensor._wrap(np.zeros(each.shape, each._data.dtype)) for each in outputs]
        zeros[number] = weight
        missing = grad(output, wanted, weight, retain_graph=True, allow_unused=True)
        given = grad(outputs, wanted, zeros, retain_graph=True, allow_unused=True)
        for place, (one, other) in enumerate(zip(missing, given)):
            left = 0 if one is None else one.numpy(force=True)
            right = 0 if other is None else other.numpy(force=True)
            if not np.allclose(left, right, equal_nan=True):
                raise GradcheckError(
                    "Expected backward function to handle undefined output grads: with a gradient for output "
                    f"{number} alone, that of input {place} is not what it is with zeros for the others. Please look "
                    "at ctx.set_materialize_grads."
                )


def _check_batched(outputs: list[Tensor], wanted: list[Tensor]) -> None:
    from framework.func.vmap import vmap
    from framework.ops.shape import stack

    stream = np.random.default_rng(2)
    for number, output in enumerate(outputs):
        if not output.requires_grad:
            continue
        weights = [Tensor._wrap(_unit(stream, output).reshape(output.shape)) for _ in range(3)]

        def pull(weight: Any, output: Tensor = output) -> Any:
            found = grad(output, wanted, weight, retain_graph=True, allow_unused=True)
            return tuple(each for each in found if each is not None)

        expected = [stack(list(column)) for column in zip(*map(pull, weights))]
        try:
            batched = vmap(pull)(stack(weights))
        except RuntimeError as error:
            raise GradcheckError(
                f"While computing batched gradients, got: {error}\ngradcheck with check_batched_grad=True runs the "
                "backward pass under vmap; set it to False where that is not meant to work."
            ) from error
        for place, (one, other) in enumerate(zip(batched, expected)):
            if not np.allclose(one.numpy(force=True), other.numpy(force=True)):
                raise GradcheckError(
                    f"For output {number} and input {place}: the gradients of several cotangents at once by vmap "
                    f"differ from those of one after the other.\nbatched:{one}\nexpected:{other}"
                )


# -- pieces -----------------------------------------------------------------------------------------------------------


def _checked_inputs(inputs: Any) -> tuple[list[Any], list[Tensor]]:
    sources = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    wanted = [source for source in sources if _is_wanted(source)]
    if not wanted:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have "
            "requires_grad=True."
        )
    for number, source in enumerate(wanted):
        array = source._data
        if array.dtype not in (np.float64, np.complex128):
            import warnings

            warnings.warn(
                f"Input #{number} requires gradient and is not a double precision floating point or complex. This "
                "check will likely fail if all the inputs are not of double precision floating point or complex.",
                stacklevel=3,
            )
        if array.size and any(step == 0 and n > 1 for step, n in zip(array.strides, array.shape)):
            raise RuntimeError(
                f"The {number}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                "non-overlapping to be able to compute the numerical gradients correctly. You should call "
                ".contiguous on the input before passing it to gradcheck."
            )
    return sources, wanted


def _is_wanted(source: Any) -> bool:
    return isinstance(source, Tensor) and source.requires_grad


def _outputs(result: Any) -> list[Tensor]:
    results: Sequence[Any] = result if isinstance(result, tuple | list) else [result]
    return [each for each in results if isinstance(each, Tensor) and each._data.dtype.kind in "fc"]


def _analytical(output: Tensor, source: Tensor) -> Array:
    """The Jacobian (inputs, outputs) by backward passes, in real numbers where the output or input is complex."""
    columns = []
    for number in range(output.numel()):
        for unit in (1, 1j) if output.is_complex() else (1,):
            weight = np.zeros(output.numel(), output._data.dtype)
            weight[number] = unit
            columns.append(_as_reals(_pull(output, source, weight), source.is_complex()))
    rows = source.numel() * (2 if source.is_complex() else 1)
    return np.stack(columns, 1) if columns else np.zeros((rows, 0))


def _numerical(evaluate: Callable[[], Tensor], source: Tensor, eps: float) -> Array:
    """The same Jacobian by central differences."""
    rows = []
    flat = np.zeros(source.numel(), source._data.dtype)
    count = 0
    for place in range(source.numel()):
        for unit in (1, 1j) if source.is_complex() else (1,):
            flat[place] = unit
            change = _difference(evaluate, source, flat, eps)
            rows.append(_interleaved(change))
            count = rows[-1].size
        flat[place] = 0
    if source.is_complex() and rows:  # the order of _as_reals: all real directions, then all imaginary ones
        rows = rows[::2] + rows[1::2]
    return np.stack(rows) if rows else np.zeros((0, count or evaluate().numel()))


def _difference(evaluate: Callable[[], Tensor], source: Tensor, direction: Array, eps: float) -> Array:
    """The central difference of the output, flat, along a direction of the input."""
    values = source._data
    before = values.copy()
    step = (direction * eps).reshape(before.shape).astype(before.dtype)
    try:
        values[...] = before + step
        above = evaluate().numpy(force=True).copy()
        values[...] = before - step
        below = evaluate().numpy(force=True).copy()
    finally:
        values[...] = before
    wide = np.complex128 if above.dtype.kind == "c" else np.float64
    result: Array = (above.astype(wide) - below.astype(wide)).reshape(-1) / (2 * eps)
    return result


def _pull(output: Tensor, source: Tensor, weight: Array) -> Array:
    """The gradient, flat, of an output weighted by a cotangent."""
    found = None
    if output.requires_grad:
        (found,) = grad(
            output, source, Tensor._wrap(weight.reshape(output.shape)), retain_graph=True, allow_unused=True
        )
    return np.zeros(source.numel(), source._data.dtype) if found is None else found.numpy(force=True).reshape(-1)


def _as_reals(flat: Array, is_complex: bool) -> Array:
    return np.concatenate([flat.real, flat.imag]) if is_complex else flat


def _interleaved(flat: Array) -> Array:
    """Real and imaginary parts side by side: the order in which `_analytical` weights complex outputs."""
    return np.stack([flat.real, flat.imag], 1).reshape(-1) if flat.dtype.kind == "c" else flat


def _unit(stream: Any, like: Tensor, real: bool = False) -> Array:
    """A flat random vector of length one."""
    vector = stream.standard_normal(like.numel())
    if like.is_complex() and not real:
        vector = vector + 1j * stream.standard_normal(like.numel())
    length = np.linalg.norm(vector)
    result: Array = (vector / (length if length else 1)).astype(np.complex128 if like.is_complex() else np.float64)
    return result.astype(like._data.dtype) if not real else result


def _random_like(stream: Any, output: Tensor, gaps: bool) -> Tensor:
    shape = (*output.shape, 2) if gaps else tuple(output.shape)
    values = stream.standard_normal(shape)
    if output.is_complex():
        values = values + 1j * stream.standard_normal(shape)
    array = np.asarray(values[..., 0] if gaps else values)
    return Tensor._wrap(array).requires_grad_()
