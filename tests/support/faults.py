"""What may go wrong in a night. To add a fault, write a function and put it into `FAULTS`.

A fault is given the `Night`, and changes it before the archive is run. It draws its parameters from
`night.chance`, says what it drew with `night.draw`, leaves to `night.undo` what must not last, and
says with `night.concerns` or `night.is_harmless` what it must not keep the run from doing. Where it
is not possible, it skips.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

import pytest

from support import odd_disk
from support.account import Call, Directory
from support.api_server import PATH, Handler
from support.night import Night
from support.posix import IS_ROOT
from support.store_proxy import Answer, Request, refusal

Fault = Callable[[Night], None]

YEAR = 365 * 24 * 60 * 60
PAGE = b"<!DOCTYPE html><html><body><h1>Welcome</h1>Please sign in.</body></html>"
PASSING = (429, 500, 503)
"""Statuses that the program takes for passing trouble: it asks again, after a pause."""

# The server


def sending(status: int) -> Callable[[Handler], None]:
    """Return what answers with a status: 200 is a page, 302 leads away, any other says little."""

    def answer(handler: Handler) -> None:
        if status == 200:
            handler.send(200, PAGE, "text/html")
        elif status == 302:
            handler.send(302, b"", Location=f"{PATH}/elsewhere")
        else:
            handler.send(status, b"" if status == 204 else b'{"error":"no"}')

    return answer


def answer_with(
    night: Night,
    method: str,
    paths: Sequence[str],
    answer: Callable[[Handler], object],
    times: int | None = None,
) -> None:
    """Let some requests be answered otherwise.

    Args:
        night: The night.
        method: `GET` or `DELETE`.
        paths: What is asked for.
        answer: Sends the answer.
        times: How often for each path; None for always.
    """
    wanted, asked, lock = set(paths), Counter[str](), Lock()

    def behave(handler: Handler) -> bool:
        if handler.command != method or handler.path not in wanted:
            return False
        with lock:
            asked[handler.path] += 1
            if times is not None and asked[handler.path] > times:
                return False
        answer(handler)
        return True

    night.behave(behave)


def paths_of(calls: Sequence[Call]) -> list[str]:
    """Return where the server has these."""
    return [f"{PATH}/{call.guid}" for call in calls]


def recordings_are_refused(night: Night) -> None:
    """Some of them, all night."""
    night.account.take_calls(night.chance, 8)
    calls, status = night.some(), night.chance.choice([200, 204, 302, 400, 401, 403, 404])
    night.draw(f"status {status}")
    answer_with(night, "GET", paths_of(calls), sending(status))
    night.concerns(*calls)


def recordings_are_refused_for_now(night: Night) -> None:
    """Once or twice, in a way that may pass: all of them are fetched."""
    calls, status, times = night.some(), night.chance.choice(PASSING), night.chance.choice([1, 2])
    night.draw(f"status {status}", f"{times} times")
    answer_with(night, "GET", paths_of(calls), sending(status), times)
    night.is_harmless()


def recordings_fail(night: Night) -> None:
    """All night, in a way that might pass."""
    calls, status = night.some(), night.chance.choice(PASSING)
    night.draw(f"status {status}")
    answer_with(night, "GET", paths_of(calls), sending(status))
    night.limit_time()


def the_list_is_refused(night: Night) -> None:
    """All night."""
    status = night.chance.choice([200, 204, 302, 400, 401, 403, 404, *PASSING])
    night.draw(f"status {status}")
    answer_with(night, "GET", [PATH], sending(status))
    night.limit_time()


def the_list_makes_no_sense(night: Night) -> None:
    """It is cut, empty, null, or something else."""
    body = night.server.listing()
    cut = body[: night.chance.randrange(len(body))]
    odd = (b"", b"[]", b"{}", b"null", b"\0\xff", b"true", b'{"error": "no"}', b"[[[", PAGE, cut)
    night.server.list_body = night.chance.choice(odd)
    night.draw(night.server.list_body)
    night.undo.callback(setattr, night.server, "list_body", None)


def the_list_names_too_few(night: Night) -> None:
    """What it does not name waits; what it names is fetched."""
    calls = night.some()
    named = [{"sessionGuid": call.guid} for call in night.others(calls)]
    night.server.list_body = json.dumps(named).encode()
    night.undo.callback(setattr, night.server, "list_body", None)
    night.concerns(*calls)


def the_list_names_what_is_gone(night: Night) -> None:
    """Somebody has deleted it, or the week was over."""
    entries = json.loads(night.server.listing())
    for _ in range(night.chance.randint(1, 6)):
        gone = f"{night.chance.randrange(16**8):08x}-0000-4000-8000-000000000000"
        entries.insert(night.chance.randint(0, len(entries)), {"sessionGuid": gone})
    night.server.list_body = json.dumps(entries).encode()
    night.undo.callback(setattr, night.server, "list_body", None)
    night.concerns()


def deletions_are_refused(night: Night) -> None:
    """Some of them, all night; a few for now only, since they may pass. All is stored."""
    calls, status = night.some(), night.chance.choice([302, 400, 401, 403, *PASSING])
    night.draw(f"status {status}")
    answer_with(night, "DELETE", paths_of(calls), sending(status), 1 if status in PASSING else None)
    night.concerns()


def deletions_are_only_said(night: Night) -> None:
    """The server says that it has deleted, or that it has not, with a status that means success."""
    body = night.chance.choice([b"", b'{"success": true}', b'{"success": false, "error": "busy"}'])
    night.draw(body)
    answer_with(night, "DELETE", paths_of(night.some()), lambda handler: handler.send(200, body))
    night.concerns()


def deletions_fail_afterwards(night: Night) -> None:
    """The server deletes, and then says that it could not."""

    def delete(handler: Handler) -> None:
        with handler.server.lock:
            handler.server.recordings.pop(handler.guid, None)
        handler.send(night_status, b"{}")

    night_status = night.chance.choice([500, 503])
    answer_with(night, "DELETE", paths_of(night.some()), delete, 1)
    night.is_harmless()


def the_server_is_down(night: Night) -> None:
    """Nobody answers at its address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        night.env["VNS_API_URL"] = f"http://127.0.0.1:{unused.getsockname()[1]}"
    night.limit_time()


