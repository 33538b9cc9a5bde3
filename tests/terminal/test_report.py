"""What is said, and what of it reaches a terminal."""

from __future__ import annotations

import pytest

from filedecryptor.errors import ClusterError, Outcome
from filedecryptor.terminal.console import Console
from filedecryptor.terminal.report import Reporter, reporting


def test_the_names_of_busy_workers_are_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    """They are escaped, a few stand for many, and nobody hears of them who wants errors only."""
    console = Console.of_process("filedecryptor")
    Reporter(console, quiet=True, json=False, many=True).say_silence(60.4, ["tcp://a:1"])
    report = Reporter(console, quiet=False, json=False, many=True)
    report.say_silence(60.4, [])
    report.say_silence(60.4, ["tcp://\x1b[2J:1", *(f"tcp://b:{number}" for number in range(9))])
    named = ", ".join(f"tcp://b:{number}" for number in range(7))
    assert capsys.readouterr().err.splitlines() == [
        "filedecryptor: nothing has ended for 60 s; busy: no worker",
        f"filedecryptor: nothing has ended for 60 s; busy: tcp://\\x1b[2J:1, {named}, and 2 more",
    ]


@pytest.mark.parametrize(
    "end", [ClusterError("gone"), KeyboardInterrupt(), MemoryError(), OSError(28, "full")]
)
def test_whatever_ends_the_work_the_summary_is_printed(
    capsys: pytest.CaptureFixture[str], end: BaseException
) -> None:
    """Once, and not without any outcome."""
    outcome = Outcome("a.enc", None, None, None, "verified")
    for outcomes in ([], [outcome, outcome]):
        with (
            pytest.raises(type(end)),
            reporting(
                Console.of_process("filedecryptor"), quiet=False, json=False, many=True
            ) as report,
        ):
            for one in outcomes:
                report.add(one)
            raise end
        lines = capsys.readouterr().err.splitlines()
        assert [line.partition(" in ")[0] for line in lines] == (
            ["filedecryptor: 2 verified"] if outcomes else []
        )
