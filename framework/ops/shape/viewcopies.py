"""The views of this package as copies, under torch's `*_copy` names."""

from collections.abc import Callable
from typing import Any

from framework.ops import elementwise as e
from framework.ops.shape import parts, strided, views


def _copying(function: Callable[..., Any]) -> Callable[..., Any]:
    def copying(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        return tuple(e.clone(each) for each in result) if isinstance(result, tuple) else e.clone(result)

    copying.__name__ = copying.__qualname__ = f"{function.__name__}_copy"
    copying.__doc__ = f"A copy of what `{function.__name__}` views."
    return copying


alias_copy = e.clone
as_strided_copy = _copying(strided.as_strided)
diagonal_copy = _copying(parts.diagonal)
expand_copy = _copying(views.expand)
narrow_copy = _copying(parts.narrow)
permute_copy = _copying(views.permute)
select_copy = _copying(parts.select)
split_copy = _copying(parts.split)
split_with_sizes_copy = _copying(parts.split_with_sizes)
squeeze_copy = _copying(views.squeeze)
t_copy = _copying(views.t)
transpose_copy = _copying(views.transpose)
unbind_copy = _copying(parts.unbind)
unfold_copy = _copying(strided.unfold)
unsqueeze_copy = _copying(views.unsqueeze)
view_copy = _copying(views.view)
