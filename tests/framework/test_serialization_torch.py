"""Files that PyTorch itself writes, read without it: arrays, and what stands beside them, are what torch.load gives."""

import io
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest

import framework
from framework import nn
from framework.serialization import SerializationError, describe, load_arrays

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:.*(deprecated|ComplexHalf support|registered as constants|Converting a tensor)"),
]

FORMATS = {
    "zip": {},
    "legacy": {"_use_new_zipfile_serialization": False},
    "zip, protocol 4": {"pickle_protocol": 4},
    "zip, protocol 5": {"pickle_protocol": 5},
}


@pytest.fixture(params=FORMATS)
def write(request, tmp_path):
    """Saves with PyTorch and gives the path."""

    def save(state, name="model.pt"):
        torch.save(state, tmp_path / name, **FORMATS[request.param])
        return tmp_path / name

    return save


def assert_same(ours, theirs, path="state"):
    """The same types, and values to the last bit."""
    if isinstance(theirs, torch.Tensor):
        assert type(ours) is (nn.Parameter if type(theirs) is torch.nn.Parameter else framework.Tensor), path
        assert str(ours.dtype).removeprefix("framework.") == str(theirs.dtype).removeprefix("torch."), path
        assert (tuple(ours.shape), ours.requires_grad) == (tuple(theirs.shape), theirs.requires_grad), path
        assert ours.stride() == theirs.stride() or 0 in theirs.shape, path
        raw = theirs.detach().resolve_conj().resolve_neg().contiguous()
        reference = raw.reshape(-1).view(torch.uint8).numpy() if raw.numel() else np.empty(0)
        assert ours.detach().numpy().tobytes() == reference.tobytes(), path
    elif isinstance(theirs, torch.dtype | torch.device | torch.Size):
        assert str(ours).removeprefix("framework.") == str(theirs).removeprefix("torch."), path
    elif isinstance(theirs, np.ndarray | np.generic):
        assert type(ours) is type(theirs), path
        assert (ours.dtype, ours.shape, ours.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes()), path
    else:
        assert type(ours) is type(theirs), path
        if isinstance(theirs, dict):
            assert list(ours) == list(theirs), path
            for key, value in theirs.items():
                assert_same(ours[key], value, f"{path}.{key}")
        elif isinstance(theirs, list | tuple):
            assert len(ours) == len(theirs), path
            for index, (mine, value) in enumerate(zip(ours, theirs)):
                assert_same(mine, value, f"{path}.{index}")
        else:
            assert ours == theirs, path


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv3d(1, 4, 3), torch.nn.BatchNorm3d(4), torch.nn.PReLU(), torch.nn.LSTM(4, 3, 2, bidirectional=True)
    )


@pytest.mark.parametrize("mmap", [True, False])
def test_every_type_and_layout(write, mmap):
    names = "uint8 int8 int16 int32 int64 bool float16 bfloat16 float32 float64 complex64 complex128"
    names += " uint16 uint32 uint64"
    torch.manual_seed(0)
    state = {name: (torch.randn(3, 4) * 5).to(getattr(torch, name)) for name in names.split()}
    x = torch.randn(4, 5, 6)
    state |= {
        "transposed": x.permute(2, 0, 1),
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "strided": x[1::2, :, ::3],
        "expanded": torch.arange(3.0)[:, None].expand(3, 4),
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
        "empty slice": x[2:2],
        "conjugate": torch.randn(3, dtype=torch.complex64).conj(),
        "negative": torch.randn(3, dtype=torch.complex64).conj().imag,
        "needs gradient": torch.randn(3, requires_grad=True),
    }
    path = write(state)
    ours = framework.load(path, mmap=mmap)
    assert ours["conjugate"].tolist() == state["conjugate"].tolist()
    assert_same(
        {key: value for key, value in ours.items() if key not in ("conjugate", "negative")},
        {key: value for key, value in state.items() if key not in ("conjugate", "negative")},
    )
    assert ours["negative"].tolist() == state["negative"].tolist()


@pytest.mark.parametrize("mmap", [True, False])
def test_checkpoint_of_a_training_run(write, mmap):
    net = network()
    optimizers = [torch.optim.AdamW(net.parameters(), 0.1, amsgrad=True), torch.optim.SGD(net.parameters(), 0.1, 0.9)]
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizers[0], [3, 3, 7])
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter)
    for optimizer in optimizers:
        optimizer.step()
    state = {
        "epoch": 7,
        "network": net.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "scheduler": scheduler.state_dict(),
        "plain": [None, True, -1, 2**40, 2**100, -(2**70), 1.5, float("inf"), "text ä", "", b"\0\xff", 3 - 1j],
        "sets": [{1, 2}, {"a"}],
        "shape": torch.Size([1, 2]),
        "device": [torch.device("cpu"), torch.device("cuda", 1)],
        "types": [torch.float32, torch.bfloat16, torch.uint16],
        "keys": {1: "a", None: "b", 2.5: "c", (1, "x"): "d"},
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "frozen": torch.nn.Parameter(torch.ones(2), requires_grad=False),
        "array": np.arange(6.0).reshape(2, 3)[:, ::-1],
        "fortran": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        "number": np.float64(0.1),
        "integer": np.int32(-3),
        "flag": np.bool_(True),
        "no array": np.empty((0, 2), np.uint8),
        "bytes": bytearray(b"abc"),
    }
    path = write(state)
    ours = framework.load(path, mmap=mmap)
    assert_same(ours, torch.load(path, weights_only=False))
    assert type(ours["network"]) is OrderedDict
    assert type(ours["scheduler"]["milestones"]) is Counter
    assert ours["network"]._metadata["1"] == {"version": 2}


