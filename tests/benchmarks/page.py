"""Measure the page of an archive, in Python and in a browser, and print a table.

    python tests/benchmarks/page.py

Each row is an archive: the seconds to make its page, and the page's size; in Chromium, the
milliseconds from opening it to the first rows, and from a key to the frame that shows what it has
found: the median of 20 keys, and the slowest.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Browser, sync_playwright
from support.archives import with_details

from filedecryptor.vns import page
from filedecryptor.vns.records import Record

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
WORDS = ("quill inbound 5", "sales 0142 opus ada")  # typed letter by letter, 20 after the first

TIME_KEYS = """
async (words) => {
  const search = document.querySelector("input");
  const shown = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const taken = [];
  for (const word of words) {
    for (let end = 1; end <= word.length; end += 1) {
      search.value = word.slice(0, end);
      const begun = performance.now();
      search.dispatchEvent(new Event("input"));
      await shown();
      taken.push(performance.now() - begun);
    }
  }
  return taken.slice(0, 20);
}
"""


def main() -> None:
    """Measure archives of three sizes."""
    print(f"{'recordings':>10} {'seconds':>8} {'bytes':>10} {'open, ms':>9} {'key, ms':>8} slowest")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for count in (10, 1_000, 10_000):
            records = [record(number) for number in range(count)]
            seconds = statistics.median(timed(records) for _ in range(5))
            path = Path(folder, page.NAME)
            path.write_bytes(page.rendered([(one, True) for one in records], NOW))
            opened, keys = in_browser(browser, path)
            size = path.stat().st_size
            print(
                f"{count:10,} {seconds:8.3f} {size:10,} {opened:9.0f} "
                f"{statistics.median(keys):8.1f} {max(keys):7.1f}"
            )
        browser.close()


def record(number: int) -> Record:
    """Return a record like those of an account with six agents and three queues."""
    agent = ("Ada Quill", "Ben Osei", "Chloé Marsh", "Dmitri Vale", "Esi Tan", "Farah Noor")
    started = NOW - timedelta(minutes=7 * number)
    found = with_details(
        number,
        startTime=f"{started:%Y-%m-%dT%H:%M:%SZ}",
        caller=f"+1 555 01{number * 37 % 100:02}",
        callee=agent[number % 6],
        direction=("inbound", "outbound")[number % 2],
        queue=("Sales", "Support", "Billing")[number % 3],
    )
    return found._replace(seconds=number * 53 % 3000 + 0.5)


def timed(records: list[Record]) -> float:
    """Return the seconds that making a page takes."""
    begun = time.perf_counter()
    page.rendered([(one, True) for one in records], NOW)
    return time.perf_counter() - begun


def in_browser(browser: Browser, path: Path) -> tuple[float, list[float]]:
    """Return the milliseconds until a page shows its first rows, and after each key."""
    tab = browser.new_page()
    tab.goto(path.as_uri())
    opened = tab.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")
    keys: list[float] = tab.evaluate(TIME_KEYS, WORDS)
    tab.close()
    return opened, keys


if __name__ == "__main__":
    main()
