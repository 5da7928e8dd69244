"""Parametrizations: a parameter that is computed from others each time it is read.

    register_parametrization(linear, "weight", Symmetric())
    linear.weight                                # Symmetric()(linear.parametrizations.weight.original)

The module's class gives way to a subclass with a property of the tensor's name; the tensor itself moves to
`module.parametrizations.<name>.original`, where optimizers and state dicts find it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, ClassVar

import framework
from framework.core.tensor import Tensor
from framework.nn.modules.container import ModuleDict, ModuleList
from framework.nn.modules.module import Module
from framework.nn.parameter import Parameter


class _Kept:
    """The parametrized tensors computed within `cached()`."""

    depth = 0
    tensors: ClassVar[dict[tuple[int, str], Tensor]] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Within the block each parametrized tensor is computed once, at its first use."""
    _Kept.depth += 1
    try:
        yield
    finally:
        _Kept.depth -= 1
        if not _Kept.depth:
            _Kept.tensors.clear()


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied in order, and what the first is applied to.

    That is `original`, or `original0`, `original1`, ... if the first one's `right_inverse` gives several tensors.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        new: Any = original
        with framework.no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with suppress(NotImplementedError):
                        new = module.right_inverse(new)
        if not isinstance(new, Tensor | Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        shape, dtype = original.shape, original.dtype
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if isinstance(new, Tensor) else len(new)
        if isinstance(new, Tensor):
            if new.dtype != dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {dtype}\nright_inverse(original).dtype: {new.dtype}"
                )
            if new.device != original.device:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the device.\n"
                    f"original.device: {original.device}\nright_inverse(original).device: {new.device}"
                )
            original.data = new  # the same object, so that an optimizer made before still holds it
            _register(self, "original", original)
        else:
            for i, part in enumerate(new):
                if not isinstance(part, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                        f"Got element {i} of the sequence with type {type(part).__name__}."
                    )
                if isinstance(original, Parameter):
                    part = Parameter(part, original.requires_grad)
                _register(self, f"original{i}", part.requires_grad_(original.requires_grad))
        if not unsafe:
            _check(
                self(),
                "A parametrization must return a tensor. Got {kind}.",
                "Registering a parametrization may not change the {what} of the tensor, unless `unsafe` flag is "
                "enabled.\nunparametrized {what}: {before}\nparametrized {what}: {after}",
                shape,
                dtype,
            )

    def forward(self) -> Tensor:
        modules = iter(self)
        x = next(modules)(*self._originals())
        for module in modules:
            x = module(x)
        return x

    def right_inverse(self, value: Any) -> None:
        """Set the originals so that the parametrized tensor becomes `value`."""
        with framework.no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
                value = module.right_inverse(value)
        if self.is_tensor:
            if not isinstance(value, Tensor):
                raise ValueError(f"`right_inverse` should return a tensor. Got {type(value).__name__}")
            if value.dtype != self.original.dtype:
                raise ValueError(
                    f"The tensor returned by `right_inverse` has dtype {value.dtype} while `original` has dtype "
                    f"{self.original.dtype}"
                )
            self.original.data = value
            return
        if not isinstance(value, Sequence):
            raise ValueError(f"'right_inverse' must return a sequence of tensors. Got {type(value).__name__}.")
        if len(value) != self.ntensors:
            raise ValueError(
                f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. Got a sequence of "
                f"length {len(value)}."
            )
        for i, (part, original) in enumerate(zip(value, self._originals())):
            if not isinstance(part, Tensor):
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors. Got element {i} of type {type(part).__name__}"
                )
            if part.dtype != original.dtype:
                raise ValueError(
                    f"Tensor {i} returned by `right_inverse` has dtype {part.dtype} while `original{i}` has dtype "
                    f"{original.dtype}"
                )
            original.data = part

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._modules.values()))

    def _originals(self) -> list[Any]:
        return [self.original] if self.is_tensor else [getattr(self, f"original{i}") for i in range(self.ntensors)]


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let `module.<tensor_name>`, a parameter or buffer, be what `parametrization` makes of it; returns the module.

    A `right_inverse(tensor)` of the parametrization gives the tensor (or tensors) to store, at registration and when
    the parametrized tensor is assigned. Several parametrizations of one tensor are applied in order. Shape and dtype
    must stay, and are checked, unless `unsafe`.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_further(module, tensor_name, parametrization)
        chain: Any = module.parametrizations[tensor_name]
        chain.append(parametrization)
        chain.unsafe |= unsafe
        return module
    if tensor_name not in module._buffers and tensor_name not in module._parameters:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    chain = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe=unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.parametrizations = ModuleDict()
    plain = type_before_parametrizations(module)
    module.parametrizations[tensor_name] = chain
    module.__class__ = _parametrized_class(plain, frozenset(module.parametrizations))
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of the module, or any, is parametrized."""
    chains = module._modules.get("parametrizations")
    if not isinstance(chains, ModuleDict):
        return False
    return len(chains) > 0 if tensor_name is None else tensor_name in chains


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make the tensor an ordinary one again: as it is computed now, or (`leave_parametrized=False`) the original."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    chain: Any = module.parametrizations[tensor_name]
    if chain.is_tensor:
        original = chain.original
        if leave_parametrized:
            with framework.no_grad():
                original.data = getattr(module, tensor_name)
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    plain = type_before_parametrizations(module)
    del module.parametrizations[tensor_name]
    left = frozenset(module.parametrizations)
    if not left:
        del module.parametrizations
    module.__class__ = _parametrized_class(plain, left) if left else plain
    _register(module, tensor_name, original)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The module's class without parametrizations."""
    kind = type(module)
    return kind.__bases__[0] if kind.__dict__.get("_is_parametrized_class") else kind


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give `to_module` the parametrizations of `from_module` (of one tensor or all) and the tensors under them."""
    if not is_parametrized(from_module):
        return to_module
    for name in list(from_module.parametrizations) if tensor_name is None else [tensor_name]:
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name)))
        source: Any = from_module.parametrizations[name]
        for parametrization in source:
            register_parametrization(to_module, name, parametrization)
        target: Any = to_module.parametrizations[name]
        for key in ["original"] if source.is_tensor else [f"original{i}" for i in range(source.ntensors)]:
            setattr(target, key, getattr(source, key))
    return to_module


@cache
def _parametrized_class(plain: type, names: frozenset[str]) -> type:
    """A subclass of a module's class in which `names` are properties; the same for all modules alike."""
    members: dict[str, Any] = {name: _property(name) for name in names}
    members |= {"_is_parametrized_class": True, "__module__": plain.__module__}
    return type(f"Parametrized{plain.__name__}", (plain,), members)


