"""The short way into an op, written for it: the common call as straight code, everything else left to `Op.call`.

A record knows its parameters, its type rule, what its derivative saves. From that its public function is written out
as Python source and compiled when the op is first called: arguments are bound by Python itself, nothing is looped over
or looked up, and one test of the thread's modes decides whether the short way is open. It serves tensors (or arrays, in
an ordinary backward) on the CPU that need no conversion; `out=`, other modes, devices and types take `Op.call`, which
is the definition of what an op does.
"""

import linecache
import textwrap
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from framework.core.dtype import CATEGORY, FLOATING
from framework.core.kernels import backend_kernel
from framework.core.modes import GRAD, INFERENCE, modes
from framework.core.node import Cell, Node, sequence
from framework.core.quiet import SILENT, hush, restore
from framework.core.tensor import Tensor

_NAMES: dict[str, Any] = {
    "_Tensor": Tensor, "_ndarray": np.ndarray, "_generic": np.generic, "_asarray": np.asarray, "_np": np,
    "_modes": modes, "_new": object.__new__, "_Node": Node, "_Cell": Cell, "_next": next, "_sequence": sequence,
    "_hush": hush, "_restore": restore, "_SILENT": SILENT, "_NOTHING": {}, "_NUMBERS": frozenset((float, int)),
    "_WEAK": frozenset(np.dtype(name) for name in ("float16", "float32", "float64", "complex64", "complex128")),
    "_WIDE": frozenset(np.dtype(name) for name in ("float32", "float64", "complex64", "complex128")),
    "_FLOATS": frozenset(dtype for dtype, category in CATEGORY.items() if category >= FLOATING),
}  # fmt: skip
_UNUSUAL = ~(GRAD | INFERENCE)
_LARGE = 1 << 20  # bytes from which a ufunc's kernel is taken, on all threads and recycled memory


