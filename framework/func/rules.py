"""How each operation is computed on batched arrays: the batching rules of `vmap`.

A rule receives the op's record, its arguments and the level to deal with; it answers with whole batches, the batch
dimension first. Most operations fall into a few families: elementwise ones align their operands, those that name
dimensions count one further, matrix operations and convolutions have a place for a batch already. What has no rule is
computed sample by sample and stacked, which is always right.
"""

import string
from collections.abc import Callable
from typing import Any

import numpy as np

from framework.core.device import array_module
from framework.func.batched import (
    BatchedArray,
    is_at,
    per_sample,
    simple_index,
    size_at,
    spread,
    top_level,
)

Rule = Callable[[Any, list[Any], int], Any]
RULES: dict[str, Rule] = {}


class Batching:
    """Stands for the array module of batched arrays: ops have kernels for it, other functions are NumPy's."""

    def kernel_of(self, record: Any) -> Callable[..., Any]:
        """The function that computes an op on batched arrays."""
        from framework.func import rules_of_networks  # noqa: F401  registers its rules

        if record.name in _STRUCTURAL:
            return lambda *values: record.forward(np, *values)
        rule = RULES.get(record.name) or _family(record)

        def kernel(*arguments: Any) -> Any:
            values = list(arguments)
            level = top_level(values)
            if not level:  # the batched array was a scalar attribute's, or none is left
                return record.kernel(np)(*values)
            size = size_at(values, level)
            if record.name not in _COPIES:
                values, varies = _without_repeats(values, level)
                if not varies:  # every sample is the same: compute one
                    return _repeated(call(record, values), level, size, record.view)
            result = rule(record, values, level) if rule is not None else NotImplemented
            if result is NotImplemented:
                return per_sample(lambda *each: call(record, list(each)), values, {})
            if isinstance(result, tuple | list):
                return tuple(None if each is None else BatchedArray(each, level) for each in result)
            return BatchedArray(result, level)

        return kernel

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


BATCHING = Batching()
_COPIES = frozenset(("clone", "contiguous"))  # whoever asks for memory of its own is going to write to it
_STRUCTURAL = frozenset(("add_batch_dim", "remove_batch_dim", "sum_batch", "expand_batch", "view_scatter"))


def call(record: Any, values: list[Any]) -> Any:
    """The op on arrays that may be batched at older levels."""
    arrays = [item for value in values for item in (value if isinstance(value, list) else (value,))]
    for array in arrays:
        if isinstance(array, BatchedArray):
            return record.kernel(BATCHING)(*values)
    xp: Any = np
    for array in arrays:
        if hasattr(array, "__cuda_array_interface__"):
            xp = array_module(array)
    return record.kernel(xp)(*values)


def _without_repeats(values: Any, level: int) -> tuple[list[Any], bool]:
    """Arrays that are merely repeated over the batch of a level as one sample, and whether any other varies over it."""
    if isinstance(values, BatchedArray):
        if values.level == level and values.batch_size > 1 and values.array.strides[0] == 0 and values.size:
            return values.sample(0), False
        return values, values.level == level  # type: ignore[return-value]
    if type(values) not in (list, tuple):
        return values, False
    parts = [_without_repeats(value, level) for value in values]
    return type(values)([value for value, _ in parts]), any(varies for _, varies in parts)


def _repeated(result: Any, level: int, size: int, is_view: bool) -> Any:
    """One result as that of every sample; on memory of its own unless it is a view, because it may be written to."""
    if isinstance(result, tuple | list):
        return tuple(None if each is None else _repeated(each, level, size, is_view) for each in result)
    wide = spread(result, size)
    return BatchedArray(wide if is_view else wide.copy(), level)


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for ops by name."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def names(words: str) -> Callable[[Rule], Rule]:
    """`rule` with the names in one string."""
    return rule(*words.split())


def whole(value: Any, level: int, size: int) -> Any:
    """A batch of an array whether it varies over it or not."""
    return value.array if is_at(value, level) else spread(value, size)


