"""Which of this library's modules stand behind each of PyTorch's, and small stand-ins where there is nothing to stand.

What has no meaning here (compilation, CUDA's settings, other processes) answers as PyTorch does where it is switched
off. What would have to do something and cannot is left out, so that asking for it is an error.
"""

from __future__ import annotations

import contextlib
import enum
import re
import typing
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlparse

_FAMILIES = {
    "activation": "activation attention",
    "adaptive": "loss_adaptive",
    "batchnorm": "norm lazy",
    "channelshuffle": "rearrange",
    "container": "container",
    "conv": "conv lazy",
    "distance": "distance",
    "dropout": "dropout",
    "flatten": "linear",
    "fold": "rearrange",
    "instancenorm": "norm lazy",
    "lazy": "lazy",
    "linear": "linear lazy",
    "loss": "loss loss_margin loss_likelihood",
    "module": "module",
    "normalization": "norm",
    "padding": "padding",
    "pixelshuffle": "rearrange",
    "pooling": "pooling pooling_variants",
    "rnn": "rnn",
    "sparse": "embedding",
    "transformer": "transformer",
    "upsampling": "resample",
    "utils": "sizes",
}

# PyTorch's module: the modules that its names are looked up in, in order.
LAYOUT: dict[str, tuple[str, ...]] = {
    "torch": ("framework",),
    "torch.nn": ("framework.nn",),
    "torch.nn.functional": ("framework.nn.functional",),
    "torch.nn.init": ("framework.nn.init",),
    "torch.nn.parameter": ("framework.nn.parameter",),
    "torch.nn.common_types": (),
    "torch.nn.attention": (),
    "torch.nn.modules": ("framework.nn.modules",),
    **{
        f"torch.nn.modules.{name}": (*(f"framework.nn.modules.{part}" for part in parts.split()), "framework.nn")
        for name, parts in _FAMILIES.items()
    },
    "torch.nn.utils": ("framework.nn.utils",),
    "torch.nn.utils.clip_grad": ("framework.nn.utils.clip",),
    "torch.nn.utils.convert_parameters": ("framework.nn.utils.vector",),
    **{
        f"torch.nn.utils.{name}": (f"framework.nn.utils.{name}",)
        for name in ("rnn", "fusion", "parametrize", "parametrizations", "spectral_norm", "stateless", "weight_norm")
    },
    "torch.optim": ("framework.optim",),
    "torch.optim.optimizer": ("framework.optim",),
    "torch.optim.lr_scheduler": ("framework.optim.lr_scheduler",),
    "torch.optim.swa_utils": ("framework.optim.swa_utils", "framework.optim"),
    "torch.autograd": ("framework.autograd",),
    "torch.autograd.function": ("framework.autograd",),
    "torch.utils": ("framework.utils",),
    "torch.utils.data": ("framework.data",),
    "torch.utils.data.dataset": ("framework.data",),
    "torch.utils.data.dataloader": ("framework.data",),
    "torch.utils.data.sampler": ("framework.data",),
    "torch.utils._pytree": (),
    "torch.utils.checkpoint": ("framework.utils.checkpoint",),
    "torch.func": ("framework.func",),
    "torch.distributions": ("framework.distributions",),
    "torch.linalg": ("framework.linalg",),
    "torch.fft": ("framework.fft",),
    "torch.special": ("framework.special",),
    "torch.amp": ("framework.amp",),
    "torch.cuda": (),
    "torch.cuda.amp": ("framework.amp",),
    "torch.backends": (),
    "torch.backends.cudnn": (),
    "torch.distributed": (),
    "torch.jit": (),
    "torch.jit.annotations": ("typing",),
    "torch.fx": (),
    "torch.onnx": (),
    "torch.serialization": ("framework.serialization",),
    "torch.hub": (),
    "torch.utils.model_zoo": (),
    "torch.types": (),
    "torch.version": (),
}


@cache
def extras(name: str) -> dict[str, Any]:
    """The names of one of PyTorch's modules that are not this library's own."""
    make = _EXTRAS.get(name)
    return {} if make is None else make()


def _torch() -> dict[str, Any]:
    import math

    import framework
    from framework.core.device import device
    from framework.core.dtype import DType

    legacy = {
        "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "LongTensor": "int64",
        "IntTensor": "int32", "ShortTensor": "int16", "CharTensor": "int8", "ByteTensor": "uint8",
        "BoolTensor": "bool",
    }  # fmt: skip
    return {
        "__version__": "2.13.0+framework",
        "device": device,
        "dtype": DType,
        "pi": math.pi,
        "e": math.e,
        "inf": math.inf,
        "nan": math.nan,
        "newaxis": None,
        "memory_format": type(framework.contiguous_format),
        "compile": _unchanged,
        "_assert": _assert,
        **{name: _legacy(name, getattr(framework, dtype)) for name, dtype in legacy.items()},
    }


