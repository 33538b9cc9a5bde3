"""The page of an archive in a real browser: what is shown, found, heard, and never run."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="Playwright is not installed")
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from support.archives import WRITTEN, recorded, with_details, write_page
from support.recordings import BY_FORMAT

from filedecryptor.vns import page as archive_page

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
if CHROMIUM is None:
    pytest.skip("Chromium is not installed", allow_module_level=True)

SECONDS = 30  # to wait for what must come; long, as the machine may be busy
AUDIO = "document.querySelector('audio')"

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without a window."""
    expect.set_options(timeout=SECONDS * 1000)
    # As root, which some tests are run as, it starts in no sandbox only.
    arguments = ["--no-sandbox", "--autoplay-policy=user-gesture-required"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


@pytest.fixture
def problems() -> list[str]:
    """What the pages of a test have complained of; it fails if there is anything in the end."""
    return []


@pytest.fixture
def show(browser: Browser, problems: list[str]) -> Iterator[Open]:
    """Return a function that opens a page."""
    contexts = []

    def show(address: Path | str, **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SECONDS * 1000)
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append(dialog.message))
        page.goto(address.as_uri() if isinstance(address, Path) else address)
        # The end of a recording of five seconds may come too soon on a busy machine.
        page.evaluate(f"{AUDIO}.muted = {AUDIO}.loop = true")
        return page

    yield show
    for context in contexts:
        context.close()
    assert not problems


