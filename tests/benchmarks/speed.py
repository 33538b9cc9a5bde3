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
import re
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "vns")]

from support.encryptor import encrypted  # noqa: E402 - found by the line above

COMMAND = str(Path(sysconfig.get_path("scripts"), "filedecryptor"))
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


def process(*words: str) -> tuple[float, int]:
    """Run a command; return its seconds and its peak memory in bytes."""
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
    return seconds, usage.ru_maxrss * 1024


def derive() -> float:
    """Time one bare key derivation in this process."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    key = bytearray(32)
    start = time.perf_counter()
    PBKDF2HMAC(SHA256(), 32, bytes(16), 310_000).derive_into(PASSWORD.encode(), key)
    return time.perf_counter() - start


@contextmanager
def recording(size: int, directory: str | None = None) -> Iterator[str]:
    """Make an encrypted recording of `size` bytes, and remove it afterwards."""
    folder = tempfile.mkdtemp(dir=directory)
    path = Path(folder, "recording.enc")
    piece = b"RIFF\0\0\0\0WAVE" + os.urandom(min(size, MIB) - 12)
    try:
        with path.open("wb") as file:
            file.writelines(encrypted([piece] * (size // len(piece)), PASSWORD))
        yield str(path)
    finally:
        shutil.rmtree(folder)


def short_file(pairs: int) -> None:
    """One ordinary recording, whole processes."""
    with recording(400 * KB) as path:
        ours = lambda: process(COMMAND, path, PASSWORD, "wav")[0]
        theirs = lambda: process(sys.executable, SHORTEST, path, PASSWORD, "wav")[0]
        compare("400 kB, command : shortest script", ours, theirs, pairs, "1.00")
        compare("400 kB, command : bare key derivation, warm", ours, derive, pairs)


def large_file(pairs: int) -> None:
    """One very large recording on a RAM disk, whole processes."""
    with recording(GIB, "/dev/shm") as path:
        ours = lambda: process(COMMAND, path, PASSWORD, "wav")[0]
        theirs = lambda: process(sys.executable, SHORTEST, path, PASSWORD, "wav")[0]
        compare("1 GiB on a RAM disk, command : shortest script", ours, theirs, pairs, "1.00")


def versions(pairs: int) -> None:
    """This version against another one, by whole processes on a RAM disk."""
    if OPTIONS.against is None:
        raise SystemExit("name the other version with --against")
    for size, count, name in (
        (400 * KB, 1, "400 kB"),
        (400 * KB, 200, "400 kB"),
        (GIB, 1, "1 GiB"),
    ):
        with recording(size, "/dev/shm") as path:
            folder = Path(path).parent
            for number in range(1, count):
                shutil.copy(path, folder / f"{number}.enc")
            words = (path if count == 1 else str(folder), PASSWORD, "wav", "-q")
            ours = lambda: process(COMMAND, *words)[0]  # noqa: B023 - called before the next round
            theirs = lambda: process(OPTIONS.against, *words)[0]  # noqa: B023 - as above
            some = max(5, pairs // 3) if count > 1 or size == GIB else pairs
            compare(f"{count} x {name}, this version : the other one", ours, theirs, some, "1.02")


def many_files(pairs: int) -> None:
    """A night's recordings, as many jobs as cores."""
    cores = len(os.sched_getaffinity(0))
    with recording(400 * KB) as path:
        folder = Path(path).parent
        for number in range(200):
            shutil.copy(path, folder / f"{number}.enc")
        Path(path).unlink()
        ours = lambda: process(COMMAND, str(folder), PASSWORD, "wav", "-q")[0]
        loop = f'for f in "{folder}"/*.enc; do "{COMMAND}" "$f" {PASSWORD} wav -q; done'
        name = f"200 x 400 kB, {cores} jobs, command : "
        compare(name + "bare derivations", ours, lambda: derive_many(200, cores), pairs, "1.10")
        compare(name + "shell loop", ours, lambda: process("/bin/sh", "-c", loop)[0], 3, "0.33")


