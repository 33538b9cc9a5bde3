"""What an address leads to, and what stores say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("s3fs", reason="the extra s3 is not installed")
from support.bucket import Bucket
from support.commands import run_process
from support.recordings import PASSWORD

from filedecryptor import open_recording
from filedecryptor.errors import StorageError, missing_extra
from filedecryptor.storage.s3 import S3


@pytest.mark.parametrize(
    "case",
    [
        ("s3://no-such-bucket/a.enc", {}, "The specified bucket does not exist", 1),
        ("s3://no-such-bucket", {}, "The specified bucket does not exist", 1),
        ("s3://no-such-bucket/", {}, "The specified bucket does not exist", 1),
        ("gs://bucket/a.enc", {}, "the package for such addresses is not installed", 2),
        ("nonsense://a.enc", {}, "Protocol not known: nonsense", 2),
        ("s3://b/a.enc?versionId=1", {}, "chains and versions of objects are not understood", 2),
        ("file:///a.enc", {}, "this is on the disk", 2),
        ("zip://a.enc::s3://b/x.zip", {}, "chains and versions of objects are not", 2),
        (
            "s3://bucket/a.enc",
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"},
            "Could not connect to the endpoint",
            1,
        ),
        (
            "s3://bucket/a.enc",
            {
                "AWS_ACCESS_KEY_ID": "",
                "AWS_SECRET_ACCESS_KEY": "",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
            "Unable to locate credentials",
            1,
        ),
    ],
)
def test_what_is_wrong_with_an_address(
    bucket: Bucket, tmp_path: Path, case: tuple[str, dict[str, str], str, int]
) -> None:
    """One line names the address and the cause; nothing of the credentials is shown."""
    url, env, message, code = case
    result = bucket.run(url, PASSWORD, "opus", cwd=tmp_path, env={"HOME": str(tmp_path), **env})
    assert result.code == code, result
    assert result.lines[0].startswith(f"error: {url}: ")
    assert message in result.lines[0]
    assert all(line.startswith(("error: ", "hint: ")) for line in result.lines)
    assert "secret" not in result.stderr


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path) -> None:
    """One line and a hint, no traceback."""
    (tmp_path / "fsspec.py").write_text("raise ImportError('none', name='fsspec')")
    env = {"PYTHONPATH": str(tmp_path)}
    words, command = ("s3://b/a.enc", PASSWORD, "opus"), (sys.executable, "-m", "filedecryptor")
    result = run_process(*words, cwd=tmp_path, env=env, command=command)
    assert result.code == 2
    assert result.lines == [
        "error: s3://b/a.enc: the package for such addresses is not installed",
        f"hint: {missing_extra('s3')}",
    ]


def test_nothing_is_loaded_for_files(folder: Path) -> None:
    """Who has no address does not pay for it."""
    code = (
        "import sys, filedecryptor.__main__ as m; sys.argv[1:] = sys.argv[1:]; m.main();"
        "print([name for name in sys.modules if 'fsspec' in name or 's3fs' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "-q", "-d", ".", "a.enc", PASSWORD, "opus"],
        check=True,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_errors_of_stores_are_ours(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no OSError becomes a StorageError, whatever the store calls it."""
    for name, value in {**bucket.env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3.clear_instance_cache()  # they remember the address
    with pytest.raises(StorageError) as caught:
        open_recording("s3://bucket/a.enc", PASSWORD)
    S3.clear_instance_cache()
    assert caught.value.filename == "s3://bucket/a.enc"
    assert caught.value.__cause__ is None
