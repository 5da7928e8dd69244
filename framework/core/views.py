"""Views that alias, and writing in place.

A view remembers its base and the operations that made it. Writing into a tensor that takes part in a graph gives the
*base* a new place in the graph (as if it had been rebuilt with the written part replaced), and every living view is
derived anew from the base: PyTorch's design (pytorch/pytorch#3313), with views replayed by name.
"""

import weakref
from typing import Any

import numpy as np

from framework.core.device import array_module
from framework.core.dtype import CATEGORY
from framework.core.modes import GRAD, INFERENCE, enable_grad, modes
from framework.core.node import AccumulateGrad, Cell, Node, sequence
from framework.core.op import Array, Op, op
from framework.core.quiet import SILENT, hush, restore
from framework.core.tensor import Tensor


class View:
    """How a tensor views its base: the steps from the base to it."""

    __slots__ = ("base", "steps")

    def __init__(self, base: Tensor, steps: tuple[tuple[Op, list[Any], int | None], ...]) -> None:
        self.base = base
        self.steps = steps

    def replay(self, source: Any) -> Any:
        """The same view of another tensor or array of the base's shape."""
        for record, attributes, number in self.steps:
            source = record.public(source, *attributes)
            if number is not None:
                source = source[number]
        return source


def mark_views(record: Op, source: Any, values: list[Any], outputs: list[Tensor]) -> None:
    """Make the outputs of a view op views of the source's base, where they share its memory."""
    several = len(outputs) > 1 or record.name in ("split", "unbind", "chunk")
    for number, output in enumerate(outputs):
        mark_view(record, source, values, output, number if several else None)


def mark_view(record: Op, source: Any, values: list[Any], output: Tensor, number: int | None = None) -> None:
    """Make the output of a view op (its `number`-th, of several) a view of the source's base."""
    if not isinstance(source, Tensor) or not _shares(output._data, source._data):
        return
    above = source._view
    step = (record, values[1:], number)
    output._view = View(source, (step,)) if above is None else View(above.base, (*above.steps, step))
    cell = output._cell = source._shared()
    views = cell.views
    if views is None:
        views = cell.views = []
    elif len(views) >= 32 and len(views) & (len(views) - 1) == 0:  # at powers of two, forget the dead ones
        views[:] = [reference for reference in views if reference() is not None]
    views.append(weakref.ref(output))


def _shares(array: Any, source: Any) -> bool:
    """Whether a view op's result lies in the memory of its source (a reshape may have had to copy)."""
    owner = array.base
    if owner is not None and (owner is source or owner is source.base):
        return True
    if type(array) is not np.ndarray and not hasattr(array, "level"):
        return True
    return not array.size or bool(np.may_share_memory(array, source))


@op(method=False)
def view_scatter(xp: Any, base: Array, value: Array, view: View) -> Array:
    """A copy of `base` in which the part that `view` shows holds `value`."""
    result = base.copy(order="K") if hasattr(base, "strides") else xp.array(base)
    view.replay(result)[...] = value
    return result


@view_scatter.vjp("base")
def _(g: Any, view: Any) -> Any:
    return view_scatter(g, 0 * view.replay(g), view)


@view_scatter.vjp("value")
def _(g: Any, view: Any) -> Any:
    return view.replay(g)


