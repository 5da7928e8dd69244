"""How a module is called: its forward, between the hooks of this module and those of all modules."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from framework.nn.modules.hooks import BackwardWatch, RemovableHandle, add_hook


class _Hooks:
    """The hooks of one module, or those of all modules."""

    _forward_pre_hooks: OrderedDict[int, Callable]
    _forward_hooks: OrderedDict[int, Callable]
    _backward_pre_hooks: OrderedDict[int, Callable]
    _backward_hooks: OrderedDict[int, Callable]
    _hooks_with_kwargs: set[int]
    _hooks_always_called: set[int]

    def _init_call_hooks(self) -> None:
        put = object.__setattr__  # Module's own __setattr__ needs its tables first
        for hooks in ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks"):
            put(self, hooks, OrderedDict())
        put(self, "_hooks_with_kwargs", set())
        put(self, "_hooks_always_called", set())


class HookedCall(_Hooks):
    """The part of `Module` that is called."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; every subclass defines it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        d = self.__dict__
        if not (
            d["_forward_pre_hooks"]
            or d["_forward_hooks"]
            or d["_backward_hooks"]
            or d["_backward_pre_hooks"]
            or _EVERY._forward_hooks
            or _EVERY._forward_pre_hooks
            or _EVERY._backward_hooks
            or _EVERY._backward_pre_hooks
        ):
            return self.forward(*args, **kwargs)
        return self._call_with_hooks(args, kwargs)

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before forward; what it returns replaces the arguments.

        With `with_kwargs`, `hook(module, args, kwargs)` returns None or `(args, kwargs)`.
        """
        return add_hook(self._forward_pre_hooks, hook, (self._hooks_with_kwargs, with_kwargs), prepend=prepend)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` (`with_kwargs`: `args, kwargs, output`) after forward.

        What it returns replaces the output. With `always_call` it runs even when forward raises.
        """
        flags = (self._hooks_with_kwargs, with_kwargs), (self._hooks_always_called, always_call)
        return add_hook(self._forward_hooks, hook, *flags, prepend=prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the inputs are known.

        What it returns replaces `grad_input`.
        """
        return add_hook(self._backward_hooks, hook, prepend=prepend)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's backward; what it returns replaces `grad_output`."""
        return add_hook(self._backward_pre_hooks, hook, prepend=prepend)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        done: set[int] = set()
        output: Any = None
        before = {**_EVERY._forward_pre_hooks, **self._forward_pre_hooks}
        after = {**_EVERY._forward_hooks, **self._forward_hooks}
        try:
            for key, hook in before.items():
                args, kwargs = self._run_pre_hook(hook, key in self._hooks_with_kwargs, args, kwargs)
            watch = None
            hooks = [*_EVERY._backward_hooks.values(), *self._backward_hooks.values()]
            pre_hooks = [*_EVERY._backward_pre_hooks.values(), *self._backward_pre_hooks.values()]
            if hooks or pre_hooks:
                watch = BackwardWatch(self, hooks, pre_hooks)
                args = watch.watch_inputs(args)
            output = self.forward(*args, **kwargs)
            for key, hook in after.items():
                done.add(key)
                output = self._run_hook(key, hook, args, kwargs, output)
            return output if watch is None else watch.watch_outputs(output)
        except Exception:
            for key, hook in after.items():
                if key in self._hooks_always_called | _EVERY._hooks_always_called and key not in done:
                    try:
                        output = self._run_hook(key, hook, args, kwargs, output)
                    except Exception as error:
                        warnings.warn(
                            "module forward hook with ``always_call=True`` raised an exception that was silenced as "
                            f"another error was raised in forward: {error}",
                            stacklevel=2,
                        )
            raise

    def _run_pre_hook(
        self, hook: Callable, with_kwargs: bool, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if with_kwargs:
            result = hook(self, args, kwargs)
            if result is None:
                return args, kwargs
            if not (isinstance(result, tuple) and len(result) == 2):
                raise RuntimeError(
                    f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {result}."
                )
            return result
        result = hook(self, args)
        if result is None:
            return args, kwargs
        return (result if isinstance(result, tuple) else (result,)), kwargs

    def _run_hook(self, key: int, hook: Callable, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        if key in self._hooks_with_kwargs or key in _EVERY._hooks_with_kwargs:
            result = hook(self, args, kwargs, output)
        else:
            result = hook(self, args, output)
        return output if result is None else result


class _EveryModule(_Hooks):
    """Hooks of all modules; they run before a module's own."""

    def __init__(self) -> None:
        self._init_call_hooks()
        self.registrations: dict[str, OrderedDict[int, Callable]] = {
            kind: OrderedDict() for kind in ("parameter", "buffer", "module")
        }


_EVERY = _EveryModule()


def register_module_forward_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, args)` before every module's forward; what it returns replaces the arguments."""
    return add_hook(_EVERY._forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Callable, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after every module's forward; what it returns replaces the output."""
    flags = (_EVERY._hooks_with_kwargs, with_kwargs), (_EVERY._hooks_always_called, always_call)
    return add_hook(_EVERY._forward_hooks, hook, *flags)


def register_module_full_backward_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` after every module's backward."""
    return add_hook(_EVERY._backward_hooks, hook)


def register_module_full_backward_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, grad_output)` before every module's backward."""
    return add_hook(_EVERY._backward_pre_hooks, hook)


def register_module_parameter_registration_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, name, parameter)` at every registration; what it returns is registered instead."""
    return add_hook(_EVERY.registrations["parameter"], hook)


def register_module_buffer_registration_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, name, buffer)` at every registration; what it returns is registered instead."""
    return add_hook(_EVERY.registrations["buffer"], hook)


def register_module_module_registration_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(module, name, submodule)` at every registration; what it returns is registered instead."""
    return add_hook(_EVERY.registrations["module"], hook)


def registered(kind: str, module: Any, name: str, value: Any) -> Any:
    """What is to be registered: `value`, or what the hooks for this kind make of it."""
    for hook in _EVERY.registrations[kind].values():
        result = hook(module, name, value)
        if result is not None:
            value = result
    return value
