"""Choose a study and look at it."""

import streamlit as st

import medimg
from app import reading, ui
from app.studies import UPLOAD_TYPES, Study, StudyError, delete_upload, keep_upload, samples, uploads
from app.viewer import show_viewer
from app.workspace import owner, workspace


def show_chooser() -> None:
    ui.heading("Study", "Open a sample, or bring your own: NIfTI, NRRD, or a DICOM series in a zip file.")
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Samples", anchor=False)
        for study in samples():
            _row(study)
    with right:
        st.subheader("Your own", anchor=False)
        upload = st.file_uploader(
            "NIfTI, NRRD or zipped DICOM, up to 600 MB",
            type=list(UPLOAD_TYPES),
            help="The file stays on the computer that runs voxhelix. Its name is not kept.",
        )
        if upload is not None:
            try:
                with st.spinner("Storing the study\u2026"):
                    ui.choose_study(keep_upload(workspace(), owner(), upload.name, upload))
            except StudyError as error:
                st.error(str(error))
            else:
                st.rerun()
        for study in uploads(workspace(), owner())[:8]:
            _row(study)


def _row(study: Study) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container():
            st.markdown(f"**{study.title}**  \n:small[{study.detail}]")
        if not study.is_sample and st.button(
            "Delete", key=f"delete-{study.id}", type="tertiary", help="Remove this upload from the disk"
        ):
            delete_upload(workspace(), study)
            st.rerun()
        if st.button("Open", key=f"open-{study.id}"):
            ui.choose_study(study)
            st.rerun()


def show_study(study: Study) -> None:
    title, again, onward = st.columns([5, 1.25, 1.25], vertical_alignment="bottom")
    with title:
        ui.heading(study.title, study.detail)
    if again.button("Another study", icon=":material/folder_open:", width="stretch"):
        ui.choose_study(None)
        st.rerun()
    try:
        with st.spinner("Reading the study\u2026"):
            series = _choose_series(study)
            stamp = reading.stamp_of(study)
            volume = reading.read_volume(study.path, series, stamp)
            view = reading.study_view(study.path, series, stamp)
    except (medimg.ImageError, OSError) as error:
        _refuse(error)
        return
    if onward.button("Segment", icon=":material/ink_highlighter:", type="primary", width="stretch"):
        st.switch_page("views/segment.py")
    show_viewer(view, key="study-viewer")
    source = volume.provenance
    ui.facts(
        [
            ("Kind", source.modality or source.format.upper()),
            ("Field of view", " \u00d7 ".join(f"{n * s:.0f}" for n, s in zip(volume.shape, volume.spacing)) + " mm"),
            ("Axes", volume.axcodes),
            ("Units", volume.units),
        ]
    )
    ui.notes(source.notes, "What the reader had to decide")


def _choose_series(study: Study) -> int | None:
    """The number of the series to show, None where there is but one; asks where several fit."""
    infos = reading.series_to_choose(study.path, reading.stamp_of(study))
    if not infos:
        return None
    labels = ui.distinct({info.number: str(info) for info in infos})
    if st.session_state.get("series-choice") not in labels:
        whole = [info.number for info in infos if info.problem is None]
        remembered = st.session_state.get("series")
        st.session_state["series-choice"] = remembered if remembered in labels else [*whole, infos[0].number][0]
    chosen = st.selectbox(
        f"This study holds {len(infos)} series", list(labels), format_func=labels.__getitem__, key="series-choice"
    )
    st.session_state.series = chosen
    return chosen


def _refuse(error: Exception) -> None:
    text = (
        str(error) if isinstance(error, medimg.ImageError) else "The study is no longer on the disk. Upload it again."
    )
    st.error(text, icon=":material/error:")


chosen = ui.current_study()
if chosen is None:
    show_chooser()
else:
    show_study(chosen)
