"""The program to download, packed: unpacked and tried as on the machine of a stranger."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import encryptor
from support.api_server import PATH, Server, serving
from support.commands import EXE, Result, ends_of_early_signals, run_process, wait_until
from support.folders import contents, nothing_changes
from support.pages import PAGES, blocks
from support.posix import IS_ROOT, IS_WINDOWS, posix_only
from support.recordings import AUDIO, FIXTURES, PASSWORD, PLAIN, WAV
from support.terminal import run_in_terminal
from support.tls import certificate, secure
from support.vns import ONE, environment, stored

if TYPE_CHECKING:
    from support.bucket import Bucket

if "PROGRAM" not in os.environ:
    pytest.skip("`.ci/run program` builds it", allow_module_level=True)

PACKED = Path(os.environ["PROGRAM"]).resolve()

pytestmark = pytest.mark.real_iterations  # it cannot be told otherwise

PROGRAMS = ("filedecryptor", "vns-recordings")
ENC = (FIXTURES / "recording_abc123.enc").read_bytes()
INTERRUPTED = b"filedecryptor: error: interrupted"
HAS_IT_NOT = (
    "hint: the program to download is without it:"
    " install filedecryptor with Python, as its README says"
)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, unpacked by what each system has, in a place with an odd name; read-only."""
    digest, name = (PACKED.parent / "SHA256SUMS").read_text("utf-8").split()
    assert (hashlib.sha256(PACKED.read_bytes()).hexdigest(), PACKED.name) == (digest, name)
    place = tmp_path_factory.mktemp("program") / "\u00e0 moi"
    place.mkdir()
    subprocess.run(["tar", "-xf", PACKED, "-C", place], check=True)
    [folder] = place.iterdir()
    assert PACKED.name in {f"{folder.name}.tar.gz", f"{folder.name}.zip"}
    if not IS_WINDOWS:
        subprocess.run(["chmod", "-R", "a-w", folder], check=True)
    return folder


