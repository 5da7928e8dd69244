"""What a segmentation found: the overlay on the study, volumes, and files to take away."""

import streamlit as st

import medimg
from app import reading, ui
from app.results import ResultError, SegmentationResult, StoredResult, find_results, read_result
from app.studies import find_study
from app.viewer import show_viewer
from app.workspace import owner, workspace


def choose_result(results: list[StoredResult]) -> StoredResult:
    """The result to show; the address names it, so that it survives a reload."""
    known = {result.key: result for result in results}
    wanted = st.session_state.get("result") or st.query_params.get("result")
    if st.session_state.get("result-choice") not in known:
        st.session_state["result-choice"] = wanted if wanted in known else results[0].key
    chosen = st.session_state["result-choice"]
    if len(results) > 1:
        titles = ui.distinct({one.key: f"{one.title} \u00b7 {ui.clock(one.created)}" for one in results})
        chosen = st.selectbox(
            "Result", list(known), format_func=titles.__getitem__, key="result-choice", label_visibility="collapsed"
        )
    st.session_state.result = chosen
    st.query_params["result"] = chosen
    return known[chosen]


def show_result(stored: StoredResult) -> None:
    try:
        result = read_result(stored.folder)
    except ResultError as error:
        st.error(str(error), icon=":material/error:")
        return
    for warning in result.warnings:
        st.warning(_sentence(warning), icon=":material/warning:")
    _show_overlay(stored, result)
    left, right = st.columns([1.2, 1], gap="large")
    with left:
        _show_volumes(result)
    with right:
        _show_downloads(result)
        _show_making(result)


def _show_overlay(stored: StoredResult, result: SegmentationResult) -> None:
    study = find_study(workspace(), stored.study, owner())
    if study is None:
        st.warning("The study of this result was deleted, so it cannot be shown; its files can still be saved below.")
        return
    try:
        with st.spinner("Reading study and result\u2026"):
            stamp = reading.stamp_of(study)
            volume = reading.read_volume(study.path, stored.series, stamp)
            if not result.belongs_to(volume.provenance.sha256):
                st.error("The study on the disk is not the one that was segmented. Segment it again.")
                return
            view = reading.result_view(
                study.path, stored.series, stamp, result.labels, result.labels.stat().st_mtime, result.structures
            )
    except (medimg.ImageError, OSError) as error:
        st.error(str(error) if isinstance(error, medimg.ImageError) else "The files of this result are gone.")
        return
    show_viewer(view, key="result-viewer")


def _show_volumes(result: SegmentationResult) -> None:
    st.subheader("Volumes", anchor=False)
    rows: dict[str, list[object]] = {
        "Structure": [one.display for one in result.structures],
        "Volume (ml)": [one.millilitres for one in result.structures],
    }
    columns = {"Volume (ml)": st.column_config.NumberColumn(format="%.1f")}
    if result.agreement:
        rows["Agreement (Dice)"] = [result.agreement.get(one.display) for one in result.structures]
        columns["Agreement (Dice)"] = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(rows, hide_index=True, width="stretch", column_config=columns)
    note = "Volumes are of what lies inside the scanned region."
    st.caption(f"{note} Agreement is with {result.reference}." if result.agreement else note)


def _show_downloads(result: SegmentationResult) -> None:
    st.subheader("Save", anchor=False)
    for item in result.downloads:
        st.download_button(
            item.label,
            data=item.path.read_bytes,
            file_name=item.file_name,
            mime=item.mime,
            icon=":material/download:",
            on_click="ignore",
            width="stretch",
            key=f"save-{item.file_name}",
        )


def _show_making(result: SegmentationResult) -> None:
    record = result.record
    with st.expander("What made this result", icon=":material/fingerprint:"):
        model, source = record.get("model", {}), record.get("input", {})
        ui.facts(
            [
                ("Model", str(model.get("name", ""))),
                ("Weights", str(model.get("weights_sha256", ""))[:16]),
                ("Configuration", str(model.get("config_sha256", ""))[:16]),
                ("Input", str(source.get("sha256", ""))[:16]),
                ("voxhelix", str(record.get("versions", {}).get("voxhelix", ""))),
            ]
        )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


results = find_results(workspace(), owner())
ui.heading("Result", "Check the overlay in all three planes before you use a number.")
if results:
    show_result(choose_result(results))
else:
    ui.empty_state(
        "**Nothing has been segmented yet.**  \nOpen a study, then let a model mark its structures.",
        "views/segment.py",
        "Segment a study",
        ":material/ink_highlighter:",
    )
