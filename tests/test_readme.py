"""The README: its examples are true, and what it promises is held by tests.

Whoever changes one of its promises finds the tests for it here.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import encryptor
from support.commands import COMMAND, SCRIPTS, wait_until
from support.posix import posix_only
from support.recordings import AUDIO, FIXTURES, WAV

TESTS = Path(__file__).parent
ROOT = TESTS.parent
README = (ROOT / "README.md").read_text("utf-8")

GUIDS = {
    "2c0e1f8a-5d0b-4e0f-9a57-1f0a6c1d9b11": "recording_abc123.enc",
    "7be3ab10-1c7e-4e57-8f5e-0a4f4c9d2e22": "recording_ghi789.enc",
}
"""The recordings of the account in the examples."""

HELD_BY = {
    "An output counts as there if it is as long as the audio must be: 44 bytes shorter "
    "than its `.enc` file.": ("test_skip_does_again_what_is_not_as_long_as_the_audio"),
    "One of another length was not finished by whatever wrote it.": (
        "test_skip_does_again_what_is_not_as_long_as_the_audio"
    ),
    "`skip` replaces it and says so in a note; `fail` says so in its error.": (
        "test_skip_does_again_what_is_not_as_long_as_the_audio "
        "test_fail_says_that_the_length_is_another"
    ),
    "What is named twice is done once.": ("test_what_is_named_twice_is_done_once"),
    "Inputs that would share an output all fail, and so does one whose output would "
    "replace another input, before anything is written for them, also where the file "
    "system takes two names for one (case, accents).": (
        "test_outputs_that_collide_fail test_names_that_are_one_on_the_disk_fail "
        "test_on_a_real_disk test_two_recordings_have_no_output_in_common"
    ),
    "The rest is done.": ("test_the_rest_of_a_batch_is_done"),
    "A hint is given once in a run.": ("test_a_hint_is_given_once"),
    "If standard output takes no more (a full disk, a reader that has left), a batch says "
    "so once, goes on, and exits with 1.": (
        "test_a_batch_goes_on_without_standard_output test_a_batch_whose_reader_takes_one_line"
    ),
    "An argument that names nothing may be the password in the wrong place: in JSON, "
    "`input` is then `FILENAME 2`, for example, and no message shows it either.": (
        "test_a_misplaced_password_is_not_repeated"
    ),
    "After SIGINT, SIGTERM or SIGHUP, on Windows after Ctrl-C or Ctrl-Break, what is done "
    "stays, what is under way is dropped without a trace, and the summary is printed all "
    "the same, with how to go on.": (
        "test_a_signal_in_the_middle test_windows_ends_like_others "
        "test_a_batch_looks_for_ctrl_c test_an_interruption_leaves_no_upload "
        "test_interrupted_batches_leave_nothing test_what_does_not_end_is_not_waited_for"
    ),
    "A run that is killed (SIGKILL, a power cut; on Windows also by `taskkill`, by the "
    "Task Scheduler, or with its window) can leave a file called `.filedecryptor-*.tmp` "
    "beside an output, of authenticated audio, whole or in part.": (
        "test_killed_at_any_moment test_audio_beyond_memory_goes_to_a_disk_without_nameless_files"
    ),
    "When it is a day old, the next run of the same user there removes it.": (
        "test_leftovers_are_no_recordings test_a_later_run_removes_what_a_killed_one_left "
        "test_what_killed_runs_left_is_removed_when_it_is_a_day_old "
        "test_what_others_left_stays"
    ),
    "On Windows, a program that has an output open may keep it from being replaced.": (
        "test_an_output_that_is_open_elsewhere"
    ),
    "For two seconds that is waited for, and is an error then: what was there stays.": (
        "test_an_output_that_is_open_elsewhere"
    ),
    "Nothing is deleted on the server before it is stored whole, flushed, and recorded.": (
        "test_killed_many_times test_the_record_is_written_before_the_deletion"
    ),
    "Authenticated audio is whole, and plain audio of the announced length that is as "
    "long as its own header says.": (
        "test_everything_goes_there test_it_is_kept_apart_and_not_deleted "
        "test_plain_audio_of_unknown_length_is_never_taken_for_the_whole"
    ),
    "A recording counts as present if its record is there, and its file in the recorded length.": (
        "test_a_file_that_is_shorter_than_its_record_says"
    ),
    "A file that has no record is fetched again.": (
        "test_a_file_without_a_record_is_no_reason_to_delete"
    ),
    "What could not be deleted is said to be stored, but not deleted; the next run tries "
    "it again.": ("test_a_deletion_that_fails"),
    "A deletion never follows a redirection.": ("test_no_redirection_of_a_deletion_is_followed"),
    "Authenticated audio that is not opus, mp3 or wav is stored as `GUID.unknown` (exit "
    "code 5, once).": ("test_audio_of_an_unknown_format_is_kept"),
    "Plain audio that may be cut off is stored as `GUID.unverified.opus` (or `.mp3`, "
    "`.wav`), fetched again by each run, and not deleted.": (
        "test_it_is_kept_apart_and_not_deleted"
    ),
    "Nor is a recording that is stored as `.enc` only.": ("test_without_a_password"),
    "What is no recording (a page, a text, an archive, a picture, fewer than 44 bytes) is "
    "never stored; the error shows what the server said.": (
        "test_what_is_no_recording_is_never_stored"
    ),
    "With a wrong password nothing is stored, and nothing is deleted.": (
        "test_a_wrong_password_deletes_nothing"
    ),
    "For a job that nobody watches, `--keep-encrypted` is the safe choice: "
    "`filedecryptor` can decrypt what it keeps later.": ("test_keep_encrypted"),
    "A request that fails for a reason that may pass is made again, up to five times, "
    "with longer and longer pauses.": (
        "test_what_may_pass_is_tried_again test_there_is_a_pause_before_each_attempt"
    ),
    "A download that breaks off goes on where it was, if the server offers that.": (
        "test_it_goes_on_where_it_was test_parts_that_are_not_offered_are_not_asked_for"
    ),
    "If the token is refused, the server is down, the disk is full or the time is over, "
    "one error says so.": ("test_what_concerns_all test_a_full_disk test_the_time_for_all_of_it"),
    "The rest is not tried.": ("test_what_concerns_all"),
    "A list that shows signs of being a page of a longer one gives exit code 7.": (
        "test_what_is_listed_is_fetched_all_the_same"
    ),
    "All that it names is fetched.": ("test_what_is_listed_is_fetched_all_the_same"),
    "If the last complete run is more than six days ago, a warning says so, also with `-q`.": (
        "test_a_warning_after_six_days"
    ),
    "Two runs in one directory do not meet: the second one says who is at work there, and "
    "exits with 1.": ("test_a_second_run_is_kept_out"),
    "What a killed run left half-done has no name, or is done again.": ("test_killed_many_times"),
    "The token goes to no other server, also if a download is redirected to one.": (
        "test_a_redirect_to_another_server_goes_there_without_the_token"
    ),
    "In an object store, a marker object says who is at work and since when.": (
        "test_a_second_run_in_a_store"
    ),
    "It is ignored after six hours, or if that process is on the same machine and has ended.": (
        "test_a_marker_that_was_left_behind test_a_run_on_another_machine"
    ),
    "Should two runs meet all the same, they write the same: each output is created only "
    "if it is not there, or else compared.": ("test_what_appears_meanwhile_is_compared"),
    "An output appears under its name only when the whole recording has been "
    "authenticated and is on the disk; on macOS that includes the disk's own cache.": (
        "test_everything_is_on_the_disk_before_it_has_a_name "
        "test_the_order_survives_a_power_cut "
        "test_a_flush_reaches_the_disk_itself_on_macos"
    ),
    "Until then up to 8 MiB of audio are in memory (less if many recordings are worked on "
    "at once); longer audio is in a file of the same directory that has no name, can be "
    "opened by nobody else, and is gone when the process ends.": (
        "test_a_short_recording_is_written_only_once_it_is_authenticated "
        "test_nobody_reads_what_is_not_authenticated test_killed_at_any_moment"
    ),
    "Where there are no files without names (Windows, macOS, some network file systems), "
    "and on its way to standard output, to Python or to an object store, a longer "
    "recording is kept as it came, encrypted, until it has been authenticated: in a "
    "temporary file, in `TMPDIR` or else in `/var/tmp`.": (
        "test_only_ciphertext_is_spooled test_a_private_file_lies_where_it_is_wanted "
        "test_only_ciphertext_gets_to_the_temporary_directory"
    ),
    "Only then is its audio written.": (
        "test_audio_beyond_memory_goes_to_a_disk_without_nameless_files"
    ),
    "On a disk, that is a file called `.filedecryptor-*.tmp`, its owner's alone (on "
    "Windows, that of those who may read the directory), until it is whole.": (
        "test_what_is_unfinished_is_its_owners_alone"
    ),
    "A run that failed has changed no file; it may have made the directory of `--output-dir`.": (
        "test_what_is_refused_leaves_the_old_output_and_nothing_else "
        "test_what_the_system_refuses_changes_nothing"
    ),
    "Only a disk that fails when it flushes a directory is noticed late: the new output "
    "is there by then, whole.": ("test_a_directory_that_cannot_be_flushed"),
    "The recording itself is never written to, and an output that would replace it is refused.": (
        "test_an_output_that_is_the_input_is_refused test_stdout_must_not_be_the_recording"
    ),
    "A symbolic link in the place of an output is replaced, not followed.": (
        "test_a_published_file_is_whole_and_alone"
    ),
    "Memory does not grow with the length of a recording.": (
        "test_recordings_over_two_gibibytes_work "
        "test_memory_does_not_grow_with_the_number_of_objects"
    ),
    "An output gets the time of its recording, and the permissions that both its "
    "recording and the umask leave (on Windows, those of its directory), also where it "
    "replaces a file that had others.": (
        "test_the_time_is_that_of_the_recording "
        "test_permissions_are_no_more_than_the_recording_has "
        "test_permissions_are_those_of_any_new_file"
    ),
    "Every bit is authenticated before a byte of audio gets to where anybody else can "
    "read it: into a file that has a name, to standard output, to Python, to a store.": (
        "test_no_bit_can_be_flipped test_stdout_gets_nothing_before_the_tag_has_verified "
        "test_open_recording_hands_out_nothing_unauthenticated "
        "test_what_fails_leaves_no_object_and_no_upload"
    ),
    "Other users of the machine can neither foresee nor block the file that an output is "
    "written to.": (
        "test_a_file_that_another_has_put_in_place_is_not_published "
        "test_a_published_file_is_whole_and_alone"
    ),
    "Nobody but its owner can read the audio before it is authenticated.": (
        "test_nobody_reads_what_is_not_authenticated"
    ),
    "Password, key and API token appear in no message, log, file or exception text.": (
        "test_a_failure_tells_nothing test_exceptions_and_logs_tell_nothing"
    ),
    "The key is wiped from memory after use, as far as Python allows, and no core dump is "
    "written.": (
        "test_the_key_is_wiped test_closing_wipes_the_key "
        "test_no_core_dump_is_written_and_many_files_may_be_open"
    ),
    "`vns-recordings` sends the token to one server only, over TLS.": (
        "test_a_redirect_to_another_server_goes_there_without_the_token "
        "test_no_proxy_gets_the_token_in_clear_text"
    ),
    "Names from the API never choose a directory.": ("test_a_list_with_what_is_no_guid"),
    "What a message holds is one line without control characters; so is a path on "
    "standard output, if that is a terminal.": (
        "test_texts_from_outside_are_one_harmless_line test_paths_are_escaped_in_a_terminal_only"
    ),
}
"""Each sentence with the tests that fail if it is not true."""


SECTIONS = (
    ("\nWhat holds in all of them:\n", "\n## "),
    ("\n### What an archive promises\n", "\n### "),
    ("\n## Promises and security\n", "\nIt cannot protect against:\n"),
)
"""Where the parts begin and end that promise something."""


def promises() -> list[str]:
    """Return the sentences of the parts that promise something, without the examples."""
    found = []
    for begin, end in SECTIONS:
        for paragraph in README.partition(begin)[2].partition(end)[0].split("\n- "):
            text = " ".join(paragraph.removeprefix("- ").split())
            found += re.split(r"(?<=\.) (?=[A-Z`(*])", text) if text else []
    return found


def test_every_promise_is_held() -> None:
    """No sentence without a test, and no test of a sentence that is not there."""
    assert set(promises()) == set(HELD_BY)


def test_the_tests_are_there() -> None:
    """Under the names that stand here."""
    there = {
        node.name
        for path in TESTS.rglob("test_*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    named = {test for tests in HELD_BY.values() for test in tests.split()}
    assert named <= there


def examples() -> list[tuple[list[str], list[str]]]:
    """Return each block of the README that shows commands: these, and the lines that they print."""
    found = []
    for block in re.findall(r"(?:^    .*\n)+", README, re.MULTILINE):
        lines = [line.removeprefix("    ") for line in block.splitlines()]
        commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        if commands:
            found.append((commands, [line for line in lines if not line.startswith("$ ")]))
    return found


def comparable(lines: Iterable[str]) -> list[str]:
    """Return lines without what differs from run to run: seconds, times, and the order of a batch."""
    varying = r"in \d+\.\d s$|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    return sorted(re.sub(varying, "...", line) for line in lines)


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[dict[str, str]]:
    """All that the examples need: recordings, secrets, a store, an account, a cluster."""
    for package in ("distributed", "s3fs", "httpcore", "filelock"):
        pytest.importorskip(package, reason="an extra is not installed")
    from support import api_server, dask_cluster
    from support.bucket import Bucket, serving

    (tmp_path / "secret.txt").write_text("EncryptMe\n")
    (tmp_path / "vns-token").write_text(f"{api_server.TOKEN}\n")
    late = tmp_path / "recordings" / "late"
    late.mkdir(parents=True)
    with serving() as store, api_server.serving() as api:
        bucket = Bucket(store, "bucket")
        for path in FIXTURES.glob("*.enc"):
            folder = late if "ghi" in path.name else late.parent
            shutil.copy(path, folder)
            shutil.copy(path, tmp_path)
            bucket.put(str((folder / path.name).relative_to(tmp_path)), path.read_bytes())
        (tmp_path / "old.txt").write_text("the one before\n")
        (tmp_path / "rotated").mkdir()
        shutil.copy(FIXTURES / "recording_abc123.enc", tmp_path / "rotated" / "new.enc")
        before = encryptor.encrypt(WAV, "the one before")
        (tmp_path / "rotated" / "old.enc").write_bytes(before)
        for guid, name in GUIDS.items():
            api.recordings[guid] = (FIXTURES / name).read_bytes()
        environment = {**os.environ, **bucket.env, "VNS_API_URL": api.url, "PYTHONPATH": ""}
        with dask_cluster.running(tmp_path / "dask", "", "", env=environment) as cluster:
            (tmp_path / "bin").mkdir()
            player = tmp_path / "bin" / "ffplay"
            player.write_text('#!/bin/sh\n[ "$*" = "-nodisp -autoexit -" ] && cat >played\n')
            player.chmod(0o755)
            environment["PATH"] = f"{tmp_path / 'bin'}:{SCRIPTS}:{os.environ['PATH']}"
            yield {**environment, "SCHEDULER": cluster.address}


@pytest.mark.slow
@pytest.mark.real_iterations
def test_the_examples_are_true(surroundings: dict[str, str], tmp_path: Path) -> None:
    """Each command prints what the page shows, one after the other in one folder."""
    assert len(examples()) > 8
    for commands, lines in examples():
        if "jq" in commands[0]:
            if shutil.which("jq") is None:
                continue
            cut = (FIXTURES / "recording_abc123.enc").read_bytes()[:-100]
            (tmp_path / "recordings" / "cut.enc").write_bytes(cut)
            (tmp_path / "recordings" / "page.enc").write_text("<!doctype html>")
        script = "\n".join(commands).replace("tcp://scheduler:8786", surroundings["SCHEDULER"])
        done = subprocess.run(
            ["bash", "-c", script],
            check=False,
            cwd=tmp_path,
            env=surroundings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert comparable(done.stdout.splitlines()) == comparable(lines), commands
    for name in ("cut.enc", "page.enc"):
        (tmp_path / "recordings" / name).unlink(missing_ok=True)
    for line in first_screen():
        script = f"set -o pipefail; {line}"
        subprocess.run(["bash", "-c", script], check=True, cwd=tmp_path, env=surroundings)
    assert (tmp_path / "played").read_bytes() == AUDIO


def first_screen() -> list[str]:
    """Return the commands that the page begins with."""
    [block] = re.findall(r"\A# filedecryptor\n\n[^#]*?\n\n((?:    .*\n)+)", README)
    lines = [line.strip() for line in block.splitlines()]
    assert len(lines) == 4
    return lines


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    """Return what stands for /srv, with recordings, and the password in two files."""
    for name in (".vns-password", "vns-password"):
        (tmp_path / name).write_text("EncryptMe\n")
    (tmp_path / ".vns-token").write_text("the token\n")
    (tmp_path / "recordings" / "late").mkdir(parents=True)
    shutil.copy(FIXTURES / "recording_abc123.enc", tmp_path / "recordings")
    shutil.copy(FIXTURES / "recording_ghi789.enc", tmp_path / "recordings" / "late")
    return tmp_path


def check_night(srv: Path, mode: int | None = None) -> None:
    """Check that the audio is there, with these permissions if some are expected."""
    made = sorted(path.relative_to(srv).as_posix() for path in srv.glob("audio/**/*.*"))
    assert made == ["audio/late/recording_ghi789.wav", "audio/recording_abc123.opus"]
    if mode is not None:
        assert {stat.S_IMODE((srv / name).stat().st_mode) for name in made} == {mode}


@posix_only("sh")
@pytest.mark.real_iterations
def test_the_crontab_is_true(srv: Path) -> None:
    """Its lines run as cron runs them: by sh, with nothing in the environment."""
    lines = re.findall(r"^    PATH=(.*)\n    15 2 \* \* \* (.*)$", README, re.MULTILINE)
    assert [command.split()[2] for _, command in lines] == ["filedecryptor", "vns-recordings"]
    for path, command in lines:
        assert path == "/usr/local/bin:/usr/bin:/bin"
        environment = {"PATH": f"{SCRIPTS}:{path}", "HOME": str(srv)}
        if "vns-recordings" in command:
            environment["VNS_API_URL"] = "http://127.0.0.1:9"  # where nobody answers
        done = subprocess.run(
            ["/bin/sh", "-c", command.replace("/srv", str(srv)).replace("7200", "1")],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
        )
        if "vns-recordings" in command:
            assert "missing" not in done.stderr
            assert done.returncode in {1, 7}
        else:
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            check_night(srv, 0o600)


@pytest.mark.real_iterations
def test_the_scheduled_task_is_true(srv: Path) -> None:
    """Its command line is one that the program takes."""
    [command] = re.findall(r'^    schtasks .* /TR "(.*)"$', README, re.MULTILINE)
    places = {
        r"C:\tools\.venv\Scripts\filedecryptor.exe": COMMAND,
        r"C:\secrets\vns.txt": str(srv / "vns-password"),
        r"C:\recordings": str(srv / "recordings"),
        r"C:\audio": str(srv / "audio"),
    }
    subprocess.run([places.get(word, word) for word in command.split()], check=True)
    check_night(srv)


@pytest.mark.real_iterations
def test_the_python_of_the_example(srv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs as it stands."""
    [source] = [
        code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "open_rec" in code
    ]
    shutil.copy(FIXTURES / "recording_abc123.enc", srv)
    monkeypatch.chdir(srv)
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102
    assert names["path"] == Path("recording_abc123.opus")
    assert names["first"] == b"OggS"
    assert (srv / "recordings" / "recording_abc123.opus").read_bytes() == AUDIO


