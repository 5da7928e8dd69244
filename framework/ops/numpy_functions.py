"""NumPy's functions on tensors: `np.sin(t)`, `np.stack([t, a])`, `array * t`, and what has no counterpart here.

A function of NumPy that has one here runs as ours: it returns a Tensor and records derivatives. Every other one runs in
NumPy on the tensors' memory, and its arrays come back as Tensors; where a derivative would be lost it is refused.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import framework
from framework import array_api as xp
from framework.core.dtype import FROM_NUMPY, DType, as_dtype
from framework.core.tensor import Tensor
from framework.core.views import check_writable
from framework.ops import creation

# ufuncs of other names than ours; those of the same name are found
_RENAMED = {
    "absolute": "abs", "fabs": "abs", "conjugate": "conj", "divide": "true_divide", "equal": "eq", "greater": "gt",
    "greater_equal": "ge", "invert": "bitwise_not", "left_shift": "bitwise_left_shift", "less": "lt",
    "less_equal": "le", "multiply": "mul", "negative": "neg", "not_equal": "ne", "power": "pow", "radians": "deg2rad",
    "degrees": "rad2deg", "right_shift": "bitwise_right_shift", "rint": "round", "subtract": "sub",
}  # fmt: skip
_NUMPYS_OWN = {
    "sign",
    "reciprocal",
    "ldexp",
    "frexp",
    "modf",
    "divmod",
    "vecdot",
    "positive",
}  # ours mean another thing
_REDUCED = {np.add: xp.sum, np.multiply: xp.prod, np.maximum: xp.max, np.minimum: xp.min,
            np.logical_and: xp.all, np.logical_or: xp.any}  # fmt: skip
_WRITERS = ("copyto", "put", "place", "putmask", "fill_diagonal", "put_along_axis")
# these look at what a tensor is, not at its values
_ABOUT = {"shape", "ndim", "size", "iscomplexobj", "isrealobj", "result_type", "can_cast", "min_scalar_type",
          "common_type", "shares_memory", "may_share_memory"}  # fmt: skip
_OPERANDS = (Tensor, np.ndarray, np.generic, int, float, complex, list, tuple)


def ufunc(function: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What `Tensor.__array_ufunc__` does."""
    out = options.pop("out", None)
    if not all(isinstance(each, _OPERANDS) for each in (*inputs, *(out or ()))):
        return NotImplemented
    if out is not None and not any(isinstance(each, Tensor) for each in out):
        arrays = _mapped(inputs, lambda each: _plain(each, function.__name__))
        return getattr(function, method)(*arrays, out=out, **options)
    if method == "at":
        return _on_memory(function.at, inputs, {}, written=inputs[:1], name=function.__name__)
    ours = _ours(function, method, inputs, options)
    if ours is not None:
        result = ours(*(_operand(each) for each in inputs))
    else:
        result = _on_memory(getattr(function, method), inputs, options, name=function.__name__)
    if out is None:
        return result
    for target, value in zip(out, result if isinstance(result, tuple) else (result,)):
        target.copy_(value)
    return out[0] if len(out) == 1 else out


