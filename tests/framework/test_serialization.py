"""Saving and loading in our own format: round trips, the reference implementation, mapping, shards, damaged files."""

import io
import json
import math
import os
import struct
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import framework
from framework import nn, optim
from framework.data import DataLoader
from framework.serialization import SerializationError, describe, load_arrays
from framework.serialization.source import Source

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
    framework.save({**arrays, "tensor": framework.ones(2, 3)}, path, {"made by": "a test", "note": "ä"})
    loaded = framework.load(path)
    assert list(loaded) == [*arrays, "tensor"]
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].shape == array.shape
        assert loaded[name].tobytes() == array.tobytes()
        assert loaded[name].flags.writeable
    about = describe(path)
    assert about.format == "safetensors"
    assert about.metadata == {"format": "pt", "made by": "a test", "note": "ä"}
    assert about.tensors["tensor"] == ("float32", (2, 3), 24, None)
    chosen = framework.load(path, names=["tensor", "scalar"])
    assert list(chosen) == ["tensor", "scalar"]
    assert chosen["tensor"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert chosen["scalar"].item() == 3
    assert os.listdir(tmp_path) == ["weights.safetensors"]
    with pytest.raises(KeyError, match="no tensor named 'tensors'; did you mean 'tensor'"):
        framework.load(path, names=["tensors"])


def test_reference_implementation_reads_and_writes_the_same(tmp_path):
    reference = pytest.importorskip("safetensors.numpy")
    arrays = {name: array for name, array in samples().items() if array.dtype.name not in ("complex64", "bfloat16")}
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    framework.save(arrays, ours)
    reference.save_file(arrays, theirs)
    for name, array in reference.load_file(ours).items():
        assert array.tobytes() == arrays[name].tobytes()
        assert array.dtype == arrays[name].dtype
    for name, tensor in framework.load(theirs).items():
        assert isinstance(tensor, framework.Tensor)
        assert tensor.numpy().tobytes() == arrays[name].tobytes()
    with reference.safe_open(ours, "np") as opened:
        assert opened.metadata()["format"] == "pt"


@pytest.mark.oracle
def test_every_type_of_the_reference_implementation(tmp_path):
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("safetensors.torch")
    tensors = {str(dtype): torch.arange(-3, 5).to(dtype) for dtype in reference._TYPES.values()}
    reference.save_file(tensors, tmp_path / "a")
    for name, array in load_arrays(tmp_path / "a").items():
        assert array.tobytes() == tensors[name].view(torch.uint8).numpy().tobytes()
    assert describe(tmp_path / "a").tensors["torch.float8_e5m2"].dtype == "float8_e5m2"
    with pytest.raises(
        SerializationError, match=r"has type float8_e5m2fnuz; framework\.serialization\.load_arrays reads"
    ):
        framework.load(tmp_path / "a")


def test_bytes_depend_on_the_values_alone(tmp_path):
    arrays = samples()
    strided = {name: np.array(arrays[name], order="F") for name in reversed(arrays)}
    strided = {name: strided[name] for name in arrays}
    framework.save(arrays, tmp_path / "a", {"x": "1", "y": "2"})
    framework.save(strided, tmp_path / "b", {"y": "2", "x": "1"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    content = (tmp_path / "a").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    assert (8 + length) % 64 == 0
    header = json.loads(content[8 : 8 + length])
    assert all(header[name]["data_offsets"][0] % array.itemsize == 0 for name, array in arrays.items())


def test_big_endian_arrays_are_converted(tmp_path):
    framework.save({"a": np.arange(3, dtype=">i4")}, tmp_path / "a")
    loaded = load_arrays(tmp_path / "a")["a"]
    assert loaded.dtype == np.dtype("<i4")
    assert loaded.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("values", "metadata", "error", "message"),
    [
        ({"a": np.array(["x"])}, None, SerializationError, "'a' has type <U1, which safetensors cannot hold"),
        ({"__metadata__": np.zeros(2)}, None, SerializationError, "cannot be named '__metadata__'"),
        ({}, {"a": 3}, SerializationError, "'a' is a int"),
        ({}, {"voxhelix.tree": "x"}, ValueError, "describe the file itself"),
        ({"a": [object()]}, None, TypeError, "cannot hold the object at 'a.0'"),
        ({"a": {b"x": 1}}, None, TypeError, "cannot hold the key b'x' at 'a'"),
        ({"a": {1, 2}}, None, TypeError, "cannot hold the set at 'a'"),
        ({"a": {2**70: 1}}, None, TypeError, "larger than any count"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path, values, metadata, error, message):
    with pytest.raises(error, match=message):
        framework.save(values, tmp_path / "a", metadata)
    assert not list(tmp_path.iterdir())


def test_what_holds_itself_is_refused(tmp_path):
    state = {}
    state["again"] = [state]
    with pytest.raises(ValueError, match="nested deeper than 100, or holds itself"):
        framework.save(state, tmp_path / "a")
    deep = framework.ones(1)
    for _ in range(99):
        deep = [deep]
    framework.save(deep, tmp_path / "a")
    back = framework.load(tmp_path / "a")
    while isinstance(back, list):
        (back,) = back
    assert back.item() == 1


def test_plain_values_too_long_for_a_header_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("framework.serialization.safetensors.MAX_HEADER", 1000)
    with pytest.raises(SerializationError, match="put long lists of numbers into arrays"):
        framework.save({"losses": [0.5] * 1000}, tmp_path / "a")
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
        ({"a": entry(0, 0, [2**62, 2**62, 0, 2**63])}, b"", None, "impossible shape"),
        ({"a": entry(0, 4, [1] * 65)}, b"\0" * 4, None, "impossible shape"),
        (b'{"a": 1]', b"", None, "it is not JSON"),
        (b'{"\xff\xfe', b"", None, "it is not JSON"),
        (b'{"a":' + b"[" * 100000, b"", None, "it is not JSON"),
        (b'{"a":' + b"1" * 100000 + b"}", b"", None, "it is not JSON"),
        (b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{}}', b"", None, "stands twice"),
        ({}, b"", 10**6, "is truncated: its header has 1000000 bytes, the whole file 10"),
        ({}, b"", 2**60, "claims a header of 1152921504606846976 bytes"),
    ],
)
def test_damaged_files_give_one_sentence(tmp_path, header, data, length, message):
    path = write_raw(tmp_path / "scan.safetensors", header, data, length)
    with pytest.raises(SerializationError, match=message) as caught:
        framework.load(path)
    text = str(caught.value)
    assert "'scan.safetensors' " in text
    assert "\n" not in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\0\0", "it has only 2 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "it is a web page"),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}.0123456789", "a pickle but none that torch.save wrote"),
        (b"0123456789abcdefghij", "no safetensors, PyTorch, TorchScript or Keras 2 file"),
    ],
)
def test_files_of_other_kinds(tmp_path, content, message):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(SerializationError, match=message):
        framework.load(tmp_path / "a")


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        framework.load(tmp_path / "none")
    with pytest.raises(SerializationError, match="is a folder without a checkpoint"):
        framework.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(SerializationError, match="is not a regular file"):
            framework.load(path)


