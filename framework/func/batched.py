"""Arrays of `vmap`: a whole batch that looks like one of its samples.

A `BatchedArray` of level L holds an array whose first dimension is the batch; `shape`, `ndim` and indexing are those of
one sample. It stands where a tensor holds its array, below the recording of derivatives: an operation on it is computed
by the rule that `framework.func.rules` has for the op, its node remembers batched arrays, and the backward pass runs on
them like on any others. Nested `vmap`s nest the arrays, the newest level outermost.

NumPy's elementwise functions are computed on the whole batch; its other functions sample by sample.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

ESCAPE = (
    "vmap: a value of a batched tensor is asked for as a Python number or a NumPy array (.item(), bool(), .numpy(), "
    "data-dependent control flow), but inside vmap it stands for many. Use operations on tensors (where() instead of "
    "if), or do this outside of vmap."
)
INPLACE = (
    "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor `other` in extra_args "
    "that has more elements than `self`. This happened due to `other` being vmapped over but `self` not being vmapped "
    "over in a vmap. Please try to use out-of-place operators instead of inplace arithmetic."
)


class LevelShape(tuple[int, ...]):
    """The shape of a sample, which also remembers its (level, batch size) pairs, newest first.

    It equals another array's shape only where the levels agree too, so that the engine notices a gradient that must be
    summed over a batch, or spread over one.
    """

    levels: tuple[tuple[int, int], ...]

    def __new__(cls, shape: Any, levels: tuple[tuple[int, int], ...]) -> "LevelShape":
        self = super().__new__(cls, shape)
        self.levels = levels
        return self

    def __eq__(self, other: object) -> bool:
        if type(other) is tuple or type(other) is LevelShape:
            return tuple.__eq__(self, other) is True and self.levels == getattr(other, "levels", ())
        return tuple.__eq__(self, other) is True

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return tuple.__hash__(self)


class BatchedArray(np.lib.mixins.NDArrayOperatorsMixin):
    """A batch that looks like one sample; see the module's text. `array` has the batch as its first dimension."""

    __slots__ = ("__weakref__", "array", "level")
    __array_priority__ = 100

    def __init__(self, array: Any, level: int) -> None:
        self.array = array
        self.level = level

    # -- what one sample looks like -------------------------------------------------------------------------------

    @property
    def shape(self) -> LevelShape:
        inner = self.array.shape
        return LevelShape(inner[1:], ((self.level, inner[0]), *getattr(inner, "levels", ())))

    @property
    def batch_size(self) -> int:
        return int(self.array.shape[0])

    @property
    def ndim(self) -> int:
        return int(self.array.ndim) - 1

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def size(self) -> int:
        size = 1
        for length in self.array.shape[1:]:
            size *= length
        return size

    @property
    def itemsize(self) -> int:
        return int(self.array.itemsize)

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self.array.strides[1:])

    @property
    def flags(self) -> Any:
        return self.array.flags

    @property
    def ctypes(self) -> Any:
        return self.array.ctypes

    @property
    def base(self) -> Any:
        return None

    @property
    def real(self) -> "BatchedArray":
        return BatchedArray(self.array.real, self.level)

    @property
    def imag(self) -> "BatchedArray":
        return BatchedArray(self.array.imag, self.level)

    @property
    def T(self) -> "BatchedArray":  # noqa: N802
        return self.transpose()

    def padded(self, ndim: int) -> Any:
        """The whole batch with dimensions of length one after the batch, so that samples have `ndim` dimensions."""
        extra = ndim - self.ndim
        if extra <= 0:
            return self.array
        return self.array[(slice(None), *(None,) * extra)]

    def sample(self, number: int) -> Any:
        """One sample, as an array."""
        part = self.array[number]
        return np.asarray(part) if isinstance(part, np.generic) else part

    def __len__(self) -> int:
        return int(self.array.shape[1])

    def __array_namespace__(self, **_: Any) -> Any:
        from framework.func.rules import BATCHING

        return BATCHING

    # -- other arrangements of the same elements --------------------------------------------------------------------

    def reshape(self, *shape: Any, **_: Any) -> "BatchedArray":
        wanted = shape[0] if len(shape) == 1 and not isinstance(shape[0], int | np.integer) else shape
        wanted = tuple(int(length) for length in wanted)
        if -1 in wanted:
            rest = -int(np.prod(wanted))
            wanted = tuple((self.size // rest if rest else 0) if length == -1 else length for length in wanted)
        return BatchedArray(self.array.reshape((self.batch_size, *wanted)), self.level)

    def ravel(self, *_: Any) -> "BatchedArray":
        return self.reshape(-1)

    def transpose(self, *dims: Any) -> "BatchedArray":
        order = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
        order = tuple(order) if order else tuple(reversed(range(self.ndim)))
        return BatchedArray(self.array.transpose((0, *(dim % self.ndim + 1 for dim in order))), self.level)

    def squeeze(self, axis: Any = None) -> "BatchedArray":
        if axis is None:
            axis = tuple(number for number, length in enumerate(self.shape) if length == 1)
        axes = (axis,) if isinstance(axis, int) else axis
        return BatchedArray(self.array.squeeze(tuple(each % self.ndim + 1 for each in axes)), self.level)

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> "BatchedArray":
        return BatchedArray(self.array.astype(dtype, *args, **kwargs), self.level)

    def copy(self, order: Any = "C") -> "BatchedArray":
        return BatchedArray(self.array.copy(order=order), self.level)

    def view(self, dtype: Any) -> "BatchedArray":
        return BatchedArray(self.array.view(dtype), self.level)

    # -- elements ---------------------------------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> Any:
        items = index if isinstance(index, tuple) else (index,)
        if simple_index(items):
            return BatchedArray(self.array[(slice(None), *items)], self.level)
        return per_sample(lambda array, place: array[place], (self, items), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        items = index if isinstance(index, tuple) else (index,)
        if isinstance(value, BatchedArray) and value.level > self.level:
            raise RuntimeError(INPLACE)
        arrays = any(isinstance(item, np.ndarray | BatchedArray | list) for item in items)
        if not arrays and simple_index(items):
            target = self.array[(slice(None), *items)]
            own = isinstance(value, BatchedArray) and value.level == self.level
            target[...] = value.padded(target.ndim - 1) if own else value
            return
        for number in range(self.batch_size):
            place = sample_of(items, self.level, number)
            self.array[(number, *place)] = sample_of(value, self.level, number)

    def fill(self, value: Any) -> None:
        self.array.fill(value)

    # -- reductions -------------------------------------------------------------------------------------------------

    def any(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Over all elements of all samples, a bool, when no axis is given: what checks of input ask."""
        return self._every("any", axis, keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Over all elements of all samples, a bool, when no axis is given: what checks of input ask."""
        return self._every("all", axis, keepdims)

    def _every(self, name: str, axis: Any, keepdims: bool) -> Any:
        if axis is None and not keepdims:
            return bool(getattr(self.array, name)())
        return self._reduced(name, axis, keepdims=keepdims)

    def _reduced(self, name: str, axis: Any = None, dtype: Any = None, **kwargs: Any) -> "BatchedArray":
        axes = range(self.ndim) if axis is None else (axis,) if isinstance(axis, int | np.integer) else axis
        places = tuple(int(each) % max(self.ndim, 1) + 1 for each in axes)
        options = {} if dtype is None else {"dtype": dtype}
        if not self.ndim:
            return BatchedArray(self.array if dtype is None else self.array.astype(dtype), self.level)
        return BatchedArray(getattr(self.array, name)(axis=places, **options, **kwargs), self.level)

    def sum(self, axis: Any = None, dtype: Any = None, **kwargs: Any) -> "BatchedArray":
        return self._reduced("sum", axis, dtype, **kwargs)

    def prod(self, axis: Any = None, dtype: Any = None, **kwargs: Any) -> "BatchedArray":
        return self._reduced("prod", axis, dtype, **kwargs)

    def max(self, axis: Any = None, **kwargs: Any) -> "BatchedArray":
        return self._reduced("max", axis, **kwargs)

    def min(self, axis: Any = None, **kwargs: Any) -> "BatchedArray":
        return self._reduced("min", axis, **kwargs)

    def mean(self, axis: Any = None, dtype: Any = None, **kwargs: Any) -> "BatchedArray":
        return self._reduced("mean", axis, dtype, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """NumPy's other methods, sample by sample."""
        if name.startswith("_") or not callable(getattr(np.ndarray, name, None)):
            raise AttributeError(f"a batched array of vmap has no attribute '{name}'")
        return functools.partial(self._method, name)

    def _method(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if name in ("item", "tolist", "tobytes"):
            raise RuntimeError(ESCAPE)
        return per_sample(lambda array, *rest, **options: getattr(array, name)(*rest, **options), (self, *args), kwargs)

    # -- NumPy's functions --------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        if method != "__call__" or ufunc.signature is not None:
            if out is not None or method == "at":
                raise RuntimeError(INPLACE)
            return per_sample(getattr(ufunc, method), inputs, kwargs)
        level = top_level((inputs, out))
        ndim = max(np.ndim(value) for value in inputs)
        given = [value.padded(ndim) if is_at(value, level) else value for value in inputs]
        if out is not None:
            if not all(is_at(each, level) for each in out):
                raise RuntimeError(INPLACE)
            ufunc(*given, out=tuple(each.array for each in out), **kwargs)
            return out[0] if len(out) == 1 else out
        result = ufunc(*given, **kwargs)
        return (
            tuple(BatchedArray(each, level) for each in result)
            if type(result) is tuple
            else BatchedArray(result, level)
        )

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in (np.may_share_memory, np.shares_memory):
            return function(*(innermost(each) for each in args))
        if function in (np.zeros_like, np.ones_like, np.empty_like, np.full_like) and "shape" not in kwargs:
            return BatchedArray(function(self.array, *args[1:], **kwargs), self.level)
        if function is np.shape:
            return self.shape
        if function is np.ndim:
            return self.ndim
        if function is np.size:
            return self.size
        return per_sample(function, args, kwargs)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError(ESCAPE)

    def _escape(self, *_: Any) -> Any:
        raise RuntimeError(ESCAPE)

    __bool__ = __int__ = __float__ = __complex__ = __index__ = _escape

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        return f"BatchedArray(level={self.level}, batch_size={self.batch_size}, value=\n{self.array!r}\n)"


def simple_index(items: tuple[Any, ...]) -> bool:
    """Whether an index means the same with a full slice put before it: at most one array, no batched ones."""
    arrays = [item for item in items if isinstance(item, np.ndarray | list | BatchedArray | bool | np.bool_)]
    if not arrays:
        return True
    numbers = any(isinstance(item, int | np.integer) for item in items)
    return len(arrays) == 1 and not numbers and isinstance(arrays[0], np.ndarray | list)


def top_level(values: Any) -> int:
    """The newest level among nested values; 0 when nothing is batched."""
    if isinstance(values, BatchedArray):
        return values.level
    if isinstance(values, tuple | list):
        return max((top_level(value) for value in values), default=0)
    return 0


def is_at(value: Any, level: int) -> bool:
    """Whether a value is batched at this level."""
    return isinstance(value, BatchedArray) and value.level == level


def size_at(values: Any, level: int) -> int:
    """The batch size of a level among nested values; 0 where none has it."""
    if is_at(values, level):
        return values.batch_size
    if isinstance(values, tuple | list):
        return max((size_at(value, level) for value in values), default=0)
    return 0


def sample_of(value: Any, level: int, number: int) -> Any:
    """Nested values with the batched ones of a level replaced by one of their samples."""
    if is_at(value, level):
        return value.sample(number)
    if isinstance(value, tuple | list):
        parts = [sample_of(each, level, number) for each in value]
        return type(value)._make(parts) if hasattr(value, "_make") else type(value)(parts)
    return value


def innermost(value: Any) -> Any:
    """The array at the bottom."""
    while isinstance(value, BatchedArray):
        value = value.array
    return value


def per_sample(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """A function of arrays applied to each sample; the results are stacked."""
    level = top_level((list(args), list(kwargs.values())))
    size = size_at((list(args), list(kwargs.values())), level)
    if not size:
        raise RuntimeError(
            f"vmap: {getattr(function, '__name__', 'this operation')} is computed sample by sample, which does not "
            "work over a dimension of length 0"
        )
    results = []
    for number in range(size):
        given = [sample_of(value, level, number) for value in args]
        options = {key: sample_of(value, level, number) for key, value in kwargs.items()}
        results.append(function(*given, **options))
    return stacked(results, level)


def stacked(results: list[Any], level: int) -> Any:
    """Results of all samples as one batched result, or the value on which they agree."""
    first = results[0]
    if isinstance(first, tuple | list):
        parts = [stacked(list(part), level) for part in zip(*results, strict=True)]
        return type(first)._make(parts) if hasattr(first, "_make") else type(first)(parts)
    if isinstance(first, np.ndarray | np.generic | BatchedArray) or hasattr(first, "__cuda_array_interface__"):
        if any(tuple(each.shape) != tuple(first.shape) for each in results):
            raise RuntimeError(
                "vmap: the results of the samples have different shapes, because the operation's output shape depends "
                f"on the data: {sorted({tuple(each.shape) for each in results})}. It cannot be used inside vmap."
            )
        return BatchedArray(stack_arrays(results), level)
    if any(each is not first and each != first for each in results):
        raise RuntimeError(ESCAPE)
    return first


def stack_arrays(arrays: list[Any]) -> Any:
    """Arrays, possibly batched at older levels, stacked along a new first dimension."""
    level = top_level(arrays)
    if not level:
        from framework.core.device import array_module

        return array_module(arrays[0]).stack(arrays)
    size = size_at(arrays, level)
    wide = [each.array if is_at(each, level) else spread(each, size) for each in arrays]
    together = stack_arrays(wide)
    return BatchedArray(together.transpose((1, 0, *range(2, together.ndim))), level)


def spread(array: Any, size: int) -> Any:
    """An array repeated along a new first dimension, without copying."""
    from framework.ops.shape.views import _expand

    array = np.asarray(array) if isinstance(array, np.generic) else array
    return _expand(array[None], (size, *array.shape))
