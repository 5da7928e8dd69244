"""Runs killed for good, in processes of their own, go on to the bytes of a run that was left in peace."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import framework

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "support" / "killed_run.py"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals")


def start(folder, *event):
    command = [sys.executable, "-W", "error", str(SCRIPT), str(folder), *map(str, event)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder, *event):
    """Exit status of a run and what it said."""
    with start(folder, *event) as process:
        _, errors = process.communicate(timeout=120)
    return process.returncode, errors


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    status, errors = run(folder)
    assert status == 0, errors
    return folder


def assert_same(one, other):
    """Two states are equal to the bit, wherever they are not a time or a place."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one.keys() - {"seconds", "best_model_path"}:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other):
            assert_same(a, b)
    elif hasattr(one, "numpy") or isinstance(one, np.ndarray):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
    else:
        assert one == other or (one != one and other != other)


def assert_same_runs(folder, whole):
    assert (folder / "final.safetensors").read_bytes() == (whole / "final.safetensors").read_bytes()
    assert (folder / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    last = "checkpoints/last.safetensors"
    assert_same(framework.load(folder / last), framework.load(whole / last))
    assert {p.name for p in (folder / "checkpoints").iterdir()} == {p.name for p in (whole / "checkpoints").iterdir()}


def test_the_run_is_what_it_says(whole):
    rows = list(csv.DictReader((whole / "metrics.csv").read_text().splitlines()))
    assert len({row["lr"] for row in rows}) > 20
    assert sum(row["val_loss"] != "" for row in rows) == 4 * 3  # after batches 4, 8 and 11 of each epoch
    assert int(rows[-1]["step"]) == 4 * 6  # eleven batches, two by two
    assert float(rows[-1]["loss_epoch"]) < float(next(row["loss_epoch"] for row in rows if row["loss_epoch"]))


def test_killed_at_many_places(whole, tmp_path):
    """Before the first step, between accumulated batches, in validation, at an epoch's end, while files are written."""
    kills = [
        ("on_before_optimizer_step", 0),
        ("on_after_backward", 2),
        ("on_validation_batch_end", 4),
        ("on_train_epoch_end", 6),
        ("on_safe_point", 9),
        ("on_save_checkpoint", 13),
        ("on_train_epoch_start", 18),
        ("on_train_end", 24),
    ]
    for event, step in kills:
        status, errors = run(tmp_path, event, step)
        assert status == -signal.SIGKILL, (event, errors)
    status, errors = run(tmp_path)
    assert status == 0, errors
    assert_same_runs(tmp_path, whole)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_stopped_from_outside(whole, tmp_path, number, code):
    with start(tmp_path, "tell") as process:
        for line in process.stdout:
            if int(line) == 7:
                process.send_signal(number)
                break
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    if number != signal.SIGKILL:
        assert "Stopped after step" in errors
        assert 'ckpt_path="last"' in errors
        assert "Traceback" not in errors
    status, errors = run(tmp_path)
    assert status == 0, errors
    assert_same_runs(tmp_path, whole)