# The network


def broken_off(handler: Handler) -> None:
    """Send half of what was asked for."""
    body = handler.server.recordings.get(handler.guid) or handler.server.listing()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    handler.close_connection = True


def reset(handler: Handler) -> None:
    """The same, and end the connection as a router does."""
    broken_off(handler)
    option = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
    handler.connection.close()


def interrupted(night: Night, breaks: Callable[[Handler], object]) -> None:
    """Let the list or some recordings arrive in part only: for now, or all night."""
    paths = [PATH] if night.chance.random() < 0.2 else paths_of(night.some())
    if night.chance.random() < 0.7:
        night.is_harmless()
        answer_with(night, "GET", paths, breaks, 1)
    else:
        night.draw("all night")
        night.limit_time()
        answer_with(night, "GET", paths, breaks)


def connections_break_off(night: Night) -> None:
    """In the middle of an answer."""
    interrupted(night, broken_off)


def connections_are_reset(night: Night) -> None:
    """In the middle of an answer."""
    interrupted(night, reset)


def connections_stall(night: Night) -> None:
    """In the middle of an answer, and nothing comes any more."""

    def stall(handler: Handler) -> None:
        broken_off(handler)
        night.is_over.wait(10)

    night.words += ["--timeout", "0.7"]
    interrupted(night, stall)


def connections_trickle(night: Night) -> None:
    """A byte comes now and then."""

    def trickle(handler: Handler) -> None:
        broken_off(handler)
        for _ in range(200):
            if night.is_over.wait(0.05):
                break
            handler.wfile.write(b"x")

    night.words += ["--timeout", "0.7"]
    interrupted(night, trickle)


# The disk


def directory_of(night: Night) -> Directory:
    """Return where the archive is."""
    assert isinstance(night.place, Directory)
    return night.place


def on_an_odd_disk(night: Night, *habits: str) -> None:
    """Let the archive be on such a disk for this night."""
    if not odd_disk.is_possible():
        pytest.skip(odd_disk.REASON)
    night.draw(*habits)
    root = directory_of(night).path
    disk = night.undo.enter_context(odd_disk.mounted(night.folder, *habits, root=root))
    night.where = str(disk)