def test_attributes_of_tensors_are_let_go(write):
    parameter, tensor = torch.nn.Parameter(torch.ones(2)), torch.ones(3)
    parameter.note = tensor.note = "x"
    path = write({"p": parameter, "t": tensor, "b": torch.nn.Buffer(torch.ones(1))})
    ours = framework.load(path)
    assert type(ours["p"]) is nn.Parameter
    assert [ours[name].shape for name in "ptb"] == [(2,), (3,), (1,)]


def test_shared_storages_keep_sharing(write):
    x = torch.zeros(4, 6)
    same = torch.ones(3)
    path = write({"whole": x, "row": x[1], "column": x[:, 2], "same": [same, same]})
    for mmap in (True, False):
        ours = framework.load(path, mmap=mmap)
        ours["row"].fill_(5)
        assert ours["whole"][1].tolist() == [5] * 6
        assert ours["column"].tolist() == [0, 5, 0, 0]
        assert ours["same"][0] is ours["same"][1]
        assert ours["column"].storage_offset() == 2


def test_module_of_ours_takes_the_weights(write):
    net = network()
    ours = nn.Sequential(nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.PReLU(), nn.LSTM(4, 3, 2, bidirectional=True))
    missing, unexpected = ours.load_state_dict(framework.load(write(net.state_dict())))
    assert not missing
    assert not unexpected
    assert_same(ours.state_dict(), net.state_dict())


def test_chosen_names(write):
    path = write({"net": {"a": torch.ones(2), "b.c": torch.zeros(3)}, "list": [torch.ones(1), 3]})
    assert list(describe(path).tensors) == ["net.a", "net.b.c", "list.0"]
    chosen = framework.load(path, names=["list.0", "net.b.c"])
    assert list(chosen) == ["list.0", "net.b.c"]
    assert chosen["net.b.c"].shape == (3,)
    assert load_arrays(path, ["net.a"])["net.a"].tolist() == [1, 1]
    with pytest.raises(KeyError, match=r"no tensor named 'net\.c'"):
        framework.load(path, names=["net.c"])


def test_file_objects_and_torch_arguments(write):
    content = io.BytesIO(write({"a": torch.ones(2)}).read_bytes())
    assert framework.load(content, "cpu", weights_only=True)["a"].sum() == 2
    content.seek(0)
    assert framework.load(content, map_location=lambda storage, place: storage)["a"].sum() == 2


@pytest.mark.parametrize("mmap", [True, False])
def test_torchscript(tmp_path, mmap):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv1d(1, 2, 3)
            self.norm = torch.nn.BatchNorm1d(2)
            self.register_buffer("scale", torch.ones(2))
            self.register_buffer("passing", torch.ones(1), persistent=False)
            self.plain = torch.zeros(3)
            self.integers, self.tensors, self.table = [1, 2], [torch.ones(1)], {"a": torch.ones(1)}
            self.again = self.conv
            self.tied = self.conv.weight
            self.layers = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2, bias=False)])

        def forward(self, x):
            y = self.norm(self.conv(x)) + self.plain.sum() + self.tensors[0] + self.table["a"] + self.integers[0]
            for layer in self.layers:
                y = y + layer.weight.sum()
            return self.again(x) + y + self.passing + self.tied.sum()

    torch.manual_seed(0)
    for name, made in (("script", torch.jit.script(Net())), ("trace", torch.jit.trace(Net(), torch.ones(1, 1, 8)))):
        path = tmp_path / f"{name}.pt"
        made.save(path)
        reference = torch.jit.load(path).state_dict()
        ours = framework.load(path, mmap=mmap)
        assert_same(ours, reference)
        assert "plain" not in ours
        assert describe(path).format == "TorchScript"
        ours["conv.weight"].zero_()
        assert ours["tied"].sum() == 0


