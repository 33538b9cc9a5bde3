"""Make `fixtures/` anew: speech by espeak-ng, encoded by ffmpeg (both from Debian's packages).

    PYTHONPATH=tests python -m support.make_fixtures

What it makes is committed, so nobody else needs to run it. Salts and nonces are random: the
encrypted files differ from run to run.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import soundfile

from support.encryptor import encrypt
from support.recordings import FIXTURES, PASSWORD, PLAIN

SENTENCE = "Thank you for calling. This call may be recorded. How can I help you today?"
RECORDINGS = {
    "recording_abc123.opus": ["-codec:a", "libopus", "-b:a", "24k"],
    "recording_def456.mp3": ["-ar", "16000", "-b:a", "32k", "-write_xing", "0"],
    "recording_ghi789.wav": ["-ar", "8000", "-codec:a", "pcm_s16le"],
}


def main() -> None:
    """Write each recording plain and encrypted, and the manifest."""
    manifest = []
    with TemporaryDirectory() as folder:
        speech = str(Path(folder, "speech.wav"))
        subprocess.run(["espeak-ng", "-v", "en-us", "-w", speech, SENTENCE], check=True)
        for name, encoding in RECORDINGS.items():
            plain = PLAIN / name
            command = ["ffmpeg", "-v", "error", "-y", "-i", speech, "-ac", "1"]
            tags = ["-id3v2_version", "0", "-bitexact"]
            subprocess.run([*command, *encoding, *tags, plain], check=True)
            audio = plain.read_bytes()
            encrypted = FIXTURES / f"{plain.stem}.enc"
            encrypted.write_bytes(encrypt(audio, PASSWORD))
            manifest.append(
                {
                    "file": encrypted.name,
                    "password": PASSWORD,
                    "format": plain.suffix[1:],
                    "seconds": round(soundfile.info(plain).duration, 2),
                    "size": len(audio),
                    "sha256": hashlib.sha256(audio).hexdigest(),
                }
            )
    (FIXTURES / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
