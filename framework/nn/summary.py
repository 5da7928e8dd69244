"""A table of a model's layers: output shapes, parameters, multiply-adds and memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.nn.modules.attention import MultiheadAttention
from framework.nn.modules.conv import _ConvNd
from framework.nn.modules.linear import Bilinear, Linear
from framework.nn.modules.module import Module
from framework.nn.modules.rnn import RNNBase, RNNCellBase
from framework.nn.parameter import is_lazy
from framework.nn.utils.rnn import PackedSequence


@dataclass
class Layer:
    """One call of one module. `parameters` and `trainable` are its own and its children's; 0 at a repeated call."""

    name: str
    kind: str
    depth: int
    output: str = ""
    parameters: int = 0
    trainable: int = 0
    mult_adds: int = 0
    output_bytes: int = 0
    repeated: bool = False
    leaf: bool = True


@dataclass
class Summary:
    """What `summary` found; printing it shows the table.

    `mult_adds` counts the multiply-adds of convolutions, linear and recurrent layers and attention, one for each
    product and sum (FLOPs are twice that); what functions do outside of modules is not seen. `activation_bytes` adds up
    the outputs of all innermost modules, as training keeps them; `input_bytes` and `parameter_bytes` count each once.
    """

    layers: list[Layer] = field(default_factory=list)
    parameters: int = 0
    trainable: int = 0
    buffers: int = 0
    mult_adds: int = 0
    input_bytes: int = 0
    parameter_bytes: int = 0
    activation_bytes: int = 0
    depth: int = 3

    @property
    def flops(self) -> int:
        """Floating-point operations of one forward pass, two for each multiply-add."""
        return 2 * self.mult_adds

    def __str__(self) -> str:
        heads = ("Layer", "Output shape", "Parameters", "Mult-adds")
        rows = [heads, *(_cells(layer) for layer in self._shown())]
        widths = [max(len(row[k]) for row in rows) for k in range(4)]
        lines = [
            "  ".join(
                cell.ljust(width) if k < 2 else cell.rjust(width) for k, (cell, width) in enumerate(zip(row, widths))
            )
            for row in rows
        ]
        rule = "─" * max(len(line) for line in lines)
        return "\n".join([lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:]), rule, *self._totals()])

    __repr__ = __str__

    def __rich__(self) -> Any:
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for head in ("Layer", "Output shape"):
            table.add_column(head, no_wrap=True)
        for head in ("Parameters", "Mult-adds"):
            table.add_column(head, justify="right")
        for layer in self._shown():
            table.add_row(*map(Text, _cells(layer)), style=None if layer.leaf else "bold")
        return Group(table, *map(Text, self._totals()))

    def _repr_html_(self) -> str:
        """For notebooks."""
        from html import escape

        heads = "".join(f"<th>{head}</th>" for head in ("Layer", "Output shape", "Parameters", "Mult-adds"))
        rows = ("".join(f"<td>{escape(cell)}</td>" for cell in _cells(layer)) for layer in self._shown())
        body = "".join(f"<tr style='white-space:pre'>{row}</tr>" for row in rows)
        totals = "<br>".join(map(escape, self._totals()))
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table><p>{totals}</p>"

    def _shown(self) -> Iterator[Layer]:
        return (layer for layer in self.layers if layer.depth <= self.depth)

    def _totals(self) -> list[str]:
        frozen = self.parameters - self.trainable
        buffers = f"; buffers {self.buffers:,}" if self.buffers else ""
        total = self.input_bytes + self.parameter_bytes + self.activation_bytes
        return [
            f"Parameters {self.parameters:,} (trainable {self.trainable:,}, frozen {frozen:,}){buffers}",
            f"Mult-adds {_short(self.mult_adds).strip()} ({_short(self.flops)}FLOPs)",
            f"Memory {_size(total)}: input {_size(self.input_bytes)}, parameters and buffers "
            f"{_size(self.parameter_bytes)}, activations for training {_size(self.activation_bytes)}",
        ]