@pytest.fixture(autouse=True)
def _empty_environment(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program inherits nothing but what Windows itself needs, and what pytest removes again."""
    for name in os.environ.keys() - {"SYSTEMROOT", "PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """A folder with the recordings of `fixtures/`."""
    for path in FIXTURES.glob("*.enc"):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def api() -> Iterator[Server]:
    """An account with one recording."""
    with serving() as server:
        server.recordings[ONE] = ENC
        yield server


def path_of(program: Path, name: str = "filedecryptor") -> str:
    """Return the path of one of the two executables."""
    return str(program / f"{name}{EXE}")


PLAINS = {path.name: path.read_bytes() for path in sorted(PLAIN.iterdir())}


@pytest.mark.parametrize(
    ("line", "stdin", "printed"),
    [
        (f"recording_abc123.enc {PASSWORD} opus", b"", "recording_abc123.opus"),
        (f"recording_def456.enc {PASSWORD} mp3", b"", "recording_def456.mp3"),
        (f"recording_ghi789.enc {PASSWORD} wav", b"", "recording_ghi789.wav"),
        ("recording_abc123.enc - opus -o x", PASSWORD.encode(), "x"),
        ("recording_abc123.enc - opus -o -", PASSWORD.encode(), AUDIO),
        (f"- {PASSWORD} auto", ENC, AUDIO),
        ("- auto -o x --password-file secret", ENC, "x"),
    ],
)
def test_one_recording(
    program: Path, calls: Path, line: str, stdin: bytes, printed: str | bytes
) -> None:
    """The three words, the password and the recording from pipes, the audio to a pipe."""
    (calls / "secret").write_text(PASSWORD, "utf-8")
    expected = contents(calls)
    done = run_process(*line.split(), cwd=calls, stdin=stdin, command=[path_of(program)])
    if isinstance(printed, str):
        expected[printed] = PLAINS.get(printed, AUDIO)
        printed = f"{printed}\n".encode()
    assert done == (0, printed, "")
    assert contents(calls) == expected


def test_a_folder(program: Path, calls: Path) -> None:
    """With `auto`; two runs at once each do all of it. An installed Python's variables mean nothing."""
    env = {"PYTHONHOME": "/nowhere", "PYTHONPATH": str(calls), "PYTHONSTARTUP": "/nowhere"}
    (calls / "click.py").write_text("raise SystemExit('another Python')", "utf-8")

    def decrypt(folder: str) -> Result:
        words = (".", PASSWORD, "auto", "-d", folder)
        return run_process(*words, cwd=calls, env=env, command=[path_of(program)])

    with ThreadPoolExecutor() as threads:
        for done in threads.map(decrypt, ("audio", "audio", "other")):
            assert done.code == 0, done
            assert done.stderr.startswith(f"filedecryptor: {len(PLAINS)} decrypted; ")
    assert contents(calls / "audio") == contents(calls / "other") == PLAINS


@posix_only("pseudo-terminals")
def test_a_password_is_typed(program: Path, calls: Path) -> None:
    """It is not shown."""
    words = ("recording_abc123.enc", "-", "auto")
    typed = {"Password: ": f"{PASSWORD}\n"}
    screen = run_in_terminal(*words, cwd=calls, answers=typed, command=path_of(program))
    assert (screen.code, "recording_abc123.opus" in screen.text) == (0, True)
    assert (calls / "recording_abc123.opus").read_bytes() == AUDIO


@posix_only("signals from elsewhere")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_batch(program: Path, tmp_path: Path, name: str) -> None:
    """It ends with 130 and leaves whole files only."""
    for number in range(200):
        (tmp_path / f"{number:03}.enc").write_bytes(ENC)
    process = subprocess.Popen(
        [path_of(program), ".", PASSWORD, "opus", "-d", "audio"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: any(tmp_path.glob("audio/*.opus")))
    process.send_signal(getattr(signal, name))
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr.splitlines()[-1:]) == (130, [INTERRUPTED])
    made = contents(tmp_path / "audio")
    assert set(made.values()) == {AUDIO}
    assert len(made) < 200


@posix_only("signals from elsewhere")
@pytest.mark.parametrize(
    ("name", "words"),
    [("filedecryptor", ["-", PASSWORD, "opus", "-o", "x"]), ("vns-recordings", ["list"])],
)
def test_an_early_signal(program: Path, tmp_path: Path, name: str, words: list[str]) -> None:
    """It ends a program at any moment; only in Python's own start may it show a traceback."""
    command, shown = (path_of(program, name), *words), []
    for code, stderr in ends_of_early_signals(*command, cwd=tmp_path, runs=30, seconds=0.15):
        if re.search(r"KeyboardInterrupt|ignored in|^Fatal Python error: init", stderr):
            shown.append(stderr)
        else:
            assert code == 130, stderr
            assert stderr in {"", f"{name}: error: interrupted\n"}
    assert len(shown) <= 2, "that start takes a millisecond"
    assert contents(tmp_path) == {}


@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")
@pytest.mark.parametrize(
    "module", ["ctypes/__init__", "filedecryptor/terminal/process", "filedecryptor/errors"]
)
def test_ctrl_c_while_a_module_is_found(program: Path, tmp_path: Path, module: str) -> None:
    """The first is one of PyInstaller's own start, and from there on there is no traceback."""
    path = program / "_internal" / f"{module}.pyc"
    strace = ["strace", "-qq", "-o", "log", "-P", str(path), "-e", "inject=openat:signal=SIGINT"]
    words = ("-", PASSWORD, "opus", "-o", "x")
    done = run_process(*words, cwd=tmp_path, stdin=b"x", command=[*strace, path_of(program)])
    assert "SIGINT" in (tmp_path / "log").read_text("utf-8")
    interrupted = (130, b"", f"{INTERRUPTED.decode()}\n")
    assert done in {(-signal.SIGINT, b"", ""), interrupted}


STEPS = re.findall(r"^\d\. \w+ it: `(.*?)`", PAGES["README.md"], re.MULTILINE)
LINES = {
    "README.md": (STEPS, "recording_abc123.opus"),
    "schedule.md": (blocks("sh", "tar ")[0].splitlines(), "usr/local/bin/vns-recordings"),
    "windows.md": (blocks("bat", "tar ")[0].splitlines(), "recording_abc123.opus"),
}
"""How the pages say to check, unpack and run a release, and what is there afterwards."""


@pytest.mark.parametrize("page", LINES)
def test_the_lines_of_the_pages(calls: Path, page: str) -> None:
    """They do that, also where the archives of other systems were not downloaded."""
    if (page == "windows.md") != IS_WINDOWS:
        pytest.skip("this page is for other systems")
    shutil.copy(PACKED, calls)
    others = f"{'0' * 64}  filedecryptor-0.1.0-other.zip\n"
    sums = (PACKED.parent / "SHA256SUMS").read_text("utf-8")
    (calls / "SHA256SUMS").write_text(others + sums, "utf-8")
    for folder in ("opt", "usr/local/bin"):
        (calls / folder).mkdir(parents=True)
    lines, made = LINES[page]
    for line in lines:
        here = line.replace("sudo ", "")
        name = PACKED.name.removesuffix(".zip").removesuffix(".tar.gz")
        here = re.sub(r"filedecryptor-0\.1\.0-\w+-x86_64", name, here)
        here = re.sub(r" (?=/(opt|usr)\b)", f" {calls}", here)
        if sys.platform == "darwin":
            here = here.replace("sha256sum", "shasum -a 256")
        shell = ["cmd", "/c"] if IS_WINDOWS else ["bash", "-c"]
        done = run_process(cwd=calls, env={"PATH": os.defpath}, command=[*shell, here])
        assert (done.code, done.stderr) == (0, ""), here
    assert (calls / made).exists()


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_it_says_of_itself(program: Path, tmp_path: Path, name: str) -> None:
    """The version is in the name of the archive."""
    told = run_process("--version", cwd=tmp_path, command=[path_of(program, name)])
    assert (told.code, told.stderr) == (0, "")
    said, version = told.stdout.decode().split()
    assert said == name
    assert PACKED.name.startswith(f"filedecryptor-{version}-")
    told = run_process("--help", cwd=tmp_path, command=[path_of(program, name)])
    assert (told.code, told.stderr) == (0, "")
    assert told.stdout.decode().startswith(f"Usage: {name} ")
    document = (program / "README.md").read_text("utf-8")
    assert document == (FIXTURES.parent / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("filedecryptor a.enc P opus --none", 2, "unknown option: --none"),
        ("filedecryptor --cluster tcp://127.0.0.1:1 a.enc P opus", 2, HAS_IT_NOT),
        ("filedecryptor gs://bucket/x.enc P opus", 2, HAS_IT_NOT),
        ("filedecryptor abfs://bucket/x.enc P opus", 2, HAS_IT_NOT),
        ("filedecryptor recording_abc123.enc wrong opus", 3, "authentication failed"),
        ("filedecryptor short.enc P opus", 4, "not a recording"),
        (f"filedecryptor other.enc {PASSWORD} auto", 5, "name the output's extension"),
        ("filedecryptor none.enc P opus", 1, "No such file or directory"),
        ("vns-recordings list", 6, "refused the token"),
        ("vns-recordings list --api-url http://127.0.0.1:1 --max-time 1", 7, "--max-time"),
    ],
)
def test_exit_codes(program: Path, calls: Path, line: str, code: int, said: str) -> None:
    """As those of an installed program; what this one does not have is told without pip or uv."""
    (calls / "short.enc").write_bytes(b"short")
    (calls / "other.enc").write_bytes(encryptor.encrypt(b"no audio " * 9, PASSWORD))
    name, *words = line.split()
    with nothing_changes(calls), serving() as api:
        env = {"VNS_API_URL": api.url, "VNS_API_TOKEN": "wrong"}
        done = run_process(*words, cwd=calls, env=env, command=[path_of(program, name)])
    assert done.code == code, done
    assert said in done.stderr
    assert not re.search(r"\b(pip|uv|pipx)\b|install (?!filedecryptor)", done.stderr)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_account(program: Path, tmp_path: Path, api: Server, scheme: str) -> None:
    """It is listed and archived; a certificate that is not known is named by a variable."""
    env = environment(api, VNS_API_URL=f"{scheme}://localhost:{api.server_port}")
    vns = [path_of(program, "vns-recordings")]
    if scheme == "https":
        pem = certificate(tmp_path)
        secure(api, pem)
        refused = run_process("list", cwd=tmp_path, env=env, command=vns)
        assert (refused.code, "is not trusted" in refused.stderr) == (7, True)
        env["SSL_CERT_FILE"] = str(pem)
    listed = run_process("list", cwd=tmp_path, env=env, command=vns)
    assert (listed.code, listed.stdout.decode().split()) == (0, ["sessionGuid", ONE]), listed
    done = run_process("archive", "calls", cwd=tmp_path, env=env, command=vns)
    assert (done.code, stored(tmp_path / "calls")) == (0, {f"{ONE}.opus": AUDIO}), done
    assert api.count("GET", f"{PATH}/{ONE}") == 1


