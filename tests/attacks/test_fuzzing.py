"""Fuzzing: what nobody would write by hand, given to whatever reads what others wrote.

What it has found stands as an example beside the other tests of the module concerned.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType
from unittest.mock import patch

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.audio import ape, detect, id3, page
from support.commands import Result, working_directory
from support.folders import contents
from support.recordings import PASSWORD, PLAIN, WAV, Trickle, encrypt
from support.vns import ONE

from filedecryptor.__main__ import main
from filedecryptor.audio import FORMATS, SAMPLE_SIZE, Head
from filedecryptor.audio.extent import measure
from filedecryptor.cli import main as cli_main
from filedecryptor.core.format import EncReader
from filedecryptor.errors import ApiError, NotEncError, UsageError
from filedecryptor.storage.atomic import TEMPORARY_PREFIX
from filedecryptor.terminal.arguments import Options, told_apart
from filedecryptor.terminal.console import printable
from filedecryptor.terminal.process import ENDING_SIGNALS
from filedecryptor.vns import listing
from filedecryptor.vns.cli import table
from filedecryptor.vns.listing import Listing, signs_of_more
from filedecryptor.vns.times import now

OPUS = (PLAIN / "recording_abc123.opus").read_bytes()
AUDIO = OPUS[:3000]
SHORT = encrypt(AUDIO[:300])
HEADS = [(PLAIN / name).read_bytes()[:4000] for name in sorted(os.listdir(PLAIN))]
HEADS += [
    b"ID3\x04\0\0\0\0\x02\x01",
    b"RF64\xff\xff\xff\xffWAVE",
    (b"\xff\xe3\x18\0" + bytes(68)) * 3,
]

LONGEST = 20
"""Seconds that one example may take on a busy machine; those that end take milliseconds."""


def many(examples: int) -> settings:
    """Return settings for that many examples, however slow the machine is."""
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(max_examples=examples, deadline=None, suppress_health_check=checks)


@contextmanager
def no_hang() -> Iterator[None]:
    """Whatever happens inside ends within `LONGEST` seconds."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# The reader.


# Without a smallest size, hardly any would reach it.
ENC = st.binary(max_size=50) | st.binary(min_size=44, max_size=400)
SIZE = st.integers(1, 100)
"""How many bytes a source gives at a time."""


@many(600)
@given(data=ENC, size=SIZE)
def test_any_bytes_are_taken_apart_or_refused(data: bytes, size: int) -> None:
    """All of the bytes come out, none twice; fewer than 44 of them are no `.enc` file."""
    source = Trickle(data, size)
    if len(data) < 44:
        with pytest.raises(NotEncError):
            EncReader(source)
        return
    reader = EncReader(source)
    ciphertext = b"".join(map(bytes, reader.ciphertext()))
    assert reader.salt + reader.nonce + ciphertext + reader.tag == data


