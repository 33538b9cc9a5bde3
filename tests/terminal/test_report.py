"""What a batch says of its failures: some of each kind, and why in the summary."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import run
from support.recordings import AUDIO, PASSWORD, encrypt
from support.terminal import Terminal

from filedecryptor.errors import (
    AuthenticationError,
    Failure,
    NotEncError,
    UnexpectedError,
    UnknownFormatError,
    UsageError,
    WorkerError,
    failed,
)
from filedecryptor.terminal.console import Console
from filedecryptor.terminal.report import MOST_ERRORS, Reporter

WRONG = "authentication failed"
FAIL_FAST = "note: 20 authentications failed, and none succeeded: --fail-fast stops at the first "


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """A folder with 25 recordings of another password, and one for each other kind of outcome."""
    (tmp_path / "wrong").mkdir()
    for number in range(25):
        (tmp_path / "wrong" / f"{number}.enc").write_bytes(encrypt(AUDIO, "another one"))
        (tmp_path / f"{number}.short").write_bytes(bytes(number))
    for name in ("right.enc", "there.enc"):
        (tmp_path / name).write_bytes(encrypt(AUDIO))
    (tmp_path / "there.wav").write_bytes(AUDIO)
    (tmp_path / "list").write_text("".join(f"gone/{number}.enc\n" for number in range(21)))
    (tmp_path / "secret").write_text(PASSWORD)
    (tmp_path / "old").write_text("old")
    return tmp_path


SHORT = " ".join(f"{number}.short" for number in range(25))

# The inputs, what remains to be said of which kinds, the summary, and whether --fail-fast is named.
RUNS = [
    (
        "wrong",
        [f"5 more: {WRONG}"],
        "25 failed: the password is wrong; it came from secret; in ",
        1,
    ),
    (
        "wrong --password-file old",
        [f"5 more: {WRONG}"],
        "25 failed: none of the 2 passwords is right; they came from old, secret; in ",
        1,
    ),
    ("wrong right.enc -j1", [f"5 more: {WRONG}"], f"1 decrypted, 25 failed: {WRONG}; 0.0 MB", 1),
    ("right.enc wrong -j1", [f"5 more: {WRONG}"], f"1 decrypted, 25 failed: {WRONG}; 0.0 MB", None),
    ("there.enc wrong", [f"5 more: {WRONG}"], f"1 skipped, 25 failed: {WRONG}; in ", 0),
    ("wrong --fail-fast", [], "", 0),
    ("wrong/1.enc wrong/2.enc", [], "2 failed: the password is wrong; it came from secret; in ", 0),
    ("wrong/1.enc right.enc", [], "1 decrypted, 1 failed; 0.0 MB", 0),
    ("wrong/1.enc 1.short", [], "2 failed in ", 0),
    (SHORT, ["5 more: not an .enc file"], "25 failed: not an .enc file; in ", 0),
    ("--files-from list", ["1 more: No such file or directory"], "21 failed: No such file or ", 0),
    (
        f"wrong --files-from list {SHORT} right.enc",
        [f"{more}" for more in (f"5 more: {WRONG}", "5 more: not an .enc", "1 more: No such file")],
        "1 decrypted, 71 failed: authentication failed (25), not an .enc file (25), No such fil",
        None,
    ),
]


@pytest.mark.parametrize(
    ("line", "more", "summary", "is_advised", "quiet"),
    [*((*each, False) for each in RUNS), (*RUNS[-1], True)],
)
def test_a_few_failures_of_a_kind_are_shown(
    calls: Path, line: str, more: list[str], summary: str, is_advised: int | None, *, quiet: bool
) -> None:
    """Then how many more, also with -q; the summary says why if the reasons are few and certain."""
    words = [*line.split(), "wav", "--password-file", "secret", "--if-exists", "skip"]
    result = run(*words, *["-q"] * quiet, cwd=calls)
    cut = [text for text in result.lines if text.startswith("and ")]
    assert len(cut) == len(more)
    assert all(any(text.startswith(f"and {one}") for text in cut) for one in more)
    for what in (WRONG, "not an .enc file", "No such file or directory"):
        assert sum(f": {what}" in text for text in result.lines if text[:5] == "error") <= 20
    if quiet:
        assert not any(text.startswith(("note: ", summary or "x")) for text in result.lines)
        return
    assert result.lines[-1].startswith(summary)
    assert result.lines[-1 - len(cut) : -1] == cut
    if is_advised is not None:
        assert sum(text.startswith(FAIL_FAST) for text in result.lines) == is_advised


@pytest.mark.parametrize("quiet", [False, True])
def test_notes_are_limited_too(calls: Path, *, quiet: bool) -> None:
    """Those of one kind, as of audio that is passed over."""
    for number in range(21):
        (calls / f"{number}.opus").write_bytes(AUDIO)
    result = run(
        "right.enc",
        *(f"{number}.opus" for number in range(21)),
        PASSWORD,
        "wav",
        *["-q"] * quiet,
        cwd=calls,
    )
    said = [line for line in result.lines if "this is opus audio already" in line]
    assert [line[:4] for line in said] == ([] if quiet else ["note"] * 20 + ["and "])
    assert quiet or said[-1] == "and 1 more: this is opus audio already"


def test_objects_are_written_for_all(calls: Path) -> None:
    """Of those as well that are not shown."""
    result = run("wrong", "nothing", "wav", "--json", cwd=calls)
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert len([each for each in objects if each["code"] == 3 and each["hint"]]) == 25
    assert sum(text.startswith("error: ") for text in result.lines) == 20
    assert f"and 5 more: {WRONG}" in result.lines


LIKE: list[tuple[Callable[[int], Failure], str]] = [
    (lambda n: AuthenticationError(f"{WRONG}: or altered (on worker tcp://1.2.3.4:{n})"), WRONG),
    (lambda n: NotEncError(f"not an .enc file: it is {n} bytes long"), "not an .enc file"),
    (lambda n: UsageError(f"its output would replace the input 'a: {n}'"), "its .* the input ..."),
    (
        lambda n: UsageError(f'its output would replace "{n}\'s (x)"'),
        "its output would replace ...",
    ),
    (lambda n: UsageError(f"it would have the same output as 's3://b/{n}'"), "it .* output as ..."),
    (lambda n: UnknownFormatError(f"the recording is intact; it begins with {n}"), "the .* intact"),
    (
        lambda n: UnexpectedError(f"unexpected KeyError in x.py, line {n}"),
        "unexpected .*, line ...",
    ),
    (lambda n: WorkerError(f"worker tcp://1.2.3.4:{n} ended with E"), "worker ... ended with E"),
    (lambda n: NotEncError(f"the download ended after {n} of 9.5 s"), "the .* after ... of ... s"),
    (lambda n: PermissionError(13, "Permission denied", f"{n}"), "Permission denied"),
    (lambda n: FileExistsError(17, f"exists with another length: {n} bytes"), "exists .* length"),
    (lambda n: FileNotFoundError(2, f"No such file (on worker tcp://1.2.3.4:{n})"), "No such file"),
    (lambda n: NotEncError(f"this is mp3 audio{':' * (n > 9)}"), "this is mp3 audio"),
]


@pytest.mark.parametrize(("error", "what"), LIKE)
def test_what_is_one_kind(error: Callable[[int], Failure], what: str) -> None:
    """Causes that differ in names, numbers or places only. Those that come first are shown."""
    terminal = Terminal()
    with Reporter(Console("filedecryptor", None, None, terminal), many=True) as reporter:
        for number in range(MOST_ERRORS + 2):
            problem = error(number)
            problem.filename = f"{number}.enc"
            reporter.add(failed(problem.filename, problem))
            reporter.add(failed(f"{number}.enc", OSError(number + 40, f"x{'y' * number}")))
    assert terminal.shown.count("error: ") == 2 * MOST_ERRORS + 2
    assert ("error: 19.enc" in terminal.shown) > ("error: 20.enc" in terminal.shown)
    [more] = re.findall("and 2 more: (.*)", terminal.shown)
    assert re.fullmatch(what, more)
