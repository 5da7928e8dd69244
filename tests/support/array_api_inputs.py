"""Strategies that draw arguments of the array API standard's functions: arrays, axes, shapes, matrices."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

BOOL = ("bool",)
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
FLOATS = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
REAL = INTEGERS + FLOATS
NUMERIC = REAL + COMPLEX
ALL = BOOL + NUMERIC
EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, math.inf, -math.inf, math.nan)
Case = tuple[tuple[Any, ...], dict[str, Any]]


def elements(dtype: str, small: bool = False, finite: bool = False) -> Any:
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return st.booleans()
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        low, high = (max(limits.min, -9), min(limits.max, 9)) if small else (int(limits.min), int(limits.max))
        return st.integers(low, high) if small else st.integers(low, high) | st.integers(max(low, -3), 3)
    if kind.kind == "c":
        part = elements("float32" if kind.itemsize == 8 else "float64", small, finite)
        return st.builds(complex, part, part)
    edges = st.sampled_from([edge for edge in EDGES if math.isfinite(edge)] if finite else EDGES)
    width = 8 * kind.itemsize
    bound = 10.0 if small or finite else 1000.0
    return edges | st.floats(-bound, bound, width=width, allow_subnormal=False)  # type: ignore[arg-type]


def shapes(low: int = 0, high: int = 3, side: int = 3, empty: bool = True) -> Any:
    return hnp.array_shapes(min_dims=low, max_dims=high, min_side=0 if empty else 1, max_side=side) | (
        st.just(()) if low == 0 else st.just((2,) * low)
    )


def arrays(
    dtypes: Any = ALL, shape: Any = None, small: bool = False, finite: bool = False
) -> st.SearchStrategy[np.ndarray[Any, Any]]:
    shape = shapes() if shape is None else shape
    return st.sampled_from(dtypes).flatmap(
        lambda dtype: hnp.arrays(dtype, shape, elements=elements(dtype, small, finite), fill=st.nothing())
    )


def only(*arguments: Any, **keywords: Any) -> Any:
    return st.tuples(st.tuples(*arguments), st.fixed_dictionaries(keywords))


@st.composite
def pairs(draw: Any, dtypes: Any = NUMERIC, small: bool = False, mixed: bool = True, numbers: bool = True) -> Case:
    """Two arrays of types that meet and shapes that broadcast, or an array and a number."""
    first = draw(st.sampled_from(dtypes))
    second = draw(st.sampled_from([each for each in dtypes if _meet(first, each)])) if mixed else first
    shape_a, shape_b = draw(
        hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3)
    ).input_shapes
    a = draw(hnp.arrays(first, shape_a, elements=elements(first, small), fill=st.nothing()))
    if numbers and draw(st.integers(0, 5)) == 0:
        return (a, draw(elements(first, small=True, finite=True))), {}
    return (a, draw(hnp.arrays(second, shape_b, elements=elements(second, small), fill=st.nothing()))), {}


def _meet(first: str, second: str) -> bool:
    kinds = {np.dtype(each).kind for each in (first, second)}
    if kinds <= {"i", "u"}:
        return not (kinds == {"i", "u"} and "uint64" in (first, second))
    return len(kinds) == 1 or kinds == {"f", "c"}


@st.composite
def along(
    draw: Any,
    dtypes: Any = ALL,
    several: bool = True,
    none: bool = True,
    empty: bool = True,
    low: int = 0,
    small: bool = False,
    finite: bool = False,
    keepdims: bool = True,
    **more: Any,
) -> Case:
    """An array, and an axis or axes of it."""
    x = draw(arrays(dtypes, shapes(low, empty=empty), small=small, finite=finite))
    axes: list[Any] = [st.none()] if none and (several or x.ndim >= 0) else []
    if x.ndim:
        axes.append(st.integers(-x.ndim, x.ndim - 1))
        if several:
            axes.append(st.lists(st.integers(0, x.ndim - 1), unique=True, max_size=x.ndim).map(tuple))
    keywords = {"axis": draw(st.one_of(*axes))}
    if keepdims:
        keywords["keepdims"] = draw(st.booleans())
    keywords.update({name: draw(strategy) for name, strategy in more.items()})
    return (x,), keywords


@st.composite
def square(draw: Any, low: int = 1, dtypes: Any = FLOATS + COMPLEX, hermitian: str = "", several: bool = True) -> Any:
    """Well-conditioned square matrices, Hermitian ("yes") or also positive-definite ("positive")."""
    n = draw(st.integers(low, 4))
    batch = draw(shapes(0, 2, empty=True)) if several else ()
    dtype = draw(st.sampled_from(dtypes))
    stream = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    matrix = stream.standard_normal((*batch, n, n))
    if np.dtype(dtype).kind == "c":
        matrix = matrix + 1j * stream.standard_normal((*batch, n, n))
    if hermitian:
        matrix = matrix + np.swapaxes(matrix.conj(), -1, -2)
    if hermitian == "positive":
        matrix = matrix @ np.swapaxes(matrix.conj(), -1, -2)
    return (matrix + (0 if hermitian == "yes" else (n + 2) * np.eye(n))).astype(dtype)


@st.composite
def matrices(draw: Any, dtypes: Any = FLOATS + COMPLEX, empty: bool = False, finite: bool = True) -> Any:
    shape = (*draw(shapes(0, 1, empty=empty)), draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    return draw(arrays(dtypes, shape, small=True, finite=finite))


@st.composite
def products(draw: Any, dtypes: Any = NUMERIC) -> Case:
    n, m, k = (draw(st.integers(0, 3)) for _ in range(3))
    dtype = draw(st.sampled_from(dtypes))
    other = draw(st.sampled_from([each for each in dtypes if _meet(dtype, each)]))
    form = draw(st.sampled_from(("vv", "mv", "vm", "mm", "bm")))
    a = {"v": (k,), "m": (n, k), "b": (2, n, k)}[form[0]]
    b = {"v": (k,), "m": (k, m)}[form[1]]
    return tuple(draw(arrays((d,), s, small=True, finite=True)) for d, s in ((dtype, a), (other, b))), {}


@st.composite
def spectra(draw: Any, dtypes: Any, several: bool) -> Case:
    x = draw(arrays(dtypes, shapes(1, 3, side=4, empty=False), finite=True, small=True))
    norm = draw(st.sampled_from(("backward", "ortho", "forward")))
    if several:
        axes = draw(st.none() | st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True, max_size=x.ndim))
        least = st.nothing() if x.shape[-1 if axes is None else axes[-1]] == 1 else st.none()
        count = x.ndim if axes is None else len(axes)
        s = draw(least | st.tuples(*[st.integers(2, 5)] * count))
        axes = tuple(range(x.ndim)) if axes is None and s is not None else axes
        return (x,), {"axes": axes, "s": s, "norm": norm}
    return (x,), {
        "axis": draw(st.integers(-x.ndim, x.ndim - 1)),
        "n": draw(st.integers(2, 6) | (st.none() if min(x.shape) > 1 else st.nothing())),
        "norm": norm,
    }


@st.composite
def joined(draw: Any, new_axis: bool) -> Case:
    first = draw(st.sampled_from(ALL))
    shape = draw(shapes(0 if new_axis else 1))
    items = [
        draw(arrays(([each for each in ALL if _meet(first, each)]), shape)) for _ in range(draw(st.integers(1, 3)))
    ]
    items.insert(0, draw(arrays((first,), shape)))
    if len({np.dtype(item.dtype) for item in items}) > 2:
        items = items[:2]
    limit = len(shape) + new_axis
    axis: Any = draw(st.integers(-limit, limit - 1)) if new_axis else draw(st.none() | st.integers(-limit, limit - 1))
    return (items,), {"axis": axis}


@st.composite
def reshaped(draw: Any) -> Case:
    x = draw(arrays())
    total, shape = x.size, []
    while total > 1 and draw(st.booleans()):
        part = draw(st.sampled_from([n for n in range(1, total + 1) if total % n == 0]))
        shape.append(part)
        total //= part
    shape.append(total)
    if x.size and draw(st.booleans()):
        shape[draw(st.integers(0, len(shape) - 1))] = -1
    return (x, tuple(shape)), {"copy": draw(st.sampled_from((None, True)))}


@st.composite
def of_shape(draw: Any, extra: Callable[[Any, Any], Case], **how: Any) -> Case:
    return extra(draw, draw(arrays(how.get("dtypes", ALL), shapes(how.get("low", 0), empty=how.get("empty", True)))))


def taken(draw: Any, x: Any) -> Case:
    axis = draw(st.sampled_from([a for a in range(-x.ndim, x.ndim) if x.shape[a]]))
    limit = x.shape[axis]
    return (x, draw(hnp.arrays("int64", shapes(1, 1), elements=st.integers(-limit, limit - 1)))), {"axis": axis}


def taken_along(draw: Any, x: Any) -> Case:
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    limit = x.shape[axis]
    shape = list(x.shape)
    shape[axis] = draw(st.integers(0, 4))
    return (x, draw(hnp.arrays("int64", tuple(shape), elements=st.integers(-limit, limit - 1)))), {"axis": axis}


def expanded(draw: Any, x: Any) -> Case:
    return (x,), {"axis": draw(st.integers(-x.ndim - 1, x.ndim))}


def broadcast(draw: Any, x: Any) -> Case:
    lead = draw(shapes(0, 1))
    return (x, (*lead, *(draw(st.integers(0, 3)) if n == 1 else n for n in x.shape))), {}


def permuted(draw: Any, x: Any) -> Case:
    return (x, tuple(draw(st.permutations(range(x.ndim))))), {}


def moved(draw: Any, x: Any) -> Case:
    return (x, draw(st.integers(-x.ndim, x.ndim - 1)), draw(st.integers(-x.ndim, x.ndim - 1))), {}


def rolled(draw: Any, x: Any) -> Case:
    if not x.ndim or draw(st.booleans()):
        return (x, draw(st.integers(-4, 4))), {"axis": None if not x.ndim else draw(st.none() | st.just(0))}
    axes = tuple(draw(st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True)))
    return (x, tuple(draw(st.integers(-4, 4)) for _ in axes)), {"axis": axes}


def repeated(draw: Any, x: Any) -> Case:
    axis = None if not x.ndim else draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    length = x.size if axis is None else x.shape[axis]
    if draw(st.booleans()):
        return (x, draw(st.integers(0, 3))), {"axis": axis}
    return (x, draw(hnp.arrays("int64", (length,), elements=st.integers(0, 3)))), {"axis": axis}


def squeezed(draw: Any, x: Any) -> Case:
    wide = x.reshape(1, *x.shape, 1)
    return (wide,), {"axis": draw(st.sampled_from((0, -1, (0,), (0, wide.ndim - 1), (-1, 0))))}


def tiled(draw: Any, x: Any) -> Case:
    return (x, draw(st.lists(st.integers(0, 3), max_size=4).map(tuple))), {}


def clipped(draw: Any, x: Any) -> Case:
    bound = elements(x.dtype.name, small=True, finite=True)
    ends = [draw(st.none() | bound | hnp.arrays(x.dtype, x.shape, elements=bound)) for _ in range(2)]
    if ends[0] is not None and ends[1] is not None:  # the first must be the smaller
        number = not isinstance(ends[1], np.ndarray)
        ends[1] = np.maximum(*ends)
        ends[1] = ends[1].item() if number and not np.ndim(ends[1]) else np.asarray(ends[1], x.dtype)
    return (x, *ends), {}


def searched(draw: Any, x: Any) -> Case:
    ordered = np.sort(x[~np.isnan(x)]) if x.dtype.kind == "f" else np.sort(x)
    wanted = draw(hnp.arrays(x.dtype, shapes(1, 2), elements=elements(x.dtype.name, finite=True)))
    if draw(st.booleans()):
        return (ordered, wanted), {"side": draw(st.sampled_from(("left", "right")))}
    order = np.array(draw(st.permutations(range(len(ordered)))), np.int64)
    mixed = np.empty_like(ordered)
    mixed[order] = ordered
    return (mixed, wanted), {"sorter": order}


def chosen(draw: Any, x: Any) -> Case:
    dtype = draw(st.sampled_from([each for each in ALL if _meet(x.dtype.name, each)]))
    condition = draw(hnp.arrays("bool", x.shape))
    return (condition, x, draw(hnp.arrays(dtype, x.shape, elements=elements(dtype)))), {}


def differed(draw: Any, x: Any) -> Case:
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    ends = {}
    for name in ("prepend", "append"):
        if draw(st.booleans()):
            shape = list(x.shape)
            shape[axis] = draw(st.integers(0, 2))
            ends[name] = draw(hnp.arrays(x.dtype, tuple(shape), elements=elements(x.dtype.name, small=True)))
    return (x,), {"axis": axis, "n": draw(st.integers(1, 2)), **ends}


def crossed(draw: Any, x: Any) -> Case:
    dtype = x.dtype.name
    shape = (*x.shape, 3)
    one, two = (draw(arrays((dtype,), shape, small=True, finite=True)) for _ in range(2))
    return (one, two), {"axis": -1}


def dotted(draw: Any, x: Any) -> Case:
    other = draw(arrays((x.dtype.name,), x.shape, small=True, finite=True))
    return (np.asarray(np.nan_to_num(x, posinf=1, neginf=2)), other), {"axis": draw(st.integers(-x.ndim, -1))}


def contracted(draw: Any, x: Any) -> Case:
    finite = np.asarray(np.nan_to_num(x, posinf=1, neginf=2))
    axes = draw(st.integers(0, x.ndim))
    other = draw(arrays((x.dtype.name,), (*x.shape[x.ndim - axes :], 2), small=True, finite=True))
    if draw(st.booleans()):
        return (finite, other), {"axes": axes}
    return (finite, other), {"axes": (tuple(range(x.ndim - axes, x.ndim)), tuple(range(axes)))}


@st.composite
def shifts(draw: Any) -> Case:
    dtype = draw(st.sampled_from(INTEGERS))
    x = draw(arrays((dtype,)))
    return (x, draw(hnp.arrays(dtype, x.shape, elements=st.integers(0, 8 * x.dtype.itemsize - 1)))), {}


@st.composite
def ranges(draw: Any) -> Case:
    start, stop = draw(st.integers(-9, 9)), draw(st.none() | st.integers(-9, 9))
    step = draw(st.integers(-3, 3).filter(bool))
    return (start,), {"stop": stop, "step": step if stop is not None else 1, "dtype": draw(st.sampled_from(
        ("dtype:int32", "dtype:float32", "dtype:float64", "dtype:int64")))}  # fmt: skip


@st.composite
def divided(draw: Any) -> Case:
    """Integers and divisors that are not zero, or floats of all kinds."""
    if draw(st.booleans()):
        return draw(pairs(FLOATS))
    dtype = draw(st.sampled_from(INTEGERS))
    x = draw(arrays((dtype,)))
    divisor = elements(dtype).filter(lambda value: value not in (0, -1))
    return (x, draw(hnp.arrays(dtype, x.shape, elements=divisor))), {}


@st.composite
def powers(draw: Any) -> Case:
    if draw(st.booleans()):
        return draw(pairs(FLOATS))
    dtype = draw(st.sampled_from(INTEGERS))
    x = draw(arrays((dtype,), small=True))
    return (x, draw(hnp.arrays(dtype, x.shape, elements=st.integers(0, 5)))), {}