def inplace(record: Op, tensor: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """The in-place twin of an op: its result, written over its first argument."""
    check_writable(tensor)
    if record.ufunc is not None and not kwargs and _written_directly(record, tensor, args):
        return tensor
    source = kept(tensor, args, kwargs) if record.inputs[0] in record.saves else tensor
    result = record.public(source, *args, **kwargs)
    _check_result(tensor, result, record.name)
    return commit(tensor, result)


def _written_directly(record: Op, tensor: Tensor, args: tuple[Any, ...]) -> bool:
    """Let a ufunc write its result where it belongs, if nothing is recorded and no type changes; whether it did."""
    array = tensor._data
    if modes.flags & ~(GRAD | INFERENCE) or type(array) is not np.ndarray or array.dtype not in _DIRECT:
        return False
    operands: list[Any] = []
    recording = modes.flags & GRAD
    for each in (tensor, *args):
        if isinstance(each, Tensor):
            if each._data.dtype is not array.dtype or (
                recording and (each._edge is not None or each._view is not None)
            ):
                return False
            operands.append(each._data)
        elif type(each) is float or type(each) is int:
            operands.append(each)
        else:
            return False
    token = hush(SILENT)
    try:
        record.ufunc(*operands, out=array)
    except (ValueError, TypeError):
        return False  # whose message the general way words
    finally:
        restore(token)
    tensor._shared().version += 1
    return True


_DIRECT = frozenset(np.dtype(name) for name in ("float32", "float64", "complex64", "complex128"))


def kept(tensor: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """The tensor, or its values on memory of their own where a derivative may need them after they are overwritten."""
    if modes.flags & GRAD and any(
        isinstance(each, Tensor) and each._edge is not None for each in (tensor, *args, *kwargs.values())
    ):
        return Tensor._wrap(tensor._data.copy(order="K"), tensor._edge)
    return tensor


def write(tensor: Tensor, source: Any) -> Tensor:
    """`copy_`: broadcast and converted values into a tensor's memory."""
    from framework.ops.elementwise import to_dtype
    from framework.ops.shape import expand

    check_writable(tensor)
    if not isinstance(source, Tensor):
        source = Tensor._wrap(np.asarray(source))
    if type(source._data) is not type(tensor._data):
        source = source.to(tensor.device)
    if modes.flags & GRAD and (source._edge is not None or tensor._edge is not None):
        value = source if source._data.dtype == tensor._data.dtype else to_dtype(source, tensor._data.dtype)
        return commit(tensor, expand(value, tensor.shape))
    _write(tensor._data, source._data, "copy_")
    tensor._shared().version += 1
    return tensor


def assign(tensor: Tensor, index: Any, value: Any) -> None:
    """`tensor[index] = value`."""
    from framework.ops.index import is_basic, normalise, put_at

    check_writable(tensor)
    index = normalise(index, tensor._data.ndim)
    value = value if isinstance(value, Tensor) else Tensor._wrap(np.asarray(value))
    records = modes.flags & GRAD and (value._edge is not None or tensor._edge is not None)
    if not records:
        target = tensor._data[index]
        shaped = _trim(value._data, target.shape)
        array_module(tensor._data)  # a value on another device is refused by the assignment itself
        if shaped.dtype.kind == "c" and tensor._data.dtype.kind != "c":
            shaped = shaped.real
        try:
            tensor._data[index] = shaped
        except ValueError:
            raise RuntimeError(
                f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to indexing result of "
                f"shape {list(target.shape)}"
            ) from None
        tensor._shared().version += 1
        return
    if is_basic(index):
        part = tensor[index]
        write(
            part, value if value._data.ndim <= part._data.ndim else value.reshape(value.shape[value.ndim - part.ndim :])
        )
        return
    if value._data.dtype != tensor._data.dtype:
        value = value.to(tensor.dtype)
    commit(tensor, put_at(tensor, value, index))


def commit(tensor: Tensor, result: Tensor) -> Tensor:
    """Write an already computed result into the tensor's memory and give the tensor the result's history."""
    from framework.ops.elementwise import to_dtype

    if result._data.dtype != tensor._data.dtype:
        result = to_dtype(result, tensor._data.dtype)
    tensor._data[...] = result._data
    tensor._shared().version += 1
    return rebase(tensor, result._edge) if modes.flags & GRAD else tensor


def rebase(tensor: Tensor, edge: Any) -> Tensor:
    """Give a tensor whose memory was written its new place in the graph; its base and views follow."""
    cell = tensor._shared()
    view = tensor._view
    if view is None:
        if edge is None and tensor._edge is None:
            return tensor
        tensor._edge = edge
        _refresh(cell)
        return tensor
    base = view.base
    if edge is None and base._edge is None:
        return tensor
    node = Node()
    node.op = view_scatter.record
    node.edges = (base._edge, edge)
    node.meta = ((base._data.shape, base._data.dtype),)
    node.attrs = {"view": view}
    node.saved = node.versions = ()
    node.sequence = next(sequence)
    base._edge = (node, 0)
    _refresh(cell)
    return tensor


def check_writable(tensor: Tensor) -> None:
    """RuntimeError for writes that would lose history, or hit one element twice."""
    if modes.flags & GRAD and tensor._edge is not None and type(tensor._edge[0]) is AccumulateGrad:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
    if modes.flags & GRAD and tensor._view is not None:
        base = tensor._view.base
        if base._edge is not None and type(base._edge[0]) is AccumulateGrad:
            raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    array = tensor._data
    shared = hasattr(array, "level") and array.size and array.batch_size > 1 and array.array.strides[0] == 0
    if shared or (
        array.size
        and 0 in array.strides
        and any(step == 0 and length > 1 for step, length in zip(array.strides, array.shape))
    ):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )
    if type(array) is np.ndarray and not array.flags.writeable:
        raise RuntimeError(
            "the tensor shares read-only memory (a read-only NumPy array): clone() it before writing to it"
        )


def _refresh(cell: Cell) -> None:
    """Derive the place in the graph of every living view from its base's."""
    for reference in cell.views or ():
        view_tensor = reference()
        if view_tensor is None or view_tensor._view is None:
            continue
        base = view_tensor._view.base
        if base._edge is None:
            view_tensor._edge = None
            continue
        with enable_grad():
            view_tensor._edge = view_tensor._view.replay(Tensor._wrap(base._data, base._edge))._edge


def _check_result(tensor: Tensor, result: Tensor, name: str) -> None:
    _refuse_wider(tensor._data, result._data)
    if result._data.shape != tensor._data.shape:
        raise RuntimeError(
            f"output with shape {list(tensor.shape)} doesn't match the broadcast shape {list(result.shape)} in {name}_"
        )
    have, want = CATEGORY[result._data.dtype], CATEGORY[tensor._data.dtype]
    if have > want:
        raise RuntimeError(
            f"result type {result.dtype.name} can't be cast to the desired output type {tensor.dtype.name} in {name}_"
        )


def _refuse_wider(target: Any, source: Any) -> None:
    """RuntimeError where a value for each sample of a vmap would be written into memory that the samples share."""
    if getattr(source, "level", 0) > getattr(target, "level", 0):
        from framework.func.batched import INPLACE

        raise RuntimeError(INPLACE)


def _write(target: Any, source: Any, name: str) -> None:
    _refuse_wider(target, source)
    if source.dtype.kind == "c" and target.dtype.kind != "c":
        source = source.real
    try:
        with np.errstate(all="ignore"):
            target[...] = source
    except ValueError:
        raise RuntimeError(
            f"{name}: the size of the written tensor {list(target.shape)} does not match the source's "
            f"{list(source.shape)}"
        ) from None


def _trim(value: Any, shape: tuple[int, ...]) -> Any:
    """Drop leading dimensions of one that the target does not have."""
    while value.ndim > len(shape) and value.shape[0] == 1:
        value = value[0]
    return value
