"""Safetensors and checkpoints: round trips, the reference implementation, damaged files."""

import json
import math
import os
import struct
from collections import OrderedDict

import ml_dtypes
import numpy as np
import pytest

import framework
from framework import nn, optim
from framework.data import DataLoader
from framework.serialization import (
    SafetensorsError,
    load_arrays,
    load_checkpoint,
    load_file,
    load_metadata,
    read_header,
    save_checkpoint,
    save_file,
)

DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
DTYPES += ["float16", "float32", "float64", "complex64", ml_dtypes.bfloat16]


def samples():
    rng = np.random.default_rng(0)
    arrays = {f"a.{np.dtype(d).name}": (rng.standard_normal((3, 4)) * 3).astype(d) for d in DTYPES}
    arrays |= {"scalar": np.array(3, np.float32), "empty": np.zeros((0, 3), np.float32), "Größe": np.arange(3)}
    return arrays


def write_raw(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(begin, end, shape=None, dtype="F32"):
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


def test_round_trip(tmp_path):
    arrays = samples()
    path = tmp_path / "weights.safetensors"
    save_file({**arrays, "tensor": framework.ones(2, 3)}, path, {"made by": "a test", "note": "ä"})
    loaded = load_arrays(path)
    assert loaded.keys() == {*arrays, "tensor"}
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].shape == array.shape
        assert loaded[name].tobytes() == array.tobytes()
        assert loaded[name].flags.writeable
    assert load_metadata(path) == {"made by": "a test", "note": "ä"}
    assert read_header(path)["tensor"].shape == (2, 3)
    tensors = load_file(path, names=["tensor", "scalar"])
    assert tensors["tensor"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert tensors["scalar"].item() == 3
    assert os.listdir(tmp_path) == ["weights.safetensors"]
    with pytest.raises(KeyError, match="no tensor named 'missing'"):
        load_file(path, names=["missing"])


def test_reference_implementation_reads_and_writes_the_same(tmp_path):
    reference = pytest.importorskip("safetensors.numpy")
    arrays = {name: array for name, array in samples().items() if array.dtype.name not in ("complex64", "bfloat16")}
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    save_file(arrays, ours)
    reference.save_file(arrays, theirs)
    for name, array in reference.load_file(ours).items():
        assert array.tobytes() == arrays[name].tobytes()
        assert array.dtype == arrays[name].dtype
    for name, array in load_arrays(theirs).items():
        assert array.tobytes() == arrays[name].tobytes()


def test_bytes_depend_on_the_values_alone(tmp_path):
    arrays = samples()
    strided = {name: np.array(arrays[name], order="F") for name in reversed(arrays)}
    save_file(arrays, tmp_path / "a", {"x": "1", "y": "2"})
    save_file(strided, tmp_path / "b", {"y": "2", "x": "1"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    offsets = [e.begin % e.dtype.itemsize for e in read_header(tmp_path / "a").values()]
    assert set(offsets) == {0}
    (length,) = struct.unpack("<Q", (tmp_path / "a").read_bytes()[:8])
    assert length % 8 == 0


def test_big_endian_arrays_are_converted(tmp_path):
    save_file({"a": np.arange(3, dtype=">i4")}, tmp_path / "a")
    loaded = load_arrays(tmp_path / "a")["a"]
    assert loaded.dtype == np.dtype("<i4")
    assert loaded.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("values", "metadata", "message"),
    [
        ({"a": "text"}, None, "'a' is a str: only Tensors and NumPy arrays"),
        ({"a": np.array(["x"])}, None, "which safetensors cannot hold"),
        ({"a": np.zeros(2, "complex128")}, None, "complex128, which safetensors cannot hold"),
        ({3: np.zeros(2)}, None, "cannot be named 3"),
        ({"__metadata__": np.zeros(2)}, None, "cannot be named '__metadata__'"),
        ({}, {"a": 3}, "'a' is a int"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path, values, metadata, message):
    with pytest.raises(SafetensorsError, match=message):
        save_file(values, tmp_path / "a", metadata)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("header", "data", "length", "message"),
    [
        ({"a": entry(0, 8)}, b"\0" * 4, None, "is truncated: tensor 'a' ends at byte 8 of the data, which has only 4"),
        ({"a": entry(0, 8), "b": entry(4, 12)}, b"\0" * 12, None, "tensor 'b' overlaps the tensor before it"),
        ({"a": entry(0, 4), "b": entry(8, 12)}, b"\0" * 12, None, "tensor 'b' leaves a hole before it"),
        ({"a": entry(0, 4)}, b"\0" * 12, None, "8 bytes after its last tensor belong to none"),
        ({"a": entry(0, 4, [2])}, b"\0" * 4, None, "needs 8 bytes, but its offsets \\[0, 4\\] give 4"),
        ({"a": entry(8, 4, [1])}, b"\0" * 8, None, "impossible offsets"),
        ({"a": entry(0, 4, [-1])}, b"\0" * 4, None, "impossible shape"),
        ({"a": entry(0, 4, [True])}, b"\0" * 4, None, "impossible shape"),
        ({"a": entry(0, 4, dtype="F99")}, b"\0" * 4, None, "unknown type 'F99'"),
        ({"a": entry(0, 4, dtype=["F32"])}, b"\0" * 4, None, "unknown type"),
        ({"a": 3}, b"", None, "not described by dtype, shape and data_offsets"),
        ({"__metadata__": {"a": 1}}, b"", None, "metadata are not a table of strings"),
        ([1], b"", None, "not a JSON object"),
        (b"{not json", b"", None, "its header is not JSON"),
        (b"\xff\xfe", b"", None, "its header is not JSON"),
        (b"[" * 100000, b"", None, "its header is not JSON"),
        (b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{}}', b"", None, "stands twice"),
        ({}, b"", 10**6, "is truncated: its header has 1000000 bytes, the whole file 10"),
        ({}, b"", 2**60, "claims a header of 1152921504606846976 bytes"),
    ],
)
def test_damaged_files_give_one_sentence(tmp_path, header, data, length, message):
    path = write_raw(tmp_path / "scan.safetensors", header, data, length)
    with pytest.raises(SafetensorsError, match=message) as caught:
        load_file(path)
    text = str(caught.value)
    assert text.startswith("'scan.safetensors' ")
    assert "\n" not in text
    assert str(tmp_path) not in text


def test_file_shorter_than_its_length_field(tmp_path):
    (tmp_path / "a").write_bytes(b"\0\0")
    with pytest.raises(SafetensorsError, match="it has 2 bytes"):
        load_file(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        load_file(tmp_path / "none")


def test_every_truncation_of_a_file_is_noticed(tmp_path):
    save_file({"a": np.arange(5.0), "b": np.arange(3, dtype=np.uint8)}, tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    for end in range(len(whole)):
        (tmp_path / "part").write_bytes(whole[:end])
        with pytest.raises(SafetensorsError):
            load_arrays(tmp_path / "part")


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    save_file({"a": np.zeros(2)}, path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_file({"a": np.ones(2)}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a"]


def test_checkpoint_returns_what_went_in(tmp_path):
    shared = framework.arange(4)
    state = {
        "model": OrderedDict(weight=framework.ones(2, 2), bias=np.arange(2.0)),
        "optimizer": {
            "state": {0: {"step": np.float32(3)}, 1: {}},
            "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999)}],
        },
        "epoch": 7,
        "huge": 2**200,
        "float": [1 / 3, math.inf, -math.inf, math.nan, -0.0, 5e-324],
        "none": None,
        "flag": True,
        "text": 'quotes " and ä \n',
        "nested": [[], {}, (), [(1, "a"), None]],
        "keys": {(1, "a"): 1, None: 2, True: 3, 2.5: 4},
        "$tensor": "a key that looks like ours",
        "dots": {"a.b": framework.zeros(1), "a": {"b": framework.ones(1)}},
        "alias": [shared, shared],
    }
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, state, {"run": "test"})
    back = load_checkpoint(path)
    assert load_metadata(path)["run"] == "test"
    assert list(back) == list(state)
    assert back["model"]["weight"].tolist() == [[1, 1], [1, 1]]
    assert isinstance(back["model"]["bias"], np.ndarray)
    assert back["optimizer"]["state"][0]["step"] == np.float32(3)
    assert type(back["optimizer"]["state"][0]["step"]) is np.float32
    assert back["optimizer"]["param_groups"] == state["optimizer"]["param_groups"]
    assert back["huge"] == 2**200
    assert math.isnan(back["float"].pop(3))
    assert back["float"] == [1 / 3, math.inf, -math.inf, -0.0, 5e-324]
    assert math.copysign(1, back["float"][3]) == -1
    for key in ("epoch", "none", "flag", "text", "nested", "keys", "$tensor"):
        assert back[key] == state[key]
    assert back["dots"]["a.b"].item() == 0
    assert back["dots"]["a"]["b"].item() == 1
    assert back["alias"][0] is back["alias"][1]
    assert read_header(path)["model.weight"].shape == (2, 2)


def test_checkpoints_of_equal_states_are_equal_files(tmp_path):
    for name in "ab":
        framework.manual_seed(3)
        net = nn.Sequential(nn.Conv3d(1, 2, 3), nn.NormAct(2))
        save_checkpoint(tmp_path / name, {"model": net.state_dict(), "rng": framework.default_generator.get_state()})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": [object()]}, "cannot hold the object at 'a.0'"),
        ({"a": {b"x": 1}}, "cannot hold the key b'x' at 'a'"),
        ({"a": {1, 2}}, "cannot hold the set at 'a'"),
    ],
)
def test_other_objects_are_refused(tmp_path, state, message):
    with pytest.raises(TypeError, match=message):
        save_checkpoint(tmp_path / "a", state)
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_checkpoints(tmp_path):
    path = tmp_path / "a"
    save_file({"x": np.zeros(1)}, path)
    with pytest.raises(SafetensorsError, match="'a' is not a checkpoint of voxhelix"):
        load_checkpoint(path)
    save_file({}, path, {"format": "voxhelix-checkpoint", "version": "99", "tree": "{}"})
    with pytest.raises(SafetensorsError, match="version 99, this program reads version 1"):
        load_checkpoint(path)
    for tree in ("{", '{"a":{"$tensor":"missing"}}', '{"a":{"$unknown":1}}', '{"a":{"$items":3}}'):
        save_file({}, path, {"format": "voxhelix-checkpoint", "version": "1", "tree": tree})
        with pytest.raises(SafetensorsError, match="table of contents does not match"):
            load_checkpoint(path)
    with pytest.raises(ValueError, match="describe the checkpoint itself"):
        save_checkpoint(path, {}, {"tree": "x"})


class Points:
    """Twelve fixed points for a small regression, with noise that each item draws for itself."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        from framework.data import item_rng

        x = np.float32([index / 12, 1.0]) + item_rng().normal(0, 0.1, 2).astype(np.float32)
        return x, np.float32([index / 6])


def start_run():
    framework.manual_seed(11)
    net = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.2), nn.Tanh(), nn.Linear(8, 1))
    optimizer = optim.AdamW(net.parameters(), lr=0.05)
    schedule = optim.lr_scheduler.PolynomialLR(optimizer, 30, 0.9)
    return net, optimizer, schedule, DataLoader(Points(), batch_size=4, shuffle=True, num_workers=2)


def train(net, optimizer, schedule, loader, steps, before=0):
    done = before
    while done < steps:
        for x, y in loader:
            loss = nn.functional.mse_loss(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            if done == steps:
                break


def test_a_resumed_run_is_the_same_to_the_bit(tmp_path):
    run = start_run()
    train(*run, steps=5)
    net, optimizer, schedule, loader = run
    parts = {"model": net, "optimizer": optimizer, "schedule": schedule, "loader": loader}
    state = {name: part.state_dict() for name, part in parts.items()}
    save_checkpoint(tmp_path / "c", {**state, "rng": framework.default_generator.get_state(), "steps": 5})
    # The unbroken run goes on in a new pass, as the resumed one does.
    loader.load_state_dict(state["loader"])
    train(*run, steps=11, before=5)

    framework.manual_seed(999)
    other = start_run()
    framework.manual_seed(12345)
    saved = load_checkpoint(tmp_path / "c")
    for name, part in zip(parts, other):
        part.load_state_dict(saved[name])
    framework.default_generator.set_state(saved["rng"])
    train(*other, steps=11, before=saved["steps"])
    for (name, p), (_, q) in zip(net.state_dict().items(), other[0].state_dict().items()):
        assert p.numpy().tobytes() == q.numpy().tobytes(), name
    assert optimizer.param_groups[0]["lr"] == other[1].param_groups[0]["lr"]
