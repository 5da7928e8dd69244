"""Iterable datasets, workers that live on, order, generators, random numbers of items, and resuming each of them."""

import threading
import time
from collections import OrderedDict, UserDict

import numpy as np
import pytest

import framework
from framework import data
from framework.data import DataLoader


class Shards(data.IterableDataset):
    """Counts up to n; each worker takes every so-manieth number, with noise of its own."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = data.get_worker_info()
        first, step = (info.id, info.num_workers) if info else (0, 1)
        for i in range(first, self.n, step):
            yield np.array([i, float(framework.rand(1))])

    def __len__(self):
        return self.n


class Stateful(data.IterableDataset):
    """Counts, and can say where it stands; remembers how many items it made."""

    made = 0

    def __init__(self, n):
        self.n, self.next, self.first = n, 0, 0

    def __iter__(self):
        first, self.first = self.first, 0
        for i in range(first, self.n):
            self.next = i + 1
            type(self).made += 1
            yield i

    def state_dict(self):
        return {"next": self.next}

    def load_state_dict(self, state):
        self.first = state["next"]


class Drawing(data.Dataset):
    """Items drawn from the default stream, by this package's own functions."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        time.sleep(0.001 * (index % 3))
        return framework.randn(2), framework.randint(0, 1000, (2,))


def rows(loader):
    return [[np.asarray(part).tolist() for part in (b if isinstance(b, list) else [b])] for b in loader]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_iterable_batches_take_turns(workers):
    loader = DataLoader(Shards(10), batch_size=2, num_workers=workers, seed=1)
    assert len(loader) == 5
    firsts = [batch.numpy()[:, 0].astype(int).tolist() for batch in loader]
    assert (
        firsts
        == {
            0: [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]],
            1: [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]],
            3: [[0, 3], [1, 4], [2, 5], [6, 9], [7], [8]],
        }[workers]
    )
    full = [batch.shape[0] for batch in DataLoader(Shards(11), batch_size=4, num_workers=workers, drop_last=True)]
    assert set(full) == {4}


@pytest.mark.parametrize("workers", [0, 2, 3])
@pytest.mark.parametrize("kind", [Shards, Stateful])
def test_iterable_resumes_anywhere(workers, kind):
    def make():
        return DataLoader(kind(11), batch_size=2, num_workers=workers, seed=4)

    whole = rows(make())
    for done in range(len(whole) + 1):
        loader = make()
        iterator = iter(loader)
        for _ in range(done):
            next(iterator)
        state = loader.state_dict()
        del iterator
        resumed = make()
        resumed.load_state_dict(state)
        assert rows(resumed) == whole[done:]


def test_a_stateful_iterable_does_not_run_through_the_past():
    loader = DataLoader(Stateful(100), batch_size=10)
    iterator = iter(loader)
    for _ in range(8):
        next(iterator)
    state = loader.state_dict()
    assert state["workers"][0]["state"] == {"next": 80}
    Stateful.made = 0
    resumed = DataLoader(Stateful(100), batch_size=10)
    resumed.load_state_dict(state)
    assert rows(resumed) == [[list(range(80, 90))], [list(range(90, 100))]]
    assert Stateful.made == 20
    assert len(rows(resumed)) == 10


def test_an_iterable_is_not_resumed_with_other_workers():
    state = DataLoader(Shards(4), num_workers=2).state_dict()
    with pytest.raises(ValueError, match="2 workers shared the iterable dataset when its state was saved and 1 do now"):
        DataLoader(Shards(4)).load_state_dict(state)


def test_failing_iterable_names_the_item():
    class Failing(data.IterableDataset):
        def __iter__(self):
            yield 0
            raise OSError("end of tape")

    for workers in (0, 1):
        with pytest.raises(OSError, match="end of tape") as caught:
            list(DataLoader(Failing(), batch_size=2, num_workers=workers))
        assert caught.value.__notes__ == ["while loading item 1 of the iterable dataset in epoch 0"]


