"""Where the app keeps uploads, jobs and results, and whose they are.

The app serves one person on their own computer unless it was started for others (`--address`). Then every browser tab
has an owner of its own, a random token in its address, and sees only what belongs to it. The token survives a reload;
it is not a log-in.
"""

import argparse
import functools
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

import app
from pipelines.jobs import JobStore

LOCAL_OWNER = "local"
_CHECKOUT = Path(app.__file__).resolve().parent.parent


@dataclass(frozen=True)
class Workspace:
    """The folders of one installation of the app."""

    folder: Path
    shared: bool = False

    @property
    def jobs(self) -> JobStore:
        """Jobs of all owners."""
        return JobStore(self.folder / "jobs")

    @property
    def studies(self) -> Path:
        """Uploaded studies, each in a folder with a random name."""
        return self.folder / "studies"

    @property
    def runs(self) -> Path:
        """Models that were trained from the app."""
        return self.folder / "runs"

    @property
    def run_roots(self) -> list[Path]:
        """Where trained models are looked for: here, in the current folder, and in this checkout (`make demo`)."""
        return list(dict.fromkeys(root.resolve() for root in (self.runs, Path.cwd() / "runs", _CHECKOUT / "runs")))


def workspace() -> Workspace:
    """The workspace named on the command line (see `app.launch`), or the user's own."""
    return _parse(tuple(sys.argv[1:]))


def owner() -> str:
    """Whose studies and jobs this browser tab sees."""
    if not workspace().shared:
        return LOCAL_OWNER
    if "owner" not in st.session_state:
        token = st.query_params.get("owner", "")
        st.session_state.owner = token if len(token) == 32 and token.isalnum() else secrets.token_hex(16)
    st.query_params["owner"] = st.session_state.owner
    return str(st.session_state.owner)


@functools.cache
def _parse(arguments: tuple[str, ...]) -> Workspace:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--work", type=Path, default=Path.home() / ".local" / "share" / "voxhelix")
    parser.add_argument("--shared", action="store_true")
    known, _ = parser.parse_known_args(list(arguments))
    return Workspace(known.work.expanduser(), known.shared)
