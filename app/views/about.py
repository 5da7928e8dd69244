"""What this program is, what it runs on, and where it keeps data."""

import os
import platform
import shutil

import psutil
import streamlit as st

from app import job_panel, ui
from app.commands import doctor_command
from app.models import find_models
from app.studies import uploads
from app.workspace import owner, workspace
from framework.version import __version__

_GB = 1e9


def show_use() -> None:
    st.markdown(
        "**Research use only.** voxhelix is not a medical device. Nothing here may be used for diagnosis, treatment or "
        "any other decision about a patient. Segmentations are drafts by a model; a person must check each one."
    )


def show_computer() -> None:
    st.subheader("This computer", anchor=False)
    memory = psutil.virtual_memory()
    place = workspace().folder
    place.mkdir(parents=True, exist_ok=True)
    disk = shutil.disk_usage(place)
    ui.facts(
        [
            ("voxhelix", __version__),
            ("Python", platform.python_version()),
            (
                "Processor cores",
                str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
            ),
            ("Memory", f"{memory.available / _GB:.1f} of {memory.total / _GB:.1f} GB free"),
            ("Disk", f"{disk.free / _GB:.0f} GB free"),
            ("Models", str(sum(choice.card is not None for choice in find_models(workspace())))),
        ]
    )
    if memory.available < 4 * _GB:
        st.warning("Less than 4 GB of memory is free: training may be ended by the system. Close other programs first.")
    if disk.free < 2 * _GB:
        st.warning(f"Less than 2 GB of disk is free at {place}. Make room, or start with `--work` on another disk.")


def show_check() -> None:
    """`voxhelix doctor` as a job: it compiles and learns a little, which a page must not do."""
    jobs = [job for job in workspace().jobs.jobs(owner()) if job.kind == "doctor"]
    running = any(not job.state.over for job in jobs)
    if st.button("Check this computer", icon=":material/stethoscope:", disabled=running):
        job = workspace().jobs.submit("doctor", "Check of this computer", doctor_command(), owner=owner())
        st.session_state.doctor = job.id
        st.rerun()
    shown = next((job for job in jobs if job.id == st.session_state.get("doctor")), None)
    if shown is not None:
        job_panel.show_job(shown, log_open=True)


def show_privacy() -> None:
    st.subheader("Where your data are", anchor=False)
    shared = (
        "This app was started for several people: each browser tab sees only its own studies and jobs. "
        "There is no log-in, so use it on a trusted network only."
        if workspace().shared
        else "This app answers only to this computer."
    )
    st.markdown(
        f"Uploads, jobs and results stay in `{workspace().folder}` on the computer that runs voxhelix, in folders with "
        f"random names; names of uploaded files are not kept. Nothing is sent anywhere. {shared} Delete uploads "
        "on the Study page, and results on the Segment page, when they are no longer needed."
    )
    count = len(uploads(workspace(), owner()))
    st.caption(f"{count} upload{'s' * (count != 1)} kept for you.")


ui.heading("About", f"voxhelix {__version__} \u2014 segmentation of medical images on a tensor core of its own.")
show_use()
show_computer()
show_check()
show_privacy()
