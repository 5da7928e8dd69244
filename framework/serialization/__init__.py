"""Files of tensors: safetensors, and checkpoints of nested state. Loading never runs code."""

from framework.serialization.checkpoint import load_checkpoint as load_checkpoint
from framework.serialization.checkpoint import save_checkpoint as save_checkpoint
from framework.serialization.safetensors import SafetensorsError as SafetensorsError
from framework.serialization.safetensors import load_arrays as load_arrays
from framework.serialization.safetensors import load_file as load_file
from framework.serialization.safetensors import load_metadata as load_metadata
from framework.serialization.safetensors import read_header as read_header
from framework.serialization.safetensors import save_file as save_file
