"""Training: cases are read and grouped rightly, runs repeat, resume bit for bit after a kill, and stop cleanly."""

import csv
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from segmentation_task import make_task, write_nifti

from pipelines.config import Config, load_config
from pipelines.errors import ConfigError, ExitCode, InputError, PipelineError, UsageError
from pipelines.train import train
from pipelines.train.cases import load_cases
from pipelines.train.tensorboard import ScalarWriter, crc32c


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_task(tmp_path)


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
        write_nifti(path.parent / "seg_2.nii.gz", np.ones((24, 24, 15), np.uint8), (2.0, 2.0, 2.0))
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

    def test_a_loss_that_is_not_a_number_stops_with_advice(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from medimg import losses

        monkeypatch.setattr(losses.DiceCELoss, "forward", lambda self, logits, target: logits.sum() * float("nan"))
        with pytest.raises(PipelineError, match="not a number at iteration 0; a smaller"):
            run(path, "run")
        assert not (path.parent / "run" / "card.json").exists()


class TestTensorBoard:
    def records(self, path: Path) -> list[bytes]:
        """The events of a file, checksums verified by tensorboardX."""
        from tensorboardX.record_writer import masked_crc32c

        data, events = path.read_bytes(), []
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            events.append(data[12 : 12 + length])
            assert data[8:12] == struct.pack("<I", masked_crc32c(data[:8]))
            assert data[12 + length : 16 + length] == struct.pack("<I", masked_crc32c(events[-1]))
            data = data[16 + length :]
        return events

    def test_files_are_what_tensorboard_reads(self, tmp_path: Path) -> None:
        pytest.importorskip("tensorboardX")
        from tensorboardX.proto.event_pb2 import Event

        writer = ScalarWriter(tmp_path, purge_step=300)
        writer.add(300, loss=0.5, lr=1e-3)
        writer.add(70_000, **{"agreement/liver": -2.25})
        writer.close()
        (path,) = tmp_path.iterdir()
        version, purge, first, second = [Event.FromString(record) for record in self.records(path)]
        assert version.file_version == "brain.Event:2"
        assert (purge.step, purge.session_log.status) == (300, purge.session_log.START)
        assert {value.tag: value.simple_value for value in first.summary.value} == pytest.approx(
            {"loss": 0.5, "lr": 1e-3}
        )
        assert (second.step, second.summary.value[0].tag) == (70_000, "agreement/liver")
        assert second.summary.value[0].simple_value == -2.25
        assert abs(second.wall_time - time.time()) < 60

    def test_checksum_of_the_standard(self) -> None:
        assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
        assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4

    def test_training_imports_no_other_framework(self, path: Path) -> None:
        code = (
            "import sys\n"
            "from pipelines.cli import main\n"
            "try: main(sys.argv[1:])\n"
            "except SystemExit as end: assert not end.code, end.code\n"
            "print([name for name in ('torch', 'tensorflow', 'jax', 'tensorboardX') if name in sys.modules])\n"
        )
        arguments = ["train", str(path), "-o", str(path.parent / "run"), "--quiet"]
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300)
        assert done.stdout.strip() == "[]", done.stderr


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
