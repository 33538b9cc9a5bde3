"""Everything a change must pass, with nothing installed but Python, on a clean checkout or not.

    python .ci/run.py [STEP...]        all steps in their order, or those named

It works in .ci/work, with an environment of its own, and leaves .venv alone.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".ci" / "work"
WHEEL = WORK / "wheel"
PROGRAM = WORK / "program"

IS_WINDOWS = sys.platform == "win32"
SCRIPTS = "Scripts" if IS_WINDOWS else "bin"
EXE = ".exe" if IS_WINDOWS else ""


def tool(name: str, environment: Path = WORK / "venv") -> str:
    """Return the path of a program in an environment."""
    return str(environment / SCRIPTS / f"{name}{EXE}")


def run(*words: str, **variables: str) -> None:
    """Run a program, which must succeed, with these variables of the environment as well."""
    subprocess.run(words, check=True, cwd=ROOT, env={**os.environ, **variables})


def system() -> None:
    """Install what some tests look for; they are skipped where it is missing."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        packages = [
            "acl",
            "fish",
            "fuse3",
            "jq",
            "libseccomp2",
            "mandoc",
            "strace",
            "systemd",
            "zsh",
        ]
        gateway = ["--no-install-recommends", "ceph-mon", "ceph-osd", "radosgw"]
        # One by one: Ubuntu has no such browser, and a package that is not there stops all others.
        for names in (packages, gateway, ["chromium"]):
            subprocess.run(
                ["apt-get", "install", "-qq", "-y", *names], check=False, stdout=subprocess.DEVNULL
            )


def tests() -> None:
    """Run the README's own test command, in the environment of this script, and measure coverage."""
    shutil.rmtree(WORK / "venv", ignore_errors=True)
    for command in test_commands():
        words = command if IS_WINDOWS else ["bash", "-euo", "pipefail", "-c", command]
        subprocess.run(
            words,
            check=True,
            cwd=ROOT,
            shell=IS_WINDOWS,
            env={**os.environ, "PYTEST_ADDOPTS": "--cov --cov-report="},
        )
    # What is skipped on other systems is not covered there.
    limit = [] if sys.platform == "linux" else ["--fail-under=0"]
    run(tool("python"), "-m", "coverage", "report", *limit)


