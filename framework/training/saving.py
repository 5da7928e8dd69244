"""The whole state of a run in one checkpoint, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.serialization import SerializationError, load, save
from framework.training.seeding import random_state, set_random_state

if TYPE_CHECKING:
    from framework.training.trainer import Trainer

VERSION = 1


def gather(trainer: Trainer, weights_only: bool = False) -> dict[str, Any]:
    """What the coming steps depend on; `weights_only`: the model alone."""
    module = trainer.module
    state: dict[str, Any] = {
        "version": VERSION,
        "model": dict(module.state_dict()),
        "epoch": trainer.current_epoch,
        "global_step": trainer.global_step,
    }
    if not weights_only:
        grads = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
        state |= {
            "batch_idx": trainer.fit_loop.batch_idx,
            "pending": trainer.fit_loop.pending,
            "gradients": grads if trainer.fit_loop.pending else {},
            "seconds": trainer.fit_loop.seconds(),
            "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
            "schedules": [plan.scheduler.state_dict() for plan in trainer.schedules],
            "scaler": trainer.precision.scaler.state_dict() if trainer.precision.scaler is not None else None,
            "loader": trainer.fit_loop.loader_state(),
            "random": random_state(),
            "results": trainer.results.state_dict(),
            "metrics": dict(trainer.callback_metrics),
            "callbacks": {each.state_key: state for each in trainer.callbacks if (state := each.state_dict())},
            "loggers": [logger.state_dict() for logger in trainer.loggers],
        }
    trainer.call("on_save_checkpoint", state)
    return state


def write(trainer: Trainer, path: str | Path, weights_only: bool = False) -> None:
    """Write a checkpoint, atomically."""
    save(gather(trainer, weights_only), path)


def read(path: str | Path) -> dict[str, Any]:
    """The state that a Trainer wrote; ValueError for any other file."""
    state = load(path, mmap=False)
    if not isinstance(state, dict) or state.get("version") != VERSION or "model" not in state:
        raise SerializationError(f"'{Path(path).name}' is not a checkpoint of a Trainer (version {VERSION})")
    return state


def restore(trainer: Trainer, path: str | Path) -> None:
    """Bring a trainer whose module and optimizers are set up to the state of a checkpoint."""
    state = read(path)
    if "optimizers" not in state:
        raise ValueError(
            f"'{Path(path).name}' holds weights only, so no run can go on from it: load its 'model' into the module"
        )
    trainer.call("on_load_checkpoint", state)
    module = trainer.module
    module.load_state_dict(state["model"])
    for what, own, saved in (
        ("optimizers", trainer.optimizers, state["optimizers"]),
        ("schedules", [plan.scheduler for plan in trainer.schedules], state["schedules"]),
        ("loggers", trainer.loggers, state["loggers"]),
    ):
        if len(own) != len(saved):
            raise ValueError(f"the checkpoint is of a run with {len(saved)} {what}, this one has {len(own)}")
        for each, values in zip(own, saved):
            each.load_state_dict(values)
    if (state["scaler"] is None) != (trainer.precision.scaler is None):
        raise ValueError("the checkpoint is of a run in another precision: give the Trainer the same one")
    if trainer.precision.scaler is not None:
        trainer.precision.scaler.load_state_dict(state["scaler"])
    for name, parameter in module.named_parameters():
        parameter.grad = state["gradients"].get(name)
    for callback in trainer.callbacks:
        if callback.state_key in state["callbacks"]:
            callback.load_state_dict(state["callbacks"][callback.state_key])
    trainer.results.load_state_dict(state["results"])
    trainer.callback_metrics = dict(state["metrics"])
    trainer.current_epoch, trainer.global_step = state["epoch"], state["global_step"]
    trainer.fit_loop.resume(state)
    set_random_state(state["random"])
