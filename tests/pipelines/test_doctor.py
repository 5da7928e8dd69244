"""The doctor: every line is a fact with a tick, or comes with a remedy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import doctor
from pipelines.doctor import Finding, examine, run_doctor
from pipelines.errors import ExitCode


def test_self_tests_pass_here() -> None:
    findings = {finding.subject: finding for finding in examine()}
    assert set(findings) == {
        "Python", "packages", "processor", "memory", "disk", "CUDA", "kernel cache", "convolution", "learning",
    }  # fmt: skip
    for subject in ("Python", "processor", "kernel cache", "convolution", "learning"):
        assert findings[subject].well, findings[subject]


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Finding:
        raise RuntimeError("no such thing")

    broken.__name__ = "_memory"
    monkeypatch.setattr(doctor, "_memory", broken)
    (finding,) = [found for found in examine() if found.subject == "memory"]
    assert not finding.well
    assert "no such thing" in finding.found
    assert finding.remedy


def test_exit_code_and_remedy_are_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def some() -> Iterator[Finding]:
        yield Finding("memory", "1.0 of 2.0 GB free", well=False, remedy="close other programs")
        yield Finding("disk", "9 GB free")

    monkeypatch.setattr(doctor, "examine", some)
    assert run_doctor() == ExitCode.FAILURE
    out = capsys.readouterr().out
    assert "✗" in out
    assert "Remedy: close other programs" in out
    assert "1 of 2 checks need a remedy" in out


def test_wrong_kernels_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from framework.nn import functional

    right = functional.conv3d
    monkeypatch.setattr(functional, "conv3d", lambda *a, **k: right(*a, **k) * 1.01)
    (finding,) = [found for found in examine() if found.subject == "convolution"]
    assert not finding.well
    assert "kernel cache" in finding.remedy


def test_old_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor.metadata, "requires", lambda name: ["numpy>=999", "no-such-package>=1", "pytest>=1; extra == 'test'"]
    )
    (finding,) = [found for found in examine() if found.subject == "packages"]
    assert "needed is 999" in finding.found
    assert "no-such-package is absent" in finding.found
    assert "pytest" not in finding.found
    assert not finding.well


def test_unwritable_kernel_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from framework.backends.cpu import machine

    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setattr(machine, "cache_folder", lambda: blocked)
    (finding,) = [found for found in examine() if found.subject == "kernel cache"]
    assert not finding.well


def test_a_device_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    def cuda() -> Finding:
        (finding,) = [found for found in examine() if found.subject == "CUDA"]
        return finding

    monkeypatch.setattr(doctor, "_driver_version", lambda: None)
    assert cuda().found == "no NVIDIA driver here; everything runs on the processor"
    monkeypatch.setattr(doctor, "_driver_version", lambda: (580, 65))
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert "does not use it" in cuda().found
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "cupy" else True)
    assert "voxhelix[cuda13]" in cuda().remedy
    monkeypatch.setattr(doctor, "_driver_version", lambda: (535, 1))
    assert "voxhelix[cuda12]" in cuda().remedy
    assert cuda().well