def the_disk_is_full(night: Night) -> None:
    """But for some hundred kilobytes."""
    path = directory_of(night).path
    if not path.is_mount():
        pytest.skip("needs a disk of its own")
    found = os.statvfs(path)
    room = (found.f_blocks - found.f_bfree) * found.f_frsize + night.chance.randrange(0, 400_000)
    night.draw(f"{room} bytes")
    set_size(path, str(room))
    night.undo.callback(set_size, path, "8g")


def set_size(path: Path, size: str) -> None:
    """Give a disk that is in memory another size."""
    subprocess.run(["mount", "-o", f"remount,size={size}", path], check=True)


def files_must_be_short(night: Night) -> None:
    """What is longer fails; what is not is stored."""
    blocks = night.chance.choice([20, 40, 100, 200, 4000])
    night.with_limit("-f", blocks)
    night.concerns(*(call for call in night.account.waiting if call.size + 44 > 512 * blocks))


def the_disk_keeps_no_locks(night: Night) -> None:
    """As NFS without its lock daemon, and some FUSE disks."""
    on_an_odd_disk(night, f"flock={night.chance.choice(['ENOLCK', 'ENOSYS', 'EOPNOTSUPP'])}")
    night.is_harmless()


def a_run_was_killed_where_there_are_no_locks(night: Night) -> None:
    """On such a disk, a moment ago."""
    the_disk_keeps_no_locks(night)
    after = night.chance.uniform(0.5, 1.2) * night.seconds
    night.draw(f"killed after {after:.3f} s")
    night.run(killed_after=after)


def names_cannot_be_replaced(night: Night) -> None:
    """A file is not renamed to a name that another one has. What is new is stored."""
    on_an_odd_disk(night, f"rename_over={night.chance.choice(['EEXIST', 'EACCES', 'EPERM'])}")
    night.concerns()


def files_have_one_name(night: Night) -> None:
    """There are no hard links."""
    on_an_odd_disk(night, f"link={night.chance.choice(['EPERM', 'EOPNOTSUPP', 'ENOSYS'])}")
    night.is_harmless()


def open_files_stay(night: Night) -> None:
    """They are neither removed nor renamed."""
    number = night.chance.choice(["EBUSY", "EACCES"])
    on_an_odd_disk(night, f"unlink_open={number}", f"rename_open={number}")
    night.is_harmless()


def the_disk_is_busy(night: Night) -> None:
    """Nor are there hard links, and directories are not flushed."""
    on_an_odd_disk(night, "busy")
    night.is_harmless()


def directories_are_not_flushed(night: Night) -> None:
    """The disk knows no such thing."""
    on_an_odd_disk(night, f"fsyncdir={night.chance.choice(['EINVAL', 'EOPNOTSUPP', 'ENOSYS'])}")
    night.is_harmless()


def nothing_is_written(night: Night) -> None:
    """It is refused at once, at the flush, or from some moment on."""
    write = f"write={night.chance.choice(['EIO', 'EDQUOT', 'EROFS'])}"
    room = f"room={night.chance.randrange(500_000)}"
    on_an_odd_disk(night, night.chance.choice([write, "fsync=EIO", "fsync=ENOSPC", room]))


def sectors_are_bad(night: Night) -> None:
    """What is there of recordings on the server cannot be read; new ones are stored."""
    night.stored(99)
    there = list(night.place.versions())
    on_an_odd_disk(night, "read=EIO")
    night.concerns(*(call for call in night.account.waiting if call.name in there))


def as_anybody(night: Night) -> None:
    """Let the run have no more rights than any user."""
    if IS_ROOT and not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    night.is_anybody()


def records_cannot_be_read(night: Night) -> None:
    """Another user wrote them, by hand, say. New recordings are stored all the same."""
    calls = night.stored(night.chance.choice([1, 3, 99]))
    night.draw(f"{len(calls)} records")
    for call in calls:
        path = directory_of(night).path / call.record
        path.chmod(0)
        night.undo.callback(path.chmod, 0o600)
    as_anybody(night)
    night.concerns(*calls)


def the_directory_is_read_only(night: Night) -> None:
    """For the user of the run."""
    path = directory_of(night).path
    path.chmod(0o555)
    night.undo.callback(path.chmod, 0o755)
    as_anybody(night)
    night.codes = {1}


