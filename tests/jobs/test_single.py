"""One recording in, one audio file out."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.folders import nothing_changes
from support.recordings import AUDIO, FIXTURES, PASSWORD, PLAIN, RECORDINGS, MakeEnc

from filedecryptor import AuthenticationError, UnknownFormatError, UsageError, decrypt_file


@pytest.mark.real_iterations
@pytest.mark.parametrize("entry", RECORDINGS, ids=lambda entry: entry["format"])
def test_decrypted_audio_plays(entry: dict[str, str], tmp_path: Path) -> None:
    """A real decoder reads all of it, and it lasts as long as what was spoken."""
    soundfile = pytest.importorskip("soundfile")
    path = decrypt_file(
        FIXTURES / entry["file"],
        entry["password"],
        "auto",
        output=tmp_path / f"x.{entry['format']}",
    )
    samples, rate = soundfile.read(path)
    assert len(samples) / rate == pytest.approx(float(entry["seconds"]), abs=0.01)
    assert abs(samples).max() > 0.1


def test_decrypt_file_names_the_output_beside_the_input(make_enc: MakeEnc) -> None:
    """As the .NET utility does, and it replaces what is there."""
    source = make_enc("a.enc")
    source.with_suffix(".opus").write_bytes(b"old")
    target = decrypt_file(source, PASSWORD, "opus")
    assert target == source.with_suffix(".opus")
    assert target.read_bytes() == AUDIO


def test_decrypt_file_can_name_the_output_after_its_audio(make_enc: MakeEnc) -> None:
    """The extension `auto` follows the format."""
    wav = (PLAIN / "recording_ghi789.wav").read_bytes()
    assert decrypt_file(make_enc(audio=wav), PASSWORD, "auto").name == "a.wav"


def test_unknown_audio_has_no_automatic_name(make_enc: MakeEnc, tmp_path: Path) -> None:
    """Nothing is written, and the error says what to do."""
    source = make_enc(audio=b"neither of the three" * 100)
    with nothing_changes(tmp_path), pytest.raises(UnknownFormatError) as caught:
        decrypt_file(source, PASSWORD, "auto")
    assert caught.value.filename == str(source)
    assert "instead of 'auto'" in str(caught.value.hint)


def test_an_existing_output_can_be_kept(make_enc: MakeEnc, tmp_path: Path) -> None:
    """`skip` returns it without any work, `fail` raises, also for `auto`."""
    source = make_enc()
    existing = tmp_path / "a.mp3"
    existing.write_bytes(bytes(len(AUDIO)))
    with nothing_changes(tmp_path):
        assert decrypt_file(source, "wrong", "mp3", if_exists="skip") == existing
        assert decrypt_file(source, "wrong", "auto", if_exists="skip") == existing
        with pytest.raises(FileExistsError):
            decrypt_file(source, PASSWORD, "mp3", if_exists="fail")
    assert decrypt_file(source, PASSWORD, "opus", if_exists="fail").read_bytes() == AUDIO


def test_errors_say_which_file(make_enc: MakeEnc) -> None:
    """A traceback in a log is enough to find the recording."""
    source = make_enc()
    with pytest.raises(AuthenticationError) as caught:
        decrypt_file(source, "wrong", "opus")
    assert str(caught.value).startswith(f"{source}: authentication failed")
    with pytest.raises(FileNotFoundError) as missing:
        decrypt_file("nowhere.enc", "x", "opus")
    assert missing.value.filename == "nowhere.enc"
    with pytest.raises(UsageError, match="extension"):
        decrypt_file(source, "x", "a/b")


def test_a_mistyped_if_exists_is_refused(make_enc: MakeEnc, tmp_path: Path) -> None:
    """It must not pass for one of the three."""
    source = make_enc()
    with nothing_changes(tmp_path), pytest.raises(UsageError, match="if_exists"):
        decrypt_file(source, PASSWORD, "opus", if_exists="overwrite")  # type: ignore[arg-type]


def test_one_of_several_passwords_is_right(make_enc: MakeEnc) -> None:
    """They are tried in turn."""
    assert decrypt_file(make_enc("a.enc"), ["wrong", PASSWORD], "opus").read_bytes() == AUDIO