def summary(
    model: Module,
    input: Any,
    *,
    depth: int = 3,
    dtype: Any = None,
    device: Any = None,
    train: bool = False,
    **kwargs: Any,
) -> Summary:
    """Run the model once, without gradients, and report each layer's output shape, parameters and multiply-adds.

    `input`: a shape such as (1, 1, 96, 96, 96); a tensor; or a sequence of shapes or tensors for several arguments
    (further ones by keyword). Shapes become zeros of `dtype` (float32). Layers deeper than `depth` are counted and not
    shown. Batch statistics are left as they are unless `train`.
    """
    arguments = _arguments(input, dtype, device)
    report = Summary(depth=depth)
    seen: set[int] = set()
    stack: list[Layer] = []
    handles = []
    names = {id(module): name for name, module in model.named_modules()}
    was = {module: module.training for module in model.modules()}

    def enter(module: Module, given: Any) -> None:
        name = names.get(id(module), "").rpartition(".")[2] or "model"
        layer = Layer(name, type(module).__name__, len(stack), repeated=id(module) in seen)
        if stack:
            stack[-1].leaf = False
        stack.append(layer)
        report.layers.append(layer)

    def leave(module: Module, args: Any, named: dict[str, Any], output: Any) -> None:
        layer = stack.pop()
        tensors = list(_tensors(output))
        layer.output = ", ".join("×".join(map(str, t.shape)) or "scalar" for t in tensors)
        layer.output_bytes = sum(t.nbytes for t in tensors)
        layer.mult_adds += _mult_adds(module, list(_tensors((args, named))), tensors)
        if id(module) not in seen:
            seen.add(id(module))
            kept = [p for p in module.parameters() if not is_lazy(p)]
            layer.parameters = sum(p.numel() for p in kept)
            layer.trainable = sum(p.numel() for p in kept if p.requires_grad)
        if stack:
            stack[-1].mult_adds += layer.mult_adds

    try:
        model.train(train)
        for module in model.modules():
            handles.append(module.register_forward_pre_hook(enter))
            handles.append(module.register_forward_hook(leave, with_kwargs=True, prepend=True))
        with framework.no_grad():
            model(*arguments, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in was.items():
            module.training = mode
    parameters, buffers = list(model.parameters()), list(model.buffers())
    report.parameters = sum(p.numel() for p in parameters)
    report.trainable = sum(p.numel() for p in parameters if p.requires_grad)
    report.buffers = sum(b.numel() for b in buffers)
    report.parameter_bytes = sum(t.nbytes for t in (*parameters, *buffers))
    report.input_bytes = sum(t.nbytes for t in _tensors((arguments, kwargs)))
    report.mult_adds = report.layers[0].mult_adds
    report.activation_bytes = sum(layer.output_bytes for layer in report.layers if layer.leaf)
    return report


def _arguments(input: Any, dtype: Any, device: Any) -> list[Any]:
    def made(item: Any) -> Any:
        if isinstance(item, Tensor):
            return item
        if isinstance(item, Sequence) and item and all(isinstance(n, int) for n in item):
            return framework.zeros(*item, dtype=dtype or framework.float32, device=device)
        raise TypeError(f"summary takes shapes and tensors, got {item!r}")

    if isinstance(input, Tensor) or (isinstance(input, Sequence) and input and isinstance(input[0], int)):
        return [made(input)]
    if not isinstance(input, Sequence) or isinstance(input, str):
        raise TypeError(f"summary takes a shape, a tensor, or a sequence of them, got {type(input).__name__}")
    return [made(item) for item in input]


def _mult_adds(module: Any, inputs: list[Tensor], outputs: list[Tensor]) -> int:
    """Products of one call of an innermost module; 0 for those that only add, compare or copy."""
    if not outputs or not inputs:
        return 0
    if isinstance(module, _ConvNd):
        taps = math.prod(module.kernel_size)
        positions = inputs[0].numel() if module.transposed else outputs[0].numel()
        channels = module.out_channels if module.transposed else module.in_channels
        return positions * channels // module.groups * taps
    if isinstance(module, Linear):
        return outputs[0].numel() * module.in_features
    if isinstance(module, Bilinear):
        return outputs[0].numel() * module.in1_features * (module.in2_features + 1)
    if isinstance(module, RNNBase):
        rows = inputs[0].numel() // module.input_size
        return rows * sum(w.numel() for name, w in module.named_parameters() if name.startswith("weight"))
    if isinstance(module, RNNCellBase):
        rows = inputs[0].numel() // module.input_size
        return rows * (module.weight_ih.numel() + module.weight_hh.numel())
    if isinstance(module, MultiheadAttention):
        query, key, value = (*inputs, inputs[-1], inputs[-1])[:3]
        width, queries, keys = module.embed_dim, query.numel() // query.shape[-1], key.numel() // key.shape[-1]
        length = key.shape[1 if module.batch_first and key.ndim == 3 else 0]
        projections = 2 * queries * width * width + keys * width * (key.shape[-1] + value.shape[-1])
        return projections + 2 * queries * length * width
    return 0


def _tensors(nest: Any) -> Iterator[Tensor]:
    if isinstance(nest, Tensor):
        yield nest
    elif isinstance(nest, PackedSequence):
        yield nest.data
    elif isinstance(nest, Mapping):
        for value in nest.values():
            yield from _tensors(value)
    elif isinstance(nest, list | tuple):
        for value in nest:
            yield from _tensors(value)


def _cells(layer: Layer) -> tuple[str, str, str, str]:
    label = f"{'  ' * layer.depth}{layer.name} ({layer.kind})"
    parameters = "repeated" if layer.repeated else f"{layer.parameters:,}" if layer.parameters else "-"
    return label, layer.output, parameters, _short(layer.mult_adds).strip() if layer.mult_adds else "-"


def _short(count: int) -> str:
    """12.3 M: three figures and a unit, with a space for the unit's place."""
    value = float(count)
    for unit in ("", "k", "M", "G", "T"):
        if value < 999.5:
            return f"{count} " if not unit else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} P"


def _size(count: int) -> str:
    """Bytes in binary units."""
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 999.5:
            return f"{value:.3g} {unit}"
    return f"{value / 1024:.3g} TiB"
