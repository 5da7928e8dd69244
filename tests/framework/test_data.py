"""Datasets, samplers, collation and the loader: order, seeds, failures, shutdown, resuming."""

import gc
import threading
import time
import traceback
from collections import namedtuple
from itertools import chain

import numpy as np
import pytest

import framework
from framework import data
from framework.data import DataLoader


class Squares(data.Dataset):
    """Item i is i squared; remembers who asked and when it was told the epoch."""

    def __init__(self, n=20, fail_at=None, pause=0.0):
        self.n, self.fail_at, self.pause = n, fail_at, pause
        self.epochs = []
        self.asked = []

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        self.asked.append(index)
        time.sleep(self.pause)
        if index == self.fail_at:
            raise LookupError(f"item {index} is broken")
        return index * index

    def set_epoch(self, epoch):
        self.epochs.append(epoch)


class Noise(data.Dataset):
    """What augmentation would draw for an item."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        time.sleep(0.001 * (index % 3))  # so that threads overtake each other
        return data.item_rng().random(3)


def batches(loader):
    return [np.asarray(batch).tolist() for batch in loader]


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("loader-")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    if loader_threads():
        gc.collect()
    deadline = time.monotonic() + 5
    while loader_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not loader_threads()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_order(workers):
    loader = DataLoader(Squares(10), batch_size=4, num_workers=workers)
    assert len(loader) == 3
    for _ in range(2):
        assert batches(loader) == [[0, 1, 4, 9], [16, 25, 36, 49], [64, 81]]
    dropping = DataLoader(Squares(10), batch_size=4, num_workers=workers, drop_last=True)
    assert len(dropping) == len(batches(dropping)) == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_slow_items_do_not_change_the_order(workers):
    class Uneven(Squares):
        def __getitem__(self, index):
            time.sleep(0.02 if index % 4 == 0 else 0)
            return index

    assert batches(DataLoader(Uneven(12), batch_size=2, num_workers=workers)) == [[i, i + 1] for i in range(0, 12, 2)]


def test_shuffling_is_fixed_by_seed_and_epoch():
    def orders(workers, seed):
        loader = DataLoader(Squares(16), batch_size=5, shuffle=True, seed=seed, num_workers=workers)
        return [list(chain.from_iterable(batches(loader))) for _ in range(3)]

    first = orders(0, 7)
    assert first == orders(2, 7)
    assert first[0] != first[1] != first[2]
    assert all(sorted(order) == [i * i for i in range(16)] for order in first)
    assert first != orders(0, 8)
    framework.manual_seed(1)
    drawn = orders(0, None)
    framework.manual_seed(1)
    assert drawn == orders(1, None)


def test_item_streams_do_not_depend_on_workers():
    def values(workers):
        loader = DataLoader(Noise(), batch_size=3, shuffle=True, seed=4, num_workers=workers)
        return [batches(loader), batches(loader)]

    single = values(0)
    assert single == values(1) == values(3)
    assert single[0] != single[1]
    flat = np.array(single).reshape(-1)
    assert len(np.unique(flat)) == flat.size


def test_item_rng_outside_a_loader_follows_the_global_seed():
    framework.manual_seed(5)
    first = data.item_rng().random()
    framework.manual_seed(5)
    assert data.item_rng().random() == first
    assert data.item_rng().random() != first


def test_workers_know_themselves():
    infos = {}

    class Asking(Squares):
        def __getitem__(self, index):
            info = data.get_worker_info()
            infos[index] = (info.id, info.num_workers, info.seed, info.epoch, info.dataset is self)
            return index

    started = []
    dataset = Asking(6)
    loader = DataLoader(dataset, batch_size=1, num_workers=2, seed=3, worker_init_fn=started.append)
    batches(loader)
    assert sorted(started) == [0, 1]
    assert [infos[i][0] for i in range(6)] == [0, 1, 0, 1, 0, 1]
    assert {info[1] for info in infos.values()} == {2}
    assert all(info[4] for info in infos.values())
    seeds = {infos[0][2], infos[1][2]}
    batches(loader)
    assert infos[0][3] == 1
    assert len(seeds | {infos[0][2], infos[1][2]}) == 4
    assert data.get_worker_info() is None
    assert dataset.epochs == [0, 1]


@pytest.mark.parametrize("workers", [0, 2])
def test_failure_reaches_the_caller_with_its_place(workers):
    loader = DataLoader(Squares(12, fail_at=7), batch_size=2, num_workers=workers)
    got = []
    with pytest.raises(LookupError, match="item 7 is broken") as caught:
        got.extend(batch.tolist() for batch in loader)
    assert got == [[0, 1], [4, 9], [16, 25]]
    assert caught.value.__notes__ == ["while loading item 7 of the dataset in epoch 0"]
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "__getitem__" in frames
    assert not loader_threads()


@pytest.mark.parametrize("workers", [0, 2])
def test_failing_collation_names_the_items(workers):
    class Ragged(Squares):
        def __getitem__(self, index):
            return np.zeros(index + 1)

    with pytest.raises(RuntimeError, match="item 0 has \\(1,\\), item 1 has \\(2,\\)") as caught:
        next(iter(DataLoader(Ragged(4), batch_size=2, num_workers=workers)))
    assert caught.value.__notes__ == ["while joining items [0, 1] of the dataset into a batch"]


def test_failing_worker_start():
    def start(number):
        raise OSError("no such device")

    with pytest.raises(OSError, match="no such device") as caught:
        batches(DataLoader(Squares(4), num_workers=2, worker_init_fn=start))
    assert caught.value.__notes__[0] == "in worker_init_fn of worker 0"


def test_prefetching_is_bounded():
    dataset = Squares(100)
    iterator = iter(DataLoader(dataset, batch_size=1, num_workers=2, prefetch_factor=3))
    time.sleep(0.1)
    assert len(dataset.asked) == 6
    next(iterator)
    time.sleep(0.05)
    assert len(dataset.asked) == 7
    del iterator


def test_leaving_early_stops_the_workers():
    dataset = Squares(1000, pause=0.001)
    for batch in DataLoader(dataset, batch_size=2, num_workers=3):
        assert len(batch) == 2
        break
    assert not loader_threads()
    asked = len(dataset.asked)
    time.sleep(0.02)
    assert len(dataset.asked) == asked


def test_interrupt_stops_the_workers():
    iterator = iter(DataLoader(Squares(100, pause=0.002), num_workers=2))

    def interrupted(timeout):
        raise KeyboardInterrupt

    iterator._workers.receive = interrupted
    with pytest.raises(KeyboardInterrupt):
        next(iterator)
    assert not loader_threads()
    with pytest.raises(StopIteration):
        next(iterator)


def test_timeout_says_so():
    with pytest.raises(RuntimeError, match=r"timed out after 0\.05 seconds"):
        batches(DataLoader(Squares(2, pause=0.4), num_workers=1, timeout=0.05))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [0, 1, 3, 5])
def test_resumes_in_the_middle_of_an_epoch(workers, done):
    def make():
        return DataLoader(Noise(), batch_size=3, shuffle=True, num_workers=workers)

    loader = make()
    whole = [batches(loader) for _ in range(3)]
    loader.set_epoch(0)
    seen, state = [], loader.state_dict()
    while len(seen) < done:
        for batch in loader:
            seen.append(batch.numpy().tolist())
            state = loader.state_dict()
            if len(seen) == done:
                break
    assert state["epoch"] == (0 if done < 4 else 1)
    resumed = make()
    dataset_asked = resumed.seed != loader.seed
    assert dataset_asked  # the seed comes with the state
    resumed.load_state_dict(state)
    rest = batches(resumed)
    flat = list(chain.from_iterable(whole))
    position = state["epoch"] * 4 + state["batch"]
    assert seen + rest == flat[: position + len(rest)]
    assert resumed.epoch == (position // 4) + 1
    assert batches(resumed) == whole[resumed.epoch - 1]


def test_state_after_a_whole_epoch_is_the_next_one():
    loader = DataLoader(Squares(4), batch_size=2)
    batches(loader)
    assert loader.state_dict() == {"epoch": 1, "batch": 0, "seed": loader.seed, "batches": 2}
    next(iter(loader))
    assert loader.state_dict()["batch"] == 1
    batches(loader)  # leaving an epoch early and starting again begins the next one
    assert loader.dataset.epochs == [0, 1, 2]


def test_a_dropped_pass_does_not_move_the_state():
    loader = DataLoader(Squares(8), batch_size=2)
    old = iter(loader)
    new = iter(loader)
    next(old)
    next(old)
    next(new)
    assert loader.state_dict()["batch"] == 1


def test_resume_of_another_dataset_is_refused():
    state = DataLoader(Squares(8), batch_size=2).state_dict()
    with pytest.raises(ValueError, match="4 batches when its state was saved and has 5 now"):
        DataLoader(Squares(10), batch_size=2).load_state_dict(state)


def test_samplers():
    items = list(range(10))
    assert list(data.SequentialSampler(items)) == items
    sampler = data.RandomSampler(items, seed=1)
    first = list(sampler)
    assert sorted(first) == items
    second = list(sampler)
    assert second != first
    sampler.set_epoch(0)
    assert [list(sampler), list(sampler)] == [first, second]
    many = list(data.RandomSampler(items, num_samples=25, seed=1))
    assert len(many) == 25
    assert sorted(many[:10]) == sorted(many[10:20]) == items
    drawn = list(data.RandomSampler(items, replacement=True, num_samples=2000, seed=1))
    assert np.bincount(drawn, minlength=10).min() > 140
    assert sorted(data.SubsetRandomSampler([3, 5, 8], seed=2)) == [3, 5, 8]
    assert list(data.BatchSampler(range(5), 2, drop_last=False)) == [[0, 1], [2, 3], [4]]
    assert len(data.BatchSampler(range(5), 2, drop_last=True)) == 2
    with pytest.raises(ValueError, match="batch_size"):
        data.BatchSampler(range(5), 0)
    with pytest.raises(ValueError, match="num_samples"):
        data.RandomSampler(items, num_samples=0)


def test_weighted_sampling_follows_the_weights():
    weights = [0.0, 1.0, 2.0, 5.0]
    drawn = list(data.WeightedRandomSampler(weights, 8000, seed=0))
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 8000, np.array(weights) / 8, atol=0.02)
    firsts = []
    for epoch in range(2000):
        sampler = data.WeightedRandomSampler(weights, 3, replacement=False, seed=0)
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert sorted(order) == [1, 2, 3]
        firsts.append(order[0])
    np.testing.assert_allclose(np.bincount(firsts, minlength=4) / 2000, np.array(weights) / 8, atol=0.04)
    with pytest.raises(ValueError, match="without replacement"):
        data.WeightedRandomSampler(weights, 4, replacement=False)
    with pytest.raises(ValueError, match="positive sum"):
        data.WeightedRandomSampler([0.0], 1)


def test_weighted_loader_uses_a_new_draw_each_epoch():
    sampler = data.WeightedRandomSampler([1.0] * 50, 10, seed=3)
    loader = DataLoader(Squares(50), batch_size=10, sampler=sampler)
    assert batches(loader) != batches(loader)


def test_datasets():
    x, y = framework.arange(6).reshape(3, 2), framework.arange(3)
    dataset = data.TensorDataset(x, y)
    assert len(dataset) == 3
    assert dataset[1][0].tolist() == [2, 3]
    both = dataset + data.Subset(dataset, [2, 0])
    assert len(both) == 5
    assert both[3][1].item() == 2
    assert both[-1][1].item() == 0
    with pytest.raises(IndexError, match="out of range"):
        both[5]
    with pytest.raises(ValueError, match="same first size"):
        data.TensorDataset(x, framework.arange(4))


def test_random_split():
    def split(lengths, n=10):
        return data.random_split(range(n), lengths, framework.Generator().manual_seed(1))

    parts = split([0.5, 0.3, 0.2])
    assert [len(part) for part in parts] == [5, 3, 2]
    assert sorted(i for part in parts for i in part.indices) == list(range(10))
    assert [p.indices for p in parts] == [p.indices for p in split([5, 3, 2])]
    assert [len(part) for part in data.random_split(range(11), [1 / 3, 1 / 3, 1 / 3])] == [4, 4, 3]
    with pytest.raises(ValueError, match="add up to 9, but the dataset has 10"):
        split([4, 5])


def test_collation():
    point = namedtuple("point", "x y")
    batch = data.default_collate(
        [
            {
                "image": np.ones((2, 3), np.float32),
                "id": 3,
                "name": "a",
                "at": point(1.5, True),
                "pair": (1, np.int16(2)),
            },
            {
                "image": np.zeros((2, 3), np.float32),
                "id": 4,
                "name": "b",
                "at": point(2.5, False),
                "pair": (3, np.int16(4)),
            },
        ]
    )
    assert tuple(batch["image"].shape) == (2, 2, 3)
    assert batch["image"].dtype == framework.float32
    assert batch["id"].tolist() == [3, 4]
    assert batch["name"] == ["a", "b"]
    assert isinstance(batch["at"], point)
    assert batch["at"].x.dtype == framework.float64
    assert batch["at"].y.tolist() == [True, False]
    assert batch["pair"][1].dtype == framework.int16
    assert data.default_collate([framework.ones(2), framework.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    with pytest.raises(TypeError, match="found <class 'object'>"):
        data.default_collate([object()])
    with pytest.raises(TypeError, match="must hold numbers"):
        data.default_collate([np.array(["a"])])
    with pytest.raises(RuntimeError, match="differ in length"):
        data.default_collate([(1, 2), (1,)])


def test_collation_equals_torch():
    torch = pytest.importorskip("torch")
    items = [(np.float32([1, 2]), 3, 0.5, [1, 2]), (np.float32([3, 4]), 4, 1.5, [3, 4])]
    ours, theirs = data.default_collate(items), torch.utils.data.default_collate(items)
    for mine, other in zip(ours[:3], theirs[:3]):
        assert mine.dtype.name == str(other.dtype).split(".")[1]
        assert mine.tolist() == other.tolist()
    assert [c.tolist() for c in ours[3]] == [c.tolist() for c in theirs[3]]


def test_single_items_without_batches():
    loader = DataLoader(Squares(3), batch_size=None, num_workers=1)
    assert list(loader) == [0, 1, 4]
    assert len(loader) == 3
    doubled = DataLoader(Squares(3), batch_size=None, collate_fn=lambda item: -item)
    assert list(doubled) == [0, -1, -4]


def test_own_batches():
    loader = DataLoader(Squares(6), batch_sampler=[[5, 0], [1]])
    assert batches(loader) == [[25, 0], [1]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_workers": -1}, "num_workers"),
        ({"timeout": -1}, "timeout"),
        ({"prefetch_factor": 0, "num_workers": 1}, "prefetch_factor"),
        ({"prefetch_factor": 2}, "prefetch_factor"),
        ({"persistent_workers": True}, "persistent_workers"),
        ({"multiprocessing_context": "fork"}, "num_workers > 0"),
        ({"multiprocessing_context": "spoon", "num_workers": 1}, "valid start method"),
        ({"worker_type": "fibre"}, "worker_type"),
        ({"shuffle": True, "sampler": [0]}, "exclusive with shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "exclusive with batch_size"),
        ({"batch_size": None, "drop_last": True}, "exclusive with drop_last"),
        ({"batch_size": 0}, "batch_size should be a positive"),
    ],
)
def test_contradictory_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(Squares(4), **settings)