def until(page: Page, expression: str) -> None:
    """Wait until an expression is true in a page, whose policy lets it evaluate none by itself."""
    for _ in range(SECONDS * 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(20)
    raise AssertionError(expression)


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder by HTTP; yield its address, and the list of what has been asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", asked
        server.shutdown()


def cells(page: Page) -> list[list[str]]:
    """Return the texts of all rows, without the cell of the button."""
    rows: list[list[str]] = page.evaluate(
        "[...document.querySelectorAll('tbody tr')].map(row => row.cells.length === 1"
        " ? [row.textContent] : [...row.cells].slice(1).map(cell => cell.textContent))"
    )
    return rows


def column(page: Page, name: str) -> list[str]:
    """Return the texts of a column."""
    names = page.get_by_role("columnheader").all_text_contents()
    place = names.index(name) - 1
    return [row[place] for row in cells(page) if len(row) > 1]


def numbers(page: Page) -> list[int]:
    """Return which recordings are shown, by their numbers, in order."""
    return [int(name[:8]) for name in column(page, "File")]


def buttons(page: Page) -> Locator:
    """Return the buttons that play a recording."""
    return page.locator("tbody button")


def test_the_table(show: Open, tmp_path: Path) -> None:
    """All that is known, the newest first under its day, with names for what is read aloud."""
    first = with_details(1, caller="+1 555 0100", direction="inbound")._replace(seconds=3725.4)
    second = with_details(30, caller="Ada Quill")
    third = recorded(3, entry={})
    page = show(write_page(tmp_path, second, third, first))
    assert page.title() == "Call recordings"
    assert page.get_by_role("columnheader").all_text_contents() == [
        *("Play", "Time (UTC)", "Length", "caller", "direction"),
        *("Format", "Size (kB)", "Authentic", "File"),
    ]
    assert cells(page) == [
        ["Monday, 30 November 2026"],
        ["08:05", "1:02:05", "+1 555 0100", "inbound", "opus", "15", "yes", first.file],
        ["Sunday, 29 November 2026"],
        ["03:05", "", "Ada Quill", "", "opus", "15", "yes", second.file],
        ["Time unknown"],
        ["", "", "", "", "opus", "15", "yes", third.file],
    ]
    expect(page.get_by_role("status").first).to_have_text("3 of 3 recordings")
    table = page.get_by_role("table", name="Recordings as of 2026-11-30 09:05 UTC")
    expect(table).to_have_attribute("aria-rowcount", "7")
    expect(page.get_by_role("rowheader", name="03:05")).to_have_attribute("scope", "row")
    for name in (
        "2026-11-30 08:05, +1 555 0100, inbound",
        "2026-11-29 03:05, Ada Quill",
        third.file,
    ):
        button = page.get_by_role("button", name=f"Play {name}", exact=True, pressed=False)
        expect(button).to_be_visible()


SEARCHES = {
    "quill": [2],
    "  QUILL  ada ": [2],
    "quill 0100": [],
    "29 ada": [2],
    "00000001-0000": [1],
    "encrypted": [3],
    "missing": [4],
    "élan": [1],
    "e\u0301LAN": [1],
    "elan": [1],
    "istanbul": [2],
    "İSTANBUL": [2],
    "a\u200bb": [2],
    "monday": [1, 2, 3, 4],
    "30 November": [1, 2, 3, 4],
    "": [1, 2, 3, 4],
}


def test_search(show: Open, tmp_path: Path) -> None:
    """Every word must be in what is shown, in any order and case."""
    there = [
        with_details(1, caller="+1 555 0100", to="Élan"),
        with_details(2, caller="Ada Quill", day="29", at="İstanbul, a\u200bb"),
        recorded(3, format=None, file=f"{recorded(3).guid}.enc"),
    ]
    page = show(write_page(tmp_path, *there, missing=(recorded(4),)))
    for typed, found in SEARCHES.items():
        page.get_by_role("searchbox").fill(typed)
        assert numbers(page) == found, typed
        expect(page.get_by_role("status").first).to_have_text(f"{len(found)} of 4 recordings")


def test_sorting(show: Open, tmp_path: Path) -> None:
    """A click sorts, another turns it round; numbers are numbers, and what is empty comes last."""
    values = {1: "line 10", 2: "Line 9", 3: "apple", 4: None}
    scores = {1: 2.5, 2: -30, 3: -4, 4: 2.25}
    sizes = {1: 900_000, 2: 10_000_000, 3: 80_000, 4: 1000}
    there = [with_details(n, line=values[n], score=scores[n]) for n in values]
    page = show(
        write_page(tmp_path, *(one._replace(size=sizes[n]) for n, one in enumerate(there, 1)))
    )

    def click(name: str) -> tuple[list[int], str | None]:
        heading = page.get_by_role("columnheader", name=name)
        heading.get_by_role("button").click()
        return numbers(page), heading.get_attribute("aria-sort")

    assert numbers(page) == [1, 2, 3, 4]
    assert click("line") == ([3, 2, 1, 4], "ascending")
    assert cells(page)[0][0] == "2026-11-30 06:05"  # no day stands above it
    assert click("line") == ([1, 2, 3, 4], "descending")
    assert click("score") == ([2, 3, 4, 1], "ascending")
    assert click("Size") == ([4, 3, 1, 2], "ascending")
    assert click("Time") == ([4, 3, 2, 1], "ascending")
    assert cells(page)[0] == ["Monday, 30 November 2026"]
    assert page.locator("[aria-sort]").count() == 1


def test_sorting_what_is_mixed(show: Open, tmp_path: Path) -> None:
    """Numbers come before texts, so that the order is the same whatever it was before."""
    values = ["5x", "20", "1e3", "0x10", "7", "x", "6x"]
    page = show(write_page(tmp_path, *(with_details(n, id=one) for n, one in enumerate(values))))
    for heading in ("id", "Size", "id", "File", "id"):
        page.get_by_role("columnheader", name=heading).get_by_role("button").click()
        if heading == "id":
            assert column(page, "id") == ["7", "0x10", "20", "1e3", "5x", "6x", "x"]


def test_keys(show: Open, tmp_path: Path) -> None:
    """They move, play and search, but not while somebody types or uses what has the focus."""
    page = show(write_page(tmp_path, *map(recorded, range(1, 140))))
    focused = "[...document.querySelectorAll('tr[tabindex]')].indexOf(document.activeElement)"
    press = page.keyboard.press
    press("j")
    press("j")
    assert page.evaluate(focused) == 1
    press("k")
    press("k")
    assert page.evaluate(focused) == 0
    press("Space")
    expect(buttons(page).first).to_have_attribute("aria-pressed", "true")
    press("Space")
    expect(buttons(page).first).to_have_attribute("aria-pressed", "false")
    press("/")
    box = page.get_by_role("searchbox")
    expect(box).to_be_focused()
    page.keyboard.type("j/k 00000002")
    expect(box).to_have_value("j/k 00000002")
    # Not every browser clears the box by itself; none does for an event from a script.
    box.dispatch_event("keydown", {"key": "Escape", "bubbles": True})
    expect(box).to_have_value("")
    expect(page.get_by_role("status").first).to_have_text("139 of 139 recordings")
    press("Tab")
    page.get_by_role("columnheader", name="Length").get_by_role("button").focus()
    press("Space")
    expect(page.locator("[aria-sort]")).to_have_text("Length")
    press("Control+j")
    assert page.evaluate("document.activeElement.textContent") == "Length"
    # So fast that no row could be made by scrolling.
    key = "document.dispatchEvent(new KeyboardEvent('keydown', { key: 'j' }))"
    page.evaluate(f"for (let count = 0; count < 120; count += 1) {key}")
    assert page.evaluate(focused) == 119


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_recordings_play(show: Open, tmp_path: Path, scheme: str) -> None:
    """By a server and without one, of every format; nothing is loaded before."""
    folder = tmp_path / "a #?%é"
    folder.mkdir()
    there = [recorded(number, format=kind) for number, kind in enumerate(BY_FORMAT)]
    there.append(recorded(9, file="2026/11/+1 #?%é&amp;.mp3", format="mp3"))
    path = write_page(folder, *there)
    with serving(folder) as (address, asked):
        page = show(address if scheme == "http" else path)
        expect(buttons(page)).to_have_count(4)
        expect(page.get_by_label("Play 2026-11-30 09:05", exact=True)).to_be_visible()
        assert asked == ["/"] * (scheme == "http")
        expect(page.locator("audio")).to_be_hidden()
        for button in buttons(page).all():
            button.click()
            until(page, f"{AUDIO}.currentTime > 0.1")
            assert page.evaluate(f"{AUDIO}.error") is None
            expect(button).to_have_attribute("aria-pressed", "true")
            expect(page.locator("[aria-pressed=true]")).to_have_count(1)
        expect(page.locator("audio")).to_be_visible()
        assert len(set(asked)) == (5 if scheme == "http" else 0)
        page.context.close()  # which lets go of the server


def test_playing_goes_on(show: Open, tmp_path: Path) -> None:
    """While it is searched and sorted, and after a pause where it was, until it is over."""
    page = show(write_page(tmp_path, recorded(1, format="wav"), recorded(2, format="mp3")))
    buttons(page).first.click()
    until(page, f"{AUDIO}.currentTime > 0.1")
    page.get_by_role("searchbox").fill("mp3")
    expect(buttons(page)).to_have_attribute("aria-pressed", "false")
    page.get_by_role("searchbox").fill("")
    page.get_by_role("columnheader", name="Size").get_by_role("button").click()
    button = buttons(page).last
    expect(button).to_have_attribute("aria-pressed", "true")
    assert not page.evaluate(f"{AUDIO}.paused")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    page.evaluate(f"{AUDIO}.loop = false")
    page.evaluate(f"{AUDIO}.currentTime = 4")
    button.click()
    assert page.evaluate(f"{AUDIO}.currentTime") >= 4
    until(page, f"{AUDIO}.ended")
    expect(button).to_have_attribute("aria-pressed", "false")


def test_what_cannot_be_played(show: Open, tmp_path: Path, problems: list[str]) -> None:
    """Words stand in the place of the button, or say so once it was pressed."""
    there = [
        recorded(1, format=None, file=f"{recorded(1).guid}.enc"),
        recorded(2, format=None, file=f"{recorded(2).guid}.unknown"),
        recorded(3),
        recorded(4),
    ]
    path = write_page(tmp_path, *there, missing=(recorded(5),))
    (tmp_path / there[2].file).write_bytes(b"RIFF....")
    (tmp_path / there[3].file).unlink()
    page = show(path)
    words = page.locator("tbody td:first-child").all_text_contents()
    assert words == ["encrypted", "unknown format", "", "", "missing"]
    expect(page.get_by_role("link")).to_have_count(4)
    for button in buttons(page).all():
        button.click()
        expect(page.locator("#playing")).to_contain_text("cannot be played")
        expect(button).to_have_attribute("aria-pressed", "false")
    problems.clear()


def test_what_fails_late(show: Open, tmp_path: Path, problems: list[str]) -> None:
    """The page says so as well if a recording fails while it plays; it can be tried again."""
    write_page(tmp_path, recorded(1))
    with serving(tmp_path) as (address, _):
        page = show(address)
        button, words = buttons(page).first, page.locator("#playing")
        page.route("**/*.opus", lambda route: route.abort())
        button.click()
        expect(words).to_contain_text("cannot be played")
        page.unroute_all()
        button.click()
        until(page, f"{AUDIO}.currentTime > 0.1")
        expect(words).not_to_contain_text("cannot be played")
        expect(button).to_have_attribute("aria-pressed", "true")
        # Chromium pauses what fails, and tells; Firefox does not.
        page.evaluate(f"Object.defineProperty({AUDIO}, 'error', {{ value: {{ code: 3 }} }})")
        page.evaluate(f"{AUDIO}.dispatchEvent(new Event('error'))")
        expect(words).to_contain_text("cannot be played")
        expect(button).to_have_attribute("aria-pressed", "false")
        page.context.close()
    problems.clear()


HOSTILE: list[object] = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "a\u200bb\0\x1b[31m\u2028",
    "\ud800",
    "x" * 1_000_000,
    float("nan"),
    float("inf"),
    10**400,
    ["<b>"],
    {"__proto__": {"x": "</script>"}},
]
HOSTILE_NAMES = ["__proto__", "constructor", "<b>", "</script><img src=x>", "\u202eevil", ""]
HOSTILE_FILES = ["javascript:alert(3)", "//other.example/a", "<b>", "data:text/html,<b>"]


