"""Prediction: right voxels on the study's own grid, checked input, one bad study is a row, models are what they say."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import yaml
from dicom_factory import lps_affine, make_series, save
from segmentation_task import make_scan, make_task, write_nifti

import medimg
from medimg import Provenance, Volume
from pipelines.cli import main
from pipelines.config import load_config
from pipelines.errors import ExitCode, InputError, ModelError, UsageError
from pipelines.evaluate import evaluate, label_names
from pipelines.fingerprint import Fingerprint, appearance
from pipelines.predict import (
    Model,
    Segmentation,
    case_names,
    check_input,
    load_model,
    predict_studies,
    predict_study,
    segment,
)
from pipelines.predict.qc import UNLIKE
from pipelines.train import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows the ball and the box."""
    folder = tmp_path_factory.mktemp("task")
    path = make_task(folder)
    changes = (
        "training.iterations=150",
        "training.optimizer={name: adamw, lr: 0.01}",
        "training.augmentation.preset=none",
        "training.foreground_fraction=0.7",
    )
    train(load_config(path, changes), folder / "model", base=folder, quiet=True)
    return folder / "model"


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A third scan, stored with its first axis to the patient's left."""
    image, _ = make_scan(3)
    write_nifti(tmp_path / "third.nii.gz", image, (2.0, 2.0, 2.0), flip=True)
    return tmp_path / "third.nii.gz"


def dicom_study(folder: Path, number: int = 3) -> Path:
    """The scan as a DICOM series: columns run to the patient's left, rows to the back."""
    image, _ = make_scan(number)
    stored = np.ascontiguousarray(image[::-1, ::-1, :]) + 1024
    return save(make_series(stored.astype(np.int16), lps_affine(spacing=(2.0, 2.0, 2.0))), folder)


def truth(number: int = 3) -> np.ndarray:
    _, label = make_scan(number)
    return np.select([label == 5, label > 5], [1, 2], 0)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


