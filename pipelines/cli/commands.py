"""The commands and their options. Everything heavy is imported when a command runs, so that help answers at once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.weights import weights

EPILOG = (
    "Exit codes: 0 success, 1 failure, 2 wrong usage or configuration, 3 unreadable or unsuitable input, "
    "8 some cases of several failed, 130 interrupted. Research use only."
)

app = typer.Typer(
    name="voxhelix",
    help="Train, run and check segmentation models for medical images. Research use only.",
    epilog=EPILOG,
    rich_markup_mode=None,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

app.add_typer(weights)

Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one entry, as in training.seed=3.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Processor threads to use; default: all.")]
Events = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Append progress events, one JSON object a line, to FILE.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")]


class Format(StrEnum):
    """What `predict` writes for a study."""

    NIFTI = "nifti"
    DICOM_SEG = "dicom-seg"
    REPORT = "report"


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
    bare: Annotated[bool, typer.Option("--bare", help="Show only the number of the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")] = False,
) -> None:
    """Train, run and check segmentation models for medical images. Research use only."""
    if version or bare:
        from framework.version import __version__

        typer.echo(__version__ if bare else f"voxhelix {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the run.")] = Path("runs/demo"),
    data: Annotated[Path | None, typer.Option(help="The data_samples folder; default: the repository's.")] = None,
    overrides: Overrides = None,
    threads: Threads = None,
    events: Events = None,
    quiet: Quiet = False,
) -> None:
    """Show the whole: finish a contouring.

    Trains on one CT and on the labelled part of another, segments the rest of it, compares, writes a report.
    """
    from pipelines.demo import run_demo

    run_demo(output, data=data, overrides=overrides or [], threads=threads, events=events, quiet=quiet)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML configuration.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder, the model in the end; default: runs/NAME.")
    ] = None,
    overrides: Overrides = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint; an error where there is none.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Throw the run folder's checkpoint away.")] = False,
    agreement: Annotated[
        bool, typer.Option("--agreement", help="Show Dice per structure on the training patches.")
    ] = False,
    threads: Threads = None,
    events: Events = None,
    quiet: Quiet = False,
) -> None:
    """Train a model.

    A run folder with a checkpoint of the same configuration is continued, bit for bit.
    """
    from pipelines.config import load_config
    from pipelines.train import train as run_training

    loaded = load_config(config, overrides or [])
    folder = output or Path("runs") / loaded.name
    card = run_training(
        loaded,
        folder,
        base=config.parent,
        resume=resume,
        restart=restart,
        show_agreement=agreement,
        threads=threads,
        events=events,
        quiet=quiet,
    )
    if not quiet:
        typer.echo(f"The model of {card.iterations} iterations is in {folder}. Research use only.")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a trained model.")],
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT", help="Studies: NIfTI, NRRD, a DICOM file, folder or zip.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    formats: Annotated[
        list[Format] | None,
        typer.Option("--format", help="May be given several times; default: nifti, report, and dicom-seg for DICOM."),
    ] = None,
    series: Annotated[str | None, typer.Option(help="Series UID where a DICOM folder holds several.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Leave out studies whose results are there, whole and of this model.")
    ] = False,
    threads: Threads = None,
    events: Events = None,
    quiet: Quiet = False,
) -> int:
    """Segment one study or several.

    OUT/manifest.jsonl says, a line per study, what became of it; one bad study does not stop the others.
    """
    from pipelines.predict import predict_studies

    chosen = [str(item) for item in formats] if formats else None
    return predict_studies(
        model,
        inputs,
        output,
        formats=chosen,
        series=series,
        threads=threads,
        events=events,
        quiet=quiet,
        resume=resume,
    )


@app.command()
def evaluate(
    prediction: Annotated[Path, typer.Argument(metavar="PRED", help="Label map to judge.")],
    reference: Annotated[Path, typer.Argument(metavar="REF", help="Label map to compare with.")],
    names: Annotated[
        Path | None, typer.Option(help="Names of the labels: a model folder, card.json or a JSON table {value: name}.")
    ] = None,
    tolerance: Annotated[float, typer.Option(min=0.0, help="Tolerance of the surface Dice (NSD), mm.")] = 2.0,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as JSON.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as CSV.")] = None,
) -> None:
    """Compare two label maps.

    Per structure: Dice, 95th percentile of the Hausdorff distance, surface Dice (NSD) and volumes.
    """
    from pipelines.evaluate import evaluate_files

    evaluate_files(prediction, reference, names=names, tolerance=tolerance, json_path=json, csv_path=csv)


@app.command()
def doctor() -> int:
    """Look over this machine.

    Packages, processor, memory, disk, CUDA, the kernel cache and a small self-test, each with a remedy where it fails.
    """
    from pipelines.doctor import run_doctor

    return run_doctor()


@app.command()
def config(
    path: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help="YAML configuration.")] = None,
    overrides: Overrides = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema instead.")] = False,
) -> None:
    """Check a configuration.

    Prints it complete, with every default, or prints the JSON schema that editors use.
    """
    from pipelines.config import dump_config, json_schema, load_config
    from pipelines.errors import UsageError

    if schema:
        import json as json_module

        typer.echo(json_module.dumps(json_schema(), indent=2))
    elif path is None:
        raise UsageError("give a configuration file, or --schema")
    else:
        typer.echo(dump_config(load_config(path, overrides or [])), nl=False)
