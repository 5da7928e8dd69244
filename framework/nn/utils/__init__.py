"""Tools that act on the parameters of a model."""

from framework.nn.utils.clip import clip_grad_norm_ as clip_grad_norm_
from framework.nn.utils.clip import clip_grad_value_ as clip_grad_value_
from framework.nn.utils.clip import clip_grads_with_norm_ as clip_grads_with_norm_
from framework.nn.utils.clip import get_total_norm as get_total_norm
from framework.nn.utils.stateless import functional_call as functional_call
from framework.nn.utils.vector import parameters_to_vector as parameters_to_vector
from framework.nn.utils.vector import vector_to_parameters as vector_to_parameters
