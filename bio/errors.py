"""What goes wrong with sequences, in words for the one who brought them."""

import importlib
import os
from collections.abc import Sequence
from typing import Any


class SequenceError(ValueError):
    """A sequence or a file of sequences that cannot be used: what, where, and what to do."""


class FormatError(SequenceError):
    """A file that does not follow its format: `path`, `line` (from 1; None where it is not known) and `reason`."""

    def __init__(self, path: str | os.PathLike[str], line: int | None, reason: str) -> None:
        self.path, self.line, self.reason = os.fspath(path), line, reason
        super().__init__(f"{self.path}{'' if line is None else f', line {line}'}: {reason}")


class ReferenceMismatchError(SequenceError):
    """A record that gives other letters than the genome has at its place: usually the wrong assembly.

    `record`, `contig` and `position` (0-based) say where; `expected` is the record's, `found` the genome's.
    """

    def __init__(self, record: str, contig: str, position: int, expected: str, found: str) -> None:
        self.record, self.contig, self.position = record, contig, position
        self.expected, self.found = expected, found
        super().__init__(
            f"{record}: its reference is {expected!r}, but the genome has {found!r} at {contig}:{position} (0-based); "
            "is it another assembly?"
        )


class LeakageError(SequenceError):
    """Parts of a split that share sequences.

    `pairs` lists them: (part, number, part, number, "same" or "other strand"); numbers are positions in what was given.
    """

    def __init__(self, message: str, pairs: Sequence[tuple[str, int, str, int, str]]) -> None:
        self.pairs = list(pairs)
        super().__init__(message)


def required(module: str, purpose: str) -> Any:
    """An optional library; SequenceError that says how to install it where it is absent."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise SequenceError(f"{purpose} needs {module}: pip install 'voxhelix[bio]'") from None
