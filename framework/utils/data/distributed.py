"""The sampler of distributed training, under the name that PyTorch gives this module."""

from framework.data.sampler import DistributedSampler as DistributedSampler