def function(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `Tensor.__array_function__` does."""
    if func.__name__ in _WRITERS:
        target = args[0] if args else next(iter(kwargs.values()))
        if func is np.copyto and isinstance(target, Tensor) and len(args) == 2 and not kwargs:
            target.copy_(_operand(args[1]))
            return None
        return _on_memory(func, args, kwargs, written=(target,))
    if func.__name__ in _ABOUT:
        return func(*_mapped(args, _bare), **_mapped(kwargs, _bare))
    row = _table().get(func)
    given = None if row is None else row.arguments(args, kwargs)
    if row is not None and given is not None:
        positional, named = given
        try:
            return row.ours(*positional, **named)
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):
            if any(each.requires_grad for each in _tensors((args, kwargs))):
                raise
    return _on_memory(func, args, kwargs, written=_tensors(kwargs.get("out")))


def _ours(
    function: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]
) -> Callable[..., Any] | None:
    if method == "reduce" and function in _REDUCED and set(options) <= {"axis", "keepdims"}:
        return functools.partial(_REDUCED[function], **({"axis": 0} | options))
    name = _RENAMED.get(function.__name__, function.__name__)
    if method != "__call__" or options or function.__name__ in _NUMPYS_OWN:
        return None
    if getattr(np, function.__name__, None) is not function:  # scipy.special makes double numbers of integers
        floats = all(each.is_floating_point() for each in _tensors(inputs))
        return getattr(framework.special, name, None) if floats else None
    return getattr(framework, name, None)


def _on_memory(call: Any, args: Any, kwargs: Any, written: Any = (), name: str = "") -> Any:
    """NumPy itself, on the tensors' memory; arrays come back as Tensors."""
    name = name or call.__name__
    sources = list(_tensors((args, kwargs)))
    for target in _tensors(written):
        check_writable(target)
    result = call(*_mapped(args, lambda t: _plain(t, name)), **_mapped(kwargs, lambda t: _plain(t, name)))
    for target in _tensors(written):
        target._shared().version += 1
    return _wrapped(result, sources)


def _plain(value: Any, name: str) -> Any:
    if not isinstance(value, Tensor):
        return value
    if value.requires_grad:
        raise RuntimeError(
            f"NumPy's {name} would lose the derivative of a tensor that requires grad: call it on tensor.detach(), or "
            "use a function of framework in its place"
        )
    return value.numpy()


def _bare(value: Any) -> Any:
    return value._data if isinstance(value, Tensor) else value


def _wrapped(result: Any, sources: list[Tensor]) -> Any:
    if isinstance(result, np.generic | np.ndarray):
        if result.dtype not in FROM_NUMPY:
            return result
        for source in sources:  # the same tensor, or memory that counts its writes together
            if result is source._data:
                return source
        tensor = Tensor._wrap(result)
        if isinstance(result, np.ndarray):
            shared = next((s for s in sources if np.may_share_memory(s._data, result)), None)
            tensor._cell = None if shared is None else shared._shared()
        return tensor
    if type(result) in (tuple, list):
        return type(result)(_wrapped(each, sources) for each in result)
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*(_wrapped(each, sources) for each in result))
    return result