def test_commands() -> list[str]:
    """Return the lines of the README, or of its page for Windows, that run the tests."""
    page = "docs/windows.md" if IS_WINDOWS else "README.md"
    blocks = re.findall(r"```(?:bat|sh)\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    block = next(block for block in blocks if "pytest" in block)
    # Without ROOT, which may have a space in it.
    return [line.replace(".venv", str(Path(".ci", "work", "venv"))) for line in block.splitlines()]


def slow() -> None:
    """Run the attacks that take longer; a worker that has no more takes over those of others."""
    run(tool("python"), "-m", "pytest", "-m", "slow", "-n", "auto", "--dist", "worksteal")


def lint() -> None:
    """Check style, types and workflows; what the source does on the other systems as well."""
    run(tool("python"), "-m", "pip", "install", "--quiet", "--group", "lint")
    run(tool("ruff"), "check")
    run(tool("ruff"), "format", "--check")
    # The strictest persona. Without the network, what it finds is the same every day.
    run(tool("zizmor"), "--offline", "--quiet", "--persona=auditor", ".")
    with ThreadPoolExecutor() as threads:
        list(threads.map(check_types, ("linux", "darwin", "win32")))


def check_types(platform: str) -> None:
    """Check what the source does on a system, and on this one the tests as well."""
    what = [] if platform == sys.platform else ["src"]
    run(tool("mypy"), "--platform", platform, "--cache-dir", f".mypy_cache/{platform}", *what)


def wheel() -> None:
    """Try the built wheel alone, in an environment that has nothing else."""
    shutil.rmtree(WHEEL, ignore_errors=True)
    pip = ["-m", "pip", "install", "--quiet"]
    run(sys.executable, "-m", "venv", str(WHEEL / "venv"))
    python = tool("python", WHEEL / "venv")
    run(python, *pip, "--upgrade", "pip")
    run(python, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(WHEEL), ".")
    run(python, *pip, *map(str, WHEEL.glob("*.whl")))
    shutil.copy(ROOT / "fixtures" / "recording_abc123.enc", WHEEL)
    recording = WHEEL / "recording_abc123.enc"
    run(tool("filedecryptor", WHEEL / "venv"), str(recording), "EncryptMe", "opus")
    plain = ROOT / "fixtures" / "plain" / "recording_abc123.opus"
    if not filecmp.cmp(recording.with_suffix(".opus"), plain, shallow=False):
        sys.exit("the wheel decrypts something else")
    if not (WHEEL / "venv" / "share" / "man" / "man1" / "filedecryptor.1").exists():
        sys.exit("the wheel has no manual pages")
    page = "from filedecryptor.vns import page, times; page.rendered([], times.now())"
    run(python, "-c", page)  # which reads a file that is no module


def bare() -> None:
    """Run the tests where the extras are missing, in the wheel's environment.

    What is ignored is the same there: the attacks need no extra, and of the packages, only modules
    for object stores use any, which `tests/test_house.py` checks; their tests would be skipped.
    """
    python = tool("python", WHEEL / "venv")
    run(python, "-m", "pip", "install", "--quiet", "--group", "core")
    same = ("attacks", "audio", "core", "storage", "terminal")
    ignored = [f"--ignore=tests/{name}" for name in same]
    run(python, "-m", "pytest", "--quiet", "-n", "auto", "-p", "no:cacheprovider", *ignored)


def program() -> None:
    """Build the program to download, twice the same, in an environment of its own."""
    shutil.rmtree(PROGRAM, ignore_errors=True)
    run(sys.executable, "-m", "venv", str(PROGRAM / "venv"))
    python = tool("python", PROGRAM / "venv")
    pip = ["-m", "pip", "install", "--quiet"]
    run(python, *pip, "--upgrade", "pip")
    run(python, *pip, ".[vns,s3]", "--group", "program")
    sums = [PROGRAM / "SHA256SUMS", PROGRAM / "again" / "SHA256SUMS"]
    for path in sums:
        run(python, str(ROOT / ".ci" / "program" / "build.py"), str(path.parent))
    if not filecmp.cmp(*sums, shallow=False):
        sys.exit("two builds differ")


def trial() -> None:
    """Try that program, packed, as on the machine of a stranger."""
    _, name = (PROGRAM / "SHA256SUMS").read_text("utf-8").split()
    tests = ["-m", "pytest", "tests/test_program.py", "-n", "auto"]
    run(tool("python"), *tests, PROGRAM=str(PROGRAM / name))


def clean() -> None:
    """Check that the tests have not changed the tree; a developer's changes are no fault."""
    if os.environ.get("CI"):
        changed = subprocess.run(
            ["git", "status", "--porcelain"], check=True, cwd=ROOT, capture_output=True, text=True
        ).stdout
        if changed:
            sys.exit(f"the tree has changed:\n{changed}")


STEPS = (system, tests, slow, lint, wheel, bare, program, trial, clean)


def main() -> None:
    """Run the steps that the command line names, each with the seconds that it took."""
    if sys.version_info < (3, 11):
        sys.exit("Python 3.11 or newer is needed")
    steps = {step.__name__: step for step in STEPS}
    WORK.mkdir(parents=True, exist_ok=True)
    # pip takes `false` for its option: it compiles nothing, as much is never imported.
    os.environ["PIP_NO_COMPILE"] = "false"
    for name in sys.argv[1:] or steps:
        print(f"== {name}", flush=True)
        began = time.monotonic()
        try:
            steps[name]()
        except subprocess.CalledProcessError as error:
            sys.exit(error.returncode)
        print(f"== {name}: {time.monotonic() - began:.0f} s", flush=True)
    print("all good")


if __name__ == "__main__":
    main()
