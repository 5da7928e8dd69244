"""Weights of Keras 2 in HDF5, in the layouts that Keras writes, and HDF5 files that lead elsewhere."""

import io

import numpy as np
import pytest

import framework
from framework.serialization import SerializationError, describe, load_arrays

h5py = pytest.importorskip("h5py")

LAYERS = {
    "input_1": {},
    "conv1d_1": {"conv1d_1/kernel:0": (3, 4, 8), "conv1d_1/bias:0": (8,)},
    "norm": {"norm/gamma:0": (8,), "norm/moving_mean:0": (8,)},
}


def write(path, layers, root="model_weights", attribute="S", compression=None):
    """As Keras 2 writes: names as attributes of groups, arrays as data sets under their names."""
    arrays = {}
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        group = file.require_group(root) if root else file
        group.attrs["layer_names"] = np.array([name.encode() for name in layers])
        group.attrs["keras_version"], group.attrs["backend"] = b"2.0.5", "tensorflow"
        for layer, weights in layers.items():
            place = group.create_group(layer)
            place.attrs["weight_names"] = np.array([name.encode() for name in weights], dtype=None if weights else "S1")
            for name, shape in weights.items():
                arrays[layer, name] = rng.standard_normal(shape).astype(np.float32)
                place.create_dataset(name, data=arrays[layer, name], compression=compression)
    return arrays


@pytest.mark.parametrize("root", ["model_weights", ""])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_both_layouts(tmp_path, root, compression):
    arrays = write(tmp_path / "a.h5", LAYERS, root, compression=compression)
    ours = framework.load(tmp_path / "a.h5")
    assert list(ours) == [name for _, name in arrays]
    for (_, name), array in arrays.items():
        assert ours[name].dtype is framework.float32
        assert ours[name].numpy().tobytes() == array.tobytes()
    about = describe(tmp_path / "a.h5")
    assert about.format == "Keras"
    assert about.metadata == {"keras_version": "2.0.5", "backend": "tensorflow"}
    assert about.tensors["conv1d_1/kernel:0"].shape == (3, 4, 8)
    assert list(framework.load(tmp_path / "a.h5", names=["norm/gamma:0"])) == ["norm/gamma:0"]
    buffer = io.BytesIO((tmp_path / "a.h5").read_bytes())
    assert list(framework.load(buffer)) == list(ours)


def test_weights_of_the_same_name_get_their_layers(tmp_path):
    arrays = write(tmp_path / "a.h5", {"one": {"kernel:0": (2,)}, "two": {"kernel:0": (2,)}})
    ours = load_arrays(tmp_path / "a.h5")
    assert list(ours) == ["one/kernel:0", "two/kernel:0"]
    assert ours["two/kernel:0"].tolist() == arrays["two", "kernel:0"].tolist()


def test_long_lists_of_names_are_cut_into_pieces(tmp_path):
    write(tmp_path / "a.h5", LAYERS)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        names = file["model_weights"].attrs["layer_names"]
        del file["model_weights"].attrs["layer_names"]
        for number, piece in enumerate((names[:2], names[2:])):
            file["model_weights"].attrs[f"layer_names{number}"] = piece
    assert len(framework.load(tmp_path / "a.h5")) == 4


def test_big_endian_numbers(tmp_path):
    write(tmp_path / "a.h5", {"one": {}})
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["model_weights/one"].attrs["weight_names"] = np.array([b"w"])
        file["model_weights/one"].create_dataset("w", data=np.arange(3, dtype=">f8"))
    assert framework.load(tmp_path / "a.h5")["w"].tolist() == [0, 1, 2]


def test_truncated_files(tmp_path):
    write(tmp_path / "a.h5", LAYERS)
    whole = (tmp_path / "a.h5").read_bytes()
    for end in range(1, len(whole), 211):
        (tmp_path / "b.h5").write_bytes(whole[:end])
        with pytest.raises(SerializationError, match=r"'b\.h5'"):
            framework.load(tmp_path / "b.h5")


def hide(file, make):
    """Puts what `make(group)` makes where the weight `w` of the layer `one` should be."""
    group = file["model_weights/one"]
    group.attrs["weight_names"] = np.array([b"w"])
    make(group)


def virtual(group):
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("secret.h5", "w", (3,))
    group.create_virtual_dataset("w", layout)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda g: g.__setitem__("w", h5py.ExternalLink("secret.h5", "/w")),
            "is a link, which may lead to",
        ),
        (lambda g: g.__setitem__("w", h5py.SoftLink("/model_weights/one/w")), "is a link, which may lead to"),
        (virtual, "lies in another file"),
        (lambda g: g.create_dataset("w", (3,), "f4", external=[("secret.h5", 0, 12)]), "lies in another file"),
        (lambda g: g.create_dataset("w", (2**20, 2**20), "f4", chunks=(1024, 1024)), "over 100 times the size"),
        (lambda g: g.create_dataset("w", (2**24,), "f4", compression="gzip"), "over 100 times the size"),
        (lambda g: g.create_dataset("w", data=[b"text"]), "is not an array of numbers"),
        (lambda g: g.create_dataset("w", data=np.zeros(2, [("a", "f4")])), "is not an array of numbers"),
        (lambda g: g.create_dataset("w", data=h5py.Empty("f4")), "is not an array of numbers"),
        (lambda g: g.create_group("w"), "is not an array of numbers"),
        (lambda g: None, "has no 'w'"),
        (lambda g: g.attrs.__setitem__("weight_names", np.array([b"../one"])), r"has no '\.\./one'"),
    ],
)
def test_files_that_lead_elsewhere_or_grow(tmp_path, make, message):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["w"] = np.ones(3, np.float32)
    write(tmp_path / "a.h5", {"one": {}})
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        hide(file, make)
    with pytest.raises(SerializationError, match=message):
        framework.load(tmp_path / "a.h5")


def test_other_hdf5_files(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.ones(3)
    with pytest.raises(SerializationError, match=r"is an HDF5 file without the layers of Keras 2"):
        framework.load(tmp_path / "a.h5")
