"""Training: cases are read and grouped rightly, runs repeat, resume bit for bit after a kill, and stop cleanly."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import yaml

from pipelines.config import Config, load_config
from pipelines.errors import ConfigError, ExitCode, InputError, UsageError
from pipelines.train import train
from pipelines.train.cases import load_cases


def write(path: Path, array: np.ndarray, spacing: tuple[float, float, float], flip: bool = False) -> None:
    """A NIfTI in mm; with `flip` its first axis runs to the patient's left, so that only the affine tells the sides."""
    affine = np.diag([*spacing, 1.0])
    if flip:
        affine[0, 3] = spacing[0] * (array.shape[0] - 1)
        affine[0, 0] = -spacing[0]
        array = array[::-1]
    image = nibabel.Nifti1Image(np.ascontiguousarray(array), affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def make_data(folder: Path) -> Path:
    """Two small scans with a bright ball (label 5) and a dim box (labels 26 and 27), and a configuration."""
    stream = np.random.Generator(np.random.Philox(3))
    x, y, z = np.indices((24, 24, 16))
    for number in (1, 2):
        ball = (x - 8) ** 2 + (y - 12 - number) ** 2 + (z - 8) ** 2 < 25
        box = (x >= 15) & (x < 21) & (abs(y - 12) < 5)
        label = np.where(ball, 5, 0)
        label[box] = np.where(z[box] < 8, 26, 27)
        image = -1000.0 + 1050 * (((x - 11.5) ** 2 + (y - 11.5) ** 2) < 130) + 90 * ball + 40 * box
        image = (image + stream.normal(0, 8, image.shape)).astype(np.int16)
        write(folder / f"ct_{number}.nii.gz", image, (2.0, 2.0, 2.0), flip=number == 2)
        write(folder / f"seg_{number}.nii.gz", label.astype(np.uint8), (2.0, 2.0, 2.0))
    (folder / "names.json").write_text(json.dumps({"set": {"5": "liver", "26": "vertebrae_L5", "27": "vertebrae_L4"}}))
    config = {
        "name": "tiny",
        "structures": {"liver": ["liver"], "vertebrae": ["vertebrae_*"]},
        "data": {
            "label_names": "names.json",
            "label_set": "set",
            "units": "HU",
            "cases": [
                {"image": "ct_1.nii.gz", "label": "seg_1.nii.gz", "labelled_slices": [0, 12]},
                {"image": "ct_2.nii.gz", "label": "seg_2.nii.gz", "name": "second"},
            ],
        },
        "preprocessing": {"spacing": [2.0, 2.0, 2.0]},
        "network": {"features": [4, 8], "strides": [[1, 1, 1], [2, 2, 2]]},
        "training": {
            "patch_size": [16, 16, 8],
            "batch_size": 1,
            "iterations": 12,
            "checkpoint_every": 4,
            "log_every": 3,
            "average": 0.9,
            "optimizer": {"lr": 0.01, "momentum": 0.9},
        },
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_data(tmp_path)


def run(path: Path, folder: str, *overrides: str, **options: Any) -> Path:
    train(load_config(path, overrides), path.parent / folder, base=path.parent, quiet=True, **options)
    return path.parent / folder


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


class TestCases:
    def config(self, path: Path, *overrides: str) -> Config:
        return load_config(path, overrides)

    def test_labels_are_grouped_and_slices_cut(self, path: Path) -> None:
        first, second = load_cases(self.config(path), path.parent)
        assert first.image.shape == first.label.shape == (24, 24, 12)
        assert (first.name, second.name) == ("case_1", "second")
        assert set(np.unique(second.label.array)) == {0, 1, 2}
        assert second.voxels({"liver": 1, "vertebrae": 2})["vertebrae"] == 6 * 9 * 16
        assert first.image.units == "HU"
        assert len(first.image_sha256) == 64

    def test_left_stays_left_when_only_the_affine_says_so(self, path: Path) -> None:
        _, second = load_cases(self.config(path), path.parent)
        bright = second.image.array > 110
        assert (second.label.array[bright] == 1).mean() > 0.9

    def test_cases_from_a_folder(self, path: Path, tmp_path: Path) -> None:
        folder = "data.folder={path: '.', image: 'ct_{case}.nii.gz', label: 'seg_{case}.nii.gz'}"
        cases = load_cases(self.config(path, "data.cases=[]", folder), path.parent)
        assert [case.name for case in cases] == ["1", "2"]
        (tmp_path / "seg_2.nii.gz").unlink()
        with pytest.raises(InputError, match=r"seg_2\.nii\.gz is absent"):
            load_cases(self.config(path, "data.cases=[]", folder), path.parent)

    @pytest.mark.parametrize(
        ("override", "error", "part"),
        [
            ("data.cases.0.image=nothing.nii.gz", InputError, "case_1: the image .*nothing.nii.gz does not exist"),
            ("data.cases.0.labelled_slices=[0, 99]", InputError, "ends at 99, the image has 16"),
            ("structures.liver=[spleen]", ConfigError, "'spleen' fits no name in names.json"),
            ("structures.liver=[44]", ConfigError, "structures.liver: none of the 2 training cases"),
            ("data.label_set=other", ConfigError, "has no 'other'; it has set"),
            ("data.label_names=absent.json", ConfigError, "absent.json does not exist"),
            ("data.cases.1.label=ct_1.nii.gz", InputError, "negative values, so it is not a label map"),
        ],
    )
    def test_mistakes_are_named(self, path: Path, override: str, error: type[Exception], part: str) -> None:
        with pytest.raises(error, match=part):
            load_cases(self.config(path, override), path.parent)

    def test_other_grid_is_refused(self, path: Path) -> None:
        write(path.parent / "seg_2.nii.gz", np.ones((24, 24, 15), np.uint8), (2.0, 2.0, 2.0))
        with pytest.raises(
            InputError, match=r"second: image \(24 x 24 x 16, 2 x 2 x 2 mm\) and label map \(24 x 24 x 15"
        ):
            load_cases(self.config(path), path.parent)


class TestRun:
    def test_folder_holds_all_that_made_the_model(self, path: Path) -> None:
        folder = run(path, "run", show_agreement=True)
        card = json.loads((folder / "card.json").read_text())
        assert card["labels"] == {"liver": 1, "vertebrae": 2}
        assert card["spacing"] == [2.0, 2.0, 2.0]
        assert card["sources"][0]["labelled_slices"] == [0, 12]
        assert "Research use only" in card["notice"]
        assert load_config(folder / "config.yaml") == load_config(path)
        rows = list(csv.DictReader((folder / "log.csv").read_text().splitlines()))
        assert [int(row["iteration"]) for row in rows] == [3, 6, 9, 12]
        assert set(rows[0]) == {"iteration", "lr", "loss", "agreement_liver", "agreement_vertebrae"}
        events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
        assert [event["step"] for event in events if event["stage"] == "train"] == [3, 6, 9, 12]
        assert all({"time", "stage", "step", "total", "message"} <= event.keys() for event in events)
        assert list((folder / "tensorboard").glob("events.out.tfevents.*"))
        assert not list(folder.glob("*.tmp"))

    def test_same_seed_same_bytes_other_seed_other_bytes(self, path: Path) -> None:
        one, two = run(path, "one"), run(path, "two", "training.workers=0")
        other = run(path, "other", "training.seed=1")
        assert weights(one) == weights(two)
        assert weights(one) != weights(other)

    def test_loss_falls(self, path: Path) -> None:
        folder = run(
            path, "run", "training.iterations=60", "training.log_every=10", "training.augmentation.preset=none"
        )
        losses = [float(row["loss"]) for row in csv.DictReader((folder / "log.csv").read_text().splitlines())]
        assert losses[-1] < 0.7 * losses[0]

    def test_finished_run_is_not_repeated(self, path: Path) -> None:
        folder = run(path, "run")
        before = (folder / "card.json").stat().st_mtime_ns
        run(path, "run")
        assert (folder / "card.json").stat().st_mtime_ns == before
        with pytest.raises(UsageError, match="finished model of another configuration"):
            run(path, "run", "training.seed=9")
        run(path, "run", "training.seed=9", restart=True)
        assert json.loads((folder / "card.json").read_text())["seed"] == 9

    def test_resume_without_checkpoint_is_refused(self, path: Path) -> None:
        with pytest.raises(UsageError, match="nothing to resume"):
            run(path, "run", resume=True)

    def test_numbers_that_explode_are_explained(self, path: Path) -> None:
        with pytest.raises(
            Exception, match=r"the loss is not a number at iteration \d+; a smaller training.optimizer.lr"
        ):
            run(path, "run", "training.optimizer.lr=10", "training.gradient_clip=null", "training.iterations=200",
                "training.optimizer.momentum=0.999")  # fmt: skip


LONG = ("--set", "training.iterations=60", "--set", "training.log_every=1", "--set", "training.checkpoint_every=5")


def command(path: Path, folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli", "train", str(path), "-o", str(folder), "--quiet", *LONG, *options]


def complete(path: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(path, folder, *options), capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=300
    )


def interrupt(path: Path, folder: Path, number: int, iteration: int) -> tuple[int, str]:
    """Start a run, send a signal once it has come to an iteration, and return exit code and stderr."""
    with subprocess.Popen(
        command(path, folder), stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        events = folder / "events.jsonl"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            lines = events.read_text().splitlines() if events.exists() else []
            if any(json.loads(line)["step"] >= iteration for line in lines if line.endswith("}")):
                process.send_signal(number)
                break
            time.sleep(0.01)
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
class TestInterruption:
    def test_killed_run_ends_at_the_same_bytes(self, path: Path) -> None:
        whole, killed = path.parent / "whole", path.parent / "killed"
        assert complete(path, whole).returncode == 0
        code, _ = interrupt(path, killed, signal.SIGKILL, iteration=13)
        assert code == -signal.SIGKILL
        assert not (killed / "card.json").exists()
        assert complete(path, killed, "--resume").returncode == 0
        assert weights(killed) == weights(whole)
        assert (killed / "log.csv").read_bytes() == (whole / "log.csv").read_bytes()

    def test_ctrl_c_writes_a_checkpoint_and_exits_130(self, path: Path) -> None:
        folder = path.parent / "stopped"
        code, errors = interrupt(path, folder, signal.SIGINT, iteration=3)
        assert code == ExitCode.INTERRUPTED
        assert errors.startswith("Stopped: Stopped after iteration")
        assert "Traceback" not in errors
        assert (folder / "checkpoint.safetensors").exists()
        changed = complete(path, folder, "--set", "training.seed=4")
        assert changed.returncode == ExitCode.USAGE
        assert "holds a run that began with another config" in changed.stderr
        assert complete(path, folder).returncode == 0
