"""What the commands have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
pytest.importorskip("filelock", reason="the extra vns is not installed")
from support.api_server import Server
from support.recordings import AUDIO, PASSWORD
from support.vns import ONE, stored, vns


@pytest.mark.parametrize("command", ["archive", "list", "download", "delete"])
@pytest.mark.parametrize("option", ["--timeout", "--max-time"])
@pytest.mark.parametrize("value", ["0", "-1", "soon", ""])
def test_times_that_cannot_be(
    api: Server, tmp_path: Path, command: str, option: str, value: str
) -> None:
    """They are refused before anything is asked of a server."""
    words = {"archive": ["."], "list": [], "download": [ONE], "delete": ["--yes", ONE]}[command]
    result = vns(api, command, *words, option, value, cwd=tmp_path)
    assert result.code == 2
    assert result.lines[0] == f"error: invalid value for '{option}': it is a number above 0"
    assert api.seen == []


def test_the_password_from_a_file(api: Server, tmp_path: Path) -> None:
    """Before the environment."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    words = ("archive", "calls", "--password-file", "password")
    assert vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD="wrong").code == 0
    assert stored(tmp_path / "calls") == {f"{ONE}.opus": AUDIO}
