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

import framework
import medimg
from framework.training.loggers.events import ScalarWriter, crc32c
from pipelines.config import Config, load_config
from pipelines.errors import ConfigError, ExitCode, InputError, PipelineError, UsageError
from pipelines.preprocess import crop_to_body
from pipelines.train import logs, train
from pipelines.train.cases import load_cases
from pipelines.train.loop import WeightAverage, learning_rate
from pipelines.train.prepare import prepare


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
        threads = framework.get_num_threads()
        try:
            single = run(path, "single", threads=1)
        finally:
            framework.set_num_threads(threads)
        assert weights(one) == weights(two) == weights(single)
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


class TestParts:
    def test_learning_rate(self, path: Path) -> None:
        poly = load_config(path, ["training.iterations=100", "training.warmup=4", "training.optimizer.lr=0.1"])
        assert [learning_rate(poly, n) for n in range(4)] == pytest.approx([0.025, 0.05, 0.075, 0.1])
        assert learning_rate(poly, 4) == pytest.approx(0.1)
        assert learning_rate(poly, 52) == pytest.approx(0.1 * 0.5**0.9)
        cosine = load_config(path, ["training.iterations=100", "training.schedule=cosine", "training.optimizer.lr=0.1"])
        assert [learning_rate(cosine, n) for n in (0, 50)] == pytest.approx([0.1, 0.05])
        assert learning_rate(cosine, 99) < 1e-4

    def test_average_of_weights(self) -> None:
        framework.manual_seed(0)
        layer = framework.nn.Linear(2, 1)
        average = WeightAverage(layer, 0.5)
        first = average.arrays["weight"].copy()
        with framework.no_grad():
            layer.weight.add_(1.0)
        average.update()  # the decay is min(0.5, 2 / 11) at the first update
        np.testing.assert_allclose(average.arrays["weight"], first * 2 / 11 + (first + 1) * 9 / 11, rtol=1e-6)
        assert set(average.weights()) == {"weight", "bias"}

    def test_cases_join_when_their_time_has_come(self, path: Path) -> None:
        options = ["training.iterations=40", "data.cases.1.joins_at=0.5", "training.augmentation.preset=none"]
        config = load_config(path, options)
        cases = load_cases(config, path.parent)
        only_first = config.model_copy(update={"data": config.data.model_copy(update={"cases": config.data.cases[:1]})})
        both, first = prepare(config, cases).patches, prepare(only_first, cases[:1]).patches
        # The intensities are scaled by other constants, so the labels tell where a patch comes from.
        same = [np.array_equal(both[n]["label"], first[n]["label"]) for n in range(40)]
        assert all(same[:20])
        assert not all(same[20:])

    def test_body_is_found_beside_a_table(self) -> None:
        x, y, _ = np.indices((60, 50, 4))
        array = np.full((60, 50, 4), -1000.0)
        array[((x - 25) / 14.0) ** 2 + ((y - 30) / 9.0) ** 2 < 1] = 40
        array[5:55, 8:10] = 200  # the table: thin, so the erosion takes it away
        volume = medimg.Volume(array, np.diag([3.0, 3.0, 5.0, 1.0]), units="HU")
        body = crop_to_body(volume, (10, 10))
        middle = body.voxel_to_world((np.array(body.shape) - 1) / 2)
        np.testing.assert_allclose(middle[:2], [75, 90], atol=3)
        assert body.shape[2] == 4
        assert 20 <= body.shape[0] <= 29
        large = crop_to_body(volume, (64, 20), grow=9.0)
        assert large.shape == (64 + 6, 20 + 6, 4)
        assert large.array[0, 0, 0] == -1024.0
        empty = volume.with_array(np.full((60, 50, 4), -1000.0))
        assert crop_to_body(empty, (10, 10)).shape == (60, 50, 4)

    def test_body_needs_hounsfield_units(self, path: Path) -> None:
        config = load_config(path, ["preprocessing.body_jitter=10", "data.units=null"])
        with pytest.raises(InputError, match="body_jitter is for CT in HU; this image is unknown"):
            prepare(config, load_cases(config, path.parent))

    def test_window_and_scale_come_from_labelled_voxels(self, path: Path) -> None:
        config = load_config(path)
        cases = load_cases(config, path.parent)
        ready = prepare(config, cases)
        values = np.concatenate([case.image.array[case.label.array > 0] for case in cases])
        low, high = np.percentile(values, [0.5, 99.5])
        assert ready.intensity.window == pytest.approx((low, high), abs=3)
        assert ready.intensity.mean == pytest.approx(np.clip(values, low, high).mean(), abs=3)
        assert ready.fingerprint.patch_extent == (32.0, 32.0, 16.0)
        fixed = load_config(path, ["preprocessing.window=[0, 100]"])
        assert prepare(fixed, cases).intensity.window == (0.0, 100.0)


class TestDisplay:
    def test_lines_for_logs(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        train(load_config(path), path.parent / "run", base=path.parent)
        lines = capsys.readouterr().err.splitlines()
        assert lines[0].startswith("iteration 1/12, loss ")
        assert lines[-1].startswith("iteration 12/12, loss ")
        assert lines[-1].endswith("0:00 left")

    def test_bar_for_people(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        display = logs.make_display(start=4, total=10, quiet=False)
        display.show(9, 0.25, 1e-3, 70.0)
        display.note(9, 0.25, 1e-3, {"liver": 0.5, "spleen": float("nan")})
        display.close()
        shown = capsys.readouterr().err
        assert "9/10" in shown
        assert "loss 0.250" in shown
        assert "1:10 left" in shown
        assert "liver 0.50" in shown
        assert "spleen" not in shown

    def test_quiet(self, capsys: pytest.CaptureFixture[str]) -> None:
        display = logs.make_display(start=0, total=10, quiet=True)
        display.show(1, 0.5, 1e-3, 1.0)
        display.note(1, 0.5, 1e-3, {})
        display.close()
        assert capsys.readouterr() == ("", "")


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


LONG = ("--set", "training.iterations=40", "--set", "training.log_every=1", "--set", "training.checkpoint_every=5")


def command(path: Path, folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli", "train", str(path), "-o", str(folder), "--quiet", *LONG, *options]


def complete(path: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(path, folder, *options), capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=300
    )


def interrupt(path: Path, folder: Path, number: int, iteration: int, *options: str) -> tuple[int, str]:
    """Start a run, send a signal once it has come to an iteration, and return exit code and stderr."""
    with subprocess.Popen(
        command(path, folder, *options), stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
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
    @pytest.mark.parametrize("optimizer", ["{name: sgd, lr: 0.01}", "{name: adamw, lr: 0.01}"])
    def test_killed_run_ends_at_the_same_bytes(self, path: Path, optimizer: str) -> None:
        whole, killed = path.parent / "whole", path.parent / "killed"
        options = ("--set", f"training.optimizer={optimizer}", "--set", "data.cases.1.joins_at=0.4")
        assert complete(path, whole, *options).returncode == 0
        code, _ = interrupt(path, killed, signal.SIGKILL, 13, *options)
        assert code == -signal.SIGKILL
        assert not (killed / "card.json").exists()
        assert complete(path, killed, *options, "--resume").returncode == 0
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
