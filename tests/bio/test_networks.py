"""Networks for sequences: padding, lengths, strands, and layers against sums written out by hand."""

import math

import numpy as np
import pytest

import framework as vh
from bio import networks as bn
from bio.networks.bpnet import profile_loss
from bio.networks.masking import MaskedBatchNorm1d
from bio.networks.statespace import scan

LENGTHS = [40, 17, 23, 1]
SMALL = {
    "cnn": lambda: bn.CNN(4, 3, (8, 8), (5, 3), (3, 2), 8),
    "dilated": lambda: bn.DilatedCNN(4, 3, 8, (5, 3, 3), (1, 2, 4)),
    "bpnet": lambda: bn.BPNet(4, 2, 8, 3, 5, 7),
    "unet": lambda: bn.UNet1d(4, 3, (8, 8, 8), 3),
    "hybrid": lambda: bn.ConvTransformer(4, 3, 8, 2, 2, 2),
    "lstm": lambda: bn.RecurrentEncoder(4, 3, 6, 2),
    "gru": lambda: bn.RecurrentEncoder(4, 3, 6, 1, "gru"),
    "statespace": lambda: bn.StateSpaceEncoder(4, 3, 8, 2, 4),
    "equivariant": lambda: bn.RCEquivariantCNN(3, (8, 8), (5, 3), (1, 1), 8),
    "to sequence": lambda: bn.DilatedCNN(4, 3, 8, (3,), (1,), bn.SequenceHead(8, 2)),
    "to tracks": lambda: bn.DilatedCNN(4, 3, 8, (3,), (1,), bn.TrackHead(8, 2, 4)),
    "to pairs": lambda: bn.DilatedCNN(4, 3, 8, (3,), (1,), bn.PairHead(8, 2, 4)),
}


def sequences(lengths, channels=4, seed=0):
    """Random one-hot codes, and the batch in which what stands at padding is not even zero."""
    stream = np.random.default_rng(seed)
    alone = [np.eye(channels, dtype=np.float32)[stream.integers(0, channels, n)].T for n in lengths]
    batch = stream.standard_normal((len(lengths), channels, max(lengths) + 3)).astype(np.float32)
    for row, codes in zip(batch, alone):
        row[:, : codes.shape[1]] = codes
    return [vh.tensor(codes[None]) for codes in alone], vh.tensor(batch)


def settled(network):
    """The network with running statistics and weights that are not the first ones, in evaluation."""
    vh.manual_seed(3)
    for module in network.modules():
        if isinstance(module, vh.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.5, 2)
            module.bias.detach().normal_(0, 0.5)
    return network.eval()


def flat(output):
    return list(output) if isinstance(output, tuple) else [output]


