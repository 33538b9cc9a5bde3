"""What the tests of storage share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.store import Store


@pytest.fixture
def store(server: str, tmp_path: Path) -> Store:
    """A store with one recording, `in/a.enc`."""
    from support.store import RECORDING, Store

    store = Store(server, tmp_path)
    store.put("in/a.enc", RECORDING)
    return store
