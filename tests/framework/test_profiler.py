"""The profiler: what it records is what ran."""

import gzip
import io
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import framework as vh
from framework.core.modes import PROFILE, modes
from framework.core.observer import observer
from framework.nn import functional as F
from framework.profiler import (
    ProfilerAction,
    ProfilerActivity,
    memory_snapshot,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)


@pytest.fixture(autouse=True)
def nothing_is_left_on() -> Any:
    yield
    assert not modes.flags & PROFILE
    assert observer.call is None


def training_step(width: int = 16) -> vh.Tensor:
    x = vh.ones(4, width, requires_grad=True)
    loss = F.linear(x, vh.ones(8, width)).exp().sum()
    loss.backward()
    assert x.grad is not None
    return x.grad


def exponential(x: vh.Tensor) -> vh.Tensor:
    return x.exp()


def rows_of(prof: Any, **options: Any) -> dict[str, Any]:
    return {row.key: row for row in prof.key_averages(**options)}


def test_forward_and_backward_are_counted() -> None:
    with profile() as prof:
        training_step()
        training_step()
    rows = rows_of(prof)
    assert rows["linear"].count == 2
    assert rows["exp"].count == 2
    assert rows["ExpBackward0"].count == 2
    assert rows["LinearBackward0"].kind == "backward"


def test_times_of_nested_spans() -> None:
    with profile() as prof, record_function("outer"):
        time.sleep(0.02)
        with record_function("inner"):
            time.sleep(0.03)
    rows = rows_of(prof)
    assert 30_000 <= rows["inner"].cpu_time_total <= rows["outer"].cpu_time_total
    assert rows["outer"].cpu_time_total >= 50_000
    assert 20_000 <= rows["outer"].self_cpu_time_total < 30_000 + rows["outer"].cpu_time_total - 50_000
    total = prof.key_averages().total_average()
    assert total.self_cpu_time_total == pytest.approx(rows["outer"].cpu_time_total, rel=1e-6)


def test_a_span_in_itself_counts_once_in_the_total() -> None:
    with profile() as prof, record_function("again"), record_function("again"):
        time.sleep(0.01)
    row = rows_of(prof)["again"]
    assert row.count == 2
    assert row.cpu_time_total < 19_000


def test_flops_by_hand() -> None:
    x = vh.ones(2, 3, 8, 8, requires_grad=True)
    weight = vh.ones(5, 3, 3, 3, requires_grad=True)
    with profile(with_flops=True) as prof:
        F.conv2d(x, weight).sum().backward()
        vh.ones(4, 6) @ vh.ones(6, 7)
        vh.einsum("ij,jk->ik", vh.ones(4, 6), vh.ones(6, 7))
    rows = rows_of(prof)
    macs = 2 * 5 * 6 * 6 * 3 * 9
    assert rows["conv"].flops == rows["conv_grad_input"].flops == rows["conv_grad_weight"].flops == 2 * macs
    assert rows["_matmul"].flops == rows["_einsum"].flops == 2 * 4 * 6 * 7


def test_flops_of_a_strided_grouped_convolution() -> None:
    with profile(with_flops=True) as prof:
        F.conv2d(vh.ones(2, 4, 9, 9), vh.ones(6, 2, 3, 3), stride=2, padding=1, groups=2)
    assert rows_of(prof)["conv"].flops == 2 * (2 * 6 * 5 * 5) * (2 * 9)


def test_shapes_and_grouping() -> None:
    with profile(record_shapes=True) as prof:
        for size in (3, 3, 4):
            vh.ones(size, 2) @ vh.ones(2, size)
        vh.cat([vh.ones(1, 2), vh.ones(3, 2)])
    assert rows_of(prof)["_matmul"].count == 3
    shapes = {str(row.input_shapes): row.count for row in prof.key_averages(True) if row.key == "_matmul"}
    assert shapes == {"[[3, 2], [2, 3]]": 2, "[[4, 2], [2, 4]]": 1}
    assert [row.input_shapes for row in prof.events() if row.key == "cat"] == [[[[1, 2], [3, 2]]]]


