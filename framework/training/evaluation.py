"""Validation, test and prediction: one pass over data without gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import framework
from framework.training.batches import length, limited, moved
from framework.training.results import Results

if TYPE_CHECKING:
    from framework.training.trainer import Trainer


def evaluate(trainer: Trainer, loader: Any, kind: str, limit: int | float | None) -> list[Any]:
    """Run `kind` ("validation", "test" or "predict") over a loader; gives what the steps gave.

    Every pass sees the same data in the same order (a loader's epoch 0), and the module is in eval mode meanwhile.
    """
    module = trainer.module
    total = limited(length(loader), limit)
    trainer.num_evaluation_batches = total
    if hasattr(loader, "set_epoch"):
        loader.set_epoch(0)
    modes = {part: part.training for part in module.modules()}
    module.eval()
    step = getattr(module, f"{kind}_step")
    outputs = []
    trainer.call(f"on_{kind}_start")
    try:
        with framework.no_grad():
            trainer.call(f"on_{kind}_epoch_start")
            batches = iter(loader)
            try:
                index = 0
                while total is None or index < total:
                    try:
                        batch = moved(next(batches), trainer.device)
                    except StopIteration:
                        break
                    trainer.present_batch = batch
                    trainer.call(f"on_{kind}_batch_start", batch, index)
                    with trainer.precision.forward():
                        output = step(batch, index)
                    trainer.call(f"on_{kind}_batch_end", output, batch, index)
                    outputs.append(output if kind == "predict" else None)
                    index += 1
            finally:
                if hasattr(batches, "close"):
                    batches.close()
            trainer.present_batch = None
            trainer.call(f"on_{kind}_epoch_end")
    finally:
        for part, training in modes.items():
            part.training = training
    return outputs


class Logging:
    """For the time of an evaluation, `log` collects into results of its own."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.results = trainer, Results()

    def __enter__(self) -> Results:
        self.former, self.trainer.active = self.trainer.active, self.results
        return self.results

    def __exit__(self, *_: object) -> None:
        self.trainer.active = self.former