LIBRARIES = "LD_LIBRARY_PATH"


@posix_only("shells that give credentials")
def test_a_bucket(program: Path, tmp_path: Path, bucket: Bucket) -> None:
    """In and out. A program that gives the credentials does not meet the libraries of this one."""
    bucket.put("in/a.enc", ENC)
    script = tmp_path / "credentials"
    keys = '{"Version": 1, "AccessKeyId": "key", "SecretAccessKey": "secret"}'
    script.write_text(f"#!/bin/sh\n/usr/bin/env > '{tmp_path}/seen'\necho '{keys}'\n", "utf-8")
    script.chmod(0o755)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {script}\n", "utf-8")
    env = {name: value for name, value in bucket.env.items() if "KEY" not in name}
    env["AWS_CONFIG_FILE"] = str(tmp_path / "config")
    for place, before in (f"{bucket.url}/out", {}), ("out", {LIBRARIES: "/my/libraries"}):
        words = (f"{bucket.url}/in", PASSWORD, "auto", "-d", place)
        done = run_process(*words, cwd=tmp_path, env=env | before, command=[path_of(program)])
        assert done.code == 0, done
        lines = (tmp_path / "seen").read_text("utf-8").splitlines()
        seen = dict(line.split("=", 1) for line in lines)
        assert {name: seen[name] for name in seen if name.startswith(LIBRARIES)} == before
        assert not [name for name in seen if name.startswith("_PYI_")]  # of the executable
    assert bucket.contents() == {"in/a.enc": ENC, "out/a.opus": AUDIO}
    assert contents(tmp_path / "out") == {"a.opus": AUDIO}


