"""Recurrent layers and their single steps: Elman networks, LSTM (Hochreiter & Schmidhuber 1997), GRU (Cho et al. 2014).

Layouts are (T, N, C), (N, T, C) with `batch_first`, or (T, C) without a batch. Gates stand in PyTorch's order.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.nn import functional as F
from framework.nn import init
from framework.nn.modules.module import Module
from framework.nn.parameter import Parameter
from framework.nn.utils.rnn import PackedSequence
from framework.ops.recurrent import recurrent, recurrent_lower

State = tuple[Tensor, ...]


class RNNBase(Module):
    """A recurrent layer: `gates` blocks of rows in each weight, `states` tensors carried from step to step."""

    gates = 1
    states = 1
    cell = "tanh"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if size <= 0:
                raise ValueError(f"{name} must be greater than zero, got {size}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"proj_size ({proj_size}) has to be at least 0 and smaller than hidden_size")
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"dropout should be a number in range [0, 1], got {dropout}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"dropout={dropout} has no effect with num_layers=1: it stands between layers, not after the last",
                stacklevel=3,
            )
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional = batch_first, float(dropout), bidirectional
        self.proj_size = proj_size
        rows, out = self.gates * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else out * (2 if bidirectional else 1)
            for end in self._ends(layer):
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width), "weight_hh": (rows, out)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for name, shape in shapes.items():
                    setattr(self, name + end, Parameter(framework.empty(*shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """Outputs of the last layer at every time, and the last states (layers * directions, N, hidden).

        Of a `PackedSequence` outputs are packed too, and each sequence's state is that of its own end.
        """
        packed = isinstance(input, PackedSequence)
        if packed:
            x, batched = input.data, True
            self._check_width(x)
            sizes = tuple(input.batch_sizes.tolist())
        else:
            if input.ndim not in (2, 3):
                tensor = " tensor" if self.cell in ("tanh", "relu") else ""
                raise ValueError(f"{self._kind()}: Expected input to be 2D or 3D, got {input.ndim}D{tensor} instead")
            batched = input.ndim == 3
            x = input.unsqueeze(1) if not batched else input.transpose(0, 1) if self.batch_first else input
            self._check_width(x)
            time, count = x.shape[:2]
            if not time:
                raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
            sizes, x = (count,) * time, x.reshape(time * count, self.input_size)
        start = self._start(x, hx, sizes[0], batched)
        if packed and hx is not None and input.sorted_indices is not None:
            start = tuple(state.index_select(1, input.sorted_indices) for state in start)
        x, finals = self._layers(x, start, sizes)
        if packed:
            if input.unsorted_indices is not None:
                finals = tuple(final.index_select(1, input.unsorted_indices) for final in finals)
            output: Any = PackedSequence(x, input.batch_sizes, input.sorted_indices, input.unsorted_indices)
        else:
            output = x.reshape(time, count, -1)
            if not batched:
                output, finals = output.squeeze(1), tuple(final.squeeze(1) for final in finals)
            elif self.batch_first:
                output = output.transpose(0, 1)
        return output, finals if self.states > 1 else finals[0]

    def flatten_parameters(self) -> None:
        """Nothing: torch joins the weights in memory here, for cuDNN; these kernels read them where they lie."""

    @property
    def mode(self) -> str:
        """torch's name of the kind: RNN_TANH, RNN_RELU, LSTM or GRU."""
        return self.cell.upper() if self.cell in ("lstm", "gru") else f"RNN_{self.cell.upper()}"

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return [
            [getattr(self, name + end) for name in names if hasattr(self, name + end)]
            for layer in range(self.num_layers)
            for end in self._ends(layer)
        ]

    def extra_repr(self) -> str:
        shown = [f"{self.input_size}, {self.hidden_size}"]
        usual = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        shown += [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join(shown)

    def _ends(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"] if self.bidirectional else [f"_l{layer}"]

    def _kind(self) -> str:
        return self.cell.upper() if self.cell in ("lstm", "gru") else "RNN"

    def _check_width(self, x: Tensor) -> None:
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {x.shape[-1]}"
            )

    def _start(self, x: Tensor, hx: Any, count: int, batched: bool) -> State:
        """The first states (layers * directions, N, size): those given, or zeros."""
        layers = self.num_layers * (2 if self.bidirectional else 1)
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)[: self.states]
        if hx is None:
            return tuple(framework.zeros(layers, count, size, dtype=x.dtype, device=x.device) for size in sizes)
        given = tuple(hx) if self.states > 1 else (hx,)
        ndim = 3 if batched else 2
        if any(state.ndim != ndim for state in given):
            what = ("hx and cx", ", ".join(f"{state.ndim}-D" for state in given)) if self.states > 1 else ("hx", "")
            found = f"({what[1]}) tensors" if self.states > 1 else f"{hx.ndim}-D tensor"
            kind = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(f"For {kind} input, {what[0]} should also be {ndim}-D but got {found}")
        if not batched:
            given = tuple(state.unsqueeze(1) for state in given)
        for k, (state, size) in enumerate(zip(given, sizes, strict=True)):
            if tuple(state.shape) != (layers, count, size):
                name = f"hidden[{k}]" if self.states > 1 else "hidden"
                raise RuntimeError(f"Expected {name} size {(layers, count, size)}, got {list(state.shape)}")
        return given

    def _layers(self, x: Tensor, start: State, sizes: tuple[int, ...]) -> tuple[Tensor, State]:
        """All layers on the rows (sum of sizes, C): the last one's outputs, and every layer's last states."""
        ends: list[State] = []
        for layer in range(self.num_layers):
            runs = []
            for end in self._ends(layer):
                w_ih, w_hh, b_ih, b_hh, w_hr = (
                    getattr(self, name + end, None)
                    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
                )
                state = [first[len(ends)] for first in start]
                cell = state[1] if self.states > 1 else None
                run = recurrent if self.cell == "gru" else recurrent_lower
                # The input's part of all times is one product.
                parts, reverse = F.linear(x, w_ih, b_ih), end.endswith("_reverse")
                keep = framework.is_grad_enabled()
                outputs, h, c, _ = run(parts, w_hh, b_hh, state[0], cell, w_hr, self.cell, sizes, reverse, keep)
                runs.append(outputs)
                ends.append((h, c))
            x = runs[0] if len(runs) == 1 else framework.cat(runs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(framework.stack([last[k] for last in ends]) for k in range(self.states))


class RNN(RNNBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or ReLU in place of tanh."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        _activation(nonlinearity)
        self.nonlinearity = self.cell = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory; states are (h, c), and `proj_size` projects h (Sak et al. 2014)."""

    gates, states, cell = 4, 2, "lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        )


class GRU(RNNBase):
    """Gated recurrent unit; the reset gate multiplies W_hn h + b_hn, as in cuDNN."""

    gates, cell = 3, "gru"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )


class RNNCellBase(Module):
    """A recurrent cell: one step, of `gates` blocks of rows in each weight."""

    gates = 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool, device: Any, dtype: Any) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows, kind = self.gates * hidden_size, {"device": device, "dtype": dtype}
        self.weight_ih = Parameter(framework.empty(rows, input_size, **kind))
        self.weight_hh = Parameter(framework.empty(rows, hidden_size, **kind))
        self.register_parameter("bias_ih", Parameter(framework.empty(rows, **kind)) if bias else None)
        self.register_parameter("bias_hh", Parameter(framework.empty(rows, **kind)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")

    def _parts(self, input: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The input's and the hidden state's part of the gates, and the hidden state (zeros if None)."""
        if input.ndim not in (1, 2):
            raise ValueError(f"{type(self).__name__}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        if hidden is None:
            hidden = framework.zeros(*input.shape[:-1], self.hidden_size, dtype=input.dtype, device=input.device)
        elif tuple(hidden.shape) != (*input.shape[:-1], self.hidden_size):
            raise ValueError(
                f"{type(self).__name__}: Expected hidden to be {(*input.shape[:-1], self.hidden_size)}, "
                f"got {tuple(hidden.shape)} instead"
            )
        return (
            F.linear(input, self.weight_ih, self.bias_ih),
            F.linear(hidden, self.weight_hh, self.bias_hh),
            hidden,
        )


class RNNCell(RNNCellBase):
    """One step of `RNN`: input (N, C) or (C), hidden (N, hidden) or (hidden)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity
        self._activation = _activation(nonlinearity)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        from_input, from_hidden, _ = self._parts(input, hx)
        return self._activation(from_input + from_hidden)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of `LSTM`: input (N, C) or (C), states (h, c) in and out."""

    gates = 4

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> State:
        from_input, from_hidden, zeros = self._parts(input, None if hx is None else hx[0])
        return _lstm_step(from_input, from_hidden, zeros if hx is None else hx[1])


class GRUCell(RNNCellBase):
    """One step of `GRU`: input (N, C) or (C), hidden (N, hidden) or (hidden)."""

    gates = 3

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return _gru_step(*self._parts(input, hx))


def _activation(name: str) -> Callable[[Tensor], Tensor]:
    known = {"tanh": F.tanh, "relu": F.relu}
    if name not in known:
        raise ValueError(f"Unknown nonlinearity '{name}'. Select from 'tanh' or 'relu'.")
    return known[name]


def _lstm_step(from_input: Tensor, from_hidden: Tensor, cell: Tensor) -> State:
    keep_in, forget, new, out = (from_input + from_hidden).chunk(4, -1)
    cell = F.sigmoid(forget) * cell + F.sigmoid(keep_in) * F.tanh(new)
    return F.sigmoid(out) * F.tanh(cell), cell


def _gru_step(from_input: Tensor, from_hidden: Tensor, hidden: Tensor) -> Tensor:
    reset_x, update_x, new_x = from_input.chunk(3, -1)
    reset_h, update_h, new_h = from_hidden.chunk(3, -1)
    new = F.tanh(new_x + F.sigmoid(reset_x + reset_h) * new_h)
    return new + F.sigmoid(update_x + update_h) * (hidden - new)
