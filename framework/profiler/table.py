"""Tables of a profile: text as PyTorch prints it, and rich ones for terminals."""

import os
from typing import Any

_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K"))


def text_table(rows: list[Any], averages: Any, limit: int, widths: tuple[int, int, int], header: str | None) -> str:
    """Rows under PyTorch's headings; the line below names the time of all."""
    whole = averages.self_cpu_time_total or 1.0
    columns: list[tuple[str, list[str]]] = []
    shown = rows if limit < 0 else rows[:limit]
    name_width, shapes_width, source_width = widths

    def column(title: str, cells: list[str]) -> None:
        columns.append((title, cells))

    column("Name", [_cut(row.key, name_width) for row in shown])
    column("Self CPU %", [f"{100 * row.self_cpu_time_total / whole:.2f}%" for row in shown])
    column("Self CPU", [time_text(row.self_cpu_time_total) for row in shown])
    column("CPU total %", [f"{100 * row.cpu_time_total / whole:.2f}%" for row in shown])
    column("CPU total", [time_text(row.cpu_time_total) for row in shown])
    column("CPU time avg", [time_text(row.cpu_time) for row in shown])
    if averages.memory:
        column("CPU Mem", [memory_text(row.cpu_memory_usage) for row in shown])
        column("Self CPU Mem", [memory_text(row.self_cpu_memory_usage) for row in shown])
    column("# of Calls", [str(row.count) for row in shown])
    if any(row.input_shapes for row in shown):
        column("Input Shapes", [_cut(str(row.input_shapes), shapes_width) for row in shown])
    if any(row.stack for row in shown):
        column("Source Location", [_tail(row.stack[0] if row.stack else "", source_width) for row in shown])
    if averages.flops:
        column("FLOPs", [flops_text(row.flops) for row in shown])
    sizes = [max(len(title), *map(len, cells)) if cells else len(title) for title, cells in columns]
    rule = "  ".join("-" * size for size in sizes)
    lines = [rule, "  ".join(title.rjust(size) for (title, _), size in zip(columns, sizes)), rule]
    lines += ["  ".join(cell.rjust(size) for cell, size in zip(row, sizes)) for row in zip(*(c for _, c in columns))]
    lines += [rule, f"Self CPU time total: {time_text(averages.self_cpu_time_total)}", ""]
    return "\n".join(([header] if header else []) + lines)


def rich_table(rows: list[Any], averages: Any, limit: int) -> Any:
    """The same for a terminal, with a bar for each row's part of the time."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    whole = averages.self_cpu_time_total or 1.0
    caption = f"{len(rows)} operations, {short_time(averages.self_cpu_time_total)} in all"
    table = Table(caption=caption, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("operation", overflow="fold", min_width=16)
    for title, width in (("self", 7), ("share", 9), ("total", 7), ("calls", 5)):
        table.add_column(title, justify="left" if title == "share" else "right", no_wrap=True, min_width=width)
    if averages.memory:
        table.add_column("memory", justify="right", no_wrap=True, min_width=9)
    if averages.flops:
        table.add_column("FLOP/s", justify="right", no_wrap=True, min_width=7)
    styles = {"backward": "magenta", "span": "cyan"}
    for row in rows if limit < 0 else rows[:limit]:
        share = row.self_cpu_time_total / whole
        cells = [
            escape(row.key),
            short_time(row.self_cpu_time_total),
            f"{share:4.0%} [green]{'█' * round(5 * share)}[/]",
            short_time(row.cpu_time_total),
            str(row.count),
        ]
        if averages.memory:
            cells.append(memory_text(row.self_cpu_memory_usage))
        if averages.flops:
            speed = row.flops / (row.cpu_time_total * 1e-6) if row.cpu_time_total else 0.0
            cells.append(flops_text(float(f"{speed:.3g}")) if row.flops else "")
        table.add_row(*cells, style=styles.get(row.kind, ""))
    return table


def memory_table(snapshot: Any, limit: int) -> str:
    """What is alive: sums by holder, the largest blocks, and who held memory at the peak."""
    lines = [f"{memory_text(snapshot.total)} alive, {memory_text(snapshot.cached)} kept for reuse"]
    lines += [f"  {memory_text(size):>12}  {kind}" for kind, size in snapshot.by_kind().items()]
    lines += ["", f"{'size':>12}  {'kind':<18}  {'type':<10}  {'shape':<22}  made by"]
    for block in snapshot.blocks[:limit]:
        place = block.op or "unknown"
        if block.line:
            file, _, rest = block.line.rpartition(":")
            place += f" at {os.path.basename(file)}:{rest}"
        shape = "x".join(map(str, block.shape)) or "()"
        lines.append(f"{memory_text(block.nbytes):>12}  {block.kind:<18}  {block.dtype:<10}  {shape:<22}  {place}")
    if len(snapshot.blocks) > limit:
        rest = sum(block.nbytes for block in snapshot.blocks[limit:])
        lines.append(f"{memory_text(rest):>12}  in {len(snapshot.blocks) - limit} more")
    if snapshot.peak:
        lines += ["", f"peak of the profile: {memory_text(snapshot.peak)}, of which"]
        lines += [f"  {memory_text(size):>12}  {op}" for op, size in list(snapshot.peak_by_op().items())[:limit]]
    return "\n".join(lines)


def time_text(microseconds: float) -> str:
    """`12.345us`, `1.234ms` or `1.234s`."""
    if microseconds >= 1e6:
        return f"{microseconds / 1e6:.3f}s"
    if microseconds >= 1e3:
        return f"{microseconds / 1e3:.3f}ms"
    return f"{microseconds:.3f}us"


def short_time(microseconds: float) -> str:
    """Three digits and a unit."""
    for scale, unit in ((1e6, "s"), (1e3, "ms")):
        if microseconds >= scale:
            return f"{microseconds / scale:.3g} {unit}"
    return f"{microseconds:.3g} us"


def memory_text(size: int) -> str:
    """`12 B`, `1.20 KB`, ..., with binary thousands."""
    for exponent, unit in ((30, "GB"), (20, "MB"), (10, "KB")):
        if abs(size) >= 1 << exponent:
            return f"{size / (1 << exponent):.2f} {unit}"
    return f"{size} B"


def flops_text(count: float) -> str:
    """`1.23 G`, or `--` for none."""
    if not count:
        return "--"
    for scale, unit in _SCALES:
        if count >= scale:
            return f"{count / scale:.6g} {unit}"
    return f"{count:.0f}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _tail(text: str, width: int) -> str:
    return text if len(text) <= width else "..." + text[3 - width :]
