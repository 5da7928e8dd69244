"""A small training run in a process of its own, which ends itself hard at the event it is told.

    python killed_run.py FOLDER [EVENT STEP]

Everything that a resumed run could get wrong is in it: dropout, Python's and NumPy's random streams, shuffling, items
with random numbers of their own, threads, accumulation over an epoch that it does not divide, a schedule by step and
one by metric, averages of weights, a norm's running statistics, validation in the middle of epochs.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

import framework
from framework import nn, optim
from framework.data import DataLoader, item_rng
from framework.training import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    Trainer,
    TrainingModule,
    WeightAveraging,
    seed_everything,
)


class Points:
    """Noisy points of a plane; the noise is drawn anew each epoch."""

    def __len__(self):
        return 44

    def __getitem__(self, index):
        x = item_rng().normal(index / 44, 0.1, 3).astype(np.float32)
        return x, np.float32([x.sum() + 0.1 * float(framework.rand(1))])


class Plane(TrainingModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1)
        )  # fmt: skip

    def training_step(self, batch, batch_idx):
        x, y = batch
        x = x + 0.01 * random.random() + 0.01 * float(np.random.rand())
        loss = nn.functional.mse_loss(self.net(x), y)
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", nn.functional.mse_loss(self.net(x), y))
        framework.rand(3)  # validation that draws random numbers does not change training

    def configure_optimizers(self):
        optimizer = optim.AdamW(self.parameters(), lr=0.05)
        steps = {"scheduler": optim.lr_scheduler.ExponentialLR(optimizer, 0.97), "interval": "step"}
        plateau = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
        return [optimizer], [steps, {"scheduler": plateau, "monitor": "val_loss"}]


class Kill(Callback):
    """Ends the process without any farewell at an event of a step."""

    def __init__(self, event, step):
        self.step = step
        setattr(self, event, self.end)

    def end(self, trainer, module, *args):
        if trainer.global_step == self.step and not trainer.sanity_checking:
            os.kill(os.getpid(), signal.SIGKILL)


class Tell(Callback):
    """Says on the terminal which step is done, and takes a little time, so that a signal finds the run at work."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        print(trainer.global_step, flush=True)
        time.sleep(0.02)


def main():
    folder, *event = sys.argv[1:]
    seed_everything(3)
    model = Plane()
    loaders = DataLoader(Points(), 4, shuffle=True, num_workers=2), DataLoader(Points(), 10, num_workers=1)
    callbacks = [
        LearningRateMonitor(), WeightAveraging(0.8, warmup=True), EarlyStopping("val_loss", patience=50),
        ModelCheckpoint(monitor="val_loss", every_n_train_steps=1, every_n_epochs=1, save_top_k=2),
    ]  # fmt: skip
    if event and event[0] == "tell":
        callbacks.append(Tell())
    elif event:
        callbacks.append(Kill(event[0], int(event[1])))
    trainer = Trainer(
        max_epochs=4, accumulate_grad_batches=2, gradient_clip_val=1.0, val_check_interval=4, log_every_n_steps=1,
        callbacks=callbacks, logger=CSVLogger(folder), default_root_dir=folder, enable_progress_bar=False,
    )  # fmt: skip
    trainer.fit(model, *loaders, ckpt_path="last")
    framework.save(model.state_dict(), Path(folder) / "final.safetensors")


if __name__ == "__main__":
    main()