class TestStudy:
    def test_nifti_in_nifti_out_on_the_same_grid(self, trained: Path, scan: Path, tmp_path: Path) -> None:
        result = predict_study(load_model(trained), scan, tmp_path / "out", "third")
        given, written = nibabel.load(scan), nibabel.load(result.outputs["nifti"])
        np.testing.assert_allclose(written.affine, given.affine)
        labels = np.asarray(written.dataobj)
        expected = truth()[::-1]  # the file runs to the patient's left
        assert dice(labels == 1, expected == 1) > 0.85
        assert dice(labels == 2, expected == 2) > 0.85
        assert set(result.outputs) == {"nifti", "report"}
        assert "Research use only" in result.outputs["report"].read_text(encoding="utf-8")

    def test_result_names_what_made_it(self, trained: Path, scan: Path, tmp_path: Path) -> None:
        predict_study(load_model(trained), scan, tmp_path / "out", "third")
        record = json.loads((tmp_path / "out" / "result.json").read_text())
        card = json.loads((trained / "card.json").read_text())
        assert record["model"]["weights_sha256"] == card["weights_sha256"]
        assert record["input"]["sha256"] == medimg.read(scan).provenance.sha256
        assert record["volumes_ml"]["liver"] == pytest.approx((truth() == 1).sum() * 0.008, rel=0.3)
        assert record["warnings"] == []
        assert {place["structure"] for place in record["least_sure"]} == {"liver", "vertebrae"}
        for place in record["least_sure"]:
            x, _, z = place["voxel"]
            assert (x >= 12) == (place["structure"] == "liver")  # stored towards the patient's left, where the ball is
            assert 0 <= z < 16
            assert 0 < place["probability"] <= 1
        assert {"voxhelix", "numpy", "python"} <= record["versions"].keys()
        assert "Research use only" in record["notice"]
        assert not list((tmp_path / "out").glob(".*tmp"))

    def test_settled_slices_raise_no_doubts(self, trained: Path, scan: Path) -> None:
        model, image = load_model(trained), replace(medimg.read(scan), units="HU")
        settled = np.zeros(image.shape, bool)
        settled[:, :, :9] = True
        for doubt in segment(model, image, settled=settled).doubts:
            assert round(image.world_to_voxel(doubt.place)[2]) >= 9
        everything = np.ones(image.shape, bool)
        assert segment(model, image, settled=everything).doubts == ()

    def test_nan_outside_the_field_of_view(self, trained: Path, tmp_path: Path) -> None:
        image, _ = make_scan(3)
        holed = np.where(image < -900, np.nan, image.astype(np.float32)).astype(np.float32)
        write_nifti(tmp_path / "holed.nii.gz", holed, (2.0, 2.0, 2.0))
        result = predict_study(load_model(trained), tmp_path / "holed.nii.gz", tmp_path / "out", "holed")
        assert dice(result.labels.array == 1, truth() == 1) > 0.85
        assert any("voxels hold NaN or infinity" in note for note in result.record["input"]["notes"])
        write_nifti(tmp_path / "none.nii.gz", np.full((8, 8, 8), np.nan, np.float32), (2.0, 2.0, 2.0))
        with pytest.raises(InputError, match="no number at all"):
            predict_study(load_model(trained), tmp_path / "none.nii.gz", tmp_path / "out", "none")

    def test_same_input_same_bytes(self, trained: Path, scan: Path, tmp_path: Path) -> None:
        model = load_model(trained)
        one = predict_study(model, scan, tmp_path / "one", "third")
        two = predict_study(model, scan, tmp_path / "two", "third")
        assert one.outputs["nifti"].read_bytes() == two.outputs["nifti"].read_bytes()
        assert one.outputs["report"].read_bytes() == two.outputs["report"].read_bytes()

    def test_other_spacing_and_axes_lead_to_the_same_place(self, trained: Path, tmp_path: Path) -> None:
        """The scan with every voxel halved along x and axes permuted: labels come back on that grid."""
        image, _ = make_scan(3)
        fine = np.repeat(image, 2, axis=0).transpose(2, 0, 1)
        affine = np.zeros((4, 4))
        affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = 2.0, 1.0, 2.0, 1.0
        affine[0, 3] = -0.5
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(fine), affine), tmp_path / "odd.nii.gz")
        result = predict_study(load_model(trained), tmp_path / "odd.nii.gz", tmp_path / "out", "odd")
        expected = np.repeat(truth(), 2, axis=0).transpose(2, 0, 1)
        assert result.labels.shape == expected.shape
        assert dice(result.labels.array == 1, expected == 1) > 0.85

    def test_dicom_gets_a_segmentation_object_without_a_patient(self, trained: Path, tmp_path: Path) -> None:
        import pydicom

        study = dicom_study(tmp_path / "dicom")
        result = predict_study(load_model(trained), study, tmp_path / "out", "study")
        assert set(result.outputs) == {"nifti", "dicom-seg", "report"}
        seg = pydicom.dcmread(result.outputs["dicom-seg"])
        assert seg.Modality == "SEG"
        assert [segment.SegmentNumber for segment in seg.SegmentSequence] == [1, 2]
        ras = medimg.transforms.orient(result.labels, "RAS")
        assert dice(ras.array == 1, truth() == 1) > 0.85
        for path in (tmp_path / "out").iterdir():
            if path.suffix != ".dcm":
                assert b"SECRET" not in path.read_bytes()

    def test_formats_that_do_not_fit_are_refused(self, trained: Path, scan: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="DICOM SEG refers to DICOM images"):
            predict_study(load_model(trained), scan, tmp_path / "out", "third", formats=["dicom-seg"])
        assert not (tmp_path / "out").exists()

    def test_nothing_found_is_a_result_too(
        self, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from pipelines.predict import study

        def nothing(model: Model, image: Volume, progress: object, settled: object) -> Segmentation:
            return Segmentation(image.with_array(np.zeros(image.shape, np.uint8), "label"), ())

        monkeypatch.setattr(study, "segment", nothing)
        result = predict_study(load_model(trained), dicom_study(tmp_path / "dicom"), tmp_path / "out", "air")
        assert set(result.outputs) == {"nifti", "report"}
        assert any("nothing was found, so there is no DICOM SEG" in warning for warning in result.warnings)


class TestBatch:
    def test_one_bad_study_is_a_row(
        self, trained: Path, scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        broken = tmp_path / "broken.nii.gz"
        broken.write_bytes(scan.read_bytes()[:500])
        study = dicom_study(tmp_path / "dicom")
        with pytest.raises(SystemExit) as ended:
            main(["predict", str(trained), str(broken), str(scan), str(study), "-o", str(tmp_path / "out")])
        assert ended.value.code == ExitCode.SOME_CASES_FAILED
        rows = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
        assert [(row["case"], row["status"]) for row in rows] == [
            ("broken", "failed"),
            ("third", "ok"),
            ("dicom", "ok"),
        ]
        assert "broken.nii.gz" in rows[0]["cause"]
        assert (tmp_path / "out" / rows[1]["outputs"]["nifti"]).exists()
        assert (tmp_path / "out" / rows[2]["outputs"]["dicom-seg"]).exists()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        assert "SECRET" not in captured.out + captured.err

    def test_exit_codes(self, trained: Path, scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        def code(*arguments: object) -> int:
            with pytest.raises(SystemExit) as ended:
                main(["predict", *map(str, arguments), "-o", str(tmp_path / "out")])
            return int(ended.value.code or 0)

        assert code(trained, scan, "--format", "nifti", "-q") == ExitCode.OK
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "manifest.jsonl", "result.json", "segmentation.nii.gz",
        ]  # fmt: skip
        assert code(trained, tmp_path / "absent.nii.gz") == ExitCode.BAD_INPUT
        assert code(tmp_path, scan) == ExitCode.BAD_INPUT
        assert code(trained, scan, "--format", "dicom-seg") == ExitCode.USAGE
        assert "Traceback" not in capsys.readouterr().err

    def test_resume_repeats_only_what_is_missing_or_changed(
        self, trained: Path, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from pipelines.predict import study

        other = tmp_path / "other.nii.gz"
        shutil.copy(scan, other)
        work, segmented = study.segment, []

        def counting(model: Model, image: Volume, *rest: object) -> Segmentation:
            segmented.append(image.provenance.path)
            return work(model, image, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(study, "segment", counting)

        def run() -> int:
            segmented.clear()
            inputs = [scan, other]
            return predict_studies(trained, inputs, tmp_path / "out", formats=["nifti"], quiet=True, resume=True)

        assert run() == 0
        assert len(segmented) == 2
        first = (tmp_path / "out" / "manifest.jsonl").read_text()
        assert run() == 0
        assert segmented == []
        second = (tmp_path / "out" / "manifest.jsonl").read_text()
        assert [{**json.loads(line), "seconds": 0} for line in first.splitlines()] == [
            {**json.loads(line), "seconds": 0} for line in second.splitlines()
        ]
        damaged = tmp_path / "out" / "third" / "segmentation.nii.gz"
        damaged.write_bytes(damaged.read_bytes()[:-10])
        image, _ = make_scan(2)
        write_nifti(other, image, (2.0, 2.0, 2.0))
        assert run() == 0
        assert len(segmented) == 2

    def test_all_bad(self, trained: Path, tmp_path: Path) -> None:
        absent = [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"]
        assert predict_studies(trained, absent, tmp_path / "out", quiet=True) == ExitCode.BAD_INPUT
        assert len((tmp_path / "out" / "manifest.jsonl").read_text().splitlines()) == 2

    def test_events_tell_how_far_it_is(self, trained: Path, scan: Path, tmp_path: Path) -> None:
        events = tmp_path / "events.jsonl"
        predict_studies(trained, [scan], tmp_path / "out", formats=["nifti"], events=events, quiet=True)
        stages = [json.loads(line) for line in events.read_text().splitlines()]
        assert stages[0]["stage"] == "read"
        assert stages[-1]["stage"] == "done"
        counts = [event["step"] for event in stages if event["stage"] == "segment"]
        assert counts == sorted(counts)
        assert counts[-1] == max(event["total"] for event in stages) > 1

    def test_names_of_cases(self) -> None:
        paths = [Path("a/ct.nii.gz"), Path("b/ct.nii"), Path("c/study.zip"), Path("d/ct.NRRD")]
        assert case_names(paths) == ["ct", "ct_2", "study", "ct_3"]


class TestModel:
    def copy(self, trained: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(trained, tmp_path / "copy"))

    def test_the_folder_above_is_guessed(self, trained: Path, tmp_path: Path) -> None:
        folder = self.copy(trained, tmp_path)
        with pytest.raises(ModelError, match=f"did you mean {folder}"):
            load_model(tmp_path)

    def test_changed_weights_are_refused(self, trained: Path, tmp_path: Path) -> None:
        folder = self.copy(trained, tmp_path)
        content = bytearray((folder / "model.safetensors").read_bytes())
        content[-1] ^= 1
        (folder / "model.safetensors").write_bytes(content)
        with pytest.raises(ModelError, match="its hash differs"):
            load_model(folder)

    def test_models_of_an_earlier_configuration_schema_still_load(self, trained: Path, tmp_path: Path) -> None:
        folder = self.copy(trained, tmp_path)
        config = yaml.safe_load((folder / "config.yaml").read_text())
        del config["training"]["workers"]  # as if the field had come later
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        card = json.loads((folder / "card.json").read_text())
        card["config_sha256"] = hashlib.sha256((folder / "config.yaml").read_bytes()).hexdigest()
        (folder / "card.json").write_text(json.dumps(card))
        assert load_model(folder).card.name == card["name"]

    def test_changed_configuration_is_refused(self, trained: Path, tmp_path: Path) -> None:
        folder = self.copy(trained, tmp_path)
        text = (folder / "config.yaml").read_text()
        (folder / "config.yaml").write_text(text.replace("overlap: 0.5", "overlap: 0.1"))
        with pytest.raises(ModelError, match="was changed after training"):
            load_model(folder)

    @pytest.mark.parametrize(
        ("change", "part"),
        [
            (lambda folder: (folder / "card.json").unlink(), "has not finished"),
            (lambda folder: (folder / "model.safetensors").unlink(), "has no model.safetensors"),
            (lambda folder: (folder / "card.json").write_text("{"), "not readable as JSON"),
            (lambda folder: (folder / "card.json").write_text('{"format": "other"}'), "says format 'other'"),
            (lambda folder: shutil.rmtree(folder), "there is no model folder"),
        ],
    )
    def test_damage_is_named(self, trained: Path, tmp_path: Path, change, part: str) -> None:  # type: ignore[no-untyped-def]
        folder = self.copy(trained, tmp_path)
        change(folder)
        with pytest.raises(ModelError, match=part):
            load_model(folder)


class TestChecks:
    def image(self, number: int = 1) -> Volume:
        image, _ = make_scan(number)
        return Volume(image, np.diag([2.0, 2.0, 2.0, 1.0]), units="HU", provenance=Provenance(modality="CT"))

    def fingerprint(self) -> Fingerprint:
        images = (appearance(self.image(1)), appearance(self.image(2)))
        return Fingerprint(images=images, foreground={"std": 40.0}, patch_extent=(32.0, 32.0, 16.0))

    def warnings(self, volume: Volume) -> str:
        found = check_input(volume, self.fingerprint())
        assert all(warning.startswith(UNLIKE) for warning in found)
        return " | ".join(warning.removeprefix(UNLIKE) for warning in found)

    def test_another_scan_of_the_kind_passes(self) -> None:
        assert check_input(self.image(3), self.fingerprint()) == ()

    def test_modality(self) -> None:
        volume = replace(self.image(), provenance=Provenance(modality="MR"))
        assert "its modality is MR, the model knows CT" in self.warnings(volume)

    def test_contrast_phase(self) -> None:
        array = self.image().array
        brighter = self.image().with_array(np.where(array > -200, array + 40, array))
        assert "its soft tissue is brighter, 4" in self.warnings(brighter)

    def test_values_that_are_not_hu(self) -> None:
        array = self.image().array.astype(np.float32)
        grey = self.image().with_array((array + 1000) / 5)
        assert "nothing as dark as air" in self.warnings(grey)

    def test_coarse_voxels_and_small_field(self) -> None:
        coarse = Volume(self.image().array, np.diag([2.0, 2.0, 5.0, 1.0]), units="HU")
        assert "its voxels measure 5 mm head-foot, training 2 mm" in self.warnings(coarse)
        small = replace(self.image(), array=self.image().array[:, :, :4])
        assert "it shows only 8 mm head-foot, the model looks at 16 mm at a time" in self.warnings(small)

    def test_oblique(self) -> None:
        angle = np.deg2rad(30)
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        volume = replace(self.image(), affine=turn @ np.diag([2.0, 2.0, 2.0, 1.0]))
        assert "its axes are 30 degrees off the patient's" in self.warnings(volume)

    def test_warnings_reach_result_and_report(self, trained: Path, tmp_path: Path) -> None:
        image, _ = make_scan(3)
        write_nifti(
            tmp_path / "late.nii.gz", np.where(image > -200, image + 60, image).astype(np.int16), (2.0, 2.0, 2.0)
        )
        result = predict_study(load_model(trained), tmp_path / "late.nii.gz", tmp_path / "out", "late")
        (warning,) = result.warnings
        assert warning.startswith("the input is unlike the training data: its soft tissue is brighter")
        assert "unlike the training data" in result.outputs["report"].read_text(encoding="utf-8")


class TestEvaluate:
    def maps(self, folder: Path) -> tuple[Path, Path]:
        """A map, and the same map shifted by one voxel and stored with its first axis reversed."""
        write_nifti(folder / "a.nii.gz", truth().astype(np.uint8), (2.0, 2.0, 2.0))
        write_nifti(folder / "b.nii.gz", np.roll(truth(), 1, axis=1).astype(np.uint8), (2.0, 2.0, 2.0), flip=True)
        return folder / "a.nii.gz", folder / "b.nii.gz"

    def test_files_on_reversed_axes(self, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        one, two = self.maps(tmp_path)
        files = ["--json", str(tmp_path / "t.json"), "--csv", str(tmp_path / "t.csv")]
        with pytest.raises(SystemExit) as ended:
            main(["evaluate", str(one), str(two), "--names", str(trained), *files])
        assert ended.value.code == 0
        rows = {row["name"]: row for row in json.loads((tmp_path / "t.json").read_text())["structures"]}
        box = truth() == 2
        assert rows["vertebrae"]["dice"] == pytest.approx(dice(box, np.roll(box, 1, axis=1)))
        assert rows["vertebrae"]["hd95"] == pytest.approx(2.0)
        assert rows["liver"]["volume_ml"] == pytest.approx((truth() == 1).sum() * 0.008)
        lines = (tmp_path / "t.csv").read_text().splitlines()
        assert lines[0].startswith("label,name,found,dice,")
        assert len(lines) == 3
        assert "vertebrae" in capsys.readouterr().out

    def test_missing_structure_has_no_distance(self, tmp_path: Path) -> None:
        volume = Volume(truth().astype(np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]), units="label")
        without = volume.with_array(np.where(volume.array == 2, 0, volume.array))
        rows = evaluate(without, volume, {"liver": 1, "vertebrae": 2})
        assert [row.found for row in rows] == ["both", "missed"]
        assert rows[1].dice == 0
        assert np.isinf(rows[1].hd95)

    def test_mistakes(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        one, _ = self.maps(tmp_path)
        write_nifti(tmp_path / "c.nii.gz", truth()[:, :, 1:].astype(np.uint8), (2.0, 2.0, 2.0))
        write_nifti(tmp_path / "f.nii.gz", truth() + 0.5, (2.0, 2.0, 2.0))
        for other, part in (
            ("c.nii.gz", "not on the same grid"),
            ("f.nii.gz", "fractions"),
            ("z.nii.gz", "does not exist"),
        ):
            with pytest.raises(SystemExit) as ended:
                main(["evaluate", str(one), str(tmp_path / other)])
            assert ended.value.code == ExitCode.BAD_INPUT
            assert part in capsys.readouterr().err

    def test_names_come_from_table_or_header(self, trained: Path, scan: Path, tmp_path: Path) -> None:
        table = tmp_path / "names.json"
        table.write_text('{"1": "liver"}')
        assert label_names(table, tmp_path / "x") == {"liver": 1}
        table.write_text("[1]")
        with pytest.raises(InputError, match="should be a model folder"):
            label_names(table, tmp_path / "x")
        result = predict_study(load_model(trained), scan, tmp_path / "out", "third", formats=["nifti"])
        assert label_names(None, result.outputs["nifti"]) == {"liver": 1, "vertebrae": 2}