class TestMemory:
    def test_allocations_are_attributed(self) -> None:
        x = vh.ones(1000)
        with profile(profile_memory=True) as prof:
            y = x.exp()
            view = y[10:20]
            del y
            z = vh.cat([x, x])
        rows = rows_of(prof)
        assert rows["exp"].cpu_memory_usage == 4000
        assert rows["_cat"].self_cpu_memory_usage == 8000
        assert rows["cat"].cpu_memory_usage == 8000
        assert rows["cat"].self_cpu_memory_usage == 0
        assert sum(row.self_cpu_memory_usage for row in rows.values()) == 12000
        assert view.shape == (10,)
        assert z.shape == (2000,)

    def test_views_of_what_was_there_before_are_not_allocations(self) -> None:
        x = vh.ones(10, 10)
        with profile(profile_memory=True) as prof:
            x.reshape(100)[3:].unsqueeze(0)
        assert prof.key_averages().total_average().self_cpu_memory_usage == 0

    def test_freed_memory_counts_where_it_is_freed(self) -> None:
        x = vh.ones(1000)
        with profile(profile_memory=True) as prof:
            with record_function("make"):
                y = x.exp()
            with record_function("drop"):
                del y
        rows = rows_of(prof)
        assert rows["make"].cpu_memory_usage == 4000
        assert rows["drop"].cpu_memory_usage == -4000

    def test_peak_and_who_held_it(self) -> None:
        x = vh.ones(1000)
        with profile(profile_memory=True) as prof:
            a = x.exp()
            b = a.sin()
            del a
            c = x.cos()
            del b
        snapshot = prof.memory_snapshot()
        assert snapshot.peak == 8000
        assert sorted(snapshot.peak_by_op()) in (["exp", "sin"], ["cos", "sin"])
        assert c.shape == (1000,)

    def test_snapshot_names_kinds_operations_and_lines(self) -> None:
        layer = vh.nn.Linear(31, 37)
        optimizer = vh.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
        with profile(profile_memory=True, with_stack=True) as prof:
            kept = layer(vh.ones(5, 31)).tanh()
            kept.sum().backward()
            optimizer.step()
            living = exponential(layer(vh.ones(7, 31)))
        blocks = prof.memory_snapshot().blocks
        sizes = {(block.kind, block.nbytes) for block in blocks if block.shape in ((37, 31), (7, 37), (5, 37))}
        weight = 4 * 31 * 37
        assert {("parameter", weight), ("gradient", weight), ("optimizer state", weight)} <= sizes
        (made,) = [block for block in blocks if block.shape == (7, 37) and block.op == "exp"]
        assert made.line == f"{__file__}:{exponential.__code__.co_firstlineno + 1} exponential"
        assert living.shape == (7, 37)

    def test_saved_for_backward(self) -> None:
        x = vh.ones(123, 3, requires_grad=True)
        loss = (x * 2).exp().sum()
        kinds = [block.kind for block in memory_snapshot().blocks if block.shape == (123, 3)]
        assert sorted(kinds) == ["saved for backward", "tensor"]
        loss.backward()
        kinds = [block.kind for block in memory_snapshot().blocks if block.shape == (123, 3)]
        assert sorted(kinds) == ["gradient", "tensor"]

    def test_needs_to_be_asked_for(self) -> None:
        with profile() as prof:
            training_step()
        with pytest.raises(RuntimeError, match="profile_memory=True"):
            prof.memory_snapshot()
        assert "alive" in str(memory_snapshot())


