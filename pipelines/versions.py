"""What ran: versions and device, for cards and results."""

import platform
from importlib import metadata

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "pydicom", "nibabel", "highdicom")


def versions() -> dict[str, str]:
    """Versions of voxhelix, Python and the packages that touch the numbers."""
    from framework.version import __version__

    found = {"voxhelix": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def device() -> str:
    """The processor, by name."""
    return f"cpu: {processor()}, {platform.system()} {platform.machine()}"


def processor() -> str:
    """Model name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
