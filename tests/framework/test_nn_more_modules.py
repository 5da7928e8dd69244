"""The rarer modules against torch: values, gradients of inputs and parameters, state dicts by name, and repr."""

import numpy as np
import pytest

import framework
from framework import nn

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")]

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def signs(*shape):
    return np.where(RNG.random(shape) < 0.5, -1.0, 1.0).astype(np.float32)


def classes(count, *shape):
    return RNG.integers(0, count, shape)


# name, constructor arguments, keyword arguments, inputs; a NumPy array among the keywords becomes a tensor.
CASES = [
    ("Softmax2d", (), {}, (normal(2, 3, 4, 5),)),
    ("CELU", (0.7,), {}, (normal(3, 4),)),
    ("CELU", (), {"inplace": True}, (normal(3, 4),)),
    ("GLU", (1,), {}, (normal(3, 4, 5),)),
    ("Hardshrink", (0.3,), {}, (normal(3, 4),)),
    ("Softshrink", (0.3,), {}, (normal(3, 4),)),
    ("Tanhshrink", (), {}, (normal(3, 4),)),
    ("Threshold", (0.2, -3.0), {}, (normal(3, 4),)),
    ("Threshold", (0.2, -3.0, True), {}, (normal(3, 4),)),
    ("RMSNorm", ((4, 5),), {"eps": 1e-3}, (normal(3, 4, 5),)),
    ("RMSNorm", (5,), {"elementwise_affine": False}, (normal(3, 5),)),
    ("LocalResponseNorm", (3,), {"alpha": 0.5, "k": 2.0}, (normal(2, 6, 4, 5),)),
    ("ConstantPad1d", (2, 1.5), {}, (normal(2, 3, 5),)),
    ("ConstantPad2d", ((1, 0, -1, 2), 1.5), {}, (normal(2, 3, 5, 6),)),
    ("ConstantPad3d", (1, -0.5), {}, (normal(2, 3, 2, 3, 4),)),
    ("ZeroPad1d", ((0, 3),), {}, (normal(2, 3, 5),)),
    ("ZeroPad2d", (2,), {}, (normal(3, 5, 6),)),
    ("ZeroPad3d", ((1, 2, 0, 1, 3, 0),), {}, (normal(2, 3, 2, 3, 4),)),
    ("ReflectionPad1d", (2,), {}, (normal(2, 3, 5),)),
    ("ReflectionPad2d", ((1, 2, 0, 3),), {}, (normal(2, 3, 5, 6),)),
    ("ReflectionPad3d", (1,), {}, (normal(2, 3, 2, 3, 4),)),
    ("ReplicationPad1d", ((3, 1),), {}, (normal(3, 5),)),
    ("ReplicationPad2d", (2,), {}, (normal(2, 3, 5, 6),)),
    ("ReplicationPad3d", ((1, 2, 0, 1, 3, 0),), {}, (normal(2, 3, 2, 3, 4),)),
    ("CircularPad1d", (2,), {}, (normal(2, 3, 5),)),
    ("CircularPad2d", ((1, 2, 0, 3),), {}, (normal(2, 3, 5, 6),)),
    ("CircularPad3d", (1,), {}, (normal(2, 3, 2, 3, 4),)),
    ("AdaptiveMaxPool1d", (4,), {}, (normal(2, 3, 11),)),
    ("AdaptiveMaxPool2d", ((None, 3),), {}, (normal(2, 3, 5, 7),)),
    ("AdaptiveMaxPool3d", (2,), {}, (normal(2, 3, 4, 5, 6),)),
    ("LPPool1d", (2, 3), {"stride": 2}, (normal(2, 3, 11),)),
    ("LPPool2d", (2, (2, 3)), {"ceil_mode": True}, (normal(2, 3, 7, 8),)),
    ("LPPool3d", (2, 2), {}, (normal(2, 3, 4, 5, 6),)),
    ("FractionalMaxPool2d", (2,), {"output_size": 4, "_random_samples": 0}, (normal(2, 3, 9, 8),)),
    ("FractionalMaxPool3d", (2,), {"output_ratio": 0.5, "_random_samples": 0}, (normal(2, 3, 6, 7, 8),)),
    ("PixelShuffle", (2,), {}, (normal(2, 8, 3, 4),)),
    ("PixelUnshuffle", (2,), {}, (normal(2, 3, 4, 6),)),
    ("ChannelShuffle", (2,), {}, (normal(2, 6, 4),)),
    ("Unfold", ((2, 3),), {"padding": 1, "stride": (2, 1)}, (normal(2, 3, 5, 6),)),
    ("Fold", ((5, 6), (2, 3)), {"stride": (1, 3)}, (normal(2, 18, 8),)),
    ("PairwiseDistance", (), {"keepdim": True}, (normal(4, 5), normal(4, 5))),
    ("PairwiseDistance", (3.0,), {}, (normal(4, 5), normal(4, 5))),
    ("CosineSimilarity", (2,), {}, (normal(3, 4, 5), normal(3, 4, 5))),
    ("MarginRankingLoss", (0.3,), {"reduction": "none"}, (normal(6), normal(6), signs(6))),
    ("HingeEmbeddingLoss", (0.5,), {}, (normal(3, 4), signs(3, 4))),
    ("CosineEmbeddingLoss", (0.2,), {"reduction": "sum"}, (normal(4, 5), normal(4, 5), signs(4))),
    ("SoftMarginLoss", (), {}, (normal(3, 4), signs(3, 4))),
    ("MultiMarginLoss", (2, 0.7), {"weight": np.float32([0.2, 1.0, 3.0])}, (normal(5, 3), classes(3, 5))),
    ("MultiLabelMarginLoss", (), {}, (normal(2, 4), np.array([[2, 0, -1, 1], [1, -1, 0, 0]]))),
    ("MultiLabelSoftMarginLoss", (np.float32([1, 2, 3]),), {}, (normal(4, 3), classes(2, 4, 3))),
    ("TripletMarginLoss", (0.8,), {"swap": True}, (normal(4, 5), normal(4, 5), normal(4, 5))),
    ("TripletMarginWithDistanceLoss", (), {"margin": 0.8}, (normal(4, 5), normal(4, 5), normal(4, 5))),
    ("PoissonNLLLoss", (), {"full": True}, (normal(3, 4), classes(6, 3, 4).astype(np.float32))),
    ("PoissonNLLLoss", (False,), {}, (np.exp(normal(3, 4)), classes(6, 3, 4).astype(np.float32))),
    ("GaussianNLLLoss", (), {"full": True}, (normal(3, 4), normal(3, 4), np.exp(normal(3, 4)))),
    ("GaussianNLLLoss", (), {}, (normal(2, 3, 4), normal(2, 3, 4), np.exp(normal(2, 1, 4)))),
    ("KLDivLoss", (), {"reduction": "batchmean"}, (np.array(-0.3, np.float32), np.array(0.4, np.float32))),
    ("CTCLoss", (), {}, (-np.exp(normal(8, 2, 4)), classes(3, 2, 3) + 1, np.array([8, 7]), np.array([3, 2]))),
    ("EmbeddingBag", (7, 3), {"mode": "sum"}, (classes(7, 4, 5),)),
    ("EmbeddingBag", (7, 3), {"mode": "max"}, (classes(7, 9), np.array([0, 4, 5]))),
    ("EmbeddingBag", (7, 3), {"padding_idx": -2, "include_last_offset": True}, (classes(7, 9), np.array([0, 4, 9]))),
]
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(CASES)]
# Targets: no gradient is asked for.
FIXED = {
    "MarginRankingLoss": (2,),
    "CosineEmbeddingLoss": (2,),
    "HingeEmbeddingLoss": (1,),
    "SoftMarginLoss": (1,),
    "PoissonNLLLoss": (1,),
}


