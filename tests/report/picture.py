"""The picture of a report in the README: `python -m tests.report.picture RUN docs/images/report.png`."""

from __future__ import annotations

import sys
from pathlib import Path

from micronas_tf.files import write_atomically
from micronas_tf.report import write_report

from .browser import Browser, chromium

WIDTH, HEIGHT = 1200, 1230


def take(run: Path, out: Path) -> None:
    """The top of the run's report, written anew, as a wide window shows it."""
    with Browser(chromium()) as browser:
        browser.open(write_report(run), WIDTH, HEIGHT)
        write_atomically(out, browser.screenshot(whole=False))


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
