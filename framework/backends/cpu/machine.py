"""This computer: its vector width, compiled kernels on disk, and kernels as callables."""

import contextlib
import ctypes
import functools
import hashlib
import os
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from framework.core.files import atomic_write


class Kernel:
    """A function in the kernel language; `kernel(Float="float32", ...)` is it compiled, to be called without the GIL.

    Pointers are passed as integer addresses. Compiled code is kept on disk by processor, compiler and source.
    """

    def __init__(self, function: Callable[..., Any], inline: bool = True) -> None:
        self.function = function
        self.inline = inline
        self.compiled: dict[Any, Any] = {}
        functools.update_wrapper(self, function)

    def __call__(self, **constants: Any) -> Any:
        key = tuple(constants.items())
        found = self.compiled.get(key)
        if found is None:
            with _lock:
                found = self.compiled.get(key) or _callable(self.function, constants)
                self.compiled[key] = found
        return found


def kernel(function: Callable[..., Any]) -> Any:
    """Decorator: `function` is written in the kernel language."""
    return Kernel(function)


def subroutine(function: Callable[..., Any]) -> Any:
    """Decorator: a large kernel that others call; it is compiled once for each specialisation, not at each call."""
    return Kernel(function, inline=False)


@functools.cache
def lanes(dtype: str) -> int:
    """Elements of `dtype` in one vector register of this processor (AVX-512: 64 bytes, AVX2: 32, else 16)."""
    return vector_bytes() // (4 if dtype == "float32" else 8)


@functools.cache
def vector_bytes() -> int:
    features = _host()[1]
    if "+avx512f" in features:
        return 64
    return 32 if "+avx2" in features and "+fma" in features else 16


def cache_folder() -> Path:
    """Where compiled kernels are kept: `$XDG_CACHE_HOME/voxhelix/kernels`, else a private folder in temp."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "voxhelix" / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(folder, os.W_OK) and _is_private(folder):
            return folder
    except OSError:
        pass
    return _temporary_folder()


_lock = threading.RLock()
_engines: list[Any] = []  # engines own the machine code: they live as long as the process


def _callable(function: Callable[..., Any], constants: dict[str, Any]) -> Any:
    import llvmlite.binding as llvm

    machine = _machine()
    text = _object(function, constants)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(fresh=True))
    engine.add_object_file(llvm.ObjectFileRef.from_data(text))
    engine.finalize_object()
    _engines.append((engine, machine))
    kinds = [_ctype(kind, constants) for name, kind in function.__annotations__.items() if name != "return"]
    return ctypes.CFUNCTYPE(None, *kinds)(engine.get_function_address(function.__name__))


def _object(function: Callable[..., Any], constants: dict[str, Any]) -> bytes:
    """Machine code from the disk, or compiled and put there."""
    name = f"{function.__module__}.{function.__name__}{sorted(constants.items())}{_build()}"
    path = _folder() / f"{function.__name__}-{hashlib.sha256(name.encode()).hexdigest()[:32]}.o"
    try:
        stored = path.read_bytes()
        if hashlib.sha256(stored[32:]).digest() == stored[:32] and len(stored) > 32:
            return stored[32:]
    except OSError:
        pass
    code = _compile(function, constants)
    if _sources() != _sources_at_start():  # what was compiled may not fit the callers that are loaded
        raise RuntimeError(
            f"the files of voxhelix in {Path(__file__).parent} were changed while this process was running, and the "
            f"kernel {function.__name__} can no longer be compiled for it: start the process again"
        )
    with contextlib.suppress(OSError):  # a full or read-only disk costs time, not the result
        with atomic_write(path) as file:
            file.write(hashlib.sha256(code).digest() + code)
        _forget_oldest(path.parent)
    return code


def _forget_oldest(folder: Path, keep: int = 400) -> None:
    """Kernels of former versions are never asked for again."""
    files = sorted(folder.glob("*.o"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[keep:]:
        path.unlink(missing_ok=True)


def _compile(function: Callable[..., Any], constants: dict[str, Any]) -> bytes:
    import llvmlite.binding as llvm

    from framework.backends.cpu import compiler

    machine = _machine()
    module = llvm.parse_assembly(compiler.emit(function, constants))
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.slp_vectorization = False
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    return machine.emit_object(module)


@functools.cache
def _host() -> tuple[str, str]:
    """Name and features of the processor, as LLVM calls them."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _machine(fresh: bool = False) -> Any:
    """The target machine; an engine takes its own."""
    return _new_machine() if fresh else _shared_machine()


@functools.cache
def _shared_machine() -> Any:
    return _new_machine()


def _new_machine() -> Any:
    import llvmlite.binding as llvm

    name, features = _host()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=name, features=features, opt=3, jit=True)


@functools.cache
def _build() -> str:
    """What compiled code depends on besides its constants: processor, compiler and the kernels' sources."""
    import llvmlite

    return hashlib.sha256(repr((_host(), llvmlite.__version__, os.name, _sources_at_start())).encode()).hexdigest()


@functools.cache
def _sources_at_start() -> str:
    """What the kernels' sources were when the first kernel was asked for."""
    return _sources()


def _sources() -> str:
    """The kernels' sources as they are on disk now, which is where the compiler reads them."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def _folder() -> Path:
    return cache_folder()


def _temporary_folder() -> Path:
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir()) / f"voxhelix-kernels-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if _is_private(folder):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="voxhelix-kernels-"))


def _is_private(folder: Path) -> bool:
    """Code is run from here: nobody else may be able to write in it."""
    if not hasattr(os, "getuid"):
        return True
    state = folder.stat()
    return state.st_uid == os.getuid() and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _ctype(kind: Any, constants: dict[str, Any]) -> Any:
    """Annotations are text (kernel files import them from __future__), so names tell types apart."""
    name = str(kind)
    if name.startswith("Pointer"):
        return ctypes.c_void_p
    if name == "Float":
        return ctypes.c_float if constants["Float"] == "float32" else ctypes.c_double
    return {"Int": ctypes.c_int64, "Double": ctypes.c_double, "Single": ctypes.c_float}[name]
