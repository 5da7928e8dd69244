"""The tensor core of voxhelix: NumPy-like tensors that record their derivatives, under PyTorch's names.

    import framework as vh
    x = vh.randn(3, requires_grad=True)
    (x ** 2).sum().backward()
    x.grad

Names are imported when first used, so that importing the package costs little more than NumPy.
"""

import importlib
from typing import Any

from framework.version import __version__

newaxis = None

_PLACES = {
    "framework.core.tensor": "Tensor Size",
    "framework.core.determinism": (
        "use_deterministic_algorithms are_deterministic_algorithms_enabled "
        "is_deterministic_algorithms_warn_only_enabled set_deterministic_debug_mode get_deterministic_debug_mode"
    ),
    "framework.core.device": "device",
    "framework.core.dtype": (
        "uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128 DType "
        "get_default_dtype set_default_dtype"
    ),
    "framework.core.limits": "finfo iinfo can_cast promote_types result_type",
    "framework.core.modes": (
        "no_grad enable_grad inference_mode set_grad_enabled is_grad_enabled is_inference_mode_enabled"
    ),
    "framework.core.printing": "set_printoptions get_printoptions printoptions",
    "framework.core.random": "Generator default_generator manual_seed initial_seed seed",
    "framework.ops.creation": "tensor as_tensor asarray from_numpy from_dlpack",
    "framework.ops.constants": (
        "full zeros ones empty empty_strided empty_permuted scalar_tensor zeros_like ones_like full_like empty_like"
    ),
    "framework.ops.ranges": "arange linspace logspace eye tril_indices triu_indices",
    "framework.array_api.dtypes": "astype isdtype broadcast_arrays",
    "framework.array_api.linalg": "matrix_transpose vecdot",
    "framework.array_api.manipulation": "expand_dims permute_dims repeat unstack",
    "framework.array_api.searching": "take_along_axis unique_all unique_counts unique_inverse unique_values",
    "framework.array_api.statistics": "cumulative_sum cumulative_prod",
    "framework.array_api.info": "__array_namespace_info__",
    "framework.ops.random": (
        "rand randn rand_like randn_like randint randint_like randperm normal bernoulli multinomial poisson binomial"
    ),
    "framework.ops.dropout": "dropout alpha_dropout feature_dropout feature_alpha_dropout",
    "framework.ops.activation": "celu prelu rrelu selu threshold hardshrink",
    "framework.ops.twins": "fill positive resize_as_ zero_",
    "framework.ops.queries": (
        "is_tensor is_floating_point is_complex is_signed is_inference is_conj is_neg is_same_size numel detach "
        "get_device frombuffer"
    ),
    "framework.ops.rearrange": "channel_shuffle pixel_shuffle pixel_unshuffle",
    "framework.ops.grid": "grid_sampler grid_sampler_2d grid_sampler_3d",
    "framework.ops.elementwise": (
        "add sub rsub mul div true_divide floor_divide remainder fmod pow maximum minimum atan2 eq ne lt le gt ge "
        "logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not isnan isinf "
        "isfinite neg abs sgn sign floor ceil trunc round conj real imag exp exp2 expm1 log log2 log10 log1p sqrt "
        "rsqrt reciprocal square sin cos tan tanh sigmoid erf relu where masked_fill clamp clone "
        "sinh cosh asin acos atan asinh acosh atanh deg2rad rad2deg addcdiv addcmul clamp_max "
        "clamp_min copysign float_power fmax fmin frac heaviside hypot ldexp lerp logaddexp "
        "logaddexp2 nan_to_num nextafter allclose bitwise_left_shift bitwise_right_shift equal gcd "
        "is_nonzero angle conj_physical frexp isclose isin isneginf isposinf isreal lcm signbit"
    ),
    "framework.ops.reduce": (
        "sum mean prod var std amax amin max min argmax argmin all any count_nonzero logsumexp cumsum"
    ),
    "framework.ops.shape": (
        "reshape permute transpose t movedim swapaxes adjoint squeeze unsqueeze broadcast_to broadcast_shapes "
        "broadcast_tensors atleast_1d atleast_2d atleast_3d ravel flatten unflatten narrow select unbind split "
        "split_with_sizes tensor_split hsplit vsplit dsplit chunk diagonal diag diag_embed diagflat diagonal_scatter "
        "trace flip fliplr flipud rot90 roll cat concat stack hstack vstack dstack column_stack block_diag meshgrid "
        "cartesian_prod combinations tile repeat_interleave renorm constant_pad_nd as_strided as_strided_scatter"
    ),
    "framework.ops.shape.viewcopies": (
        "alias_copy as_strided_copy diagonal_copy expand_copy narrow_copy permute_copy select_copy split_copy "
        "split_with_sizes_copy squeeze_copy t_copy transpose_copy unbind_copy unfold_copy unsqueeze_copy view_copy"
    ),
    "framework.ops.index": (
        "gather scatter scatter_add scatter_reduce index_select index_add index_copy index_fill index_reduce index_put "
        "put take take_along_dim masked_select masked_scatter select_scatter slice_scatter nonzero nonzero_static "
        "argwhere"
    ),
    "framework.ops.scan": "cumprod cummax cummin logcumsumexp diff trapezoid cumulative_trapezoid gradient",
    "framework.ops.sort": "sort argsort msort topk kthvalue median nanmedian mode quantile nanquantile",
    "framework.ops.counting": (
        "searchsorted bucketize bincount histc histogram histogramdd unique unique_consecutive unravel_index "
        "hash_tensor"
    ),
    "framework.ops.statistics": (
        "nansum nanmean var_mean std_mean aminmax dist cdist pairwise_distance pdist cosine_similarity cov corrcoef"
    ),
    "framework.ops.norms": "norm",
    "framework.ops.decompositions": "matrix_exp",
    "framework.ops.solvers": ("det slogdet logdet inv cholesky_solve cholesky_inverse triangular_solve lu_unpack"),
    "framework.ops.matrices": ("matrix_power chain_matmul vdot inner tensordot kron ormqr geqrf addmv addr addbmm"),
    "framework.ops.older_linalg": "svd svd_lowrank pca_lowrank qr cholesky lu lu_solve",
    "framework.ops.windows": "hann_window hamming_window blackman_window bartlett_window kaiser_window",
    "framework.ops.frames": "stft istft",
    "framework.ops.special": "lgamma digamma polygamma mvlgamma igamma igammac erfc erfinv xlogy logit sinc",
    "framework.ops.bessel": "i0",
    "framework.ops.complex": "complex polar view_as_real view_as_complex resolve_conj resolve_neg",
    "framework.core.layout": "contiguous_format preserve_format channels_last channels_last_3d strided",
    "framework.ops.linalg": "matmul mm bmm mv dot outer addmm baddbmm einsum tril triu",
    "framework.ops.attention": "softmax log_softmax",
    "framework.ops.conv": "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d",
    "framework.amp.autocast": (
        "autocast is_autocast_enabled set_autocast_enabled get_autocast_dtype set_autocast_dtype "
        "is_autocast_cache_enabled set_autocast_cache_enabled clear_autocast_cache"
    ),
    "framework.serialization": "save load",
    "framework.func.vmap": "vmap",
    "framework.backends.cpu.threads": "set_num_threads get_num_threads",
}
_HOMES = {name: place for place, names in _PLACES.items() for name in names.split()}
_RENAMED = {
    "bool": ("framework.core.dtype", "bool_"),
    "multiply": ("framework.ops.elementwise", "mul"),
    "arcsin": ("framework.ops.elementwise", "asin"),
    "arccos": ("framework.ops.elementwise", "acos"),
    "arctan": ("framework.ops.elementwise", "atan"),
    "arcsinh": ("framework.ops.elementwise", "asinh"),
    "arccosh": ("framework.ops.elementwise", "acosh"),
    "arctanh": ("framework.ops.elementwise", "atanh"),
    "arctan2": ("framework.ops.elementwise", "atan2"),
    "subtract": ("framework.ops.elementwise", "sub"),
    "divide": ("framework.ops.elementwise", "div"),
    "float": ("framework.core.dtype", "float32"),
    "double": ("framework.core.dtype", "float64"),
    "half": ("framework.core.dtype", "float16"),
    "long": ("framework.core.dtype", "int64"),
    "int": ("framework.core.dtype", "int32"),
    "trapz": ("framework.ops.scan", "trapezoid"),
    "cross": ("framework.ops.matrices", "cross_first"),
    "inverse": ("framework.ops.solvers", "inv"),
    "pinverse": ("framework.ops.matrices", "pinv"),
    "orgqr": ("framework.ops.matrices", "householder_product"),
    "moveaxis": ("framework.ops.shape", "movedim"),
    "swapdims": ("framework.ops.shape", "swapaxes"),
    "concatenate": ("framework.ops.shape", "concat"),
    "row_stack": ("framework.ops.shape", "vstack"),
    "unsafe_chunk": ("framework.ops.shape", "chunk"),
    "unsafe_split": ("framework.ops.shape", "split"),
    "cfloat": ("framework.core.dtype", "complex64"),
    "cdouble": ("framework.core.dtype", "complex128"),
    "get_rng_state": ("framework.core.random", "get_state"),
    "set_rng_state": ("framework.core.random", "set_state"),
    "absolute": ("framework.ops.elementwise", "abs"),
    "clip": ("framework.ops.elementwise", "clamp"),
    "fix": ("framework.ops.elementwise", "trunc"),
    "ger": ("framework.ops.linalg", "outer"),
    "greater": ("framework.ops.elementwise", "gt"),
    "greater_equal": ("framework.ops.elementwise", "ge"),
    "less": ("framework.ops.elementwise", "lt"),
    "less_equal": ("framework.ops.elementwise", "le"),
    "negative": ("framework.ops.elementwise", "neg"),
    "not_equal": ("framework.ops.elementwise", "ne"),
    "bitwise_invert": ("framework.ops.elementwise", "bitwise_not"),
    "pi": ("math", "pi"),
    "e": ("math", "e"),
    "inf": ("math", "inf"),
    "nan": ("math", "nan"),
    "__array_api_version__": ("framework.array_api.info", "VERSION"),
}
# methods that write into their tensor, which torch has as functions too
_WRITTEN = (
    "abs acos acosh addmv arccos arccosh arcsin arcsinh arctan arctanh as_strided asin asinh atan atanh "
    "ceil clamp clamp_max clamp_min clip conj_physical cos cosh deg2rad detach erf erfc exp2 exp expm1 "
    "fill fix floor frac gcd i0 index_put lcm ldexp log10 log1p log2 log logit nan_to_num neg "
    "negative rad2deg reciprocal relu round rsqrt sigmoid sin sinc sinh sqrt square tan tanh trunc "
    "xlogy"
)
_WRITING = [f"{name}_" for name in _WRITTEN.split()]
_SUBMODULES = (
    "amp", "array_api", "autograd", "compat", "data", "distributions", "fft", "func", "linalg", "masked", "nn", "ops",
    "optim", "profiler", "random", "serialization", "signal", "special", "training", "utils",
)  # fmt: skip

__all__ = ["__version__", "newaxis", *_HOMES, *_RENAMED, *_WRITING, *_SUBMODULES]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"framework.{name}")
    if name in _WRITING:
        return getattr(__getattr__("Tensor"), name)
    place, original = _RENAMED.get(name) or (_HOMES.get(name), name)
    if place is None:
        raise AttributeError(f"module 'framework' has no attribute '{name}'")
    importlib.import_module("framework.ops")  # binds the methods of Tensor before anyone can meet one
    value = getattr(importlib.import_module(place), original)
    if place.startswith("framework.ops."):
        value = importlib.import_module("framework.core.argnames").accepting(value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