@posix_only("bash")
def test_the_completion_of_the_page(tmp_path: Path) -> None:
    """Both lines switch it on."""
    pytest.importorskip("httpcore", reason="the extra vns is not installed")
    pytest.importorskip("filelock", reason="the extra vns is not installed")
    [block] = re.findall(r"```sh\n(eval .*?)```", README, re.DOTALL)
    script = (
        f"PATH={SCRIPTS}:$PATH\n{block}\n"
        "COMP_WORDS=(filedecryptor --verif); COMP_CWORD=1\n"
        "_filedecryptor_completion filedecryptor --verif filedecryptor; echo ${COMPREPLY[@]}\n"
        "COMPREPLY=(); COMP_WORDS=(vns-recordings arch); COMP_CWORD=1\n"
        "_vns_recordings_completion vns-recordings arch vns-recordings; echo ${COMPREPLY[@]}\n"
    )
    done = subprocess.run(
        ["bash", "-c", script], check=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split() == ["--verify", "archive"]


@posix_only("bash")
@pytest.mark.slow
@pytest.mark.parametrize("way", ["quick start", "a virtual environment", "uv", "pipx"])
def test_the_ways_to_install_are_true(tmp_path: Path, way: str) -> None:
    """In a clone, with nothing but what the page names."""
    [quick] = re.findall(r"```sh\n(.* fixtures/recording_abc123\.enc .*)\n```", README)
    lines = {
        "quick start": quick,
        "a virtual environment": "python3 -m venv .venv && .venv/bin/pip install .",
        "uv": "uv tool install .",
        "pipx": "pipx install .",
    }
    assert f"\n    {lines[way]}\n" in README or way == "quick start"
    tool = lines[way].split()[0]
    if shutil.which(tool, path=f"{SCRIPTS}:{os.environ['PATH']}") is None:
        pytest.skip(f"there is no {tool}")
    clone = tmp_path / "clone"
    for name in ("src", "fixtures"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    home = {
        "HOME": str(tmp_path),
        "PYTHONPATH": "",
        "PIPX_HOME": str(tmp_path / "x"),
        "PIPX_BIN_DIR": str(tmp_path),
    }
    places = {"UV_TOOL_DIR": str(tmp_path / "u"), "UV_TOOL_BIN_DIR": str(tmp_path)}
    environment = {**os.environ, **home, **places, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", lines[way]], check=True, cwd=clone, env=environment)
    program = (
        tmp_path / "filedecryptor" if way in {"uv", "pipx"} else clone / ".venv/bin/filedecryptor"
    )
    if way != "quick start":
        words = [str(program), "fixtures/recording_abc123.enc", "EncryptMe", "opus"]
        subprocess.run(words, check=True, cwd=clone, env=environment)
    assert (clone / "fixtures" / "recording_abc123.opus").read_bytes() == AUDIO


def test_the_webhook_of_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of the page fetches the one recording that a call's end names."""
    for package in ("httpcore", "filelock"):
        pytest.importorskip(package, reason="the extra vns is not installed")
    from support import api_server
    from support.recordings import encrypt

    [source] = [
        code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "wsgi" in code
    ]
    guid = next(iter(GUIDS))
    monkeypatch.setenv("VNS_API_TOKEN", api_server.TOKEN)
    monkeypatch.setenv("FILEDECRYPTOR_PASSWORD", "EncryptMe")
    with api_server.serving() as api:
        api.recordings = {name: encrypt(AUDIO) for name in GUIDS}
        source = source.replace('TOKEN"]', f'TOKEN"], url={api.url!r}')
        names: dict[str, Any] = {}
        exec(source.replace("/srv/calls", (tmp_path / "calls").as_posix()), names)  # noqa: S102
        body = json.dumps({"sessionGuid": guid, "seconds": 12}).encode()
        environ = {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
        answers: list[str] = []
        assert names["call_end"](environ, lambda status, _: answers.append(status)) == []
        target = tmp_path / "calls" / f"{guid}.opus"
        wait_until((tmp_path / "calls" / f"{guid}.json").exists)
    assert answers == ["204 No Content"]
    assert target.read_bytes() == AUDIO
    assert len(list((tmp_path / "calls").iterdir())) == 2
