"""The op record: one place for what an operation computes, its type rule, its derivative and its kernels.

    @op(kind="float")
    def tanh(xp, input: Array) -> Array:        # forward on raw arrays; xp is numpy or cupy
        return xp.tanh(input)

    @tanh.vjp("input")                          # the derivative: a formula over our own ops
    def _(g, out):
        return mul(g, sub(1, mul(out, out)))

Parameters annotated `Array` (or `Arrays`, a sequence) are tensors; the others are attributes. A derivative rule
receives the output's gradient and, by name, what it needs: inputs, `out` (or `out0`, `out1`, ...), attributes,
`<input>_shape`, and `needs` (which inputs want a gradient). What a rule names is exactly what is saved: the record's
`saves` follows from the rules, as in PyTorch's derivatives.yaml, and a rule cannot touch anything else.

Rules call public ops. On raw arrays those compute and record nothing, which makes an ordinary backward; on Tensors
(`create_graph=True`) the same rule is recorded, so that one rule serves every order.
"""

import copy
import functools
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.core.autocast import Policy
from framework.core.device import array_module
from framework.core.door import derivative, public_function
from framework.core.dtype import BOOL, CATEGORY, FLOATING, category_of_number, get_default_dtype, result_dtype
from framework.core.kernels import backend_kernel, resolve
from framework.core.modes import ANOMALY, GRAD, INFERENCE, PACKING, VMAP, WATCHED, modes
from framework.core.node import Cell, Node, sequence
from framework.core.quiet import SILENT, hush, restore
from framework.core.rule import Rule
from framework.core.saved import PackedNode, pack_arrays
from framework.core.tensor import Tensor
from framework.core.trace import forward_trace
from framework.core.watch import watched_record

if TYPE_CHECKING:
    Array = Any
    Arrays = Any
else:

    class Array:
        """Annotation of a tensor parameter: numpy.ndarray or cupy.ndarray inside, a Tensor at the public door."""

    class Arrays:
        """Annotation of a parameter that is a sequence of tensors."""


TABLE: "dict[str, Op]" = {}
_new = object.__new__


def op(
    forward: Callable[..., Any] | None = None,
    *,
    kind: str | None = None,
    ufunc: str | None = None,
    view: bool = False,
    inplace: bool = False,
    method: bool = True,
    aliases: str = "",
    autocast: str | None = None,
    wide: bool | None = None,
) -> Any:
    """Make a record of a forward function and return its public function.

    `kind`: "promote" (inputs meet in torch's lattice), "float" (and integers become the default float), "bool"
    (they meet, the result is boolean) or None (types are the forward's affair). `ufunc`: the NumPy ufunc that is
    the whole forward when no attribute is given. `view`: the result shares the first input's memory. `inplace`:
    a twin `name_` exists. `method`: it is a Tensor method too. `aliases`: other public names.
    `autocast`: its class in `framework.autocast` regions; see `core.autocast`. `wide`: half precision is computed in
    float32 and rounded once (the default for kind "float").
    """
    if forward is None:
        return functools.partial(
            op, kind=kind, ufunc=ufunc, view=view, inplace=inplace, method=method, aliases=aliases, autocast=autocast,
            wide=wide,
        )  # fmt: skip
    is_wide = kind == "float" if wide is None else wide
    record = Op(forward, kind, ufunc, view, inplace, method, tuple(aliases.split()), autocast, is_wide)
    TABLE[record.name] = record
    return record.public


