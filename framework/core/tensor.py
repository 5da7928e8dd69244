"""The Tensor: an array, its place in the graph, and what it shares with its views.

Arithmetic and named operations are bound from the op table by `framework.ops`; this file holds what a tensor *is*.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from framework.core.device import CPU, array_module, device, device_of, move
from framework.core.dtype import FLOATING, FROM_NUMPY, DType, as_dtype
from framework.core.layout import Layout, contiguous_format, is_arranged, strided
from framework.core.modes import VMAP, modes
from framework.core.node import AccumulateGrad, Cell, RemovableHandle, watch
from framework.core.values import Values

_new = object.__new__


class Size(tuple[int, ...]):
    """The shape of a tensor, as torch.Size."""

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        product = 1
        for length in self:
            product *= length
        return product

    def __repr__(self) -> str:
        return f"framework.Size({list(self)})"


class Count(int):
    """A tensor's number of elements, which can be called: `size()` is the shape, `size(dim)` the length of one."""

    _array: Any

    def __new__(cls, array: Any) -> "Count":
        count = int.__new__(cls, array.size)
        count._array = array
        return count

    def __call__(self, dim: int | None = None) -> Any:
        shape = self._array.shape
        return Size(shape) if dim is None else shape[check_dim(dim, len(shape))]


