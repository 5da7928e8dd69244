"""The words of the kernel language: a subset of Python that `compiler` turns into machine code.

A kernel is an ordinary annotated function under `@kernel`. It is never run by Python: its source is read, specialised
for an element type, a vector width and any constants in capitals, and compiled. The names below exist so that editors
and type checkers understand kernel sources; their meaning is in `compiler`.

    Int, Double, Single     a 64-bit integer, a float64, a float32
    Float                   the element type the kernel is compiled for (float32 or float64)
    Vector                  LANES values of type Float
    Pointer[T]              memory; `p[i]`, `p[i] = v`, `p + i` as in C; Int32 and Byte exist only in memory

Statements: assignment, `if`, `while`, `for i in range(...)`, `for t in unroll(n)` (n known when compiling), `break`,
`continue`, `return`. `a if c else b` evaluates both sides. `//` and `%` round towards zero.
"""

from typing import Any, Generic, TypeVar

T = TypeVar("T")

Int = int
Int32 = int
Byte = int
Float = float
Double = float
Single = float


class Pointer(Generic[T]):
    """Typed memory."""

    def __getitem__(self, index: int) -> T:
        raise TypeError(_ONLY_COMPILED)

    def __setitem__(self, index: int, value: T) -> None:
        raise TypeError(_ONLY_COMPILED)

    def __add__(self, elements: int) -> "Pointer[T]":
        raise TypeError(_ONLY_COMPILED)


class Vector:
    """LANES values of the element type; arithmetic with scalars spreads the scalar."""

    def _operate(self, other: Any) -> "Vector":
        raise TypeError(_ONLY_COMPILED)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _operate
    __lt__ = __gt__ = __le__ = __ge__ = _operate
    __ne__ = __eq__ = _operate  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


def _word(*args: Any) -> Any:
    raise TypeError(_ONLY_COMPILED)


_ONLY_COMPILED = "this is a word of the kernel language; it has a meaning only inside a compiled kernel"

unroll = _word  # unroll(n): like range(n), written out when compiling
pointer = _word  # pointer(T, address): memory of type T at an integer address
address = _word  # address(p): the address as an integer
local = _word  # local(T, n): n elements on the stack, n known when compiling
load = _word  # load(p): a Vector from p (any alignment); p is Pointer[Float]
store = _word  # store(p, v): a Vector to p
gather = _word  # gather(p, indices): a Vector of p[indices[lane]], indices is Pointer[Int32]
splat = _word  # splat(x): a Vector of one value
fma = _word  # fma(a, b, c): a * b + c rounded once
where = _word  # where(condition, a, b): lane by lane
minimum = _word  # minimum(a, b), maximum(a, b): b where the comparison fails, so put the value that may be NaN second
maximum = _word
sqrt = _word
floor = _word
sum_lanes = _word  # sum_lanes(v): the sum of a Vector in fixed order
max_lanes = _word
fetch_add = _word  # fetch_add(p, n): atomic; returns the value before
log = _word
power_of_two = _word  # power_of_two(k): 2**k for whole k in the exponent's range
