"""Build the program to download: the commands and all that they need, in one folder.

    python .ci/program/build.py FOLDER

Run it with the Python of an environment that has filedecryptor, the parts of it that the program is
to have, and PyInstaller. FOLDER gets the folder, packed, and SHA256SUMS. The same commit gives the
same bytes, with the same versions of what is inside; the folder `licenses` names them.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import zipfile
from importlib.metadata import distribution, packages_distributions, version
from pathlib import Path

from click.shell_completion import get_completion_class

from filedecryptor.cli import main as filedecryptor
from filedecryptor.vns.cli import main as vns_recordings

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SYSTEM = {"win32": "windows", "darwin": "macos"}.get(sys.platform, sys.platform)
MACHINE = {"amd64": "x86_64"}.get(machine := platform.machine().lower(), machine)
LICENCE = re.compile(r"licen[cs]e|copying|notice|authors|sboms", re.IGNORECASE)


def main() -> None:
    """Build, complete and pack the program."""
    folder = Path(sys.argv[1])
    name = f"filedecryptor-{version('filedecryptor')}-{SYSTEM}-{MACHINE}"
    time_of_commit = commit_time()
    build(folder, time_of_commit)
    program = (folder / "filedecryptor").rename(folder / name)
    if sys.platform == "linux":
        forget_python(program)
    add_documents(program)
    add_licences(program)
    archive = pack(program, time_of_commit)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  {archive.name}\n", "utf-8", newline="\n")
    print(archive)


def commit_time() -> int:
    """Return the time that all files get, as reproducible-builds.org defines it."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or output("git", "log", "-1", "--format=%ct"))


def build(folder: Path, time_of_commit: int) -> None:
    """Let PyInstaller make a folder that can be run."""
    words = ["--log-level", "WARN", "--noconfirm", "--clean", "--distpath", str(folder)]
    words += ["--workpath", str(folder / "work"), str(HERE / "filedecryptor.spec")]
    variables = {
        "PYINSTALLER_CONFIG_DIR": str(folder / "work"),
        "PYTHONHASHSEED": "0",  # as PyInstaller's manual asks, under "Creating a Reproducible Build"
        "SOURCE_DATE_EPOCH": str(time_of_commit),  # Windows' executables hold a time
    }
    command = [sys.executable, "-m", "PyInstaller", *words]
    subprocess.run(command, check=True, env={**os.environ, **variables})


def forget_python(program: Path) -> None:
    """Let no library look for others where this Python is: there, that may be anybody's folder."""
    place = os.fsencode(f"{sysconfig.get_config_var('LIBDIR')}\0")
    for path in program.rglob("*.so*"):
        path.write_bytes(path.read_bytes().replace(place, bytes(len(place))))


def add_documents(program: Path) -> None:
    """Add what users read, and what their shells do."""
    for document in ("README.md", "LICENSE"):
        shutil.copy(ROOT / document, program)
    shutil.copytree(ROOT / "docs", program / "docs")
    shutil.copytree(ROOT / "src" / "man", program / "man" / "man1")
    (program / "completion").mkdir()
    for command in (filedecryptor, vns_recordings):
        variable = f"_{command.name}_COMPLETE".replace("-", "_").upper()
        for shell in ("bash", "fish", "zsh"):
            completion = get_completion_class(shell)(command, {}, command.name, variable)
            name = f"_{command.name}" if shell == "zsh" else f"{command.name}.{shell}"
            # Not `source`, which warns where there is no bash, as on Windows.
            script = completion.source_template % completion.source_vars()
            (program / "completion" / name).write_text(script, "utf-8", newline="\n")


def add_licences(program: Path) -> None:
    """Add the licences of all that is inside, each in a folder with its name and its version."""
    inside = [path.name for path in (program / "_internal").iterdir()]
    owners = packages_distributions()
    names = {owner for name in inside for owner in owners.get(name.partition(".")[0], [])}
    for name in {"pyinstaller", *names}:
        found = distribution(name)
        notes = [file for file in found.files or () if file.parts[0].endswith(".dist-info")]
        files = [file for file in notes if LICENCE.search("/".join(file.parts[1:]))]
        keep(program, name, found.version, [Path(found.locate_file(file)) for file in files])
    folder = sys.base_prefix if sys.platform == "win32" else sysconfig.get_path("stdlib")
    keep(program, "Python", platform.python_version(), [Path(folder, "LICENSE.txt")])
    # Elsewhere, Python brings the libraries that it needs, and its licence has theirs.
    if sys.platform == "linux":
        add_licences_of_libraries(program, inside)


def add_licences_of_libraries(program: Path, inside: list[str]) -> None:
    """Add the licences of Debian's libraries, with the texts that they refer to."""
    patterns = [f"*/{name}" for name in inside if re.match(r"lib(?!python).*\.so", name)]
    for line in output("dpkg", "--search", *patterns).splitlines():
        package = line.partition(":")[0]
        release = output("dpkg-query", "--show", "--showformat=${Version}", package)
        licence = Path("/usr/share/doc", package, "copyright")
        texts = set(re.findall(r"/usr/share/common-licenses/[\w.-]*\w", licence.read_text("utf-8")))
        keep(program, package, release.rpartition(":")[2], [licence, *map(Path, texts)])


def keep(program: Path, name: str, release: str, licences: list[Path]) -> None:
    """Copy the licences of one package or library, which must have some."""
    if not licences:
        sys.exit(f"{name}: no licence was found")
    folder = program / "licenses" / f"{name}-{release}"
    folder.mkdir(parents=True, exist_ok=True)
    for licence in licences:
        shutil.copy(licence, folder)


def output(*words: str) -> str:
    """Return what a command prints, which must succeed."""
    return subprocess.run(words, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout


def pack(program: Path, time_of_commit: int) -> Path:
    """Pack the folder as its system unpacks it by itself, with nothing of this machine or this hour."""
    paths = [program, *sorted(program.rglob("*"))]
    if sys.platform == "win32":
        packed = program.with_name(f"{program.name}.zip")
        with zipfile.ZipFile(packed, "w") as archive:
            for path in filter(Path.is_file, paths):
                name = path.relative_to(program.parent).as_posix()
                entry = zipfile.ZipInfo(name, time.gmtime(time_of_commit)[:6])
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
        return packed

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        mode = 0o755 if entry.mode & 0o100 else 0o644
        entry.mtime, entry.mode = time_of_commit, mode
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    packed = program.with_name(f"{program.name}.tar.gz")
    with (
        packed.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=time_of_commit) as stream,
        tarfile.open(fileobj=stream, mode="w") as archive,
    ):
        for path in paths:
            name = path.relative_to(program.parent).as_posix()
            archive.add(path, name, recursive=False, filter=anonymous)
    return packed


if __name__ == "__main__":
    try:
        main()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"{Path(__file__).name}: {error}")
