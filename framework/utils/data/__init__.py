"""`framework.data` under the name that PyTorch gives it."""

from framework.data.collate import collate as collate
from framework.data.collate import default_collate as default_collate
from framework.data.collate import default_collate_fn_map as default_collate_fn_map
from framework.data.collate import default_convert as default_convert
from framework.data.dataset import ChainDataset as ChainDataset
from framework.data.dataset import ConcatDataset as ConcatDataset
from framework.data.dataset import Dataset as Dataset
from framework.data.dataset import IterableDataset as IterableDataset
from framework.data.dataset import StackDataset as StackDataset
from framework.data.dataset import Subset as Subset
from framework.data.dataset import TensorDataset as TensorDataset
from framework.data.dataset import random_split as random_split
from framework.data.loader import DataLoader as DataLoader
from framework.data.packed import SharedList as SharedList
from framework.data.sampler import BatchSampler as BatchSampler
from framework.data.sampler import DistributedSampler as DistributedSampler
from framework.data.sampler import RandomSampler as RandomSampler
from framework.data.sampler import Sampler as Sampler
from framework.data.sampler import SequentialSampler as SequentialSampler
from framework.data.sampler import SubsetRandomSampler as SubsetRandomSampler
from framework.data.sampler import WeightedRandomSampler as WeightedRandomSampler
from framework.data.worker import WorkerInfo as WorkerInfo
from framework.data.worker import get_worker_info as get_worker_info
from framework.data.worker import item_rng as item_rng