def test_hostile_entries(show: Open, tmp_path: Path) -> None:
    """They are text: nothing runs, nothing is obeyed, and every other row is there."""
    there = [with_details(n, told=value) for n, value in enumerate(HOSTILE)]
    there += [with_details(20, **dict.fromkeys(HOSTILE_NAMES, 1))]
    there += [recorded(30, entry) for entry in (None, [], "text", 7, HOSTILE)]
    there += [recorded(40, file=f"{name}.opus", format=name) for name in HOSTILE_FILES]
    found = [(one, True) for one in there]
    path = tmp_path / archive_page.NAME
    path.write_bytes(archive_page.rendered(found, WRITTEN))
    page = show(path)
    count = f"{len(there)} of {len(there)} recordings"
    expect(page.get_by_role("status").first).to_have_text(count)
    expect(page.locator("script")).to_have_count(2)
    expect(page.locator("table :is(script, img, b, i)")).to_have_count(0)
    told = column(page, "told")[: len(HOSTILE)]
    assert told[:4] == HOSTILE[:4]
    assert told[4:7] == ["\\u{202e}gnp.exe", "a\\u{200b}b\\u{0}\\u{1b}[31m\\u{2028}", "\\u{d800}"]
    assert told[7] == "x" * 200 + "…"
    headings = page.get_by_role("columnheader").all_text_contents()
    assert {*HOSTILE_NAMES[:4], "\\u{202e}evil", ""} <= {*headings}
    links = page.get_by_role("link").evaluate_all("links => links.map(link => link.href)")
    assert len(links) == len(there)
    assert all(link.startswith(f"{tmp_path.as_uri()}/") for link in links)