class Op:
    """A record of the table; see the module's text."""

    def __init__(
        self,
        forward: Callable[..., Any],
        kind: str | None,
        ufunc: str | None,
        view: bool,
        inplace: bool,
        method: bool,
        aliases: tuple[str, ...],
        autocast: str | None,
        wide: bool,
    ) -> None:
        self.name = forward.__name__
        self.forward = forward
        self.kind = kind
        self.view = view
        self.inplace = inplace
        self.method = method
        self.aliases = aliases
        self.autocast = None if autocast is None else Policy(autocast)
        self.wide = wide
        code = forward.__code__
        self.params = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        self.positional = code.co_argcount - 1
        defaults = forward.__defaults__ or ()
        self.defaults: dict[str, Any] = dict(
            zip(self.params[self.positional - len(defaults) : self.positional], defaults)
        )
        self.defaults.update(forward.__kwdefaults__ or {})
        annotations = forward.__annotations__
        self.inputs = tuple(name for name in self.params if _mentions(annotations.get(name), Array, Arrays))
        self.lists = frozenset(name for name in self.inputs if _mentions(annotations[name], Arrays))
        self.optional = frozenset(name for name in self.inputs if _mentions(annotations.get(name), type(None)))
        self.slots = tuple(self.params.index(name) for name in self.inputs)
        self.rules: dict[str, Rule] = {}
        self.joint: Rule | None = None
        self.saves: tuple[str, ...] = ()
        self.ufunc: Any = None if ufunc is None else getattr(np, ufunc)
        self._kernels: dict[Any, Callable[..., Any]] = {}
        self.public = public_function(self)
        self.public.record = self  # type: ignore[attr-defined]
        self.public.vjp = self.vjp  # type: ignore[attr-defined]

    # -- derivative rules ---------------------------------------------------------------------------------------

    def vjp(self, *names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a rule: for the named inputs each, or (no name) one that returns the gradients of all inputs."""

        def register(rule: Callable[..., Any]) -> Callable[..., Any]:
            made = Rule(self, rule)
            if names:
                for name in names:
                    self.rules[name] = made
            else:
                self.joint = made
            known = dict.fromkeys(self.saves)
            known.update(dict.fromkeys(made.saved_names))
            self.saves = tuple(known)
            return rule

        return register

    @functools.cached_property
    def half(self) -> "Op":
        """This record with rules that compute in float32; the engine rounds the gradients to the inputs' type."""
        record = copy.copy(self)
        record.rules = {name: rule.widened() for name, rule in self.rules.items()}
        record.joint = self.joint.widened() if self.joint is not None else None
        record.derivative = lambda node, g: record.pull(node, [g], False, None)[::-1]
        return record

    # -- kernels ------------------------------------------------------------------------------------------------

    def kernel(self, xp: Any) -> Callable[..., Any]:
        """The function that computes this op on arrays of module `xp`, resolved on first use."""
        found = self._kernels.get(xp)
        if found is None:
            found = self._kernels[xp] = resolve(self, xp)
        return found

    @functools.cached_property
    def has_kernel(self) -> bool:
        """Whether a backend has a kernel of its own for the CPU."""
        return backend_kernel(self) is not None

    # -- calling ------------------------------------------------------------------------------------------------

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """Arguments in the order of the parameters; TypeError as Python words it."""
        params = self.params
        if len(args) > self.positional:
            raise TypeError(f"{self.name}() takes {self.positional} positional arguments but {len(args)} were given")
        values = list(args)
        for name in params[len(args) :]:
            if name in kwargs:
                values.append(kwargs.pop(name))
            elif name in self.defaults:
                values.append(self.defaults[name])
            else:
                raise TypeError(f"{self.name}() missing required argument: '{name}'")
        if kwargs:
            unexpected = next(iter(kwargs))
            problem = (
                "got multiple values for argument" if unexpected in params else "got an unexpected keyword argument"
            )
            raise TypeError(f"{self.name}() {problem} '{unexpected}'")
        return values

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The general path: any arguments, any modes."""
        if modes.flags & WATCHED:
            return watched_record(self, args, kwargs)
        out = kwargs.pop("out", None) if kwargs else None
        values = self.bind(args, kwargs)
        tensors: list[Any] = []
        found = False
        for slot, name in zip(self.slots, self.inputs):
            value = values[slot]
            if name in self.lists:
                value = values[slot] = list(value)
                tensors.extend(value)
                if any(isinstance(item, Tensor) for item in value):
                    values[slot] = [item._data if isinstance(item, Tensor) else item for item in value]
                    found = True
            else:
                tensors.append(value)
                if isinstance(value, Tensor):
                    values[slot] = value._data
                    found = True
                elif isinstance(value, str):
                    raise TypeError(f"{self.name}(): argument '{name}' must be Tensor, not str")
        if not found:
            return self._raw(values)
        if modes.flags & VMAP:
            from framework.func.levels import lift

            lift(self, values, tensors)
        xp = np
        for value in tensors:
            data = value._data if isinstance(value, Tensor) else value
            if type(data) is not np.ndarray and (data is not value or hasattr(data, "level")):
                xp = array_module(data)
        if self.kind is not None:
            self._unify(values, xp)
        kernel = self.kernel(xp)
        token = hush(SILENT)
        try:
            result = kernel(*values)
        except ValueError as error:
            _explain_shapes(self, values, error)
            raise
        finally:
            restore(token)
        wrapped = self.wrap(result, values, tensors)
        if out is not None:
            return _write_out(out, wrapped, self.name)
        return wrapped

    def _raw(self, values: list[Any]) -> Any:
        """On arrays only: compute, record nothing."""
        xp = np
        for slot in self.slots:
            value = values[slot]
            if isinstance(value, np.generic):
                values[slot] = np.asarray(value)
            elif type(value) is not np.ndarray and value is not None:
                for item in value if type(value) is list else (value,):
                    if hasattr(item, "__cuda_array_interface__") or hasattr(item, "level"):
                        xp = array_module(item)
        if self.kind is not None:
            self._unify(values, xp)
        return self.kernel(xp)(*values)

    def _unify(self, values: list[Any], xp: Any) -> None:
        """Bring the tensor arguments to the type the kind asks for, in place of `values`."""
        slots = [slot for slot in self.slots if values[slot] is not None]
        present: list[Any] = []
        for slot in slots:
            present.extend(values[slot]) if isinstance(values[slot], list) else present.append(values[slot])
        wanted = result_dtype(present)
        if self.kind == "float" and CATEGORY[wanted] < FLOATING:
            wanted = get_default_dtype().numpy_dtype
        for slot in slots:
            value = values[slot]
            if isinstance(value, list):
                values[slot] = [_to(item, wanted, xp) for item in value]
            else:
                values[slot] = _to(value, wanted, xp)

    def wrap(self, result: Any, values: list[Any], tensors: list[Any]) -> Any:
        """Tensors of the result, with a node when a derivative is wanted."""
        edges = None
        if modes.flags & GRAD and (self.rules or self.joint is not None):
            edges = tuple(tensor._edge if isinstance(tensor, Tensor) else None for tensor in tensors)
            if not any(edges):
                edges = None
        several = type(result) is tuple or type(result) is list
        outputs = [Tensor._wrap(array) for array in (result if several else (result,))]
        if edges is not None:
            kinds = [output._data.dtype.kind for output in outputs]
            if any(_can_require_grad(kind) for kind in kinds):
                node = self.record(edges, values, tensors, outputs)
                for number, output in enumerate(outputs):
                    if _can_require_grad(kinds[number]):
                        output._edge = (node, number)
        if self.view:
            from framework.core.views import mark_views

            mark_views(self, tensors[0], values, outputs)
        if modes.flags & INFERENCE:
            for output in outputs:
                output._inference = True
        return tuple(outputs) if several else outputs[0]

    def record(self, edges: tuple[Any, ...], values: list[Any], tensors: list[Any], outputs: list[Any]) -> Node:
        """A node that remembers what the rules of the wanted gradients name, and nothing else."""
        node = _new(PackedNode if modes.flags & PACKING else Node)
        node.op = self.half if self.wide and outputs[0]._data.itemsize == 2 else self
        node.edges = edges
        node.meta = tuple((output._data.shape, output._data.dtype) for output in outputs)
        node.attrs = values_of_attributes(self, values)
        names = self.saves if self.joint is not None else self._saved_for(edges)
        saved: dict[str, Any] = {}
        versions: list[tuple[Cell, int]] = []
        for name in names:
            if name in self.params:
                slot = self.params.index(name)
                saved[name] = values[slot]
                if name in self.lists:
                    continue
                source = tensors[self.inputs.index(name)] if not self.lists else None
                if isinstance(source, Tensor) and source._data is values[slot]:
                    cell = source._shared()
                    versions.append((cell, cell.version))
            else:
                output = outputs[int(name[3:] or 0)]
                saved[name] = output._data
                cell = output._shared()
                versions.append((cell, cell.version))
        if modes.flags & PACKING and saved:
            saved, versions = pack_arrays(saved), []
        node.saved = saved
        node.versions = versions
        node.sequence = next(sequence)
        if modes.flags & ANOMALY:
            node.trace = forward_trace()
        return node

    def _saved_for(self, edges: tuple[Any, ...]) -> list[str]:
        """The names that the rules of the inputs wanting gradients use."""
        names: dict[str, None] = {}
        for name, edge in zip(self.inputs, edges):
            if edge is not None and name in self.rules:
                names.update(dict.fromkeys(self.rules[name].saved_names))
        return list(names)

    # -- backward -----------------------------------------------------------------------------------------------

    @functools.cached_property
    def derivative(self) -> Callable[[Node, Any], list[Any]]:
        """The short way of `pull`: all wanted gradients on arrays, from that of a single output."""
        return derivative(self)

    def pull(self, node: Node, grads: list[Any], create_graph: bool, useful: set[Any] | None) -> list[Any]:
        """The gradients of the inputs, from those of the outputs."""
        if node.versions or node.saved is None:
            node.check_saved()
        needs = tuple(edge is not None and (useful is None or edge[0] in useful) for edge in node.edges)
        if len(grads) == 1:
            g = grads[0]
        else:
            g = tuple(
                _zeros(meta, grads, create_graph) if item is None else item for item, meta in zip(grads, node.meta)
            )
        if self.joint is not None:
            result = self.joint(node, g, needs, create_graph)
            return list(result) if isinstance(result, tuple | list) else [result]
        results: list[Any] = []
        for name, wanted in zip(self.inputs, needs):
            rule = self.rules.get(name) if wanted else None
            results.append(None if rule is None else rule(node, g, needs, create_graph))
        return results


def values_of_attributes(record: Op, values: list[Any]) -> dict[str, Any]:
    """The arguments that are not tensors, by name."""
    return {name: value for name, value in zip(record.params, values) if name not in record.inputs}


def _explain_shapes(record: Op, values: list[Any], error: ValueError) -> None:
    """RuntimeError in torch's words where NumPy could not broadcast the inputs of an elementwise op."""
    if record.kind is None or "broadcast" not in str(error):
        return
    shapes = [values[slot].shape for slot in record.slots if hasattr(values[slot], "shape")]
    for number in range(1, max(map(len, shapes)) + 1):
        lengths = {shape[-number] for shape in shapes if len(shape) >= number} - {1}
        if len(lengths) > 1:
            a, b = (shape[-number] for shape in shapes[:2])
            where = max(map(len, shapes)) - number
            raise RuntimeError(
                f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension {where}"
            ) from None


def _zeros(meta: tuple[tuple[int, ...], Any], grads: list[Any], create_graph: bool) -> Any:
    if create_graph:
        return Tensor._wrap(np.zeros(*meta))
    sample = next((grad for grad in grads if grad is not None), None)
    return (np if sample is None else array_module(sample)).zeros(*meta)


def _can_require_grad(kind: str) -> bool:
    return kind in "fcV"  # ml_dtypes' bfloat16 reports kind V


def _mentions(annotation: Any, *kinds: Any) -> bool:
    """Whether an annotation is one of the kinds, or a union with it."""
    return annotation in kinds or any(part in kinds for part in typing.get_args(annotation))


def _to(value: Any, dtype: Any, xp: Any) -> Any:
    """An array, or a number that NumPy would not treat as weak, in the given type."""
    own = getattr(value, "dtype", None)
    if own is None:
        if CATEGORY[dtype] < FLOATING or dtype.kind == "V" or category_of_number(value) == BOOL:
            return xp.asarray(value).astype(dtype)
        return value
    return value if own == dtype else value.astype(dtype)


def _write_out(out: Tensor, result: Any, name: str) -> Tensor:
    """`out=`: the result into a given tensor."""
    if out.requires_grad and modes.flags & GRAD:
        raise RuntimeError(f"{name}(): functions with out=... arguments don't support automatic differentiation")
    have, want = out._data.dtype, result._data.dtype
    if have != want and (TABLE[name].kind is None or CATEGORY[want] > CATEGORY[have]):
        raise RuntimeError(
            f"{name.lstrip('_')}(): Expected out tensor to have dtype {result.dtype.name}, but got {out.dtype.name} "
            "instead"
        )
    if out.shape != result.shape:
        if out.numel():
            raise RuntimeError(
                f"{name}(): out= has shape {list(out.shape)}, the result {list(result.shape)}: resize it first"
            )
        out._data = np.empty(result.shape, out._data.dtype)
    out._data[...] = result._data
    out._shared().version += 1
    return out