def _property(name: str) -> property:
    def read(module: Any) -> Any:
        if name in module.__dict__:  # functional_call puts a tensor in the place of the parametrized one
            return module.__dict__[name]
        if not _Kept.depth:
            return module.parametrizations[name]()
        key = id(module), name
        if key not in _Kept.tensors:
            _Kept.tensors[key] = module.parametrizations[name]()
        return _Kept.tensors[key]

    def write(module: Any, value: Tensor) -> None:
        module.parametrizations[name].right_inverse(value)

    return property(read, write)


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _check(value: Any, not_a_tensor: str, changed: str, shape: Any, dtype: Any) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(not_a_tensor.format(kind=type(value).__name__))
    for what, before, after in (("dtype", dtype, value.dtype), ("shape", shape, value.shape)):
        if before != after:
            raise ValueError(changed.format(what=what, before=before, after=after))


def _check_further(module: Module, name: str, parametrization: Any) -> None:
    """A parametrization on top of another must keep shape and dtype, forwards and backwards."""
    before = getattr(module, name)
    after = parametrization(before)
    _check(
        after,
        "A parametrization must return a tensor. Got {kind}.",
        "Registering a parametrization may not change the {what} of the tensor, unless the `unsafe` flag is enabled.\n"
        f"module.{name}.{{what}}: {{before}}\nparametrization(module.{name}).{{what}}: {{after}}",
        before.shape,
        before.dtype,
    )
    if hasattr(parametrization, "right_inverse"):
        try:
            back = parametrization.right_inverse(after)
        except NotImplementedError:
            return
        _check(
            back,
            "parametrization.right_inverse must return a tensor. Got: {kind}",
            "The tensor returned by parametrization.right_inverse must have the same {what} as "
            f"module.{name}, unless the `unsafe` flag is enabled.\n"
            f"module.{name}.{{what}}: {{before}}\nreturned {{what}}: {{after}}",
            before.shape,
            before.dtype,
        )