class TestTrace:
    def recorded(self, folder: Path, name: str = "trace.json") -> dict[str, Any]:
        with profile(record_shapes=True, profile_memory=True, with_stack=True) as prof, record_function("step"):
            training_step()
        prof.add_metadata("run", "7")
        prof.export_chrome_trace(folder / name)
        data = (folder / name).read_bytes()
        trace: dict[str, Any] = json.loads(gzip.decompress(data) if name.endswith(".gz") else data)
        return trace

    def test_trace_event_format(self, tmp_path: Path) -> None:
        trace = self.recorded(tmp_path)
        events = trace["traceEvents"]
        assert trace["run"] == "7"
        for event in events:
            assert {"ph", "pid", "tid", "name", "ts"} <= set(event)
            assert event["ph"] in "MXCsf"
        complete = [event for event in events if event["ph"] == "X"]
        assert all(event["dur"] >= 0 and event["ts"] >= 0 for event in complete)
        spans = sorted(complete, key=lambda event: (event["ts"], -event["dur"]))
        stack: list[float] = []
        for event in spans:  # events of one thread nest: none straddles the end of another
            while stack and stack[-1] <= event["ts"]:
                stack.pop()
            assert not stack or event["ts"] + event["dur"] <= stack[-1] + 1e-6
            stack.append(event["ts"] + event["dur"])
        by_name = {event["name"]: event for event in complete}
        assert by_name["linear"]["args"]["Input Dims"][:2] == [[4, 16], [8, 16]]
        assert by_name["exp"]["args"]["Input type"] == ["float32"]
        assert "training_step" in by_name["exp"]["args"]["Call stack"]
        assert by_name["step"]["cat"] == "user_annotation"
        assert any(event["ph"] == "M" and event["name"] == "thread_name" for event in events)

    def test_arrows_join_operations_to_their_derivatives(self, tmp_path: Path) -> None:
        events = self.recorded(tmp_path)["traceEvents"]
        starts = {event["id"]: event["ts"] for event in events if event["ph"] == "s"}
        ends = {event["id"]: event["ts"] for event in events if event["ph"] == "f"}
        assert starts
        assert starts.keys() == ends.keys()
        complete = [event for event in events if event["ph"] == "X"]
        pairs = {
            (
                next(event["name"] for event in complete if event["ts"] == starts[key]),
                next(event["name"] for event in complete if event["ts"] == ends[key]),
            )
            for key in starts
        }
        assert ("exp", "ExpBackward0") in pairs
        assert ("_linear", "LinearBackward0") in pairs

    def test_memory_counter_ends_where_memory_does(self, tmp_path: Path) -> None:
        counters = [event for event in self.recorded(tmp_path)["traceEvents"] if event["ph"] == "C"]
        values = [event["args"]["bytes"] for event in sorted(counters, key=lambda event: event["ts"])]
        assert max(values) > 0
        assert min(values) >= 0

    def test_compressed(self, tmp_path: Path) -> None:
        assert self.recorded(tmp_path, "trace.json.gz")["traceEvents"]

    def test_stacks(self, tmp_path: Path) -> None:
        with profile(with_stack=True) as prof:
            training_step()
        prof.export_stacks(tmp_path / "stacks.txt")
        lines = (tmp_path / "stacks.txt").read_text().splitlines()
        assert lines
        assert all(re.fullmatch(r"\S+ \d+", line) for line in lines)
        with pytest.raises(ValueError, match="metric should be one of"):
            prof.export_stacks(tmp_path / "x", "count")


class TestSchedule:
    @pytest.mark.oracle
    @pytest.mark.parametrize(
        "options",
        [
            {"wait": 1, "warmup": 1, "active": 2},
            {"wait": 0, "warmup": 1, "active": 1, "repeat": 2},
            {"wait": 2, "warmup": 1, "active": 3, "repeat": 1, "skip_first": 3, "skip_first_wait": 1},
        ],
    )
    def test_actions_beside_torch(self, options: dict[str, int]) -> None:
        import torch

        ours, theirs = schedule(**options), torch.profiler.schedule(**options)
        assert [ours(step).name for step in range(30)] == [theirs(step).name for step in range(30)]

    @pytest.mark.parametrize(("steps", "ready"), [(1, []), (3, [3]), (5, [4]), (6, [4, 6]), (7, [4, 7]), (9, [4, 8])])
    def test_traces_are_ready_after_their_last_step_or_at_the_end(self, steps: int, ready: list[int]) -> None:
        """As torch's action map has it; a cycle of 1 idle, 1 discarded and 2 recorded steps."""
        found: list[int] = []
        plan = schedule(wait=1, warmup=1, active=2)
        with profile(schedule=plan, on_trace_ready=lambda prof: found.append(prof.step_num)) as prof:
            for _ in range(steps):
                vh.ones(3).exp()
                prof.step()
        assert found == ready

    def test_only_active_steps_are_kept(self) -> None:
        names: list[list[str]] = []

        def note(prof: profile) -> None:
            names.append([row.key for row in prof.events() if row.key.startswith("ProfilerStep")])

        with profile(schedule=schedule(wait=1, warmup=1, active=2, repeat=2), on_trace_ready=note) as prof:
            for _ in range(12):
                training_step()
                prof.step()
        assert names == [["ProfilerStep#2", "ProfilerStep#3"], ["ProfilerStep#6", "ProfilerStep#7"]]

    def test_wrong_arguments(self) -> None:
        with pytest.raises(AssertionError, match="Invalid profiler schedule"):
            schedule(wait=-1, warmup=1, active=1)
        with pytest.warns(UserWarning, match="warmup"):
            plan = schedule(wait=0, warmup=0, active=1)
        assert plan(0) is ProfilerAction.RECORD_AND_SAVE
        with pytest.raises(AssertionError, match="non-negative"):
            plan(-1)

    def test_tensorboard_handler(self, tmp_path: Path) -> None:
        for compress in (False, True):
            with profile(on_trace_ready=tensorboard_trace_handler(str(tmp_path / "log"), "worker", compress)):
                training_step()
        names = sorted(path.name for path in (tmp_path / "log").iterdir())
        assert len(names) == 2
        assert re.fullmatch(r"worker\.\d+\.pt\.trace\.json", names[0])
        assert names[1].endswith(".pt.trace.json.gz")


