"""What a webhook answers."""

from __future__ import annotations

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from filedecryptor.errors import UsageError
from filedecryptor.vns import recording_fields


def test_recording_fields() -> None:
    """What a webhook answers, validated."""
    assert recording_fields() == {
        "recordCall": True,
        "recordCallFormat": "opus",
        "recordCallPassword": None,
    }
    assert recording_fields("wav", "geheim")["recordCallPassword"] == "geheim"
    for arguments in (("flac",), ("wav", ""), ("wav", "\ud800")):
        with pytest.raises(UsageError):
            recording_fields(*arguments)
