"""The Streamlit side of the viewer.

The whole volume goes to the browser once; windowing, slicing, overlay and crosshair happen there, so that scrolling
never waits for the server. Streamlit sends a message that the browser already holds as a reference only.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

# One module in the browser; later files use the names of earlier ones.
_SCRIPTS = ("geometry.js", "render.js", "data.js", "panel.js", "main.js")


def show_viewer(payload: bytes, key: str) -> None:
    """Show what `encode_view` packed. With the same `key` the canvas stays, whatever else on the page is redrawn."""
    _component()(data=payload, key=key, height="content")


@functools.cache
def _component() -> Callable[..., Any]:
    folder = Path(__file__).parent
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    style = (folder / "style.css").read_text(encoding="utf-8")
    return st.components.v2.component("voxhelix_viewer", js=script, css=style)
