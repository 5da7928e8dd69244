"""Optimizers and learning-rate schedules."""

from framework.optim import lr_scheduler as lr_scheduler
from framework.optim.adam import Adam as Adam
from framework.optim.adam import AdamW as AdamW
from framework.optim.optimizer import Optimizer as Optimizer
from framework.optim.sgd import SGD as SGD
