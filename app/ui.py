"""Pieces that every page shares: the frame, headings, lists of facts, and which study the page is about."""

import html
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import streamlit as st

from app.studies import Study, find_study
from app.workspace import owner, workspace

_STYLE = Path(__file__).parent / "static" / "style.css"
Key = TypeVar("Key")
RESEARCH_USE = "Research use only \u2014 not for diagnosis or treatment"


def frame() -> None:
    """The style and the notice that stand on every page."""
    st.html(_STYLE)
    st.html(f'<div class="vx-research" role="note">{RESEARCH_USE}</div>')


def heading(title: str, text: str) -> None:
    """The page's title with one quiet line below it."""
    st.title(title, anchor=False)
    st.html(f'<p class="vx-sub">{html.escape(text)}</p>')


def facts(items: Iterable[tuple[str, str]]) -> None:
    """Names and values in a line."""
    cells = "".join(f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>" for name, value in items)
    st.html(f'<dl class="vx-facts">{cells}</dl>')


def empty_state(text: str, page: str, label: str, icon: str) -> None:
    """Say what is missing and lead to where it can be had."""
    with st.container(border=True, horizontal_alignment="center"):
        st.space("small")
        st.markdown(text, text_alignment="center")
        if st.button(label, icon=icon, type="primary"):
            st.switch_page(page)
        st.space("small")


def notes(texts: Iterable[str], label: str) -> None:
    """What a reader or a check had to say, folded when it is long."""
    lines = list(dict.fromkeys(texts))
    if not lines:
        return
    with st.expander(f"{label} ({len(lines)})", icon=":material/info:", expanded=False):
        for line in lines:
            st.text(line)


def current_study() -> Study | None:
    """The study that this tab is about; it survives a reload, because the address names it."""
    study_id = st.session_state.get("study") or st.query_params.get("study")
    study = find_study(workspace(), study_id, owner()) if study_id else None
    if study is None:
        choose_study(None)
        return None
    choose_study(study)
    return study


def choose_study(study: Study | None) -> None:
    """Make `study` the one that this tab is about."""
    if study is None:
        st.session_state.pop("study", None)
        st.query_params.pop("study", None)
    else:
        if st.session_state.get("study") != study.id:
            st.session_state.pop("series", None)
            st.session_state.pop("series-choice", None)
        st.session_state.study = study.id
        st.query_params["study"] = study.id


def distinct(texts: dict[Key, str]) -> dict[Key, str]:
    """The same texts, numbered where two are alike: Streamlit tells the options of a list apart by their text."""
    seen: dict[str, int] = {}
    result = {}
    for key, text in texts.items():
        seen[text] = seen.get(text, 0) + 1
        result[key] = text if seen[text] == 1 else f"{text} ({seen[text]})"
    return result


def duration(seconds: float) -> str:
    """Such as "8 s" or "3 min 20 s"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def clock(seconds: float) -> str:
    """A moment as the reader's day and hour."""
    return time.strftime("%d %b %Y, %H:%M", time.localtime(seconds))
