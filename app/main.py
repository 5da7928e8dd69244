"""The script that Streamlit runs: the frame around the pages."""

from pathlib import Path

import streamlit as st

from app import ui
from app.workspace import workspace

_FOLDER = Path(__file__).parent

st.set_page_config(
    page_title="voxhelix",
    page_icon=str(_FOLDER / "static" / "icon.svg"),
    layout="wide",
    initial_sidebar_state=220,
    menu_items={"About": "**voxhelix** \u2014 segmentation of medical images. Research use only."},
)
st.logo(str(_FOLDER / "static" / "logo.svg"), icon_image=str(_FOLDER / "static" / "icon.svg"), size="large")
ui.frame()
workspace().jobs.resume()
st.navigation(
    [
        st.Page("views/study.py", title="Study", icon=":material/view_in_ar:", default=True),
        st.Page("views/segment.py", title="Segment", icon=":material/ink_highlighter:"),
        st.Page("views/result.py", title="Result", icon=":material/fact_check:"),
        st.Page("views/about.py", title="About", icon=":material/info:"),
    ]
).run()
