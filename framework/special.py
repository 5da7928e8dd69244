"""Special functions under the names of `torch.special`."""

from framework.ops.attention import log_softmax as log_softmax
from framework.ops.attention import softmax as softmax
from framework.ops.bessel import airy_ai as airy_ai
from framework.ops.bessel import bessel_j0 as bessel_j0
from framework.ops.bessel import bessel_j1 as bessel_j1
from framework.ops.bessel import bessel_y0 as bessel_y0
from framework.ops.bessel import bessel_y1 as bessel_y1
from framework.ops.bessel import chebyshev_polynomial_t as chebyshev_polynomial_t
from framework.ops.bessel import chebyshev_polynomial_u as chebyshev_polynomial_u
from framework.ops.bessel import chebyshev_polynomial_v as chebyshev_polynomial_v
from framework.ops.bessel import chebyshev_polynomial_w as chebyshev_polynomial_w
from framework.ops.bessel import hermite_polynomial_h as hermite_polynomial_h
from framework.ops.bessel import hermite_polynomial_he as hermite_polynomial_he
from framework.ops.bessel import i0 as i0
from framework.ops.bessel import i0 as modified_bessel_i0
from framework.ops.bessel import i0e as i0e
from framework.ops.bessel import i1 as i1
from framework.ops.bessel import i1 as modified_bessel_i1
from framework.ops.bessel import i1e as i1e
from framework.ops.bessel import laguerre_polynomial_l as laguerre_polynomial_l
from framework.ops.bessel import legendre_polynomial_p as legendre_polynomial_p
from framework.ops.bessel import modified_bessel_k0 as modified_bessel_k0
from framework.ops.bessel import modified_bessel_k1 as modified_bessel_k1
from framework.ops.bessel import scaled_modified_bessel_k0 as scaled_modified_bessel_k0
from framework.ops.bessel import scaled_modified_bessel_k1 as scaled_modified_bessel_k1
from framework.ops.bessel import shifted_chebyshev_polynomial_t as shifted_chebyshev_polynomial_t
from framework.ops.bessel import shifted_chebyshev_polynomial_u as shifted_chebyshev_polynomial_u
from framework.ops.bessel import shifted_chebyshev_polynomial_v as shifted_chebyshev_polynomial_v
from framework.ops.bessel import shifted_chebyshev_polynomial_w as shifted_chebyshev_polynomial_w
from framework.ops.bessel import spherical_bessel_j0 as spherical_bessel_j0
from framework.ops.elementwise import erf as erf
from framework.ops.elementwise import exp2 as exp2
from framework.ops.elementwise import expm1 as expm1
from framework.ops.elementwise import log1p as log1p
from framework.ops.elementwise import round as round
from framework.ops.elementwise import sigmoid as expit
from framework.ops.reduce import logsumexp as logsumexp
from framework.ops.special import digamma as digamma
from framework.ops.special import digamma as psi
from framework.ops.special import entr as entr
from framework.ops.special import erfc as erfc
from framework.ops.special import erfcx as erfcx
from framework.ops.special import erfinv as erfinv
from framework.ops.special import igamma as gammainc
from framework.ops.special import igammac as gammaincc
from framework.ops.special import lgamma as gammaln
from framework.ops.special import log_ndtr as log_ndtr
from framework.ops.special import logit as logit
from framework.ops.special import mvlgamma as multigammaln
from framework.ops.special import ndtr as ndtr
from framework.ops.special import ndtri as ndtri
from framework.ops.special import polygamma as polygamma
from framework.ops.special import sinc as sinc
from framework.ops.special import xlog1py as xlog1py
from framework.ops.special import xlogy as xlogy
from framework.ops.special import zeta as zeta

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "chebyshev_polynomial_t",
    "chebyshev_polynomial_u", "chebyshev_polynomial_v", "chebyshev_polynomial_w", "digamma", "entr", "erf",
    "erfc", "erfcx", "erfinv", "exp2", "expit", "expm1", "gammainc", "gammaincc", "gammaln",
    "hermite_polynomial_h", "hermite_polynomial_he", "i0", "i0e", "i1", "i1e", "laguerre_polynomial_l",
    "legendre_polynomial_p", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp", "modified_bessel_i0",
    "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1", "multigammaln", "ndtr", "ndtri",
    "polygamma", "psi", "round", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1",
    "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w", "sinc", "softmax", "spherical_bessel_j0", "xlog1py", "xlogy", "zeta",
]  # fmt: skip