def records_are_directories(night: Night) -> None:
    """Nobody can read those; all other recordings are stored."""
    calls = night.stored(night.chance.choice([1, 3, 99]))
    night.draw(f"{len(calls)} records")
    for call in calls:
        path = directory_of(night).path / call.record
        path.unlink()
        path.mkdir()
        night.undo.callback(remove_odd_thing, path)
    night.concerns(*calls)


def odd_things_lie_there(night: Night) -> None:
    """Links that lead to themselves, pipes and directories, which are nobody's business."""
    for name in night.chance.sample(["notes", "x.json", ".x", f"{0:08}-x.opus", "ü.enc"], 3):
        put_odd_thing(night, name)
    night.is_harmless()


def put_odd_thing(night: Night, name: str) -> None:
    """Put something that is no file into the archive, until the morning."""
    path = directory_of(night).path / name
    kind = night.chance.choice(["link", "pipe", "directory"])
    night.draw(f"{name} is a {kind}")
    if kind == "link":
        path.symlink_to(name)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    night.undo.callback(remove_odd_thing, path)


def remove_odd_thing(path: os.PathLike[str]) -> None:
    """Remove it, unless a file is in its place by now."""
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    elif not os.path.isfile(path):
        os.unlink(path)


def names_are_odd_things(night: Night) -> None:
    """The same under the names of some recordings or records; the others are stored."""
    calls = night.some()[:5]
    for call in calls:
        put_odd_thing(night, night.chance.choice([call.name, call.record]))
    night.concerns(*calls)


# What was stored before


def names_are_taken(night: Night) -> None:
    """Somebody's file has the name of a recording, and no record: it is replaced."""
    for call in night.some():
        night.known[call.name] = night.chance.choice([b"", b"OggS", bytes(call.size), bytes(10**6)])
        night.place.write(call.name, night.known[call.name])
    night.is_harmless()


def records_are_damaged(night: Night) -> None:
    """They are empty, cut, gone, another's or nonsense: the recordings are fetched again."""
    for call in night.stored(night.chance.randint(1, 5)):
        data = night.place.read(call.record) or b""
        other = data.replace(call.guid[:8].encode(), b"00000000")
        kinds = {"cut": data[: len(data) // 2], "empty": b"", "another's": other, "gone": None}
        kind = night.chance.choice([*kinds, "zeros", "null", "bytes"])
        night.draw(kind)
        kinds |= {"zeros": bytes(len(data)), "null": b"null", "bytes": b"\xff\xfe\x80"}
        put(night, call.record, kinds[kind])
    night.is_harmless()


def put(night: Night, name: str, data: bytes | None) -> None:
    """Write a file of the archive, or remove it."""
    if data is None:
        night.place.remove(name)
    else:
        night.place.write(name, data)


def audio_is_damaged(night: Night) -> None:
    """Some of what the server still has is cut or gone here: it is fetched again."""
    for call in night.stored(night.chance.randint(1, 5)):
        data = night.place.read(call.name) or b""
        cut = night.chance.choice([None, data[: night.chance.randrange(len(data))]])
        night.draw("gone" if cut is None else f"{len(cut)} bytes of {len(data)}")
        put(night, call.name, cut)
        night.known[call.name] = cut or b""
    night.is_harmless()


def audio_is_altered(night: Night) -> None:
    """It has its length, and another byte: with `--check`, it is fetched again."""
    for call in night.stored(night.chance.randint(1, 5)):
        data = bytearray(night.place.read(call.name) or b"")
        data[night.chance.randrange(len(data))] ^= 1
        night.known[call.name] = bytes(data)
        night.place.write(call.name, bytes(data))
    night.words.append("--check")
    night.is_harmless()


def what_is_remembered_is_damaged(night: Night) -> None:
    """When the last run was complete is not known any more."""
    data = night.chance.choice([b"", b"[]", b"{", bytes(100), b'{"complete": 3}'])
    night.draw(data)
    night.place.write(".vns-recordings.json", data)
    night.is_harmless()


# Locks


def takes_its_time(night: Night) -> None:
    """Let the server be slow, perhaps, so that other things come while recordings do."""
    pause = night.chance.choice([0, 0.02, 0.1])

    def behave(_: Handler) -> bool:
        time.sleep(pause)
        return False

    night.behave(behave)


def two_runs_meet(night: Night) -> None:
    """Between them, all is stored."""
    takes_its_time(night)
    night.at_once = 2
    night.concerns()


def a_lock_was_left_behind(night: Night) -> None:
    """By a run that is no more, on whatever machine; only a lock that is held keeps others out."""
    who = night.chance.choice(["", "process 1 on there, since 2026-11-24T02:15:00Z\n", "\0" * 99])
    night.draw(who)
    for name in (".vns-recordings.lock", ".vns-recordings.holder"):
        night.place.write(name, who.encode())
    night.is_harmless()


def the_lock_cannot_be_used(night: Night) -> None:
    """Something else is in its place, or it is another user's. Nothing is done until it is gone."""
    path = directory_of(night).path / ".vns-recordings.lock"
    path.unlink(missing_ok=True)
    if night.chance.random() < 0.5:
        put_odd_thing(night, path.name)
    else:
        path.touch(0)
        night.undo.callback(path.unlink)
        as_anybody(night)


def a_marker_was_left_behind(night: Night) -> None:
    """In a store, by a run that was killed: perhaps with this one's number, or before its time."""
    host = night.chance.choice([socket.gethostname(), "elsewhere"])
    process = night.chance.choice([1, os.getpid(), 2**22 + 1])
    since = night.chance.choice(["2099-01-01", "2020-01-01", time.strftime("%Y-%m-%d")])
    marker = {"host": host, "process": process, "since": f"{since}T00:00:00Z", "id": "x"}
    night.draw(marker)
    night.place.write(".vns-recordings.lock", json.dumps(marker).encode())
    night.is_harmless()


# Memory


def many_calls(night: Night) -> None:
    """Let there be so many that the optional lanes begin."""
    night.account.take_calls(night.chance, 45)


def memory_is_scarce(night: Night) -> None:
    """Of the address space, or of the data."""
    many_calls(night)
    night.with_limit(night.chance.choice(["-v", "-d"]), night.chance.randrange(40, 250) * 1000)
    night.env["AWS_MAX_ATTEMPTS"] = "2"


def memory_is_not_executable(night: Night) -> None:
    """As in a hardened unit of systemd: there are no lanes, and all is done."""
    many_calls(night)
    night.without_executable_memory()
    night.is_harmless()


# Signals


def killed(night: Night) -> None:
    """At any moment."""
    takes_its_time(night)
    night.send(signal.SIGKILL)


def asked_to_end(night: Night) -> None:
    """At any moment."""
    takes_its_time(night)
    night.send(night.chance.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]))


