"""What is said about why a file may not decrypt."""

from __future__ import annotations

import pytest

from filedecryptor.hints import incomplete_hint


@pytest.mark.parametrize("size", [None, 0, 1, 4095, 4097, 14_209])
def test_a_length_like_any_other_says_nothing(size: int | None) -> None:
    """Nor does one that is not known."""
    assert incomplete_hint(size, grew=False) is None


@pytest.mark.parametrize("size", [4096, 8192, 1 << 20])
def test_a_whole_number_of_blocks_may_be_half_a_file(size: int) -> None:
    """The password stays a possibility."""
    hint = incomplete_hint(size, grew=False)
    assert hint
    assert "the password may be wrong, or the file incomplete" in hint


@pytest.mark.parametrize("size", [None, 4096, 5000])
def test_a_file_that_grew_is_not_complete(size: int | None) -> None:
    """Whatever its length is."""
    hint = incomplete_hint(size, grew=True)
    assert hint == "the file is still growing: run this again once it is complete"
