"""`voxhelix weights`: files of weights, looked at and converted."""

from pathlib import Path
from typing import Annotated

import typer

weights = typer.Typer(
    name="weights",
    help="Look at files of weights and convert them; nothing in them is run.",
    rich_markup_mode=None,
)


@weights.command()
def show(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="safetensors, PyTorch, TorchScript, Keras 2, or a folder of shards."),
    ],
) -> None:
    """List the tensors of a file: names, types, shapes, sizes, and the file's metadata."""
    from pipelines.weights import show_weights

    show_weights(file)


@weights.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A file that 'weights show' reads.")],
    target: Annotated[Path, typer.Argument(metavar="OUT.safetensors", help="The file to write.")],
    max_shard_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Cut larger ones into files of this size, as in 5GB.")
    ] = None,
) -> None:
    """Write a file's tensors and plain values as safetensors."""
    from pipelines.weights import convert_weights

    convert_weights(source, target, max_shard_size)
    typer.echo(f"{target} is written.")