def asked_to_end_twice(night: Night) -> None:
    """By somebody impatient, or by the system, which kills who does not listen."""
    takes_its_time(night)
    signals = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL]
    night.send(*(night.chance.choice(signals) for _ in range(2)))


# The clock


def the_clock_is_wrong(night: Night) -> None:
    """It is ahead or behind, by minutes or by years."""
    ahead = night.chance.choice([-1, 1]) * night.chance.choice([600, 86400, YEAR, 15 * YEAR])
    night.draw(f"{ahead} s ahead")
    night.env["CLOCK_AHEAD"] = str(ahead)
    night.is_harmless()


# Secrets


def the_token_is_refused(night: Night) -> None:
    """For everything."""
    night.undo.callback(setattr, night.server, "tokens", night.server.tokens)
    night.server.tokens = {"another"}
    night.codes = {6}


def the_token_file_has_a_line_end_of_windows(night: Night) -> None:
    """It is no part of the token."""
    token = night.folder / "token"
    token.write_bytes(token.read_bytes().replace(b"\n", b"\r\n"))
    night.is_harmless()


def the_token_file_has_a_blank(night: Night) -> None:
    """Behind the token: it is left out, or refused, in words that do not show the token."""
    token = night.folder / "token"
    token.write_bytes(token.read_bytes().replace(b"\n", night.chance.choice([b" \n", b"\t\n"])))
    night.codes = {0, 2}


def the_password_is_wrong(night: Night) -> None:
    """What is encrypted is not stored, and not deleted."""
    (night.folder / "password").write_text("another\n")
    night.concerns(*(call for call in night.account.waiting if call.is_encrypted))


# The store


