"""Binds operators and methods to Tensor: what is a method is said by the op's record or listed here, once."""

from typing import Any

from framework.core.argnames import accepting
from framework.core.dtype import (
    DType,
    bfloat16,
    bool_,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from framework.core.modes import GRAD, modes
from framework.core.op import TABLE, Op
from framework.core.tensor import Tensor
from framework.core.views import inplace
from framework.ops import (
    activation,
    attention,
    complex,
    constants,
    counting,
    decompositions,
    elementwise,
    frames,
    index,
    linalg,
    matrices,
    norms,
    older_linalg,
    queries,
    random,
    reduce,
    scan,
    shape,
    solvers,
    sort,
    special,
    statistics,
    twins,
)


def _twin(record: Op) -> Any:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return inplace(record, self, args, kwargs)

    method.__name__ = method.__qualname__ = f"{record.name}_"
    method.__doc__ = f"In-place version of `{record.name}`."
    return method


def _composed_twin(name: str, function: Any) -> Any:
    from framework.core.views import check_writable, commit, kept

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_writable(self)
        return commit(self, function(kept(self, args, kwargs), *args, **kwargs))

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In-place version of `{name[:-1]}`."
    return method


_METHODS = {
    elementwise: ("div clamp conj where allclose clamp_max clamp_min equal float_power frexp is_nonzero isin ldexp"),
    frames: "stft istft",
    scan: "cumprod cummax cummin diff",
    decompositions: "matrix_exp",
    solvers: "slogdet logdet triangular_solve",
    norms: "norm",
    matrices: "matrix_power vdot inner kron ormqr geqrf addmv addr addbmm",
    older_linalg: "svd qr cholesky lu lu_solve",
    special: "mvlgamma",
    sort: "sort argsort msort topk kthvalue median nanmedian mode quantile nanquantile",
    counting: "histogram unique unique_consecutive",
    statistics: "nansum nanmean aminmax dist cov corrcoef",
    reduce: "sum mean prod var std max min cumsum sum_to_size",
    shape: (
        "reshape reshape_as view permute transpose t movedim swapaxes squeeze expand broadcast_to expand_as view_as "
        "flatten unflatten ravel adjoint narrow select unbind split split_with_sizes tensor_split hsplit vsplit dsplit "
        "chunk diag diag_embed diagflat trace flip fliplr flipud rot90 roll tile repeat repeat_interleave renorm "
        "as_strided as_strided_scatter"
    ),
    index: (
        "nonzero argwhere nonzero_static take take_along_dim scatter index_add index_copy index_fill index_reduce "
        "index_put put masked_scatter select_scatter slice_scatter"
    ),
    constants: "new_zeros new_ones new_empty new_full new_empty_strided",
    complex: "resolve_conj resolve_neg",
    linalg: "matmul mm bmm mv dot outer addmm baddbmm tril triu",
    attention: "softmax log_softmax",
    random: "bernoulli multinomial uniform_ normal_ bernoulli_ exponential_ random_ cauchy_ log_normal_ geometric_",
}

_NAMES_OF_TYPES = {
    float32: "Float", float64: "Double", float16: "Half", bfloat16: "BFloat16", uint8: "Byte", int8: "Char",
    int16: "Short", int32: "Int", int64: "Long", bool_: "Bool", complex64: "ComplexFloat", complex128: "ComplexDouble",
    uint16: "UInt16", uint32: "UInt32", uint64: "UInt64",
}  # fmt: skip
_CASTS = {
    "float": float32, "double": float64, "half": float16, "bfloat16": bfloat16, "int": int32, "long": int64,
    "short": int16, "char": int8, "byte": uint8, "bool": bool_,
    "cfloat": complex64, "cdouble": complex128,
}  # fmt: skip


def _bind() -> None:
    for record in TABLE.values():
        if record.method and not record.name.startswith("_"):
            for name in (record.name, *record.aliases):
                setattr(Tensor, name, accepting(record.public))
        if record.inplace:
            for name in (record.name, *record.aliases):
                setattr(Tensor, f"{name}_", _twin(record))
    for family, names in _METHODS.items():
        for name in names.split():
            setattr(Tensor, name, accepting(getattr(family, name)))
    for name, function in (
        ("div_", elementwise.div),
        ("cumsum_", reduce.cumsum),
        ("addmm_", linalg.addmm),
        ("baddbmm_", linalg.baddbmm),
        ("addmv_", matrices.addmv),
        ("addr_", matrices.addr),
        ("addbmm_", matrices.addbmm),
        ("mvlgamma_", special.mvlgamma),
        ("polygamma_", lambda self, n: special.polygamma(n, self)),
        ("cumprod_", scan.cumprod),
        ("divide_", elementwise.div),
        ("clamp_", elementwise.clamp),
        ("clip_", elementwise.clamp),
        ("fix_", elementwise.trunc),
        ("addmm_", linalg.addmm),
        ("baddbmm_", linalg.baddbmm),
        ("igamma_", special.igamma),
        ("igammac_", special.igammac),
        ("logical_and_", elementwise.logical_and),
        ("logical_or_", elementwise.logical_or),
        ("logical_xor_", elementwise.logical_xor),
        ("logical_not_", elementwise.logical_not),
        ("clamp_min_", elementwise.clamp_min),
        ("clamp_max_", elementwise.clamp_max),
        ("ldexp_", elementwise.ldexp),
        ("float_power_", elementwise.float_power),
    ):
        setattr(Tensor, name, _composed_twin(name, function))
    for name in queries.METHODS.split():
        setattr(Tensor, name, getattr(queries, name))
    for name in queries.ABSENT.split():
        setattr(Tensor, name, False)
    for name, method in twins.methods().items():
        setattr(Tensor, name, method)
    for name, dtype in _CASTS.items():
        setattr(Tensor, name, _cast(dtype))
    own: dict[str, Any] = {
        "where": lambda self, condition, other: elementwise.where(condition, self, other),
        "divide": elementwise.div,
        "clip": elementwise.clamp,
        "fix": elementwise.trunc,
        "ger": linalg.outer,
        "moveaxis": accepting(shape.movedim),
        "swapdims": shape.swapaxes,
        "prelu": activation.prelu,
        "hardshrink": activation.hardshrink,
        "ndimension": Tensor.dim,
        "is_cpu": property(lambda self: not self.is_cuda),
        "cross": matrices.cross_first,
        "inverse": solvers.inv,
        "pinverse": matrices.pinv,
        "orgqr": matrices.householder_product,
        "__rdiv__": lambda self, other: elementwise.div(other, self),
        "polygamma": lambda self, n: special.polygamma(n, self),
        "type": _type,
        "real": property(elementwise.real),
        "imag": property(elementwise.imag),
        "H": property(lambda self: shape.adjoint(_matrix(self))),
        "mH": property(shape.adjoint),
        "T": property(lambda self: shape.permute(self, *range(self.ndim - 1, -1, -1))),
        "mT": property(lambda self: shape.transpose(self, -1, -2)),
        "positive": twins.positive,
        "fill_": _fill,
        "zero_": lambda self: _fill(self, 0),
        "__getitem__": index.getitem,
    }
    for name, member in own.items():
        setattr(Tensor, name, member)
    _operators()


def _operators() -> None:
    e = elementwise
    forward = {
        "add": e.add, "sub": e.sub, "mul": e.mul, "truediv": e.true_divide, "floordiv": e.floor_divide,
        "mod": e.remainder, "pow": e.pow, "matmul": linalg.matmul, "and": e.bitwise_and,
        "or": e.bitwise_or, "xor": e.bitwise_xor, "lshift": e.bitwise_left_shift, "rshift": e.bitwise_right_shift,
    }  # fmt: skip
    for name, function in forward.items():
        setattr(Tensor, f"__{name}__", _guarded(function))
        setattr(Tensor, f"__r{name}__", _guarded(_swapped(function)))
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(Tensor, f"__{name}__", _guarded(getattr(e, name)))
    written = {
        "iadd": "add_", "isub": "sub_", "imul": "mul_", "itruediv": "true_divide_", "ifloordiv": "floor_divide_",
        "imod": "remainder_", "ipow": "pow_", "iand": "bitwise_and_", "ior": "bitwise_or_", "ixor": "bitwise_xor_",
        "ilshift": "bitwise_left_shift_", "irshift": "bitwise_right_shift_",
    }  # fmt: skip
    for name, twin in written.items():
        setattr(Tensor, f"__{name}__", getattr(Tensor, twin))
    own = {
        "neg": e.neg, "pos": lambda self: self, "abs": e.abs, "invert": e.bitwise_not, "hash": lambda self: id(self),
    }  # fmt: skip
    for name, function in own.items():
        setattr(Tensor, f"__{name}__", function)


def _guarded(function: Any) -> Any:
    """An operator that leaves foreign operands to their own side."""

    def operator(self: Tensor, other: Any) -> Any:
        try:
            return function(self, other)
        except TypeError:
            if isinstance(other, Tensor | int | float | complex):
                raise
            return NotImplemented

    return operator if function not in _FAST else function


_FAST: tuple[Any, ...] = (elementwise.add, elementwise.sub, elementwise.mul)


def _swapped(function: Any) -> Any:
    return lambda self, other: function(other, self)


def _cast(dtype: DType) -> Any:
    def method(self: Tensor, memory_format: Any = None) -> Tensor:
        return self.to(dtype, memory_format=memory_format)

    method.__doc__ = f"In type {dtype.name}."
    return method


def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the type, `framework.FloatTensor`; or the tensor in another type (a type or such a name)."""
    if dtype is None:
        return f"framework.{_NAMES_OF_TYPES[self.dtype]}Tensor"
    if isinstance(dtype, str):
        name = dtype.rpartition(".")[2].removesuffix("Tensor")
        dtype = next((kind for kind, known in _NAMES_OF_TYPES.items() if known == name), None)
        if dtype is None:
            raise ValueError(f"invalid type: 'framework.{name}Tensor'; names are FloatTensor, LongTensor, ...")
    return self.to(dtype)


def _matrix(self: Tensor) -> Tensor:
    if self.ndim not in (0, 2):
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor.")
    return self


def _fill(self: Tensor, value: Any) -> Tensor:
    """Every element set to one value; a tensor with a history keeps one, in which it counts for nothing."""
    from framework.core.views import check_writable, commit, write

    if self._edge is not None and modes.flags & GRAD:
        check_writable(self)
        return commit(self, twins.fill(self, value))
    return write(self, value)


_bind()