SHELLS = {
    "bash": "source '{0}.bash'; COMP_WORDS=({1}); COMP_CWORD=1; _{2}_completion {1} {0}\n"
    "echo ${{COMPREPLY[@]}}",
    "fish": "source '{0}.fish'; complete -C '{1}'",
    "zsh": "fpath=($PWD $fpath); words=({1}); CURRENT=2; autoload -U _{0}\n"
    "compadd() {{ print -- $completions }}\n"
    "_describe() {{ print -- $completions_with_descriptions }}\n"
    "_{0}",
}


@posix_only("shells that complete")
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "expected"),
    [("filedecryptor --verif", "--verify"), ("vns-recordings arch", "archive")],
)
def test_completion(program: Path, shell: str, line: str, expected: str) -> None:
    """The files for three shells do it while the folder is on the PATH."""
    if shutil.which(shell, path=os.defpath) is None:
        pytest.skip(f"there is no {shell}")
    name = line.split(maxsplit=1)[0]
    script = SHELLS[shell].format(name, line, name.replace("-", "_"))
    env = {"PATH": f"{program}:{os.defpath}", "LC_ALL": "C.UTF-8"}  # fish reads paths as text
    options = {"bash": ["--norc"], "fish": ["--no-config"], "zsh": ["-f"]}[shell]
    command = [shell, *options, "-c", script]
    done = run_process(cwd=program / "completion", env=env, command=command)
    assert (done.code, done.stderr) == (0, "")
    assert re.match(rf"{expected}\b", done.stdout.decode()), done


@pytest.mark.skipif(shutil.which("man") is None, reason="there is no man")
@pytest.mark.parametrize("name", [*PROGRAMS, "vns-recordings-archive"])
def test_manual_pages(program: Path, tmp_path: Path, name: str) -> None:
    """They are found in the folder."""
    shown = run_process("-M", program / "man", name, cwd=tmp_path, command=["man"])
    assert (shown.code, shown.stderr) == (0, "")
    assert "options" in re.sub(r".\x08", "", shown.stdout.decode()).lower()


