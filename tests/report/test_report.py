"""The page says what the files say, in text that no name can break; what cannot be reported is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from tests.fresh_process import modules_after
from tests.test_import import HEAVY

from micronas_tf.cli import main
from micronas_tf.errors import RunError
from micronas_tf.report import Stream, write_report
from micronas_tf.report.answer import answer
from micronas_tf.report.run import read_run
from micronas_tf.report.tips import tips
from micronas_tf.run_directory import RunDirectory, read_json, write_json

from .conftest import HOSTILE, MANY, Written
from .sample import CLASSES, verified_on_board, write_run

ALWAYS = {"confusion", "network", "latency", "arena"}
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Text, tables, figures and ids of a page; closes what it opens, or the test fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.figures: set[str] = set()
        self.images: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        self.links += [str(value) for name, value in attrs if name in ("href", "src", "xlink:href")]
        if tag == "figure":
            self.figures.add(str(found["id"]).removeprefix("figure-"))
        if tag == "svg":
            assert found["role"] == "img"
            self.images.append(str(found["aria-label"]))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            assert tag == "td" or found.get("scope") in ("col", "row")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        # Numbers do not break from their units.
        text = data.replace("\u00a0", " ")
        self.text += text
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += text

    def row(self, start: str) -> list[str]:
        """The cells of the row that begins so."""
        return next(row for row in self.rows if row and row[0].startswith(start))


def test_every_figure_is_there_and_a_file(full: Written) -> None:
    page = Page(full.page)
    assert page.figures == ALWAYS | {"measured", "search", "choices", "trials", "pareto"}
    assert {path.stem for path in full.files.figures.glob("*.svg")} == page.figures
    assert {path.stem for path in full.files.figures.glob("*.png")} == page.figures
    # Each one twice, for wide and narrow pages, with a text for those who do not see it.
    assert len(page.images) == 2 * len(page.figures)
    assert min(map(len, page.images)) > 40
    for path in full.files.figures.iterdir():
        if path.suffix == ".svg":
            ElementTree.fromstring(path.read_text())
        else:
            assert path.read_bytes().startswith(b"\x89PNG")


def test_the_page_is_complete_in_itself(full: Written) -> None:
    page = Page(full.page)
    assert [link for link in page.links if not link.startswith(("#", "data:"))] == []
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert "<script" not in full.page
    assert not re.search(r"@import|url\((?!#)", full.page)


def test_the_answer(full: Written) -> None:
    """Measured on the emulated twin of the board, the latency is 40 ms, whatever was predicted."""
    page, metrics = Page(full.page), read_json(full.files.metrics)
    assert "Fits the budget." in page.text
    assert f"{100 * metrics['int8']['accuracy']:.1f} %" in page.text
    assert "40.00 ms" in page.text
    assert "80 % of 50 ms" in page.text
    assert f"predicted: {metrics['latency_ms']['value']:.2f} ms" in page.text
    assert f"{metrics['arena_bytes'] / 1024:.1f} KB" in page.text
    assert "qemu_cortex_m4, tflm, 200 windows (160 of them of random samples): bit-exact." in page.text


def test_tables_hold_the_files_figures(full: Written) -> None:
    page, details, metrics = Page(full.page), read_json(full.files.details), read_json(full.files.metrics)
    for node, cost in zip(full.network.nodes, details["operators"], strict=True):
        cells = page.row(node.name)
        assert cells[2] == "×".join(map(str, node.op.output))
        assert float(cells[4].removesuffix(" ms")) == pytest.approx(cost["latency_ms"], abs=0.005)
    assert page.row("total")[3] == f"{metrics['macs']:,}"
    assert page.row("int8, post-training")[1:3] == [f"{100 * details['ptq']['accuracy']:.2f} %", "−5.00 points"]
    assert page.row("C bundle, linked: flash")[1] == "30,100"
    assert page.row("TensorFlow Lite Micro: arena")[1] == "23,456"
    assert page.row("latency (tflm)")[1:] == ["40.40 ms", "40.00 ms", "+1.0 %"]
    # 16 of 128 samples at 50 Hz: 320 ms; 40 of them at 40 mA: 5.28 mJ and 5 mA.
    assert page.row("16 (88 % overlap)")[1:] == ["320.0 ms", "12.50 %", "5.28 mJ", "5 mA"]


def test_where_it_comes_from(full: Written) -> None:
    page = Page(full.page)
    assert "ab" * 32 in page.text
    assert "tensorflow 2.21.0" in page.text
    assert "--seed 7" in page.text


def test_names_from_files_are_text(odd: Written) -> None:
    page = Page(odd.page)
    assert "<script" not in odd.page
    assert odd.page.count("&lt;script&gt;") >= 2
    assert "mathtext" not in odd.page
    names = [re.sub(r"^\d+ · ", "", row[0]) for row in page.rows if " · " in row[0]]
    assert sorted(names) == sorted(MANY)
    assert HOSTILE in names
    assert page.row("5 · ")[1:] == ["0", "–", *page.row("5 · ")[3:4], "–", "no test window"]


def test_what_a_run_lacks_is_left_out_or_said(odd: Written) -> None:
    page = Page(odd.page)
    assert page.figures == ALWAYS
    assert "Not measured: nothing has run on a board yet." in page.text
    assert "--rate-hz" in page.text
    assert "Does not fit: " in page.text
    assert "is above 4 KB" in page.text
    assert f"No test window is of “{MANY[4]}”." in page.text


def test_rendering_again_gives_the_same_page(full: Written, tmp_path: Path) -> None:
    """So that a report can be compared and cached."""
    network = write_run(tmp_path)
    first = write_report(tmp_path).read_bytes()
    assert write_report(tmp_path).read_bytes() == first
    assert len(network.nodes) > 3


Change = Callable[[dict[str, Any]], None]


def changed(folder: Path, change: Change, **options: Any) -> Any:
    """A run whose metrics are changed before it is read."""
    write_run(folder, **options)
    metrics = read_json(RunDirectory(folder).metrics)
    change(metrics)
    write_json(RunDirectory(folder).metrics, metrics)
    return read_run(folder)


def as_usual(metrics: dict[str, Any]) -> None:
    """Nothing to complain of: many windows, nearly all right, a budget that is used."""
    metrics["confusions"] = [[500, 1, 0], [0, 400, 1], [0, 0, 500]]
    metrics["float"]["accuracy"] = metrics["int8"]["accuracy"]
    metrics["budget"]["latency_ms"] = 1.02 * metrics["latency_ms"]["value"]


def found(run: Any) -> str:
    return " | ".join(f"{tip.finding} {tip.advice}" for tip in tips(run))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda m: m.update(confusions=[[30, 0, 0], [0, 10, 10], [0, 0, 20]]),
            "“sitting” is found in 50.0 % of its 20",
        ),
        (lambda m: m.update(confusions=[[4, 1, 0], [0, 4, 1], [0, 0, 5]]), "known to about ± 17 points"),
        (lambda m: m["float"].update(accuracy=m["int8"]["accuracy"] + 0.05), "int8 costs 5.0 points"),
        (lambda m: m["budget"].update(latency_ms=1e4, memory_bytes=10**8), "Unused: "),
        (lambda m: m["latency_ms"].update(rel_error=0.23), "known to ± 23.0 % only"),
        (lambda m: m.update(arena_bytes=200 * 1024), "more than the 128.0 KB of RAM"),
    ],
)
def test_tips_follow_from_the_figures(change: Change, said: str, tmp_path: Path) -> None:
    assert said not in found(changed(tmp_path / "usual", as_usual))
    assert said in found(changed(tmp_path / "changed", change))


def test_dear_kinds_of_operators_are_named(tmp_path: Path) -> None:
    """Costs are made up so that one kind takes most of the latency."""
    write_run(tmp_path, widest=True)
    files = RunDirectory(tmp_path)
    details = read_json(files.details)
    for item in details["operators"]:
        item["share"] = 0.3 if item["name"] == "time0/conv" else 0.02 if item["op"].startswith("add") else 0.01
    write_json(files.details, details)
    assert "The first convolution takes 30 % of the latency" in found(read_run(tmp_path))
    assert "Additions take 18 % of the latency" in found(read_run(tmp_path))


def test_a_search_that_ended_undecided_is_told(tmp_path: Path) -> None:
    write_run(tmp_path)
    history = RunDirectory(tmp_path).history
    text = history.read_text().replace("0.4,30000.0", "0.93,30000.0")
    assert "undecided" not in found(read_run(tmp_path))
    history.write_text(text)
    said = found(read_run(tmp_path))
    assert "undecided (indecision 0.93" in said
    assert "Give it more --epochs." in said
    settings = read_json(RunDirectory(tmp_path).run)
    settings["settings"]["time_budget_s"] = 60.0
    write_json(RunDirectory(tmp_path).run, settings)
    assert "Give it more --time-budget." in found(read_run(tmp_path))


def test_who_is_unsure_of_the_latency_measures_what_can_be_measured(tmp_path: Path) -> None:
    """The command is one that `characterize` reads."""
    run = changed(tmp_path, lambda m: m["latency_ms"].update(rel_error=0.23))
    (command,) = re.findall(r"micronas-tf (characterize .*?)\.( \||$)", found(run))
    with main.commands["characterize"].make_context("characterize", command[0].split()[1:]) as context:
        asked = context.params
    assert (asked["board"], asked["runtime"]) == ("nucleo_f446re", "tflm")
    assert (asked["window"], asked["sensors"]) == (run.data["window"], run.data["sensors"])
    assert asked["classes"] == len(run.record["data"]["classes"])
    assert "There is no firmware" in found(replace(run, board=replace(run.board, firmware=False)))


def verdict(folder: Path, **board: Any) -> tuple[bool, str]:
    network = write_run(folder, budget={"latency_ms": 1e4})
    if board:
        write_json(RunDirectory(folder).verify, verified_on_board(network, **board))
    result = answer(read_run(folder))
    return result.kept, result.verdict


def test_verdicts(tmp_path: Path) -> None:
    """What a board says counts for its own board and runtime only; a wrong score counts always."""
    slow = {"predicted": 40.0, "measured": 2e4, "source": "emulated"}
    assert verdict(tmp_path / "a") == (True, "Fits the budget. The latency is predicted, not measured.")
    assert verdict(tmp_path / "b", board="nucleo_f446re", runtime="tflm") == (True, "Fits the budget.")
    emulated = verdict(tmp_path / "b2", runtime="tflm")
    assert emulated == (True, "Fits the budget. The latency was measured on an emulated board.")
    assert verdict(tmp_path / "c", latency_ms=slow) == (False, "Does not fit: latency 20.00 s is above 10000 ms.")
    assert verdict(tmp_path / "d", latency_ms=slow, board="qemu_cortex_m33")[0]
    assert verdict(tmp_path / "e", latency_ms=slow, runtime="bundle")[0]
    difference = {"window": 3, "what": "class", "index": 1, "expected": 5, "received": 6}
    wrong = verdict(tmp_path / "f", bit_exact=False, first_difference=difference)
    assert wrong == (
        False,
        "Not verified. qemu_cortex_m4, tflm, 200 windows (160 of them of random samples): different: window 3, "
        "class 1: expected 5, received 6.",
    )
    high = verdict(tmp_path / "g", arena={"planned_bytes": 9000, "high_water_bytes": 9004})
    assert high == (False, "Not verified. qemu_cortex_m4: high-water mark of the arena 9,004 B, planned 9,000 B.")


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    write_run(tmp_path / "run", rate_hz=None)
    done = CliRunner().invoke(main, ["report", str(tmp_path / "run"), "--rate-hz", "25", "--hop", "16"])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "run" / "report.html")
    assert Page((tmp_path / "run" / "report.html").read_text()).row("16 (75 % overlap)")[1] == "640.0 ms"


def test_a_command_is_there_to_be_copied(tmp_path: Path) -> None:
    """Its spaces stay spaces, where a number and its unit are else kept on one line."""
    write_run(tmp_path / "Study 2 B", rate_hz=None)
    record = RunDirectory(tmp_path / "Study 2 B").run
    write_json(record, {**read_json(record), "source": "/data/walk 10 s.npz"})
    page = write_report(tmp_path / "Study 2 B").read_text()
    for words in ("walk 10 s.npz", "Study 2 B"):
        assert words in page
        assert words.replace(" ", "\u00a0") not in page


def test_rate_and_hop_are_remembered(tmp_path: Path) -> None:
    """`verify` writes the report again, and is told neither."""
    write_run(tmp_path, rate_hz=None)
    report = RunDirectory(tmp_path).report
    write_report(tmp_path, Stream(rate_hz=25.0, hop=16))
    write_report(tmp_path)
    assert Page(report.read_text()).row("16 (75 % overlap)")[1] == "640.0 ms"
    write_report(tmp_path, Stream(rate_hz=50.0))
    assert Page(report.read_text()).row("16 (75 % overlap)")[1] == "320.0 ms"
    write_report(tmp_path, Stream(hop=100))
    assert Page(report.read_text()).row("100 (with gaps)")[1] == "2.00 s"


@pytest.mark.parametrize("content", [[], {"schema": 2}, {"schema": 1, "rate_hz": -1.0}, {"schema": 1, "speed": 3}])
def test_a_damaged_memory_of_the_stream(tmp_path: Path, content: Any) -> None:
    run = tmp_path / "a run"
    write_run(run)
    write_json(RunDirectory(run).stream, content)
    with pytest.raises(RunError, match=r"stream\.json is damaged .*`micronas-tf report '.*/a run' --rate-hz"):
        write_report(run)


def without(content: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != name}


def test_a_bundle_that_was_not_linked(tmp_path: Path) -> None:
    """Most machines have no compiler for the board."""
    write_run(tmp_path)
    files = RunDirectory(tmp_path)
    sizes = {"flash_bytes": None, "ram_bytes": None}
    write_json(files.metrics, {**read_json(files.metrics), "bundle": sizes})
    text = Page(write_report(tmp_path).read_text()).text
    assert "model.tflite" in text
    assert "C bundle, linked" not in text


def break_json(path: Path) -> None:
    path.write_text("{")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda files: files.run.unlink(), "run.json is missing"),
        (lambda files: write_json(files.run, {**read_json(files.run), "status": "running"}), "--resume"),
        (lambda files: files.details.unlink(), "--resume"),
        (lambda files: write_json(files.metrics, without(read_json(files.metrics), "margin")), "another version"),
        (lambda files: break_json(files.metrics), "metrics.json cannot be read"),
        (lambda files: write_json(files.metrics, {"int8": {}}), "--resume"),
        (lambda files: write_json(files.details, {**read_json(files.details), "operators": []}), "--resume"),
        (lambda files: files.history.write_text("epoch,loss\n1,x\n"), "--resume"),
        (lambda files: write_json(files.pareto, {"points": [{}]}), "--resume"),
        (lambda files: write_json(files.verify, {"board": "x"}), "another version"),
    ],
)
def test_what_cannot_be_reported_is_refused(damage: Callable[[RunDirectory], None], said: str, tmp_path: Path) -> None:
    write_run(tmp_path)
    damage(RunDirectory(tmp_path))
    with pytest.raises(RunError, match=re.escape(said)):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_report_needs_no_tensorflow(tmp_path: Path) -> None:
    write_run(tmp_path, classes=CLASSES)
    report = "from pathlib import Path\nfrom micronas_tf.report import write_report\n"
    found = modules_after(f"{report}write_report(Path({str(tmp_path)!r}))", timeout=300)
    assert "matplotlib" in found
    assert found & HEAVY == set()
