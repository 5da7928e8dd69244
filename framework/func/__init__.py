"""Transformations of functions: derivatives that nest, and `vmap` over samples, under torch.func's names."""

from framework.func.modules import stack_module_state
from framework.func.transforms import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from framework.func.vmap import vmap
from framework.nn.utils.stateless import functional_call

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "vjp",
    "vmap",
]