def test_every_truncation_of_a_file_is_noticed(tmp_path):
    framework.save({"a": np.arange(5.0), "b": np.arange(3, dtype=np.uint8)}, tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    for end in range(len(whole)):
        (tmp_path / "part").write_bytes(whole[:end])
        with pytest.raises(SerializationError):
            framework.load(tmp_path / "part")


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    framework.save({"a": np.zeros(2)}, path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        framework.save({"a": np.ones(2)}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a"]


def test_state_returns_as_it_went_in(tmp_path):
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
        "complex": [1j, complex(math.inf, -0.0)],
        "bytes": b"\0\xff",
        "size": framework.Size((2, 3)),
        "dtype": framework.bfloat16,
        "device": framework.device("cuda", 1),
        "huge key": {2**60: 1},
    }
    path = tmp_path / "last.ckpt"
    framework.save(state, path, {"run": "test"})
    back = framework.load(path)
    assert describe(path).metadata["run"] == "test"
    for key in ("complex", "bytes", "size", "dtype", "device", "huge key"):
        assert back[key] == state[key]
        assert type(back[key]) is type(state[key])
    assert type(back["model"]) is OrderedDict
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
    assert describe(path).tensors["model.weight"].shape == (2, 2)


def test_files_of_equal_states_are_equal(tmp_path):
    for name in "ab":
        framework.manual_seed(3)
        net = nn.Sequential(nn.Conv3d(1, 2, 3), nn.NormAct(2))
        framework.save({"model": net.state_dict(), "rng": framework.default_generator.get_state()}, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tensors_return_as_they_were(tmp_path):
    weight = framework.randn(3, 2, requires_grad=True)
    wide = framework.tensor([1 + 2j, 3.5 - 1j], dtype=framework.complex128)
    state = {
        "leaf": weight,
        "parameter": nn.Parameter(framework.ones(2)),
        "frozen": nn.Parameter(framework.ones(2), requires_grad=False),
        "wide": wide,
        "wide number": wide[0],
        "wide array": wide.numpy()[:0],
        "bfloat16": framework.ones(3, dtype=framework.bfloat16) / 3,
        "transposed": framework.arange(6).reshape(2, 3).t(),
    }
    framework.save(state, tmp_path / "a")
    for mmap in (True, False):
        back = framework.load(tmp_path / "a", mmap=mmap)
        for name, value in state.items():
            assert type(back[name]) is type(value), name
            if isinstance(value, framework.Tensor):
                assert (back[name].dtype, back[name].requires_grad) == (value.dtype, value.requires_grad), name
                assert back[name].detach().tolist() == value.detach().tolist(), name
        assert back["wide array"].dtype == np.complex128


def test_tied_weights_are_written_once(tmp_path):
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight
    framework.save(net.state_dict(), tmp_path / "a")
    (length,) = struct.unpack("<Q", (tmp_path / "a").read_bytes()[:8])
    assert (tmp_path / "a").stat().st_size == 8 + length + 9 * 4
    assert list(describe(tmp_path / "a").tensors) == ["0.weight", "1.weight"]
    back = framework.load(tmp_path / "a")
    assert list(back) == ["0.weight", "1.weight"]
    back["0.weight"].zero_()
    assert back["1.weight"].sum() == 0
    assert back._metadata == net.state_dict()._metadata


def test_file_objects(tmp_path):
    buffer = io.BytesIO()
    framework.save({"a": framework.ones(2)}, buffer)
    buffer.seek(0)
    assert framework.load(buffer)["a"].tolist() == [1, 1]
    (tmp_path / "a").write_bytes(buffer.getvalue()[:-1])
    with open(tmp_path / "a", "rb") as file, pytest.raises(SerializationError, match="'a' is truncated"):
        framework.load(file)


def test_files_of_version_0_1_0(tmp_path):
    header = {
        "__metadata__": {"format": "voxhelix-checkpoint", "version": "1", "tree": '{"w":{"$tensor":"w"},"n":3}'},
        "w": entry(0, 4),
    }
    back = framework.load(write_raw(tmp_path / "a", header, np.float32(2.5).tobytes()))
    assert back["w"].item() == 2.5
    assert back["n"] == 3


def test_tables_of_contents_that_make_no_sense(tmp_path):
    path = tmp_path / "a"
    trees = [
        "{", '{"a":{"$tensor":"missing"}}', '{"a":{"$unknown":1}}', '{"a":{"$items":3}}', '{"$items":[[[],1]]}',
        '{"$ordered":1}', '{"$device":"x"}', '{"$dtype":"x"}', '{"$size":["a"]}', '{"$int":"zz"}', '{"$bytes":3}',
        '{"$tensor":["w",3]}', '{"$tensor":["w",{"as":"complex128"}]}', '{"$tensor":["w",{"kind":"x"}]}',
        '{"$complex":[1]}', "[" * 5000,
    ]  # fmt: skip
    for tree in trees:
        own = {"voxhelix.version": "2", "voxhelix.tree": tree}
        write_raw(path, {"__metadata__": own, "w": entry(0, 4)}, b"\0" * 4)
        with pytest.raises(SerializationError, match="'a' is damaged: its table of contents does not match"):
            framework.load(path)
    write_raw(path, {"__metadata__": {"voxhelix.version": "99", "voxhelix.tree": "{}"}})
    with pytest.raises(SerializationError, match="version 99, this program reads versions up to 2"):
        framework.load(path)


def test_map_location(tmp_path):
    framework.save({"a": framework.ones(2)}, tmp_path / "a")
    seen = []
    for where in ("cpu", framework.device("cpu"), {"cuda:0": "cpu"}, lambda tensor, place: seen.append(place)):
        assert framework.load(tmp_path / "a", map_location=where)["a"].tolist() == [1, 1]
    assert seen == ["cpu"]
    with pytest.raises(RuntimeError, match="Expected one of cpu, cuda"):
        framework.load(tmp_path / "a", map_location="tpu")


def test_mapped_tensors_are_written_in_memory_alone(tmp_path):
    path = tmp_path / "a"
    framework.save({"a": framework.zeros(1000)}, path)
    before = path.read_bytes()
    first, second = framework.load(path), framework.load(path)
    first["a"].fill_(7)
    assert second["a"].sum() == 0
    assert path.read_bytes() == before
    framework.save({"a": framework.ones(1000)}, path)  # replaces the file; the tensors stay on the old one
    assert second["a"].sum() == 0
    assert framework.load(path)["a"].sum() == 1000


def test_opening_a_large_file_costs_neither_time_nor_memory(tmp_path):
    """A sparse file of 1 GiB: mapped it takes no memory, and one page of it takes a page."""
    path = tmp_path / "large.safetensors"
    header = {f"layer{i}": entry(i * 2**26, (i + 1) * 2**26) for i in range(16)}
    write_raw(path, json.dumps(header).encode().ljust(2**12))
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size + 2**30)
    code = (
        "import resource, sys, time, framework\n"
        "framework.load(sys.argv[2])\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "start = time.perf_counter()\n"
        "state = framework.load(sys.argv[1])\n"
        "took = time.perf_counter() - start\n"
        "assert state['layer7'][12345] == 0 and len(state) == 16\n"
        "print(took, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024)\n"
    )
    small = tmp_path / "small"
    framework.save({"a": framework.ones(1)}, small)
    done = subprocess.run([sys.executable, "-c", code, path, small], capture_output=True, text=True, check=True)
    seconds, mebibytes = map(float, done.stdout.split())
    assert seconds < 0.2
    assert mebibytes < 16


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(8192))
    with Source(path, mapped=False) as source:
        os.truncate(path, 4096)
        with pytest.raises(SerializationError, match="'a' became shorter while it was read"):
            source.array(0, 8192)


def shards_of(folder):
    return sorted(p.name for p in folder.glob("*.safetensors"))


def test_sharded_saving(tmp_path):
    state = {"model": OrderedDict((f"layer{i}", framework.full((1000,), i)) for i in range(5)), "epoch": 3}
    path = tmp_path / "model.safetensors"
    framework.save(state, path, {"by": "a test"}, max_shard_size="10KB")
    assert shards_of(tmp_path) == [f"model-0000{i}-of-00005.safetensors" for i in range(1, 6)]
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 5 * 8000
    assert index["weight_map"]["model.layer2"] == "model-00003-of-00005.safetensors"
    for place in (path, tmp_path, str(tmp_path / "model.safetensors.index.json")):
        back = framework.load(place)
        assert back["epoch"] == 3
        assert [tensor[0].item() for tensor in back["model"].values()] == [0, 1, 2, 3, 4]
    assert describe(path).format == "safetensors in 5 shards"
    assert describe(path).metadata["by"] == "a test"
    assert list(framework.load(path, names=["model.layer3"])) == ["model.layer3"]

    # The next one is written beside the present one, and replaces it in the end.
    framework.save({"a": framework.ones(3000), "b": framework.ones(3000)}, path, max_shard_size=12000)
    assert shards_of(tmp_path) == ["model-new-00001-of-00002.safetensors", "model-new-00002-of-00002.safetensors"]
    assert framework.load(path)["b"].sum() == 3000
    framework.save({"a": framework.zeros(3000), "b": framework.ones(3000)}, path, max_shard_size=12000)
    assert shards_of(tmp_path) == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    framework.save({"a": framework.ones(3)}, path, max_shard_size="5GB")
    assert sorted(os.listdir(tmp_path)) == ["model.safetensors"]
    framework.save({"a": framework.ones(3), "b": framework.ones(3)}, path, max_shard_size=12)
    assert shards_of(tmp_path) == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def test_a_failed_sharded_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    framework.save({"a": framework.ones(3), "b": framework.ones(3)}, path, max_shard_size=12)
    replace = os.replace

    def fail(source, target):
        if Path(target).name.endswith("00002-of-00002.safetensors"):
            raise OSError("disk full")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        framework.save({"a": framework.zeros(3), "b": framework.zeros(3)}, path, max_shard_size=12)
    assert [tensor.sum().item() for tensor in framework.load(path).values()] == [3, 3]


@pytest.mark.parametrize("size", ["5 apples", "", "0", -3, "-1GB", "1e9"])
def test_sizes_that_are_none(tmp_path, size):
    with pytest.raises(ValueError, match="is no size: give bytes, or a text as '5GB'"):
        framework.save({}, tmp_path / "a.safetensors", max_shard_size=size)


def test_shards_need_a_place_and_a_name(tmp_path):
    with pytest.raises(ValueError, match="shards need a path"):
        framework.save({}, io.BytesIO(), max_shard_size=1)
    with pytest.raises(ValueError, match=r"is named \*.safetensors, not 'model.pt'"):
        framework.save({}, tmp_path / "model.pt", max_shard_size=1)


@pytest.mark.oracle
def test_hugging_face_reads_our_shards_and_we_theirs(tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    torch = pytest.importorskip("torch")
    tensors = {f"layer{i}": torch.randn(1000) for i in range(5)}
    hub.save_torch_state_dict(tensors, tmp_path, max_shard_size=9000)
    assert len(shards_of(tmp_path)) == 3
    for name, tensor in framework.load(tmp_path).items():
        assert tensor.tolist() == tensors[name].tolist()


def test_indices_that_lead_astray(tmp_path):
    framework.save({"a": framework.ones(2)}, tmp_path / "s.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    outside = tmp_path.parent / "s.safetensors"
    framework.save({"a": framework.ones(2)}, outside)
    for shard in ("../s.safetensors", str(outside), "..", "a\\b", "C:s", "", 3, None, "x/../s.safetensors"):
        index.write_text(json.dumps({"weight_map": {"a": shard}}))
        with pytest.raises(SerializationError, match="shards lie beside their index"):
            framework.load(tmp_path)
    for text, message in [
        ('{"weight_map": {"b": "s.safetensors"}}', "shard 's.safetensors' has no tensor 'b'"),
        ('{"weight_map": {"a": "t.safetensors"}}', "names the shard 't.safetensors', which is missing"),
        ('{"weight_map": {"a": "s.safetensors", "a": "s.safetensors"}}', "a name stands twice"),
        ('{"weight_map": 3}', "has no weight_map"),
        ("{}", "has no weight_map"),
        ("[]", "not a JSON object"),
        ("{", "is not JSON"),
    ]:
        index.write_text(text)
        with pytest.raises(SerializationError, match=message):
            framework.load(tmp_path)


def test_a_folder_with_several_checkpoints(tmp_path):
    framework.save({"a": framework.ones(2)}, tmp_path / "x.safetensors")
    assert framework.load(tmp_path)["a"].sum() == 2
    framework.save({"a": framework.zeros(2)}, tmp_path / "y.safetensors")
    with pytest.raises(SerializationError, match="folder with 2 checkpoints that could be meant: name the file"):
        framework.load(tmp_path)
    framework.save({"a": framework.full((2,), 3.0)}, tmp_path / "model.safetensors")
    assert framework.load(tmp_path)["a"].sum() == 6


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
    framework.save({**state, "rng": framework.default_generator.get_state(), "steps": 5}, tmp_path / "c")
    # The unbroken run goes on in a new pass, as the resumed one does.
    loader.load_state_dict(state["loader"])
    train(*run, steps=11, before=5)

    framework.manual_seed(999)
    other = start_run()
    framework.manual_seed(12345)
    saved = framework.load(tmp_path / "c")
    for name, part in zip(parts, other):
        part.load_state_dict(saved[name])
    framework.default_generator.set_state(saved["rng"])
    train(*other, steps=11, before=saved["steps"])
    for (name, p), (_, q) in zip(net.state_dict().items(), other[0].state_dict().items()):
        assert p.numpy().tobytes() == q.numpy().tobytes(), name
    assert optimizer.param_groups[0]["lr"] == other[1].param_groups[0]["lr"]
