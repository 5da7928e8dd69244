"""Published weights: SpliceAI's layers by hand, ESM-2 and BERT against answers of Hugging Face's transformers.

The files in tests/data/hugging_face are small networks of random weights, and their logits, by transformers 5.24.
"""

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest

import framework as vh
from bio import SequenceError
from bio import networks as bn
from framework.serialization import load_arrays

h5py = pytest.importorskip("h5py")

FILES = Path(__file__).resolve().parents[1] / "data" / "hugging_face"
KERNELS, DILATIONS = [11] * 8 + [21] * 4 + [41] * 4, [1] * 4 + [4] * 4 + [10] * 4 + [25] * 4


def names():
    """Keras's layers with the shapes of their kernels, in the order of SpliceAI's train_model.py."""
    shapes = [(1, 4, 32), (1, 32, 32)]
    for number, size in enumerate(KERNELS, 1):
        shapes += [(size, 32, 32)] * 2 + ([(1, 32, 32)] if number % 4 == 0 else [])
    return [*shapes, (1, 32, 3)]


def published():
    """The files of an installed `spliceai`; none where it is not."""
    try:
        files = importlib.metadata.files("spliceai") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [file.locate() for file in files if file.suffix == ".h5"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("spliceai") / "spliceai1.h5"
    stream = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        layers = {}
        for number, shape in enumerate(names(), 1):
            layers[f"conv1d_{number}"] = {
                "kernel:0": stream.standard_normal(shape) / np.sqrt(shape[0] * shape[1]),
                "bias:0": stream.standard_normal(shape[2]) * 0.1,
            }
        for number in range(1, 33):
            layers[f"batch_normalization_{number}"] = {
                "gamma:0": stream.uniform(0.5, 1, 32),
                "beta:0": stream.standard_normal(32) * 0.1,
                "moving_mean:0": stream.standard_normal(32) * 0.1,
                "moving_variance:0": stream.uniform(0.5, 2, 32),
            }
        group.attrs["layer_names"] = np.array([name.encode() for name in layers])
        for layer, weights in layers.items():
            place = group.create_group(layer)
            place.attrs["weight_names"] = np.array([f"{layer}/{name}".encode() for name in weights])
            for name, array in weights.items():
                place.create_dataset(f"{layer}/{name}", data=array.astype(np.float32))
    return path


def by_hand(arrays, x):
    """SpliceAI in float64, layer after layer as train_model.py makes them: (L + 10000, 4) -> (L, 3)."""
    made = {"conv1d": 0, "batch_normalization": 0}

    def weights(kind):
        made[kind] += 1
        prefix = f"{kind}_{made[kind]}/"
        return {
            name[len(prefix) : -2]: array.astype(float) for name, array in arrays.items() if name.startswith(prefix)
        }

    def conv(y, dilation=1):
        w = weights("conv1d")
        size = len(w["kernel"])
        reach = dilation * (size - 1) // 2
        padded = np.pad(y, ((reach, reach), (0, 0)))
        return sum(padded[k * dilation : k * dilation + len(y)] @ w["kernel"][k] for k in range(size)) + w["bias"]

    def norm(y):
        w = weights("batch_normalization")
        y = (y - w["moving_mean"]) / np.sqrt(w["moving_variance"] + 1e-3) * w["gamma"] + w["beta"]
        return np.maximum(y, 0)

    y = conv(x)
    skip = conv(y)
    for number, dilation in enumerate(DILATIONS, 1):
        first = norm(y)
        first = conv(first, dilation)
        y = conv(norm(first), dilation) + y
        if number % 4 == 0:
            skip = skip + conv(y)
    scores = conv(skip[5000:-5000])
    shares = np.exp(scores - scores.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def codes(length, seed=0):
    return np.eye(4)[np.random.default_rng(seed).integers(0, 4, length)]


def test_spliceai_layer_by_layer(written):
    network = bn.load_spliceai(written)
    assert network.context == 5000
    x = codes(10012)
    expected = by_hand(load_arrays(written), x)
    with vh.no_grad():
        ours = network(vh.tensor(x.T[None].astype(np.float32)))
    assert ours.shape == (1, 3, 12)
    np.testing.assert_allclose(ours[0].numpy().T, expected, atol=1e-5)


@pytest.mark.parametrize("path", published() or [None])
def test_spliceai_as_published(path):
    if path is None:
        pytest.skip("PyPI spliceai is not installed")
    x = codes(10050)
    ours = bn.load_spliceai(path)(vh.tensor(x.T[None].astype(np.float32))).detach()
    np.testing.assert_allclose(ours[0].numpy().T, by_hand(load_arrays(path), x), atol=1e-5)


def test_spliceai_in_tiles_and_refusals(written, tmp_path):
    network = bn.load_spliceai(written)
    x = codes(700)
    framed = np.pad(x, ((5000, 5000), (0, 0)))
    with vh.no_grad():
        whole = network(vh.tensor(framed.T[None].astype(np.float32)))
        tiles = network.scan(vh.tensor(x.T[None].astype(np.float32)), tile=300)
    np.testing.assert_allclose(tiles, whole, atol=1e-5)
    with pytest.raises(ValueError, match="leave nothing between contexts of 5000"):
        network(vh.zeros(1, 4, 10000))
    with h5py.File(written, "r") as old, h5py.File(tmp_path / "other.h5", "w") as new:
        old.copy("model_weights", new)
        kept = [name for name in new["model_weights"].attrs["layer_names"] if name != b"conv1d_9"]
        new["model_weights"].attrs["layer_names"] = np.array(kept)
    with pytest.raises(SequenceError, match="not one of SpliceAI-10k's models"):
        bn.load_spliceai(tmp_path / "other.h5")


@pytest.mark.parametrize(("name", "load"), [("esm2", bn.load_esm2), ("bert", bn.load_bert)])
def test_answers_of_transformers(name, load):
    network, report = load(FILES / f"{name}.safetensors", heads=4)
    answer = vh.load(FILES / f"{name}_answer.safetensors")
    tokens = answer["tokens"]
    with vh.no_grad():
        ours = network.mlm_logits(tokens)
    real = (tokens != network.pad).numpy()
    np.testing.assert_allclose(ours.numpy()[real], answer["logits"].numpy()[real], atol=2e-5)
    assert not report.missing
    assert not report.mismatched
    assert len(report.loaded) > 30
    assert str(report).startswith(f"{len(report.loaded)} weights loaded")


def test_weights_that_do_not_fit_are_named(tmp_path):
    state = vh.load(FILES / "esm2.safetensors")
    del state["esm.encoder.layer.1.LayerNorm.bias"]
    state["esm.encoder.layer.0.output.dense.bias"] = vh.zeros(3)
    vh.save(state, tmp_path / "a.safetensors")
    with pytest.raises(SequenceError) as caught:
        bn.load_esm2(tmp_path / "a.safetensors", heads=4)
    assert "missing: layers.1.norm2.bias (16,)" in str(caught.value)
    assert "encoder.layer.0.output.dense.bias (3,), wanted (16,)" in str(caught.value)
    vh.save({"weight": vh.zeros(3)}, tmp_path / "b.safetensors")
    with pytest.raises(SequenceError, match=r"holds no weight embeddings\.word_embeddings\.weight"):
        bn.load_bert(tmp_path / "b.safetensors")