def test_ten_thousand(show: Open, tmp_path: Path) -> None:
    """Rows are made as they are needed, and every recording is found."""
    there = [with_details(n, caller=f"caller {n}") for n in range(10_000)]
    path = write_page(tmp_path, missing=tuple(there))
    page = show(path)
    rows = page.locator("tbody tr")
    assert 50 <= rows.count() < 400
    box = page.get_by_role("searchbox")
    box.fill("9999")
    assert numbers(page) == [9999]
    box.fill("")
    for _ in range(3):
        before = rows.count()
        page.evaluate("document.querySelector('main').scrollTop = 1e9")
        expect(rows.nth(before)).to_be_attached()
    expect(page.get_by_role("table")).to_have_attribute("aria-rowcount", str(10_001 + 418))
    box.fill("caller")
    assert page.evaluate("document.querySelector('main').scrollTop") == 0


def test_a_tall_window(show: Open, tmp_path: Path) -> None:
    """There are rows down to its end, though none can be reached by scrolling."""
    there = tuple(map(recorded, range(120)))
    page = show(write_page(tmp_path, missing=there), viewport={"width": 800, "height": 6000})
    expect(page.locator("tr[tabindex]")).to_have_count(120)


def test_a_narrow_screen(show: Open, tmp_path: Path) -> None:
    """Nothing is wider than it, and a finger hits what is to be pressed."""
    long = {"unbroken": "x" * 200} | {f"field {n}": "word " * 30 for n in range(9)}
    page = show(
        write_page(tmp_path, with_details(1, **long)),
        viewport={"width": 320, "height": 640},
        has_touch=True,
        is_mobile=True,
    )
    buttons(page).first.click()
    expect(page.locator("audio")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert page.evaluate("document.documentElement.scrollHeight") == 640
    page.set_viewport_size({"width": 320, "height": 256})  # as 1280 x 1024 are at 400 %
    assert page.evaluate("document.querySelector('main').clientHeight") > 120
    for target in page.locator("button, input, a bdi").all():
        size = target.bounding_box()
        assert size is not None
        assert min(size["width"], size["height"]) >= 44


def test_the_colour_scheme(show: Open, tmp_path: Path) -> None:
    """The page is as light or dark as the reader's system."""
    path = write_page(tmp_path, recorded(1))
    shown = {}
    for scheme in ("light", "dark"):
        page = show(path, color_scheme=scheme)
        colours = page.evaluate(
            "[document.body, document.querySelector('thead th')].map(one => getComputedStyle(one))"
            ".map(style => [style.color, style.backgroundColor])"
        )
        shown[scheme] = colours[0][0], colours[1][1]
    assert shown["light"] == ("rgb(0, 0, 0)", "rgb(255, 255, 255)")
    assert shown["dark"][0] == "rgb(255, 255, 255)"
    assert shown["dark"][1] == "rgb(18, 18, 18)"
