"""What goes wrong with sequences, in words for the one who brought them."""


class SequenceError(ValueError):
    """A sequence or a file of sequences that cannot be used: what, where, and what to do."""