@st.composite
def spoilt(draw: st.DrawFn, whole: bytes) -> bytes:
    """Draw what is left of some bytes after a few accidents; it may be the same bytes."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 40))
        piece = draw(st.binary(max_size=40) | st.sampled_from([whole[:28], whole[-16:], b""]))
        data[place : place + length] = piece
    return bytes(data)


# Audio.

TAGS = [id3(0), id3(100), id3(50_000), ape(40), b"ID3\x03\0\0\0\0\x7f\xff"]
MARKS = {
    "opus": rb"OggS\0.*OpusHead",
    "wav": rb"(RIFF|RIFX|RF64|BW64)....WAVE",
    "mp3": rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]",
    None: rb"",
}
"""What the bytes must have in them for each format, whatever else is asked of them."""


@pytest.mark.slow
@many(800)
@given(
    head=st.sampled_from(HEADS).flatmap(spoilt) | st.binary(max_size=SAMPLE_SIZE),
    tags=st.lists(st.sampled_from(TAGS), max_size=3),
    size=st.integers(1, 64) | st.integers(1000, 70_000),
)
def test_a_format_is_found_by_its_marks_alone(head: bytes, tags: list[bytes], size: int) -> None:
    """However the audio comes, and whatever tags are in front, the same is said of it."""
    whole = b"".join([*tags, head])
    found = detect(whole)
    assert re.search(MARKS[found], whole, re.DOTALL)
    pieces = Head()
    for begin in range(0, len(whole), size):
        pieces.add(whole[begin : begin + size])
    assert pieces.format == found


SMALL = [
    page(b"OpusHead".ljust(19, b"\1")) + page(b"\x08", granule=960, flags=4),
    WAV[:60],
    (b"\xff\xe3\x18\0" + bytes(9) + b"Xing" + bytes(55)) * 3 + b"TAG",
]


@many(1000)
@given(audio=st.sampled_from(HEADS + SMALL).flatmap(spoilt) | st.binary(max_size=300))
def test_any_bytes_have_an_extent(audio: bytes) -> None:
    """Whatever format they are taken for: none, or a length that audio can have."""
    for name in FORMATS:
        seconds = measure(io.BytesIO(audio), name).seconds
        assert seconds is None or 0 <= seconds < math.inf


# The command line.

SECRET = "Zq7secret"
"""A password as a word of the command line; the others are given in other ways."""

IN_VARIABLE, ON_STDIN, IN_FILE = "Vx3secret", "Wy5secret", "Ur2secret"

NAMES = [
    "a.enc", "./a.enc", "b.enc", "link.enc", "hard.enc", "nowhere.enc", "short.enc", "text.enc",
    "-dash.enc", "folder", "folder/a.enc", "folder/", ".", "missing/x.enc", "missing.enc",
    "secret", "empty", "\udcff.enc", "é\u202e\n.enc", "x" * 300, "old.opus", "-", "a.enc/",
]  # fmt: skip
RIGHT_OPTIONS = [
    "-o x", "-o a.enc", "-o link.enc", "-o hard.enc", "-o -", "-o folder", "-o missing/x",
    "-o nowhere.enc", "-d .", "-d folder", "-d new/er", "-d a.enc", "--password-file secret",
    "--password-file missing", f"--if-exists {SECRET}", f"-j {SECRET}", f"--json={SECRET}",
    "--files-from list", "--fail-fast", "--unknown-as bin", "--if-exists skip", "--if-exists fail",
    "-j 3", "--verify", "--json", "-q", "--progress",
]  # fmt: skip
OTHER_OPTIONS = (
    "-ox -o- -oa.enc -o=x --output --output=x --output= --output=- -d -dout -d. --output-dir "
    "--output-dir=folder --output-dir= -da.enc --files-from=list --files-from=folder -0 --null "
    "--unknown-as --unknown-as=auto --if-exists= skip fail --password-file=empty "
    "--password-file=- -j -j2 -j0 -j-1 -j99999999999999999999 -j٣ --jobs=1e3 --jobs 7 --verify=1 "
    "-qj1 -jq -qqq -hq --quiet --no-progress --version -h --help --hel --no- --outpu -- --- --= "
    "-= -é --\udcff"
)
OPTIONS = [*OTHER_OPTIONS.split(), "-j 1", "--\n", "- ", "-- "]
OPTIONS += [word for option in RIGHT_OPTIONS for word in option.split(" ")]
EXTENSIONS = [
    "opus", ".opus", "auto", ".auto", "enc", ".enc", "", ".", " ", "a/b", "a\\b", "\udcfe",
    "\x1b[2J", "-opus", "y" * 300, "tmp",
]  # fmt: skip
PASSWORDS = [
    PASSWORD, SECRET, f"-{SECRET}", f"--{SECRET}", f"--json={SECRET}", f"-j{SECRET}", "-", "",
    f"--if-exists={SECRET}", f"-q{SECRET}", f"--{SECRET}=x", f"{SECRET}\udcff", f"\n{SECRET}",
]  # fmt: skip

# Neither a slash nor two dots can come out of it: nothing may be found or written elsewhere.
STRANGE = st.text(
    st.sampled_from("-=o d\n\t\x1b\x7f\u202e\u2028é\ufeff\U0001f4a9\udc80\udcffaq'\"*?~$\\"),
    max_size=6,
)
WORD = st.one_of(*map(st.sampled_from, (NAMES, OPTIONS, EXTENSIONS, PASSWORDS)), STRANGE)


@st.composite
def sensible(draw: st.DrawFn) -> list[str]:
    """Draw words that are nearly right, so that the work begins now and then."""
    words = draw(st.lists(st.sampled_from([*NAMES, "a.enc"]), min_size=1, max_size=2, unique=True))
    words.append(draw(st.sampled_from([PASSWORD] * 4 + ["-", SECRET])))
    words.append(draw(st.sampled_from(["opus", "auto"]) | st.sampled_from(EXTENSIONS)))
    for option in draw(st.lists(st.sampled_from(RIGHT_OPTIONS), max_size=2)):
        place = draw(st.sampled_from([0, len(words)]))
        words[place:place] = option.split(" ")
    return words


WORDS = sensible() | sensible() | st.lists(WORD, max_size=7)
AUDIOS = {AUDIO: "-"}
NAMED = ("a.enc", "-dash.enc", "\udcff.enc", "é\u202e\n.enc", "folder/a.enc")
AUDIOS |= {OPUS[:length]: name for length, name in enumerate(NAMED, 2900)}
"""Where the recording is that holds each; "-" is on standard input, and a file as well."""

RECORDINGS = {name: encrypt(audio) for audio, name in AUDIOS.items()}
TEXTS = [b"", PASSWORD.encode() + b"\r\nmore", ON_STDIN.encode() * 6 + b"\n"]
STDIN = st.sampled_from([RECORDINGS["-"], *TEXTS])
VARIABLES = st.sampled_from(
    [{}, *({"FILEDECRYPTOR_PASSWORD": value} for value in (PASSWORD, IN_VARIABLE, ""))]
)


def furnish(folder: Path) -> None:
    """Put every kind of file there that the words speak of."""
    (folder / "folder").mkdir()
    for name, data in RECORDINGS.items():
        (folder / name).write_bytes(data)
    (folder / "b.enc").write_bytes(RECORDINGS["a.enc"][:-1] + b"?")
    (folder / "link.enc").symlink_to("a.enc")
    (folder / "hard.enc").hardlink_to(folder / "a.enc")
    (folder / "nowhere.enc").symlink_to("missing")
    texts = {"short.enc": "short", "text.enc": IN_FILE * 10, "secret": f"{IN_FILE}\n", "empty": ""}
    texts |= {"list": "a.enc\nfolder\nmissing.enc\n", "old.opus": "old"}
    for name, text in texts.items():
        (folder / name).write_text(text)


def names_in(words: Sequence[str]) -> list[str]:
    """Return what messages may repeat of the words: no password."""
    if len(words) == 3 and words[0][:1] != "-" and words[2][:1] != "-":
        return [words[0], words[2]]
    try:
        with redirect_stdout(io.StringIO()):
            found = cli_main.make_context("filedecryptor", list(words)).params
    except (click.ClickException, click.exceptions.Exit):
        return []
    others = [found[name] for name in ("files_from", "output", "output_dir", "unknown_as")]
    others = [*filter(None, others), *found["password_file"]]
    words = found.pop("words")
    try:
        filenames, _, extension = told_apart(words, Options(**found))
    except UsageError:  # which repeats a name that is there
        return [*others, *filter(os.path.lexists, words)]
    return [*others, *filenames, extension or ""]


def call(words: Sequence[str], stdin: bytes) -> Result:
    """Call the command in this process, which looks like one of the command's own meanwhile."""
    handlers = [signal.getsignal(number) for number in ENDING_SIGNALS]
    with (
        no_hang(),
        tempfile.TemporaryFile("w+", encoding="utf-8") as given,
        tempfile.TemporaryFile("w+", encoding="utf-8") as output,
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as said,
        patch.multiple(
            sys, stdin=given, stdout=output, stderr=said, argv=["filedecryptor", *words]
        ),
    ):
        given.buffer.write(stdin)
        given.seek(0)
        try:
            code = main()
        finally:
            for number, handler in zip(ENDING_SIGNALS, handlers, strict=True):
                signal.signal(number, handler)
        output.seek(0)
        said.seek(0)
        return Result(code, bytes(output.buffer.read()), said.read())


