"""Figures of a run for Prometheus, by a file that its node exporter reads (textfile collector)."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import NamedTuple

from filedecryptor.storage import storage_of
from filedecryptor.storage.outputs import Written

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


def write(path: str, figures: Figures) -> None:
    """Write the figures of a run to a file, which appears whole.

    Args:
        path: Where; the node exporter wants a name that ends in `.prom`.
        figures: The figures.

    Raises:
        OSError: It cannot be written.
        StorageError: The store refuses it.
    """
    lines = []
    for field, value in figures._asdict().items():
        if value is not None:
            name, text = HELP[field]
            lines.append(f"# HELP {PREFIX}_{name} {text}")
            lines.append(f"# TYPE {PREFIX}_{name} gauge")
            lines.append(f"{PREFIX}_{name} {value}")
    data = "".join(f"{line}\n" for line in lines).encode("ascii")
    storage_of(path).publish(path, BytesIO(data), replace=True, written=Written())