# -- elementwise ------------------------------------------------------------------------------------------------------


@names(
    "_conj _frexp _where _clamp abs angle ceil floor frac round sign sgn trunc neg square conj_physical real "
    "imag elu gelu silu softplus leaky_relu leaky_relu_grad nan_to_num isclose isfinite isinf "
    "isnan isneginf isposinf isreal signbit to_dtype apply_mask complex polygamma stack_parts view_as_real "
    "view_as_complex to_device"
)
def elementwise(record: Any, values: list[Any], level: int) -> Any:
    """Samples aligned from the last dimension, as broadcasting does."""
    ndim = max(value.ndim for value in values if hasattr(value, "ndim") and not isinstance(value, type))
    return call(record, [value.padded(ndim) if is_at(value, level) else value for value in values])


@rule("masked_fill")
def _(record: Any, values: list[Any], level: int) -> Any:
    """The value is a number: one for each sample would be none."""
    return NotImplemented if is_at(values[2], level) else elementwise(record, values, level)


@rule("_meet")
def _(record: Any, values: list[Any], level: int) -> Any:
    """Each operand for itself, in the type they meet in."""
    size = size_at(values, level)
    return tuple(whole(value if hasattr(value, "ndim") else np.asarray(value), level, size) for value in values)


@rule("clone", "contiguous")
def _(record: Any, values: list[Any], level: int) -> Any:
    if getattr(values[1], "rank", None) is not None:
        return NotImplemented
    return call(record, [values[0].array, values[1]])


def _family(record: Any) -> Rule | None:
    """The elementwise rule for what is elementwise by its kind."""
    place = record.forward.__module__
    if (record.kind is not None and ".elementwise" in place) or place.endswith((".special", ".bessel")):
        return elementwise if not record.lists else None
    return None


# -- dimensions -------------------------------------------------------------------------------------------------------


def _counted(dim: Any, ndim: int) -> Any:
    """A dimension of a sample, or several, as dimensions of the batch."""
    return dim % ndim + 1 if isinstance(dim, int | np.integer) else tuple(int(each) % ndim + 1 for each in dim)


@names("_sum amax amin all any count_nonzero logsumexp _vector_norm")
def _(record: Any, values: list[Any], level: int) -> Any:
    """Reductions over some dimensions, all when none is named."""
    place = record.params.index("dim")
    array = values[0].array
    ndim = values[0].ndim
    if not ndim:  # a number is reduced over a dimension of one
        if isinstance(values[place], int) and values[place] not in (0, -1):
            return NotImplemented
        values[0], values[place] = array[:, None], (1,)
        result = call(record, values)
        return result.reshape(array.shape[:1])
    dims = values[place]
    if dims is None or (not isinstance(dims, int) and not len(dims)):
        dims = tuple(range(ndim))
    values[0], values[place] = array, _counted(dims, ndim)
    return call(record, values)


@names("argmax argmin _prod _max_along _cumsum _cumprod logcumsumexp _softmax _log_softmax _running_extreme")
@names("_order _top_places _common_place")
def _(record: Any, values: list[Any], level: int) -> Any:
    """Operations along one dimension; argmax, argmin and prod flatten when none is named."""
    place = record.params.index("dim")
    array = values[0].array
    ndim, dim = values[0].ndim, values[place]
    if not ndim or (dim is not None and not -ndim <= dim < ndim):
        return NotImplemented
    if dim is None:
        keeps = "keepdim" in record.params and values[record.params.index("keepdim")]
        values[0], values[place] = array.reshape((array.shape[0], -1)), 1
        result = call(record, values)
        return result.reshape((array.shape[0], *(1,) * ndim)) if keeps else result.reshape(array.shape[:1])
    values[0], values[place] = array, dim % ndim + 1
    return call(record, values)


@rule("_permute")
def _(record: Any, values: list[Any], level: int) -> Any:
    return call(record, [values[0].array, (0, *(dim + 1 for dim in values[1]))])


