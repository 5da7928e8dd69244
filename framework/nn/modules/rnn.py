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

State = tuple[Tensor, ...]


class _Recurrent(Module):
    """A recurrent layer: `gates` blocks of rows in each weight, `states` tensors carried from step to step."""

    gates = 1
    states = 1

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

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        """Outputs of the last layer at every time, and the last states (layers * directions, N, hidden)."""
        name = type(self).__name__
        if input.ndim not in (2, 3):
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.ndim}D instead")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}"
            )
        batched = input.ndim == 3
        x = input.unsqueeze(1) if not batched else input.transpose(0, 1) if self.batch_first else input
        start = self._start(x, hx, batched)
        ends: list[State] = []
        for layer in range(self.num_layers):
            runs = []
            for end in self._ends(layer):
                outputs, last = self._run(x, tuple(state[len(ends)] for state in start), end)
                runs.append(outputs)
                ends.append(last)
            x = runs[0] if len(runs) == 1 else framework.cat(runs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        finals = tuple(framework.stack([last[k] for last in ends]) for k in range(self.states))
        if not batched:
            x, finals = x.squeeze(1), tuple(final.squeeze(1) for final in finals)
        elif self.batch_first:
            x = x.transpose(0, 1)
        return x, finals if self.states > 1 else finals[0]

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

    def _start(self, x: Tensor, hx: Any, batched: bool) -> State:
        count = self.num_layers * (2 if self.bidirectional else 1)
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)[: self.states]
        shapes = [(count, x.shape[1], size) for size in sizes]
        if hx is None:
            return tuple(framework.zeros(*shape, dtype=x.dtype, device=x.device) for shape in shapes)
        given = tuple(hx) if self.states > 1 else (hx,)
        for state, shape in zip(given, shapes, strict=True):
            expected = shape if batched else (shape[0], shape[2])
            if tuple(state.shape) != expected:
                raise RuntimeError(f"Expected hidden size {expected}, got {list(state.shape)}")
        return given if batched else tuple(state.unsqueeze(1) for state in given)

    def _run(self, x: Tensor, state: State, end: str) -> tuple[Tensor, State]:
        """One direction of one layer."""
        w_hh, b_hh = getattr(self, "weight_hh" + end), getattr(self, "bias_hh" + end, None)
        w_hr = getattr(self, "weight_hr" + end, None)
        # The input's part of all times is one product.
        parts = F.linear(x, getattr(self, "weight_ih" + end), getattr(self, "bias_ih" + end, None))
        steps = range(x.shape[0])
        backward = end.endswith("_reverse")
        outputs = []
        for t in reversed(steps) if backward else steps:
            state = self._step(parts[t], F.linear(state[0], w_hh, b_hh), state)
            if w_hr is not None:
                state = (F.linear(state[0], w_hr), *state[1:])
            outputs.append(state[0])
        return framework.stack(outputs[::-1] if backward else outputs), state

    def _step(self, from_input: Tensor, from_hidden: Tensor, state: State) -> State:
        raise NotImplementedError(f"{type(self).__name__} defines no step")


class RNN(_Recurrent):
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
        self.nonlinearity = nonlinearity
        self._activation = _activation(nonlinearity)

    def _step(self, from_input: Tensor, from_hidden: Tensor, state: State) -> State:
        return (self._activation(from_input + from_hidden),)


class LSTM(_Recurrent):
    """Long short-term memory; states are (h, c), and `proj_size` projects h (Sak et al. 2014)."""

    gates, states = 4, 2

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

    def _step(self, from_input: Tensor, from_hidden: Tensor, state: State) -> State:
        return _lstm_step(from_input, from_hidden, state[1])


class GRU(_Recurrent):
    """Gated recurrent unit; the reset gate multiplies W_hn h + b_hn, as in cuDNN."""

    gates = 3

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

    def _step(self, from_input: Tensor, from_hidden: Tensor, state: State) -> State:
        return (_gru_step(from_input, from_hidden, state[0]),)


class _Cell(Module):
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


class RNNCell(_Cell):
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


class LSTMCell(_Cell):
    """One step of `LSTM`: input (N, C) or (C), states (h, c) in and out."""

    gates = 4

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> State:
        from_input, from_hidden, zeros = self._parts(input, None if hx is None else hx[0])
        return _lstm_step(from_input, from_hidden, zeros if hx is None else hx[1])


class GRUCell(_Cell):
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
