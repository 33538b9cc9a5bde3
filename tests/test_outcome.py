"""What became of a recording."""

from __future__ import annotations

import pickle

import pytest

from filedecryptor.errors import UsageError, failed


def test_a_failure_forgets_where_it_was_raised() -> None:
    """The frames there hold the password, and buffers."""
    error = UsageError("x")
    with pytest.raises(UsageError):
        raise error from KeyError("secret")
    assert error.__traceback__ is not None
    assert failed("a.enc", error) == ("a.enc", None, None, None, "failed", error, None, None)
    assert error.__traceback__ is None
    assert error.__cause__ is None
    assert error.__context__ is None


def test_a_failure_can_be_sent_to_another_process() -> None:
    """With all that it says."""
    outcome = failed("a.enc", UsageError("x", hint="y", filename="a.enc"))
    error = pickle.loads(pickle.dumps(outcome)).error  # noqa: S301 - our own
    assert isinstance(error, UsageError)
    assert (error.cause, error.hint, error.filename) == ("x", "y", "a.enc")
