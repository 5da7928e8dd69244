"""Tools that act on the parameters of a model."""

from framework.nn.utils.clip import clip_grad_norm_ as clip_grad_norm_
from framework.nn.utils.clip import clip_grad_value_ as clip_grad_value_
from framework.nn.utils.clip import clip_grads_with_norm_ as clip_grads_with_norm_
from framework.nn.utils.clip import get_total_norm as get_total_norm
from framework.nn.utils.fusion import fuse_conv_bn_eval as fuse_conv_bn_eval
from framework.nn.utils.fusion import fuse_conv_bn_weights as fuse_conv_bn_weights
from framework.nn.utils.fusion import fuse_linear_bn_eval as fuse_linear_bn_eval
from framework.nn.utils.fusion import fuse_linear_bn_weights as fuse_linear_bn_weights
from framework.nn.utils.spectral_norm import remove_spectral_norm as remove_spectral_norm
from framework.nn.utils.spectral_norm import spectral_norm as spectral_norm
from framework.nn.utils.stateless import functional_call as functional_call
from framework.nn.utils.uninitialized import skip_init as skip_init
from framework.nn.utils.vector import parameters_to_vector as parameters_to_vector
from framework.nn.utils.vector import vector_to_parameters as vector_to_parameters
from framework.nn.utils.weight_norm import remove_weight_norm as remove_weight_norm
from framework.nn.utils.weight_norm import weight_norm as weight_norm
