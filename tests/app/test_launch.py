"""The server starts with options that suit patient data, and only for this computer unless told otherwise."""

from pathlib import Path

import pytest

pytest.importorskip("streamlit")
from app.launch import command
from app.theme import THEMES


def options(arguments: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for flag in arguments[2 : arguments.index("--")]:
        name, _, value = flag.removeprefix("--").partition("=")
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("theme", THEMES)
def test_every_option_exists_in_streamlit(theme: str) -> None:
    from streamlit import config

    known = set(config.get_config_options(force_reparse=True))
    assert set(options(command(None, 8501, theme=theme))) <= known


def test_what_must_be_off_is_off() -> None:
    chosen = options(command(None, 8501))
    assert chosen["browser.gatherUsageStats"] == ["false"]
    assert chosen["client.showErrorDetails"] == ["none"]
    assert chosen["client.toolbarMode"] == ["minimal"]
    assert chosen["server.enableXsrfProtection"] == ["true"]
    assert chosen["server.enableAgentApi"] == ["false"]
    assert chosen["server.maxUploadSize"] == ["600"]


def test_the_app_answers_to_this_computer_alone_by_default() -> None:
    arguments = command(Path("/data/work"), 9000)
    assert options(arguments)["server.address"] == ["127.0.0.1"]
    assert options(arguments)["server.allowedHosts"] == ["127.0.0.1", "localhost", "[::1]"]
    assert arguments[arguments.index("--") + 1 :] == ["--work", str(Path("/data/work").resolve())]


def test_on_another_address_every_tab_is_an_owner_of_its_own() -> None:
    arguments = command(None, 9000, address="0.0.0.0")
    assert "server.allowedHosts" not in options(arguments)
    assert arguments[-1] == "--shared"
