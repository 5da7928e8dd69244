"""Bessel functions, Airy's function and the orthogonal polynomials."""

from typing import Any

from framework.core.op import Array, op
from framework.ops import elementwise as e
from framework.ops.special import evaluate


@op(kind="float", inplace=True)
def i0(xp: Any, input: Array) -> Array:
    """The modified Bessel function of the first kind, order 0."""
    return evaluate(xp, "i0", input)


@i0.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.mul(g, i1(input))


@op(kind="float", method=False)
def i0e(xp: Any, input: Array) -> Array:
    """`exp(-|input|) * i0(input)`."""
    return evaluate(xp, "i0e", input)


@i0e.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    return e.mul(g, e.sub(i1e(input), e.mul(e.sgn(input), out)))


@op(kind="float", method=False)
def i1(xp: Any, input: Array) -> Array:
    """The modified Bessel function of the first kind, order 1."""
    return evaluate(xp, "i1", input)


@i1.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    zero = e.eq(input, 0)
    return e.mul(g, e.where(zero, 0.5, e.sub(i0(input), e.div(out, e.where(zero, 1, input)))))


@op(kind="float", method=False)
def i1e(xp: Any, input: Array) -> Array:
    """`exp(-|input|) * i1(input)`."""
    return evaluate(xp, "i1e", input)


@i1e.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    zero = e.eq(input, 0)
    falling = e.mul(out, e.add(e.sgn(input), e.reciprocal(e.where(zero, 1, input))))
    return e.mul(g, e.where(zero, 0.5, e.sub(i0e(input), falling)))


@op(kind="float", method=False)
def bessel_j0(xp: Any, input: Array) -> Array:
    """The Bessel function of the first kind, order 0."""
    return evaluate(xp, "j0", input)


@bessel_j0.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.neg(e.mul(g, bessel_j1(input)))


@op(kind="float", method=False)
def bessel_j1(xp: Any, input: Array) -> Array:
    """The Bessel function of the first kind, order 1."""
    return evaluate(xp, "j1", input)


@bessel_j1.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    zero = e.eq(input, 0)
    return e.mul(g, e.where(zero, 0.5, e.sub(bessel_j0(input), e.div(out, e.where(zero, 1, input)))))


@op(kind="float", method=False)
def bessel_y0(xp: Any, input: Array) -> Array:
    """The Bessel function of the second kind, order 0."""
    return evaluate(xp, "y0", input)


@bessel_y0.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.neg(e.mul(g, bessel_y1(input)))


@op(kind="float", method=False)
def bessel_y1(xp: Any, input: Array) -> Array:
    """The Bessel function of the second kind, order 1."""
    return evaluate(xp, "y1", input)


@bessel_y1.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    return e.mul(g, e.sub(bessel_y0(input), e.div(out, input)))


@op(kind="float", method=False)
def modified_bessel_k0(xp: Any, input: Array) -> Array:
    """The modified Bessel function of the second kind, order 0."""
    return evaluate(xp, "k0", input)


@modified_bessel_k0.vjp("input")
def _(g: Any, input: Any) -> Any:
    return e.neg(e.mul(g, modified_bessel_k1(input)))


@op(kind="float", method=False)
def modified_bessel_k1(xp: Any, input: Array) -> Array:
    """The modified Bessel function of the second kind, order 1."""
    return evaluate(xp, "k1", input)


@modified_bessel_k1.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    return e.neg(e.mul(g, e.add(modified_bessel_k0(input), e.div(out, input))))


@op(kind="float", method=False)
def scaled_modified_bessel_k0(xp: Any, input: Array) -> Array:
    """`exp(input) * modified_bessel_k0(input)`."""
    return evaluate(xp, "k0e", input)


@scaled_modified_bessel_k0.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    return e.mul(g, e.sub(out, scaled_modified_bessel_k1(input)))


@op(kind="float", method=False)
def scaled_modified_bessel_k1(xp: Any, input: Array) -> Array:
    """`exp(input) * modified_bessel_k1(input)`."""
    return evaluate(xp, "k1e", input)


@scaled_modified_bessel_k1.vjp("input")
def _(g: Any, input: Any, out: Any) -> Any:
    return e.mul(g, e.sub(out, e.add(scaled_modified_bessel_k0(input), e.div(out, input))))


@op(kind="float", method=False)
def spherical_bessel_j0(xp: Any, input: Array) -> Array:
    """`sin(input) / input`, one at zero."""
    zero = input == 0
    return xp.where(zero, 1, xp.sin(input) / xp.where(zero, 1, input)).astype(input.dtype)