def build(library, name, args, kwargs, inputs):
    to_tensor = framework.from_numpy if library is framework else torch.from_numpy
    kwargs = dict(kwargs)
    if "_random_samples" in kwargs:
        n, c, *spatial = inputs[0].shape
        seeded = np.random.default_rng(1).random((n, c, len(spatial)), dtype=np.float32)
        kwargs["_random_samples"] = to_tensor(seeded)
    args = [to_tensor(a) if isinstance(a, np.ndarray) else a for a in args]
    kwargs = {key: to_tensor(a) if isinstance(a, np.ndarray) else a for key, a in kwargs.items()}
    return getattr(library.nn, name)(*args, **kwargs)


def leaves(library, name, inputs):
    result = []
    for i, array in enumerate(inputs):
        tensor = (framework if library is framework else torch).from_numpy(array.copy())
        differentiable = array.dtype == np.float32 and i not in FIXED.get(name, ())
        result.append(tensor.requires_grad_() if differentiable else tensor)
    return result


def load_from_torch(ours, theirs):
    """Copy torch's state by name; also proves that the names, their order and the shapes agree."""
    keys = ours.load_state_dict({key: value.numpy().copy() for key, value in theirs.state_dict().items()})
    assert str(keys) == "<All keys matched successfully>"
    assert list(ours.state_dict()) == list(theirs.state_dict())


