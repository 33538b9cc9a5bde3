"""Take the picture of an archive's page that the documentation shows, in the Chromium that is here.

python tests/support/make_picture.py
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import wave
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import sync_playwright

from filedecryptor.vns.records import Record
from support.archives import with_details, write_page
from support.clone import ROOT

PICTURE = ROOT / "docs" / "archive.png"
ENOUGH_DATA = 4  # a media element can play, in the words of HTML
PLAYED = 2  # the call that is heard on it, so many calls from the top

# When a call was and how long, who spoke to whom, for which queue, and what its file is. The numbers
# are those for fiction (555-0100 to 555-0199).
CALLS = """
2026-11-30T08:41 374 +1 555 0117|Ada Quill|inbound|Support|opus
2026-11-30T08:12 95 Ben Osei|+1 555 0142|outbound|Sales|opus
2026-11-30T07:55 1288 +1 555 0190|Chloé Marsh|inbound|Billing|opus
2026-11-29T17:20 641 Ada Quill|+1 555 0103|outbound|Support|mp3
2026-11-29T16:02 58 +1 555 0117|Dmitri Vale|inbound|Support|opus
2026-11-29T15:31 2215 +1 555 0168|Esi Tan|inbound|Billing|wav
2026-11-29T13:47 132 Ben Osei|+1 555 0155|outbound|Sales|enc
2026-11-29T11:09 847 +1 555 0121|Chloé Marsh|inbound|Sales|opus
2026-11-29T09:33 266 +1 555 0142|Ben Osei|inbound|Sales|opus
2026-11-28T16:58 3702 Esi Tan|+1 555 0168|outbound|Billing|opus
2026-11-28T14:15 419 +1 555 0186|Ada Quill|inbound|Support|mp3
2026-11-28T10:04 73 Dmitri Vale|+1 555 0109|outbound|Support|opus
"""

BYTES_A_SECOND = {"opus": 3000, "mp3": 4000, "wav": 16_000, "enc": 3000}


def record(number: int, line: str) -> Record:
    """Return the record of a call."""
    time, seconds, rest = line.split(maxsplit=2)
    caller, callee, direction, queue, extension = rest.split("|")
    of_call = {"startTime": f"{time}Z", "caller": caller, "callee": callee}
    found = with_details(number, **of_call, direction=direction, queue=queue)
    guid = f"{(number + 7) * 0x1B3C5D7F & 0xFFFFFFFF:08x}{found.guid[8:]}"
    is_encrypted = extension == "enc"
    return found._replace(
        guid=guid,
        file=f"{guid}.{extension}",
        format=None if is_encrypted else extension,
        size=int(seconds) * BYTES_A_SECOND[extension],
        authenticated=not is_encrypted,
        seconds=None if is_encrypted else int(seconds),
    )


def write_silence(path: Path, seconds: int) -> None:
    """Write a recording so long, of which nothing is heard; a browser sees by itself that it is WAV."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(bytes([128]) * 8000 * seconds)


def main() -> None:
    """Write the page of the calls, open it, and press one button."""
    records = [record(number, line) for number, line in enumerate(CALLS.strip().splitlines())]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = write_page(Path(folder), *records)
        write_silence(path.with_name(records[PLAYED].file), int(records[PLAYED].seconds or 0))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-lcd-text"],  # grey text makes a smaller picture
        )
        page = browser.new_page(viewport={"width": 1200, "height": 533}, color_scheme="light")
        page.goto(path.as_uri())
        page.locator("tbody button").nth(PLAYED).click()
        page.mouse.move(0, 0)
        while page.evaluate("document.querySelector('audio').readyState") < ENOUGH_DATA:
            page.wait_for_timeout(20)
        page.evaluate("document.querySelector('audio').currentTime = 203")
        while page.evaluate("document.querySelector('audio').currentTime") < 203.5:
            page.wait_for_timeout(20)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