def test_torchscript_whose_code_is_compressed(tmp_path):
    torch.jit.script(torch.nn.BatchNorm1d(3)).save(tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as old, zipfile.ZipFile(tmp_path / "b.pt", "w") as new:
        for name in old.namelist():
            kind = zipfile.ZIP_DEFLATED if name.endswith(".py") else zipfile.ZIP_STORED
            new.writestr(name, old.read(name), kind)
    assert_same(framework.load(tmp_path / "b.pt"), torch.jit.load(tmp_path / "a.pt").state_dict())


def test_hugging_face_shards_of_pickles(tmp_path, write):
    first = write({"a": torch.ones(2), "b": torch.zeros(1)}, "pytorch_model-00001-of-00002.bin")
    second = write({"c": torch.full((3,), 2.0)}, "pytorch_model-00002-of-00002.bin")
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(f'{{"metadata": {{}}, "weight_map": {{"c": "{second.name}", "a": "{first.name}"}}}}')
    for path in (tmp_path, index):
        ours = framework.load(path)
        assert {name: tensor.tolist() for name, tensor in ours.items()} == {"c": [2, 2, 2], "a": [1, 1]}
    assert framework.load(tmp_path, names=["a"])["a"].tolist() == [1, 1]


def test_big_endian_archives(tmp_path, monkeypatch):
    torch.manual_seed(0)
    state = {
        name: (torch.randn(3, 4) * 5).to(getattr(torch, name))
        for name in "uint8 int16 float32 float64 bfloat16 complex64 bool".split()  # noqa: SIM905
    }
    torch.save(state, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as old, zipfile.ZipFile(tmp_path / "b.pt", "w") as new:
        for index, name in enumerate(state):
            assert f"a/data/{index}" in old.namelist(), name
        widths = dict(zip(map(str, range(7)), (1, 2, 4, 8, 2, 4, 1)))
        for name in old.namelist():
            content = old.read(name)
            if name.startswith("a/data/"):
                content = np.frombuffer(content, f"u{widths[name[7:]]}").byteswap().tobytes()
            new.writestr(name, b"big" if name == "a/byteorder" else content)
    assert_same(framework.load(tmp_path / "b.pt"), state)


def test_archives_without_checksums(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(3)}, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert framework.load(tmp_path / "a.pt")["a"].sum() == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "'b' is quantised: dequantise it"),
        (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint32), "'b' is quantised: dequantise it"),
        (lambda: torch.ones(3).to_sparse(), r"'b' is sparse: make it dense with to_dense\(\)"),
        (lambda: torch.empty(3, device="meta"), "'b' is on the meta device"),
        (lambda: torch.ones(3, dtype=torch.complex32), r"'b' is of type torch\.complex32, which NumPy does not have"),
    ],
)
def test_tensors_that_have_no_like_here_are_refused_by_name(write, make, message):
    path = write({"a": torch.ones(2), "b": make(), "c": torch.zeros(2)})
    with pytest.raises(SerializationError, match=message):
        framework.load(path)
    assert framework.load(path, names=["a", "c"])["a"].sum() == 2
    assert describe(path).tensors["b"].refused


def test_eight_bit_floats_are_arrays(write):
    state = {"a": torch.randn(8).to(torch.float8_e5m2)}
    path = write(state)
    assert load_arrays(path)["a"].tobytes() == state["a"].view(torch.uint8).numpy().tobytes()
    with pytest.raises(SerializationError, match="load_arrays reads it as a NumPy array"):
        framework.load(path)


class Own:
    """A class whose objects no file of weights should hold."""


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Own(), r"test_serialization_torch\.Own'"),
        (Own, r"test_serialization_torch\.Own'"),
        (torch.nn.Linear(2, 2), r"'torch\.nn\.modules\.linear\.Linear'"),
        (torch.optim.SGD([torch.ones(1)], 0.1), r"'torch\.optim\.sgd\.SGD'"),
        (print, r"'__builtin__\.print'|'builtins\.print'"),
        (np.array([Own()], dtype=object), "NumPy array of type 'O8'"),
        (np.array(["text"]), "NumPy array of type 'U4'"),
    ],
)
def test_other_objects_are_refused_by_name(write, value, name):
    with pytest.raises(SerializationError, match=f"'model.pt' was refused: .*({name})"):
        framework.load(write({"a": torch.ones(1), "value": value}))


def test_values_that_are_classes_are_refused(write):
    with pytest.raises(SerializationError, match=r"holds collections\.OrderedDict, which is not a value"):
        framework.load(write({"kind": OrderedDict}))
    with pytest.raises(SerializationError, match="holds a storage without a tensor"):
        framework.load(write({"s": torch.ones(2).untyped_storage()}))


def test_other_zip_archives(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.ones(2))
    with pytest.raises(SerializationError, match=r"'a\.npz' cannot be read: it is a zip archive, but not one of"):
        framework.load(tmp_path / "a.npz")


def test_converted_checkpoints_are_the_same(write, tmp_path):
    net = network()
    state = {"net": net.state_dict(), "step": 3, "opt": torch.optim.Adam(net.parameters()).state_dict()}
    path = write(state)
    framework.save(framework.load(path), tmp_path / "b.safetensors")
    assert_same(framework.load(tmp_path / "b.safetensors"), torch.load(path, weights_only=False))