@pytest.mark.slow
@many(450)
@given(words=WORDS, stdin=STDIN, variables=VARIABLES)
def test_any_words(words: list[str], stdin: bytes, variables: dict[str, str]) -> None:
    """Whatever the words are, the command ends properly, says no secret and spoils nothing."""
    with tempfile.TemporaryDirectory() as name, working_directory(Path(name)):
        folder = Path(name)
        furnish(folder)
        before = contents(folder)
        names = names_in(words)
        with patch.dict(os.environ, variables):
            result = call(words, stdin)
        after = contents(folder)
    assert result.code in {0, 1, 2, 3, 4, 5}
    assert before.keys() <= after.keys()
    for name, content in after.items():
        assert not Path(name).name.startswith(TEMPORARY_PREFIX)
        if content != before.get(name):
            assert isinstance(content, bytes)
            recording = AUDIOS[content]
            assert after[recording] == before[recording]
    said = result.stderr + result.stdout.decode("utf-8", "replace")
    if len(words) > 3 or any(word.startswith("--password-file") for word in words):
        said = re.sub("unknown option: .*", "", said)  # where it cannot be the password
    for secret in (SECRET, IN_VARIABLE, ON_STDIN, IN_FILE):
        assert secret not in said or any(secret in name for name in names)
    assert AUDIO[100:200] not in result.stdout or result.stdout in AUDIOS
    for line in result.stderr.split("\n"):
        assert line.isprintable()
        is_free = not line or "--progress" in words or not words  # answered with examples
        assert is_free or line.startswith("filedecryptor: ")
    assert result.code != 2 or not words or "filedecryptor: error: " in result.stderr