class TestTables:
    def test_text(self) -> None:
        with profile(record_shapes=True, profile_memory=True, with_flops=True, with_stack=True) as prof:
            training_step()
        text = prof.key_averages(group_by_input_shape=True, group_by_stack_n=2).table(
            sort_by="self_cpu_time_total", row_limit=3, header="A header"
        )
        lines = text.splitlines()
        assert lines[0] == "A header"
        for title in ("Name", "Self CPU %", "CPU Mem", "# of Calls", "Input Shapes", "Source Location", "FLOPs"):
            assert title in lines[2]
        assert len(lines) == 9  # header, rule, titles, rule, three rows, rule, sum
        assert lines[-1].startswith("Self CPU time total: ")
        assert "[[4, 16], [8, 16]" in prof.key_averages(True).table(row_limit=-1)
        assert str(prof.key_averages()).count("ExpBackward") == 1

    def test_order(self) -> None:
        with profile() as prof:
            training_step()
        times = [row.self_cpu_time_total for row in prof.key_averages().sorted("self_cpu_time_total")]
        assert times == sorted(times, reverse=True)
        with pytest.raises(ValueError, match="sort_by must be one of cpu_time"):
            prof.key_averages().table(sort_by="beauty")

    def test_top_level_only(self) -> None:
        with profile() as prof:
            vh.cat([vh.ones(1), vh.ones(1)])
        assert "_cat" not in prof.events().table(top_level_events_only=True)

    def test_rich(self) -> None:
        from rich.console import Console

        with profile(profile_memory=True, with_flops=True) as prof:
            training_step()
        console = Console(width=80, record=True, file=io.StringIO())
        console.print(prof)
        text = console.export_text()
        assert "LinearBackward" in text
        assert "operations" in text


def test_other_threads_are_seen_inside_spans() -> None:
    def work() -> None:
        with record_function("elsewhere"):
            vh.ones(3).exp()
        vh.ones(3).sin()

    with profile() as prof:
        thread = threading.Thread(target=work, name="helper")
        thread.start()
        thread.join()
    rows = rows_of(prof)
    assert rows["elsewhere"].count == rows["exp"].count == 1
    assert "sin" not in rows
    assert len({event.thread for event in prof._recorder.events}) == 1  # type: ignore[union-attr]
    assert "helper" in prof._recorder.threads.values()  # type: ignore[union-attr]


def test_a_span_as_decorator_and_without_profile() -> None:
    @record_function("work")
    def work(x: int) -> int:
        return x + 1

    assert work(1) == 2
    with profile() as prof:
        assert work(2) == 3
    assert rows_of(prof)["work"].count == 1


def test_an_error_ends_its_event() -> None:
    with profile() as prof:
        with pytest.raises(RuntimeError):
            vh.ones(2, 3) @ vh.ones(2, 3)
        with pytest.raises(ValueError, match="out"), record_function("span"):
            raise ValueError("out")
        vh.ones(2).exp()
    rows = rows_of(prof)
    assert rows["span"].count == 1
    assert [event.parent for event in prof._recorder.events if event.name == "exp"] == [None]  # type: ignore[union-attr]


def test_values_are_the_same_and_modes_nest() -> None:
    plain = training_step()
    with profile(record_shapes=True, profile_memory=True, with_stack=True, with_flops=True) as prof:
        assert bool((training_step() == plain).all())
        with vh.no_grad():
            assert not (vh.ones(2, requires_grad=True) * 2).requires_grad
        with vh.autocast("cpu"):
            assert (vh.ones(2, 2) @ vh.ones(2, 2)).dtype is vh.bfloat16
    assert rows_of(prof)["to_dtype"].count == 2


def test_a_profile_begun_inside_no_grad_goes_on_after_it() -> None:
    prof = profile()
    with vh.no_grad():
        prof.start()
    vh.ones(2).exp()
    prof.stop()
    vh.ones(2).sin()
    assert set(rows_of(prof)) >= {"exp"}
    assert "sin" not in rows_of(prof)


def test_one_at_a_time() -> None:
    with profile(), pytest.raises(RuntimeError, match="a profile is running already"):
        profile().start()


def test_wrong_use() -> None:
    with pytest.raises(AssertionError, match="No valid profiler activities"):
        profile(activities=[])
    with pytest.raises(AssertionError, match="nothing ran under it"):
        profile().key_averages()
    if not vh.core.device.cuda_is_available():
        with pytest.warns(UserWarning, match="CUDA is not available"):
            profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
