"""The one error that reading and writing files of tensors raises."""


class SerializationError(ValueError):
    """A file that cannot be read (damaged, hostile, of another kind), or a value that a file cannot hold.

    The message is one sentence: the file's name, what is wrong, and what to do.
    """


def shown(text: object, limit: int = 80) -> str:
    """Text from a file as an error may show it: quoted, on one line, no longer than `limit`."""
    quoted = ascii(text if isinstance(text, str) else str(text))
    return quoted if len(quoted) <= limit else f"{quoted[: limit - 4]}...'"