@pytest.mark.parametrize("name", SMALL)
def test_padding_never_changes_an_answer(name):
    vh.manual_seed(1)
    network = settled(SMALL[name]())
    alone, batch = sequences(LENGTHS)
    mask = bn.mask_of_lengths(LENGTHS, batch.shape[2])
    with vh.no_grad():
        together = flat(network(batch, mask))
        for row, codes in enumerate(alone):
            for padded, single in zip(together, flat(network(codes))):
                for axis in range(2, single.ndim):
                    padded = padded.narrow(axis, 0, single.shape[axis])
                np.testing.assert_allclose(padded[row], single[0], atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_a_training_step_reaches_every_parameter(name):
    vh.manual_seed(1)
    network = SMALL[name]()
    _, batch = sequences(LENGTHS[:3])
    outputs = flat(network(batch, bn.mask_of_lengths(LENGTHS[:3], batch.shape[2])))
    sum((out * vh.randn(out.shape)).sum() for out in outputs).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert bool(vh.isfinite(parameter.grad).all()), key


def test_masks_and_their_means():
    assert bn.mask_of_lengths([2, 3]).tolist() == [[True, True, False], [True] * 3]
    with pytest.raises(ValueError, match="between 1 and 2"):
        bn.mask_of_lengths([3, 1], 2)
    x = vh.tensor([[[1.0, 2.0, 9.0]], [[1.0, 2.0, 9.0]]])
    mask = bn.mask_of_lengths([2, 3])
    assert bn.masked_mean(x, mask).tolist() == [[1.5], [4.0]]
    assert bn.masked_max(x, mask).tolist() == [[2.0], [9.0]]


def test_norm_of_training_counts_real_positions_only():
    norm, plain = MaskedBatchNorm1d(2), vh.nn.BatchNorm1d(2)
    x = vh.tensor(np.random.default_rng(0).standard_normal((2, 2, 5)).astype(np.float32))
    ours = norm(x, bn.mask_of_lengths([5, 3]))
    rows = vh.cat([x[0], x[1, :, :3]], 1)
    expected = plain(rows.T).T
    np.testing.assert_allclose(vh.cat([ours[0], ours[1, :, :3]], 1).detach(), expected.detach(), atol=1e-6)
    np.testing.assert_allclose(norm.running_var, plain.running_var, rtol=1e-6)
    assert not ours[1, :, 3:].detach().numpy().any()


def test_a_cnn_of_fixed_length_refuses_others():
    network = bn.CNN(4, 2, (8,), (5,), (3,), 8, length=20).eval()
    assert network(vh.zeros(2, 4, 20)).shape == (2, 2)
    with pytest.raises(ValueError, match="exactly 20 positions"):
        network(vh.zeros(2, 4, 21))
    with pytest.raises(ValueError, match=r"\(N, 4, L\)"):
        network(vh.zeros(2, 5, 20))


def test_over_long_input_is_refused_or_tiled():
    network = settled(bn.ConvTransformer(4, 1, 8, 2, 1, 2, longest=10))
    with pytest.raises(ValueError, match="41 positions is over the 40"):
        network(vh.zeros(1, 4, 41))
    encoder = bn.TransformerEncoder(8, 8, 1, 2, positions="absolute", longest=5)
    with pytest.raises(ValueError, match="6 positions is over the 5"):
        encoder(vh.full((1, 6), 3))
    tower = settled(bn.DilatedCNN(4, 2, 8, (5, 3, 3), (1, 2, 4)))
    (x,), _ = sequences([103])
    with vh.no_grad():
        np.testing.assert_allclose(bn.tiled(tower, x, 20, 32), tower(x), atol=1e-5)
    assert tower.context == 4 + 4 + 8
    with pytest.raises(ValueError, match="multiples of 4"):
        bn.tiled(tower, x, 20, 30, divisor=4)


def test_residual_unit_by_hand():
    unit = settled(bn.ResidualUnit(3, 3, 2, eps=1e-3)).double()
    x = np.random.default_rng(0).standard_normal((1, 3, 9))
    state = {name: value.numpy() for name, value in unit.state_dict().items()}

    def norm(y, name):
        weight, bias, mean, var = (
            state[f"{name}.{key}"][:, None] for key in ("weight", "bias", "running_mean", "running_var")
        )
        return np.maximum((y - mean) / np.sqrt(var + 1e-3) * weight + bias, 0)

    def conv(y, name):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        padded = np.pad(y, ((0, 0), (2, 2)))
        return np.array(
            [
                [sum(weight[o, :, k] @ padded[:, t + 2 * k] for k in range(3)) + bias[o] for t in range(9)]
                for o in range(3)
            ]
        )

    expected = x[0] + conv(norm(conv(norm(x[0], "norm1"), "conv1"), "norm2"), "conv2")
    np.testing.assert_allclose(unit(vh.tensor(x)).detach()[0], expected, rtol=1e-12)


def test_profile_loss_is_the_multinomial_likelihood():
    logits, reads = np.array([[[0.3, -1.0, 2.0]]]), np.array([[[1.0, 0.0, 4.0]]])
    share = np.exp(logits) / np.exp(logits).sum()
    ours = profile_loss(vh.tensor(logits), vh.tensor(reads)).item()
    assert math.isclose(ours, -(reads * np.log(share)).sum(), rel_tol=1e-12)


def test_scan_is_the_recurrence():
    stream = np.random.default_rng(0)
    decay, drive = -stream.random((2, 11, 3)), stream.standard_normal((2, 11, 3))
    state, expected = np.zeros((2, 3)), []
    for t in range(11):
        state = np.exp(decay[:, t]) * state + drive[:, t]
        expected.append(state)
    np.testing.assert_allclose(scan(vh.tensor(decay), vh.tensor(drive)), np.stack(expected, 1), rtol=1e-12)
    inputs = [vh.tensor(array[:1, :5, :2]).requires_grad_() for array in (decay, drive)]
    assert vh.autograd.gradcheck(scan, inputs)


def test_a_state_space_block_is_causal():
    vh.manual_seed(0)
    block = bn.SelectiveStateSpace(6, 4)
    x = vh.randn(1, 12, 6)
    changed = x.clone()
    changed[:, 7:] = 0
    np.testing.assert_array_equal(block(x)[:, :7].detach(), block(changed)[:, :7].detach())


@pytest.mark.parametrize("pools", [(1, 1), (2, 5)])
def test_both_strands_get_the_same_answer(pools):
    vh.manual_seed(1)
    network = settled(bn.RCEquivariantCNN(3, (8, 8), (5, 3), pools, 8))
    _, x = sequences([37] * 3)
    with vh.no_grad():
        np.testing.assert_allclose(network(x), network(x.flip(1, 2)), atol=1e-5)
        features, _ = network.embed(x)
        np.testing.assert_allclose(network.embed(x.flip(1, 2))[0], features.flip(1, 2), atol=1e-5)
        assert float((features - features.flip(1, 2)).abs().max()) > 0.1
    network.train()
    normed = network.norms[0](network.convs[0](x))
    np.testing.assert_allclose(
        network.norms[0](network.convs[0](x.flip(1, 2))).detach(), normed.flip(1, 2).detach(), atol=1e-5
    )
    if pools != (1, 1):
        with pytest.raises(ValueError, match="no multiple of 10"):
            network(x[..., :39])


@pytest.mark.parametrize(
    "options", [{}, {"activation": "swiglu"}, {"positions": "absolute", "norm_first": False, "longest": 50}]
)
def test_padding_of_tokens(options):
    vh.manual_seed(2)
    encoder = bn.TransformerEncoder(12, 16, 2, 4, mask_token=11, token_dropout=not options, **options).eval()
    stream = np.random.default_rng(0)
    alone = [stream.integers(2, 12, n) for n in (9, 4, 13)]
    batch = np.ones((3, 15), np.int64)
    for row, tokens in zip(batch, alone):
        row[: len(tokens)] = tokens
    with vh.no_grad():
        together = encoder.mlm_logits(vh.tensor(batch))
        for row, tokens in enumerate(alone):
            single = encoder.mlm_logits(vh.tensor(tokens[None]))
            np.testing.assert_allclose(together[row, : len(tokens)], single[0], atol=1e-5)


def test_rotary_attention_sees_distances_only():
    vh.manual_seed(2)
    encoder = bn.TransformerEncoder(12, 16, 2, 4).eval()
    tokens = vh.tensor(np.random.default_rng(0).integers(2, 12, (1, 9)))
    shifted = vh.cat([vh.full((1, 5), 3), tokens], 1)
    mask = vh.tensor([[False] * 5 + [True] * 9])
    with vh.no_grad():
        np.testing.assert_allclose(encoder(shifted, mask)[:, 5:], encoder(tokens), atol=1e-5)


def test_pairs_are_symmetric_and_tracks_positive():
    x = vh.randn(2, 8, 7)
    pairs = bn.PairHead(8, 3)(x)
    assert pairs.shape == (2, 3, 7, 7)
    np.testing.assert_allclose(pairs.detach(), pairs.transpose(2, 3).detach(), atol=1e-6)
    tracks = bn.TrackHead(8, 2, 3)(x)
    assert tracks.shape == (2, 2, 3)
    assert float(tracks.min()) > 0
