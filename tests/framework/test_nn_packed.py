"""Recurrent layers over padded and packed sequences: values, all gradients, second gradients, and refusals."""

import numpy as np
import pytest

import framework
from framework.nn.utils import rnn

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")]
LIBRARIES = (framework, torch)
RNG = np.random.default_rng(0)

LAYERS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "bidirectional": True, "bias": False}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ("LSTM", {"num_layers": 2, "bidirectional": True, "proj_size": 2}),
    ("GRU", {"num_layers": 2, "bidirectional": True}),
    ("GRU", {"bias": False}),
]


def twins(name, kwargs):
    """One layer in both libraries, with the same weights, in float64."""
    theirs = getattr(torch.nn, name)(3, 4, **kwargs).double()
    ours = getattr(framework.nn, name)(3, 4, **kwargs).double()
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return ours, theirs


def results(lib, layer, arrays, lengths, with_state):
    """Outputs, last states, and the gradients of input, states and parameters, as arrays."""
    x, *states = [lib.tensor(array).requires_grad_() for array in arrays]
    hx = (tuple(states) if len(states) > 1 else states[0]) if with_state else None
    utils = lib.nn.utils.rnn
    source = x if lengths is None else utils.pack_padded_sequence(x, lib.tensor(lengths), enforce_sorted=False)
    out, last = layer(source, hx)
    if lengths is not None:
        out, counted = utils.pad_packed_sequence(out)
        assert counted.tolist() == lengths
    outs = [out, *(last if isinstance(last, tuple) else [last])]
    weights = np.random.default_rng(1)
    total = sum((o * lib.tensor(weights.standard_normal(tuple(o.shape)))).sum() for o in outs)
    leaves = [x, *(states if with_state else []), *layer.parameters()]
    first = lib.autograd.grad(total, leaves, create_graph=True)
    again = lib.autograd.grad(sum((g * g).sum() for g in first), leaves, allow_unused=True)
    tensors = [*outs, *first, *(g for g in again if g is not None)]
    return [t.detach().numpy() for t in tensors]


@pytest.mark.parametrize("lengths", [None, [3, 5, 1, 5]])
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize(("name", "kwargs"), LAYERS)
def test_values_and_gradients(name, kwargs, lengths, with_state) -> None:
    ours, theirs = twins(name, kwargs)
    count = kwargs.get("num_layers", 1) * (2 if kwargs.get("bidirectional") else 1)
    arrays = [RNG.standard_normal((5, 4, 3)), RNG.standard_normal((count, 4, kwargs.get("proj_size", 4)))]
    if name == "LSTM":
        arrays.append(RNG.standard_normal((count, 4, 4)))
    mine = results(framework, ours, arrays, lengths, with_state)
    reference = results(torch, theirs, arrays, lengths, with_state)
    assert len(mine) == len(reference)
    for ours_, theirs_ in zip(mine, reference):
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-7, atol=1e-10)


def test_padding_and_packing() -> None:
    arrays = [RNG.standard_normal((n, 2)) for n in (2, 4, 1)]
    lib_results = []
    for lib in LIBRARIES:
        utils, parts = lib.nn.utils.rnn, [lib.tensor(a) for a in arrays]
        padded = utils.pad_sequence(parts, padding_value=7.0)
        packed = utils.pack_sequence(parts, enforce_sorted=False)
        longer, lengths = utils.pad_packed_sequence(packed, True, -1.0, total_length=6)
        lib_results.append(
            [
                padded,
                utils.pad_sequence(parts, True, padding_side="left"),
                packed.data,
                packed.batch_sizes,
                packed.sorted_indices,
                packed.unsorted_indices,
                longer,
                lengths,
                *utils.unpack_sequence(packed),
                *utils.unpad_sequence(padded.clone(), lengths),  # torch transposes it in place
            ]
        )
    for mine, reference in zip(*lib_results, strict=True):
        np.testing.assert_array_equal(mine.numpy(), reference.numpy())


def test_a_packed_sequence_moves_as_one() -> None:
    packed = rnn.pack_sequence([framework.ones(3, 2), framework.ones(2, 2)])
    assert packed.double().data.dtype is framework.float64
    assert packed.cpu() is packed
    data, sizes, *orders = packed
    assert (data.shape, sizes.tolist(), orders) == ((5, 2), [2, 2, 1], [None, None])


def test_refusals_are_torchs() -> None:
    def messages(lib):
        utils, ones = lib.nn.utils.rnn, lib.ones(4, 2, 3)
        lstm, plain = lib.nn.LSTM(3, 4), lib.nn.RNN(3, 4)
        packed = utils.pack_padded_sequence(ones, [4, 2])
        for call in (
            lambda: utils.pack_padded_sequence(ones, [2, 4]),
            lambda: utils.pack_padded_sequence(ones, [4, 0]),
            lambda: utils.pack_padded_sequence(ones, [4, 3, 2]),
            lambda: utils.pad_packed_sequence(packed, total_length=3),
            lambda: lstm(lib.ones(1, 1, 1, 1)),
            lambda: plain(lib.ones(1, 1, 1, 1)),
            lambda: lstm(lib.ones(4, 2, 5)),
            lambda: plain(ones, lib.ones(1, 4)),
            lambda: plain(ones, lib.ones(2, 2, 4)),
            lambda: plain(ones[:, 0], lib.ones(1, 1, 4)),
            lambda: lstm(ones, (lib.ones(1, 4), lib.ones(1, 4))),
            lambda: lstm(ones, (lib.ones(1, 2, 4), lib.ones(1, 2, 5))),
            lambda: lstm(ones[:, 0], (lib.ones(1, 1, 4), lib.ones(1, 4))),
            lambda: lib.nn.RNN(3, 4, nonlinearity="sine"),
        ):
            with pytest.raises((RuntimeError, ValueError)) as caught:
                call()
            yield str(caught.value).replace("torch.", "")

    for mine, reference in zip(messages(framework), messages(torch), strict=True):
        assert mine == reference


def test_bfloat16_computes_in_float32() -> None:
    layer = framework.nn.LSTM(3, 4)
    x = framework.randn(6, 2, 3)
    want, got = layer(x)[0], layer.bfloat16()(x.bfloat16())[0]
    assert got.dtype is framework.bfloat16
    np.testing.assert_allclose(got.float().detach().numpy(), want.detach().numpy(), atol=0.02)