class Tensor(Values):
    """An n-dimensional array that can record what is computed from it.

    `Tensor(data)` makes a float tensor as torch's constructor does; use `framework.tensor` to choose the type.
    Attributes: `_data` the NumPy or CuPy array; `_edge` the (node, output number) to which its gradient flows, None
    when it needs none; `_cell` what it shares with its views.
    """

    __slots__ = ("__dict__", "__weakref__", "_cell", "_data", "_edge")
    __array_priority__ = 1000  # NumPy leaves mixed arithmetic to us

    _view: Any = None  # how a view is made from its base; see core.views
    _grad: "Tensor | None" = None
    _inference = False
    _data: Any
    _edge: Any
    _cell: Cell | None

    if TYPE_CHECKING:  # bound from the op table

        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, index: Any) -> "Tensor": ...
        def __neg__(self) -> "Tensor": ...
        def __abs__(self) -> "Tensor": ...
        def __invert__(self) -> "Tensor": ...
        def __add__(self, other: Any) -> "Tensor": ...
        def __radd__(self, other: Any) -> "Tensor": ...
        def __sub__(self, other: Any) -> "Tensor": ...
        def __rsub__(self, other: Any) -> "Tensor": ...
        def __mul__(self, other: Any) -> "Tensor": ...
        def __rmul__(self, other: Any) -> "Tensor": ...
        def __truediv__(self, other: Any) -> "Tensor": ...
        def __rtruediv__(self, other: Any) -> "Tensor": ...
        def __pow__(self, other: Any) -> "Tensor": ...
        def __rpow__(self, other: Any) -> "Tensor": ...
        def __matmul__(self, other: Any) -> "Tensor": ...
        def __and__(self, other: Any) -> "Tensor": ...
        def __or__(self, other: Any) -> "Tensor": ...
        def __lt__(self, other: Any) -> "Tensor": ...
        def __le__(self, other: Any) -> "Tensor": ...
        def __gt__(self, other: Any) -> "Tensor": ...
        def __ge__(self, other: Any) -> "Tensor": ...

    def __new__(cls, data: Any = (), requires_grad: bool = False) -> Self:
        tensor = _new(cls)
        if isinstance(data, Tensor):
            data = data._data
        tensor._data = np.array(data, dtype=as_dtype(float).numpy_dtype)
        tensor._edge = None
        tensor._cell = None
        if requires_grad:
            tensor.requires_grad_()
        return tensor

    @staticmethod
    def _wrap(array: Any, edge: Any = None) -> "Tensor":
        """A Tensor on an array (a NumPy scalar becomes a 0-d array), without a copy."""
        tensor = _new(Tensor)
        tensor._data = np.asarray(array) if isinstance(array, np.generic) else array
        tensor._edge = edge
        tensor._cell = None
        return tensor

    @classmethod
    def _make(cls, array: Any, requires_grad: bool = False) -> Self:
        """A leaf of this class on an array, without a copy."""
        tensor = _new(cls)
        tensor._data = array
        tensor._edge = None
        tensor._cell = None
        if requires_grad:
            tensor.requires_grad_()
        return tensor

    def _shared(self) -> Cell:
        """The write counter and list of views, made when first asked for."""
        cell = self._cell
        if cell is None:
            cell = self._cell = Cell()
        return cell

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        return Size(self._data.shape)

    @property
    def size(self) -> Any:
        """The number of elements, as NumPy and the array API standard have it; called, torch's `size(dim=None)`."""
        return Count(self._data)

    @property
    def ndim(self) -> int:
        return self._data.ndim

    def dim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim

    def numel(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    nelement = numel

    @property
    def dtype(self) -> DType:
        return FROM_NUMPY[self._data.dtype]

    @property
    def device(self) -> device:
        return CPU if type(self._data) is np.ndarray else device_of(self._data)

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def itemsize(self) -> int:
        return int(self._data.itemsize)

    def element_size(self) -> int:
        """Bytes of one element."""
        return int(self._data.itemsize)

    @property
    def nbytes(self) -> int:
        return int(self._data.nbytes)

    def is_floating_point(self) -> bool:
        """Whether the type is a real floating one."""
        return self.dtype.category == FLOATING

    def is_complex(self) -> bool:
        """Whether the type is complex."""
        return self.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the type has negative numbers."""
        return self.dtype.is_signed

    def stride(self, dim: int | None = None) -> Any:
        """Steps in elements between neighbours along each dimension, or one."""
        steps = tuple(step // self._data.itemsize for step in self._data.strides)
        return steps if dim is None else steps[check_dim(dim, self._data.ndim)]

    def data_ptr(self) -> int:
        """The address of the first element."""
        return int(self._data.ctypes.data if type(self._data) is np.ndarray else self._data.data.ptr)

    def is_contiguous(self, memory_format: Any = contiguous_format) -> bool:
        """Whether the elements lie in row-major order, or in another memory format, without gaps."""
        return is_arranged(self._data, memory_format)

    def storage_offset(self) -> int:
        """Elements between the start of the memory that this tensor's array belongs to and its first element."""
        owner = self._data
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        return (self._data.ctypes.data - owner.ctypes.data) // self._data.itemsize if self._data.size else 0

    @property
    def layout(self) -> Layout:
        return strided

    def __len__(self) -> int:
        if not self._data.ndim:
            raise TypeError("len() of a 0-d tensor")
        return len(self._data)

    def __iter__(self) -> Iterator["Tensor"]:
        if not self._data.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter([self[index] for index in range(len(self._data))])

    def __hash__(self) -> int:
        return id(self)

    # -- the graph --------------------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        return self._edge is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Record from now on what is computed from this leaf (or stop doing so)."""
        if not requires_grad:
            if not self.is_leaf:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable "
                    "in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
                )
            self._edge = None
        elif self._edge is None:
            if self._data.dtype.kind not in "fcV":
                raise RuntimeError("only Tensors of floating point dtype can require gradients")
            if modes.flags & VMAP:
                raise RuntimeError(
                    "requires_grad_() called inside vmap. This is not supported: use framework.func.grad or "
                    "framework.func.vjp inside, or call it outside."
                )
            if self._inference:
                raise RuntimeError(
                    "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
                )
            self._edge = (AccumulateGrad(self), 0)
        return self

    @property
    def is_leaf(self) -> bool:
        return self._edge is None or type(self._edge[0]) is AccumulateGrad

    @property
    def grad_fn(self) -> Any:
        return None if self.is_leaf else self._edge[0]

    @property
    def grad(self) -> "Tensor | None":
        return self._grad

    @grad.setter
    def grad(self, value: "Tensor | None") -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"assigned grad expected to be a Tensor or None but got {type(value).__name__}")
            if value._data.shape != self._data.shape:
                raise RuntimeError(
                    f"assigned grad has data of a different size: {list(value.shape)} for a tensor of "
                    f"{list(self.shape)}"
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def output_nr(self) -> int:
        return 0 if self._edge is None else self._edge[1]

    @property
    def _version(self) -> int:
        return self._shared().version

    @property
    def _base(self) -> "Tensor | None":
        return None if self._view is None else self._view.base

    @property
    def data(self) -> "Tensor":
        return Tensor._wrap(self._data)

    @data.setter
    def data(self, value: "Tensor") -> None:
        self._data = value._data
        if self._edge is not None and self.is_leaf:
            self._edge[0].meta = ((self._data.shape, self._data.dtype),)

    def detach(self) -> "Tensor":
        """The same memory, outside the graph; writes to it still count as writes to this tensor."""
        result = Tensor._wrap(self._data)
        result._cell = self._shared()
        return result

    def detach_(self) -> Self:
        """Leave the graph."""
        if self._view is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._edge = None
        return self

    def backward(
        self,
        gradient: "Tensor | None" = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Accumulate the gradients of this tensor into the leaves it was computed from."""
        from framework.autograd.backward import backward

        backward(self, gradient, retain_graph, create_graph, inputs=inputs)

    def _accumulate(self, grad: Any, owned: bool, create_graph: bool) -> None:
        """Add to `.grad`: in its memory when nothing records, otherwise as a new tensor."""
        present = self._grad
        if create_graph:
            self._grad = grad if present is None else present + grad
        elif present is None:
            if isinstance(grad, np.generic):
                grad = np.asarray(grad)
            self._grad = Tensor._wrap(grad if owned else grad.copy(order="K"))
        elif present._edge is None:
            array_module(present._data).add(present._data, grad, out=present._data)
            present._shared().version += 1
        else:
            self._grad = Tensor._wrap(present._data + grad)

    def retain_grad(self) -> None:
        """Keep the gradient of this non-leaf in `.grad` during backward."""
        if self._edge is None:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self.is_leaf:
            return
        import weakref

        node, number = self._edge
        watch(node)
        if node.retained is None:
            node.retained = {}
        node.retained[number] = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        return not self.is_leaf and self._edge[0].retained is not None and self._edge[1] in self._edge[0].retained

    def register_hook(self, hook: Any) -> RemovableHandle:
        """Call `hook(grad)` when the gradient is computed; what it returns (unless None) replaces it."""
        if self._edge is None:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        node, number = self._edge
        watch(node)
        if node.hooks is None:
            node.hooks = {}
        return RemovableHandle(node.hooks.setdefault(number, []), hook)

    def register_post_accumulate_grad_hook(self, hook: Any) -> RemovableHandle:
        """Call `hook(tensor)` after this leaf's gradient was accumulated."""
        if self._edge is None or not self.is_leaf:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        node = self._edge[0]
        if node.post_hooks is None:
            node.post_hooks = []
        return RemovableHandle(node.post_hooks, hook)

    # -- copies and moves ---------------------------------------------------------------------------------------------

    def cpu(self) -> "Tensor":
        """On the CPU; itself when it is there."""
        return self.to("cpu")

    def cuda(self, index: int | None = None) -> "Tensor":
        """On a GPU; itself when it is there."""
        return self.to(device("cuda", index))

    def to(
        self,
        *args: Any,
        dtype: Any = None,
        device: Any = None,
        copy: bool = False,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> "Tensor":
        """Another type, device or memory format; itself when nothing changes and no `copy` is asked for."""
        from framework.ops.elementwise import clone, to_device, to_dtype

        copies: list[bool] = []
        for argument in args:
            if isinstance(argument, Tensor):
                dtype, device = argument.dtype, argument.device
            elif isinstance(argument, DType):
                dtype = argument
            elif isinstance(argument, bool):
                copies.append(argument)  # non_blocking and copy by position; copies are always synchronous
            else:
                device = argument
        copy = copy or (len(copies) > 1 and copies[1])
        result = self
        if dtype is not None and as_dtype(dtype).numpy_dtype != self._data.dtype:
            result = to_dtype(result, as_dtype(dtype).numpy_dtype)
        if device is not None:
            target = as_device(device)
            if move(result._data, target) is not result._data:
                result = to_device(result, target)
        if memory_format is not None and not is_arranged(result._data, memory_format):
            return clone(result, memory_format=memory_format)
        return clone(result) if copy and result is self else result

    def __copy__(self) -> Self:
        from framework.core.copying import shallow

        return shallow(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        from framework.core.copying import deep

        return deep(self, memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            "tensors are not pickled, because loading a pickle can run code: "
            "use framework.save and framework.load (safetensors)"
        )

    def __setstate__(self, state: Any) -> None:
        raise TypeError("tensors are not pickled")

    # -- writing ------------------------------------------------------------------------------------------------------

    def copy_(self, source: Any, non_blocking: bool = False) -> "Tensor":
        """Write `source`, broadcast and converted, into this tensor's memory."""
        from framework.core.views import write

        return write(self, source)

    def __setitem__(self, index: Any, value: Any) -> None:
        from framework.core.views import assign

        assign(self, index, value)

    def __contains__(self, value: Any) -> bool:
        return bool((self._data == (value._data if isinstance(value, Tensor) else value)).any())

    def new_tensor(self, data: Any, dtype: DType | None = None, requires_grad: bool = False) -> "Tensor":
        """A copy of `data` of this tensor's type, on its device."""
        from framework.ops.creation import tensor

        return tensor(data, dtype=dtype or self.dtype, device=self.device, requires_grad=requires_grad)

    def type_as(self, other: "Tensor") -> "Tensor":
        """In the other tensor's type."""
        return self.to(other.dtype)


def as_device(value: Any) -> device:
    """A device from a device, a string or a GPU's number."""
    return value if isinstance(value, device) else device(value)


def check_dim(dim: int, ndim: int) -> int:
    """The dimension counted from the front; IndexError as torch words it."""
    limit = max(ndim, 1)
    if not -limit <= dim < limit:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})")
    return dim % limit