def same(ours, theirs, tolerance=2e-5):
    ours = ours.detach().numpy()
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


def agree(ours, theirs, inputs, name=""):
    """Same outputs and the same gradients of inputs and parameters."""
    xs, ts = leaves(framework, name, inputs), leaves(torch, name, inputs)
    # In-place modules may not write to a leaf: give them a result.
    ys = ours(*(x * 1.0 if x.requires_grad else x for x in xs))
    us = theirs(*(t * 1.0 if t.requires_grad else t for t in ts))
    ys, us = list(flat(ys)), list(flat(us))
    assert len(ys) == len(us)
    loss, other = 0.0, 0.0
    for y, u in zip(ys, us):
        assert tuple(y.shape) == tuple(u.shape)
        same(y, u)
        weight = normal(*u.shape)
        loss = loss + (y * framework.tensor(weight)).sum()
        other = other + (u * torch.tensor(weight)).sum()
    loss.backward()
    other.backward()
    for x, t in zip(xs, ts):
        if t.requires_grad:
            same(x.grad, t.grad, 2e-4)
    for (key, p), (other_key, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert key == other_key
        same(p.grad, q.grad, 2e-4)


def flat(value):
    if isinstance(value, tuple):
        for item in value:
            yield from flat(item)
    elif value is not None:
        yield value


@pytest.mark.parametrize(("name", "args", "kwargs", "inputs"), CASES, ids=IDS)
def test_module_equals_torch(name, args, kwargs, inputs):
    torch.manual_seed(1)
    ours, theirs = (build(library, name, args, kwargs, inputs) for library in (framework, torch))
    assert repr(ours) == repr(theirs)
    load_from_torch(ours, theirs)
    agree(ours, theirs, inputs, name)


RECURRENT = [
    ("RNN", (4, 5), {"num_layers": 2, "nonlinearity": "relu"}, (normal(3, 2, 4),)),
    ("RNN", (4, 5), {"bidirectional": True, "bias": False}, (normal(3, 4), normal(2, 5))),
    ("GRU", (4, 5), {"num_layers": 2, "bidirectional": True, "batch_first": True}, (normal(2, 3, 4),)),
    ("GRU", (4, 5), {}, (normal(3, 2, 4), normal(1, 2, 5))),
    ("LSTM", (4, 5), {"num_layers": 2, "bidirectional": True, "proj_size": 3}, (normal(3, 2, 4),)),
    ("LSTM", (4, 5), {"batch_first": True, "bias": False}, (normal(3, 4),)),
    ("RNNCell", (4, 5), {}, (normal(4),)),
    ("RNNCell", (4, 5), {"nonlinearity": "relu", "bias": False}, (normal(2, 4), normal(2, 5))),
    ("GRUCell", (4, 5), {}, (normal(2, 4), normal(2, 5))),
    ("LSTMCell", (4, 5), {}, (normal(2, 4),)),
]


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "inputs"), RECURRENT, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(RECURRENT)]
)
def test_recurrence_equals_torch(name, args, kwargs, inputs):
    test_module_equals_torch(name, args, kwargs, inputs)


