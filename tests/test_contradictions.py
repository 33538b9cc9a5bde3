"""Options that cannot all be meant: a usage error, and nothing is read or written."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import run
from support.folders import nothing_changes
from support.recordings import PASSWORD


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.enc", "b.enc", PASSWORD, "opus", "-o", "x"], "one --output cannot take the audio of"),
        ([".", PASSWORD, "opus", "-o", "x"], "one --output cannot take the audio of several"),
        (
            ["a.enc", PASSWORD, "opus", "-o", "x", "-d", "y"],
            "--output and --output-dir cannot both",
        ),
        (["-", PASSWORD, "opus", "-d", "y"], "standard input has no name for --output-dir"),
        (["-", "a.enc", PASSWORD, "opus"], "standard input cannot be one of several inputs"),
        (["--verify", "a.enc", PASSWORD, "-o", "x"], "--verify writes nothing, so there is"),
        (["--verify", "a.enc", PASSWORD, "-d", "x"], "--verify writes nothing, so there is"),
        (["-0", "a.enc", PASSWORD, "opus"], "--null says how the names in the list"),
        (["--files-from", "l", PASSWORD, "opus", "-o", "x"], "one --output cannot take the audio"),
        (
            ["--cluster", "tcp://x:1", "a.enc", PASSWORD, "opus", "-o", "x"],
            "a cluster reads and writes files and objects only",
        ),
        (
            ["--cluster", "tcp://x:1", "a.enc", PASSWORD, "opus", "-j", "2"],
            "--jobs is for this machine; a cluster has its own number of them",
        ),
    ],
)
def test_contradictions_are_usage_errors(folder: Path, words: list[str], message: str) -> None:
    """Each names the options that it is about."""
    with nothing_changes(folder):
        result = run(*words, cwd=folder)
    assert (result.code, result.stdout) == (2, b"")
    assert result.lines[0].startswith(f"error: {message}")
