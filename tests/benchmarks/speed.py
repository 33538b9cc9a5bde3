"""Measure the command against simpler ways to do the same, and print a table.

    python tests/benchmarks/speed.py [--pairs 15] [NAME...]
    python tests/benchmarks/speed.py versions --against OTHER/bin/filedecryptor

Run it with the Python of the environment that the package is installed in. Each row is a ratio:
the command's time over the other's, measured in turns in one run, the median of all pairs, with
the quartiles behind it. Large files go to a RAM disk (/dev/shm) and take up to 9 GB there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.encryptor import encrypted

COMMAND = str(Path(sysconfig.get_path("scripts"), "filedecryptor"))
VNS = str(Path(COMMAND).with_name("vns-recordings"))
RAM = "/dev/shm"
SHORTEST = str(Path(__file__).with_name("shortest.py"))
PASSWORD = "EncryptMe"
KB, MIB, GIB = 1000, 1 << 20, 1 << 30

Timed = Callable[[], float]


def main() -> None:
    """Run the measurements named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*MEASUREMENTS, []], metavar="NAME")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--against", metavar="COMMAND", help="another version of the command")
    words = parser.parse_args(namespace=OPTIONS)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled modules are what users run
    print(f"{'measured':<52} {'seconds':>8} {'against':>8} {'ratio':>6}  quartiles   bar")
    for name in words.names or [name for name in MEASUREMENTS if name != "versions"]:
        MEASUREMENTS[name](words.pairs)


def compare(title: str, ours: Timed, theirs: Timed, pairs: int, bar: str = "") -> None:
    """Time both in turns and print one row."""
    ours(), theirs()
    measured = [(ours(), theirs()) for _ in range(pairs)]
    ratios = [our / their for our, their in measured]
    low, median, high = statistics.quantiles(ratios, n=4)
    seconds = [statistics.median(column) for column in zip(*measured, strict=True)]
    print(
        f"{title:<52} {seconds[0]:8.3f} {seconds[1]:8.3f} {median:6.2f}  {low:.2f}-{high:.2f}   {bar}",
        flush=True,
    )


def show(title: str, measured: str, bar: str = "") -> None:
    """Print a row that is no ratio."""
    print(f"{title:<52} {measured:<35}   {bar}", flush=True)


def process(*words: str) -> tuple[float, int, float]:
    """Run a command; return its seconds, its peak memory in bytes, and the seconds of a core."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        words[0],
        words,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{words} failed")
    return seconds, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime


def derive() -> float:
    """Time one bare key derivation in this process."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    key = bytearray(32)
    start = time.perf_counter()
    PBKDF2HMAC(SHA256(), 32, bytes(16), 310_000).derive_into(PASSWORD.encode(), key)
    return time.perf_counter() - start


@contextmanager
def recordings(size: int, count: int = 1, directory: str | None = None) -> Iterator[Path]:
    """Make a folder of encrypted recordings, all alike, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(dir=directory))
    piece = b"RIFF\0\0\0\0WAVE" + os.urandom(min(size, MIB) - 12)
    try:
        with (folder / "0.enc").open("wb") as file:
            file.writelines(encrypted([piece] * (size // len(piece)), PASSWORD))
        add_copies(folder, 1, count)
        yield folder
    finally:
        shutil.rmtree(folder)


def add_copies(folder: Path, first: int, end: int) -> None:
    """Copy the recording of a folder under the numbers from the first to the last."""
    for number in range(first, end):
        shutil.copy(folder / "0.enc", folder / f"{number}.enc")


def decrypting(*command: str, of: Path, more: Sequence[str] = ()) -> Timed:
    """Return what times a command that decrypts a recording, or all in a folder."""
    return lambda: process(*command, str(of), PASSWORD, "wav", *more)[0]


def script(pairs: int) -> None:
    """One ordinary recording, and a very large one on a RAM disk, by whole processes."""
    for size, name, place in ((400 * KB, "400 kB", None), (GIB, "1 GiB on a RAM disk", RAM)):
        with recordings(size, directory=place) as folder:
            ours = decrypting(COMMAND, of=folder / "0.enc")
            theirs = decrypting(sys.executable, SHORTEST, of=folder / "0.enc")
            compare(f"{name}, command : shortest script", ours, theirs, pairs, "1.00")
            if size < MIB:
                compare(f"{name}, command : bare key derivation, warm", ours, derive, pairs)


def versions(pairs: int) -> None:
    """This version against another one, by whole processes on a RAM disk."""
    if OPTIONS.against is None:
        raise SystemExit("name the other version with --against")
    sizes = ((400 * KB, 1, "400 kB"), (400 * KB, 200, "400 kB"), (GIB, 1, "1 GiB"))
    for size, count, name in sizes:
        with recordings(size, count, RAM) as folder:
            path = folder if count > 1 else folder / "0.enc"
            ours = decrypting(COMMAND, of=path, more=["-q"])
            theirs = decrypting(OPTIONS.against, of=path, more=["-q"])
            some = max(5, pairs // 3) if count > 1 or size == GIB else pairs
            compare(f"{count} x {name}, this version : the other one", ours, theirs, some, "1.02")


def many_files(pairs: int) -> None:
    """A night's recordings, as many jobs as cores."""
    cores = len(os.sched_getaffinity(0))
    with recordings(400 * KB, 200) as folder:
        ours = decrypting(COMMAND, of=folder, more=["-q"])
        loop = f'for f in "{folder}"/*.enc; do "{COMMAND}" "$f" {PASSWORD} wav -q; done'
        name = f"200 x 400 kB, {cores} jobs, command : "
        compare(name + "bare derivations", ours, lambda: derive_many(200, cores), pairs, "1.10")
        compare(name + "shell loop", ours, lambda: process("/bin/sh", "-c", loop)[0], 3, "0.33")


