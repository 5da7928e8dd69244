"""What this namespace can do: `__array_namespace_info__`."""

from typing import Any

from framework.array_api.dtypes import KINDS
from framework.core.device import CPU, cuda_is_available, device
from framework.core.dtype import DTYPES, DType, bfloat16, float16, get_default_dtype, int64

VERSION = "2024.12"
VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
_STANDARD = tuple(kind for kind in DTYPES if kind not in (float16, bfloat16))


class NamespaceInfo:
    """Capabilities, devices and types of the namespace."""

    def capabilities(self) -> dict[str, Any]:
        """Boolean indexing and results whose shape depends on values are there; dimensions go up to NumPy's limit."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> device:
        """Where new arrays are made."""
        return CPU

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        """The types of Python numbers and of indices."""
        real = get_default_dtype()
        return {"real floating": real, "complex floating": real.to_complex(), "integral": int64, "indexing": int64}

    def devices(self) -> list[device]:
        """The devices that can hold arrays."""
        if not cuda_is_available():
            return [CPU]
        import cupy

        return [CPU, *(device("cuda", number) for number in range(cupy.cuda.runtime.getDeviceCount()))]

    def dtypes(self, *, device: Any = None, kind: str | tuple[str, ...] | None = None) -> dict[str, DType]:
        """The standard's types, all or those of a kind, by name."""
        kinds = (kind,) if isinstance(kind, str) else kind
        wanted = _STANDARD if kinds is None else {each for name in kinds for each in KINDS[name]}
        return {each.name: each for each in _STANDARD if each in wanted}


def __array_namespace_info__() -> NamespaceInfo:  # noqa: N807
    """What this namespace can do."""
    return NamespaceInfo()
