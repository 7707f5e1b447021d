"""The page in headless Chromium: quiet, nothing loaded, every figure seen, nothing wider than the screen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .browser import Browser, chromium
from .conftest import Written

FIGURES = """
[...document.querySelectorAll("figure")].map(figure => {
  const boxes = [...figure.querySelectorAll("svg")].map(svg => svg.getBoundingClientRect());
  const shown = boxes.filter(box => box.width > 0);
  return [figure.id, shown.length, Math.min(...shown.map(box => box.width)), Math.min(...shown.map(box => box.height))];
})
"""
OVERFLOW = """
[...document.querySelectorAll("body *")]
  .filter(e => !e.closest(".scroll table") && !e.closest("svg") && !e.closest(".skip"))
  .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(e => e.tagName + "." + e.className)
"""
SMALLEST = """
Math.min(...[...document.querySelectorAll("figure svg text")].filter(e => e.getBoundingClientRect().width > 0)
  .map(e => parseFloat(getComputedStyle(e).fontSize) * Math.hypot(e.getScreenCTM().a, e.getScreenCTM().b)))
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(chromium()) as started:
        yield started


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("name", ["full", "odd"])
def test_the_page_stands_at_every_width(
    browser: Browser, name: str, width: int, dark: bool, request: pytest.FixtureRequest
) -> None:
    written: Written = request.getfixturevalue(name)
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(written.files.report, width, dark=dark)
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [written.files.report.as_uri()]
    assert browser.value("document.title").startswith("motion on NUCLEO-F446RE")
    assert browser.value("document.documentElement.scrollWidth") == width
    assert browser.value(OVERFLOW) == []
    figures = browser.value(FIGURES)
    assert {figure[0].removeprefix("figure-") for figure in figures} == {
        path.stem for path in written.files.figures.glob("*.svg")
    }
    for _, shown, narrowest, lowest in figures:
        assert shown == 1
        assert narrowest > 0.75 * min(width, 500)
        assert lowest > 50
    # 12 CSS pixels are body text in small print; half of that is the least that a phone's pixels still draw.
    assert browser.value(SMALLEST) > 6


def test_dark_and_light_differ_in_page_and_figures(browser: Browser, full: Written) -> None:
    ink = "getComputedStyle(document.querySelector('figure svg text')).fill"
    page = "getComputedStyle(document.body).backgroundColor"
    seen = []
    for dark in (False, True):
        browser.open(full.files.report, 1280, dark=dark)
        seen.append((browser.value(ink), browser.value(page)))
    assert seen == [("rgb(21, 25, 31)", "rgb(244, 245, 247)"), ("rgb(232, 235, 239)", "rgb(18, 21, 26)")]


def test_it_prints(browser: Browser, full: Written) -> None:
    browser.open(full.files.report, 1280)
    assert browser.pdf().startswith(b"%PDF-")
