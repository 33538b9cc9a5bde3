"""What audio may be that is none of the three formats: a guess, for people, by its first bytes."""

from __future__ import annotations

import re

from filedecryptor.kinds import kind_of

_SIGNATURES = (
    (rb"\xff[\xf0\xf1\xf8\xf9][\x00-\xff][\x00-\xff]", "AAC"),
    (rb"ADIF", "AAC"),
    (rb"\x56[\xe0-\xff].{200,}\x56[\xe0-\xff]", "AAC"),
    (rb"fLaC", "FLAC"),
    (rb".{4}ftyp(M4[ABP]|F4A)", "M4A"),
    (rb".{4}ftyp3g", "3GP"),
    (rb".{4}(ftyp|moov|mdat|moof|styp|sidx|uuid|pdin|free|skip|wide|pnot)", "MP4"),
    (rb"\x1a\x45\xdf\xa3.{0,64}webm", "WebM"),
    (rb"\x1a\x45\xdf\xa3", "Matroska"),
    (rb"#!AMR", "AMR"),
    (rb"\x02?#!SILK", "SILK"),
    (rb"OggS.{22,280}\x01vorbis", "Ogg Vorbis"),
    (rb"OggS.{22,280}\x7fFLAC", "FLAC in Ogg"),
    (rb"OggS.{22,280}Speex   ", "Speex"),
    (rb"OggS", "Ogg, but not Opus alone"),
    (rb"\xff[\xe4\xe5\xf4\xf5\xfc\xfd][\x10-\xef][\x00-\xff]", "MP2"),
    (rb"\xff[\xf6\xf7\xfe][\x10-\xef][\x00-\xff]", "MPEG layer I"),
    (rb"RIFF.{4}RMP3", "MP3 in a RIFF container"),
    (rb"(RIFF|RIFX|RF64|BW64).{4}WAVE", "a wav header without audio"),
    (rb"RIFF.{4}AVI ", "AVI"),
    (rb"RIFF|RIFX|RF64|BW64", "another RIFF container"),
    (rb"riff\x2e\x91\xcf\x11", "Wave64"),
    (rb"FORM.{4}AIF[FC]", "AIFF"),
    (rb"FORM|FRM8|DSD ", "another container of samples"),
    (rb"\.snd|dns\.", "Sun audio"),
    (rb"caff\x00", "CAF"),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA"),
    (rb"\.RMF|\.ra\xfd", "RealAudio"),
    (rb"wvpk", "WavPack"),
    (rb"MAC [\x00-\xff]", "Monkey's Audio"),
    (rb"MP\+|MPCK", "Musepack"),
    (rb"TTA[12]", "TTA"),
    (rb"OFR ", "OptimFROG"),
    (rb"ajkg", "Shorten"),
    (rb"\x0b\x77|\x77\x0b", "AC-3"),
    (rb"\x7f\xfe\x80\x01|\xfe\x7f\x01\x80", "DTS"),
    (rb"FLV\x01|[FCZ]WS[\x01-\x40]", "Flash"),
    (rb"NSV[fs]", "NSV"),
    (rb"nut/multimedia container", "NUT"),
    (rb"\x00\x00\x01[\xb3-\xff]", "an MPEG stream"),
    (rb"\x47.{187}\x47.{187}\x47", "an MPEG stream"),
    (rb"\x47.{191}\x47|.{4}\x47.{191}\x47.{191}\x47", "an MPEG stream"),
    (rb"MThd", "MIDI"),
    (rb"Creative Voice File", "VOC"),
    (rb"NIST_1A", "SPHERE"),
    (rb"MSCF\0\0\0\0|!<arch>\n|07070[127]", "an archive"),
)
"""Beginnings, by the documents that define the formats, as regular expressions. The first counts."""


def guess(head: bytes) -> str | None:
    """Return what some audio, or what is in its place, may be; None if nothing shows it.

    Args:
        head: Its first bytes, which are not those of opus, mp3 or wav.
    """
    for pattern, name in _SIGNATURES:
        if re.match(pattern, head, re.DOTALL):
            return name
    return kind_of(head)