# The list of the API.

SCALAR = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**4000)]),
    st.floats(),
    st.text(st.characters(), max_size=8),
    st.sampled_from(
        ["\ud800", "\udfff\ud800", "\0", "\x1b[2J", "\r\n", "", "\u202e", "A" * 300, ONE]
    ),
)
KEY = st.sampled_from(["sessionGuid", "SESSIONGUID", "sessionguid", "", "x", "\ud800", "\n"])
JSON = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEY | st.text(), inner, max_size=4),
    max_leaves=20,
)
LIST = st.lists(st.sampled_from(["a", "b", None]) | JSON, max_size=6) | st.dictionaries(
    KEY, st.lists(JSON, max_size=4), max_size=2
)
ANSWER = st.builds(
    lambda text, encoding: text.replace('"x"', '"sessionGuid"').encode(encoding, "surrogatepass"),
    st.builds(json.dumps, LIST, ensure_ascii=st.booleans()),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32-le"]),
)
"""The JSON of a list, in any encoding; a key may be there twice."""

DEEP = st.integers(1, 3000).map(lambda depth: b'["good", %s]' % (b"[" * depth + b"]" * depth))
WIDE = st.integers(1, 300).map(
    lambda count: json.dumps([{str(n): n} for n in range(count)]).encode()
)


@pytest.mark.slow
@many(300)
@given(data=ANSWER | ANSWER.flatmap(spoilt) | st.binary(max_size=60) | DEEP | WIDE)
def test_any_list_is_understood_or_refused(data: bytes) -> None:
    """Whatever the API sends, GUIDs and a clean table come of it, or its documented error."""
    with no_hang():
        found = Listing(data, {})
        try:
            recordings, others = found.recordings()
            assert all(type(name) is str for name in others)
            assert len({recording.guid for recording in recordings}) == len(recordings)
        except ApiError:
            pass
        try:
            shown = [*table(*listing.table(found.entries(), now())), *signs_of_more(found)]
        except ApiError:
            return
        shown = [printable(line) for line in shown]
        assert all(line.isprintable() for line in shown)
        "\n".join(shown).encode()  # as the command does
