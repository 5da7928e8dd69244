"""`autocast`: a region in which operations choose their precision, and what custom functions do inside it."""

import functools
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from framework.core.autocast import DEVICES, cast_to, casting
from framework.core.device import cuda_is_available
from framework.core.dtype import DType, bfloat16, float16
from framework.core.modes import AUTOCAST, modes

F = TypeVar("F", bound=Callable[..., Any])


class autocast:  # noqa: N801
    """A region, as context manager or decorator, in which each operation computes in the type that suits it.

    Products of matrices and convolutions run in `dtype` (bfloat16 by default on CPU, float16 on CUDA); losses and what
    sixteen bits are too few for run in float32; all else takes the types it is given, so that the result of a linear
    layer stays in `dtype` through the activation behind it. The lists are PyTorch's for each device. Parameters keep
    their type: their casts are made once per region and parameter (`cache_enabled`), again when the parameter is
    written, and gradients arrive in the parameter's own type. Run the forward pass and the loss inside, `backward()`
    outside. Regions nest, and belong to the thread that enters them.

    >>> with framework.autocast("cpu", framework.bfloat16):
    ...     loss = criterion(model(images), labels)
    >>> loss.backward()
    """

    def __init__(
        self,
        device_type: str,
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        _check_device(device_type)
        self.device = device_type
        self.fast_dtype = casting.dtype[device_type] if dtype is None else dtype
        self._cache_enabled = cache_enabled
        if enabled and device_type == "cuda" and not cuda_is_available():
            warnings.warn("CUDA is not available. Disabling autocast.", stacklevel=2)
            enabled = False
        elif enabled and self.fast_dtype not in (bfloat16, float16):
            warnings.warn(
                f"In {device_type.upper()} autocast, but the target dtype is not supported. Disabling autocast.\n"
                f"{device_type.upper()} Autocast only supports dtypes of framework.bfloat16, framework.float16 "
                "currently.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._before: list[tuple[bool, DType, bool, int]] = []

    def __enter__(self) -> Self:
        place = self.device
        self._before.append((casting.enabled[place], casting.dtype[place], casting.cache_enabled, modes.flags))
        casting.dtype[place] = self.fast_dtype
        casting.depth += 1
        if self._cache_enabled is not None:
            casting.cache_enabled = self._cache_enabled
        set_autocast_enabled(place, self._enabled)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        enabled, casting.dtype[self.device], casting.cache_enabled, flags = self._before.pop()
        casting.enabled[self.device] = enabled
        modes.flags = modes.flags & ~AUTOCAST | flags & AUTOCAST
        casting.depth -= 1
        if not casting.depth:
            clear_autocast_cache()

    def __call__(self, function: F) -> F:
        if not callable(function):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(function).__name__}. Did you mean to use "
                "autocast as a context manager? For example:\n    with framework.autocast(device_type=...):\n"
                "        output = model(input)"
            )

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast knows the device: "cpu" or "cuda"."""
    if not isinstance(device_type, str):
        raise TypeError(f"is_autocast_available(): device_type must be str, not {type(device_type).__name__}")
    return device_type in DEVICES


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this thread is in an enabled region of the device."""
    _check_device(device_type)
    return casting.enabled[device_type]


def set_autocast_enabled(device_type: str, enabled: bool) -> None:
    """Turn autocast on or off for this thread and device, outside of any region."""
    _check_device(device_type)
    casting.enabled[device_type] = enabled
    modes.flags = modes.flags | AUTOCAST if any(casting.enabled.values()) else modes.flags & ~AUTOCAST


def get_autocast_dtype(device_type: str) -> DType:
    """The type in which this thread's "lower" operations run on the device."""
    _check_device(device_type)
    return casting.dtype[device_type]


def set_autocast_dtype(device_type: str, dtype: DType) -> None:
    """Set what `get_autocast_dtype` gives."""
    _check_device(device_type)
    casting.dtype[device_type] = dtype


def is_autocast_cache_enabled() -> bool:
    """Whether casts of parameters are kept within a region."""
    return casting.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Keep casts of parameters within a region, or not."""
    casting.cache_enabled = enabled


def clear_autocast_cache() -> None:
    """Forget the casts of this thread; leaving the outermost region does so."""
    casting.cache.clear()


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: DType | None = None
) -> Callable[..., Any]:
    """Decorator of a custom Function's `forward(ctx, ...)`.

    With `cast_inputs`, inside a region, floating inputs (but float64) are cast to that type and the region is off for
    the body; without, the body runs in the region as it is, and `custom_bwd` restores it for the derivative.
    """
    _check_device(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        context._dtype = get_autocast_dtype(device_type)
        inside = is_autocast_enabled(device_type)
        context._fwd_used_autocast = inside and cast_inputs is None
        if cast_inputs is None or not inside:
            return fwd(*args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(*cast_to(args, cast_inputs, device_type), **cast_to(kwargs, cast_inputs, device_type))

    return forward


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Callable[..., Any]:
    """Decorator of a custom Function's `backward(ctx, ...)`: it runs in the autocast state of its forward."""
    _check_device(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        with autocast(device_type, dtype=context._dtype, enabled=context._fwd_used_autocast):
            return bwd(*args, **kwargs)

    return backward


def _check_device(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if device_type not in DEVICES:
        raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'")
