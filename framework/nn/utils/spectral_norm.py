"""Spectral norm by a hook, with `<name>_orig`, `<name>_u` and `<name>_v`, as older checkpoints have them.

New code takes `utils.parametrizations.spectral_norm`.
"""

from __future__ import annotations

from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.nn import functional as F
from framework.nn.modules.module import Module
from framework.nn.parameter import Parameter, is_lazy
from framework.nn.utils.parametrizations import as_matrix, output_dim, power_method


class SpectralNorm:
    """A forward pre-hook that divides the weight by its largest singular value."""

    _version = 1  # of the checkpoint: 0 stored the weight and no v

    def __init__(self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name, self.n_power_iterations, self.dim, self.eps = name, n_power_iterations, dim, eps

    def compute_weight(self, module: Any, do_power_iteration: bool) -> Tensor:
        """The weight over u^T W v, after power iterations if asked for."""
        weight, u, v = (getattr(module, self.name + end) for end in ("_orig", "_u", "_v"))
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            power_method(matrix, u, v, self.n_power_iterations, self.eps, u_first=False)
            u, v = u.clone(), v.clone()  # the next call changes the buffers before this one's backward has run
        return weight / framework.dot(u, matrix.mv(v))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, do_power_iteration=module.training))


class _Version:
    """A state-dict hook that writes the version down."""

    def __init__(self, norm: SpectralNorm) -> None:
        self.norm = norm

    def __call__(self, module: Module, state: Any, prefix: str, local_metadata: dict[str, Any]) -> None:
        versions = local_metadata.setdefault("spectral_norm", {})
        versions[self.norm.name + ".version"] = self.norm._version


class _FromVersion0:
    """A load hook that finds v for checkpoints that have only `<name>`, `<name>_orig` and `<name>_u`."""

    def __init__(self, norm: SpectralNorm) -> None:
        self.norm = norm

    def __call__(
        self, state: dict[str, Any], prefix: str, local_metadata: dict[str, Any], strict: bool, missing: Any, *_: Any
    ) -> None:
        norm = self.norm
        version = local_metadata.get("spectral_norm", {}).get(norm.name + ".version")
        key = prefix + norm.name
        if version is not None or (key not in state and all(key + end in state for end in ("_orig", "_u", "_v"))):
            return
        absent = [key + end for end in ("_orig", "", "_u") if key + end not in state]
        if absent:
            missing.extend(absent)
            return
        original, weight, u = (framework.as_tensor(state[key + end]) for end in ("_orig", "", "_u"))
        del state[key]
        matrix = as_matrix(original, norm.dim)
        v = (framework.linalg.pinv(matrix.T @ matrix) @ matrix.T @ u.unsqueeze(1)).squeeze(1)
        sigma = (original / weight).mean()
        state[key + "_v"] = v * (sigma / framework.dot(u, matrix.mv(v)))


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """W / sigma(W) (Miyato et al. 2018), computed before each forward; see `parametrizations.spectral_norm`."""
    if any(isinstance(hook, SpectralNorm) and hook.name == name for hook in module._forward_pre_hooks.values()):
        raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
    norm = SpectralNorm(name, n_power_iterations, output_dim(module) if dim is None else dim, eps)
    weight = module._parameters[name]
    if weight is None:
        raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
    if is_lazy(weight):
        raise ValueError(
            "The module passed to `SpectralNorm` can't have uninitialized parameters. "
            "Make sure to run the dummy forward before applying spectral normalization"
        )
    delattr(module, name)
    module.register_parameter(name + "_orig", weight)
    setattr(module, name, weight.detach())
    for end, size in zip(("_u", "_v"), as_matrix(weight.detach(), norm.dim).shape):
        drawn = framework.empty(size, dtype=weight.dtype, device=weight.device).normal_(0, 1)
        module.register_buffer(name + end, F.normalize(drawn, dim=0, eps=eps))
    module.register_forward_pre_hook(norm)
    module._register_state_dict_hook(_Version(norm))
    module._register_load_state_dict_pre_hook(_FromVersion0(norm))
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight, divided by its norm as it is now, an ordinary parameter again."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            weight = hook.compute_weight(module, do_power_iteration=False).detach()
            for attribute in (name, name + "_u", name + "_v", name + "_orig"):
                delattr(module, attribute)
            module.register_parameter(name, Parameter(weight))
            del module._forward_pre_hooks[key]
            break
    else:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    for hooks in (module._state_dict_hooks, module._load_state_dict_pre_hooks):
        for key, kept in list(hooks.items()):
            kept = getattr(kept, "hook", kept)
            if isinstance(kept, _Version | _FromVersion0) and kept.norm.name == name:
                del hooks[key]
    return module
