"""The demonstration: the unseen slices stay unseen, floors are honest, results are on the study's grid."""

import json
from pathlib import Path

import numpy as np
import pytest

import medimg
from medimg import Volume
from pipelines.cli import main
from pipelines.config import Case, Config
from pipelines.demo.compare import agreement_unseen, copy_floor, threshold_floor
from pipelines.demo.run import completed
from pipelines.demo.samples import Task, demo_config, find_samples, load_task
from pipelines.errors import ExitCode, InputError
from pipelines.train.cases import load_cases

SMALL = (
    "network.features=[4, 4, 4, 4, 4]",
    "training.iterations=3",
    "training.warmup=1",
    "training.log_every=1",
)


@pytest.fixture(scope="module")
def config() -> Config:
    return demo_config()


@pytest.fixture(scope="module")
def task(config: Config) -> Task:
    return load_task(config, find_samples(None))


class TestSamples:
    def test_eight_superior_slices_are_never_shown(self, config: Config, task: Task) -> None:
        assert task.unseen_slices == 8
        assert task.reference.shape == (512, 512, 20)
        height = task.reference.voxel_to_world([[0, 0, k] for k in range(20)])[:, 2]
        seen = task.shown.any(axis=(0, 1))
        assert height[seen].max() < height[~seen].min()
        study, example = load_cases(config, find_samples(None))
        assert study.image.shape == study.label.shape == (512, 512, 12)
        top = study.image.voxel_to_world([0, 0, 11])[2]
        assert top == pytest.approx(height[seen].max())
        assert example.label.shape == (122, 101, 112)
        assert all(count > 1000 for case in (study, example) for count in case.voxels(config.labels).values())

    def test_labels_lie_on_their_organs(self, task: Task, config: Config) -> None:
        """The label map is stored with rows the other way round; only the affine brings it to its place."""
        image = medimg.read(task.source)
        liver = image.array[task.reference.array == config.labels["liver"]]
        assert 80 < np.median(liver) < 110
        assert liver.std() < 40
        world = task.reference.voxel_to_world(np.argwhere(task.reference.array == config.labels["liver"]))
        spleen = task.reference.voxel_to_world(np.argwhere(task.reference.array == config.labels["spleen"]))
        assert world[:, 0].mean() > spleen[:, 0].mean()  # the liver lies on the right: RAS+ x grows to the right

    def test_absent_samples_are_explained(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="has no folder ct_dicom; --data takes"):
            find_samples(tmp_path)


class TestFloors:
    def small(self) -> tuple[Volume, Task]:
        """A box that grows by one voxel a slice; slices 0 to 3 of 6 were shown; bright inside."""
        label = np.zeros((8, 8, 6), np.uint8)
        for k in range(6):
            label[: k + 2, :4, k] = 1
        shown = np.zeros(label.shape, bool)
        shown[:, :, :4] = True
        image = np.where(label == 1, 100, 0).astype(np.int16)
        image[7, 7, 5] = 100
        reference = Volume(label, np.eye(4), units="label")
        case = Case(image="a", label="b", labelled_slices=(0, 4))
        return reference.with_array(image, "HU"), Task(case, Path("a"), reference, shown)

    def test_copy_of_the_nearest_slice(self) -> None:
        _, task = self.small()
        # slice 3 has 5 rows of 4; the unseen ones have 6 and 7 rows: 2 (20 + 20) / (40 + 24 + 28)
        assert copy_floor(task, {"box": 1})["box"] == pytest.approx(2 * 40 / (40 + 52))

    def test_threshold_is_chosen_on_shown_slices_only(self) -> None:
        image, task = self.small()
        # fits the shown slices exactly; one bright voxel too many on the unseen ones
        assert threshold_floor(image, task, {"box": 1})["box"] == pytest.approx(2 * 52 / (52 + 53))

    def test_agreement_counts_unseen_slices_only(self) -> None:
        _, task = self.small()
        wrong_where_shown = np.where(task.shown, 0, task.reference.array)
        assert agreement_unseen(wrong_where_shown, task, {"box": 1})["box"] == 1.0
        assert np.isnan(agreement_unseen(wrong_where_shown, task, {"other": 2})["other"])

    def test_given_slices_stay_as_they_were(self) -> None:
        _, task = self.small()
        labels = task.reference.with_array(np.full((8, 8, 6), 7, np.uint8))
        whole = completed(labels, task).array
        assert np.array_equal(whole[:, :, :4], task.reference.array[:, :, :4])
        assert (whole[:, :, 4:] == 7).all()

    def test_floors_of_the_real_study(self, config: Config, task: Task) -> None:
        copied = copy_floor(task, config.labels)
        assert copied["liver"] == pytest.approx(0.968, abs=0.002)
        assert copied["vertebrae"] == pytest.approx(0.609, abs=0.002)
        best = threshold_floor(medimg.read(task.source), task, config.labels)
        assert 0.5 < best["liver"] < 0.8
        assert best["vertebrae"] < 0.5


@pytest.mark.slow
def test_from_training_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "demo"
    changes = [part for change in SMALL for part in ("--set", change)]
    events = tmp_path / "events.jsonl"
    with pytest.raises(SystemExit) as ended:
        main(["demo", "-o", str(output), "--events", str(events), *changes])
    captured = capsys.readouterr()
    assert ended.value.code == ExitCode.OK, captured.err
    out = " ".join(captured.out.split())
    for part in ("liver", "back muscles", "best single", "agreement, not accuracy", "make app", "Research use only"):
        assert part in out
    assert "unlike the training data" in out  # the model that saw the other scan alone
    study = output / "study"
    record = json.loads((study / "result.json").read_text())
    assert record["agreement"]["dice"].keys() == record["labels"].keys()
    assert record["agreement"]["others"].keys() == {"nearest slice copied", "other scan only"}
    card = json.loads((output / "model" / "card.json").read_text())
    assert card["scores"]["agreement_dice_unseen"] == record["agreement"]["dice"]
    labels = medimg.read(study / "segmentation.nii.gz")
    config = demo_config()
    task = load_task(config, find_samples(None))
    given = medimg.transforms.resample_to(task.reference, labels, label=True).array
    shown = medimg.transforms.resample_to(task.reference.with_array(task.shown.astype(np.uint8)), labels, label=True)
    assert np.array_equal(labels.array[shown.array == 1], given[shown.array == 1])
    assert (study / "segmentation.dcm").exists()
    report = (study / "report.html").read_text(encoding="utf-8")
    assert "hold the given labels" in report
    stages = {json.loads(line)["stage"] for line in events.read_text().splitlines()}
    assert {"prepare", "train", "segment", "write", "done"} <= stages


def test_absent_data_folder_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--data", str(tmp_path), "-o", str(tmp_path / "out")])
    assert ended.value.code == ExitCode.BAD_INPUT
    assert capsys.readouterr().err.startswith(f"Error: {tmp_path} has no folder ct_dicom")