def _operand(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return creation.from_numpy(value)
    return creation.tensor(value) if isinstance(value, list | tuple) else value


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if type(value) in (list, tuple):
        return type(value)(_mapped(each, change) for each in value)
    if isinstance(value, dict):
        return {name: _mapped(each, change) for name, each in value.items()}
    if isinstance(value, DType):
        return value.numpy_dtype
    return change(value)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    return [found for each in value for found in _tensors(each)] if isinstance(value, list | tuple) else []


# -- the table of functions -------------------------------------------------------------------------------------------


class _Row:
    """How the arguments of a function of NumPy are handed to ours.

    `names` are those that ours takes: by position up to "|", by name behind it, `numpy=ours` where they differ.
    """

    def __init__(self, func: Callable[..., Any], ours: Callable[..., Any], names: str, order: str) -> None:
        self.ours = ours
        by_position, _, by_name = names.partition("|")
        self.by_position = by_position.split()
        self.by_name = {old: new or old for old, _, new in (each.partition("=") for each in by_name.split())}
        self.order = order.split() or list(inspect.signature(func).parameters)
        self.defaults = (
            {} if order else {each.name: each.default for each in inspect.signature(func).parameters.values()}
        )

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """(positional, named) for ours; None where NumPy was given something that ours does not know."""
        given = dict(zip(self.order, args)) | kwargs
        given = {
            name: value
            for name, value in given.items()
            if name not in self.defaults or value is not self.defaults[name] or name in self.by_position
        }
        if len(args) > len(self.order) or set(given) - set(self.by_position) - set(self.by_name):
            return None
        last = max((number for number, name in enumerate(self.by_position) if name in given), default=-1)
        names = self.by_position[: last + 1]  # what was left out before the last of them is NumPy's default
        positional = [self._value(name, given[name] if name in given else self.defaults[name]) for name in names]
        return positional, {
            self.by_name[name]: self._value(name, v) for name, v in given.items() if name in self.by_name
        }

    @staticmethod
    def _value(name: str, value: Any) -> Any:
        if name == "dtype" and value is not None:
            return as_dtype(value)
        if name == "indices" and not isinstance(value, Tensor):
            return creation.as_tensor(value)
        if isinstance(value, np.ndarray) and name not in ("axis", "axes", "shape"):
            return creation.from_numpy(value)
        if type(value) in (list, tuple) and any(isinstance(each, Tensor) for each in value):
            return [creation.from_numpy(each) if isinstance(each, np.ndarray) else each for each in value]
        return value


@functools.cache
def _table() -> dict[Any, _Row]:
    v, lin = framework, xp.linalg
    rows: list[tuple[Any, Any, str, str]] = [
        (np.sum, xp.sum, "a | axis dtype keepdims", ""),
        (np.prod, xp.prod, "a | axis dtype keepdims", ""),
        (np.mean, xp.mean, "a | axis keepdims", ""),
        (np.std, xp.std, "a | axis ddof=correction keepdims", ""),
        (np.var, xp.var, "a | axis ddof=correction keepdims", ""),
        (np.max, xp.max, "a | axis keepdims", ""),
        (np.min, xp.min, "a | axis keepdims", ""),
        (np.amax, xp.max, "a | axis keepdims", ""),
        (np.amin, xp.min, "a | axis keepdims", ""),
        (np.all, xp.all, "a | axis keepdims", ""),
        (np.any, xp.any, "a | axis keepdims", ""),
        (np.nansum, v.nansum, "a | axis=dim keepdims=keepdim", ""),
        (np.nanmean, v.nanmean, "a | axis=dim keepdims=keepdim", ""),
        (np.argmax, xp.argmax, "a | axis keepdims", ""),
        (np.argmin, xp.argmin, "a | axis keepdims", ""),
        (np.count_nonzero, xp.count_nonzero, "a | axis keepdims", ""),
        (np.cumsum, _flat_without_axis(xp.cumulative_sum), "a | axis dtype", ""),
        (np.cumprod, _flat_without_axis(xp.cumulative_prod), "a | axis dtype", ""),
        (np.cumulative_sum, xp.cumulative_sum, "x | axis dtype include_initial", ""),
        (np.cumulative_prod, xp.cumulative_prod, "x | axis dtype include_initial", ""),
        (np.sort, _flat_without_axis(xp.sort), "a | axis", ""),
        (np.argsort, _flat_without_axis(xp.argsort), "a | axis", ""),
        (np.diff, xp.diff, "a | n axis prepend append", ""),
        (np.clip, xp.clip, "a a_min a_max", ""),
        (np.round, lambda a, decimals=0: v.round(a, decimals=decimals), "a decimals", ""),
        (np.nan_to_num, v.nan_to_num, "x | nan posinf neginf", ""),
        (np.reshape, xp.reshape, "a shape | copy", ""),
        (np.ravel, v.ravel, "a", ""),
        (np.transpose, _transpose, "a axes", ""),
        (np.matrix_transpose, xp.matrix_transpose, "x", ""),
        (np.permute_dims, _transpose, "a axes", ""),
        (np.swapaxes, v.swapaxes, "a axis1 axis2", ""),
        (np.moveaxis, v.movedim, "a source destination", ""),
        (np.squeeze, v.squeeze, "a axis", ""),
        (np.expand_dims, xp.expand_dims, "a axis", ""),
        (np.broadcast_to, xp.broadcast_to, "array shape", ""),
        (np.flip, xp.flip, "m | axis", ""),
        (np.fliplr, v.fliplr, "m", ""),
        (np.flipud, v.flipud, "m", ""),
        (np.rot90, v.rot90, "m k axes", ""),
        (np.roll, xp.roll, "a shift | axis", ""),
        (np.tile, _tile, "A reps", ""),
        (np.repeat, xp.repeat, "a repeats | axis", ""),
        (np.stack, xp.stack, "arrays | axis", ""),
        (np.concatenate, xp.concat, "arrays | axis", "arrays axis out dtype casting"),
        (np.vstack, v.vstack, "tup", ""),
        (np.hstack, v.hstack, "tup", ""),
        (np.dstack, v.dstack, "tup", ""),
        (np.column_stack, v.column_stack, "tup", ""),
        (np.atleast_1d, v.atleast_1d, "x", "x"),
        (np.atleast_2d, v.atleast_2d, "x", "x"),
        (np.split, _split, "ary indices_or_sections axis", ""),
        (np.array_split, _split, "ary indices_or_sections axis", ""),
        (np.where, xp.where, "condition x y", "condition x y"),
        (np.take, _flat_without_axis(xp.take), "a indices | axis", ""),
        (np.take_along_axis, xp.take_along_axis, "arr indices | axis", ""),
        (np.tril, xp.tril, "m | k", ""),
        (np.triu, xp.triu, "m | k", ""),
        (np.diag, v.diag, "v k", ""),
        (np.diagonal, v.diagonal, "a offset axis1 axis2", ""),
        (np.trace, _trace, "a offset", ""),
        (np.dot, _dot, "a b", "a b out"),
        (np.inner, v.inner, "a b", "a b"),
        (np.outer, lambda a, b: v.outer(v.ravel(a), v.ravel(b)), "a b", ""),
        (np.tensordot, xp.tensordot, "a b | axes", ""),
        (np.kron, v.kron, "a b", ""),
        (np.linalg.norm, v.linalg.norm, "x ord axis keepdims", ""),
        (np.linalg.inv, lin.inv, "a", ""),
        (np.linalg.det, lin.det, "a", ""),
        (np.linalg.solve, lin.solve, "a b", ""),
        (np.linalg.eigh, v.linalg.eigh, "a UPLO", ""),
        (np.linalg.eigvalsh, v.linalg.eigvalsh, "a UPLO", ""),
        (np.linalg.svd, lin.svd, "a | full_matrices", ""),
        (np.linalg.qr, lin.qr, "a | mode", ""),
        (np.linalg.cholesky, lin.cholesky, "a | upper", ""),
        (np.linalg.pinv, lin.pinv, "a", ""),
        (np.linalg.slogdet, lin.slogdet, "a", ""),
        (np.linalg.matrix_power, lin.matrix_power, "a n", ""),
        (np.copy, v.clone, "a", ""),
        (np.zeros_like, xp.zeros_like, "a | dtype", ""),
        (np.ones_like, xp.ones_like, "a | dtype", ""),
        (np.empty_like, xp.empty_like, "prototype | dtype", "prototype dtype order subok shape"),
        (np.full_like, xp.full_like, "a fill_value | dtype", ""),
        (np.real, lambda val: v.real(val) if val.is_complex() else val, "val", ""),
        (np.imag, lambda val: v.imag(val) if val.is_complex() else v.zeros_like(val), "val", ""),
        (np.angle, v.angle, "z", ""),
    ]
    rows += [(getattr(np.fft, name), getattr(xp.fft, name), "a | n axis norm", "") for name in (
        "fft", "ifft", "rfft", "irfft", "hfft", "ihfft")]  # fmt: skip
    rows += [(getattr(np.fft, name), getattr(xp.fft, name), "a | s axes norm", "") for name in (
        "fftn", "ifftn", "rfftn", "irfftn")]  # fmt: skip
    table = {func: _Row(func, ours, names, order) for func, ours, names, order in rows}
    table[np.einsum] = _Row(np.einsum, v.einsum, "subscripts a b c d e f", "subscripts a b c d e f")
    return table


def _flat_without_axis(ours: Callable[..., Any]) -> Callable[..., Any]:
    def along(x: Tensor, *more: Any, **named: Any) -> Any:
        if named.get("axis", 0 if ours in (xp.sort, xp.argsort) else None) is None:
            x, named = framework.ravel(x), {**named, "axis": 0}
        return ours(x, *more, **named)

    return along


def _transpose(a: Tensor, axes: Any = None) -> Tensor:
    return framework.permute(a, tuple(range(a.ndim))[::-1] if axes is None else tuple(axes))


def _tile(A: Tensor, reps: Any) -> Tensor:
    return xp.tile(A, (reps,) if isinstance(reps, int) else tuple(reps))


def _split(ary: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    places = indices_or_sections if isinstance(indices_or_sections, int) else list(indices_or_sections)
    return list(framework.tensor_split(ary, places, axis))


def _trace(a: Tensor, offset: int = 0) -> Tensor:
    if a.ndim != 2:
        raise ValueError("NumPy takes the trace over the first two dimensions, the array API over the last")
    return xp.linalg.trace(a, offset=offset)


def _dot(a: Any, b: Any) -> Tensor:
    if not getattr(a, "ndim", 0) or not getattr(b, "ndim", 0):
        return framework.mul(a, b)
    return framework.matmul(a, b) if b.ndim < 3 else xp.tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 2,)))
