"""Figures of a run for Prometheus, by a file that its node exporter reads (textfile collector)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PREFIX = "vns_recordings"


class Figures(NamedTuple):
    """What is measured of a run.

    Attributes:
        listed: Recordings that the API lists.
        fetched: Recordings that were stored.
        failed: Recordings that were not, though they should.
        bytes: Bytes of audio that were stored.
        seconds: How long it took.
        last_complete: When the last complete run began, in seconds since 1970; None if none was.
    """

    listed: int
    fetched: int
    failed: int
    bytes: int
    seconds: float
    last_complete: float | None


HELP: Mapping[str, tuple[str, str]] = {
    "listed": ("listed", "Recordings that the API lists."),
    "fetched": ("fetched", "Recordings that the last run has stored."),
    "failed": ("failed", "Recordings that the last run should have stored, and has not."),
    "bytes": ("bytes", "Bytes of audio that the last run has stored."),
    "seconds": ("seconds", "Seconds that the last run took."),
    "last_complete": (
        "last_complete_timestamp_seconds",
        "When the last run began that fetched all that was listed, in seconds since 1970.",
    ),
}


def text(figures: Figures) -> bytes:
    """Return the figures of a run as Prometheus reads them."""
    lines = []
    for field, value in figures._asdict().items():
        if value is not None:
            name, meaning = HELP[field]
            lines.append(f"# HELP {PREFIX}_{name} {meaning}")
            lines.append(f"# TYPE {PREFIX}_{name} gauge")
            lines.append(f"{PREFIX}_{name} {value}")
    return "".join(f"{line}\n" for line in lines).encode("ascii")
