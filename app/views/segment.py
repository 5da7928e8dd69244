"""Segment the study with a trained model, in a process of its own."""

import streamlit as st

import medimg
from app import job_panel, reading, ui
from app.commands import demo_command, segment_command
from app.models import ModelChoice, find_models
from app.results import demonstration_key
from app.studies import Study
from app.workspace import owner, workspace
from pipelines.jobs import Job

_KINDS = ("predict", "demo")


def show_models(study: Study | None) -> None:
    choices = find_models(workspace())
    usable = [choice for choice in choices if choice.card is not None]
    refused = [choice for choice in choices if choice.card is None]
    if usable:
        _segment_form(study, usable)
    else:
        _offer_training()
    if refused:
        with st.expander(f"{len(refused)} folder{'s' * (len(refused) > 1)} cannot be used", icon=":material/block:"):
            for choice in refused:
                st.text(f"{choice.folder.name}: {choice.problem}")


def _segment_form(study: Study | None, usable: list[ModelChoice]) -> None:
    with st.container(border=True):
        titles = ui.distinct({place: choice.title for place, choice in enumerate(usable)})
        choice = usable[st.selectbox("Model", list(titles), format_func=titles.__getitem__)]
        _show_card(choice)
        if study is None:
            st.caption("Choose a study first; then it can be segmented here.")
            if st.button("Choose a study", icon=":material/view_in_ar:", type="primary"):
                st.switch_page("views/study.py")
            return
        st.html(f'<p class="vx-sub" style="margin:.6rem 0 0">Study: {study.title}, {study.detail}</p>')
        if st.button(
            "Segment this study", icon=":material/play_arrow:", type="primary", disabled=_busy("predict", study.id)
        ):
            _start_segmentation(study, choice)


def _show_card(choice: ModelChoice) -> None:
    card = choice.card
    if card is None:
        return
    names = ", ".join(medimg.structures.structure(name).display for name in card.labels)
    ui.facts(
        [
            ("Finds", names),
            ("Trained on", f"{len(card.sources)} case{'s' * (len(card.sources) != 1)}"),
            ("Resolution", " \u00d7 ".join(f"{step:g}" for step in card.spacing) + " mm"),
            *([("Agreement (Dice) on unseen slices", choice.agreement)] if choice.agreement else []),
        ]
    )


def _start_segmentation(study: Study, choice: ModelChoice) -> None:
    try:
        infos = reading.series_to_choose(study.path, reading.stamp_of(study))
    except (medimg.ImageError, OSError):
        st.error("The study cannot be read. Open it on the Study page, which says why.")
        return
    chosen = next((info for info in infos if info.number == st.session_state.get("series")), None)
    if infos and chosen is None:
        st.error("This study holds several series. Open it on the Study page and choose one.")
        return
    job = workspace().jobs.submit(
        "predict",
        f"{study.title} \u2014 {choice.title}",
        segment_command(choice.folder, study.path, chosen.uid if chosen else None),
        owner=owner(),
        context={"study": study.id, "series": str(chosen.number) if chosen else ""},
    )
    st.session_state.job = job.id
    st.rerun()


def _offer_training() -> None:
    with st.container(border=True):
        st.markdown("**No model has been trained yet.**")
        st.markdown(
            "The demonstration trains one on the two CT samples: liver, spleen, stomach, aorta, vertebrae and back "
            "muscles. It takes about six minutes on two processor cores and runs beside this page."
        )
        if st.button(
            "Train the demonstration model", icon=":material/model_training:", type="primary", disabled=_busy("demo")
        ):
            output = workspace().runs / "demo"
            job = workspace().jobs.submit(
                "demo",
                "Train the demonstration model",
                demo_command(output),
                owner=owner(),
                context={"result": demonstration_key(output)},
            )
            st.session_state.job = job.id
            st.rerun()


def _busy(kind: str, study: str | None = None) -> bool:
    """Whether that very work is already under way."""
    under_way = [job for job in workspace().jobs.jobs(owner()) if job.kind == kind and not job.state.over]
    return any(study is None or job.context.get("study") == study for job in under_way)


def show_jobs() -> None:
    """First what runs and what was asked for, then what is over."""
    jobs = [job for job in workspace().jobs.jobs(owner()) if job.kind in _KINDS]
    chosen = st.session_state.get("job")
    followed = [job for job in reversed(jobs) if not job.state.over or job.id == chosen]
    for job in followed:
        job_panel.show_job(job)
    earlier = [job for job in jobs if job not in followed]
    if earlier:
        st.subheader("Earlier", anchor=False)
        for job in earlier[:10]:
            _row(job)


def _row(job: Job) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container():
            st.markdown(f"{job.title}  \n:small[{ui.clock(job.created)} \u00b7 {job_panel.describe(job)}]")
        holds_result = job.kind == "predict" and job_panel.has_result(job)
        what = "Remove this result from the disk" if holds_result else "Remove this job from the list"
        if st.button("Delete", key=f"delete-{job.id}", type="tertiary", help=what):
            workspace().jobs.delete(job.id)
            st.rerun()
        if job_panel.has_result(job):
            job_panel.open_button(job, "Open", "secondary")
        elif st.button("Show", key=f"show-{job.id}"):
            st.session_state.job = job.id
            st.rerun()


study = ui.current_study()
ui.heading(
    "Segment",
    "A model marks the structures it was trained on. It runs beside this page; you may look elsewhere meanwhile.",
)
show_models(study)
show_jobs()
