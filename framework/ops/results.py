"""Named results of operations that return several tensors."""

from typing import Any, NamedTuple


class ValuesIndices(NamedTuple):
    """What `max`, `min`, `sort`, `topk` and the like along a dimension return."""

    values: Any
    indices: Any
