"""The trials of a search: which of them are the search's own, and where their points stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from micronas_tf.report import write_report
from micronas_tf.report.figures import trials_drawing
from micronas_tf.report.run import read_run
from micronas_tf.run_directory import RunDirectory, read_json, write_json

from .sample import TRIED, write_run, write_trials
from .test_baselines import drawn
from .test_report import Page


def tried(folder: Path, strategy: str = "dnas") -> Path:
    write_run(folder)
    write_trials(folder)
    record = read_json(RunDirectory(folder).run)
    record["settings"]["strategy"] = strategy
    write_json(RunDirectory(folder).run, record)
    return folder


def test_what_was_trained_and_what_of_it_the_search_proposed(tmp_path: Path) -> None:
    """One that was trained for a shorter while is not among them."""
    found = read_run(tried(tmp_path)).trials
    assert [(one.accuracy, one.latency_ms) for one in found] == [(accuracy, ms) for accuracy, ms, *_ in TRIED]
    assert [one.rank for one in found] == [1, 2, 3, 4, 5]
    assert [one.proposed for one in found] == [proposed for *_, proposed in TRIED]


def test_random_search_proposes_nothing(tmp_path: Path) -> None:
    tried(tmp_path, "random")
    files = RunDirectory(tmp_path)
    write_json(files.candidates, [{**one, "round": 1, "proposed": False} for one in read_json(files.candidates)[:5]])
    found = read_run(tmp_path).trials
    assert len(found) == 5
    assert not any(one.proposed for one in found)
    drawing = trials_drawing(found, 50.0)
    assert "drawn at random, 91.0 % at 49.00 ms" in drawing.caption
    assert "more probable half" not in drawing.caption
    assert "trained from scratch on a part" in drawing.caption
    assert "that of a training from scratch" in Page(write_report(tmp_path).read_text()).text


@pytest.mark.parametrize("narrow", [False, True])
def test_the_points(narrow: bool, tmp_path: Path) -> None:
    drawing = trials_drawing(read_run(tried(tmp_path)).trials, 50.0)
    (axes,) = drawing.draw(narrow).axes
    shown = drawn(axes)
    places = [(ms, 100 * accuracy) for accuracy, ms, *_ in TRIED]
    assert shown["proposed by the search"] == [places[1], places[2], places[4]]
    assert shown["drawn at random"] == [places[0], places[3]]
    assert shown["chosen"] == [places[0]]
    texts = [text.get_text() for text in axes.texts]
    assert sorted(texts) == ["1", "2", "3", "4", "5", "limit 50"]
    assert "Chosen: one drawn at random, 91.0 % at 49.00 ms." in drawing.caption
    assert "The best proposed by the search: 90.0 % at 31.00 ms." in drawing.caption


def test_without_a_limit_no_line(tmp_path: Path) -> None:
    (axes,) = trials_drawing(read_run(tried(tmp_path)).trials, None).draw(False).axes
    assert not any(text.get_text().startswith("limit") for text in axes.texts)


def test_the_page_says_whose_accuracy_it_is(tmp_path: Path) -> None:
    write_run(tmp_path / "ranked")
    ranked = Page(write_report(tmp_path / "ranked").read_text())
    assert "trials" not in ranked.figures
    assert "The supernet shares its weights" in ranked.text
    trained = Page(write_report(tried(tmp_path / "tried")).read_text())
    assert "trials" in trained.figures
    assert "The supernet shares its weights" not in trained.text
    assert "a training from scratch of so many batches" in trained.text