def public_function(record: Any) -> Callable[..., Any]:
    """The public function of a record: it writes itself out when first called."""

    def function(*args: Any, **kwargs: Any) -> Any:
        return _write_out()(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821

    names = dict(_NAMES, __name__=record.forward.__module__)
    public = FunctionType(function.__code__, names, record.name)
    public.__module__ = record.forward.__module__
    public.__qualname__ = record.name
    public.__doc__ = record.forward.__doc__
    public.__wrapped__ = _Described(record)  # type: ignore[attr-defined]

    def write_out() -> Any:
        """Give the function its final code; from then on nothing of this module stands in the way."""
        written = _compiled(public_source(record), record.name, names | _bindings(record))
        public.__globals__.update(written.__globals__)
        public.__defaults__ = record.forward.__defaults__
        public.__kwdefaults__ = (record.forward.__kwdefaults__ or {}) | {"out": None}
        public.__code__ = written.__code__  # last: another thread may be calling
        return public

    names["_write_out"] = write_out
    return public


def derivative(record: Any) -> Callable[[Node, Any], list[Any]]:
    """`Op.pull` written out: (node, gradient of its output) -> gradients of the inputs on arrays, the last first."""
    if record.lists:
        return lambda node, g: record.pull(node, [g], False, None)[::-1]
    rules = {f"_rule_{name}": rule.function for name, rule in record.rules.items()}
    if record.joint is not None:
        rules["_joint"] = record.joint.function
    return _compiled(derivative_source(record), "derivative", {"_shape": _shape_behind, **rules})


def public_source(record: Any) -> str:
    """The source of a record's public function."""
    keyword = record.params[record.positional :]
    positional = record.params[: record.positional]
    signature = ", ".join([*(_parameter(record, name) for name in positional), "*", *keyword, "out"])
    general = (
        f"return _general(({''.join(f'{name}, ' for name in positional)}), "
        f"{{{''.join(f'{name!r}: {name}, ' for name in keyword)}'out': out}})"
    )
    if record.lists:
        return f"def {record.name}({signature}):\n    {general}\n"
    body = _body(record).replace("<general>", general)
    return (
        f"def {record.name}({signature}):\n"
        f"    _flags = _modes.flags\n"
        f"    if _flags & {_UNUSUAL} or out is not None{_default_test(record)}:\n"
        f"        {general}\n{textwrap.indent(body, '    ')}"
    )


def derivative_source(record: Any) -> str:
    """The source of a record's derivative on arrays; `node.saved`, `node.attrs` and the edges hold what rules name."""
    edges = [f"_e{number}" for number in range(len(record.inputs))]
    lines = ["def derivative(node, g):", f"    {', '.join(edges)}, = node.edges"]
    lines += ["    saved = node.saved"] * bool(record.saves) + ["    attrs = node.attrs"]
    rules = [record.joint] if record.joint is not None else list(record.rules.values())
    if any("needs" in rule.names for rule in rules):
        lines.append(f"    needs = ({''.join(f'{edge} is not None, ' for edge in edges)})")
    if record.joint is not None:
        lines.append(f"    result = _joint({_arguments(record, record.joint)})")
        lines.append("    return list(result)[::-1] if isinstance(result, tuple | list) else [result]")
        return "\n".join(lines) + "\n"
    parts = []
    for edge, name in zip(edges, record.inputs):
        rule = record.rules.get(name)
        if rule is None:
            parts.append("None")
        else:
            parts.append(f"None if {edge} is None else _rule_{name}({_arguments(record, rule)})")
    lines.append(f"    return [{', '.join(reversed(parts))}]")
    return "\n".join(lines) + "\n"


class _Described:
    """Carries the signature for help() and inspect.signature, computed only when asked for."""

    def __init__(self, record: Any) -> None:
        self._record = record
        self.__name__ = record.name

    @property
    def __signature__(self) -> Any:
        import inspect

        signature = inspect.signature(self._record.forward)  # the first parameter is the array module
        return signature.replace(parameters=list(signature.parameters.values())[1:])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._record.call(args, kwargs)


# -- pieces of source --------------------------------------------------------------------------------------------------


def _parameter(record: Any, name: str) -> str:
    return f"{name}=None" if name in record.defaults else name  # the default itself is put in place afterwards


def _default_test(record: Any) -> str:
    """A ufunc serves only when every attribute has its default."""
    if record.ufunc is None:
        return ""
    attributes = [name for name in record.params if name not in record.inputs]
    return "".join(f" or {name} is not _default_{name}" for name in attributes)


def _body(record: Any) -> str:
    """Arrays first (an ordinary backward computes and records nothing), then tensors, then a tensor with a number."""
    inputs = record.inputs
    lines = [f"if type({inputs[0]}) is _ndarray:", *_indent(_raw(record), 1)]
    tensors = " and ".join(f"isinstance({name}, _Tensor)" for name in inputs if name not in record.optional)
    lines.append(f"elif {tensors}:")
    for number, name in enumerate(inputs):
        if name in record.optional:
            lines += [
                f"    if {name} is None:",
                f"        _d{number} = _e{number} = None",
                f"    elif isinstance({name}, _Tensor):",
                f"        _d{number} = {name}._data",
                f"        _e{number} = {name}._edge",
                "    else:",
                "        <general>",
            ]
        else:
            lines += [f"    _d{number} = {name}._data", f"    _e{number} = {name}._edge"]
    arrays = [f"_d{number}" for number in range(len(inputs))]
    lines += [f"    if not ({_served(record, arrays)}):", "        <general>"]
    lines += _indent(_measured(record, arrays), 1)
    if _takes_numbers(record):
        first, second = inputs
        for number, (tensor, other) in enumerate(((first, second), (second, first))):
            lines += [
                f"elif isinstance({tensor}, _Tensor) and type({other}) in _NUMBERS:",
                f"    _d{number} = {tensor}._data",
                f"    _e{number} = {tensor}._edge",
                f"    _d{1 - number} = {other}",
                f"    _e{1 - number} = None",
                f"    if type(_d{number}) is not _ndarray or _d{number}.dtype not in {_weak(record)}:",
                "        <general>",
                *_indent(_measured(record, [f"_d{number}"]), 1),
            ]
        lines += [
            f"elif type({second}) is _ndarray and type({first}) in _NUMBERS and {second}.dtype in {_weak(record)}:",
            *_indent(_measured(record, [second]), 1),
            *_indent(_compute(record, list(inputs)), 1),
            "    return _result",
        ]
    lines += ["else:", "    <general>", *_computed(record, arrays), *_wrapped(record)]
    return "\n".join(lines) + "\n"


def _served(record: Any, arrays: list[str]) -> str:
    """The test that all inputs are NumPy arrays (or absent, where they may be) of a type that needs no conversion."""
    tests = []
    for array, name in zip(arrays, record.inputs):
        like = record.kind is not None and array != arrays[0]
        test = f"type({array}) is _ndarray" + f" and {array}.dtype is {arrays[0]}.dtype" * like
        tests.append(f"({array} is None or {test})" if name in record.optional else test)
    if record.kind == "float" or (record.ufunc is not None and record.kind != "bool"):
        tests.append(f"{arrays[0]}.dtype in {'_WIDE' if record.wide else '_FLOATS'}")
    elif record.wide:  # half precision is converted by the general way
        tests.append(f"{arrays[0]}.itemsize != 2")
    return " and ".join(tests)


def _takes_numbers(record: Any) -> bool:
    return record.kind is not None and len(record.inputs) == 2 and not record.optional


def _weak(record: Any) -> str:
    """The types that stay what they are beside a Python number."""
    return "_WIDE" if record.wide else "_WEAK"


def _raw(record: Any) -> list[str]:
    """On arrays."""
    served = _served(record, list(record.inputs))
    if _takes_numbers(record):
        served += f" or type({record.inputs[1]}) in _NUMBERS and {record.inputs[0]}.dtype in {_weak(record)}"
    return [
        f"if {served}:",
        *_indent(_measured(record, [record.inputs[0]]), 1),
        *_indent(_compute(record, list(record.inputs)), 1),
        "    return _result",
        "<general>",
    ]


def _measured(record: Any, arrays: list[str]) -> list[str]:
    """The size by which a ufunc that has a kernel for large arrays chooses."""
    if record.ufunc is None or not record.has_kernel:
        return []
    return [f"_bytes = {' + '.join(f'{array}.nbytes' for array in arrays)}"]


def _compute(record: Any, arrays: list[str]) -> list[str]:
    """The statements that compute: a ufunc, a backend's kernel with the reference behind it, or the reference."""
    if record.ufunc is not None:
        call = f"_ufunc({', '.join(arrays)})"
        if not record.has_kernel:
            return [f"_result = {call}"]
        return [
            f"_result = {call} if _bytes < {_LARGE} else _kernel({', '.join(arrays)})",
            "if _result is NotImplemented:",
            f"    _result = {call}",
        ]
    given = dict(zip(record.inputs, arrays))
    values = [given.get(name, name) for name in record.params]
    keyword = [f"{name}={value}" for name, value in zip(record.params, values)][record.positional :]
    reference = f"_result = _forward({', '.join(['_np', *values[: record.positional], *keyword])})"
    if not record.has_kernel:
        return [reference]
    return [f"_result = _kernel({', '.join(values)})", "if _result is NotImplemented:", f"    {reference}"]


def _computed(record: Any, arrays: list[str]) -> list[str]:
    """The computation of tensors: NumPy keeps its floating-point warnings to itself, views cannot give any."""
    if record.view:
        return _compute(record, arrays)
    lines = ["_token = _hush(_SILENT)", "try:", *_indent(_compute(record, arrays), 1)]
    if record.kind is not None:
        lines += ["except ValueError:", "    <general>  # whose message names the shapes"]
    return [*lines, "finally:", "    _restore(_token)"]


def _wrapped(record: Any) -> list[str]:
    """The result as a tensor, with a node when a derivative is wanted."""
    values = "".join(
        f"_d{record.inputs.index(name)}, " if name in record.inputs else f"{name}, " for name in record.params
    )
    lines = []
    if record.ufunc is None or record.kind is None:
        lines += [
            "if type(_result) is not _ndarray:",
            "    if not isinstance(_result, _generic):",
            f"        return _wrap_any(_result, [{values}], [{', '.join(record.inputs)}])",
            "    _result = _asarray(_result)",
        ]
    else:  # a ufunc makes scalars of 0-d arrays, and nothing else
        lines += ["if type(_result) is not _ndarray:", "    _result = _asarray(_result)"]
    lines += ["_out = _new(_Tensor)", "_out._data = _result", "_out._edge = _out._cell = None"]
    if record.view:
        lines.append(f"_mark_view(_record, {record.inputs[0]}, [{values}], _out)")
    unrecorded = [f"if _flags & {INFERENCE}:", "    _out._inference = True", "return _out"]
    if not (record.rules or record.joint):
        return [*lines, *unrecorded]
    edges = [f"_e{number}" for number in range(len(record.inputs))]
    nothing = " and ".join(f"{edge} is None" for edge in edges)
    kind = "" if record.kind in ("promote", "float") else " or _result.dtype.kind not in 'fcV'"
    lines += [
        f"if _flags != {GRAD} or ({nothing}){kind}:",
        *_indent(unrecorded, 1),
        "_node = _new(_Node)",
        "_node.op = _record",
        f"_node.edges = ({''.join(f'{edge}, ' for edge in edges)})",
        "_node.meta = ((_result.shape, _result.dtype),)",
        *_attributes(record),
        *_saving(record),
        "_node.sequence = _next(_sequence)",
        "_out._edge = (_node, 0)",
        "return _out",
    ]
    return lines


def _attributes(record: Any) -> list[str]:
    attributes = [name for name in record.params if name not in record.inputs]
    if not attributes:
        return ["_node.attrs = _NOTHING"]
    if record.ufunc is not None:  # which serves only when every attribute has its default
        return ["_node.attrs = _defaults"]
    return [f"_node.attrs = {{{', '.join(f'{name!r}: {name}' for name in attributes)}}}"]


def _saving(record: Any) -> list[str]:
    """What the rules of the wanted gradients name, with the write counts it must still have at the backward pass."""
    if not record.saves:
        return ["_node.saved = _node.versions = ()"]
    lines = ["_saved = _node.saved = {}", "_versions = _node.versions = []"]
    for name in record.saves:
        if name in record.inputs:
            source, array = name, f"_d{record.inputs.index(name)}"
        else:
            source, array = "_out", "_result"
        keep = [
            f"_saved[{name!r}] = {array}",
            f"_cell = {source}._cell",
            "if _cell is None:",
            f"    _cell = {source}._cell = _Cell()",
            "_versions.append((_cell, _cell.version))",
        ]
        if name in record.inputs and (name in record.optional or _takes_numbers(record)):
            keep = [keep[0], f"if isinstance({source}, _Tensor):", *_indent(keep[1:], 1)]
        users = [f"_e{n}" for n, each in enumerate(record.inputs) if _uses(record, each, name)]
        if len(record.inputs) > 1 and record.joint is None:
            lines += [f"if {' or '.join(f'{edge} is not None' for edge in users)}:", *_indent(keep, 1)]
        else:
            lines += keep
    return lines


def _uses(record: Any, source: str, name: str) -> bool:
    """Whether the gradient of one input needs a saved name."""
    rule = record.rules.get(source)
    return rule is not None and name in rule.saved_names


def _arguments(record: Any, rule: Any) -> str:
    """The arguments of a rule, each where it is kept."""
    parts = ["g"]
    for name in rule.names:
        if name in rule.saved_names:
            parts.append(f"saved[{name!r}]")
        elif name == "needs":
            parts.append("needs")
        elif name.endswith("_shape") and name not in record.params:
            parts.append(f"_shape(_e{record.inputs.index(name[:-6])})")
        else:
            parts.append(f"attrs[{name!r}]")
    return ", ".join(parts)


def _shape_behind(edge: Any) -> Any:
    return None if edge is None else edge[0].meta[edge[1]][0]


def _indent(lines: list[str], by: int) -> list[str]:
    return ["    " * by + line for line in lines]


def _bindings(record: Any) -> dict[str, Any]:
    from framework.core.views import mark_view

    names = {"_general": record.call, "_record": record, "_forward": record.forward, "_mark_view": mark_view,
             "_wrap_any": record.wrap}  # fmt: skip
    if record.ufunc is not None:
        names["_ufunc"] = record.ufunc
        names["_defaults"] = record.defaults
        names |= {f"_default_{name}": value for name, value in record.defaults.items()}
    if record.has_kernel:
        names["_kernel"] = backend_kernel(record)
    return names


def _compiled(source: str, name: str, names: dict[str, Any]) -> Any:
    file = f"{__file__} <{name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)  # for tracebacks and debuggers
    exec(compile(source, file, "exec"), names)
    return names[name]