def with_lanes(pairs: int) -> None:
    """A night's recordings where the keys of several are derived at once, in two jobs."""
    some = max(3, pairs // 3)
    with recording(400 * KB, "/dev/shm") as path:
        folder = Path(path).parent
        for number in range(1, 1000):
            if number in {20, 200}:
                _compare_lanes(folder, number, some)
            shutil.copy(path, folder / f"{number}.enc")
        _compare_lanes(folder, 1000, some)


def _compare_lanes(folder: Path, count: int, pairs: int) -> None:
    start = "import sys; {}from filedecryptor.__main__ import main; sys.exit(main())"
    words = (str(folder), PASSWORD, "wav", "-q", "-j", "2")
    ours = lambda: process(sys.executable, "-c", start.format(""), *words)[0]
    if count == 20:
        without = start.format("sys.modules['llvmlite'] = None; ")
        theirs = lambda: process(sys.executable, "-c", without, *words)[0]
        compare(f"{count} x 400 kB, lanes : without", ours, theirs, 5 * pairs, "1.02")
        return
    theirs = lambda: derive_many(count, 2)
    bar = {200: "0.60", 1000: "0.40"}[count]
    compare(f"{count:,} x 400 kB, lanes : bare derivations", ours, theirs, pairs, bar)


def one_key(_: int) -> None:
    """What a key takes in one thread, by each kernel that this CPU may use, and by OpenSSL."""
    from llvmlite import binding

    from filedecryptor.lanes.compiler import KERNELS, function_of, machine_code
    from filedecryptor.lanes.kernel import HmacKey, Lanes

    seconds = statistics.median(derive() for _ in range(15))
    print(f"{'ms for a key, one thread, OpenSSL':<52} {seconds * 1000:8.1f}")
    features = binding.get_host_cpu_features()
    for feature in filter(features.get, KERNELS):
        kernel = KERNELS[feature]()
        lanes = Lanes(kernel, function_of(machine_code(kernel)))
        wanted = [(HmacKey(PASSWORD.encode()), bytes(16))] * lanes.count
        times = []
        for _ in range(15):
            start = time.perf_counter()
            lanes.derive(wanted, 310_000, lambda: None)
            times.append(time.perf_counter() - start)
        found = statistics.median(times) / lanes.count
        name = f"ms for a key, one thread, {lanes.count} lanes by {feature} : OpenSSL"
        print(f"{name:<52} {found * 1000:8.1f} {seconds * 1000:8.1f} {found / seconds:6.2f}")


def from_the_api(pairs: int) -> None:
    """The same night's recordings from a local server, against files that are there already."""
    from support.api_server import TOKEN, serving

    archive = COMMAND.replace("filedecryptor", "vns-recordings")
    os.environ["VNS_API_TOKEN"] = TOKEN
    os.environ["FILEDECRYPTOR_PASSWORD"] = PASSWORD
    with recording(400 * KB) as path, serving() as api:
        os.environ["VNS_API_URL"] = api.url
        folder = Path(path).parent
        data = Path(path).read_bytes()
        Path(path).unlink()
        for _ in range(200):
            guid = str(uuid4())
            api.recordings[guid] = data
            (folder / f"{guid}.enc").write_bytes(data)

        def fetch() -> float:
            # A new one each time: a disk is slow to make files where many have just been removed.
            place = tempfile.mkdtemp(dir=folder)
            return process(archive, "archive", place, "-q")[0]

        batch = (COMMAND, *map(str, folder.glob("*.enc")), "-", "auto", "-q")
        name = "200 x 400 kB, archive from a local server : batch"
        compare(name, fetch, lambda: process(*batch)[0], max(3, pairs // 3), "1.25")


def archived(_: int) -> None:
    """A nightly run that finds ten new recordings among ten thousand."""
    from support.api_server import TOKEN, serving
    from support.vns import write_record

    archive = COMMAND.replace("filedecryptor", "vns-recordings")
    os.environ["VNS_API_TOKEN"] = TOKEN
    os.environ["FILEDECRYPTOR_PASSWORD"] = PASSWORD
    data = b"".join(encrypted([b"RIFF\0\0\0\0WAVE"], PASSWORD))
    with tempfile.TemporaryDirectory() as place, serving() as api:
        os.environ["VNS_API_URL"] = api.url
        guids = [str(uuid4()) for _ in range(10_000)]
        for guid in guids[10:]:
            Path(place, f"{guid}.opus").write_bytes(b"audio")
            write_record(Path(place), guid, b"audio")
        api.recordings = dict.fromkeys(guids[:10], data)
        api.list_body = json.dumps(
            [{"sessionGuid": guid, "x": "y" * 80} for guid in guids]
        ).encode()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = process(archive, "archive", place, "-q")[0]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        name = "10,000 listed, 9,990 archived, seconds of a core"
        print(f"{name:<52} {busy:8.2f} s, {seconds:.2f} s in all{'':>8} 3 s")


def on_a_cluster(pairs: int) -> None:
    """Many recordings on a cluster of this machine, against the batch command."""
    from support.dask_cluster import running

    with recording(400 * KB) as path, tempfile.TemporaryDirectory() as place:
        folder = Path(path).parent
        for number in range(1000):
            shutil.copy(path, folder / f"{number}.enc")
        Path(path).unlink()
        batch = (COMMAND, str(folder), PASSWORD, "wav", "-q")
        # Elsewhere its workers derive cheap keys.
        with running(Path(place, "cluster"), "", "", env={"PYTHONPATH": ""}) as cluster:
            ours = lambda: process(*batch, "--cluster", cluster.address)[0]
            theirs = lambda: process(*batch, "--jobs", "2")[0]
            name = "1,000 x 400 kB, 2 workers of a cluster : 2 jobs"
            compare(name, ours, theirs, max(3, pairs // 5), "1.15 without lanes")
            name = "1,000 x 400 kB, 2 workers of a cluster : bare"
            compare(name, ours, lambda: derive_many(1000, 2), max(3, pairs // 5), "0.50")


def overhead(_: int) -> None:
    """What a cluster adds to each recording, seen where key derivation costs nothing."""
    from support.dask_cluster import running

    one_round = "from filedecryptor.core import crypto; crypto.ITERATIONS = 1"
    main = "import sys; from filedecryptor.__main__ import main; sys.exit(main())"
    data = b"".join(encrypted([b"audio"], PASSWORD, iterations=1))
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as place,
        running(Path(place, "cluster"), one_round, one_round) as cluster,
    ):
        for count in (1000, 5000, 10_000):
            folder = Path(place, str(count))
            folder.mkdir()
            for number in range(count):
                (folder / f"{number}.enc").write_bytes(data)
            words = (str(folder), PASSWORD, "wav", "-q")
            theirs = process(sys.executable, "-c", f"{one_round}; {main}", *words)[0]
            before = seconds_of_processor(cluster.scheduler.pid)
            ours = process(COMMAND, *words, "--cluster", cluster.address)[0]
            after = seconds_of_processor(cluster.scheduler.pid)
            client, scheduler = ((b - a) / count * 1000 for a, b in zip(before, after, strict=True))
            name = f"{count:,} tiny ones on a cluster, no key derivation"
            print(f"{name:<52} {ours:8.2f} {theirs:8.2f}{'':>20} 1 ms each", flush=True)
            print(
                f"    each: {ours / count * 1000:.2f} ms in all; of a processor, the command "
                f"takes {client:.2f} ms of that, the scheduler {scheduler:.2f} ms"
            )


def seconds_of_processor(process: int) -> tuple[float, float]:
    """Return the time that ended children have taken until now, and that a process has."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])  # proc(5): utime and stime
    return usage.ru_utime + usage.ru_stime, ticks / os.sysconf("SC_CLK_TCK")


def derive_many(count: int, threads: int) -> float:
    """Time bare key derivations in threads of this process."""
    with ThreadPoolExecutor(threads) as executor:
        start = time.perf_counter()
        for _ in executor.map(lambda _: derive(), range(count)):
            pass
        return time.perf_counter() - start


def skipped(_: int) -> None:
    """A nightly run that finds nothing new among very many."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(100_000):
            recording = Path(folder, f"recording_{number:032}.enc")
            recording.touch()
            os.truncate(recording, 44)  # of no audio
            Path(folder, f"recording_{number:032}.opus").touch()
        seconds, peak = process(COMMAND, folder, PASSWORD, "auto", "--if-exists", "skip", "-q")
        name = "100,000 skipped"
        print(f"{name + ', seconds':<52} {seconds:8.1f} s{'':>24} 5 s")
        print(f"{name + ', peak memory':<52} {peak / MIB:8.1f} MiB{'':>22} 100 MiB")


def memory(_: int) -> None:
    """Peak memory for a short and two large recordings, by file and by standard output."""
    for size, name in ((10 * MIB, "10 MiB"), (GIB, "1 GiB"), (4 * GIB, "4 GiB")):
        with recording(size, "/dev/shm") as path:
            for way, words in (("file", ()), ("standard output", ("-o", "-"))):
                peak = process(COMMAND, path, PASSWORD, "wav", *words)[1]
                title = f"peak memory, {name}, {way}"
                print(f"{title:<52} {peak / MIB:8.1f} MiB{'':>22} 48 MiB", flush=True)


def memory_of_objects(_: int) -> None:
    """Peak memory from a store to a store, against what its package takes to be loaded."""
    from support.bucket import Bucket

    words = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        address = next(filter(None, (re.search(r"http://\S+:\d+", line) for line in server.stderr)))
        threading.Thread(target=server.stderr.read, daemon=True).start()
        bucket = Bucket(address[0])
        os.environ.update(bucket.env)
        bare = process(sys.executable, "-c", "import s3fs; s3fs.S3FileSystem().s3")[1]
        print(f"{'peak memory, s3fs alone, connected to nothing':<52} {bare / MIB:8.1f} MiB")
        for size, name in ((400 * KB, "400 kB"), (10 * MIB, "10 MiB"), (100 * MIB, "100 MiB")):
            with recording(size, "/dev/shm") as path:
                bucket.client.upload_file(path, bucket.name, "a.enc")
            peak = process(COMMAND, f"{bucket.url}/a.enc", PASSWORD, "wav")[1]
            title = f"peak memory, {name}, from a store to a store"
            print(f"{title:<52} {peak / MIB:8.1f} MiB{'':>22} 48 MiB", flush=True)
        server.kill()


OPTIONS = argparse.Namespace(against=None)
"""The words of the command line."""

MEASUREMENTS: dict[str, Callable[[int], None]] = {
    "short_file": short_file,
    "large_file": large_file,
    "memory": memory,
    "memory_of_objects": memory_of_objects,
    "many_files": many_files,
    "one_key": one_key,
    "with_lanes": with_lanes,
    "versions": versions,
    "skipped": skipped,
    "from_the_api": from_the_api,
    "archived": archived,
    "on_a_cluster": on_a_cluster,
    "overhead": overhead,
}

if __name__ == "__main__":
    main()
