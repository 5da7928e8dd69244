"""A pickle read as data: an interpreter of the instructions that state dicts use, which runs nothing.

A pickle is a program for a small stack machine. Python's own reader looks up any function that the program names and
calls it; here a name is looked up in a table of the caller's, and what is found there are our own functions, which
build arrays and plain containers. A name that the table lacks ends the reading, before anything else happens.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

from framework.serialization.collector import uncollected
from framework.serialization.errors import SerializationError, shown
from framework.serialization.keys import check_key, check_scalar

MAX_INSTRUCTIONS = 3_000_000
MAX_TEXT = 512 * 2**20  # bytes of all strings together
_MARK = object()


class RefusedError(Exception):
    """Why a file is refused, to end the sentence "'file' was refused: ..."."""


class Callee:
    """A function of ours that stands for a class or function which a pickle names."""

    __slots__ = ("call", "name")

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name = name
        self.call = call

    def __str__(self) -> str:
        return self.name


class Buildable:
    """Something whose content a pickle gives after making it."""

    __slots__ = ()

    def build(self, state: Any) -> None:
        raise NotImplementedError


class Unpickler:
    """Reads one pickle after another from `data`, beginning at `position`.

    `find(module, name)` gives what a name stands for, a `Callee` or a constant; it raises RefusedError for others.
    `persistent(identifier)` gives what lies outside the pickle.
    """

    def __init__(
        self,
        data: memoryview | bytes,
        label: str,
        find: Callable[[str, str], Any],
        persistent: Callable[[Any], Any],
        position: int = 0,
    ) -> None:
        self.position = position
        self._data = data
        self._label = label
        self._find = find
        self._persistent = persistent
        self._text = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The next pickle's value. SerializationError for damage, for anything unknown, and for what is too large."""
        self._stack, self._memo = [], {}
        with uncollected():
            return self._run()

    def _run(self) -> Any:
        data, size = self._data, len(self._data)
        for _ in range(MAX_INSTRUCTIONS):
            if self.position >= size:
                raise SerializationError(f"'{self._label}' is truncated: copy or download it again")
            code = data[self.position]
            self.position += 1
            if code == _STOP:
                if len(self._stack) != 1 or self._stack[0] is _MARK:
                    break
                return self._stack.pop()
            step = _STEPS.get(code)
            if step is None:
                raise SerializationError(
                    f"'{self._label}' cannot be read: it holds the pickle instruction {shown(chr(code))} at byte "
                    f"{self.position - 1}, which no file of tensors uses; save a state_dict() with torch.save"
                )
            try:
                step(self)
            except SerializationError:
                raise
            except RefusedError as error:
                raise SerializationError(f"'{self._label}' was refused: {error}") from None
            except (
                ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, struct.error
            ) as error:  # fmt: skip
                raise self._damaged() from error
        else:
            raise SerializationError(f"'{self._label}' was refused: its pickle has over {MAX_INSTRUCTIONS} steps")
        raise self._damaged()

    def _damaged(self) -> SerializationError:
        return SerializationError(
            f"'{self._label}' is damaged: its pickle makes no sense at byte {self.position}; copy or download it again"
        )

    # -- bytes of the program -----------------------------------------------------------------------------------------

    def _take(self, count: int) -> bytes:
        begin, end = self.position, self.position + count
        if end > len(self._data):
            raise SerializationError(f"'{self._label}' is truncated: copy or download it again")
        self.position = end
        return bytes(self._data[begin:end])

    def _number(self, form: str, width: int) -> Any:
        return struct.unpack(form, self._take(width))[0]

    def _string(self, form: str, width: int) -> bytes:
        length = self._number(form, width)
        self._text += length
        if self._text > MAX_TEXT:
            raise SerializationError(f"'{self._label}' was refused: its texts take more than {MAX_TEXT} bytes")
        return self._take(length)

    def _line(self) -> str:
        chunk = bytes(self._data[self.position : self.position + 1000])
        length = chunk.index(b"\n")
        self.position += length + 1
        return chunk[:length].decode()

    # -- the stack ----------------------------------------------------------------------------------------------------

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark is no value")
        return value

    def _top(self) -> Any:
        if self._stack[-1] is _MARK:
            raise ValueError("a mark is no value")
        return self._stack[-1]

    def _pop_to_mark(self) -> list[Any]:
        stack = self._stack
        for index in range(len(stack) - 1, -1, -1):
            if stack[index] is _MARK:
                items = stack[index + 1 :]
                del stack[index:]
                return items
        raise ValueError("no mark")

    def _pop_some(self, count: int) -> tuple[Any, ...]:
        values = tuple(self._stack[-count:])
        if len(values) < count or any(value is _MARK for value in values):
            raise ValueError("a tuple needs more values")
        del self._stack[-count:]
        return values

    # -- what instructions do -----------------------------------------------------------------------------------------

    def _protocol(self) -> None:
        version = self._number("B", 1)
        if version > 5:
            raise SerializationError(f"'{self._label}' cannot be read: its pickle is of protocol {version}, not 2 to 5")

    def _append(self) -> None:
        item = self._pop()
        self._extend([item])

    def _extend(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is not list:
            raise TypeError("only lists grow")
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) not in (dict, OrderedDict, Counter) or len(items) % 2:
            raise TypeError("only dictionaries take items")
        for key, value in zip(items[::2], items[1::2]):
            target[check_key(key)] = value

    def _add(self) -> None:
        items = self._pop_to_mark()
        target = self._top()
        if type(target) is not set:
            raise TypeError("only sets take elements")
        target.update(check_key(item) for item in items)

    def _push_global(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("names are strings")
        self._stack.append(self._find(module, name))

    def _call(self) -> None:
        arguments = self._pop()
        function = self._pop()
        if type(function) is not Callee or type(arguments) is not tuple:
            raise TypeError("only names of the table are called")
        self._stack.append(function.call(*arguments))

    def _build(self) -> None:
        state = self._pop()
        target = self._top()
        if isinstance(target, Buildable):
            target.build(state)
        elif type(target) is OrderedDict and type(state) is dict and set(state) <= {"_metadata"}:
            # The versions of the modules that made a state dict.
            target.__dict__.update({key: _plain_tables(value) for key, value in state.items()})
        else:
            raise SerializationError(
                f"'{self._label}' was refused: it sets attributes of a {type(target).__name__}, which only objects "
                "with code of their own need; save a state_dict() with torch.save"
            )

    def _put(self, index: int) -> None:
        self._memo[index] = self._top()

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])


