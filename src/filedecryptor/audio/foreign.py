"""What bytes are that are neither Opus, MP3 nor WAV: their first ones tell."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from io import BytesIO

from filedecryptor import audio
from filedecryptor.errors import NotEncError

TEXT_SIZE = 512  # bytes without a control character that are a text, whatever its encoding

_LOOK = "look into it, then download the recording again"

_KINDS = {
    "unpack it, and decrypt what is in it": {
        "a gzip archive": rb"\x1f\x8b\x08[\x00-\x1f]....[\x00\x02\x04][\x00-\x0d\xff]",
        "a zip archive": rb"PK\x03\x04[\x0a-\x3f]\x00|PK\x05\x06\x00\x00\x00\x00",
        "a 7z archive": rb"7z\xbc\xaf\x27\x1c",
        "a rar archive": rb"Rar!\x1a\x07",
        "a bzip2 archive": rb"BZh[1-9](1AY&SY|\x17rE8P\x90)",
        "an xz archive": rb"\xfd7zXZ\x00",
        "a zstd archive": rb"\x28\xb5\x2f\xfd",
        "a tar archive": rb".{257}ustar[\x00 ]",
        "an archive": rb"MSCF\0\0\0\0|!<arch>\n|07070[127]|LZIP\x01|\x04\x22\x4d\x18",
    },
    "decrypt it with that program, and then what is in it": {
        "a file that another program encrypted": (
            rb"Salted__|U2FsdGVkX1|age-encryption\.org/|-----BEGIN (AGE ENCRYPTED|PGP MESSAGE)"
            rb"|\x8c\x0d\x04[\x02-\x0d]\x03[\x01-\x0a]|AES[\x00-\x03]\x00|\$ANSIBLE_VAULT;"
        ),
    },
    _LOOK: {
        "a PNG picture": rb"\x89PNG\r\n\x1a\n",
        "a JPEG picture": (
            rb"\xff\xd8\xff([\xe0-\xef\xdb].{2}(JFIF|Exif|ICC_|Adob|http)|\xdb\x00[\x43\x84]\x00)"
        ),
        "a GIF picture": rb"GIF8[79]a",
        "a WebP picture": rb"RIFF.{4}WEBP",
        "a picture": rb"II\*\0|MM\0\*|BM.{4}\0{4}|.{4}ftyp(hei[cx]|mif1|avif)",
        "a PDF document": rb"%PDF-[0-9]",
        "an Office document": rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1|\{\\rtf",
        "a Windows shortcut": rb"L\0\0\0\x01\x14\x02\0",
        "a program": rb"\x7fELF|MZ[\x50\x78\x90]\0|[\xce\xcf]\xfa\xed\xfe",
    },
}
"""Beginnings, by the documents that define the formats, as regular expressions; and what helps."""

_OTHER_AUDIO = {
    "FLAC": rb"fLaC",
    "M4A": rb".{4}ftyp(M4[ABP]|F4A)",
    "AMR": rb"#!AMR",
    "SILK": rb"\x02?#!SILK",
    "Ogg Vorbis": rb"OggS.{22,280}\x01vorbis",
    "Speex": rb"OggS.{22,280}Speex   ",
    "AIFF": rb"FORM.{4}AIF[FC]",
    "WMA": rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
}
_CONTAINERS = {
    "MP4": rb".{4}(ftyp|moov|mdat|moof|styp|sidx|uuid|pdin|free|skip|wide|pnot)",
    "WebM": rb"\x1a\x45\xdf\xa3.{0,64}webm",
    "Matroska": rb"\x1a\x45\xdf\xa3",
    "Ogg, but not Opus alone": rb"OggS",
    "a wav header without audio": rb"(RIFF|RIFX|RF64|BW64).{4}WAVE",
    "another RIFF container": rb"RIFF|RIFX|RF64|BW64",
    "audio of a rarer kind": (
        rb"FORM|FRM8|DSD |caff\x00|riff\x2e\x91\xcf\x11|\.snd|dns\.|\.RMF|\.ra\xfd|wvpk|MAC ."
        rb"|MP\+[\x07\x17\x27]|MPCK|TTA[12]|FLV\x01|[FCZ]WS[\x01-\x40]|NSV[fs]|nut/multimedia container"
    ),
}
"""The same for what may be in the place of audio."""

_BY_CHANCE = {
    "AAC": rb"\xff[\xf0\xf1\xf8\xf9]..|ADIF|\x56[\xe0-\xff].{200,}\x56[\xe0-\xff]",
    "MP2": rb"\xff[\xe4\xe5\xf4\xf5\xfc\xfd][\x10-\xef].",
    "AC-3": rb"\x0b\x77|\x77\x0b",
    "an MPEG stream": (
        rb"\x00\x00\x01[\xb3-\xff]|(\x47.{187}){2}\x47|\x47.{191}\x47|.{4}(\x47.{191}){2}\x47"
    ),
}
"""Those that are so short that a recording, whose first bytes are random, may begin so."""


def kind_of(head: bytes, *, is_authentic: bool = False) -> str | None:
    """Return what begins so, with its article if it has one; None if nothing shows it.

    A recording's first bytes are random: they must not pass for other audio by chance.
    """
    head = head[:4096]
    known = {name: pattern for kinds in _KINDS.values() for name, pattern in kinds.items()}
    if is_authentic:
        known = _OTHER_AUDIO | _CONTAINERS | _BY_CHANCE | known
    if found := _first_of(known, head):
        return found
    if (text := text_of(head)) is None:
        return None
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith(("<!doctype", "<html", "<?xml", "<head", "<body", "<title")):
        return "an HTML or XML page"
    return "a JSON text" if start.startswith(("{", "[")) else "a text"


def _first_of(kinds: dict[str, bytes], head: bytes) -> str | None:
    """Return the first kind whose pattern fits."""
    fitting = (name for name, pattern in kinds.items() if re.match(pattern, head, re.DOTALL))
    return next(fitting, None)


def refusal(head: bytes) -> NotEncError | None:
    """Return the error for what cannot be a recording, by its first bytes; None if it may be one.

    Random bytes, as a recording has them first, are taken for something else once in a million times.
    """
    found = audio.detect_in(BytesIO(head)) or _first_of(_OTHER_AUDIO, head)
    if found or audio.tag_length(head):
        error = NotEncError(
            f"this is {found} audio already" if found else "this is audio already, behind a tag",
            hint="either it is decrypted, or it was recorded without a password; if its name ends in"
            " .enc, rename it",
        )
        error.is_audio = True
        return error
    found = kind_of(head) or _first_of(_CONTAINERS, head)
    if found is None:
        return None
    hint = next((hint for hint, kinds in _KINDS.items() if found in kinds), _LOOK)
    return NotEncError(f"this is {found}, not a recording", hint=hint)


def remark(head: bytes) -> str | None:
    """Return what else may begin so, though a recording may do so by chance; None if nothing."""
    if not head.strip(b"\0"):
        begins = "with nothing but zeros"
    elif found := _first_of(_BY_CHANCE, head):
        begins = f"as {found} does"
    else:
        return None
    return f"it begins {begins}, so it may be no recording"


def text_of(head: bytes) -> str | None:
    """Return the text at the beginning of a file, whose end may be missing; None if it is none."""
    is_marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if is_marked else "utf-8-sig"
    with suppress(UnicodeDecodeError):
        text = codecs.getincrementaldecoder(encoding)().decode(head)
        visible = "".join(text.split()).replace("\ufeff", "").replace("\x1b", "")
        if visible and visible.isprintable():
            return text.removeprefix("\ufeff")
    printable = len(re.findall(rb"[\t\r\n -~]", head))
    is_text = len(head) >= TEXT_SIZE or printable * 4 >= len(head) * 3 > 0
    if is_text and not re.search(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]", head):
        return head.decode("cp1252", "replace")
    return None
