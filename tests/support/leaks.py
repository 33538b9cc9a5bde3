"""Looks for secrets in all that a run leaves: what it printed, files, names of files, exceptions."""

from __future__ import annotations

import json
import os
import traceback
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import quote, quote_plus

from support.folders import contents

# Neither occurs anywhere by chance. Characters that have to be escaped stand in the middle, so
# that each end of a secret is also found alone, where a message has cut it.
ASCII = "zQ7marked\"\\'%& +word9Xk"
NOT_ASCII = "vJ4märkéd☎\"\\'%& 𝄞+wörd8Hq"

DEVELOPER = {"PYTHONDEVMODE": "1", "PYTHONFAULTHANDLER": "1", "PYTHONASYNCIODEBUG": "1"}
"""An environment in which Python says all that it knows, such as which files were not closed."""


@cache
def encodings(secret: str) -> frozenset[bytes]:
    """Return the forms in which a secret might appear, in lower case."""
    shown = {secret, repr(secret)[1:-1], ascii(secret)[1:-1], json.dumps(secret)[1:-1]}
    shown |= {json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret), quote_plus(secret)}
    shown |= {quote(secret, safe=""), repr(secret.encode())[2:-1]}
    # As Python reads the words of a command line where it takes them for ASCII.
    shown.add(ascii(secret.encode().decode("ascii", "surrogateescape"))[1:-1])
    found = {form.encode() for form in shown} | {secret.encode("utf-16-le")}
    for raw in (secret.encode(), secret.encode("utf-16-le")):
        found.add(raw.hex().encode())
        for before in range(3):  # whatever stands before it moves the digits of base64
            digits = b64encode(bytes(before) + raw)
            whole = digits[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
            found |= {whole, whole.translate(bytes.maketrans(b"+/", b"-_"))}
    return frozenset(form.lower() for form in found)


def leaks(text: bytes | str, *secrets: str) -> set[bytes]:
    """Return the forms of the secrets, and of each one's two ends, that a text holds."""
    data = (text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")).lower()
    parts = {part for secret in secrets for part in (secret, secret[:8], secret[-6:])}
    return {form for part in parts for form in encodings(part) if form in data}


def on_disk(folder: Path) -> bytes:
    """Return every name and every content below a folder, in one piece."""
    return b"\n".join(
        os.fsencode(name) + b"\n" + (content if isinstance(content, bytes) else b"%r" % content)
        for name, content in contents(folder).items()
    )


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that it leads to, also what `from None` only hides."""
    waiting: list[BaseException | None] = [error]
    seen: list[BaseException] = []
    while waiting:
        if (found := waiting.pop()) is not None and found not in seen:
            seen.append(found)
            yield found
            waiting += [found.__cause__, found.__context__]


def told(error: BaseException) -> str:
    """Return all that an exception and its chain tell, without the locals of the frames."""
    lines = traceback.format_exception(error)
    for link in chain(error):
        notes = getattr(link, "__notes__", [])
        lines += [str(link), repr(link), repr(link.args), repr(vars(link)), repr(notes)]
    return "\n".join(lines)