def store_answers(
    night: Night, answer: Answer | None, is_concerned: Callable[[Request], bool], share: float = 1
) -> None:
    """Let a share of some requests be answered otherwise, or by hanging up if it is None."""
    draws = [night.chance.random() < share for _ in range(997)]
    asked = [0]

    def behave(request: Request, forward: Callable[[Request], Answer]) -> Answer | None:
        if is_concerned(request):
            asked[0] += 1
            if draws[asked[0] % len(draws)]:
                return answer
        return forward(request)

    usual = night.store.behaviour
    night.undo.callback(setattr, night.store, "behaviour", usual)
    night.store.behaviour = behave


def the_store_knows_no_conditions(night: Night) -> None:
    """It answers 501 to `If-None-Match`, as some do: all is stored without it."""
    text = "A header you provided implies functionality that is not implemented"
    answer = refusal(501, "NotImplemented", text)
    store_answers(night, answer, lambda request: "if-none-match" in map(str.lower, request.headers))
    night.is_harmless()


def the_store_fails_now_and_then(night: Night) -> None:
    """With a status that may pass, or by hanging up: requests are made again."""
    answer = night.chance.choice([None, refusal(503, "SlowDown", "Please reduce your rate")])
    night.draw("hangs up" if answer is None else answer.status)
    store_answers(night, answer, lambda _: True, share=0.1)
    night.is_harmless()


def the_store_is_down(night: Night) -> None:
    """For everything, or for what is written."""
    answer = night.chance.choice([None, refusal(503, "SlowDown", "Please reduce your rate")])
    methods = night.chance.choice([{"PUT", "POST"}, {"GET", "HEAD", "PUT", "POST"}])
    night.draw("hangs up" if answer is None else answer.status, *sorted(methods))
    night.env["AWS_MAX_ATTEMPTS"] = "2"
    store_answers(night, answer, lambda request: request.method in methods)


def the_store_refuses(night: Night) -> None:
    """The credentials are not for one of the things that are asked."""
    method = night.chance.choice(["GET", "HEAD", "PUT", "DELETE"])
    night.draw(method)
    answer = refusal(403, "AccessDenied", "Access Denied")
    store_answers(night, answer, lambda request: request.method == method)


ANYWHERE: dict[str, tuple[Fault, ...]] = {
    "server": (
        recordings_are_refused,
        recordings_are_refused_for_now,
        recordings_fail,
        the_list_is_refused,
        the_list_makes_no_sense,
        the_list_names_too_few,
        the_list_names_what_is_gone,
        deletions_are_refused,
        deletions_are_only_said,
        deletions_fail_afterwards,
        the_server_is_down,
    ),
    "network": (
        connections_break_off,
        connections_are_reset,
        connections_stall,
        connections_trickle,
    ),
    "archive": (
        names_are_taken,
        records_are_damaged,
        audio_is_damaged,
        audio_is_altered,
        what_is_remembered_is_damaged,
    ),
    "memory": (memory_is_scarce, memory_is_not_executable),
    "signal": (killed, asked_to_end, asked_to_end_twice),
    "clock": (the_clock_is_wrong,),
    "secrets": (
        the_token_is_refused,
        the_token_file_has_a_line_end_of_windows,
        the_token_file_has_a_blank,
        the_password_is_wrong,
    ),
    "lock": (two_runs_meet,),
}

FAULTS: dict[str, dict[str, tuple[Fault, ...]]] = {
    "disk": {
        **ANYWHERE,
        "disk": (
            the_disk_is_full,
            files_must_be_short,
            the_disk_keeps_no_locks,
            a_run_was_killed_where_there_are_no_locks,
            names_cannot_be_replaced,
            files_have_one_name,
            open_files_stay,
            the_disk_is_busy,
            directories_are_not_flushed,
            nothing_is_written,
            sectors_are_bad,
            records_cannot_be_read,
            the_directory_is_read_only,
            records_are_directories,
            odd_things_lie_there,
            names_are_odd_things,
        ),
        "lock": (two_runs_meet, a_lock_was_left_behind, the_lock_cannot_be_used),
    },
    "store": {
        **ANYWHERE,
        "store": (
            the_store_knows_no_conditions,
            the_store_fails_now_and_then,
            the_store_is_down,
            the_store_refuses,
        ),
        "lock": (two_runs_meet, a_marker_was_left_behind),
    },
}
"""All faults by kind, for an archive on a disk and for one in a store."""
