"""What folders hold, and that it does not change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def contents(folder: Path) -> dict[str, bytes | str | None]:
    """Return every name below a folder with what it holds."""
    found: dict[str, bytes | str | None] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            mode = path.stat().st_mode
            path.chmod(mode | 0o400)
            found[name] = path.read_bytes()
            path.chmod(mode)
        else:
            found[name] = None
    return found


@contextmanager
def nothing_changes(folder: Path) -> Iterator[None]:
    """Check that the folder is afterwards as it was before, whatever happens inside."""
    before = contents(folder)
    yield
    assert contents(folder) == before
