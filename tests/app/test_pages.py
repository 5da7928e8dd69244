"""Every page, as a user meets it: empty, with a study, while a job runs, and with a result."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

from app.workspace import LOCAL_OWNER, Workspace
from pipelines.jobs import Job, JobState

MAIN = Path(__file__).resolve().parents[2] / "app" / "main.py"


@pytest.fixture
def app(work: Workspace) -> Iterator[AppTest]:
    yield AppTest.from_file(str(MAIN), default_timeout=60).run()
    for job in work.jobs.jobs():
        work.jobs.cancel(job.id)
    end = time.monotonic() + 10
    while work.jobs.runner_is_alive() and time.monotonic() < end:
        time.sleep(0.05)


def go(app: AppTest, page: str) -> AppTest:
    return app.switch_page(f"views/{page}.py").run()


def words(app: AppTest) -> str:
    """All that the page says, whatever kind of element says it."""
    parts = [
        str(element.value)
        for kind in ("title", "subheader", "markdown", "caption", "error", "warning", "info")
        for element in app.get(kind)
    ]
    parts += [str(element.proto.body) for element in app.get("html")]
    return "\n".join(parts)


def viewers(app: AppTest) -> list[Any]:
    return list(app.get("bidi_component"))


def header(app: AppTest) -> dict[str, Any]:
    """What the viewer on the page was given."""
    data = viewers(app)[0].proto.bytes
    assert data[:4] == b"VXV1"
    return json.loads(data[8 : 8 + int.from_bytes(data[4:8], "little")])


def parameter(app: AppTest, name: str) -> str:
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


def button(app: AppTest, label: str) -> Any:
    return next(one for one in app.button if one.label == label)


@pytest.mark.parametrize("page", ["study", "segment", "result", "about"])
def test_every_page_opens_on_an_empty_work_folder_and_warns(app: AppTest, page: str) -> None:
    go(app, page)
    assert not app.exception
    assert not app.error
    assert "Research use only" in words(app)


def test_the_sample_study_is_shown_with_its_geometry(app: AppTest) -> None:
    button(app, "Open").click().run()
    assert not app.exception
    assert app.title[0].value == "Upper abdomen, CT"
    shown = header(app)
    assert shown["shape"] == [512, 512, 20]
    assert shown["units"] == "HU"
    assert shown["window"] == [60.0, 400.0]
    assert [preset["name"] for preset in shown["presets"]] == [
        "Abdomen",
        "Soft tissue",
        "Liver",
        "Lung",
        "Bone",
        "Brain",
    ]
    assert "500 \u00d7 500 \u00d7 40 mm" in words(app)


def test_an_uploaded_nifti_is_shown_and_its_name_is_not_kept(app: AppTest, work: Workspace, nifti_bytes: bytes) -> None:
    app.file_uploader[0].set_value(("Doe_Jane_1970.nii", nifti_bytes, "application/octet-stream")).run()
    assert not app.exception
    assert header(app)["shape"] == [40, 36, 12]
    everything = " ".join(str(path) for path in work.folder.rglob("*"))
    everything += " ".join(path.read_text() for path in work.folder.rglob("*.json"))
    assert "doe" not in everything.lower()
    assert "doe" not in words(app).lower()


def test_an_uploaded_zip_of_dicom_is_shown_the_right_way_round(
    app: AppTest, nifti_bytes: bytes, dicom_zip: Callable[..., bytes]
) -> None:
    app.file_uploader[0].set_value(("study.zip", dicom_zip("portal"), "application/zip")).run()
    assert not app.exception
    dicom = viewers(app)[0].proto.bytes
    shown = header(app)
    assert shown["units"] == "HU"
    assert shown["affine"][0] == [2.0, 0.0, 0.0, -40.0]
    button(app, "Another study").click().run()
    app.file_uploader[0].set_value(("study.nii", nifti_bytes, "application/octet-stream")).run()
    nifti = viewers(app)[0].proto.bytes
    assert dicom[-40 * 36 * 12 * 2 :] == nifti[-40 * 36 * 12 * 2 :]  # voxel for voxel the same picture


def test_of_several_series_one_is_chosen(app: AppTest, dicom_zip: Callable[..., bytes]) -> None:
    app.file_uploader[0].set_value(("study.zip", dicom_zip("arterial", "portal"), "application/zip")).run()
    assert not app.exception
    chooser = app.selectbox[0]
    assert "2 series" in chooser.label
    assert ["arterial" in option or "portal" in option for option in chooser.options] == [True, True]
    first = header(app)["id"]
    chooser.select_index(1).run()
    assert not app.exception
    assert header(app)["id"] != first


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("empty.nii", b"", "empty"),
        ("broken.nii", b"\x5c\x01\x00\x00" + b"\0" * 20, "upload.nii"),
        ("notes.zip", b"PK\x05\x06" + b"\0" * 18, "image"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(app: AppTest, name: str, content: bytes, text: str) -> None:
    app.file_uploader[0].set_value((name, content, "application/octet-stream")).run()
    assert not app.exception
    assert len(app.error) == 1
    assert text in app.error[0].value
    assert "Traceback" not in app.error[0].value
    assert not viewers(app)


def test_an_upload_can_be_deleted(app: AppTest, work: Workspace, nifti_bytes: bytes) -> None:
    app.file_uploader[0].set_value(("a.nii", nifti_bytes, "application/octet-stream")).run()
    button(app, "Another study").click().run()
    button(app, "Delete").click().run()
    assert not app.exception
    assert list(work.studies.iterdir()) == []


def test_the_study_survives_a_reload_because_the_address_names_it(app: AppTest, nifti_bytes: bytes) -> None:
    app.file_uploader[0].set_value(("a.nii", nifti_bytes, "application/octet-stream")).run()
    study_id = parameter(app, "study")
    again = AppTest.from_file(str(MAIN), default_timeout=60)
    again.query_params["study"] = study_id
    again.run()
    assert header(again)["shape"] == [40, 36, 12]


def test_without_a_model_the_demonstration_is_offered_and_started_as_a_job(
    app: AppTest, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import json, sys, time; file = open(sys.argv[1], 'a');"
        "file.write(json.dumps({'stage': 'train', 'step': 30, 'total': 120, 'message': 'loss 0.61'}) + chr(10));"
        "file.flush(); print('iteration 30', flush=True); time.sleep(60)"
    )
    monkeypatch.setattr("app.commands.demo_command", lambda output: [sys.executable, "-c", code, "{job}/events.jsonl"])
    go(app, "segment")
    assert "No model has been trained yet" in words(app)
    button(app, "Train the demonstration model").click().run()
    assert not app.exception
    [job] = work.jobs.jobs(LOCAL_OWNER)
    wait(lambda: work.jobs.progress(work.jobs.get(job.id)).step == 30)
    app.run()
    assert "Train the demonstration model" in words(app)
    assert any(bar.proto.value == 25 and "30 of 120" in bar.proto.text for bar in app.get("progress"))
    assert "iteration 30" in app.code[0].value
    assert button(app, "Train the demonstration model").disabled  # not twice
    button(app, "Cancel").click().run()
    assert not app.exception
    assert work.jobs.get(job.id).state is JobState.CANCELLED
    assert "cancelled" in words(app)


def test_a_failed_job_shows_its_cause_and_its_log(app: AppTest, work: Workspace) -> None:
    code = "import sys; print('reading upload'); sys.exit('the study has 3 slices, 8 are needed')"
    job = work.jobs.submit("predict", "Study \u2014 model", [sys.executable, "-c", code], owner=LOCAL_OWNER)
    wait(lambda: work.jobs.get(job.id).state.over)
    go(app, "segment")
    button(app, "Show").click().run()
    assert not app.exception
    assert app.error[0].value == "The study has 3 slices, 8 are needed."
    assert app.code[0].value == "reading upload\nthe study has 3 slices, 8 are needed"


def test_jobs_of_somebody_else_are_not_shown(app: AppTest, work: Workspace) -> None:
    job = work.jobs.submit("predict", "Secret study", [sys.executable, "-c", "pass"], owner="somebody else")
    wait(lambda: work.jobs.get(job.id).state.over)
    for page in ("segment", "result"):
        go(app, page)
        assert "Secret study" not in words(app)


def test_a_model_with_a_card_segments_and_one_without_cannot_be_chosen(
    app: AppTest, work: Workspace, nifti_bytes: bytes, model_card: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = work.runs / "demo", work.runs / "torn"
    for folder in (good, bad):
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights")
    (good / "card.json").write_text(json.dumps(model_card))
    app.file_uploader[0].set_value(("a.nii", nifti_bytes, "application/octet-stream")).run()
    started: list[tuple[Path, Path, str | None]] = []

    def command(model: Path, study: Path, series: str | None) -> list[str]:
        started.append((model, study, series))
        return [sys.executable, "-c", "pass"]

    monkeypatch.setattr("app.commands.segment_command", command)
    go(app, "segment")
    assert not app.exception
    assert app.selectbox[0].options == ["phantom, trained 2026-11-23 05:00"]
    assert "Liver, Spleen" in words(app)
    assert any("torn" in text.value and "card.json" in text.value for text in app.text)
    button(app, "Segment this study").click().run()
    assert not app.exception
    assert [(model, series) for model, _, series in started] == [(good, None)]
    assert started[0][1].name == "upload.nii"


def test_the_result_page_shows_overlay_volumes_warnings_and_files(app: AppTest, finished_job: Job) -> None:
    go(app, "result")
    assert not app.exception
    shown = header(app)
    assert [(one["display"], one["value"]) for one in shown["structures"]] == [("Liver", 1), ("Spleen", 2)]
    liver = shown["structures"][0]
    assert liver["centre"] == [28, 20, 7]  # the middle of the ellipsoid in the phantom
    assert liver["millilitres"] == pytest.approx(4 / 3 * 3.14159 * 7 * 7 * 4 * 0.012, rel=0.05)
    assert app.warning[0].value == "The input is unlike the training data: it shows only 36 mm head-foot."
    table = app.dataframe[0].value
    assert list(table.columns) == ["Structure", "Volume (ml)"]
    assert [one.proto.label for one in app.get("download_button")] == ["Label map (NIfTI)", "Report (HTML)"]


def test_a_result_opens_from_the_list_of_jobs(app: AppTest, finished_job: Job) -> None:
    go(app, "segment")
    button(app, "Open").click().run()
    assert not app.exception
    assert app.title[0].value == "Result"
    assert viewers(app)


def test_a_result_can_be_deleted_from_the_list_of_jobs(app: AppTest, finished_job: Job) -> None:
    go(app, "segment")
    button(app, "Delete").click().run()
    assert not app.exception
    assert not finished_job.folder.exists()
    assert "phantom" not in words(app)


def test_a_result_whose_study_was_deleted_still_hands_out_its_files(
    app: AppTest, finished_job: Job, work: Workspace
) -> None:
    import shutil

    shutil.rmtree(work.studies / finished_job.context["study"])
    go(app, "result")
    assert not app.exception
    assert "was deleted" in app.warning[-1].value
    assert len(app.get("download_button")) == 2


def test_a_result_that_is_not_whole_is_refused_in_words(app: AppTest, finished_job: Job) -> None:
    (finished_job.outputs / "segmentation.nii.gz").unlink()
    go(app, "result")
    assert not app.exception
    assert "not complete" in app.error[0].value


def test_a_result_is_not_shown_on_another_study(app: AppTest, finished_job: Job, work: Workspace) -> None:
    path = work.studies / finished_job.context["study"] / "upload.nii"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    go(app, "result")
    assert not app.exception
    assert "not the one that was segmented" in app.error[0].value
    assert not viewers(app)


def test_the_demonstration_is_among_the_results_with_its_agreement(app: AppTest, work: Workspace) -> None:
    import nibabel
    import numpy as np

    import medimg
    from app.studies import samples

    sample = medimg.read(samples()[0].path)
    labels = np.zeros(sample.shape, np.uint8)
    labels[100:200, 200:300, 5:15] = 1
    folder = work.runs / "demo" / "study"
    folder.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(labels, sample.affine), folder / "segmentation.nii.gz")
    record = {
        "input": {"sha256": sample.provenance.sha256},
        "labels": {"liver": 1},
        "volumes_ml": {"liver": 190.7},
        "agreement": {"with": "somebody's labels", "dice": {"liver": 0.91}},
        "outputs": {"nifti": {"file": "segmentation.nii.gz"}},
    }
    (folder / "result.json").write_text(json.dumps(record))
    go(app, "result")
    assert not app.exception
    assert not app.error
    table = app.dataframe[0].value
    assert list(table.columns) == ["Structure", "Volume (ml)", "Agreement (Dice)"]
    assert table["Agreement (Dice)"][0] == 0.91
    assert "somebody's labels" in words(app)
    assert header(app)["shape"] == [512, 512, 20]


def test_options_that_read_alike_are_told_apart() -> None:
    from app.ui import distinct

    assert distinct({1: "CT", 2: "MR", 3: "CT"}) == {1: "CT", 2: "MR", 3: "CT (2)"}


def test_shared_use_gives_every_tab_an_owner_of_its_own(
    work: Workspace, nifti_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["main.py", "--work", str(work.folder), "--shared"])
    first = AppTest.from_file(str(MAIN), default_timeout=60).run()
    first.file_uploader[0].set_value(("a.nii", nifti_bytes, "application/octet-stream")).run()
    study, token = parameter(first, "study"), parameter(first, "owner")
    stranger = AppTest.from_file(str(MAIN), default_timeout=60)
    stranger.query_params["study"] = study
    stranger.run()
    assert not viewers(stranger)
    reloaded = AppTest.from_file(str(MAIN), default_timeout=60)
    reloaded.query_params["study"], reloaded.query_params["owner"] = study, token
    reloaded.run()
    assert viewers(reloaded)


def wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this should have happened by now"
        time.sleep(0.02)
