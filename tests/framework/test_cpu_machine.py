"""The kernel compiler, the cache of compiled code, the thread pool and recycled memory."""

import __future__

import ast
import gc
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from framework.backends.cpu import KERNELS, conv, machine, memory, norm, threads, update

ROOT = Path(__file__).parents[2]


def run_python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, **environment}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


LEAKY = """
    import numpy as np
    from framework.backends.cpu.update import leaky_relu
    y = leaky_relu(np.array([-2.0, 3.0], np.float32), 0.5)
    assert y.tolist() == [-1.0, 3.0], y
"""


def test_a_corrupt_cache_file_is_compiled_again(tmp_path):
    run_python(LEAKY, XDG_CACHE_HOME=str(tmp_path))
    (stored,) = (tmp_path / "voxhelix" / "kernels").glob("leaky-*.o")
    good = stored.read_bytes()
    for bad in (b"", good[:100], good[:-1] + bytes([good[-1] ^ 1]), b"\x00" * len(good)):
        stored.write_bytes(bad)
        run_python(LEAKY, XDG_CACHE_HOME=str(tmp_path))
        assert stored.read_bytes() == good


def test_a_warm_cache_needs_no_compiler(tmp_path):
    run_python(LEAKY, XDG_CACHE_HOME=str(tmp_path))
    check = "\n    import sys\n    assert not {'framework.backends.cpu.compiler', 'numba'} & set(sys.modules)"
    run_python(LEAKY + check, XDG_CACHE_HOME=str(tmp_path))


def test_sources_that_changed_under_the_process_are_not_compiled(tmp_path):
    """An upgrade while a process runs: new kernels do not fit the old code that calls them, nor the cache's names."""
    code = """
    import numpy as np, pytest
    from framework.backends.cpu import machine
    from framework.backends.cpu.update import leaky_relu
    leaky_relu(np.ones(3, np.float32), 0.5)
    machine._sources = lambda: "others"
    with pytest.raises(RuntimeError, match="start the process again"):
        leaky_relu(np.ones(3, np.float64), 0.5)
    """
    run_python(code, XDG_CACHE_HOME=str(tmp_path))
    assert len(list((tmp_path / "voxhelix" / "kernels").glob("leaky-*.o"))) == 1


def test_a_cache_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("in the way")
    run_python(LEAKY, XDG_CACHE_HOME=str(tmp_path / "file"), TMPDIR=str(tmp_path))
    assert list(tmp_path.glob("voxhelix-kernels-*/leaky-*.o"))


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_a_cache_folder_others_may_write_in_is_not_trusted(tmp_path):
    shared = tmp_path / "cache" / "voxhelix" / "kernels"
    shared.mkdir(parents=True)
    shared.chmod(0o777)
    run_python(LEAKY, XDG_CACHE_HOME=str(tmp_path / "cache"), TMPDIR=str(tmp_path))
    assert not list(shared.iterdir())
    assert list(tmp_path.glob("voxhelix-kernels-*/leaky-*.o"))


