"""What may go wrong in a night. Each public method of `OnDisk` and of `InStore` is a fault.

It changes its `Night` before the archive is run: it draws its parameters from `chance`, says what it
drew with `draw`, leaves to `undo` what must not last, and says with `concerns` or `is_harmless` what
it must not keep the run from doing. Where it is not possible, it skips.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

from support import odd_disk
from support.api_server import PATH, Handler
from support.night import Call, Directory, Night
from support.store_proxy import Answer, Request, forwarding, refusal
from support.vns import breaking, instead, meanwhile

Fault = Callable[[Night], None]
Then = Callable[..., object]
"""Says what a fault must not keep the run from doing; its arguments are the night and the calls."""

LANES_BEGIN = 45  # calls with which the optional lanes begin
PAGE = b"<!DOCTYPE html><html><body><h1>Welcome</h1>Please sign in.</body></html>"
REFUSALS = [200, 204, 302, 400, 401, 403, 404]
PASSING = [429, 500, 503]
"""Statuses that the program takes for passing trouble: it asks again, after a pause."""


# The server and the network


def paths_of(calls: Sequence[Call]) -> list[str]:
    """Return where the server has these."""
    return [f"{PATH}/{call.guid}" for call in calls]


def sending(status: int) -> Callable[[Handler], None]:
    """Return what answers with a status: 200 is a page, 302 leads away, any other says little."""
    body = {200: PAGE, 204: b"", 302: b""}.get(status, b'{"error":"no"}')
    headers = {"Location": f"{PATH}/elsewhere"} if status == 302 else {}
    kind = "text/html" if status == 200 else "application/json"
    return lambda handler: handler.send(status, body, kind, **headers)


def refused(statuses: Sequence[int], then: Then, times: Sequence[int | None] = (None,)) -> Fault:
    """Return the fault that some recordings are refused, each so often or always."""

    def fault(night: Night) -> None:
        calls = night.some()
        status, count = night.chance.choice(statuses), night.chance.choice(times)
        night.draw(f"status {status}", f"times: {count}")
        for path in paths_of(calls):
            night.server.behaviours.append(instead(sending(status), path, times=count))
        then(night, *calls)

    return fault


def broken(how: str) -> Fault:
    """Return the fault that answers arrive in part: once each, or all night."""

    def fault(night: Night) -> None:
        night.words += ["--timeout", "0.7"]
        paths = [PATH] if night.chance.random() < 0.2 else paths_of(night.some())
        times = 1 if night.chance.random() < 0.7 else None
        night.draw(f"times: {times}")
        if times is None:
            night.limit_time()
        else:
            night.is_harmless()
        night.server.behaviours += [breaking(how, times, path) for path in paths]

    return fault


# The disk


def on_an_odd_disk(night: Night, *habits: str) -> None:
    """Let the archive be on such a disk for this night."""
    night.draw(*habits)
    assert isinstance(night.place, Directory)
    disk = odd_disk.mounted(night.folder, *habits, root=night.place.path)
    night.where = str(night.undo.enter_context(disk))


# Signals, the store


def signalled(*names: str, count: int = 1) -> Fault:
    """Return the fault that one of these signals comes at any moment, so many times."""

    def fault(night: Night) -> None:
        pause = night.chance.choice([0, 0.02, 0.1])  # so that it comes while recordings do
        night.server.behaviours.append(meanwhile(lambda _: time.sleep(pause)))
        for _ in range(count):
            # From the start of a run to half as long after its end.
            after = night.chance.uniform(0, 1.5 * night.seconds)
            night.signals.append((after, signal.Signals[night.chance.choice(names)]))
        night.signals.sort()
        night.draw(*night.signals)

    return fault


BUSY = refusal(503, "SlowDown", "Please reduce your rate")
DENIED = refusal(403, "AccessDenied", "Access Denied")


def store_answers(
    night: Night, answer: Answer | None, is_concerned: Callable[[Request], bool], share: float = 1
) -> None:
    """Let a share of some requests be answered otherwise, or by hanging up if it is None."""
    night.draw("hangs up" if answer is None else answer.status)

    def behave(request: Request, forward: Callable[[Request], Answer]) -> Answer | None:
        is_drawn = is_concerned(request) and night.chance.random() < share
        return answer if is_drawn else forward(request)

    assert night.store
    night.undo.callback(setattr, night.store, "behaviour", forwarding)
    night.store.behaviour = behave


class Anywhere(Night):
    """Faults wherever the archive is."""

    recordings_are_refused = refused(REFUSALS, Night.concerns)
    recordings_are_refused_for_now = refused(PASSING, Night.is_harmless, [1, 2])
    recordings_fail = refused(PASSING, Night.limit_time)
    connections_break_off = broken("cut")
    connections_are_reset = broken("reset")
    connections_stall = broken("stall")
    killed = signalled("SIGKILL")
    asked_to_end = signalled("SIGTERM", "SIGINT", "SIGHUP")
    asked_to_end_twice = signalled("SIGTERM", "SIGINT", "SIGHUP", "SIGKILL", count=2)

    def memory_is_scarce(self) -> None:
        """Of the address space, or of the data."""
        self.account.take_calls(self.chance, LANES_BEGIN)
        limit = f"{self.chance.choice(['-v', '-d'])} {self.chance.randrange(40, 250) * 1000}"
        self.draw(f"ulimit {limit}")
        self.prefix = ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh"]
        self.env["AWS_MAX_ATTEMPTS"] = "2"


class OnDisk(Anywhere):
    """Faults of an archive on a disk."""

    def names_cannot_be_replaced(self) -> None:
        """The exit code may be any, but nothing is left undone."""
        number = self.chance.choice(["EEXIST", "EACCES", "EPERM"])
        on_an_odd_disk(self, f"rename_over={number}")
        self.concerns()

    def the_disk_is_busy(self) -> None:
        """Nor are there hard links, and directories are not flushed."""
        on_an_odd_disk(self, "busy")
        self.is_harmless()

    def nothing_is_written(self) -> None:
        """It is refused at once, at the flush, or from some moment on."""
        write = f"write={self.chance.choice(['EIO', 'EDQUOT', 'EROFS'])}"
        room = f"room={self.chance.randrange(500_000)}"
        on_an_odd_disk(self, self.chance.choice([write, "fsync=EIO", "fsync=ENOSPC", room]))


class InStore(Anywhere):
    """Faults of an archive in a store."""

    def the_store_fails_now_and_then(self) -> None:
        """With a status that may pass, or by hanging up: requests are made again."""
        store_answers(self, self.chance.choice([None, BUSY]), lambda _: True, share=0.1)
        self.is_harmless()

    def the_store_is_down(self) -> None:
        """For everything, or for what is written."""
        methods = self.chance.choice([{"PUT", "POST"}, {"GET", "HEAD", "PUT", "POST"}])
        self.draw(*sorted(methods))
        self.env["AWS_MAX_ATTEMPTS"] = "2"
        answer = self.chance.choice([None, BUSY])
        store_answers(self, answer, lambda request: request.method in methods)

    def the_store_refuses(self) -> None:
        """The credentials are not for one of the things that are asked."""
        method = self.chance.choice(["GET", "HEAD", "PUT", "DELETE"])
        self.draw(method)
        store_answers(self, DENIED, lambda request: request.method == method)


KINDS: dict[str, type[Night]] = {"disk": OnDisk, "store": InStore}


def names_of(kind: type[Night]) -> list[str]:
    """Return the names of a kind's faults: its public methods that no `Night` has."""
    return [name for name in dir(kind) if name not in dir(Night) and not name.startswith("_")]
