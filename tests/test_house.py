"""The shape of the house: who imports whom, what importing costs, what the wheel holds."""

import ast
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "framework": set(),
    "medimg": {"framework"},
    "bio": {"framework"},
    "pipelines": {"medimg", "bio", "framework"},
    "app": {"pipelines", "medimg", "bio", "framework"},
}
BANNED = {"torch", "tensorflow", "jax", "monai", "pickle", "dill", "cloudpickle"}


def imports(path: Path) -> set[str]:
    """The first names of everything a file imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_down(package: str) -> None:
    others = set(MAY_IMPORT) - MAY_IMPORT[package] - {package}
    for path in (ROOT / package).rglob("*.py"):
        found = imports(path)
        assert not found & others, f"{path.relative_to(ROOT)} imports {found & others}"
        assert not found & BANNED, f"{path.relative_to(ROOT)} imports {found & BANNED}"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_hand_names_on_and_define_nothing(package: str) -> None:
    for path in (ROOT / package).rglob("__init__.py"):
        defined = [
            node.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name not in ("__getattr__", "__dir__")
        ]
        assert not defined, f"{path.relative_to(ROOT)} defines {defined}"


@pytest.mark.parametrize("package", ["framework", "medimg", "bio", "pipelines"])
def test_importing_brings_nothing_heavy(package: str) -> None:
    code = f"import sys, {package}; print(*[n for n in sys.modules])"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    heavy = {"scipy", "numba", "llvmlite", "pydicom", "highdicom", "nibabel", "streamlit", "cupy", "torch", "pandas"}
    assert not loaded & heavy


def test_dependencies_of_the_core_are_small() -> None:
    """What `import framework` loads beside the standard library is NumPy, and its bfloat16."""
    code = "import sys, framework; framework.ones(2).sum(); print(*[n for n in sys.modules])"
    loaded = {
        name.split(".")[0]
        for name in subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    }
    third_party = {
        path.name.split(".")[0]
        for path in Path(sysconfig.get_paths()["purelib"]).iterdir()
        if not path.name.startswith("_")
    }
    assert loaded & third_party <= {"numpy", "ml_dtypes", "framework"}


@pytest.mark.slow
def test_wheel_holds_everything_and_leaves_site_packages_alone(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in held if ".dist-info/" not in name} == {"_voxhelix", "voxhelix.pth"}
    tracked = subprocess.run(["git", "ls-files", *MAY_IMPORT], cwd=ROOT, capture_output=True, text=True, check=True)
    missing = {f"_voxhelix/{name}" for name in tracked.stdout.split()} - held
    assert not missing
    assert "_voxhelix/data_samples/ct_dicom/README.md" in held

    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)], check=True)
    names = [
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in tracked.stdout.split()
        if name.endswith(".py") and not name.startswith("app/") and not name.endswith("__main__.py")
    ]
    code = (
        "import importlib, sys, framework\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(framework.__file__)"
    )
    ran = subprocess.run(
        [python, "-I", "-W", "ignore", "-c", code, *names], capture_output=True, text=True, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert "_voxhelix" in ran.stdout
    version = subprocess.run([environment / "bin" / "voxhelix", "--version", "--bare"], capture_output=True, text=True)
    assert version.returncode == 0, version.stderr
    assert version.stdout.strip() in wheel.name
