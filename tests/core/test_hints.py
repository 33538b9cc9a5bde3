"""What is said about why a file may not decrypt."""

from __future__ import annotations

import pytest

from filedecryptor.core.secrets import incomplete_hint, password_hint, secret_hint


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


@pytest.mark.parametrize(
    "secret", [b"A=b", b"VNS_API_TOKEN = x", b"export P='x'", b"set P=x", b'$env:P="x"']
)
def test_a_line_that_sets_a_variable(secret: bytes) -> None:
    """In the words of any shell."""
    hint = secret_hint(secret, "the token")
    assert hint
    assert hint.startswith("the token looks like a line that sets a variable")


@pytest.mark.parametrize("secret", [b'"EncryptMe"', b"'x'"])
def test_quotation_marks_are_part_of_it(secret: bytes) -> None:
    """As cmd.exe leaves them in a variable."""
    assert password_hint(secret) == (
        "the password is in quotation marks, which count as part of it"
    )


@pytest.mark.parametrize(
    "secret", [b"EncryptMe", b"SGVsbG8=", b"a==", b"=x", b"1=x", b'"', b"'x\""]
)
def test_what_a_secret_may_well_be(secret: bytes) -> None:
    """Base64, for one."""
    assert secret_hint(secret, "the password") is None