def test_chained_and_stacked_datasets():
    chained = Shards(2) + Shards(3)
    assert len(chained) == 5
    assert [int(item[0]) for item in chained] == [0, 1, 0, 1, 2]
    stacked = data.StackDataset(range(3), "abc")
    assert stacked[1] == (1, "b")
    assert data.StackDataset(number=range(3), letter="abc")[2] == {"number": 2, "letter": "c"}
    with pytest.raises(ValueError, match="same length"):
        data.StackDataset(range(3), "ab")
    with pytest.raises(ValueError, match="ChainDataset"):
        data.ConcatDataset([Shards(2)])
    for settings in ({"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}):
        with pytest.raises(ValueError, match="IterableDataset: expected unspecified"):
            DataLoader(Shards(2), **settings)


def test_what_items_draw_from_the_default_stream_does_not_depend_on_workers():
    def values(workers):
        loader = DataLoader(Drawing(), batch_size=3, shuffle=True, seed=4, num_workers=workers)
        return [rows(loader), rows(loader)]

    single = values(0)
    assert single == values(1) == values(3)
    assert single[0] != single[1]
    framework.manual_seed(0)
    before = framework.default_generator.get_state()
    list(DataLoader(Drawing(), seed=1))
    assert framework.default_generator.get_state() == before


def test_seeding_in_an_item_stays_there():
    class Seeding(Drawing):
        def __getitem__(self, index):
            framework.manual_seed(3)
            return framework.rand(1)

    framework.manual_seed(8)
    first = framework.rand(1).item()
    framework.manual_seed(8)
    drawn = [batch.item() for batch in DataLoader(Seeding(), seed=0)]
    assert framework.rand(1).item() == first
    assert len(set(drawn)) == 1


def test_random_collation_does_not_depend_on_workers():
    def values(workers):
        def jitter(items):
            return framework.tensor(items) + framework.rand(len(items))

        return [b.tolist() for b in DataLoader(range(8), 2, seed=3, collate_fn=jitter, num_workers=workers)]

    assert values(0) == values(2)


def test_a_generator_gives_the_seed():
    def order(seed):
        generator = framework.Generator().manual_seed(seed)
        return [batch.tolist() for batch in DataLoader(range(30), 10, shuffle=True, generator=generator)]

    assert order(1) == order(1) != order(2)
    sampler = data.RandomSampler(range(30), generator=framework.Generator().manual_seed(1))
    again = data.RandomSampler(range(30), generator=framework.Generator().manual_seed(1))
    assert list(sampler) == list(again)


def test_workers_live_on():
    names, started = set(), []

    class Naming(data.Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            names.add(threading.get_ident())
            return index

    loader = DataLoader(Naming(), 2, num_workers=2, persistent_workers=True, worker_init_fn=started.append)
    threads = {thread.ident for thread in loader_threads()}
    for epoch in range(3):
        if epoch == 1:
            next(iter(loader))  # left early: what was made ahead must not turn up in the next pass
        assert rows(loader) == [[[0, 1]], [[2, 3]], [[4, 5]], [[6, 7]]]
        assert len({thread.ident for thread in loader_threads()} - threads) == 2
    assert len(names) == 2
    assert sorted(started) == [0, 1]
    loader.load_state_dict({**loader.state_dict(), "epoch": 7, "batch": 3})
    assert rows(loader) == [[[6, 7]]]
    del loader
    deadline = time.monotonic() + 5
    while loader_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not loader_threads()


def test_living_workers_start_afresh_after_a_failure():
    class Once(data.Dataset):
        failed = False

        def __len__(self):
            return 4

        def __getitem__(self, index):
            if index == 2 and not self.failed:
                self.failed = True
                raise LookupError("once")
            return index

    loader = DataLoader(Once(), num_workers=2, persistent_workers=True)
    with pytest.raises(LookupError):
        rows(loader)
    assert rows(loader) == [[[0]], [[1]], [[2]], [[3]]]


def test_living_workers_of_an_iterable_know_the_epoch():
    class Epochs(data.IterableDataset):
        epoch = None

        def set_epoch(self, epoch):
            self.epoch = epoch

        def __iter__(self):
            yield self.epoch

    loader = DataLoader(Epochs(), num_workers=2, persistent_workers=True)
    assert [rows(loader) for _ in range(3)] == [[[[epoch]], [[epoch]]] for epoch in range(3)]


def test_batches_as_they_come():
    go = threading.Event()

    class Uneven(data.Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            if index == 0:
                assert go.wait(10)
            return index

    loader = DataLoader(Uneven(), num_workers=2, in_order=False, prefetch_factor=1)
    got = []
    for batch in loader:
        got.append(batch.item())
        if len(got) == 7:
            go.set()
    assert got[-1] == 0
    assert sorted(got) == list(range(8))


def test_batches_of_items_at_once():
    class Together(data.Dataset):
        def __len__(self):
            return 6

        def __getitems__(self, indices):
            return [10 * index for index in indices]

    assert rows(DataLoader(Together(), 3)) == [[[0, 10, 20]], [[30, 40, 50]]]
    assert rows(DataLoader(data.Subset(Together(), [5, 1]), 2)) == [[[50, 10]]]


def test_samplers_of_the_users_own():
    class Wrapping(data.Sampler):
        def __init__(self, inner):
            self.inner = inner

        def __iter__(self):
            return iter([i for i in self.inner if i % 2])

        def __len__(self):
            return 5

    def make(seed):
        return DataLoader(range(10), sampler=Wrapping(data.RandomSampler(range(10), seed=seed)))

    loader = make(1)
    first, second = rows(loader), rows(loader)
    assert first != second
    state = loader.state_dict()
    third = rows(loader)
    other = make(2)
    other.load_state_dict(state)
    assert rows(other) == third


def test_a_sampler_with_a_state():
    class Cursor(data.Sampler):
        """Goes on where the last pass stopped."""

        def __init__(self):
            self.at = 0

        def __iter__(self):
            for _ in range(4):
                self.at += 1
                yield self.at - 1

        def __len__(self):
            return 4

        def state_dict(self):
            return {"at": self.at}

        def load_state_dict(self, state):
            self.at = state["at"]

    loader = DataLoader(range(100), batch_size=None, sampler=Cursor(), num_workers=2)
    assert list(loader) == [0, 1, 2, 3]
    iterator = iter(loader)
    assert [next(iterator), next(iterator)] == [4, 5]
    state = loader.state_dict()
    resumed = DataLoader(range(100), batch_size=None, sampler=Cursor())
    resumed.load_state_dict(state)
    assert list(resumed) == [6, 7]
    assert list(resumed) == [8, 9, 10, 11]


@pytest.mark.parametrize(("drop_last", "n"), [(False, 10), (True, 10), (False, 2), (True, 12)])
def test_distributed_sampling_is_torchs_but_for_the_random_numbers(drop_last, n):
    torch_data = pytest.importorskip("torch.utils.data.distributed")
    for rank in range(4):
        ours = data.DistributedSampler(range(n), 4, rank, shuffle=False, drop_last=drop_last)
        theirs = torch_data.DistributedSampler(range(n), 4, rank, shuffle=False, drop_last=drop_last)
        assert list(ours) == list(theirs)
        assert len(ours) == len(theirs)
    shuffled = [data.DistributedSampler(range(12), 4, rank, seed=3) for rank in range(4)]
    assert sorted(i for sampler in shuffled for i in sampler) == list(range(12))
    with pytest.raises(ValueError, match="Invalid rank 4"):
        data.DistributedSampler(range(4), 4, 4)


def test_collation_by_a_map_of_the_users():
    class Point:
        def __init__(self, x):
            self.x = x

    joined = data.collate(
        [{"p": Point(1)}, {"p": Point(2)}],
        collate_fn_map={Point: lambda batch, *, collate_fn_map: [point.x for point in batch]},
    )
    assert joined == {"p": [1, 2]}
    ordered = data.default_collate([OrderedDict(a=1, b=(2,)), OrderedDict(a=3, b=(4,))])
    assert type(ordered) is OrderedDict
    assert ordered["b"][0].tolist() == [2, 4]
    assert type(data.default_collate([UserDict(a=1)])) is UserDict


def test_conversion_equals_torch():
    torch = pytest.importorskip("torch")
    item = {"a": np.float32([1, 2]), "b": (np.int16(3), "x"), "c": [np.array(["s"]), 1.5, None]}
    ours, theirs = data.default_convert(item), torch.utils.data.default_convert(item)
    assert ours["a"].tolist() == theirs["a"].tolist()
    assert type(ours["b"]) is type(theirs["b"]) is list
    assert ours["b"][0].dtype == framework.int16
    assert ours["c"][0].tolist() == ["s"]
    assert ours["c"][1:] == theirs["c"][1:]
    assert data.default_convert([np.ones(2)])[0].tolist() == [1, 1]


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("loader-")]
