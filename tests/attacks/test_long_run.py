"""Many recordings in one process: nothing grows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.encryptor import encrypt
from support.recordings import PASSWORD

FILES = 8000
LINES_PER_LOOK = 400

# The key derivation is the command's own, with one round: 310,000 would take half an hour.
COMMAND_WITH_ONE_ROUND = """
import sys
from filedecryptor import __main__
from filedecryptor.core import crypto
crypto.ITERATIONS = 1
sys.exit(__main__.main())
"""


@pytest.mark.slow
def test_open_files_and_memory_stay_flat(tmp_path: Path) -> None:
    """From the first hundreds of recordings to the last, of which every other one is altered."""
    recording = encrypt(b"audio", PASSWORD, iterations=1)
    for number in range(FILES):
        (tmp_path / f"{number:05}.enc").write_bytes(recording[: len(recording) - number % 2])
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND_WITH_ONE_ROUND, "--json", "-q", ".", PASSWORD, "wav"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout
    memory, open_files = [], []
    for number, _ in enumerate(process.stdout, 1):
        if number % LINES_PER_LOOK == 0 and number < FILES:
            status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
            found = re.search(r"^VmRSS:\s*(\d+) kB", status, re.MULTILINE)
            assert found
            memory.append(int(found[1]) << 10)
            open_files.append(len(os.listdir(f"/proc/{process.pid}/fd")))
    assert process.wait() == 3
    assert len(memory) == FILES // LINES_PER_LOOK - 1
    print("memory:", memory, "open files:", open_files)  # noqa: T201 - for pytest -s
    # Each file under way has a few open; a leak of one for each file would show as thousands.
    assert max(open_files) - min(open_files) < 100
    settled = memory[len(memory) // 2 :]  # by then the lanes are in use
    assert max(settled) < settled[0] + (1 << 20)