@posix_only("links")
def test_a_link(program: Path, calls: Path) -> None:
    """It may be called by another name, as in /usr/local/bin; a copy does not start."""
    link = calls / "FileDecryptor"
    link.symlink_to(path_of(program))
    done = run_process("recording_ghi789.enc", PASSWORD, "wav", cwd=calls, command=[str(link)])
    assert (done.code, (calls / "recording_ghi789.wav").read_bytes()) == (0, WAV), done
    alone = str(shutil.copy(path_of(program), calls / "alone"))
    done = run_process("--version", cwd=calls, command=[alone])
    [said] = re.findall(r"copied\s+out of its folder says\s+`(.*?)`", PAGES["schedule.md"])
    assert (done.code, said in done.stderr) == (255, True)
    # By its name alone, too.
    env = {"PATH": f"{calls}{os.pathsep}{os.defpath}"}
    done = run_process("--version", cwd=calls, env=env, command=["env", link.name])
    assert (done.code, done.stderr) == (0, "")


@posix_only("names that are not text")
@pytest.mark.parametrize("locale", ["", "C", "POSIX", "C.UTF-8"])
def test_names_that_are_not_text(program: Path, tmp_path: Path, locale: str) -> None:
    """They are kept as they are, in any locale."""
    odd = b"caf\xe9 \xc3\xa9.enc"
    try:
        (tmp_path / os.fsdecode(odd)).write_bytes(ENC)
    except OSError:
        pytest.skip("this disk takes no such names")
    env = {"LC_ALL": locale} if locale else {}
    done = run_process(odd, PASSWORD, "opus", cwd=tmp_path, env=env, command=[path_of(program)])
    assert done == (0, odd.replace(b"enc", b"opus") + b"\n", "")
    assert (tmp_path / os.fsdecode(odd)).with_suffix(".opus").read_bytes() == AUDIO


def test_the_folder_may_be_read_only(program: Path, calls: Path) -> None:
    """Nothing is written there, whoever runs it."""
    with nothing_changes(program):
        for name, *words in (
            ("filedecryptor", "recording_abc123.enc", PASSWORD, "opus"),
            ("vns-recordings", "--help"),
        ):
            command = [path_of(program, name)]
            done = run_process(*words, cwd=calls, as_anybody=True, command=command)
            assert (done.code, done.stderr) == (0, "")


def test_what_is_inside(program: Path) -> None:
    """All that is there has a licence; what is not needed is not there, nor what builds it."""
    others = {".dist-info", ".dll", ".framework"}
    entries = [path for path in (program / "_internal").iterdir() if path.suffix not in others]
    inside = {path.name.partition(".")[0] for path in entries}
    assert not inside & {"boto3", "dask", "distributed", "llvmlite", "moto", "pip", "setuptools"}
    owners = packages_distributions()
    packages = {owner for name in inside for owner in owners.get(name, [])} | {"filedecryptor"}
    assert packages >= {"cffi", "click", "cryptography", "httpcore", "s3fs"}
    libraries = {name for name in inside if name.startswith("lib")} - {"libpython3"}
    python = {name for name in inside if re.match(r"(lib)?python3|Python$|VCRUNTIME", name)}
    known = {*libraries, *owners, *python, *sys.stdlib_module_names}
    assert inside - known <= {"filedecryptor"}
    licensed = {path.name for path in (program / "licenses").iterdir() if any(path.iterdir())}
    assert len(licensed) == len([*(program / "licenses").iterdir()])
    # None of botocore's files about AWS's License Manager.
    assert not [*program.glob("licenses/*/*-1.json"), *program.glob("licenses/*/*.gz")]
    licences = packages | {"Python", "pyinstaller"}
    if sys.platform == "linux":
        names = {"libcrypto": "libssl", "libgcc_s": "libgcc-s", "libz": "zlib"}
        licences |= {names.get(name, name) for name in libraries}
        assert [*program.glob("licenses/libgcc-s*/GPL-3")], "to which its copyright refers"
    for package in licences:
        assert [name for name in licensed if name.startswith(package)], package


