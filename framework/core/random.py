"""Random numbers: Philox4x32-10 (Salmon et al., SC 2011), a counter stream.

The same numbers come out on CPU and GPU and on any number of threads, because number `n` of a stream is a function of
(seed, n) alone. Two integers, seed and offset, are the whole state.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from framework.core.device import device as device_type

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_DIGITS = {"float16": 11, "bfloat16": 8}
_BLOCK = 1 << 16  # counters computed at once: small enough to stay in cache


class _Draws(threading.local):
    """How this thread's drawing is changed: inside `vmap`, to one set of numbers for each sample."""

    spread: Callable[[Callable[[int], Any], int, bool], Any] | None = None


draws = _Draws()


class Generator:
    """A stream of random numbers. `offset` counts the 128-bit blocks drawn so far."""

    def __init__(self, device: Any = "cpu") -> None:
        self.device = device_type(device)
        self._seed = 67280421310721  # torch's default seed
        self._offset = 0
        self._lock = threading.Lock()

    def manual_seed(self, seed: int) -> "Generator":
        """Start the stream of a seed (any 64-bit integer; negative ones wrap). RuntimeError for a larger number."""
        if not -(1 << 63) <= int(seed) < 1 << 64:
            raise RuntimeError(f"Overflow when unpacking long long: the seed {seed} does not fit into 64 bits")
        self._seed = int(seed) & 0xFFFFFFFFFFFFFFFF
        self._offset = 0
        return self

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self._seed

    def seed(self) -> int:
        """Start a stream with a seed from the system's entropy; returns it."""
        import secrets

        self.manual_seed(secrets.randbits(63))
        return self._seed

    def get_state(self) -> tuple[int, int]:
        """(seed, offset): the whole state."""
        return self._seed, self._offset

    def set_state(self, state: tuple[int, int]) -> "Generator":
        """Continue where `get_state` was called."""
        self._seed, self._offset = int(state[0]), int(state[1])
        return self

    def clone_state(self) -> "Generator":
        """Another generator that goes on from the same place."""
        return Generator(self.device).set_state(self.get_state())

    def __repr__(self) -> str:
        seed, offset = self.get_state()
        return f"<framework.Generator device={self.device} seed={seed} offset={offset}>"

    def bits(self, count: int) -> np.ndarray[Any, Any]:
        """The next `count` 32-bit numbers, uint32."""
        blocks = -(-count // 4)
        with self._lock:
            start = self._offset
            self._offset += blocks
        return philox(self._seed, start, blocks).reshape(-1)[:count]

    def uniform(self, count: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
        """`count` numbers in [0, 1): as many random bits each as the type has digits (8, 11, 24 or 53)."""
        if draws.spread is not None:
            return draws.spread(lambda total: self.uniform(total, dtype), count, True)
        if np.dtype(dtype) == np.float64:
            pair = self.bits(2 * count).astype(np.uint64)
            return ((pair[::2] << _SHIFT | pair[1::2]) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        digits = _DIGITS.get(np.dtype(dtype).name, 24)  # more would round up to 1
        return ((self.bits(count) >> np.uint32(32 - digits)).astype(np.float32) * np.float32(2.0**-digits)).astype(
            dtype
        )

    def normal(self, count: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
        """`count` standard normal numbers by the transform of Box and Muller (1958)."""
        if draws.spread is not None:
            return draws.spread(lambda total: self.normal(total, dtype), count, True)
        pairs = -(-count // 2)
        kind = np.float64 if np.dtype(dtype) == np.float64 else np.float32
        flat = self.uniform(2 * pairs, kind)
        radius = np.sqrt(-2 * np.log(1 - flat[:pairs]))
        angle = flat[pairs:] * kind(2 * np.pi)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count].astype(dtype)

    def integers(self, low: int, high: int, count: int) -> np.ndarray[Any, Any]:
        """`count` integers in [low, high), int64. Bias is below 2**-32 of the range, as in torch."""
        if draws.spread is not None:
            return draws.spread(lambda total: self.integers(low, high, total), count, True)
        pair = self.bits(2 * count).astype(np.uint64)
        wide = pair[::2] << _SHIFT | pair[1::2]
        if high - low == 1 << 64:
            return wide.view(np.int64)
        return (wide % np.uint64(high - low)).astype(np.int64) + np.int64(low)

    def permutation(self, count: int) -> np.ndarray[Any, Any]:
        """A random order of `range(count)`, int64: sorted by 64 random bits each."""
        if draws.spread is not None:
            return draws.spread(self.permutation, count, False)
        pair = self.bits(2 * count).astype(np.uint64)
        return np.argsort(pair[::2] << _SHIFT | pair[1::2], kind="stable").astype(np.int64)


def philox(seed: int, start: int, blocks: int) -> np.ndarray[Any, Any]:
    """Blocks `start` .. `start + blocks` of the stream of `seed`: (blocks, 4) uint32."""
    result = np.empty((blocks, 4), np.uint32)
    for first in range(0, blocks, _BLOCK):
        size = min(_BLOCK, blocks - first)
        counter = np.arange(start + first, start + first + size, dtype=np.uint64)
        c0, c1 = counter & _LOW, counter >> _SHIFT
        c2 = c3 = np.zeros(size, np.uint64)
        k0, k1 = seed & 0xFFFFFFFF, seed >> 32
        for _ in range(10):
            a, b = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
            c0, c1, c2, c3 = (b >> _SHIFT) ^ c1 ^ np.uint64(k0), b & _LOW, (a >> _SHIFT) ^ c3 ^ np.uint64(k1), a & _LOW
            k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
        for number, word in enumerate((c0, c1, c2, c3)):
            result[first : first + size, number] = word
    return result


class DefaultGenerator(Generator):
    """The default stream. A thread can be given a stream of its own, so that what it draws does not depend on others.

    Loaders give each item one (`own_stream`): what a dataset draws is then the same for any number of workers.
    """

    def bits(self, count: int) -> np.ndarray[Any, Any]:
        return Generator.bits(self._present(), count)

    def manual_seed(self, seed: int) -> "Generator":
        Generator.manual_seed(self._present(), seed)
        return self

    def initial_seed(self) -> int:
        return Generator.initial_seed(self._present())

    def get_state(self) -> tuple[int, int]:
        return Generator.get_state(self._present())

    def set_state(self, state: tuple[int, int]) -> "Generator":
        Generator.set_state(self._present(), state)
        return self

    def _present(self) -> Generator:
        own = _thread.own
        if own is None:
            return self
        if type(own) is tuple:  # made when first drawn from: most items draw nothing
            own = _thread.own = Generator().manual_seed(fold(*own))
        return own


class _Thread(threading.local):
    own: Any = None  # None, a stream, or the integers to fold into the seed of one


_thread = _Thread()
default_generator = DefaultGenerator()


def own_stream(own: Any) -> Any:
    """From now on this thread's default stream is that of `fold(*own)`, or the common one for None; returns the former.

    What is returned may be given back to go on with the former stream.
    """
    former = _thread.own
    _thread.own = own
    return former


def manual_seed(seed: int) -> Generator:
    """Start the default stream of a seed."""
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The seed of the default stream."""
    return default_generator.initial_seed()


def seed() -> int:
    """Start the default stream with a seed from the system's entropy; returns it."""
    return default_generator.seed()


def get_state() -> tuple[int, int]:
    """(seed, offset) of the default stream."""
    return default_generator.get_state()


def set_state(state: tuple[int, int]) -> None:
    """Continue the default stream where `get_state` was called."""
    default_generator.set_state(state)


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True) -> Iterator[None]:
    """Put the default stream back to where it was when the block ends. One stream serves every device."""
    if not enabled:
        yield
        return
    before = default_generator.get_state()
    try:
        yield
    finally:
        default_generator.set_state(before)


def fold(seed: int, *values: int) -> int:
    """A seed for a part of the work (a worker, an epoch, an item), as good as independent of the others."""
    for value in values:
        first, second = _first_words(seed & 0xFFFFFFFFFFFFFFFF, value & 0xFFFFFFFFFFFFFFFF)
        seed = first << 32 | second
    return seed


def _first_words(seed: int, counter: int) -> tuple[int, int]:
    """The first two words of `philox(seed, counter, 1)`, in integers: thirteen times faster than arrays of one."""
    c0, c1, c2, c3 = counter & 0xFFFFFFFF, counter >> 32, 0, 0
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        a, b = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b & 0xFFFFFFFF, (a >> 32) ^ c3 ^ k1, a & 0xFFFFFFFF
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return c0, c1


def _after_fork() -> None:
    """A lock that another thread of the parent held would stay held in the child."""
    default_generator._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
