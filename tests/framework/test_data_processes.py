"""Worker processes: the same batches as threads, nothing left behind, and one clear error where something breaks."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import loader_data
import numpy as np
import pytest

import framework
from framework import data
from framework.data import DataLoader, processes, shared

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="counts descriptors and kills processes")


def processes_loader(dataset, batch_size=4, context="fork", workers=2, **settings):
    return DataLoader(dataset, batch_size, num_workers=workers, multiprocessing_context=context, **settings)


def plain(batch):
    if isinstance(batch, dict):
        return {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, list):
        return [plain(part) for part in batch]
    return batch.tolist() if hasattr(batch, "tolist") else batch


def traces():
    """What this process holds that a loader could leave behind: descriptors, mapped blocks, children, files."""
    gc.collect()
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    maps = Path("/proc/self/maps")
    return (
        sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd)),
        maps.read_text().count("voxhelix-loader") if maps.exists() else 0,
        children.read_text() if children.exists() else "",
        [name for name in os.listdir(tempfile.gettempdir()) if "voxhelix-loader" in name],
        os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else [],
    )


def _is_open(fd):
    with contextlib.suppress(OSError):
        return not os.readlink(f"/proc/self/fd/{fd}").startswith("/proc")
    return False


@pytest.fixture
def nothing_is_left():
    before = traces()
    yield
    assert traces() == before


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_batches_are_those_of_threads(context):
    settings = {"shuffle": True, "seed": 3, "batch_size": 5}
    expected = DataLoader(loader_data.Noisy(), num_workers=2, **settings)
    loader = processes_loader(loader_data.Noisy(), context=context, **settings)
    for _ in range(1 + (context == "fork")):
        assert [plain(batch) for batch in loader] == [plain(batch) for batch in expected]


@pytest.mark.usefixtures("nothing_is_left")
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks into /proc")
@pytest.mark.parametrize("end", ["normal", "early", "error", "killed", "persistent"])
def test_nothing_is_left(end):
    trouble = end if end in ("error", "killed") else "slow"
    dataset = loader_data.Troubled(trouble, at=5 if end in ("error", "killed") else -1)
    loader = processes_loader(dataset, 2, persistent_workers=end == "persistent")
    with contextlib.suppress(LookupError, RuntimeError):
        for _ in range(2):
            for number, _batch in enumerate(loader):
                if end == "early" and number == 3:
                    break
    del loader, _batch


@pytest.mark.parametrize(
    ("trouble", "message"),
    [("killed", r"worker . \(pid \d+\) is killed by signal: Killed"), ("exited", "unexpectedly with exit code 3")],
)
@pytest.mark.parametrize("persistent", [False, True])
def test_a_dead_worker_is_one_clear_error(trouble, message, persistent):
    loader = processes_loader(loader_data.Troubled(trouble), 2, persistent_workers=persistent)
    began = time.monotonic()
    got = []
    with pytest.raises(RuntimeError, match=message):
        got.extend(int(batch[0, 0]) for batch in loader)
    assert time.monotonic() - began < 4
    assert got
    assert got == list(range(0, 2 * len(got), 2))
    loader.dataset.trouble = "__len__"  # no trouble
    assert len(list(loader)) == 20


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_an_exception_keeps_its_type_and_place(context):
    with pytest.raises(LookupError, match="no such scan") as caught:
        list(processes_loader(loader_data.Troubled("error"), 2, context))
    assert caught.value.__notes__ == ["while loading item 5 of the dataset in epoch 0"]
    assert isinstance(caught.value.__cause__, processes.WorkerTraceback)
    assert 'raise LookupError("no such scan")' in str(caught.value.__cause__)


def test_an_exception_that_cannot_be_sent():
    with pytest.raises(RuntimeError, match="OwnError in a worker process: scan 7 is broken") as caught:
        list(processes_loader(loader_data.Troubled("own_error"), 2))
    assert caught.value.__notes__ == ["while loading item 5 of the dataset in epoch 0"]
    assert "in own_error" in str(caught.value.__cause__)


def test_a_batch_that_cannot_be_sent():
    with pytest.raises(Exception, match="pickle") as caught:
        next(iter(processes_loader(range(4), 2, collate_fn=lambda items: lambda: items)))
    assert caught.value.__notes__ == ["while handing batch 0 over to the loader's process"]
    weight = framework.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"detach\(\) it"):
        next(iter(processes_loader(range(4), 2, collate_fn=lambda items: weight * 2)))


def test_failing_worker_start():
    def start(number):
        raise OSError("no such device")

    with pytest.raises(OSError, match="no such device") as caught:
        list(processes_loader(range(4), worker_init_fn=start))
    assert caught.value.__notes__ == ["in worker_init_fn of worker 0"]


def test_timeout_says_so(monkeypatch):
    monkeypatch.setattr(processes, "_END_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"timed out after 0\.2 seconds"):
        list(processes_loader(loader_data.Troubled("slow", at=0), timeout=0.2))
    assert time.monotonic() - began < 3


def test_batches_may_be_kept():
    """More than a worker has blocks, and in the memory of the batch itself where there is one."""
    loader = processes_loader(loader_data.Troubled("slow", at=-1, n=80), 2)
    kept = list(loader)
    for number, batch in enumerate(kept):
        assert batch.tolist() == [[2.0 * number] * 5000, [2.0 * number + 1] * 5000]
        batch.mul_(0)
    assert all(float(batch.sum()) == 0 for batch in kept)


def test_batches_of_growing_size_and_any_content():
    class Growing(data.Dataset):
        def __len__(self):
            return 24

        def __getitem__(self, index):
            n = 10 ** (index % 6)
            volume = framework.full((1, 2, n // 2 + 1, 3), index, dtype=framework.bfloat16)
            return {
                "volume": volume.to(memory_format=framework.channels_last),
                "mask": np.asfortranarray(np.full((2, n), index % 2, bool)),
                "big": framework.full((n,), index, dtype=framework.float64, requires_grad=True),
                "empty": framework.zeros(0, 3),
                "shape": (index, "é" * n, None, {1: b"x"}),
                "objects": np.array([{"a": index}], object),
            }

    dataset = Growing()
    for index, item in enumerate(processes_loader(dataset, None, in_order=True, prefetch_factor=3)):
        expected = dataset[index]
        assert item["volume"].is_contiguous(memory_format=framework.channels_last)
        assert item["volume"].dtype == framework.bfloat16
        assert (item["volume"] == expected["volume"]).all()
        assert np.array_equal(item["mask"].numpy(), expected["mask"])
        assert item["big"].requires_grad
        assert item["big"].tolist() == expected["big"].tolist()
        assert item["empty"].shape == (0, 3)
        assert item["shape"] == list(expected["shape"])
        assert item["objects"][0] == {"a": index}


def test_without_memory_batches_pass_through_files(monkeypatch, tmp_path):
    monkeypatch.setattr(shared, "free_memory", lambda: 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    loader = processes_loader(loader_data.Troubled("slow", at=-1), 2)
    with pytest.warns(RuntimeWarning, match="pass through files in TMPDIR"):
        kept = list(loader)
    assert [int(batch[1, 0]) for batch in kept] == list(range(1, 40, 2))
    assert list(tmp_path.iterdir()) == []


def test_without_any_room_the_error_says_what_to_do(monkeypatch):
    def full(descriptor, size):
        os.close(descriptor)
        return False

    monkeypatch.setattr(shared, "_allocate", full)
    with pytest.raises(RuntimeError, match=r"no room in .*num_workers or prefetch_factor lower"):
        list(processes_loader(loader_data.Troubled("slow", at=-1), 2))


def test_a_full_disk_is_an_error_of_ours():
    with pytest.raises(RuntimeError, match="no room in"):
        shared.reserve(1 << 60, 1)


def test_free_memory_heeds_the_container(monkeypatch, tmp_path):
    whole = shared.free_memory()
    assert 0 < whole <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    monkeypatch.setattr(shared, "_CGROUP", tmp_path)
    assert shared.free_memory() == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert shared.free_memory() > 2_000_000


def test_workers_live_on():
    started = tempfile.mkdtemp()
    loader = processes_loader(
        loader_data.Globals(),
        1,
        persistent_workers=True,
        worker_init_fn=lambda number: Path(started, f"{number}-{os.getpid()}").touch(),
    )
    pids, streams = set(), set()
    for epoch in range(4):
        if epoch == 1:
            next(iter(loader))  # left early: what was made ahead must not turn up in the next pass
        rows = [plain(batch) for batch in loader]
        assert [row[1] for row in rows] == [[0], [1], [0], [1]]
        assert {row[4][0] for row in rows} == {1}
        pids |= {row[0][0] for row in rows}
        streams |= {row[2][0] for row in rows} | {row[3][0] for row in rows}
    assert len(pids) == len(os.listdir(started)) == 2
    assert len(streams) == 4 * 4 * 2


def test_a_process_has_streams_of_its_own():
    def values(seed):
        loader = processes_loader(loader_data.Globals(), 1, seed=seed)
        return [[plain(batch)[2:4] for batch in loader] for _ in range(2)]

    assert values(1) == values(1) != values(2)


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_iterable_resumes(context):
    def make():
        return processes_loader(loader_data.Counting(11), 2, context, seed=5)

    expected = [plain(batch) for batch in DataLoader(loader_data.Counting(11), 2, num_workers=2, seed=5)]
    loader = make()
    iterator = iter(loader)
    first = [plain(next(iterator)) for _ in range(3)]
    state = loader.state_dict()
    del iterator
    resumed = make()
    resumed.load_state_dict(state)
    assert first + [plain(batch) for batch in resumed] == expected


def test_map_style_resumes_with_another_kind_of_worker():
    loader = processes_loader(loader_data.Noisy(), 3, shuffle=True)
    whole = [plain(batch) for batch in loader]
    loader.set_epoch(0)
    for number, _batch in enumerate(loader):
        if number == 1:
            break
    resumed = DataLoader(loader_data.Noisy(), 3, shuffle=True, num_workers=1)
    resumed.load_state_dict(loader.state_dict())
    assert [plain(batch) for batch in resumed] == whole[2:]


def test_batches_as_they_come():
    class Uneven(data.Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            time.sleep(0.5 if index == 0 else 0)
            return index

    got = [int(b) for b in processes_loader(Uneven(), 1, in_order=False, prefetch_factor=1)]
    assert got[-1] == 0
    assert sorted(got) == list(range(8))


def test_two_loaders_at_once():
    first = iter(processes_loader(range(100), 2))
    second = iter(processes_loader(range(100), 2))
    for number in range(20):
        assert next(first).tolist() == next(second).tolist() == [2 * number, 2 * number + 1]
    began = time.monotonic()
    del first, second
    gc.collect()
    assert time.monotonic() - began < 4


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks into /proc")
def test_workers_do_not_outlive_a_killed_loader():
    code = (
        "import time, sys, loader_data\n"
        "from framework.data import DataLoader\n"
        "iterators = []\n"
        "for _ in range(2):\n"
        "    loader = DataLoader(loader_data.Noisy(400), 2, num_workers=2, worker_type='process')\n"
        "    iterators.append(iter(loader))\n"
        "    next(iterators[-1])\n"
        "print(*[m.process.pid for i in iterators for m in i._workers._members], flush=True)\n"
        "time.sleep(60)\n"
    )
    support = str(Path(__file__).resolve().parent.parent / "support")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([support, *sys.path])}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 4
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + processes._ORPHAN_SECONDS + 5
    while any(map(_runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_runs, pids))


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