def _jit() -> dict[str, Any]:
    return {
        **dict.fromkeys(("script", "ignore", "export", "unused", "script_method", "trace"), _unchanged),
        **dict.fromkeys(("is_scripting", "is_tracing"), _no),
        "annotate": lambda the_type, value: value,
        "isinstance": isinstance,
        "Final": typing.Final,
        "ScriptModule": type("ScriptModule", (), {}),
        "RecursiveScriptModule": type("RecursiveScriptModule", (), {}),
        "ScriptFunction": type("ScriptFunction", (), {}),
    }


def _cuda() -> dict[str, Any]:
    from framework.core.device import cuda_is_available

    return {"is_available": cuda_is_available, "empty_cache": _nothing, "is_bf16_supported": _no}


def _hub() -> dict[str, Any]:
    downloads = ("load", "load_state_dict_from_url", "load_url", "download_url_to_file")
    return {
        **dict.fromkeys(downloads, _no_download),
        "HASH_REGEX": re.compile(r"-([a-f0-9]*)\."),
        "urlparse": urlparse,
        "get_dir": _no_download_folder,
        "_get_torch_home": _no_download_folder,
    }


def _pytree() -> dict[str, Any]:
    from framework.func import tree

    return {
        "tree_flatten": tree.flatten,
        "tree_unflatten": lambda leaves, spec: tree.unflatten(list(leaves), spec),
        "tree_map": tree.tree_map,
    }


def _sizes() -> dict[str, Any]:
    return {f"_size_{n}_t": Any for n in ("any", "1", "2", "3", "4", "5", "6")} | {
        f"_size_{n}_opt_t": Any for n in ("any", "2", "3")
    }


def _attention() -> dict[str, Any]:
    names = ("ERROR", "MATH", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION", "OVERRIDEABLE")
    return {
        "SDPBackend": enum.Enum("SDPBackend", names),
        # One implementation serves all: the choice changes no result.
        "sdpa_kernel": lambda *_, **__: contextlib.nullcontext(),
    }


_EXTRAS: dict[str, Callable[[], dict[str, Any]]] = {
    "torch": _torch,
    "torch.jit": _jit,
    "torch.fx": lambda: {"wrap": _unchanged},
    "torch.onnx": lambda: {"is_in_onnx_export": _no},
    "torch.cuda": _cuda,
    "torch.backends.cudnn": lambda: {"is_available": _no, "enabled": False, "benchmark": False, "deterministic": True},
    "torch.distributed": lambda: dict.fromkeys(("is_available", "is_initialized"), _no),
    "torch.hub": _hub,
    "torch.utils.model_zoo": _hub,
    "torch.nn.common_types": _sizes,
    "torch.nn.attention": _attention,
    "torch.nn.modules.utils": lambda: {
        "_ntuple": _ntuple, "_single": _ntuple(1), "_pair": _ntuple(2), "_triple": _ntuple(3), "_quadruple": _ntuple(4),
    },
    "torch.nn.modules.batchnorm": lambda: {"_NormBase": _norm_base()},
    "torch.autograd": lambda: {"Variable": _variable},
    "torch.utils._pytree": _pytree,
    "torch.types": lambda: {"Number": int | float | bool, "Device": Any},
    "torch.version": lambda: {"__version__": "2.13.0+framework", "cuda": None, "hip": None},
}  # fmt: skip


def _unchanged(subject: Any = None, *args: Any, **kwargs: Any) -> Any:
    """What is given, or, of options alone, a decorator that does nothing."""
    return subject if callable(subject) else lambda decorated: decorated


def _no() -> bool:
    return False


def _nothing() -> None:
    return None


def _assert(condition: Any, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _no_download(url: str, *args: Any, **kwargs: Any) -> Any:
    raise RuntimeError(
        f"this library downloads nothing: fetch {url} yourself and read it with framework.load, which runs no code"
    )


def _no_download_folder() -> str:
    raise RuntimeError("this library downloads nothing, and has no folder for downloads")


def _variable(data: Any, requires_grad: bool = False) -> Any:
    return data.requires_grad_(requires_grad) if requires_grad else data


def _ntuple(n: int, name: str = "") -> Callable[[Any], tuple[Any, ...]]:
    def parse(x: Any) -> tuple[Any, ...]:
        return tuple(x) if hasattr(x, "__iter__") else (x,) * n

    return parse


def _norm_base() -> Any:
    from framework.nn.modules.norm import _RunningNorm

    return _RunningNorm


def _legacy(name: str, dtype: Any) -> type:
    """A class like `torch.LongTensor`: makes tensors of its type, and knows them."""
    import framework

    class Known(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, framework.Tensor) and instance.dtype == dtype

    def make(cls: type, *given: Any) -> Any:
        if len(given) == 1 and not isinstance(given[0], int):
            return framework.tensor(given[0], dtype=dtype)
        return framework.empty(*(given or (0,)), dtype=dtype)

    return Known(name, (), {"__new__": make})
