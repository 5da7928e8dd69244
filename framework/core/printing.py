"""How a tensor prints: character by character as torch prints it, apart from the module's name."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from framework.core.dtype import CATEGORY, FLOATING, bool_, get_default_dtype, int64

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
_options: dict[str, Any] = _PROFILES["default"] | {"sci_mode": None}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors print from now on.

    `precision`: digits behind the point (4). `threshold`: elements from which on only the `edgeitems` (3) at both ends
    of each dimension are shown (1000). `linewidth`: characters a line (80). `profile`: "default", "short" or "full" set
    these four at once. `sci_mode`: scientific notation always (True), never (False), or where values ask for it (None).
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"set_printoptions: profile is one of {', '.join(_PROFILES)}, not {profile!r}")
        _options.update(_PROFILES[profile])
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({name: value for name, value in given.items() if value is not None})
    _options["sci_mode"] = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The present options, as arguments of `set_printoptions`."""
    return dict(_options)


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Other options inside a `with` block; see `set_printoptions`."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def describe(tensor: Any) -> str:
    """`tensor([1., 2.], requires_grad=True)`."""
    if hasattr(tensor._data, "level"):
        batch = tensor._data
        return f"BatchedTensor(lvl={batch.level}, bdim=0, value={batch.array})"
    own = type(tensor).__module__.startswith("framework.")
    prefix = "tensor(" if own else f"{type(tensor).__name__}("
    array = tensor.numpy(force=True)
    text = prefix + (_values(array, len(prefix)) if array.size else "[]")
    return _with_notes(text, _notes(tensor, array), len(prefix))


def _notes(tensor: Any, array: Any) -> list[str]:
    """What stands behind the values."""
    notes = [] if tensor.device.type == "cpu" else [f"device='{tensor.device}'"]
    default = get_default_dtype()
    usual = (default,) if not array.size else (default, default.to_complex(), int64, bool_)
    if (array.size == 0 and array.ndim != 1) or (array.size and not _options["edgeitems"]):
        notes.append(f"size={tuple(array.shape)}")
    if tensor.dtype not in usual:
        notes.append(f"dtype={tensor.dtype!r}")
    if tensor.grad_fn is not None:
        notes.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    return notes


def _with_notes(text: str, notes: list[str], indent: int) -> str:
    length = len(text) - text.rfind("\n") + 1
    for note in notes:
        if length + len(note) + 2 > _options["linewidth"]:
            text += ",\n" + " " * indent + note
            length = indent + len(note)
        else:
            text += ", " + note
            length += len(note) + 2
    return text + ")"


def _values(array: Any, indent: int) -> str:
    if array.dtype.kind == "V":
        array = array.astype(np.float32)
    summarize = array.size > _options["threshold"]
    shown = _ends(array) if summarize else array
    formats = [_Format(shown.real), _Format(shown.imag)] if array.dtype.kind == "c" else [_Format(shown)]
    return _block(array, indent, summarize, formats)


class _Format:
    """One format for all values that are shown: whole numbers with a point, fixed digits, or scientific."""

    def __init__(self, shown: Any) -> None:
        self.floating = CATEGORY[shown.dtype] >= FLOATING
        self.whole, self.scientific, self.width = True, False, 1
        flat = shown.reshape(-1)
        if not self.floating:
            self.width = max((len(f"{value}") for value in flat.tolist()), default=1)
            return
        digits = _options["precision"]
        numbers = flat[np.isfinite(flat) & (flat != 0)].astype(np.float64)
        if not numbers.size:
            return
        low, high = np.abs(numbers).min(), np.abs(numbers).max()
        self.whole = bool((numbers == np.ceil(numbers)).all())
        self.scientific = _options["sci_mode"]
        if self.scientific is None:
            self.scientific = bool(high / low > 1000 or high > 1e8 or low < 1e-4)
        style = f".{digits}e" if self.scientific else ".0f" if self.whole else f".{digits}f"
        point = self.whole and not self.scientific
        self.width = max(1, *(len(f"{value:{style}}") + point for value in numbers.tolist()))

    def __call__(self, value: Any) -> str:
        if not self.floating:
            return f"{value}".rjust(self.width)
        digits = _options["precision"]
        if self.scientific:
            return f"{value:{self.width}.{digits}e}"
        if self.whole:
            return (f"{value:.0f}" + ("." if math.isfinite(value) else "")).rjust(self.width)
        return f"{value:.{digits}f}".rjust(self.width)


def _number(value: Any, formats: list[_Format]) -> str:
    if len(formats) == 1:
        return formats[0](value)
    imaginary = (formats[1](value.imag) + "j").lstrip()
    return formats[0](value.real) + ("" if imaginary[0] in "+-" else "+") + imaginary


def _block(array: Any, indent: int, summarize: bool, formats: list[_Format]) -> str:
    """The nested brackets; `indent` is the column where this one opens."""
    if not array.ndim:
        return _number(array.item(), formats)
    edge = _options["edgeitems"]
    cut = summarize and len(array) > 2 * edge
    if array.ndim == 1:
        if summarize and not edge:
            numbers = ["..."]
        elif cut:
            first, last = ([_number(v, formats) for v in part.tolist()] for part in (array[:edge], array[-edge:]))
            numbers = [*first, " ...", *last]
        else:
            numbers = [_number(value, formats) for value in array.tolist()]
        length = formats[0].width + 2 + (formats[1].width + 1 if len(formats) > 1 else 0)
        each = max(1, (_options["linewidth"] - indent) // length)
        lines = [", ".join(numbers[start : start + each]) for start in range(0, len(numbers), each)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    places = [*range(edge), None, *range(len(array) - edge, len(array))] if cut else range(len(array))
    parts = ["..." if n is None else _block(array[n], indent + 1, summarize, formats) for n in places]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _ends(array: Any) -> Any:
    """What a summary shows of an array."""
    edge = _options["edgeitems"]
    for axis, length in enumerate(array.shape):
        if length > 2 * edge:
            array = np.take(array, [*range(edge), *range(length - edge, length)], axis)
    return array
