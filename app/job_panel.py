"""A job as it runs: stage, progress, log and cause; it reads the job's folder and computes nothing."""

import time
from typing import Literal

import streamlit as st

from app import ui
from app.workspace import workspace
from pipelines.jobs import Job, JobError, JobState

_REFRESH = 0.7
_WORDS = {
    JobState.QUEUED: "Waiting",
    JobState.RUNNING: "Running",
    JobState.FINISHED: "Finished",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Cancelled",
    JobState.INTERRUPTED: "Interrupted",
}
_ICONS = {
    JobState.QUEUED: ":material/schedule:",
    JobState.RUNNING: ":material/play_circle:",
    JobState.FINISHED: ":material/check_circle:",
    JobState.FAILED: ":material/error:",
    JobState.CANCELLED: ":material/cancel:",
    JobState.INTERRUPTED: ":material/power_off:",
}
_STAGES = {
    "read": "Reading the study",
    "check": "Comparing with the training data",
    "segment": "Segmenting",
    "write": "Writing results",
    "prepare": "Preparing the data",
    "resume": "Going on where it was",
    "train": "Training",
    "trained": "Trained",
    "done": "Done",
    "failed": "Failed",
}


def show_job(job: Job, log_open: bool = False) -> None:
    """Show `job`, and follow it in this part of the page alone for as long as it runs."""
    every = None if job.state.over else _REFRESH
    st.fragment(_panel, run_every=every)(job.id, log_open)


def describe(job: Job) -> str:
    """State, icon and time in a few words."""
    spent = f", {ui.duration(job.seconds(time.time()))}" if job.started else ""
    return f"{_ICONS[job.state]} {_WORDS[job.state]}{spent}"


def has_result(job: Job) -> bool:
    """Whether there is something to open on the Result page."""
    return job.state is JobState.FINISHED and job.kind in ("predict", "demo")


def open_button(job: Job, label: str, kind: Literal["primary", "secondary"]) -> None:
    """A button that leads to the job's result."""
    if st.button(label, key=f"result-{job.id}", icon=":material/fact_check:", type=kind):
        st.session_state.result = job.context.get("result", job.id)
        st.session_state.pop("result-choice", None)
        st.switch_page("views/result.py")


def _panel(job_id: str, log_open: bool) -> None:
    store = workspace().jobs
    try:
        job = store.get(job_id)
    except JobError as error:
        st.error(str(error))
        return
    if job.state.over and st.session_state.get("following") == job.id:
        # The rest of the page offers other things now.
        del st.session_state["following"]
        st.rerun()
    if not job.state.over:
        st.session_state.following = job.id
    with st.container(border=True):
        title, action = st.columns([5, 1.2], vertical_alignment="center")
        title.markdown(f"**{_escape(job.title)}**")
        title.caption(describe(job))
        if not job.state.over:
            action.button("Cancel", key=f"cancel-{job.id}", on_click=store.cancel, args=(job.id,), width="stretch")
        elif has_result(job):
            with action:
                open_button(job, "Open the result", "primary")
        _state(job)
        if job.state is not JobState.QUEUED:
            silence = "The process printed nothing." if job.state.over else "Nothing has been printed yet."
            with st.expander("Log", expanded=log_open or job.state is JobState.FAILED):
                st.code("\n".join(store.log_tail(job)) or silence, language=None, wrap_lines=True)


def _state(job: Job) -> None:
    store = workspace().jobs
    if job.state is JobState.QUEUED:
        ahead = store.waiting_before(job)
        st.caption("Starts in a moment." if ahead == 0 else f"Starts after {ahead} other job{'s' * (ahead > 1)}.")
    elif job.state is JobState.RUNNING:
        progress = store.progress(job)
        stage = _STAGES.get(progress.stage, progress.stage.replace("_", " ").capitalize()) or "Starting"
        count = f" \u00b7 {progress.step} of {progress.total}" if progress.total > 1 else ""
        st.progress(progress.fraction, text=f"{_escape(stage)}{count}")
        if progress.message and progress.message.lower() not in (stage.lower(), progress.stage):
            st.caption(_escape(progress.message))
    elif job.state is JobState.FAILED:
        st.error(_sentence(job.cause), icon=":material/error:")
    elif job.state is JobState.INTERRUPTED:
        st.warning(_sentence(job.cause), icon=":material/power_off:")
    elif job.state is JobState.CANCELLED:
        kept = "Starting it again goes on from its last checkpoint." if job.kind == "demo" else "Nothing of it is kept."
        st.caption(f"The job was cancelled. {kept}")


def _sentence(text: str) -> str:
    """The cause with a capital and a full stop, as plain text."""
    text = text.strip() or "The process said nothing about the cause; the log below may"
    ended = text if text.endswith((".", "!", "?")) else f"{text}."
    return _escape(ended[0].upper() + ended[1:])


def _escape(text: str) -> str:
    """Text that came from a file or a program must not be read as Markdown."""
    for character in "\\`*_[]<>$#:~":
        text = text.replace(character, "\\" + character)
    return text
