"""The loader, under the name that PyTorch gives this module."""

from framework.data.collate import default_collate as default_collate
from framework.data.collate import default_convert as default_convert
from framework.data.loader import DataLoader as DataLoader
from framework.data.worker import get_worker_info as get_worker_info
