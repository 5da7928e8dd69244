"""`copy.copy` and `copy.deepcopy` of tensors: what is shared before is shared after."""

import copy
from typing import Any

import numpy as np

_INTERNAL = frozenset(("_view", "_grad", "_inference"))


def shallow(tensor: Any) -> Any:
    """Another tensor object on the same memory, a leaf that needs a gradient when this one does."""
    result = type(tensor)._make(tensor._data)
    result._cell = tensor._shared()
    if tensor._edge is not None:
        result.requires_grad_()
    result.__dict__.update(_attributes(tensor))
    return result


def deep(tensor: Any, memo: dict[int, Any]) -> Any:
    """A copy with memory of its own, shared with the copies of those tensors that shared the original's."""
    if not tensor.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment. "
            "Use tensor.detach().clone()."
        )
    if id(tensor) in memo:
        return memo[id(tensor)]
    result = type(tensor)._make(_copied(tensor._data, memo), tensor._edge is not None)
    memo[id(tensor)] = result
    cell = tensor._shared()
    result._cell = memo.setdefault(id(cell), result._shared())
    memo.setdefault(id(memo), []).append(cell)
    if tensor._grad is not None:
        result._grad = deep(tensor._grad, memo)
    for name, value in _attributes(tensor).items():
        result.__dict__[name] = copy.deepcopy(value, memo)
    return result


def _attributes(tensor: Any) -> dict[str, Any]:
    return {name: value for name, value in tensor.__dict__.items() if name not in _INTERNAL}


def _copied(array: Any, memo: dict[int, Any]) -> Any:
    """A copy of an array; of one that lies in a larger one, the same part of the larger one's copy."""
    owner = array
    while isinstance(getattr(owner, "base", None), np.ndarray):
        owner = owner.base
    whole = memo.get(id(owner))
    if whole is None:
        if type(owner) is not np.ndarray or not owner.flags.owndata or not owner.flags.forc:
            return array.copy(order="K")  # memory that is not NumPy's own: a file's, another library's
        whole = memo[id(owner)] = owner.copy(order="K")
        memo.setdefault(id(memo), []).append(owner)  # as copy does: what the memo names by id must not go away
    if owner is array:
        return whole
    start = array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    memory = whole.ravel(order="K").view(np.uint8)
    return np.ndarray(array.shape, array.dtype, memory, start if array.size else 0, array.strides)