def test_old_kernels_are_forgotten(tmp_path):
    for number in range(7):
        (tmp_path / f"{number}.o").write_bytes(b"")
        os.utime(tmp_path / f"{number}.o", (number, number))
    machine._forget_oldest(tmp_path, keep=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4.o", "5.o", "6.o"]


def test_importing_the_table_of_kernels_is_light():
    run_python("""
        import sys
        import framework.backends.cpu
        heavy = {"llvmlite", "numba", "scipy"} & set(sys.modules)
        assert not heavy, heavy
    """)


def test_every_kernel_of_the_table_exists():
    import importlib

    for place in KERNELS.values():
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_processor_has_a_tile(monkeypatch, size, dtype):
    """The tile is emitted for the vectors of NEON, AVX2 and AVX-512, and LLVM takes it."""
    import llvmlite.binding as llvm

    from framework.backends.cpu import compiler, tiling
    from framework.backends.cpu.tile import tile

    monkeypatch.setattr(machine, "vector_bytes", lambda: size)
    shape = tiling.tile_shape.__wrapped__()
    itemsize = np.dtype(dtype).itemsize
    text = compiler.emit(
        tile.function,
        {
            "Float": dtype,
            "LANES": size // itemsize,
            "SIZE": itemsize,
            "TILE": shape[0],
            "VECTORS": shape[1],
            "GATHER": 1,
        },
    )
    machine._host()
    llvm.parse_assembly(text).verify()
    assert f"<{size // itemsize} x {'float' if itemsize == 4 else 'double'}>" in text


def test_kernel_language_errors_name_kernel_and_line():
    from framework.backends.cpu import compiler
    from framework.backends.cpu.expressions import KernelError

    def emit(body):
        source = f"def broken(p: Pointer[Float], n: Int) -> None:\n    {body}\n"
        function = compile_source(source)
        return compiler.emit(function, {"Float": "float32", "LANES": 4})

    for body, message in (
        ("p[0] = q", "line 2: q has no value here"), ("p[0] = n", "cast it"), ("print(n)", "neither a word"),
        ("with n: pass", "With is not in the kernel language"), ("n[0] = 1", "only pointers"),
        ("p[0] = Double(1.0) + p[0]", "types differ"), ("a = b = 1", "one name"),
    ):  # fmt: skip
        with pytest.raises(KernelError, match=message):
            emit(body)


def compile_source(source):
    """A function whose source `inspect` can find."""
    import linecache

    name = f"<kernel {len(linecache.cache)}>"
    linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
    scope = {"__name__": "kernels", "Pointer": list, "Float": float, "Int": int, "Double": float}
    tree = ast.parse(source)
    exec(compile(tree, name, "exec", flags=__future__.annotations.compiler_flag), scope)
    return scope["broken"]


def test_kernels_from_many_threads_at_once():
    """Loader threads call kernels while the main thread does: each result is the one it would be alone."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 8, 20, 21, 22), dtype=np.float32)
    w = rng.standard_normal((24, 8, 3, 3, 3), dtype=np.float32)
    form = (1, 1, 1), (1, 1, 1), (1, 1, 1), 1

    def work():
        y = conv.conv(x, w, None, *form)
        z = norm.norm_act(y, None, None, 24, 1e-5, 0.01)[0]
        return [y, z, conv.conv_grad_weight(z, x, (3, 3, 3), *form), update.leaky_relu(z, 0.1)]

    expected = [a.tobytes() for a in work()]
    failures = []

    def repeat():
        for _ in range(8):
            if [a.tobytes() for a in work()] != expected:
                failures.append(threading.current_thread().name)

    crowd = [threading.Thread(target=repeat) for _ in range(6)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert not failures


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_computes():
    run_python("""
        import os, warnings
        import numpy as np
        from framework.backends.cpu import threads, update
        threads.set_num_threads(3)
        x = np.ones(1 << 20, np.float32)
        update.leaky_relu(x, 0.1)
        warnings.simplefilter("ignore")  # Python warns of fork among threads; that it works is the point
        child = os.fork()
        if child == 0:
            os._exit(0 if update.leaky_relu(-x, 0.5).sum() == -(1 << 19) else 1)
        assert os.waitpid(child, 0)[1] == 0
    """)


def test_number_of_threads():
    before = threads.get_num_threads()
    assert before >= 1
    with pytest.raises(ValueError, match="at least one thread is needed, got 0"):
        threads.set_num_threads(0)
    threads.set_num_threads(3)
    assert threads.get_num_threads() == 3
    threads.set_num_threads(before)


def test_an_error_in_a_helper_thread_reaches_the_caller():
    def broken(counter, jobs, scratch):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        threads.run(broken, 4)
    x = np.ones(1 << 18, np.float32)
    assert update.leaky_relu(x, 0.1).sum() == x.size


@pytest.fixture
def fresh_memory():
    gc.collect()
    memory.empty_cache()
    before = memory._limit
    memory.set_cache_limit(64 << 20)
    yield
    memory.set_cache_limit(before)
    memory.empty_cache()


def test_memory_of_a_dead_array_is_used_again(fresh_memory):
    array = memory.empty((3 << 20,), np.dtype(np.uint8))
    place = array.ctypes.data
    view = array[5:].reshape(1, -1)
    del array
    gc.collect()
    assert memory.cached_bytes() == 0  # a view keeps it
    del view
    gc.collect()
    assert memory.cached_bytes() >= 3 << 20
    again = memory.empty((768 << 10,), np.dtype(np.float32))
    assert again.ctypes.data == place
    assert memory.cached_bytes() == 0


def test_memory_kept_is_limited(fresh_memory):
    memory.set_cache_limit(5 << 20)
    arrays = [memory.empty((2 << 20,), np.dtype(np.uint8)) for _ in range(4)]
    del arrays
    gc.collect()
    assert 0 < memory.cached_bytes() <= 5 << 20
    memory.set_cache_limit(0)
    assert memory.cached_bytes() == 0
    memory.empty((2 << 20,), np.dtype(np.uint8))
    gc.collect()
    assert memory.cached_bytes() == 0


def test_channels_last_memory():
    for shape in ((2, 3, 4, 5, 6), (2, 96, 64, 64, 2), (4, 7)):
        array = memory.empty(shape, np.dtype(np.float64), channels_last=True)
        assert array.shape == shape
        assert array.flags.writeable
        assert np.moveaxis(array, 1, -1).flags.c_contiguous
