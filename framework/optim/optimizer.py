"""The base of all optimizers: parameter groups, state, and their saving."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import framework
from framework.core.device import array_module
from framework.core.tensor import Tensor
from framework.optim.hooks import StateHooks, with_hooks
from framework.optim.hooks import register_optimizer_step_post_hook as register_optimizer_step_post_hook
from framework.optim.hooks import register_optimizer_step_pre_hook as register_optimizer_step_pre_hook


class Optimizer(StateHooks):
    """Holds groups of parameters with their settings, and a state per parameter.

    `params` is an iterable of tensors, of (name, tensor) pairs as `named_parameters` gives, or of dicts with "params"
    and settings that differ from `defaults`. Names stand in the groups as "param_names". `state_dict` has torch's
    layout: parameters are numbered in the order they were given. A subclass defines `_update` or `step`.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        super().__init__()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got a Tensor"
            )
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, for instance a layer that is unfrozen during training; missing settings are the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError("optimizer parameters need to be organized in ordered collections, but a set has no order")
        given = [params] if isinstance(params, Tensor) else list(params)
        names = [item[0] for item in given if isinstance(item, tuple)]
        group = {**param_group, "params": [item[1] if isinstance(item, tuple) else item for item in given]}
        if names:
            if len(names) != len(given):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            group["param_names"] = names
        group = {**self.defaults, **group}
        known = {param for other in self.param_groups for param in other["params"]}
        for param in group["params"]:
            if not isinstance(param, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}")
            if not param.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
            if param in known:
                raise ValueError("some parameters appear in more than one parameter group, or twice in one")
            known.add(param)
        if group.get("fused") and not all(param.is_floating_point() for param in group["params"]):
            raise RuntimeError("`fused=True` requires all the params to be floating point Tensors")
        if any(("param_names" in group) != ("param_names" in other) for other in self.param_groups):
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group "
                f"{'with' if 'param_names' in group else 'without'} names to the optimizer"
            )
        self.param_groups.append(group)

    @with_hooks
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters once by their gradients; parameters without one stay.

        `closure` (computes the loss anew and calls backward) is called first, and its value returned.
        """
        loss = None
        if closure is not None:
            with framework.enable_grad():
                loss = closure()
        with framework.no_grad():
            for group in self.param_groups:
                params = [param for param in group["params"] if param.grad is not None]
                for alike in _by_kind(params):
                    self._update(alike, group)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zero."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    param.grad = None if set_to_none else param.grad.detach().zero_()

    def state_dict(self) -> dict[str, Any]:
        """`{"state": {number: {...}}, "param_groups": [{..., "params": [numbers]}]}`; the tensors are shared."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[Tensor, int] = {}
        for group in self.param_groups:
            for param in group["params"]:
                numbers.setdefault(param, len(numbers))
        groups = [
            {
                **{key: value for key, value in group.items() if key != "params"},
                "params": [numbers[p] for p in group["params"]],
            }
            for group in self.param_groups
        ]
        # What stands under another key than a parameter belongs to the optimizer's author, and stays as it is.
        state = {numbers.get(key, key): value for key, value in self.state.items()}
        packed = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, packed)
            packed = packed if changed is None else changed
        return packed

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a copy of the settings and state of an optimizer with the same groups of parameters."""
        state_dict = dict(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        saved_groups = state_dict["param_groups"]
        if len(saved_groups) != len(self.param_groups):
            raise ValueError(
                f"loaded state dict has a different number of parameter groups: {len(saved_groups)}, "
                f"the optimizer has {len(self.param_groups)}"
            )
        params_of: dict[Any, Tensor] = {}
        for i, (own, saved) in enumerate(zip(self.param_groups, saved_groups)):
            if len(own["params"]) != len(saved["params"]):
                raise ValueError(
                    f"loaded state dict contains a parameter group that doesn't match the size of optimizer's group: "
                    f"group {i} has {len(saved['params'])} parameters there and {len(own['params'])} here"
                )
            params_of.update(zip(saved["params"], own["params"]))
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for number, values in state_dict["state"].items():
            param = params_of.get(number)
            state[number if param is None else param] = values if param is None else _fitted(None, values, param)
        self.state = state
        for i, (own, saved) in enumerate(zip(self.param_groups, saved_groups)):
            settings = {key: deepcopy(value) for key, value in saved.items() if key != "params"}
            self.param_groups[i] = {**own, **settings, "params": own["params"]}
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {value}" for key, value in sorted(group.items()) if key != "params"]
        return "\n".join([*lines, ")"])

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Change `params` (one dtype, one device, each with a gradient) in place."""
        raise NotImplementedError(f"{type(self).__name__} does not define its update")


def check_settings(**ranges: tuple[bool, Any]) -> None:
    """ValueError for the first setting whose condition is false: `lr=(lr >= 0, lr)`."""
    for name, (valid, value) in ranges.items():
        if not valid:
            raise ValueError(f"Invalid {name.replace('_', ' ')} value: {value}")


def implementation(**choices: bool | None) -> dict[str, Any]:
    """Torch's choices of implementation (foreach, capturable, differentiable, fused), as they stand in the groups.

    Here a step is one pass over all parameters of a type whatever `foreach` and `fused` say: they are kept so that
    state dicts agree with torch's. The other two would change what a step means, and are refused.
    """
    fused = choices.get("fused")
    if choices.get("differentiable"):
        if fused:
            raise RuntimeError("`fused` does not support `differentiable`")
        raise NotImplementedError(
            "differentiable=True (a step that autograd records) is not supported; for derivatives through training, "
            "write the update with tensors and take framework.autograd.grad(..., create_graph=True)"
        )
    if choices.get("capturable"):
        raise NotImplementedError("capturable=True (a step inside a captured CUDA graph) is not supported")
    if fused and choices.get("foreach"):
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
    return choices


def gradients(params: list[Tensor], maximize: bool) -> list[Any]:
    """The gradients' arrays, negated to maximize."""
    arrays = [param.grad._data for param in params]  # type: ignore[union-attr]
    # asarray: the negative of a 0-d array is a scalar.
    return [array_module(array).asarray(-array) for array in arrays] if maximize else arrays


def written(params: list[Tensor]) -> None:
    """Count a write to each parameter, so that a graph that saved the old values refuses to run backward."""
    for param in params:
        param._shared().version += 1


def _by_kind(params: list[Tensor]) -> list[list[Tensor]]:
    groups: dict[Any, list[Tensor]] = {}
    for param in params:
        groups.setdefault((param._data.dtype, param.device), []).append(param)
    return list(groups.values())


def _fitted(key: Any, value: Any, param: Tensor) -> Any:
    """A copy of a state value, its tensors in the parameter's type and place; step counts keep their type."""
    if isinstance(value, dict):
        return {name: _fitted(name, item, param) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_fitted(None, item, param) for item in value)
    if not isinstance(value, Tensor):
        return deepcopy(value)
    value = value.detach().clone()
    if key == "step":
        return value
    return value.to(device=param.device, dtype=param.dtype if param.is_floating_point() else None)
