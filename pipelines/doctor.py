"""`voxhelix doctor`: is this machine fit, and if not, what to do about it."""

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from pipelines.errors import ExitCode
from pipelines.versions import processor

LEAST_MEMORY_GB = 4.0
LEAST_DISK_GB = 1.0
LARGEST_KERNEL_ERROR = 1e-3


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: what was looked at, what was found, and the remedy where it is not well."""

    subject: str
    found: str
    well: bool = True
    remedy: str = ""


def run_doctor() -> int:
    """Print all findings; exit code 0 where all is well, 1 where something needs a remedy."""
    from rich.console import Console
    from rich.table import Table

    findings = list(examine())
    table = Table(show_header=False, box=None, padding=(0, 1))
    for finding in findings:
        table.add_row(
            "[green]✓[/]" if finding.well else "[red]✗[/]",
            finding.subject,
            finding.found + (f"\n[red]Remedy:[/] {finding.remedy}" if finding.remedy else ""),
        )
    console = Console()
    console.print(table)
    ill = sum(not finding.well for finding in findings)
    console.print("All is well." if not ill else f"{ill} of {len(findings)} checks need a remedy.")
    return ExitCode.FAILURE if ill else ExitCode.OK


def examine() -> Iterator[Finding]:
    """Look at everything; a check that breaks is itself a finding."""
    for check in (_python, _packages, _processor, _memory, _disk, _cuda, _kernel_cache, _kernels, _learning):
        try:
            yield check()
        except Exception as error:
            yield Finding(
                check.__name__.strip("_").replace("_", " "),
                f"the check failed: {type(error).__name__}: {error}",
                well=False,
                remedy="reinstall voxhelix in a fresh environment; if it stays, this text belongs in a bug report",
            )


def _python() -> Finding:
    found = (
        f"{platform.python_version()} ({platform.python_implementation()}, {platform.system()} {platform.machine()})"
    )
    return Finding("Python", found, sys.version_info >= (3, 11), "" if sys.version_info >= (3, 11) else "install 3.11+")


def _packages() -> Finding:
    """The lower bounds that the distribution itself states, against what is installed."""
    try:
        lines = metadata.requires("voxhelix") or []
    except metadata.PackageNotFoundError:
        return Finding("packages", "voxhelix is not installed, only found on the path", False, "pip install -e .")
    bad, shown = [], []
    for line in lines:
        requirement = re.fullmatch(r"([\w.-]+)>=([\d.]+)", line)
        if requirement is None:
            continue
        name, least = requirement.groups()
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            bad.append(f"{name} is absent")
            continue
        shown.append(f"{name} {version}")
        if _numbers(version) < _numbers(least):
            bad.append(f"{name} is {version}, needed is {least} or newer")
    if bad:
        return Finding("packages", "; ".join(bad), False, "pip install --upgrade voxhelix")
    return Finding("packages", ", ".join(shown))


def _processor() -> Finding:
    import llvmlite.binding as llvm

    features = {name for name, present in llvm.get_host_cpu_features().items() if present}
    known = [name for name in ("avx2", "fma", "avx512f", "avx512bf16", "neon", "sve") if name in features]
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{processor()}, {count} threads, {' '.join(known) or 'no vector extensions known'}"
    return Finding("processor", found)


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    free, total = memory.available / 2**30, memory.total / 2**30
    well = free >= LEAST_MEMORY_GB
    remedy = "" if well else f"close other programs; training needs about {LEAST_MEMORY_GB:.0f} GB"
    return Finding("memory", f"{free:.1f} of {total:.1f} GB free", well, remedy)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    well = free >= LEAST_DISK_GB
    remedy = "" if well else "free some space, or work in another folder"
    return Finding("disk", f"{free:.1f} GB free in the current folder", well, remedy)


def _cuda() -> Finding:
    """A device is optional; where there is one, say what uses it and what would have to be installed for that."""
    version = _driver_version()
    if version is None:
        return Finding("CUDA", "no NVIDIA driver here; everything runs on the processor")
    driver = f"NVIDIA driver {'.'.join(map(str, version))}"
    if find_spec("framework.backends.cupy") is None:
        return Finding("CUDA", f"{driver}; this version computes on the processor and does not use it")
    if find_spec("cupy") is None:
        extra = "cuda13" if version >= (580,) else "cuda12"
        remedy = f"pip install 'voxhelix[{extra}]' to use it"
        return Finding("CUDA", f"{driver}, CuPy is not installed; everything runs on the processor", True, remedy)
    import cupy

    count = cupy.cuda.runtime.getDeviceCount()
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode() if count else "no device"
    return Finding("CUDA", f"{driver}, CuPy {cupy.__version__}, {count} device(s): {name}")


def _driver_version() -> tuple[int, ...] | None:
    path = Path("/sys/module/nvidia/version")
    if path.exists():
        return tuple(int(part) for part in path.read_text().strip().split("."))
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    import subprocess

    query = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    line = done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else ""
    return tuple(int(part) for part in line.split(".")) if line else None


def _kernel_cache() -> Finding:
    """Compiled kernels are kept on disk; a folder that cannot be written costs a few seconds at every start."""
    from framework.backends.cpu.machine import cache_folder

    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        remedy = "make the folder writable, or name another with XDG_CACHE_HOME"
        return Finding("kernel cache", f"{folder}: {error.strerror}", False, remedy)
    count = sum(1 for _ in folder.iterdir())
    return Finding("kernel cache", f"{folder}, {count} files")


def _kernels() -> Finding:
    """A 3D convolution by the compiled kernel against one written out in NumPy."""
    import numpy as np

    import framework
    from framework.nn import functional

    stream = np.random.Generator(np.random.Philox(1))
    image = stream.standard_normal((1, 8, 9, 10, 11), dtype=np.float32)
    weight = stream.standard_normal((16, 8, 3, 3, 3), dtype=np.float32)
    ours = functional.conv3d(framework.from_numpy(image), framework.from_numpy(weight), padding=1).numpy()
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3, 3), axis=(2, 3, 4))
    expected = np.einsum("ncdhwijk,ocijk->nodhw", windows.astype(np.float64), weight.astype(np.float64))
    error = float(np.abs(ours - expected).max())
    well = error < LARGEST_KERNEL_ERROR
    remedy = "" if well else "delete the kernel cache folder and try again; if it stays, report it with this text"
    return Finding("convolution", f"greatest difference to NumPy {error:.1e}", well, remedy)


def _learning() -> Finding:
    """Gradients and optimizer: a small regression must end at the weights that made the data."""
    import numpy as np

    import framework
    from framework import nn, optim

    stream = np.random.Generator(np.random.Philox(2))
    inputs = framework.from_numpy(stream.standard_normal((64, 4), dtype=np.float32))
    truth = framework.tensor([[1.0, -2.0, 0.5, 3.0]])
    framework.manual_seed(0)
    layer = nn.Linear(4, 1, bias=False)
    optimizer = optim.SGD(layer.parameters(), lr=0.1, momentum=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        loss = ((layer(inputs) - inputs @ truth.T) ** 2).mean()
        loss.backward()
        optimizer.step()
    error = float((layer.weight.detach() - truth).abs().max().item())
    well = error < LARGEST_KERNEL_ERROR
    return Finding("learning", f"regression ends {error:.1e} from the truth", well, "" if well else "report this line")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
