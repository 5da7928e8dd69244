"""Reading studies for display. What was read is kept for the browser tab that asked, never for another."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

import medimg
from app.studies import Study
from app.viewer import ShownStructure, encode_view


@st.cache_resource(scope="session", max_entries=2, show_spinner=False)
def series_to_choose(path: Path, stamp: float) -> tuple[medimg.SeriesInfo, ...]:
    """The series of a study that holds several, () of one that holds one; `stamp` is the time of its last change."""
    try:
        read_volume(path, None, stamp)
    except medimg.SeriesChoiceError as question:
        return question.series
    return ()


@st.cache_resource(scope="session", max_entries=2, show_spinner=False)
def read_volume(path: Path, series: int | None, stamp: float) -> medimg.Volume:
    """One series of a study. CT as NIfTI does not name its units; values that can only be HU are taken as such."""
    volume = medimg.read(path, series=series)
    if volume.units == "unknown" and _looks_like_hounsfield(volume):
        note = "The file does not name its units; the values look like Hounsfield units and are shown as such."
        return volume.with_array(volume.array, units="HU").with_notes(note)
    return volume


@st.cache_resource(scope="session", max_entries=2, show_spinner=False)
def study_view(path: Path, series: int | None, stamp: float) -> bytes:
    """A study packed for the viewer."""
    return encode_view(read_volume(path, series, stamp), f"{path}:{series}:{stamp}")


@st.cache_resource(scope="session", max_entries=2, show_spinner=False)
def result_view(
    path: Path,
    series: int | None,
    stamp: float,
    labels: Path,
    labels_stamp: float,
    _structures: Sequence[ShownStructure],
) -> bytes:
    """A study with a label map of it, packed for the viewer."""
    image = read_volume(path, series, stamp)
    return encode_view(image, f"{labels}:{labels_stamp}", medimg.read(labels), _structures)


def stamp_of(study: Study) -> float:
    """When the study last changed on the disk; names what the caches hold."""
    return study.path.stat().st_mtime


def _looks_like_hounsfield(volume: medimg.Volume) -> bool:
    """From air (or a scanner's padding below it) to bone."""
    low, high = float(volume.array.min()), float(volume.array.max())
    return -4096 <= low <= -900 and 300 <= high <= 32767
