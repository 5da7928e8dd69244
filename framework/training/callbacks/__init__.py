"""What watches a run and acts at its events."""

from framework.training.callbacks.averaging import WeightAveraging as WeightAveraging
from framework.training.callbacks.callback import Callback as Callback
from framework.training.callbacks.early_stopping import EarlyStopping as EarlyStopping
from framework.training.callbacks.learning_rate import LearningRateMonitor as LearningRateMonitor
from framework.training.callbacks.model_checkpoint import ModelCheckpoint as ModelCheckpoint
from framework.training.callbacks.progress import ProgressBar as ProgressBar