def with_lanes(pairs: int) -> None:
    """A night's recordings where the keys of several are derived at once, in two jobs."""
    start = "import sys; {}from filedecryptor.__main__ import main; sys.exit(main())"
    without = start.format("sys.modules['llvmlite'] = None; ")
    some = max(3, pairs // 3)
    with recordings(400 * KB, 20, RAM) as folder:
        more = ["-q", "-j", "2"]
        ours = decrypting(sys.executable, "-c", start.format(""), of=folder, more=more)
        theirs = decrypting(sys.executable, "-c", without, of=folder, more=more)
        compare("20 x 400 kB, lanes : without", ours, theirs, 5 * some, "1.02")
        for before, count, bar in ((20, 200, "0.60"), (200, 1000, "0.40")):
            add_copies(folder, before, count)
            bare = lambda: derive_many(count, 2)  # noqa: B023 - called before the next round
            compare(f"{count:,} x 400 kB, lanes : bare derivations", ours, bare, some, bar)


@contextmanager
def serving_api() -> Iterator[Any]:
    """Run a server of the API that `vns-recordings` asks from now on."""
    from support.api_server import TOKEN, serving

    with serving() as api:
        os.environ |= {"VNS_API_TOKEN": TOKEN, "VNS_API_URL": api.url}
        os.environ["FILEDECRYPTOR_PASSWORD"] = PASSWORD
        yield api


def from_the_api(pairs: int) -> None:
    """The same night's recordings from a local server, against files that are there already."""
    with recordings(400 * KB, 200) as folder, serving_api() as api:
        data = (folder / "0.enc").read_bytes()
        api.recordings |= {str(uuid4()): data for _ in range(200)}

        def fetch() -> float:
            # A new one each time: a disk is slow to make files where many have just been removed.
            return process(VNS, "archive", tempfile.mkdtemp(dir=folder), "-q")[0]

        batch = (COMMAND, *map(str, folder.glob("*.enc")), "-", "auto", "-q")
        name = "200 x 400 kB, archive from a local server : batch"
        compare(name, fetch, lambda: process(*batch)[0], max(3, pairs // 3), "1.25")


def archived(_: int) -> None:
    """A nightly run that finds ten new recordings among ten thousand."""
    from support.recordings import AUDIO, MP3

    data = b"".join(encrypted([AUDIO], PASSWORD))
    with tempfile.TemporaryDirectory() as place, serving_api() as api:
        guids = [str(uuid4()) for _ in range(10_000)]
        api.recordings = dict.fromkeys(guids[10:], MP3)
        process(VNS, "archive", place, "-q")
        api.recordings = dict.fromkeys(guids[:10], data)
        listed = [{"sessionGuid": guid, "x": "y" * 80} for guid in guids]
        api.list_body = json.dumps(listed).encode()
        seconds, _, busy = process(VNS, "archive", place, "-q")
        title = "10,000 listed, 9,990 archived, seconds of a core"
        show(title, f"{busy:8.2f} s, {seconds:.2f} s", "3 s")


def on_a_cluster(pairs: int) -> None:
    """Many recordings on a cluster of this machine, against the batch command."""
    from support.dask_cluster import running

    some = max(3, pairs // 5)
    with (
        recordings(400 * KB, 1000) as folder,
        tempfile.TemporaryDirectory() as place,
        # Elsewhere its workers derive cheap keys.
        running(Path(place, "cluster"), "", "", env={"PYTHONPATH": ""}) as cluster,
    ):
        ours = decrypting(COMMAND, of=folder, more=["-q", "--cluster", cluster.address])
        theirs = decrypting(COMMAND, of=folder, more=["-q", "--jobs", "2"])
        name = "1,000 x 400 kB, 2 workers of a cluster : "
        compare(name + "2 jobs", ours, theirs, some, "1.15 without lanes")
        compare(name + "bare", ours, lambda: derive_many(1000, 2), some, "0.50")


def derive_many(count: int, threads: int) -> float:
    """Time bare key derivations in threads of this process."""
    with ThreadPoolExecutor(threads) as executor:
        start = time.perf_counter()
        list(executor.map(lambda _: derive(), range(count)))
        return time.perf_counter() - start


def skipped(_: int) -> None:
    """A nightly run that finds nothing new among very many."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(100_000):
            recording = Path(folder, f"recording_{number:032}.enc")
            recording.touch()
            os.truncate(recording, 44)  # of no audio
            recording.with_suffix(".opus").touch()
        seconds, peak = process(COMMAND, folder, PASSWORD, "auto", "--if-exists", "skip", "-q")[:2]
        show("100,000 skipped, seconds", f"{seconds:8.1f} s", "5 s")
        show("100,000 skipped, peak memory", f"{peak / MIB:8.1f} MiB", "100 MiB")


def memory(_: int) -> None:
    """Peak memory for a short and two large recordings, by file and by standard output."""
    for size, name in ((10 * MIB, "10 MiB"), (GIB, "1 GiB"), (4 * GIB, "4 GiB")):
        with recordings(size, directory=RAM) as folder:
            for way, words in (("file", ()), ("standard output", ("-o", "-"))):
                peak = process(COMMAND, str(folder / "0.enc"), PASSWORD, "wav", *words)[1]
                show(f"peak memory, {name}, {way}", f"{peak / MIB:8.1f} MiB", "48 MiB")


OPTIONS = argparse.Namespace(against=None)
"""The words of the command line."""

MEASUREMENTS: dict[str, Callable[[int], None]] = {
    one.__name__: one
    for one in (
        *(script, memory, many_files, with_lanes, versions),
        *(skipped, from_the_api, archived, on_a_cluster),
    )
}

if __name__ == "__main__":
    main()