def test_lstm_takes_up_its_states():
    x, h, c = normal(3, 2, 4), normal(1, 2, 5), normal(1, 2, 5)
    for name, arrays in (("LSTM", (x, h, c)), ("LSTMCell", (x[0], h[0], c[0]))):
        ours, theirs = getattr(nn, name)(4, 5), getattr(torch.nn, name)(4, 5)
        load_from_torch(ours, theirs)
        x_, h_, c_ = (framework.from_numpy(a) for a in arrays)
        t, u, v = (torch.from_numpy(a) for a in arrays)
        for a, b in zip(flat(ours(x_, (h_, c_))), flat(theirs(t, (u, v))), strict=True):
            same(a, b)


ATTENTION = [
    ({"embed_dim": 6, "num_heads": 2}, (normal(3, 2, 6), normal(4, 2, 6), normal(4, 2, 6))),
    ({"embed_dim": 6, "num_heads": 3, "bias": False}, (normal(3, 6), normal(4, 6), normal(4, 6))),
    (
        {"embed_dim": 6, "num_heads": 2, "kdim": 5, "vdim": 4, "batch_first": True, "add_bias_kv": True},
        (normal(2, 3, 6), normal(2, 4, 5), normal(2, 4, 4)),
    ),
]


@pytest.mark.parametrize(("kwargs", "inputs"), ATTENTION)
def test_attention_equals_torch(kwargs, inputs):
    ours, theirs = nn.MultiheadAttention(**kwargs), torch.nn.MultiheadAttention(**kwargs)
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear")
    load_from_torch(ours, theirs)
    agree(ours, theirs, inputs)


PLAIN = {"d_model": 6, "nhead": 2, "dim_feedforward": 5, "dropout": 0.0}
TRANSFORMERS = [
    ("TransformerEncoderLayer", {}, (normal(3, 2, 6),)),
    ("TransformerEncoderLayer", {"norm_first": True, "batch_first": True, "activation": "gelu"}, (normal(2, 3, 6),)),
    ("TransformerDecoderLayer", {"bias": False}, (normal(3, 2, 6), normal(4, 2, 6))),
    ("TransformerDecoderLayer", {"norm_first": True}, (normal(3, 6), normal(4, 6))),
    ("Transformer", {"num_encoder_layers": 2, "num_decoder_layers": 1}, (normal(4, 2, 6), normal(3, 2, 6))),
]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor:UserWarning")
@pytest.mark.parametrize(("name", "kwargs", "inputs"), TRANSFORMERS)
def test_transformer_equals_torch(name, kwargs, inputs):
    ours, theirs = getattr(nn, name)(**PLAIN, **kwargs), getattr(torch.nn, name)(**PLAIN, **kwargs)
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear")
    load_from_torch(ours, theirs)
    agree(ours, theirs, inputs)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor:UserWarning")