@rule("_squeeze", "_flip")
def _(record: Any, values: list[Any], level: int) -> Any:
    dims = values[1] if not isinstance(values[1], int) else (values[1],)
    return call(record, [values[0].array, _counted(dims, max(values[0].ndim, 1))])


@rule("unsqueeze")
def _(record: Any, values: list[Any], level: int) -> Any:
    ndim = values[0].ndim + 1
    return call(record, [values[0].array, values[1] % ndim + 1]) if -ndim <= values[1] < ndim else NotImplemented


@rule("_roll")
def _(record: Any, values: list[Any], level: int) -> Any:
    shifts, dims = values[1], values[2]
    if dims is None or (not isinstance(dims, int) and not len(dims)) or not values[0].ndim:
        return NotImplemented
    return call(record, [values[0].array, shifts, _counted(dims, values[0].ndim)])


@rule("_reshape")
def _(record: Any, values: list[Any], level: int) -> Any:
    array = values[0].array
    return call(record, [array, (array.shape[0], *values[1])])


@rule("_expand")
def _(record: Any, values: list[Any], level: int) -> Any:
    array = values[0].padded(len(values[1]))
    return call(record, [array, (array.shape[0], *values[1])])


@rule("_reinterpret")
def _(record: Any, values: list[Any], level: int) -> Any:
    return call(record, [values[0].array, *values[1:]]) if values[0].ndim else NotImplemented


@rule("_slice")
def _(record: Any, values: list[Any], level: int) -> Any:
    return call(record, [values[0].array, (slice(None), *values[1])])


@rule("slice_scatter_zeros")
def _(record: Any, values: list[Any], level: int) -> Any:
    g, shape, index = values
    return call(record, [g.array, (g.batch_size, *shape), (slice(None), *index)])


@rule("diagonal")
def _(record: Any, values: list[Any], level: int) -> Any:
    array, offset, *dims = values
    return call(record, [array.array, offset, *(_counted(dim, array.ndim) for dim in dims)])


@rule("diagonal_scatter")
def _(record: Any, values: list[Any], level: int) -> Any:
    size = size_at(values, level)
    ndim = values[0].ndim
    arrays = [whole(value, level, size) for value in values[:2]]
    return call(record, [*arrays, values[2], *(_counted(dim, ndim) for dim in values[3:])])


@rule("diagonal_scatter_zeros")
def _(record: Any, values: list[Any], level: int) -> Any:
    g, shape, offset, *dims = values
    return call(record, [g.array, (g.batch_size, *shape), offset, *(_counted(dim, len(shape)) for dim in dims)])


@rule("unfold")
def _(record: Any, values: list[Any], level: int) -> Any:
    array, dimension, size, step = values
    return call(record, [array.array, _counted(dimension, array.ndim), size, step]) if array.ndim else NotImplemented


@rule("unfold_add_zeros")
def _(record: Any, values: list[Any], level: int) -> Any:
    g, shape, dimension, size, step = values
    if not shape:
        return NotImplemented
    return call(record, [g.array, (g.batch_size, *shape), _counted(dimension, len(shape)), size, step])


@rule("_pad")
def _(record: Any, values: list[Any], level: int) -> Any:
    return call(record, [values[0].array, ((0, 0), *values[1]), *values[2:]])


@rule("_unpad")
def _(record: Any, values: list[Any], level: int) -> Any:
    g, shape, widths, mode = values
    return call(record, [g.array, (g.batch_size, *shape), ((0, 0), *widths), mode])


@rule("_fft_complex", "_fft_from_real", "_fft_to_real")
def _(record: Any, values: list[Any], level: int) -> Any:
    return call(record, [values[0].array, _counted(values[1], values[0].ndim), *values[2:]])


# -- joins and places -------------------------------------------------------------------------------------------------


@rule("_cat")
def _(record: Any, values: list[Any], level: int) -> Any:
    tensors, dim = values
    size = size_at(tensors, level)
    ndim = max(each.ndim for each in tensors)
    return call(record, [[whole(each, level, size) for each in tensors], dim % ndim + 1])


