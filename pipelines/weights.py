"""What is in a file of weights, shown as a table, and such files turned into safetensors."""

from pathlib import Path

from pipelines.errors import InputError, UsageError


def show_weights(path: Path) -> None:
    """Print names, types, shapes and sizes of the tensors in a file, and the metadata of whoever wrote it."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from framework.serialization import describe

    _check(path)
    about = describe(path)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("tensor", "type", "shape"):
        table.add_column(heading, overflow="fold")
    table.add_column("size", justify="right")
    for name, tensor in about.tensors.items():
        shape = " x ".join(map(str, tensor.shape)) or "one number"
        cells = (tensor.dtype, shape, _size(tensor.nbytes)) if not tensor.refused else (f"{tensor.refused}", "", "")
        table.add_row(Text(name), *map(Text, cells))
    # Where no person reads, lines are as long as they need to be.
    console = Console(soft_wrap=False, highlight=False)
    if not console.is_terminal:
        console.width = 500
    console.print(table)
    total = _size(sum(tensor.nbytes for tensor in about.tensors.values()))
    count = len(about.tensors)
    console.print(f"{path.name}: {about.format}, {count} tensor{'s' * (count != 1)}, {total}")
    for key, value in sorted(about.metadata.items()):
        console.print(Text(f"{key}: {value if len(value) <= 200 else value[:200] + '…'}"))


def convert_weights(source: Path, target: Path, max_shard_size: str | None = None) -> None:
    """Write what a file holds, tensors and plain values, as safetensors. The source stays as it is."""
    import framework
    from framework.serialization import describe

    _check(source)
    if not target.name.endswith(".safetensors"):
        raise UsageError(f"the converted file is named *.safetensors, not {target.name}")
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{target} is the file to convert; give the converted one another name")
    about = describe(source)
    state = framework.load(source)
    metadata = {key: value for key, value in about.metadata.items() if key != "total_size"}
    try:
        framework.save(state, target, {"converted from": about.format, **metadata}, max_shard_size=max_shard_size)
    except TypeError as error:
        raise InputError(f"{source.name} cannot be converted: {error}") from None
    except ValueError as error:
        raise UsageError(str(error)) from None


def _check(path: Path) -> None:
    if not path.exists() and not path.with_name(f"{path.name}.index.json").exists():
        raise InputError(f"there is no file {path}")


def _size(count: int) -> str:
    """Bytes for people: three figures and a unit."""
    size, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{count} bytes" if units[0] == "bytes" else f"{size:.3g} {units[0]}"
