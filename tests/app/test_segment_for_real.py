"""From the page to the voxels and back: a trained model runs as a job, its result is shown on the study."""

import os
import time
from pathlib import Path

import pytest
from segmentation_task import make_scan, make_task, write_nifti

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

from app.workspace import LOCAL_OWNER, Workspace
from pipelines.config import load_config
from pipelines.jobs import JobState
from pipelines.train import train

MAIN = Path(__file__).resolve().parents[2] / "app" / "main.py"


@pytest.mark.slow
def test_a_study_is_uploaded_segmented_in_another_process_and_shown(work: Workspace, tmp_path: Path) -> None:
    config = make_task(tmp_path)
    train(load_config(config, ["training.iterations=12"]), work.runs / "small", base=tmp_path, quiet=True)
    image, _ = make_scan(3)
    write_nifti(tmp_path / "scan.nii.gz", image, (2.0, 2.0, 2.0), flip=True)

    app = AppTest.from_file(str(MAIN), default_timeout=60).run()
    content = (tmp_path / "scan.nii.gz").read_bytes()
    app.file_uploader[0].set_value(("scan.nii.gz", content, "application/gzip")).run()
    app.switch_page("views/segment.py").run()
    next(button for button in app.button if button.label == "Segment this study").click().run()
    assert not app.exception
    [job] = work.jobs.jobs(LOCAL_OWNER)
    end = time.monotonic() + 300
    while not work.jobs.get(job.id).state.over:
        assert time.monotonic() < end
        time.sleep(0.2)
    done = work.jobs.get(job.id)
    assert done.state is JobState.FINISHED, work.jobs.log_tail(done)
    assert done.pid != os.getpid()
    assert work.jobs.progress(done).stage == "done"

    app.run()
    next(button for button in app.button if button.label == "Open the result").click().run()
    assert not app.exception
    assert not app.error
    assert app.title[0].value == "Result"
    assert len(app.get("bidi_component")) == 1
    assert [one.proto.label for one in app.get("download_button")] == ["Label map (NIfTI)", "Report (HTML)"]
