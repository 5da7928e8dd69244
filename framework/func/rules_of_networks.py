"""Batching rules of what networks are made of: convolution, pooling, normalisation, cross entropy.

Their tensors are (N, C, *): a batch joins the samples where the weights are the same for all, and the channels, in
groups of its own, where they are not.
"""

from typing import Any

from framework.func.batched import is_at, size_at
from framework.func.rules import call, rule, whole


def _into_first(array: Any) -> Any:
    """(B, N, ...) as (B * N, ...)."""
    return array.reshape((array.shape[0] * array.shape[1], *array.shape[2:]))


def _into_second(array: Any) -> Any:
    """(B, N, C, ...) as (N, B * C, ...)."""
    swapped = array.transpose((1, 0, *range(2, array.ndim)))
    return swapped.reshape((array.shape[1], array.shape[0] * array.shape[2], *array.shape[3:]))


def _from_first(array: Any, size: int) -> Any:
    return array.reshape((size, array.shape[0] // size, *array.shape[1:]))


def _from_second(array: Any, size: int) -> Any:
    split = array.reshape((array.shape[0], size, array.shape[1] // size, *array.shape[2:]))
    return split.transpose((1, 0, *range(2, split.ndim)))


@rule("conv", "conv_grad_input")
def _(record: Any, values: list[Any], level: int) -> Any:
    """With one weight the batch joins the samples; with a weight each it joins the channels, in groups of its own."""
    size = size_at(values, level)
    bias = values[2] if record.name == "conv" else None
    groups = values[-1]
    if not is_at(values[1], level) and not is_at(bias, level):
        return _from_first(call(record, [_into_first(values[0].array), *values[1:]]), size)
    values[0] = _into_second(whole(values[0], level, size))
    values[1] = _into_first(whole(values[1], level, size))
    if bias is not None:
        values[2] = whole(bias, level, size).reshape((-1,))
    values[-1] = groups * size
    return _from_second(call(record, values), size)


@rule("conv_grad_weight")
def _(record: Any, values: list[Any], level: int) -> Any:
    size = size_at(values, level)
    arrays = [_into_second(whole(value, level, size)) for value in values[:2]]
    return _from_first(call(record, [*arrays, *values[2:-1], values[-1] * size]), size)


@rule("max_pool", "max_pool_grad", "pick_flat", "max_unpool", "adaptive_max", "take_grid", "add_grid", "weigh")
def _(record: Any, values: list[Any], level: int) -> Any:
    """(N, C, *): the batch joins the samples."""
    size = size_at(values, level)
    for slot in record.slots:
        values[slot] = _into_first(whole(values[slot], level, size))
    result = call(record, values)
    if isinstance(result, tuple):
        return tuple(_from_first(each, size) for each in result)
    return _from_first(result, size)


@rule("norm_act")
def _(record: Any, values: list[Any], level: int) -> Any:
    """The statistics belong to one sample; a weight that varies is the groups' of a wider image."""
    size = size_at(values, level)
    if is_at(values[1], level) or is_at(values[2], level):
        for slot in (1, 2):
            if values[slot] is not None:
                values[slot] = whole(values[slot], level, size).reshape((-1,))
        values[0], values[3] = _into_second(whole(values[0], level, size)), values[3] * size
        return tuple(_from_second(each, size) for each in call(record, values))
    return tuple(_from_first(each, size) for each in call(record, [_into_first(values[0].array), *values[1:]]))


@rule("norm_act_grad")
def _(record: Any, values: list[Any], level: int) -> Any:
    """Every sample as groups of one wider image, so that weight and bias get a gradient each."""
    size = size_at(values, level)
    for slot in range(4):
        values[slot] = _into_second(whole(values[slot], level, size))
    for slot in (4, 5):
        if values[slot] is not None:
            values[slot] = whole(values[slot], level, size).reshape((-1,))
    values[6] *= size
    gx, gw, gb = call(record, values)
    return _from_second(gx, size), *(None if each is None else each.reshape((size, -1)) for each in (gw, gb))


@rule("softmax_cross_entropy", "softmax_cross_entropy_grad")
def _(record: Any, values: list[Any], level: int) -> Any:
    size = size_at(values, level)
    for slot, name in zip(record.slots, record.inputs):
        if name == "weight":
            if is_at(values[slot], level):
                return NotImplemented
        else:
            values[slot] = _into_first(whole(values[slot], level, size))
    result = call(record, values)
    if isinstance(result, tuple):
        return tuple(_from_first(each, size) for each in result)
    return _from_first(result, size)
