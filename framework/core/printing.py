"""How a tensor prints: as torch prints it."""

from typing import Any

import numpy as np

from framework.core.dtype import get_default_dtype, int64

_options = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80}


def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
) -> None:
    """How many digits, elements and characters a line `repr` shows."""
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({name: value for name, value in given.items() if value is not None})


def describe(tensor: Any) -> str:
    """`tensor([1., 2.], requires_grad=True)`."""
    name = "Parameter containing:\ntensor" if type(tensor).__name__ == "Parameter" else "tensor"
    array = tensor.numpy(force=True)
    if array.dtype.kind == "V":
        array = array.astype(np.float32)
    notes = []
    if tensor.device.type != "cpu":
        notes.append(f"device='{tensor.device}'")
    if not array.size and array.ndim != 1:
        notes.append(f"size={tuple(array.shape)}")
    usual = (
        tensor.dtype in (get_default_dtype(), get_default_dtype().to_complex(), int64) or tensor.dtype.name == "bool"
    )
    if not usual or not array.size:
        notes.append(f"dtype={tensor.dtype!r}")
    if tensor.grad_fn is not None:
        notes.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    body = "[]" if not array.size else _values(array, len(name.splitlines()[-1]) + 1)
    return f"{name}({', '.join([body, *notes])})"


def _values(array: np.ndarray[Any, Any], indent: int) -> str:
    formatter = {}
    if array.dtype.kind == "f":
        formatter = {"float_kind": _float_format(array)}
    elif array.dtype.kind == "b":
        formatter = {"bool": lambda value: str(bool(value)).rjust(5 if not array.all() else 4)}
    elif array.dtype.kind in "iu":
        width = max(len(str(int(array.min()))), len(str(int(array.max()))))
        formatter = {"int": lambda value: str(int(value)).rjust(width)}
    if not array.ndim:
        return formatter[next(iter(formatter))](array.item()).strip() if formatter else str(array.item())
    return np.array2string(
        array,
        separator=", ",
        prefix=" " * indent,
        precision=_options["precision"],
        threshold=_options["threshold"],
        edgeitems=_options["edgeitems"],
        max_line_width=_options["linewidth"],
        formatter=formatter,  # type: ignore[arg-type]
    )


def _float_format(array: np.ndarray[Any, Any]) -> Any:
    """One format for all: whole numbers with a point, fixed digits, or scientific, by torch's rules."""
    finite = np.abs(array[np.isfinite(array) & (array != 0)].astype(np.float64))
    digits = _options["precision"]
    if finite.size and (finite == np.ceil(finite)).all():
        style = f".{digits}e" if finite.max() / finite.min() > 1000 and finite.max() > 1e8 else ".0f"
        point = "." if style == ".0f" else ""
    elif finite.size and (finite.max() / finite.min() > 1000 or finite.max() > 1e8 or finite.min() < 1e-4):
        style, point = f".{digits}e", ""
    else:
        style, point = (f".{digits}f", "") if finite.size else (".0f", ".")

    def text(value: Any) -> str:
        return f"{value:{style}}" + (point if np.isfinite(value) else "")

    shown = array if array.size <= _options["threshold"] else array.reshape(-1)[:: max(array.size // 1000, 1)]
    width = max(len(text(value)) for value in shown.reshape(-1))
    return lambda value: text(value).rjust(width)
