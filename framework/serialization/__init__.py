"""Files of tensors: safetensors to write, and those of PyTorch, Hugging Face and Keras to read. Nothing runs code."""

from framework.serialization.contents import Description as Description
from framework.serialization.contents import TensorInfo as TensorInfo
from framework.serialization.contents import describe as describe
from framework.serialization.errors import SerializationError as SerializationError
from framework.serialization.files import load as load
from framework.serialization.files import load_arrays as load_arrays
from framework.serialization.files import save as save
