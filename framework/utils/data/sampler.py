"""Samplers, under the name that PyTorch gives this module."""

from framework.data.sampler import BatchSampler as BatchSampler
from framework.data.sampler import RandomSampler as RandomSampler
from framework.data.sampler import Sampler as Sampler
from framework.data.sampler import SequentialSampler as SequentialSampler
from framework.data.sampler import SubsetRandomSampler as SubsetRandomSampler
from framework.data.sampler import WeightedRandomSampler as WeightedRandomSampler
