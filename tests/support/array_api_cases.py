"""Inputs for every function of the array API standard 2024.12, and the comparison with array-api-strict's results.

Each function has a hypothesis strategy that draws (arguments, keywords) with NumPy arrays in them; `agree` hands them
to a namespace and to array-api-strict and demands the same types, shapes and values.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import array_api_inputs as inputs
import array_api_strict as strict
import numpy as np
from array_api_inputs import ALL, BOOL, COMPLEX, FLOATS, INTEGERS, NUMERIC, REAL, SIGNED, UNSIGNED, Case
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

strict.set_array_api_strict_flags(api_version="2024.12")

dtypes = st.sampled_from(ALL)
like = {
    name: inputs.only(inputs.arrays(), dtype=st.none() | dtypes.map("dtype:{}".format))
    for name in ("zeros_like", "ones_like")
}
made = {name: inputs.only(inputs.shapes(), dtype=dtypes.map("dtype:{}".format)) for name in ("zeros", "ones")}
unary = {
    name: inputs.only(inputs.arrays(kinds))
    for kinds, names in (
        (NUMERIC, "abs negative positive square isfinite isinf isnan round"),
        (
            FLOATS + COMPLEX,
            "acos acosh asin asinh atan atanh cos cosh exp expm1 log log1p log2 log10 sin sinh sqrt tan tanh",
        ),
        (REAL, "ceil floor trunc"),
        (COMPLEX, "conj real imag"),
        (BOOL + INTEGERS, "bitwise_invert"),
        (BOOL, "logical_not"),
        (FLOATS, "signbit"),
    )
    for name in names.split()
} | {
    "reciprocal": inputs.only(inputs.arrays(FLOATS + COMPLEX)),
    "sign": inputs.only(
        inputs.arrays(REAL) | inputs.arrays(COMPLEX, finite=True)
    ),  # NumPy has no sign of an infinite complex number
}
binary = {
    name: inputs.pairs(kinds, small=small)
    for kinds, small, names in (
        (NUMERIC, False, "add subtract multiply"),
        (ALL, False, "equal not_equal"),
        (REAL, False, "greater greater_equal less less_equal maximum minimum"),
        (FLOATS + COMPLEX, False, "divide"),
        (FLOATS, False, "atan2 copysign hypot logaddexp nextafter"),
        (BOOL + INTEGERS, False, "bitwise_and bitwise_or bitwise_xor"),
        (BOOL, False, "logical_and logical_or logical_xor"),
    )
    for name in names.split()
}


CASES: dict[str, Any] = {
    **unary,
    **binary,
    "floor_divide": inputs.divided(),
    "remainder": inputs.divided(),
    "pow": inputs.powers(),
    **like,
    **made,
    "bitwise_left_shift": inputs.shifts(),
    "bitwise_right_shift": inputs.shifts(),
    "clip": inputs.of_shape(inputs.clipped, dtypes=REAL),
    "arange": inputs.ranges(),
    "asarray": inputs.only(
        inputs.arrays()
        | st.lists(st.integers(-9, 9), min_size=1)
        | st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1),
        copy=st.sampled_from((None, True)),
    ),
    "empty": inputs.only(inputs.shapes(), dtype=dtypes.map("dtype:{}".format)),
    "empty_like": inputs.only(inputs.arrays()),
    "eye": inputs.only(
        st.integers(0, 4), st.none() | st.integers(0, 4), k=st.integers(-5, 5), dtype=st.just("dtype:float32")
    ),
    "full": inputs.only(inputs.shapes(), st.integers(-9, 9) | st.booleans()),
    "full_like": inputs.only(inputs.arrays(), st.booleans()),
    "linspace": inputs.only(
        st.floats(-9, 9),
        st.floats(-9, 9),
        num=st.integers(0, 9),
        endpoint=st.booleans(),
        dtype=st.just("dtype:float64"),
    ),
    "meshgrid": st.tuples(
        st.sampled_from(NUMERIC)
        .flatmap(lambda d: st.lists(inputs.arrays((d,), inputs.shapes(1, 1)), min_size=1, max_size=3))
        .map(tuple),
        st.fixed_dictionaries({"indexing": st.sampled_from(("xy", "ij"))}),
    ),
    "tril": inputs.only(inputs.arrays(shape=inputs.shapes(2)), k=st.integers(-4, 4)),
    "triu": inputs.only(inputs.arrays(shape=inputs.shapes(2)), k=st.integers(-4, 4)),
    "from_dlpack": inputs.only(inputs.arrays()),
    "astype": inputs.only(inputs.arrays(BOOL + INTEGERS), st.sampled_from(NUMERIC).map("dtype:{}".format)),
    "broadcast_arrays": inputs.pairs(numbers=False),
    "broadcast_to": inputs.of_shape(inputs.broadcast),
    "can_cast": st.sampled_from((SIGNED, UNSIGNED, FLOATS, COMPLEX)).flatmap(
        lambda kinds: inputs.only(*[st.sampled_from(kinds).map("dtype:{}".format)] * 2)
    ),
    "isdtype": inputs.only(
        dtypes.map("dtype:{}".format),
        st.sampled_from(
            (
                "bool",
                "signed integer",
                "unsigned integer",
                "integral",
                "real floating",
                "complex floating",
                "numeric",
                ("bool", "integral"),
            )
        ),
    ),
    "result_type": inputs.pairs(ALL, numbers=False),
    "finfo": inputs.only(st.sampled_from(FLOATS + COMPLEX).map("dtype:{}".format)),
    "iinfo": inputs.only(st.sampled_from(INTEGERS).map("dtype:{}".format)),
    "concat": inputs.joined(False),
    "stack": inputs.joined(True),
    "expand_dims": inputs.of_shape(inputs.expanded),
    "flip": inputs.along(keepdims=False),
    "moveaxis": inputs.of_shape(inputs.moved, low=1),
    "permute_dims": inputs.of_shape(inputs.permuted),
    "repeat": inputs.of_shape(inputs.repeated),
    "reshape": inputs.reshaped(),
    "roll": inputs.of_shape(inputs.rolled),
    "squeeze": inputs.of_shape(inputs.squeezed),
    "tile": inputs.of_shape(inputs.tiled),
    "unstack": inputs.along(several=False, none=False, low=1, keepdims=False),
    "argmax": inputs.along(REAL, several=False, empty=False),
    "argmin": inputs.along(REAL, several=False, empty=False),
    "nonzero": inputs.only(inputs.arrays(shape=inputs.shapes(1))),
    "count_nonzero": inputs.along(),
    "searchsorted": inputs.of_shape(lambda draw, x: inputs.searched(draw, x.reshape(-1)), dtypes=REAL),
    "where": inputs.of_shape(inputs.chosen),
    "unique_all": inputs.only(inputs.arrays()),
    "unique_counts": inputs.only(inputs.arrays()),
    "unique_inverse": inputs.only(inputs.arrays()),
    "unique_values": inputs.only(inputs.arrays()),
    "argsort": inputs.along(REAL, several=False, none=False, low=1, keepdims=False, descending=st.booleans()),
    "sort": inputs.along(REAL, several=False, none=False, low=1, keepdims=False, descending=st.booleans()),
    "take": inputs.of_shape(inputs.taken, low=1, empty=False),
    "take_along_axis": inputs.of_shape(inputs.taken_along, low=1, empty=False),
    "cumulative_sum": inputs.along(
        NUMERIC,
        several=False,
        none=False,
        low=1,
        keepdims=False,
        small=True,
        finite=True,
        include_initial=st.booleans(),
    ),
    "cumulative_prod": inputs.along(
        NUMERIC,
        several=False,
        none=False,
        low=1,
        keepdims=False,
        small=True,
        finite=True,
        include_initial=st.booleans(),
    ),
    "diff": inputs.of_shape(inputs.differed, low=1, dtypes=NUMERIC),
    "sum": inputs.along(NUMERIC, small=True),
    "prod": inputs.along(NUMERIC, small=True, finite=True),
    "mean": inputs.along(FLOATS + COMPLEX, small=True),
    "std": inputs.along(FLOATS, small=True, finite=True, correction=st.sampled_from((0.0, 1.0, 0.5))),
    "var": inputs.along(FLOATS, small=True, finite=True, correction=st.sampled_from((0.0, 1.0, 0.5))),
    "max": inputs.along(REAL, empty=False),
    "min": inputs.along(REAL, empty=False),
    "all": inputs.along(),
    "any": inputs.along(),
    "matmul": inputs.products(),
    "tensordot": inputs.of_shape(inputs.contracted, dtypes=NUMERIC),
    "matrix_transpose": inputs.only(inputs.arrays(shape=inputs.shapes(2))),
    "vecdot": inputs.of_shape(inputs.dotted, low=1, dtypes=FLOATS + COMPLEX),
    "__array_namespace_info__": inputs.only(),
    "linalg.cholesky": inputs.only(inputs.square(hermitian="positive"), upper=st.booleans()),
    "linalg.cross": inputs.of_shape(inputs.crossed, dtypes=NUMERIC),
    "linalg.det": inputs.only(inputs.square()),
    "linalg.diagonal": inputs.only(inputs.arrays(shape=inputs.shapes(2)), offset=st.integers(-4, 4)),
    "linalg.eigh": inputs.only(inputs.square(hermitian="yes")),
    "linalg.eigvalsh": inputs.only(inputs.square(hermitian="yes")),
    "linalg.inv": inputs.only(inputs.square()),
    "linalg.matmul": inputs.products(),
    "linalg.matrix_norm": inputs.only(
        inputs.matrices(),
        ord=st.sampled_from(("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)),
        keepdims=st.booleans(),
    ),
    "linalg.matrix_power": inputs.only(inputs.square(), st.integers(-2, 3)),
    "linalg.matrix_rank": inputs.only(inputs.matrices(FLOATS), rtol=st.none() | st.just(0.5)),
    "linalg.matrix_transpose": inputs.only(inputs.arrays(shape=inputs.shapes(2))),
    "linalg.outer": st.tuples(
        st.sampled_from(NUMERIC).flatmap(
            lambda d: st.tuples(*[inputs.arrays((d,), inputs.shapes(1, 1), small=True)] * 2)
        ),
        st.just({}),
    ),
    "linalg.pinv": inputs.only(inputs.square()),
    "linalg.qr": inputs.only(inputs.matrices(), mode=st.sampled_from(("reduced", "complete"))),
    "linalg.slogdet": inputs.only(inputs.square()),
    "linalg.solve": inputs.square().flatmap(
        lambda a: inputs.only(
            st.just(a),
            inputs.arrays(
                (a.dtype.name,),
                st.sampled_from(((a.shape[-1],), (*a.shape[:-2], a.shape[-1], 2))),
                small=True,
                finite=True,
            ),
        )
    ),
    "linalg.svd": inputs.only(inputs.matrices(), full_matrices=st.booleans()),
    "linalg.svdvals": inputs.only(inputs.matrices()),
    "linalg.tensordot": inputs.of_shape(inputs.contracted, dtypes=NUMERIC),
    "linalg.trace": inputs.only(inputs.arrays(NUMERIC, inputs.shapes(2), small=True), offset=st.integers(-4, 4)),
    "linalg.vecdot": inputs.of_shape(inputs.dotted, low=1, dtypes=FLOATS + COMPLEX),
    "linalg.vector_norm": inputs.along(
        FLOATS + COMPLEX,
        small=True,
        finite=True,
        empty=False,
        ord=st.sampled_from((0, 1, 2, 3, 0.5, -1, math.inf, -math.inf)),
    ),
    "fft.fft": inputs.spectra(COMPLEX, False),
    "fft.ifft": inputs.spectra(COMPLEX, False),
    "fft.rfft": inputs.spectra(FLOATS, False),
    "fft.irfft": inputs.spectra(COMPLEX, False),
    "fft.hfft": inputs.spectra(COMPLEX, False),
    "fft.ihfft": inputs.spectra(FLOATS, False),
    "fft.fftn": inputs.spectra(COMPLEX, True),
    "fft.ifftn": inputs.spectra(COMPLEX, True),
    "fft.rfftn": inputs.spectra(FLOATS, True),
    "fft.irfftn": inputs.spectra(COMPLEX, True),
    "fft.fftfreq": inputs.only(st.integers(1, 9), d=st.floats(0.5, 3), dtype=st.just("dtype:float64")),
    "fft.rfftfreq": inputs.only(st.integers(1, 9), d=st.floats(0.5, 3), dtype=st.just("dtype:float64")),
    "fft.fftshift": inputs.only(inputs.arrays(FLOATS + COMPLEX, inputs.shapes(1))),
    "fft.ifftshift": inputs.only(inputs.arrays(FLOATS + COMPLEX, inputs.shapes(1))),
}

# of these the standard does not say which zero comes out
UNSIGNED_ZEROS = ("fft.", "linalg.", "max", "min", "clip", "linspace", "cumulative_")

# signs and phases of these are free: what they multiply to is compared
REBUILT = {
    "linalg.eigh": lambda w, v: (v * w[..., None, :]) @ np.swapaxes(v.conj(), -1, -2),
    "linalg.qr": lambda q, r: q @ r,
    "linalg.svd": lambda u, s, vh: (u[..., : s.shape[-1]] * s[..., None, :]) @ vh[..., : s.shape[-1], :],
}


def function_of(namespace: Any, name: str) -> Any:
    for part in name.split("."):
        namespace = getattr(namespace, part)
    return namespace


def check(name: str, namespace: Any, to_numpy: Callable[[Any], Any], examples: int) -> None:
    """`agree` on as many drawn inputs, the same on every run."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(CASES[name])
    def run(case: Case) -> None:
        agree(name, case, namespace, to_numpy)

    run()


