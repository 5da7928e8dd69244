"""Packed lists, pinned memory, and what workers leave to others: memory and processors."""

import multiprocessing
import os
import pickle
import sys
import types
from pathlib import Path

import loader_data
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import framework
from framework import data
from framework.backends.cpu import threads
from framework.data import DataLoader, SharedList
from framework.data import pin as pinning


@given(st.lists(st.text(st.characters(), max_size=5)) | st.lists(st.binary(max_size=5)))
def test_a_packed_list_is_the_list(items):
    packed = SharedList(items)
    assert list(packed) == items
    assert packed[1:-1] == items[1:-1]
    assert len(packed) == len(items)
    for index in range(-len(items), len(items)):
        assert packed[index] == items[index]
    with pytest.raises(IndexError, match="out of range"):
        packed[len(items)]


def test_packed_arrays():
    arrays = [np.arange(n * 3, dtype=np.float32).reshape(n, 3) for n in (2, 0, 5)]
    packed = SharedList(arrays)
    assert packed.nbytes == 7 * 3 * 4 + 3 * 8 * 3
    for mine, array in zip(packed, arrays):
        assert (mine.dtype, mine.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(mine, array)
    packed[0][:] = -1
    assert packed[0][1, 1] == 4


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([1, 2], "not int"),
        (["a", b"b"], "item 0 is str, item 1 is bytes"),
        ([np.ones(2), np.ones((2, 2))], "item 0 has float64 and 1"),
        ([np.array([{}], object)], "not of objects"),
    ],
)
def test_what_a_packed_list_refuses(items, message):
    with pytest.raises(TypeError, match=message):
        SharedList(items)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(SharedList(["a"]))


@pytest.mark.skipif(sys.platform == "win32", reason="hands descriptors over")
@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_a_packed_list_reaches_spawned_workers(context):
    names = SharedList([f"näme {i}" for i in range(20)])
    loader = DataLoader(names, 5, num_workers=2, multiprocessing_context=context)
    assert [name for batch in loader for name in batch] == list(names)
    arrays = SharedList([np.full((i,), i, np.int16) for i in range(4)])
    loader = DataLoader(arrays, None, num_workers=2, multiprocessing_context=context)
    assert [array.tolist() for array in loader] == [[], [1], [2, 2], [3, 3, 3]]
    assert arrays[3].tolist() == [3, 3, 3]


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="reads proportional set sizes")
def test_a_million_items_do_not_grow_with_workers():
    """Memory of the workers' own after they have read every item: a plain list is copied into each of them."""
    plain = [f"/data/study-{i:07d}/series-{i % 7}/image.nii.gz" for i in range(1_000_000)]
    packed = SharedList(plain)

    def private(names, workers):
        loader = DataLoader(
            loader_data.Reading(names), 2000, num_workers=workers, worker_type="process", collate_fn=max
        )
        return sum(dict(batch for batch in loader).values())

    assert private(packed, 1) < 30e6
    assert private(packed, 3) < 3 * 30e6
    assert private(plain, 1) > 60e6  # what the measure shows where memory does grow


def test_worker_threads_leave_the_kernels_pool_to_training():
    seen = {}

    class Asking(data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            seen[index] = threads._local.alone
            return index

    list(DataLoader(Asking(), num_workers=2))
    assert all(seen.values())
    list(DataLoader(Asking()))
    assert not any(seen.values())
    assert multiprocessing.active_children() == []


def test_without_a_gpu_nothing_is_pinned():
    batch = next(iter(DataLoader(range(3), 3, pin_memory=True)))
    assert batch.tolist() == [0, 1, 2]


def test_pinning_goes_through_containers(monkeypatch):
    """With a stand-in for the one CuPy function it calls; it has not run on a GPU."""
    made = []

    def empty_like_pinned(array):
        made.append(np.empty_like(array))
        return made[-1]

    class Own:
        def pin_memory(self):
            return "own"

    monkeypatch.setitem(sys.modules, "cupyx", types.SimpleNamespace(empty_like_pinned=empty_like_pinned))
    weight = framework.ones(2, requires_grad=True)
    pinned = pinning.pin({"a": framework.arange(3), "b": [weight, "x"], "c": (Own(), 1)})
    assert pinned["a"].tolist() == [0, 1, 2]
    assert pinned["b"][0].requires_grad
    assert pinned["c"] == ("own", 1)
    assert np.shares_memory(pinned["a"].numpy(), made[0])


def test_torchs_names():
    from framework.utils.data import dataloader, dataset, distributed, sampler

    assert framework.utils.data.DataLoader is dataloader.DataLoader is DataLoader
    assert dataset.Dataset is data.Dataset
    assert sampler.Sampler is data.Sampler
    assert distributed.DistributedSampler is data.DistributedSampler
    missing = [name for name in vars(data) if name[0].isupper() and not hasattr(framework.utils.data, name)]
    assert not missing
    assert Path(framework.utils.data.__file__).parent.name == "data"
