"""Checkpoints of a run: all that changes during training, in one file that is whole or absent."""

from pathlib import Path
from typing import Any

from pipelines.errors import ModelError, OtherRunError
from pipelines.train.loop import Trainer

NAME = "checkpoint.safetensors"


def write_checkpoint(folder: Path, trainer: Trainer, identity: dict[str, Any], tally: dict[str, Any]) -> None:
    """Write the state of `trainer`; `identity` says which run it belongs to, `tally` what the logs have in hand."""
    import framework

    framework.save({"identity": identity, "tally": tally, "trainer": trainer.state()}, folder / NAME)


def read_checkpoint(folder: Path, trainer: Trainer, identity: dict[str, Any]) -> dict[str, Any]:
    """Bring `trainer` to the state of the folder's checkpoint and return the tally.

    Raises OtherRunError where the checkpoint belongs to another configuration or to other data.
    """
    import framework

    path = folder / NAME
    try:
        state = framework.load(path, mmap=False)
        known, tally, saved = state["identity"], state["tally"], state["trainer"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not a checkpoint of a training run ({error}); --restart begins anew") from None
    for key, value in identity.items():
        if known.get(key) != value:
            raise OtherRunError(
                f"{folder} holds a run that began with another {key}; "
                "choose another folder with -o, or --restart to throw that run away"
            )
    trainer.load_state(saved)
    return dict(tally)
