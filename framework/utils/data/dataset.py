"""Datasets, under the name that PyTorch gives this module."""

from framework.data.dataset import ChainDataset as ChainDataset
from framework.data.dataset import ConcatDataset as ConcatDataset
from framework.data.dataset import Dataset as Dataset
from framework.data.dataset import IterableDataset as IterableDataset
from framework.data.dataset import StackDataset as StackDataset
from framework.data.dataset import Subset as Subset
from framework.data.dataset import TensorDataset as TensorDataset
from framework.data.dataset import random_split as random_split