@op(kind="float", method=False)
def airy_ai(xp: Any, input: Array) -> Array:
    """Airy's function Ai."""
    from framework.ops.elementwise.transcendental import scipy_special

    return xp.asarray(scipy_special(xp).airy(input)[0]).astype(input.dtype)


# -- orthogonal polynomials --------------------------------------------------------------------------------------------
# Evaluated by their three-term recurrences, as torch does: exact for the small degrees that are used.


def _recurrence(xp: Any, input: Any, n: Any, first: Any, step: Any) -> Any:
    """The polynomial of degree `n` (elementwise) from degrees 0 (one) and 1 and the step to the next degree."""
    input, n = xp.broadcast_arrays(xp.asarray(input), xp.asarray(n))
    degree = xp.trunc(n)
    before, current = xp.ones_like(input), first(input)
    result = xp.where(degree < 0, 0, xp.where(degree == 0, before, current)).astype(input.dtype)
    top = int(degree.max()) if degree.size else 0
    for number in range(1, top):
        before, current = current, step(input, number, current, before)
        result = xp.where(degree == number + 1, current, result)
    return result


@op(kind="float", method=False)
def chebyshev_polynomial_t(xp: Any, input: Array, n: Array) -> Array:
    """Chebyshev's polynomial of the first kind, degree `n`."""
    return _recurrence(xp, input, n, lambda x: x, lambda x, k, p, q: 2 * x * p - q)


@op(kind="float", method=False)
def chebyshev_polynomial_u(xp: Any, input: Array, n: Array) -> Array:
    """Chebyshev's polynomial of the second kind, degree `n`."""
    return _recurrence(xp, input, n, lambda x: 2 * x, lambda x, k, p, q: 2 * x * p - q)


@op(kind="float", method=False)
def chebyshev_polynomial_v(xp: Any, input: Array, n: Array) -> Array:
    """Chebyshev's polynomial of the third kind, degree `n`."""
    return _recurrence(xp, input, n, lambda x: 2 * x - 1, lambda x, k, p, q: 2 * x * p - q)


@op(kind="float", method=False)
def chebyshev_polynomial_w(xp: Any, input: Array, n: Array) -> Array:
    """Chebyshev's polynomial of the fourth kind, degree `n`."""
    return _recurrence(xp, input, n, lambda x: 2 * x + 1, lambda x, k, p, q: 2 * x * p - q)


@op(kind="float", method=False)
def shifted_chebyshev_polynomial_t(xp: Any, input: Array, n: Array) -> Array:
    """Chebyshev's polynomial of the first kind of `2 * input - 1`."""
    return chebyshev_polynomial_t(2 * input - 1, n)


@op(kind="float", method=False)
def shifted_chebyshev_polynomial_u(xp: Any, input: Array, n: Array) -> Array:
    """Chebyshev's polynomial of the second kind of `2 * input - 1`."""
    return chebyshev_polynomial_u(2 * input - 1, n)


@op(kind="float", method=False)
def shifted_chebyshev_polynomial_v(xp: Any, input: Array, n: Array) -> Array:
    """Chebyshev's polynomial of the third kind of `2 * input - 1`."""
    return chebyshev_polynomial_v(2 * input - 1, n)


@op(kind="float", method=False)
def shifted_chebyshev_polynomial_w(xp: Any, input: Array, n: Array) -> Array:
    """Chebyshev's polynomial of the fourth kind of `2 * input - 1`."""
    return chebyshev_polynomial_w(2 * input - 1, n)


@op(kind="float", method=False)
def hermite_polynomial_h(xp: Any, input: Array, n: Array) -> Array:
    """The physicist's Hermite polynomial, degree `n`."""
    return _recurrence(xp, input, n, lambda x: 2 * x, lambda x, k, p, q: 2 * x * p - 2 * k * q)


@op(kind="float", method=False)
def hermite_polynomial_he(xp: Any, input: Array, n: Array) -> Array:
    """The probabilist's Hermite polynomial, degree `n`."""
    return _recurrence(xp, input, n, lambda x: x, lambda x, k, p, q: x * p - k * q)


@op(kind="float", method=False)
def laguerre_polynomial_l(xp: Any, input: Array, n: Array) -> Array:
    """Laguerre's polynomial, degree `n`."""
    return _recurrence(xp, input, n, lambda x: 1 - x, lambda x, k, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1))


@op(kind="float", method=False)
def legendre_polynomial_p(xp: Any, input: Array, n: Array) -> Array:
    """Legendre's polynomial, degree `n`."""
    return _recurrence(xp, input, n, lambda x: x, lambda x, k, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1))
