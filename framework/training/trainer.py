"""The Trainer: fit, validate, test, predict."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from framework.core.determinism import use_deterministic_algorithms
from framework.training import saving
from framework.training.callbacks import Callback, ModelCheckpoint, ProgressBar
from framework.training.callbacks.model_checkpoint import LAST
from framework.training.evaluation import Logging, evaluate
from framework.training.fit_loop import FitLoop
from framework.training.loggers import CSVLogger, Logger
from framework.training.module import TrainingModule
from framework.training.optimization import Plan, Precision, configured
from framework.training.results import Results, as_number, length_of
from framework.training.seeding import random_state, seed_everything, set_random_state
from framework.training.stop import StopRequest, TrainingStopped


class Trainer:
    """Trains, validates and tests a `TrainingModule`; arguments are named as PyTorch Lightning's.

    A fit ends after `max_epochs` epochs, `max_steps` optimizer steps (-1: without end) or `max_time` (a timedelta,
    seconds, or "DD:HH:MM:SS"). Limits and `val_check_interval` are numbers of batches (int) or shares of an epoch
    (float). `fast_dev_run` runs that many batches of everything, once, without logs and checkpoints.

    The folder `default_root_dir` gets `checkpoints/` and `metrics.csv`; without it nothing is written unless callbacks
    or `logger` name their own places. `logger` is a Logger, a list of them, or False. `precision` is "32-true",
    "bf16-mixed" or "16-mixed". `deterministic` is handed to `use_deterministic_algorithms`, though algorithms are
    deterministic in any case. `seed` starts the random streams of a fit; with it (or `seed_everything` before the
    module is made) the same run gives the same bytes.

    Ctrl-C or SIGTERM finish the step, write `last.safetensors` and raise TrainingStopped, which says how to resume;
    after a `kill -9`, `fit(..., ckpt_path="last")` goes on from the newest checkpoint to the same bits.
    """

    def __init__(
        self,
        *,
        max_epochs: int | None = None,
        max_steps: int = -1,
        max_time: str | float | timedelta | None = None,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str = "norm",
        precision: str = "32-true",
        limit_train_batches: int | float | None = None,
        limit_val_batches: int | float | None = None,
        limit_test_batches: int | float | None = None,
        limit_predict_batches: int | float | None = None,
        val_check_interval: int | float | None = None,
        check_val_every_n_epoch: int = 1,
        num_sanity_val_steps: int = 2,
        log_every_n_steps: int = 50,
        check_finite_loss: bool = True,
        callbacks: Callback | Sequence[Callback] = (),
        logger: Logger | Iterable[Logger] | bool = True,
        default_root_dir: str | Path | None = None,
        enable_checkpointing: bool = True,
        enable_progress_bar: bool = True,
        fast_dev_run: bool | int = False,
        device: Any = None,
        deterministic: bool | None = None,
        seed: int | None = None,
    ) -> None:
        for name, value in (
            ("accumulate_grad_batches", accumulate_grad_batches),
            ("check_val_every_n_epoch", check_val_every_n_epoch),
            ("log_every_n_steps", log_every_n_steps),
        ):
            if value < 1:
                raise ValueError(f"{name} should be at least 1, got {value}")
        if gradient_clip_algorithm not in ("norm", "value"):
            raise ValueError(f"gradient_clip_algorithm is 'norm' or 'value', got {gradient_clip_algorithm!r}")
        if fast_dev_run:
            limit = int(fast_dev_run)
            limit_train_batches = limit_val_batches = limit_test_batches = limit_predict_batches = limit
            max_epochs, max_steps, num_sanity_val_steps = 1, -1, 0
            logger = enable_checkpointing = False
        if max_epochs is None:
            max_epochs = -1 if max_steps >= 0 or max_time is not None else 1000
        self.max_epochs, self.max_steps, self.max_time = max_epochs, max_steps, _seconds(max_time)
        self.accumulate_grad_batches = accumulate_grad_batches
        self.gradient_clip_val, self.gradient_clip_algorithm = gradient_clip_val, gradient_clip_algorithm
        self.limit_train_batches, self.limit_val_batches = limit_train_batches, limit_val_batches
        self.limit_test_batches, self.limit_predict_batches = limit_test_batches, limit_predict_batches
        self.val_check_interval, self.check_val_every_n_epoch = val_check_interval, check_val_every_n_epoch
        self.num_sanity_val_steps, self.log_every_n_steps = num_sanity_val_steps, log_every_n_steps
        self.check_finite_loss, self.device, self.seed = check_finite_loss, device, seed
        if deterministic is not None:
            use_deterministic_algorithms(deterministic)
        self.precision = Precision(precision, str(device or "cpu").partition(":")[0])
        self.default_root_dir = Path(default_root_dir) if default_root_dir is not None else None
        self.callbacks = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
        if enable_progress_bar and not any(isinstance(each, ProgressBar) for each in self.callbacks):
            self.callbacks.append(ProgressBar())
        checkpoints = any(isinstance(each, ModelCheckpoint) for each in self.callbacks)
        if enable_checkpointing and not checkpoints and self.default_root_dir is not None:
            self.callbacks.append(ModelCheckpoint())
        if not enable_checkpointing:
            self.callbacks = [each for each in self.callbacks if not isinstance(each, ModelCheckpoint)]
        self.loggers = self._loggers(logger)
        _check_keys(self.callbacks)

        self.stage = ""
        self.sanity_checking = False
        self.should_stop = False
        self.has_validation = self.has_validated = False
        self.current_epoch = self.global_step = self.epoch_of_step = 0
        self.optimizers: list[Any] = []
        self.schedules: list[Plan] = []
        self.callback_metrics: dict[str, float] = {}
        self.progress_metrics: dict[str, float] = {}
        self.results = Results()
        self.active = self.results
        self.num_evaluation_batches: int | None = None
        self.present_batch: Any = None
        self._stop = StopRequest()
        self._module: TrainingModule | None = None
        self._loop: FitLoop | None = None

    # Entry points --------------------------------------------------------------------------------------------------

    def fit(
        self,
        module: TrainingModule,
        train_dataloaders: Any,
        val_dataloaders: Any = None,
        ckpt_path: str | Path | None = None,
    ) -> None:
        """Train `module` on the batches of an iterable, and validate it on those of another.

        `ckpt_path` is a checkpoint to go on from, or "last": the newest of the checkpoint folder, and a fresh start
        where there is none. A loader with `state_dict` and `load_state_dict` (as DataLoader's) goes on in the middle of
        its epoch; of another iterable the batches already seen are read again.
        """
        checkpoint = self._found(ckpt_path)
        with self._running(module, "fit"):
            if self.seed is not None and checkpoint is None:
                seed_everything(self.seed)
            self.current_epoch = self.global_step = self.epoch_of_step = 0
            self.should_stop = self.has_validated = False
            self.callback_metrics, self.progress_metrics = {}, {}
            self.results = self.active = Results()
            if self.limit_val_batches == 0:
                val_dataloaders = None
            self.has_validation = val_dataloaders is not None
            if self.device is not None:
                module.to(self.device)
            self._loop = FitLoop(self, train_dataloaders, val_dataloaders)
            self.call("setup", "fit")
            self.optimizers, self.schedules = configured(module)
            if not module.automatic_optimization and self.precision.scaler is not None:
                raise ValueError("precision '16-mixed' scales gradients, which needs automatic_optimization")
            if checkpoint is not None:
                saving.restore(self, checkpoint)
            else:
                for logger in self.loggers:
                    logger.start()
            self.call("on_fit_start")
            if val_dataloaders is not None and self.num_sanity_val_steps and checkpoint is None:
                self._sanity_check(val_dataloaders)
            with self._stop:
                self._loop.run()
            self.call("on_fit_end")

    def validate(
        self, module: TrainingModule, dataloaders: Any, ckpt_path: str | Path | None = None
    ) -> dict[str, float]:
        """The metrics of `validation_step` over all batches."""
        return self._evaluate(module, dataloaders, "validate", self.limit_val_batches, ckpt_path)[0]

    def test(self, module: TrainingModule, dataloaders: Any, ckpt_path: str | Path | None = None) -> dict[str, float]:
        """The metrics of `test_step` over all batches."""
        return self._evaluate(module, dataloaders, "test", self.limit_test_batches, ckpt_path)[0]

    def predict(self, module: TrainingModule, dataloaders: Any, ckpt_path: str | Path | None = None) -> list[Any]:
        """What `predict_step` gives for each batch."""
        return self._evaluate(module, dataloaders, "predict", self.limit_predict_batches, ckpt_path)[1]

    # For modules and callbacks -------------------------------------------------------------------------------------

    def log(
        self,
        name: str,
        value: Any,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        prog_bar: bool = False,
        batch_size: int | None = None,
    ) -> None:
        """Log a number: of the present step, and as the epoch's mean, weighted by the size of batches.

        By default training logs steps and evaluation logs means. `prog_bar` shows the value in the terminal. The means
        are in `callback_metrics` once the epoch is over, for callbacks to watch.
        """
        training = self.active is self.results and self.present_batch is not None
        on_step = training if on_step is None else on_step
        on_epoch = not training if on_epoch is None else on_epoch
        weight = batch_size if batch_size is not None else length_of(self.present_batch) if on_epoch else 1
        self.active.add(name, value, on_step, on_epoch, prog_bar, weight)
        if prog_bar:
            self.progress_metrics[name] = as_number(name, value)

    def backward(self, loss: Any) -> None:
        """The gradients of a loss, scaled where the precision asks for it."""
        self.precision.backward(loss)

    def save_checkpoint(self, path: str | Path, weights_only: bool = False) -> None:
        """Write the whole state of the fit (or the weights) to one file, atomically."""
        saving.write(self, path, weights_only)

    def call(self, hook: str, *args: Any) -> None:
        """Run a hook of all callbacks, then the module's own where it has one."""
        for callback in self.callbacks:
            getattr(callback, hook)(self, self.module, *args)
        own = getattr(self.module, hook, None)
        if own is not None:
            own(*args)

    @property
    def module(self) -> TrainingModule:
        """The module at work."""
        if self._module is None:
            raise RuntimeError("the Trainer has no module: call fit, validate, test or predict")
        return self._module

    @property
    def fit_loop(self) -> FitLoop:
        """Where the fit stands."""
        if self._loop is None:
            raise RuntimeError("a checkpoint is of a fit: call fit first")
        return self._loop

    @property
    def num_training_batches(self) -> int | None:
        """Batches of an epoch; None where the loader does not know."""
        return self.fit_loop.total

    @property
    def checkpoint_folder(self) -> Path | None:
        """Where checkpoints go unless a callback names another place."""
        return self.default_root_dir / "checkpoints" if self.default_root_dir is not None else None

    @property
    def checkpoint_callback(self) -> ModelCheckpoint | None:
        """The first ModelCheckpoint: its `best_model_path` is what most look for."""
        return next((each for each in self.callbacks if isinstance(each, ModelCheckpoint)), None)

    # For the loops -------------------------------------------------------------------------------------------------

    def log_step(self) -> None:
        """Write the values of this step where it is due."""
        self.callback_metrics |= self.results.step
        if self.global_step % self.log_every_n_steps == 0 and self.results.step:
            self._write(self.results.step)

    def log_epoch(self) -> None:
        """The means of the training epoch for callbacks, then, with what these log, in the files."""
        self.callback_metrics |= self.results.epoch()
        self.call("on_train_epoch_end")
        means = self.results.epoch()
        self.callback_metrics |= means
        self.progress_metrics |= {name: means[name] for name in self.progress_metrics if name in means}
        if means:
            self._write(means)

    def validate_during_fit(self, loader: Any) -> None:
        """Validation, its means in the logs. It draws nothing from the random streams of training."""
        streams = random_state()
        with Logging(self) as results:
            evaluate(self, loader, "validation", self.limit_val_batches)
        set_random_state(streams)
        means = results.epoch()
        self.has_validated = True
        self.callback_metrics |= means
        self.progress_metrics |= {name: value for name, value in means.items() if name in self.progress_metrics}
        if means:
            self._write(means)
        self.call("on_validation_end")

    def stop_if_asked(self) -> None:
        """After Ctrl-C or SIGTERM: write the checkpoint and raise TrainingStopped."""
        if not self._stop.asked:
            return
        place = f"Stopped after step {self.global_step} (epoch {self.current_epoch}, batch {self.fit_loop.batch_idx})"
        callback = self.checkpoint_callback
        path = callback.dirpath / LAST if callback is not None and callback.dirpath is not None else None
        if path is None:
            message = f"{place}. Nothing was saved: the Trainer has no folder for checkpoints."
        else:
            self.save_checkpoint(path)
            message = f'{place}; fit(..., ckpt_path="last") goes on from {path}.'
        print(message, file=sys.stderr)
        raise TrainingStopped(message, path, self._stop.signal)

    # Inside --------------------------------------------------------------------------------------------------------

    def _write(self, metrics: Mapping[str, float]) -> None:
        for logger in self.loggers:
            logger.log_metrics({"epoch": self.current_epoch, **metrics}, self.global_step)

    @contextlib.contextmanager
    def _running(self, module: TrainingModule, stage: str) -> Iterator[None]:
        """Attach the module; tell callbacks and loggers how the run ended."""
        if not isinstance(module, TrainingModule):
            raise TypeError(
                f"the Trainer takes a TrainingModule, got {type(module).__name__}: wrap a plain network in "
                "Supervised(network, loss, optimizer)"
            )
        self._module, self.stage, self._stop = module, stage, StopRequest()
        module._trainer = weakref.ref(self)
        status = "success"
        try:
            yield
        except TrainingStopped as stopped:
            status = "stopped"
            self.call("on_exception", stopped)
            raise
        except BaseException as error:
            status = "failed"
            if stage == "fit":
                error.add_note(
                    f"in epoch {self.current_epoch}, batch {self._place()}, step {self.global_step} of the fit"
                )
            self.call("on_exception", error)
            raise
        finally:
            for logger in self.loggers:
                logger.finalize(status)
            self.call("teardown", stage)
            module._trainer = None

    def _place(self) -> int:
        return self._loop.batch_idx if self._loop is not None else 0

    def _sanity_check(self, loader: Any) -> None:
        """A few batches of validation that leave no trace."""
        streams = random_state()
        self.sanity_checking = True
        self.call("on_sanity_check_start")
        with Logging(self):
            evaluate(self, loader, "validation", self.num_sanity_val_steps)
            self.call("on_validation_end")
        self.call("on_sanity_check_end")
        self.sanity_checking = False
        self.progress_metrics = {}
        set_random_state(streams)

    def _evaluate(
        self, module: TrainingModule, loader: Any, stage: str, limit: int | float | None, path: str | Path | None
    ) -> tuple[dict[str, float], list[Any]]:
        kind = "validation" if stage == "validate" else stage
        checkpoint = self._found(path)
        with self._running(module, stage):
            if self.device is not None:
                module.to(self.device)
            if checkpoint is not None:
                module.load_state_dict(saving.read(checkpoint)["model"])
            self.call("setup", stage)
            self.callback_metrics, self.progress_metrics = {}, {}
            with Logging(self) as results:
                outputs = evaluate(self, loader, kind, limit)
                metrics = results.epoch()
                self.callback_metrics |= metrics
                self.progress_metrics |= {name: metrics[name] for name in self.progress_metrics if name in metrics}
                if metrics:
                    self._write(metrics)
                self.call(f"on_{kind}_end")
        return metrics, outputs

    def _found(self, path: str | Path | None) -> Path | None:
        """The checkpoint that is meant; None where there is none to load."""
        if path is None:
            return None
        callback = self.checkpoint_callback
        if path == "best":
            if callback is None or not callback.best_model_path:
                raise ValueError("there is no best checkpoint: fit with a ModelCheckpoint first")
            return Path(callback.best_model_path)
        if path == "last":
            folder = (callback.dirpath if callback is not None else None) or self.checkpoint_folder
            if folder is None:
                raise ValueError('ckpt_path="last" needs default_root_dir, or a ModelCheckpoint with dirpath')
            return folder / LAST if (folder / LAST).exists() else None
        if not Path(path).exists():
            raise FileNotFoundError(f"there is no checkpoint {path}")
        return Path(path)

    def _loggers(self, logger: Logger | Iterable[Logger] | bool) -> list[Logger]:
        if isinstance(logger, Logger):
            return [logger]
        if isinstance(logger, bool):
            return [CSVLogger(self.default_root_dir)] if logger and self.default_root_dir is not None else []
        return list(logger)


def _check_keys(callbacks: Sequence[Callback]) -> None:
    keys: set[str] = set()
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks are of the class Callback, got {type(callback).__name__}")
        if callback.state_key in keys and type(callback).state_dict is not Callback.state_dict:
            raise ValueError(
                f"two callbacks are called {callback.state_key!r} in checkpoints: give one a state_key of its own"
            )
        keys.add(callback.state_key)


def _seconds(limit: str | float | timedelta | None) -> float | None:
    """Seconds of a timedelta, a number, or "DD:HH:MM:SS"."""
    if limit is None:
        return None
    if isinstance(limit, timedelta):
        return limit.total_seconds()
    if isinstance(limit, str):
        parts = limit.split(":")
        if len(parts) != 4 or not all(part.isdigit() for part in parts):
            raise ValueError(f'max_time is "DD:HH:MM:SS", seconds or a timedelta, got {limit!r}')
        days, hours, minutes, seconds = map(int, parts)
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
    return float(limit)
