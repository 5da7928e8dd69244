"""Learning-rate schedules, with torch's names, rates and state dicts. Call `step()` after the optimizer's."""

from framework.optim.lr_scheduler.combined import ChainedScheduler as ChainedScheduler
from framework.optim.lr_scheduler.combined import SequentialLR as SequentialLR
from framework.optim.lr_scheduler.cyclic import CyclicLR as CyclicLR
from framework.optim.lr_scheduler.cyclic import OneCycleLR as OneCycleLR
from framework.optim.lr_scheduler.decay import ConstantLR as ConstantLR
from framework.optim.lr_scheduler.decay import CosineAnnealingLR as CosineAnnealingLR
from framework.optim.lr_scheduler.decay import CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts
from framework.optim.lr_scheduler.decay import ExponentialLR as ExponentialLR
from framework.optim.lr_scheduler.decay import LinearLR as LinearLR
from framework.optim.lr_scheduler.decay import MultiStepLR as MultiStepLR
from framework.optim.lr_scheduler.decay import PolynomialLR as PolynomialLR
from framework.optim.lr_scheduler.decay import StepLR as StepLR
from framework.optim.lr_scheduler.functions import LambdaLR as LambdaLR
from framework.optim.lr_scheduler.functions import MultiplicativeLR as MultiplicativeLR
from framework.optim.lr_scheduler.plateau import ReduceLROnPlateau as ReduceLROnPlateau
from framework.optim.lr_scheduler.scheduler import LRScheduler as LRScheduler
