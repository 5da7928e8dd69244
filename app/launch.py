"""Starting the server with options that suit patient data, without a configuration file or environment variable."""

import argparse
import os
import sys
from pathlib import Path

from app.theme import THEMES, theme_options

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line of `python -m app` and run the server until it is stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m app", description="Open voxhelix in the browser. Research use only."
    )
    parser.add_argument(
        "--work", type=Path, help="folder for uploads, jobs and results; default: ~/.local/share/voxhelix"
    )
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument(
        "--address",
        default="127.0.0.1",
        help="network address to listen on; default: this computer only. There is no log-in: on any other address "
        "everybody who reaches it can use the app, and each browser tab sees only its own studies",
    )
    parser.add_argument("--theme", choices=THEMES, default="dark")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")
    chosen = parser.parse_args(arguments)
    from streamlit.web import cli

    arguments = command(chosen.work, chosen.port, chosen.address, chosen.theme, chosen.no_browser)
    sys.exit(cli.main(arguments, standalone_mode=False))


def command(
    work: Path | None, port: int, address: str = "127.0.0.1", theme: str = "dark", no_browser: bool = True
) -> list[str]:
    """The arguments of the `streamlit` command that run the app."""
    options: dict[str, object] = {
        "server.address": address,
        "server.port": port,
        "server.headless": no_browser or not _has_display(),
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,
        "server.maxUploadSize": 600,
        "server.maxMessageSize": 200,
        "server.fileWatcherType": "none",
        "server.showEmailPrompt": False,
        "server.enableAgentApi": False,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        **theme_options(theme),
    }
    if address in _LOOPBACK:
        # Another name that resolves to this computer must not reach the app (DNS rebinding).
        options["server.allowedHosts"] = ["127.0.0.1", "localhost", "[::1]"]
    flags = [f"--{name}={text}" for name, value in options.items() for text in _as_flags(value)]
    own = [*([] if work is None else ["--work", str(work.resolve())]), *([] if address in _LOOPBACK else ["--shared"])]
    return ["run", str(Path(__file__).with_name("main.py")), *flags, "--", *own]


def _as_flags(value: object) -> list[str]:
    """The value as text; a list is given as the same flag several times."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