def test_nothing_tells_where_it_was_built(program: Path) -> None:
    """No path of the machine is in a module, in a note of an installer or in an executable."""
    paths = [os.fsencode(path) for path in (PACKED.parent, FIXTURES.parent, program.parent)]
    if sys.platform == "linux":  # where libraries would be looked for
        paths.append(os.fsencode(f"{sysconfig.get_config_var('LIBDIR')}\0"))
    for path in filter(Path.is_file, program.rglob("*")):
        data = path.read_bytes()
        if path.parent == program and path.stat().st_mode & stat.S_IXUSR:
            for begin in re.finditer(rb"\x78\xda", data):
                with suppress(zlib.error):
                    data += zlib.decompressobj().decompress(data[begin.start() :])
            assert b"environment.py" in data
        found = [place for place in paths if place in data]
        assert not found, path
        assert b"/site-packages/" not in data or path.suffix == ".so" or ".so." in path.name, path
    assert not [*program.rglob("direct_url.json"), *program.rglob("RECORD")]


def test_a_build_without_a_clone(tmp_path: Path) -> None:
    """It says in a line that git does not know the commit, whose time all files get."""
    copy = shutil.copytree(FIXTURES.parent / ".ci" / "program", tmp_path / "program")
    done = run_process("x", cwd=tmp_path, command=[sys.executable, str(copy / "build.py")])
    assert done.code == 1
    assert done.stderr.splitlines()[-1].startswith("build.py: ")
    assert "Traceback" not in done.stderr
    assert [*tmp_path.iterdir()] == [copy]


OUTSIDE = re.compile(r"ld-linux.*|lib(c|dl|m|pthread|rt|util|z)\.so\.\d")
"""The C library, and zlib, which PyInstaller's executable needs before it finds its own."""


def needed(*files: Path, **env: str) -> set[Path]:
    """Return the libraries of the system that files need: the program's own have a space in their path."""
    told = run_process(*files, cwd=files[0].parent, env=env, command=["ldd"])
    return {Path(path) for path in re.findall(r"(?<=\s)(/[^\s:]*) \(0x", told.stdout.decode())}


@pytest.mark.skipif(not (IS_ROOT and sys.platform == "linux"), reason="root changes its root")
def test_a_machine_that_has_only_a_c_library(program: Path, tmp_path: Path, api: Server) -> None:
    """No Python, other library, /proc or shell; certificates are where one system or another has them."""
    tree = tmp_path / "tree"
    shutil.copytree(program, tree / "program", copy_function=os.link)
    shutil.copy(FIXTURES / "recording_abc123.enc", tree)
    libraries = [path for path in program.rglob("*") if ".so" in path.name]
    outside = needed(*(Path(path_of(program, name)) for name in PROGRAMS))
    outside |= needed(*libraries, **{LIBRARIES: str(program / "_internal")})
    for path in outside:
        assert OUTSIDE.fullmatch(path.name)
        target = tree / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    pem = certificate(tmp_path)
    secure(api, pem)
    (tree / "etc").mkdir()
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n", "utf-8")
    variables = environment(api, VNS_API_URL=f"https://localhost:{api.server_port}")

    def inside(name: str, *words: str) -> Result:
        command = ["/usr/sbin/chroot", str(tree), f"/program/{name}"]
        return run_process(*words, cwd=tmp_path, env=variables, command=command)

    for name in PROGRAMS:
        assert inside(name, "--version").code == 0
    assert inside("filedecryptor", "recording_abc123.enc", PASSWORD, "opus").code == 0
    assert (tree / "recording_abc123.opus").read_bytes() == AUDIO
    assert inside("vns-recordings", "list").code == 7
    for place in ("etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt"):
        bundle = tree / place
        bundle.parent.mkdir(parents=True)
        bundle.hardlink_to(pem)
        done = inside("vns-recordings", "list")
        assert (done.code, done.stderr) == (0, ""), place
        bundle.unlink()
    shutil.copy(pem, tree / "etc/ssl/cert.pem")
    done = inside("vns-recordings", "archive", "calls")
    assert (done.code, stored(tree / "calls")) == (0, {f"{ONE}.opus": AUDIO}), done
