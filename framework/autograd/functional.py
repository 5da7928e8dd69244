"""Jacobians, Hessians and their products with vectors, under the names of torch.autograd.functional.

Functions take a tensor or a tuple of tensors and return likewise. With `create_graph` the results can be differentiated
again with respect to the inputs; with `strict` an output that does not depend on an input is an error, otherwise its
derivative is zero. `framework.func` has the same derivatives as transformations that nest.
"""

from collections.abc import Callable
from typing import Any

from framework.autograd.backward import grad
from framework.core.modes import enable_grad
from framework.core.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = Tensor | tuple[Tensor, ...]


def vjp(
    func: Callable[..., Any], inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """(`func(*inputs)`, `v` times its Jacobian); `v` is shaped as the output, and may be left out for a scalar."""
    with enable_grad():
        sources, single = _sources(inputs, "vjp", create_graph)
        outputs, one = _outputs(func(*sources), "vjp", strict)
        vector = _vector(
            v,
            outputs,
            one,
            "The vector v can only be None if the user-provided function returns a single "
            "Tensor with a single element.",
        )
        products = _gradients(outputs, sources, vector, create_graph, strict)
    return _left(outputs, one, create_graph), _left(products, single, create_graph)


def jvp(
    func: Callable[..., Any], inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """(`func(*inputs)`, its Jacobian times `v`), by differentiating the product with a cotangent twice.

    `v` is shaped as the inputs, and may be left out where they are one number.
    """
    with enable_grad():
        sources, single = _sources(inputs, "jvp", create_graph)
        vector = _vector(
            v,
            sources,
            single,
            "The vector v can only be None if the input to the user-provided function "
            "is a single Tensor with a single element.",
        )
        outputs, one = _outputs(func(*sources), "jvp", strict)
        products = _forward(outputs, sources, vector, create_graph, strict)
    return _left(outputs, one, create_graph), _left(products, one, create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of each output with respect to each input, of shape (*output, *input).

    A tensor for one output and one input; a tuple where one of them is several; a tuple (by output) of tuples (by
    input) where both are. `vectorize` computes all rows in one pass (by `vmap`), and is what `strategy`
    "forward-mode", the better one for more outputs than inputs, needs.
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise ValueError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs '
            'than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".'
        )
    if strict and vectorize:
        raise RuntimeError("jacobian: `strict=True` and `vectorize=True` are not supported together")
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError('jacobian: strategy="forward-mode" needs `vectorize=True`')
    with enable_grad():
        sources, single = _sources(inputs, "jacobian", create_graph)
        outputs, one = _outputs(func(*sources), "jacobian", strict)
        if strategy == "forward-mode":
            table = _columns(outputs, sources, create_graph)
        elif vectorize:
            table = [_rows(output, sources, create_graph) for output in outputs]
        else:
            table = [_row_by_row(place, output, sources, create_graph, strict) for place, output in enumerate(outputs)]
    rows = tuple(_left(row, single, create_graph) for row in table)
    return rows[0] if one else rows


def hessian(
    func: Callable[..., Any],
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a scalar function: a tensor (*input, *input), or a tuple of tuples."""
    single = isinstance(inputs, Tensor)

    def first(*sources: Tensor) -> Any:
        output = func(*sources)
        _expect_scalar(output, "hessian")
        if strict and not output.requires_grad:
            raise RuntimeError(_NOT_COMPUTED.format(0))
        gradients = tuple(_gradients((output,), sources, (None,), True, strict))
        return gradients[0] if single else gradients

    return jacobian(first, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)


def vhp(
    func: Callable[..., Any], inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """(`func(*inputs)`, `v` times the Hessian of the scalar function): cheaper than `hvp` by one pass, and equal."""
    with enable_grad():
        sources, single = _sources(inputs, "vhp", create_graph)
        vector = _vector(v, sources, single, _ONE_NUMBER)
        outputs, gradients = _scalar_gradients(func, sources, "vhp", strict)
        products = _gradients(gradients, sources, vector, create_graph, strict)
    return _left(outputs, True, create_graph), _left(products, single, create_graph)


def hvp(
    func: Callable[..., Any], inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """(`func(*inputs)`, the Hessian of the scalar function times `v`)."""
    with enable_grad():
        sources, single = _sources(inputs, "hvp", create_graph)
        vector = _vector(v, sources, single, _ONE_NUMBER)
        outputs, gradients = _scalar_gradients(func, sources, "hvp", strict)
        products = _forward(gradients, sources, vector, create_graph, strict)
    return _left(outputs, True, create_graph), _left(products, single, create_graph)


# -- pieces -----------------------------------------------------------------------------------------------------------

_ONE_NUMBER = (
    "The vector v can only be None if the input to the user-provided function is a single Tensor with a single element."
)
_NOT_COMPUTED = (
    "Output {} of the user-provided function does not require gradient. The outputs must be computed in a "
    "differentiable manner from the input when running in strict mode."
)


def _sources(inputs: Any, name: str, create_graph: bool) -> tuple[tuple[Tensor, ...], bool]:
    """The inputs in a place of the graph of their own: behind the given ones, or apart from them."""
    single = not isinstance(inputs, tuple | list)
    given = (inputs,) if single else tuple(inputs)
    for number, each in enumerate(given):
        if not isinstance(each, Tensor):
            where = "" if single else f" but the value at index {number}"
            raise TypeError(
                f"The inputs given to {name} must be either a Tensor or a tuple of Tensors{where} has type "
                f"{type(each)}."
            )
    if create_graph:
        return tuple(each.view_as(each) if each.requires_grad else _apart(each) for each in given), single
    return tuple(_apart(each) for each in given), single


def _apart(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_()


def _outputs(result: Any, name: str, strict: bool) -> tuple[tuple[Tensor, ...], bool]:
    one = not isinstance(result, tuple | list)
    outputs = (result,) if one else tuple(result)
    for number, each in enumerate(outputs):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"The outputs of the user-provided function given to {name} must be either a Tensor or a tuple of "
                f"Tensors but the value at index {number} has type {type(each)}."
            )
        if strict and not each.requires_grad:
            raise RuntimeError(_NOT_COMPUTED.format(number))
    return outputs, one


def _expect_scalar(output: Any, name: str) -> None:
    if not isinstance(output, Tensor):
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if output.ndim != 0 and (output.ndim != 1 or output.numel() != 1):
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")


def _scalar_gradients(
    func: Any, sources: tuple[Tensor, ...], name: str, strict: bool
) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    output = func(*sources)
    _expect_scalar(output, name)
    if strict and not output.requires_grad:
        raise RuntimeError(_NOT_COMPUTED.format(0))
    return (output,), _gradients((output,), sources, (None,), True, strict)


def _vector(v: Any, like: tuple[Tensor, ...], single: bool, message: str) -> tuple[Tensor, ...]:
    """`v` as a tuple that fits `like`; ones where it is missing and may be."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(message)
        from framework.ops.constants import ones_like

        return (ones_like(like[0].detach()),)
    given = tuple(v) if isinstance(v, tuple | list) else (v,)
    if len(given) != len(like):
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(given)}.")
    for number, (one, other) in enumerate(zip(given, like)):
        if not isinstance(one, Tensor):
            raise TypeError(f"The v given must be a Tensor or a tuple of Tensors, got {type(one)}")
        if tuple(one.shape) != tuple(other.shape):
            where = "" if len(like) == 1 else f"Entry {number} in "
            raise RuntimeError(f"{where}v has invalid size: should be {list(other.shape)} but got {list(one.shape)}.")
    return given


def _gradients(
    outputs: Any, sources: tuple[Tensor, ...], weights: Any, create_graph: bool, strict: bool, which: str = "The output"
) -> list[Tensor]:
    """The gradients of weighted outputs; where there is none, zeros or (strict) an error."""
    from framework.ops.constants import zeros_like

    pairs = [(output, weight) for output, weight in zip(outputs, weights) if output.requires_grad]
    found: tuple[Any, ...] = (None,) * len(sources)
    if pairs:
        found = grad(
            [output for output, _ in pairs],
            sources,
            [weight for _, weight in pairs],
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
        )
    result = []
    for number, (each, source) in enumerate(zip(found, sources)):
        if each is None and strict:
            raise RuntimeError(
                f"{which} of the user-provided function is independent of input {number}. This is not allowed in "
                "strict mode."
            )
        result.append(zeros_like(source.detach()) if each is None else each)
    return result


def _forward(
    outputs: Any, sources: tuple[Tensor, ...], vector: tuple[Tensor, ...], create_graph: bool, strict: bool
) -> list[Tensor]:
    """The Jacobian of outputs times a vector: the derivative of u -> vjp(u), which is linear, applied to it."""
    cotangents, pulled = _pulled(outputs, sources, strict)
    return _gradients(pulled, cotangents, vector, create_graph, False)


def _pulled(outputs: Any, sources: tuple[Tensor, ...], strict: bool) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    from framework.ops.constants import zeros_like

    cotangents = tuple(zeros_like(output.detach()).requires_grad_() for output in outputs)
    return cotangents, _gradients(outputs, sources, cotangents, True, strict)


def _row_by_row(
    place: int, output: Tensor, sources: tuple[Tensor, ...], create_graph: bool, strict: bool
) -> list[Tensor]:
    from framework.ops.constants import zeros
    from framework.ops.shape import stack

    rows: list[list[Tensor]] = []
    flat = output.reshape(-1)
    for number in range(output.numel()):
        rows.append(_gradients((flat[number],), sources, (None,), create_graph, strict, f"Output {place}"))
        if strict and create_graph:
            for source, each in enumerate(rows[-1]):
                if not each.requires_grad:
                    raise RuntimeError(
                        f"The jacobian of the user-provided function is independent of input {source}. This is not "
                        "allowed in strict mode when create_graph=True."
                    )
    if not rows:
        return [zeros((*output.shape, *source.shape), dtype=source.dtype, device=source.device) for source in sources]
    return [stack(list(column)).reshape((*output.shape, *column[0].shape)) for column in zip(*rows)]


def _rows(output: Tensor, sources: tuple[Tensor, ...], create_graph: bool) -> list[Tensor]:
    """All rows at once."""
    from framework.func.transforms import unit_vectors
    from framework.func.vmap import vmap

    def row(direction: Tensor) -> Any:
        return tuple(_gradients((output,), sources, (direction,), create_graph, False))

    return [each.reshape((*output.shape, *each.shape[1:])) for each in vmap(row)(unit_vectors(output))]


def _columns(outputs: tuple[Tensor, ...], sources: tuple[Tensor, ...], create_graph: bool) -> list[list[Tensor]]:
    """All columns at once, by forward mode."""
    from framework.func.transforms import unit_vectors
    from framework.func.vmap import vmap

    cotangents, pulled = _pulled(outputs, sources, False)
    table: list[list[Tensor]] = [[] for _ in outputs]
    for source, part in zip(sources, pulled):

        def column(direction: Tensor, part: Tensor = part) -> Any:
            return tuple(_gradients((part,), cotangents, (direction,), create_graph, False))

        for row, each in zip(table, vmap(column)(unit_vectors(source))):
            row.append(each.movedim(0, -1).reshape((*each.shape[1:], *source.shape)))
    return table


def _left(tensors: Any, single: bool, create_graph: bool) -> Any:
    """Results as they were given in number, without a history unless one is asked for."""
    kept = tuple(tensors) if create_graph else tuple(each.detach() for each in tensors)
    return kept[0] if single else kept
