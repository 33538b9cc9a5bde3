"""What a server says where something else was asked for, as one line."""

from __future__ import annotations

import json
import re
from html import unescape

from filedecryptor.errors import in_one_line
from filedecryptor.kinds import text_of

READ = 4096
"""Bytes of a body that are looked at."""

SHOWN = 200
"""Characters that are shown."""

NAMES = ("message", "detail", "error_description", "error", "title", "reason", "errors")
"""Fields in which APIs say what is wrong (RFC 9457, and custom), the wordiest first."""


def words_of(body: bytes, secret: str) -> str:
    """Return what a body says, in one line of bounded length; nothing if it is no text.

    Args:
        body: Its first `READ` bytes.
        secret: What the words must not repeat.
    """
    text = text_of(body) or ""
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        text = re.sub(r"(?is)<(script|style|head)\b.*?(</\1>|$)|<!--.*?-->", " ", _titled(text))
        text = unescape(re.sub(r"<[^>]*>?", " ", text))
    else:
        text = _in_json(text)
    if not text.strip():
        return ""
    line = in_one_line(text.replace(secret, "..."))
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."


def _titled(page: str) -> str:
    """Return a page whose title is out of its head."""
    title = re.search(r"(?is)<title\b[^>]*>(.*?)</title>", page)
    if title is None or not title[1].strip():
        return page
    return f"{title[1]}: {page[: title.start()]}{page[title.end() :]}"


def _in_json(text: str) -> str:
    """Return the message in a JSON text; the text itself if there is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for _ in range(4):
        if isinstance(found, list) and found:
            found = found[0]
        elif isinstance(found, dict):
            named = {name.lower(): value for name, value in found.items()}
            found = next((named[name] for name in NAMES if named.get(name)), None)
        else:
            break
    if isinstance(found, str):
        return found
    return "" if text.strip() in {"{}", "[]", "null"} else text
