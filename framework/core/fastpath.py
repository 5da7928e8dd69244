"""The short ways for tiny operations: one or two tensors of one floating type, recorded with few steps."""

from collections.abc import Callable
from typing import Any

import numpy as np

from framework.core.modes import GRAD, modes
from framework.core.node import Cell, Node, sequence
from framework.core.tensor import Tensor

_new = object.__new__
_FLOATS = frozenset(np.dtype(name) for name in ("float32", "float64", "complex64", "complex128"))


def binary(record: Any, ufunc: Any) -> Callable[..., Any]:
    """A public function that serves two tensors (or a tensor and a number) of one type with few steps."""
    floats = _FLOATS
    boolean = record.kind == "bool"
    general = record.call
    wrap = Tensor._wrap
    first, second = record.inputs

    def public(*args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != 2 or modes.flags & ~GRAD:
            return general(args, kwargs)
        a, b = args
        edge_a = edge_b = None
        if isinstance(a, Tensor):
            x = a._data
            dtype = x.dtype
            edge_a = a._edge
            if isinstance(b, Tensor):
                y = b._data
                edge_b = b._edge
                if y.dtype is not dtype or dtype not in floats:
                    return general(args, kwargs)
            elif (type(b) is float or type(b) is int) and dtype in floats:
                y = b
            else:
                return general(args, kwargs)
        elif isinstance(b, Tensor):
            y = b._data
            dtype = y.dtype
            edge_b = b._edge
            if (type(a) is float or type(a) is int) and dtype in floats:
                x = a
            else:
                return general(args, kwargs)
        else:
            if type(a) is np.ndarray and type(b) is np.ndarray and a.dtype is not b.dtype:
                return general(args, kwargs)
            return ufunc(a, b)
        try:
            array = ufunc(x, y)
        except ValueError:
            return general(args, kwargs)  # whose message names the shapes
        if (edge_a is None and edge_b is None) or boolean or not modes.flags:
            return wrap(array)
        node = _new(Node)
        node.op = record
        node.edges = (edge_a, edge_b)
        node.meta = ((array.shape, array.dtype),)
        node.attrs = record.defaults
        rules = record.rules
        names: tuple[str, ...] = ()
        if edge_a is not None:
            names = rules[first].saved_names
            if edge_b is not None:
                names += rules[second].saved_names
        else:
            names = rules[second].saved_names
        output = wrap(array, (node, 0))
        if names:
            saved = node.saved = {}
            versions = node.versions = []
            for name in names:
                if name == first:
                    saved[name] = x
                    source = a
                elif name == second:
                    saved[name] = y
                    source = b
                else:
                    saved[name] = output._data
                    source = output
                if isinstance(source, Tensor):
                    cell = source._cell
                    if cell is None:
                        cell = source._cell = Cell()
                    versions.append((cell, cell.version))
        else:
            node.saved = node.versions = ()
        node.sequence = next(sequence)
        return output

    return public


def unary(record: Any, ufunc: Any) -> Callable[..., Any]:
    """A public function that serves one floating tensor without attributes with few steps."""
    floats = _FLOATS
    general = record.call
    wrap = Tensor._wrap
    (name,) = record.inputs

    def public(*args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != 1 or modes.flags & ~GRAD:
            return general(args, kwargs)
        a = args[0]
        if not isinstance(a, Tensor):
            return ufunc(a) if type(a) is np.ndarray and a.dtype in floats else general(args, kwargs)
        x = a._data
        if x.dtype not in floats:
            return general(args, kwargs)
        array = ufunc(x)
        edge = a._edge
        if edge is None or not modes.flags or not record.rules:
            return wrap(array)
        node = _new(Node)
        node.op = record
        node.edges = (edge,)
        node.meta = ((array.shape, array.dtype),)
        node.attrs = record.defaults
        output = wrap(array, (node, 0))
        saved = node.saved = {}
        versions = node.versions = []
        for needed in record.rules[name].saved_names:
            source = a if needed == name else output
            saved[needed] = source._data
            cell = source._shared()
            versions.append((cell, cell.version))
        node.sequence = next(sequence)
        return output

    return public