def _plain_tables(value: Any) -> OrderedDict[str, Any]:
    """A table of tables of scalars, copied."""
    result: OrderedDict[str, Any] = OrderedDict()
    for name, table in value.items():
        for key, item in table.items():
            check_scalar(key)
            check_scalar(item)
        result[name] = dict(table)
    return result


def _push(make: Callable[[Unpickler], Any]) -> Callable[[Unpickler], None]:
    """The instruction that pushes what `make` gives."""

    def step(machine: Unpickler) -> None:
        machine._stack.append(make(machine))

    return step


def _python2(raw: bytes) -> str | bytes:
    """A string of Python 2, which did not tell text from bytes."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def _pairs(machine: Unpickler) -> None:
    value = machine._pop()
    key = machine._pop()
    machine._set_items([key, value])


def _dictionary(machine: Unpickler) -> None:
    items = machine._pop_to_mark()
    machine._stack.append({})
    machine._set_items(items)


def _stack_global(machine: Unpickler) -> None:
    name = machine._pop()
    machine._push_global(machine._pop(), name)


_STOP = ord(".")
_STEPS: dict[int, Callable[[Unpickler], Any]] = {
    ord(code): step
    for code, step in {
        "\x80": Unpickler._protocol,
        "\x95": lambda m: m._take(8),  # frame: how much to read ahead, of no use here
        "(": _push(lambda m: _MARK),
        "0": lambda m: m._stack.pop(),
        "1": lambda m: m._pop_to_mark(),
        "N": _push(lambda m: None),
        "\x88": _push(lambda m: True),
        "\x89": _push(lambda m: False),
        "J": _push(lambda m: m._number("<i", 4)),
        "K": _push(lambda m: m._number("B", 1)),
        "M": _push(lambda m: m._number("<H", 2)),
        "\x8a": _push(lambda m: int.from_bytes(m._string("B", 1), "little", signed=True)),
        "\x8b": _push(lambda m: int.from_bytes(m._string("<I", 4), "little", signed=True)),
        "G": _push(lambda m: m._number(">d", 8)),
        "X": _push(lambda m: m._string("<I", 4).decode("utf-8", "surrogatepass")),
        "\x8c": _push(lambda m: m._string("B", 1).decode("utf-8", "surrogatepass")),
        "\x8d": _push(lambda m: m._string("<Q", 8).decode("utf-8", "surrogatepass")),
        "T": _push(lambda m: _python2(m._string("<I", 4))),
        "U": _push(lambda m: _python2(m._string("B", 1))),
        "B": _push(lambda m: m._string("<I", 4)),
        "C": _push(lambda m: m._string("B", 1)),
        "\x8e": _push(lambda m: m._string("<Q", 8)),
        "\x96": _push(lambda m: bytearray(m._string("<Q", 8))),
        "]": _push(lambda m: []),
        "}": _push(lambda m: {}),
        ")": _push(lambda m: ()),
        "\x8f": _push(lambda m: set()),
        "\x85": _push(lambda m: m._pop_some(1)),
        "\x86": _push(lambda m: m._pop_some(2)),
        "\x87": _push(lambda m: m._pop_some(3)),
        "t": _push(lambda m: tuple(m._pop_to_mark())),
        "l": _push(lambda m: m._pop_to_mark()),
        "d": _dictionary,
        "\x91": _push(lambda m: frozenset(check_key(item) for item in m._pop_to_mark())),
        "a": Unpickler._append,
        "e": lambda m: m._extend(m._pop_to_mark()),
        "s": _pairs,
        "u": lambda m: m._set_items(m._pop_to_mark()),
        "\x90": Unpickler._add,
        "c": lambda m: m._push_global(m._line(), m._line()),
        "\x93": _stack_global,
        "R": Unpickler._call,
        "\x81": Unpickler._call,  # "new object" differs from a call only where code is run
        "b": Unpickler._build,
        "Q": _push(lambda m: m._persistent(m._pop())),
        "q": lambda m: m._put(m._number("B", 1)),
        "r": lambda m: m._put(m._number("<I", 4)),
        "\x94": lambda m: m._put(len(m._memo)),
        "h": lambda m: m._get(m._number("B", 1)),
        "j": lambda m: m._get(m._number("<I", 4)),
    }.items()
}
