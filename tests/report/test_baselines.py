"""Other runs in a run's report: where their points stand, what is kept of them, what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result
from matplotlib.axes import Axes

from micronas_tf.cli import main
from micronas_tf.errors import RunError
from micronas_tf.report import write_report
from micronas_tf.report.baselines import limits_text
from micronas_tf.report.figures import pareto_drawing
from micronas_tf.report.run import read_run
from micronas_tf.run_directory import RunDirectory, read_json, write_json

from .sample import pareto, write_baseline, write_run
from .test_report import Page


def metrics_of(folder: Path) -> dict[str, Any]:
    return dict(read_json(RunDirectory(folder).metrics))


def drawn(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """(x, y) of every point of the figure, by its name in the legend."""
    return {str(line.get_label()): [(x, y) for x, y in np.asarray(line.get_xydata()).tolist()] for line in axes.lines}


def points(folder: Path, narrow: bool = False) -> tuple[str, dict[str, list[tuple[float, float]]]]:
    """What the figure of a run shows: the label of its x axis, and (x, y) of the points by their name in the legend."""
    run = read_run(folder)
    (axes,) = pareto_drawing(run.pareto, run.answer, run.baselines, run.metrics["budget"]).draw(narrow).axes
    shown = {label: places for label, places in drawn(axes).items() if not label.startswith("_")}
    return axes.get_xlabel(), shown


def report(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def test_each_run_is_a_point_named_by_strategy_and_budget(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    budget = {"latency_ms": 20.0, "memory_bytes": None, "flash_bytes": 65536, "memory_figure": "arena"}
    others = [
        write_baseline(tmp_path / "a", "random", 1),
        write_baseline(tmp_path / "b", "random", 2),
        write_baseline(tmp_path / "c", "darts-softmax", budget=budget),
        write_baseline(tmp_path / "d", None),
    ]
    done = report(tmp_path / "run", *(word for other in others for word in ("--baseline", other)))
    assert done.exit_code == 0, done.output
    where = [
        (found["latency_ms"]["value"], 100 * found["int8"]["accuracy"])
        for found in map(metrics_of, [tmp_path / "run", *others])
    ]
    axis, shown = points(tmp_path / "run")
    assert axis == "latency, ms"
    assert shown == {
        "this run: search · 50 ms, 32 KB": where[:1],
        "random · 50 ms, 32 KB": where[1:3],
        "DARTS softmax · 20 ms, 64 KB flash": where[3:4],
        "search · 50 ms, 32 KB": where[4:],
    }
    assert points(tmp_path / "run", narrow=True) == (axis, shown)
    page = Page((tmp_path / "run" / "report.html").read_text())
    assert "pareto" in page.figures
    svg = ElementTree.fromstring((tmp_path / "run" / "figures" / "pareto.svg").read_text())
    assert set(shown) <= {element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")}
    own, other = metrics_of(tmp_path / "run"), metrics_of(tmp_path / "c")
    difference = 100 * (other["int8"]["accuracy"] - own["int8"]["accuracy"])
    assert page.row("c")[1:] == [
        "DARTS softmax · 20 ms, 64 KB flash",
        "1",
        f"{100 * other['int8']['accuracy']:.2f} %",
        f"{difference:+.2f} points".replace("-", "−"),
        f"{other['latency_ms']['value']:.2f} ms",
        f"{other['arena_bytes'] / 1024:.1f} KB",
    ]


@pytest.mark.parametrize(("figure", "name"), [("arena", "arena_bytes"), ("peak", "peak_memory_bytes")])
def test_memory_is_the_axis_where_it_is_all_that_is_limited(figure: str, name: str, tmp_path: Path) -> None:
    write_run(tmp_path / "run", budget={"latency_ms": None, "memory_figure": figure})
    other = write_baseline(tmp_path / "other")
    write_report(tmp_path / "run", baselines=[other])
    axis, shown = points(tmp_path / "run")
    assert axis == {"arena": "arena, KB", "peak": "peak memory, KB"}[figure]
    assert [place[0] for places in shown.values() for place in places] == [
        metrics_of(folder)[name] / 1024 for folder in (tmp_path / "run", other)
    ]


@pytest.mark.parametrize("figure", ["arena", "peak"])
def test_the_trade_off_and_the_others_share_their_axis(figure: str, tmp_path: Path) -> None:
    write_run(tmp_path / "run", budget={"memory_figure": figure})
    other = write_baseline(tmp_path / "other")
    write_json(RunDirectory(tmp_path / "run").pareto, pareto("memory"))
    write_report(tmp_path / "run", baselines=[str(other)])
    _, shown = points(tmp_path / "run")
    name = {"arena": "arena_bytes", "peak": "peak_memory_bytes"}[figure]
    trained = [one for one in pareto("memory")["points"] if one["trained"]]
    assert shown["int8, trained"] == [(one[name] / 1024, 100 * one["int8_accuracy"]) for one in trained]
    assert [place[0] for place in shown["random · 50 ms, 32 KB"]] == [metrics_of(other)[name] / 1024]
    assert not any(label.startswith("this run") for label in shown)


def test_they_are_remembered_until_they_are_forgotten(tmp_path: Path) -> None:
    """The next report, as after a verification, shows them though the other run is gone."""
    run, other = write_run(tmp_path / "run"), write_baseline(tmp_path / "other")
    assert len(run.nodes) > 3
    page = write_report(tmp_path / "run", baselines=[other, tmp_path / "other" / ".." / "other"])
    shown = page.read_bytes()
    (kept,) = read_json(RunDirectory(tmp_path / "run").baselines)["baselines"]
    assert kept["folder"] == "../other"
    shutil.rmtree(other)
    assert write_report(tmp_path / "run").read_bytes() == shown
    assert report(tmp_path / "run").exit_code == 0
    assert page.read_bytes() == shown
    another = write_baseline(tmp_path / "another", "darts-gumbel")
    write_report(tmp_path / "run", baselines=[another])
    assert list(points(tmp_path / "run")[1])[1:] == ["DARTS Gumbel-softmax · 50 ms, 32 KB"]
    assert report(tmp_path / "run", "--no-baselines").exit_code == 0
    assert "pareto" not in Page(page.read_text()).figures
    assert not RunDirectory(tmp_path / "run").baselines.exists()
    assert list((tmp_path / "run" / "figures").glob("pareto.*")) == []


def test_a_trade_off_stays_when_they_are_forgotten(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    write_json(RunDirectory(tmp_path / "run").pareto, pareto())
    write_report(tmp_path / "run", baselines=[write_baseline(tmp_path / "other")])
    write_report(tmp_path / "run", baselines=[])
    assert (tmp_path / "run" / "figures" / "pareto.svg").exists()
    assert set(points(tmp_path / "run")[1]) == {"supernet, not trained", "int8, trained", "knee", "chosen"}


def change(path: Path, *names: str, value: Any) -> None:
    content = place = read_json(path)
    for name in names[:-1]:
        place = place[name]
    place[names[-1]] = value
    write_json(path, content)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda files: change(files.run, "data", "sha256", value="cd" * 32), "SHA-256 cdcdcdcdcdcd"),
        (lambda files: change(files.metrics, "board", value="nicla_sense_me"), "--board nucleo_f446re"),
        (lambda files: change(files.run, "status", value="running"), "micronas-tf search --resume"),
        (lambda files: files.metrics.unlink(), "metrics.json is missing"),
        (lambda files: files.run.unlink(), "run.json is missing"),
        (lambda files: change(files.metrics, "int8", value={}), "damaged or of another version"),
    ],
)
def test_what_cannot_be_compared_is_refused(damage: Callable[[RunDirectory], None], said: str, tmp_path: Path) -> None:
    """And nothing of the run is touched."""
    write_run(tmp_path / "run")
    other = write_baseline(tmp_path / "other")
    damage(RunDirectory(other))
    done = report(tmp_path / "run", "--baseline", other)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (tmp_path / "run" / "report.html").exists()
    assert not RunDirectory(tmp_path / "run").baselines.exists()


def test_a_run_is_no_baseline_of_itself(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    with pytest.raises(RunError, match="the run itself"):
        write_report(tmp_path / "run", baselines=[tmp_path / "run" / ".." / "run"])


def test_options_that_contradict_each_other(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    done = report(tmp_path / "run", "--baseline", write_baseline(tmp_path / "other"), "--no-baselines")
    assert done.exit_code == 2
    assert "Give one of them" in done.stderr


@pytest.mark.parametrize("content", [[], {"schema": 2, "baselines": []}, {"schema": 1, "baselines": [{"folder": "x"}]}])
def test_a_damaged_memory_of_them_says_what_to_do(content: Any, tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    write_json(RunDirectory(tmp_path / "run").baselines, content)
    with pytest.raises(RunError, match=r"--baseline OTHER_RUN`, or delete the file"):
        write_report(tmp_path / "run")
    assert report(tmp_path / "run", "--no-baselines").exit_code == 0
    write_json(RunDirectory(tmp_path / "run").baselines, content)
    assert report(tmp_path / "run", "--baseline", write_baseline(tmp_path / "other")).exit_code == 0


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ((14.45, 11520, None, "peak"), "14.45 ms, 11.25 KB peak"),
        ((None, 32768, 65536, "arena"), "32 KB, 64 KB flash"),
        ((None, None, None, "arena"), "no limit"),
    ],
)
def test_a_budget_in_short(limits: tuple[Any, ...], said: str) -> None:
    names = ("latency_ms", "memory_bytes", "flash_bytes", "memory_figure")
    assert limits_text(dict(zip(names, limits, strict=True))) == said
