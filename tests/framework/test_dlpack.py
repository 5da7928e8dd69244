"""DLPack, both ways, with NumPy, torch and JAX: memory is shared, types and strides arrive, flags are kept."""

from typing import Any

import numpy as np
import pytest

import framework as vh

KINDS = ["bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "bfloat16",
         "float32", "float64", "complex64", "complex128"]  # fmt: skip
SHAPES = [(), (0,), (2, 0, 3), (3,), (2, 3)]


def made(kind: str, shape: tuple[int, ...]) -> vh.Tensor:
    return (vh.arange(int(np.prod(shape))).reshape(shape) % 2).to(getattr(vh, kind))


@pytest.mark.oracle
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_with_torch(kind: str, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    ours = made(kind, shape)
    theirs = torch.from_dlpack(ours)
    assert (tuple(theirs.shape), theirs.dtype) == (shape, getattr(torch, kind))
    assert theirs.tolist() == ours.tolist()
    back = vh.from_dlpack(theirs)
    assert (tuple(back.shape), back.dtype) == (shape, ours.dtype)
    if ours.numel():
        assert back.data_ptr() == theirs.data_ptr() == ours.data_ptr()


@pytest.mark.oracle
def test_torchs_strides_arrive() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)[::2, :, 1:]
    ours = vh.from_dlpack(theirs)
    assert ours.stride() == theirs.stride()
    assert ours.tolist() == theirs.tolist()
    ours[0, 0, 0] = 42
    assert theirs[0, 0, 0] == 42
    half = vh.from_dlpack(theirs.bfloat16()[:, 1])
    assert half.dtype is vh.bfloat16
    assert half.tolist() == theirs.bfloat16()[:, 1].tolist()


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["float32", "int32", "bfloat16", "bool"])
def test_with_jax(kind: str) -> None:
    jax = pytest.importorskip("jax")
    ours = made(kind, (2, 3))
    theirs = jax.numpy.from_dlpack(ours)
    assert theirs.dtype == kind
    assert theirs.tolist() == ours.tolist()
    back = vh.from_dlpack(theirs)
    assert back.dtype is ours.dtype
    assert back.tolist() == ours.tolist()
    with pytest.raises(RuntimeError, match="read-only"):
        back.zero_()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "bfloat16"])
def test_with_numpy(kind: str) -> None:
    ours = made(kind, (2, 3))
    array = np.from_dlpack(ours)
    assert array.ctypes.data == ours.data_ptr()
    assert array.dtype.name == kind
    assert vh.from_dlpack(array).data_ptr() == ours.data_ptr()


def test_negative_strides_and_read_only_memory() -> None:
    array = np.arange(6.0).reshape(2, 3)[:, ::-1]
    tensor = vh.from_dlpack(array)
    assert tensor.stride() == (3, -1)
    assert np.from_dlpack(tensor).strides == array.strides
    array.flags.writeable = False
    tensor = vh.from_dlpack(array)
    assert tensor.tolist() == array.tolist()
    with pytest.raises(RuntimeError, match="read-only"):
        tensor.add_(1)
    with pytest.raises(BufferError):
        tensor.__dlpack__()  # the old protocol cannot say that memory is read-only
    assert not np.from_dlpack(tensor).flags.writeable


def test_the_arguments_of_the_standard() -> None:
    tensor = vh.ones(3)
    assert tensor.__dlpack_device__() == (1, 0)
    assert "dltensor_versioned" in repr(tensor.__dlpack__(max_version=(1, 0)))
    assert "versioned" not in repr(tensor.__dlpack__())
    tensor.__dlpack__(stream=None, max_version=(1, 0), dl_device=(1, 0), copy=True)
    assert vh.from_dlpack(tensor, copy=True).data_ptr() != tensor.data_ptr()
    assert vh.from_dlpack(tensor, copy=False, device="cpu").data_ptr() == tensor.data_ptr()
    with pytest.raises(BufferError, match="detach"):
        vh.ones(2, requires_grad=True).__dlpack__()
    with pytest.raises(BufferError, match="detach"):
        vh.from_dlpack(vh.ones(2, requires_grad=True))
    with pytest.raises(BufferError):
        tensor.__dlpack__(dl_device=(2, 0))
    with pytest.raises(TypeError, match="__dlpack__"):
        vh.from_dlpack([1, 2])


def test_a_producer_of_the_first_protocol() -> None:
    class Old:
        def __init__(self, tensor: Any) -> None:
            self.tensor = tensor

        def __dlpack_device__(self) -> Any:
            return self.tensor.__dlpack_device__()

        def __dlpack__(self, stream: Any = None) -> Any:
            return self.tensor.__dlpack__()

    for kind in (vh.float32, vh.bfloat16):
        source = vh.ones(3, dtype=kind)
        assert vh.from_dlpack(Old(source)).dtype is kind
        assert vh.from_dlpack(Old(source)).data_ptr() == source.data_ptr()


def test_memory_lives_as_long_as_its_last_holder() -> None:
    tensor = vh.from_dlpack(np.arange(1000.0))
    array = np.from_dlpack(vh.from_dlpack(vh.arange(1000).double()))
    assert tensor.sum().item() == array.sum() == 499500
