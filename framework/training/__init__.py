"""Training as a loop that is written once: a module, data, and a Trainer with callbacks. Names come when first used."""

from importlib import import_module
from typing import Any

_HOMES = {
    "trainer": "Trainer",
    "module": "TrainingModule Supervised",
    "callbacks": "Callback EarlyStopping LearningRateMonitor ModelCheckpoint ProgressBar WeightAveraging",
    "loggers": "Logger CSVLogger TensorBoardLogger",
    "lr_finder": "find_learning_rate LearningRates",
    "seeding": "seed_everything",
    "stop": "StopRequest TrainingStopped",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = list(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'framework.training' has no attribute '{name}'")
    value = getattr(import_module(f"framework.training.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
