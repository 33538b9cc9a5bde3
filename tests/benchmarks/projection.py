"""Say how long very many recordings take on a cluster, and what limits it.

    python tests/benchmarks/projection.py --recording 54 --command 0.3 --scheduler 0.05

The three numbers are milliseconds of a processor for each recording, as `speed.py` measures them:
what a worker takes, what the command itself takes, and what the scheduler takes. The command and
the scheduler are one process each, so their part does not shrink with more workers.
"""

from __future__ import annotations

import argparse

RECORDINGS = (1_000_000, 100_000_000)
CORES = (10, 100, 1000)

READS, READS_PER_SECOND = 2, 5500
WRITES, WRITES_PER_SECOND = 1, 3500
"""Requests for each recording in S3, and what AWS promises for a prefix ("Best practices design
patterns: optimizing Amazon S3 performance"). More prefixes take more."""


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("recording", "command", "scheduler"):
        parser.add_argument(f"--{name}", type=float, required=True, metavar="MS")
    words = parser.parse_args()
    store = max(READS / READS_PER_SECOND, WRITES / WRITES_PER_SECOND) * 1000
    print("recordings   cores       time   limited by")
    for recordings in RECORDINGS:
        for cores in CORES:
            parts = {
                "the workers": words.recording / cores,
                "the command": words.command,
                "the scheduler": words.scheduler,
                "one prefix of S3": store,
            }
            limit, each = max(parts.items(), key=lambda part: part[1])
            print(f"{recordings:<12,} {cores:>5}   {time(recordings * each / 1000):>8}   {limit}")


def time(seconds: float) -> str:
    """Return seconds as people say them."""
    for length, name in ((86400, "days"), (3600, "hours"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {name}"
    return f"{seconds:.0f} s"


if __name__ == "__main__":
    main()
