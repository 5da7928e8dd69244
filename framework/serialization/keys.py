"""Keys of dictionaries that come from files."""

from typing import Any

_HASH_MODULUS = 2**61 - 1


def check_key(key: Any) -> Any:
    """The key, or element of a set: a scalar or a short tuple of scalars. TypeError for others.

    Hashing nested tuples, or filling a table with keys that hash alike, could take for ever.
    """
    if isinstance(key, tuple):
        if len(key) > 64:
            raise TypeError("a key is too long")
        for item in key:
            check_scalar(item)
    else:
        check_scalar(key)
    return key


def check_scalar(value: Any) -> None:
    """TypeError for anything but strings, bytes, None and numbers of a sensible size."""
    if not isinstance(value, str | int | float | bytes | None):
        raise TypeError("a key is not a plain value")
    if isinstance(value, int) and abs(value) >= _HASH_MODULUS:
        raise TypeError("a key is larger than any count or address")  # integers beyond wrap round to any hash
