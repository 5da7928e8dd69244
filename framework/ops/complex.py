"""Complex tensors from parts, and parts of complex tensors."""

from typing import Any

import numpy as np

from framework.core.autocast import operation
from framework.core.op import Array, op
from framework.ops import elementwise as e

_PAIRS = {np.dtype(np.float32): np.complex64, np.dtype(np.float64): np.complex128}
_PARTS = {np.dtype(np.complex64): np.float32, np.dtype(np.complex128): np.float64}


@op(method=False)
def complex(xp: Any, real: Array, imag: Array) -> Array:
    """`real + 1j * imag` of two tensors of one floating type, float32 or float64."""
    if real.dtype not in _PAIRS or imag.dtype not in _PAIRS:
        raise RuntimeError(f"Expected both inputs to be Float or Double tensors but got {real.dtype} and {imag.dtype}")
    if real.dtype != imag.dtype:
        raise RuntimeError(f"Expected object of scalar type {real.dtype} but got scalar type {imag.dtype} for 'imag'")
    result = xp.empty(np.broadcast_shapes(real.shape, imag.shape), _PAIRS[real.dtype])
    result.real, result.imag = real, imag
    return result


@complex.vjp("real")
def _(g: Any) -> Any:
    return e.real(g)


@complex.vjp("imag")
def _(g: Any) -> Any:
    return e.imag(g)


@operation(autocast="cpu:float32")
def polar(abs: Any, angle: Any) -> Any:
    """Complex numbers of these lengths and angles in radians."""
    return complex(e.mul(abs, e.cos(angle)), e.mul(abs, e.sin(angle)))


@op(view=True, method=False)
def view_as_real(xp: Any, input: Array) -> Array:
    """A view of complex numbers (*) as pairs (*, 2) of real and imaginary part."""
    if input.dtype not in _PARTS:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return input[..., None].view(_PARTS[input.dtype])


@view_as_real.vjp("input")
def _(g: Any) -> Any:
    return complex(g[..., 0], g[..., 1])


@op(view=True, method=False, autocast="cpu:float32")
def view_as_complex(xp: Any, input: Array) -> Array:
    """A view of pairs (*, 2) as complex numbers (*)."""
    if input.dtype not in _PAIRS:
        raise RuntimeError(
            f"view_as_complex is only supported for float and double tensors, but got a tensor of scalar type: "
            f"{input.dtype}"
        )
    if not input.ndim or input.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if input.size and input.strides[-1] != input.itemsize:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(step % (2 * input.itemsize) for step in input.strides[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    return input.view(_PAIRS[input.dtype])[..., 0]


@view_as_complex.vjp("input")
def _(g: Any) -> Any:
    return stack_parts(g)


@op(method=False)
def stack_parts(xp: Any, input: Array) -> Array:
    """Real and imaginary part as a new last dimension of two, copied: the derivative of view_as_complex."""
    return xp.stack([input.real, input.imag], -1)


@stack_parts.vjp("input")
def _(g: Any) -> Any:
    return complex(g[..., 0], g[..., 1])


def resolve_conj(input: Any) -> Any:
    """The tensor itself: conjugates are computed at once here, never marked for later."""
    return input


def resolve_neg(input: Any) -> Any:
    """The tensor itself: negatives are computed at once here, never marked for later."""
    return input
