"""Events, and events summed by what they have in common, under PyTorch's names; times in microseconds."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from framework.profiler.recorder import Event, Stack

SORT_KEYS = (
    "cpu_time",
    "cpu_time_total",
    "self_cpu_time_total",
    "cpu_memory_usage",
    "self_cpu_memory_usage",
    "count",
    "flops",
)


@dataclass
class Summary:
    """One row: an event (`count` 1), or all events of a key.

    Times in microseconds, memory in bytes (allocated less freed); "self" is without what nested events account for.
    """

    key: str
    kind: str = "op"
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    cpu_memory_usage: int = 0
    self_cpu_memory_usage: int = 0
    flops: int = 0
    input_shapes: list[Any] = field(default_factory=list)
    stack: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.key

    @property
    def cpu_time(self) -> float:
        """The mean time of a call, microseconds."""
        return self.cpu_time_total / self.count if self.count else 0.0

    def __repr__(self) -> str:
        return (
            f"<Summary {self.key}: {self.count} calls, self {self.self_cpu_time_total:.1f} us, "
            f"total {self.cpu_time_total:.1f} us>"
        )


class Averages(Sequence[Summary]):
    """What `profile.key_averages()` and `profile.events()` give: rows, and tables of them."""

    def __init__(self, rows: list[Summary], memory: bool, flops: bool) -> None:
        self.rows = rows
        self.memory, self.flops = memory, flops

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds in all events."""
        return sum(row.self_cpu_time_total for row in self.rows)

    def total_average(self) -> Summary:
        """One row for all."""
        total = Summary("Total")
        for row in self.rows:
            total.count += row.count
            total.self_cpu_time_total += row.self_cpu_time_total
            total.self_cpu_memory_usage += row.self_cpu_memory_usage
            total.flops += row.flops
        total.cpu_time_total, total.cpu_memory_usage = total.self_cpu_time_total, total.self_cpu_memory_usage
        return total

    def sorted(self, sort_by: str | None) -> list[Summary]:
        """Rows, largest first by a key of SORT_KEYS; in the order of their first event when None."""
        if sort_by is None:
            return list(self.rows)
        if sort_by not in SORT_KEYS:
            raise ValueError(f"sort_by must be one of {', '.join(SORT_KEYS)}, not {sort_by!r}")
        return sorted(self.rows, key=lambda row: -getattr(row, sort_by))

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
    ) -> str:
        """A text table as PyTorch's. `row_limit` -1: all rows."""
        from framework.profiler.table import text_table

        rows = [row for row in self.sorted(sort_by) if not top_level_events_only or row.kind != "nested"]
        widths = (max_name_column_width, max_shapes_column_width, max_src_column_width)
        return text_table(rows, self, row_limit, widths, header)

    def rich(self, sort_by: str | None = "self_cpu_time_total", row_limit: int = 15) -> Any:
        """A `rich.table.Table` with a bar for each row's share of the time."""
        from framework.profiler.table import rich_table

        return rich_table(self.sorted(sort_by), self, row_limit)

    def __rich__(self) -> Any:
        return self.rich()

    def __str__(self) -> str:
        return self.table()


def each(events: Iterable[Event], memory: bool, flops: bool) -> Averages:
    """A row for every event."""
    return Averages([_added(Summary(event.name, event.kind), event) for event in events], memory, flops)


def averaged(events: Iterable[Event], by_shape: bool, stack_depth: int, memory: bool, flops: bool) -> Averages:
    """A row for every name, and shapes of inputs, and innermost `stack_depth` lines, where asked for."""
    rows: dict[Any, Summary] = {}
    for event in events:
        lines = _lines(event.stack)[:stack_depth]
        key = (event.name, str(event.shapes) if by_shape else "", tuple(lines))
        row = rows.get(key)
        if row is None:
            row = rows[key] = Summary(event.name, event.kind)
            row.input_shapes = _listed(event.shapes) if by_shape else []
            row.stack = lines
        _added(row, event, grouped=True)
    return Averages(list(rows.values()), memory, flops)


def stacks(events: Iterable[Event], metric: Callable[[Event], int]) -> dict[str, int]:
    """The metric by stack, "outermost;...;innermost", as flame graph tools read it."""
    sums: defaultdict[str, int] = defaultdict(int)
    for event in events:
        if event.stack:
            path = ";".join([*reversed(_lines(event.stack)), event.name])
            sums[path.replace(" ", "_")] += metric(event)
    return {path: value for path, value in sums.items() if value > 0}


def _added(row: Summary, event: Event, grouped: bool = False) -> Summary:
    row.count += 1
    row.self_cpu_time_total += (event.duration - event.inside) / 1000
    row.self_cpu_memory_usage += event.memory - event.memory_inside
    row.flops += event.flops
    if not grouped or not _inside_itself(event):  # what is nested in its like counts once
        row.cpu_time_total += event.duration / 1000
        row.cpu_memory_usage += event.memory
    if not grouped:
        row.input_shapes, row.stack = _listed(event.shapes), _lines(event.stack)
        row.kind = "nested" if event.parent is not None and event.parent.kind != "span" else event.kind
    return row


def _inside_itself(event: Event) -> bool:
    above = event.parent
    while above is not None and above.name != event.name:
        above = above.parent
    return above is not None


def _listed(shapes: Any) -> list[Any]:
    return [_listed(item) if isinstance(item, list | tuple) else item for item in shapes]


def _lines(stack: Stack) -> list[str]:
    return [f"{file}({line}): {function}" for file, line, function in stack]
