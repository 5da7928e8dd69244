"""Weight norm, spectral norm and orthogonal matrices as parametrizations of a module's tensor."""

from __future__ import annotations

from typing import Any

import framework
from framework.core.tensor import Tensor
from framework.nn import functional as F
from framework.nn.modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from framework.nn.modules.module import Module
from framework.nn.utils.parametrize import register_parametrization


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """w = g v / ||v|| (Salimans & Kingma 2016), the norm over all dimensions but `dim`, or over all if None.

    `parametrizations.<name>.original0` is g and `original1` v. State dicts of the older `utils.weight_norm` load too.
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(state: dict[str, Any], prefix: str, *rest: Any) -> None:
        keys = f"{prefix}{name}_g", f"{prefix}{name}_v"
        if all(key in state for key in keys):
            for i, key in enumerate(keys):
                state[f"{prefix}parametrizations.{name}.original{i}"] = state.pop(key)

    module._register_load_state_dict_pre_hook(rename)
    return module


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """W / sigma(W), its largest singular value (Miyato et al. 2018), estimated by power iteration.

    Each reading of the tensor in training mode makes `n_power_iterations` steps. The tensor is a matrix with dimension
    `dim` as its rows: 0, or 1 for transposed convolutions, if None.
    """
    weight = _tensor(module, name)
    register_parametrization(
        module, name, _SpectralNorm(weight, n_power_iterations, output_dim(module) if dim is None else dim, eps)
    )
    return module


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """A matrix (..., m, n) with orthonormal columns, or rows if m < n (Lezcano-Casado 2019).

    `orthogonal_map`: "matrix_exp" or "cayley" of a skew-symmetric matrix, or "householder" reflectors; None takes the
    first for square and complex matrices, the last otherwise. With `use_trivialization` the map turns a fixed matrix
    `base`, which starts at the tensor's own (nearest by QR) value.
    """
    weight = _tensor(module, name)
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    parametrization = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    register_parametrization(module, name, parametrization, unsafe=True)
    return module


def output_dim(module: Module) -> int:
    """The dimension of a module's weight that counts its outputs."""
    return 1 if isinstance(module, ConvTranspose1d | ConvTranspose2d | ConvTranspose3d) else 0


def norm_except_dim(v: Tensor, dim: int | None = 0) -> Tensor:
    """The 2-norm over all dimensions but `dim`, which keeps its place; over all, 0-d, if None or -1."""
    if dim is None or dim == -1:
        return v.norm()
    return v.norm(2, [d for d in range(v.ndim) if d != dim], True) if v.ndim > 1 else v.abs()


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """A weight with dimension `dim` as rows and all others as columns."""
    if dim:
        weight = weight.permute(dim, *(d for d in range(weight.ndim) if d != dim))
    return weight.flatten(1)


def power_method(matrix: Tensor, u: Tensor, v: Tensor, steps: int, eps: float, u_first: bool) -> None:
    """Move u and v, in place, towards the first singular vectors of a matrix."""
    with framework.no_grad():
        for _ in range(steps):
            if u_first:
                F.normalize(matrix.mv(v), dim=0, eps=eps, out=u)
            F.normalize(matrix.mH.mv(u), dim=0, eps=eps, out=v)
            if not u_first:
                F.normalize(matrix.mv(v), dim=0, eps=eps, out=u)


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{weight.ndim}, {weight.ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim, self.eps = dim % weight.ndim, eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            for name, size in zip(("_u", "_v"), matrix.shape):
                drawn = framework.empty(size, dtype=weight.dtype, device=weight.device).normal_(0, 1)
                self.register_buffer(name, F.normalize(drawn, dim=0, eps=eps))
            power_method(matrix, self._u, self._v, 15, eps, u_first=True)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            power_method(matrix, self._u, self._v, self.n_power_iterations, self.eps, u_first=True)
        # Copies, because the next reading changes the buffers before this one's backward has run.
        u, v = self._u.clone(), self._v.clone()
        return weight / framework.vdot(u, matrix.mv(v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


class _Orthogonal(Module):
    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape, self.orthogonal_map = weight.shape, orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.shape[-2] < x.shape[-1]
        x = x.mT if wide else x
        q = self._reflectors(x) if self.orthogonal_map == "householder" else self._of_skew(x)
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if wide else q

    def _of_skew(self, x: Tensor) -> Tensor:
        """The map of the skew-symmetric matrix whose lower triangle x (n, k) gives; its first k columns."""
        n, k = x.shape[-2:]
        x = x.tril()
        if n != k:
            x = framework.cat([x, framework.zeros(*x.shape[:-1], n - k, dtype=x.dtype, device=x.device)], -1)
        skew = x - x.mH
        if self.orthogonal_map == "matrix_exp":
            q = framework.matrix_exp(skew)
        else:
            one = framework.eye(n, dtype=x.dtype, device=x.device)
            q = framework.linalg.solve(one - 0.5 * skew, one + 0.5 * skew)
        return q[..., :k]

    def _reflectors(self, x: Tensor) -> Tensor:
        below = x.tril(-1)
        tau = 2.0 / (1.0 + (below * below).sum(-2))
        # The diagonal holds signs: no gradient flows there.
        signs = x.detach().diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        return framework.linalg.householder_product(below, tau) * signs

    def right_inverse(self, q: Tensor) -> Tensor:
        if q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {q.shape}."
            )
        with framework.no_grad():
            return self._based(q) if hasattr(self, "base") else self._reflected(q)

    def _based(self, q: Tensor) -> Tensor:
        """Keep the matrix, made orthogonal and square, as the base; the tensor itself starts at minus one."""
        start = framework.zeros_like(q)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)  # of reflectors and of skew matrices alike this gives one
        tall = q.mT if q.shape[-2] < q.shape[-1] else q
        n, k = tall.shape[-2:]
        if n != k:
            rest = framework.randn(*tall.shape[:-1], n - k, dtype=q.dtype, device=q.device)
            self.base = _make_orthogonal(framework.cat([tall, rest], -1))
        else:
            self.base = tall.clone() if _is_orthogonal(tall) else _make_orthogonal(tall)
        return start

    def _reflected(self, q: Tensor) -> Tensor:
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        wide = q.shape[-2] < q.shape[-1]
        x, tau = framework.geqrf(q.mT if wide else q)
        # X = QR with a positive diagonal of R; tau is exactly 0 where LAPACK left a reflector out.
        diagonal = x.diagonal(dim1=-2, dim2=-1)
        diagonal.copy_(diagonal.sign() * framework.where(tau == 0.0, -1.0, 1.0))
        return x.mT if wide else x


def _is_orthogonal(q: Tensor) -> bool:
    n, k = q.shape[-2:]
    one = framework.eye(k, dtype=q.dtype, device=q.device)
    eps = 2.0**-52 if q.dtype in (framework.float64, framework.complex128) else 2.0**-23
    return bool(framework.allclose(q.mH @ q, one, atol=10.0 * n * eps))


def _make_orthogonal(a: Tensor) -> Tensor:
    """Q of a tall matrix's QR decomposition with a positive diagonal of R."""
    x, tau = framework.geqrf(a)
    return framework.linalg.householder_product(x, tau) * x.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def _tensor(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight
