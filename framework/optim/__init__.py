"""Optimizers and learning-rate schedules. The less common ones are imported when first used."""

from importlib import import_module
from typing import Any

from framework.optim import lr_scheduler as lr_scheduler
from framework.optim.adam import Adam as Adam
from framework.optim.adam import AdamW as AdamW
from framework.optim.optimizer import Optimizer as Optimizer
from framework.optim.sgd import SGD as SGD

_HOMES = {
    "adaptive": "Adadelta Adagrad RMSprop",
    "adam_variants": "Adamax NAdam RAdam SparseAdam",
    "asgd": "ASGD",
    "rprop": "Rprop",
    "adafactor": "Adafactor",
    "muon": "Muon",
    "lbfgs": "LBFGS",
}
_MODULES = ("optimizer", "swa_utils")
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [*_HOME_OF, *_MODULES, "SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"framework.optim.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'framework.optim' has no attribute '{name}'")
    value = getattr(import_module(f"framework.optim.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