@rule("gather", "scatter_add", "scatter_values", "scatter_reduce")
def _(record: Any, values: list[Any], level: int) -> Any:
    """Places along one dimension: everything gets the batch."""
    size = size_at(values, level)
    arrays = [values[slot] for slot in record.slots if hasattr(values[slot], "ndim")]
    if not all(array.ndim for array in arrays):
        return NotImplemented
    ndim = values[0].ndim
    for slot in record.slots:
        if hasattr(values[slot], "ndim"):
            values[slot] = whole(values[slot], level, size)
    values[1] = _counted(values[1], ndim)
    return call(record, values)


@rule("index_select")
def _(record: Any, values: list[Any], level: int) -> Any:
    if is_at(values[2], level) or not values[0].ndim:
        return NotImplemented
    return call(record, [values[0].array, _counted(values[1], values[0].ndim), values[2]])


@rule("take_at")
def _(record: Any, values: list[Any], level: int) -> Any:
    if not is_at(values[0], level) or not simple_index(values[1]):
        return NotImplemented
    return call(record, [values[0].array, (slice(None), *values[1])])


@rule("index_add_zeros")
def _(record: Any, values: list[Any], level: int) -> Any:
    g, shape, index = values
    if not is_at(g, level) or not simple_index(index):
        return NotImplemented
    return call(record, [g.array, (g.batch_size, *shape), (slice(None), *index)])


@rule("embedding")
def _(record: Any, values: list[Any], level: int) -> Any:
    return NotImplemented if is_at(values[1], level) else call(record, [values[0].array, *values[1:]])


@rule("one_hot")
def _(record: Any, values: list[Any], level: int) -> Any:
    return call(record, [values[0].array, values[1]])


# -- matrices ---------------------------------------------------------------------------------------------------------


@rule("_matmul")
def _(record: Any, values: list[Any], level: int) -> Any:
    """The batch is one more leading dimension; a batch of rows with one matrix is one product of more rows."""
    left, right = values
    if not is_at(right, level) and right.ndim == 2 and left.ndim >= 2 and left.size:
        array = left.array
        flat = call(record, [array.reshape((-1, array.shape[-1])), right])
        return flat.reshape((*array.shape[:-1], right.shape[-1]))
    ndim = max(left.ndim, right.ndim)
    return call(record, [value.padded(ndim) if is_at(value, level) else value for value in values])


@rule("_linear")
def _(record: Any, values: list[Any], level: int) -> Any:
    """A batch of inputs is more rows for the same weight; a batch of weights is a batch of matrix products."""
    from framework.ops.elementwise import add
    from framework.ops.linalg import matmul

    input, weight, bias = values
    if is_at(input, level) and not is_at(weight, level) and not is_at(bias, level):
        return call(record, [input.array, weight, bias])
    product = matmul(input, weight.transpose(1, 0))
    return (product if bias is None else add(product, bias)).array


@names(
    "_cholesky _eig _eigh _eigvals _eigvalsh _inv _lu_factor _matrix_exp _qr _slogdet det _svd _svdvals "
    "_ldl_factor _geqrf cholesky_inverse"
)
def _(record: Any, values: list[Any], level: int) -> Any:
    return call(record, [values[0].array, *values[1:]])


@rule("_einsum")
def _(record: Any, values: list[Any], level: int) -> Any:
    """One more letter, on the operands that vary over the batch and on the result."""
    operands, equation = values
    terms, arrow, result = equation.replace(" ", "").partition("->")
    free = [letter for letter in string.ascii_letters if letter not in equation]
    if not arrow or not free:
        return NotImplemented
    marked = [free[0] + term if is_at(operand, level) else term for term, operand in zip(terms.split(","), operands)]
    arrays = [operand.array if is_at(operand, level) else operand for operand in operands]
    return call(record, [arrays, f"{','.join(marked)}->{free[0]}{result}"])