def agree(name: str, case: Case, namespace: Any, to_numpy: Callable[[Any], Any]) -> None:
    """AssertionError where the namespace's result is not array-api-strict's."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = function_of(strict, name)(*_given(case[0], strict), **_given(case[1], strict))
        found = function_of(namespace, name)(*_given(case[0], namespace), **_given(case[1], namespace))
    if name.startswith("empty"):
        assert found.shape == expected.shape
        assert str(found.dtype).rpartition(".")[2] == str(expected.dtype).rpartition(".")[2]
        return
    if name == "__array_namespace_info__":
        assert set(found.dtypes()) == set(expected.dtypes())
        return
    mine, reference = _flat(found, to_numpy), _flat(expected, np.asarray)
    assert len(mine) == len(reference)
    if name in REBUILT:
        for one, other in zip(mine, reference):
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
        mine, reference = ([REBUILT[name](*parts)] for parts in (mine, reference))  # type: ignore[operator]
    if name == "unique_values":  # in any order
        mine, reference = ([np.sort(part) for part in parts] for parts in (mine, reference))
    for one, other in zip(mine, reference):
        _same(one, other, signed=not name.startswith(UNSIGNED_ZEROS))


def _given(value: Any, namespace: Any) -> Any:
    if isinstance(value, np.ndarray):
        return namespace.asarray(value.copy(), dtype=getattr(namespace, value.dtype.name))
    if isinstance(value, str) and value.startswith("dtype:"):
        return getattr(namespace, value[6:])
    if isinstance(value, dict):
        return {name: _given(each, namespace) for name, each in value.items()}
    return type(value)(_given(each, namespace) for each in value) if isinstance(value, list | tuple) else value


def _flat(result: Any, to_numpy: Callable[[Any], Any]) -> list[Any]:
    if isinstance(result, tuple | list):
        return [part for each in result for part in _flat(each, to_numpy)]
    if hasattr(result, "smallest_normal") or hasattr(result, "bits"):
        names = [name for name in ("bits", "eps", "max", "min", "smallest_normal") if hasattr(result, name)]
        return [np.asarray(float(getattr(result, name))) for name in names] + [
            np.asarray(str(result.dtype).rpartition(".")[2])
        ]
    if hasattr(result, "shape") and not isinstance(result, np.dtype):
        return [to_numpy(result)]
    return [np.asarray(str(result).rpartition(".")[2])]


def _same(mine: Any, reference: Any, signed: bool) -> None:
    assert mine.dtype == reference.dtype, (mine.dtype, reference.dtype)
    assert mine.shape == reference.shape, (mine.shape, reference.shape)
    if reference.dtype.kind not in "fc":
        np.testing.assert_array_equal(mine, reference)
        return
    precision = 2e-5 if reference.dtype in (np.float32, np.complex64) else 1e-12
    np.testing.assert_allclose(mine, reference, rtol=precision, atol=precision, equal_nan=True)
    if signed and reference.dtype.kind == "f":  # the sign of zero counts
        zeros = (reference == 0) & (mine == 0)
        np.testing.assert_array_equal(np.signbit(mine[zeros]), np.signbit(reference[zeros]))
