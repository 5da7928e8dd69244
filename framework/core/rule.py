"""Derivative rules: formulas whose arguments are looked up by name in what a node saved."""

import copy
from collections.abc import Callable
from typing import Any

from framework.core.node import Node
from framework.core.tensor import Tensor


class Rule:
    """A derivative rule and where each of its arguments comes from."""

    def __init__(self, record: Any, function: Callable[..., Any]) -> None:
        self.function = function
        self.names = function.__code__.co_varnames[1 : function.__code__.co_argcount]
        self.saved_names = tuple(
            name
            for name in self.names
            if name in record.inputs or (name.startswith("out") and name not in record.params)
        )
        for name in self.names:
            known = name in record.params or name in self.saved_names or name == "needs"
            if not known and not (name.endswith("_shape") and name[:-6] in record.inputs):
                raise TypeError(f"the derivative of {record.name} names '{name}', which the op does not have")
        self.wide = False

    def widened(self) -> "Rule":
        """The same rule on float32, for arrays in half precision."""
        rule = copy.copy(self)
        rule.wide = True
        return rule

    def __call__(self, node: Node, g: Any, needs: tuple[bool, ...], create_graph: bool) -> Any:
        saved = node.saved
        arguments = []
        for name in self.names:
            if name in self.saved_names:
                arguments.append(_revive(node, name, saved[name]) if create_graph else saved[name])
            elif name == "needs":
                arguments.append(needs)
            elif name.endswith("_shape") and name not in node.op.params:
                arguments.append(_input_shape(node, name[:-6]))
            else:
                arguments.append(node.attrs[name])
        if self.wide:
            from framework.core.half import widened

            g, *arguments = (widened(each) for each in (g, *arguments))
        return self.function(g, *arguments)


def _revive(node: Node, name: str, array: Any) -> Any:
    """A saved array as a Tensor in its old place in the graph, for higher derivatives."""
    if name.startswith("out") and name not in node.op.params:
        return Tensor._wrap(array, (node, int(name[3:] or 0)))
    if not node.op.lists:
        if array is None or not hasattr(array, "dtype"):
            return array
        edge = node.edges[node.op.inputs.index(name)]
        if edge is not None and edge[0].meta[edge[1]][1] != array.dtype:  # it was promoted on the way in
            from framework.ops.elementwise import to_dtype

            source = Tensor._wrap(array.astype(edge[0].meta[edge[1]][1]), edge)
            return to_dtype(source, array.dtype)
        return Tensor._wrap(array, edge)
    return [Tensor._wrap(item, edge) for item, edge in zip(array, node.edges)]


def _input_shape(node: Node, name: str) -> Any:
    """The shape of an input, which its own node remembers; a list of shapes for a list of inputs."""
    if name in node.op.lists:
        return [None if edge is None else edge[0].meta[edge[1]][0] for edge in node.edges]
    edge = node.edges[node.op.inputs.index(name)]
    return None if edge is None else edge[0].meta[edge[1]][0]
