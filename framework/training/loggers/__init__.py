"""Where metrics are written."""

from framework.training.loggers.csv_logger import CSVLogger as CSVLogger
from framework.training.loggers.logger import Logger as Logger
from framework.training.loggers.tensorboard import TensorBoardLogger as TensorBoardLogger