def test_masks_reach_every_attention():
    ours, theirs = nn.Transformer(**PLAIN), torch.nn.Transformer(**PLAIN)
    load_from_torch(ours, theirs)
    padding = np.array([[False, False, True, True], [False, False, False, True]])

    def call(library, module):
        src, tgt = library.from_numpy(x), library.from_numpy(z)
        mask, hidden = module.generate_square_subsequent_mask(3), library.from_numpy(padding)
        return module(src, tgt, tgt_mask=mask.bool(), src_key_padding_mask=hidden, memory_key_padding_mask=hidden)

    x, z = normal(4, 2, 6), normal(3, 2, 6)
    same(call(framework, ours), call(torch, theirs))
    with pytest.raises(RuntimeError, match="attn_mask"):  # the hint alone is no mask
        ours(framework.from_numpy(x), framework.from_numpy(z), tgt_is_causal=True)


def test_rrelu_draws_slopes_in_training_only():
    x = -np.ones((50, 40), np.float32)
    ours = nn.RReLU(0.2, 0.4)
    assert repr(ours) == repr(torch.nn.RReLU(0.2, 0.4))
    slopes = -ours(framework.from_numpy(x)).numpy()
    assert slopes.min() >= 0.2
    assert slopes.max() <= 0.4
    assert abs(slopes.mean() - 0.3) < 0.01
    assert slopes.std() > 0.05
    np.testing.assert_allclose(ours.eval()(framework.from_numpy(x)).numpy(), -0.3, rtol=1e-6)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unpooling_puts_values_back(dims):
    x = normal(2, 3, *(7, 6, 5)[:dims])
    results = []
    for library in (framework, torch):
        pool = getattr(library.nn, f"MaxPool{dims}d")(2, return_indices=True)
        unpool = getattr(library.nn, f"MaxUnpool{dims}d")(2)
        values, indices = pool(library.from_numpy(x))
        results.append((repr(unpool), unpool(values, indices, output_size=x.shape).numpy()))
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_bag_weights_equal_torch():
    index, weights = classes(7, 4, 5), normal(4, 5)
    ours, theirs = nn.EmbeddingBag(7, 3, mode="sum"), torch.nn.EmbeddingBag(7, 3, mode="sum")
    load_from_torch(ours, theirs)
    y = ours(framework.from_numpy(index), per_sample_weights=framework.from_numpy(weights))
    same(y, theirs(torch.from_numpy(index), per_sample_weights=torch.from_numpy(weights)))
    assert not nn.EmbeddingBag(7, 3, padding_idx=-2).weight.detach().numpy()[5].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.ConstantPad2d((1, 2), 0.0), "expected one number or 4"),
        (lambda: nn.ReflectionPad2d(1)(framework.zeros(3, 4)), "expected 3D or 4D input"),
        (lambda: nn.Softmax2d()(framework.zeros(3, 4)), "3D or 4D"),
        (lambda: nn.FractionalMaxPool2d(2), "either an output size, or a pooling ratio"),
        (lambda: nn.FractionalMaxPool2d(2, 3, 0.5), "only one of"),
        (lambda: nn.FractionalMaxPool3d(2, output_ratio=1.5), "between 0 and 1"),
        (lambda: nn.MultiMarginLoss(p=3), "p == 1 and p == 2"),
        (lambda: nn.TripletMarginLoss(margin=0), "greater than 0"),
        (lambda: nn.TripletMarginWithDistanceLoss(margin=-1), "greater than 0"),
        (lambda: nn.RNN(3, 4, nonlinearity="gelu"), "Unknown nonlinearity"),
        (lambda: nn.LSTM(3, 4, proj_size=4), "smaller than hidden_size"),
        (lambda: nn.GRU(3, 0), "hidden_size must be greater than zero"),
        (lambda: nn.GRU(3, 4)(framework.zeros(3)), "2D or 3D"),
        (lambda: nn.GRUCell(3, 4)(framework.zeros(2, 3), framework.zeros(2, 3)), "Expected hidden to be"),
        (lambda: nn.MultiheadAttention(5, 2), "multiple of num_heads"),
        (lambda: nn.EmbeddingBag(4, 2, padding_idx=4), "must be within num_embeddings"),
        (lambda: nn.EmbeddingBag(4, 2, _weight=framework.zeros(4, 3)), "does not match"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
