"""What a person sees: progress with ETA while a run goes on, and the table at its end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table

from micronas_tf.boards import Budget
from micronas_tf.ops import OpKind

KIB: Final = 1024
_SEARCHED: Final[tuple[OpKind, ...]] = ("conv2d", "add", "mean", "softmax")
"""Operators of search spaces."""

_LINE_EVERY_S: Final = 10.0


def _plain(*, stderr: bool = False) -> Console:
    """A console that prints names as they are: brackets and colons of a path are neither styles nor emoji.

    A line that a program may read, as that of a path, is printed with `soft_wrap`, which breaks none.
    """
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


class ConsoleProgress(AbstractContextManager["ConsoleProgress"]):
    """A `Progress` on standard error: bars on a terminal, a line now and then elsewhere.

    Args:
        budget: limits to show beside the live figures.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.console = _plain(stderr=True)
        self.bars = RichProgress(
            TextColumn("{task.description:<11}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self.console,
        )
        self.tasks: dict[str, Any] = {}
        self.started: dict[str, float] = {}
        self.paced: dict[str, tuple[float, int]] = {}
        self.printed_at = 0.0

    def __enter__(self) -> ConsoleProgress:
        if self.console.is_terminal:
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def __call__(self, stage: str, done: int, total: int, figures: Mapping[str, float]) -> None:
        text = "  ".join(self._figure(name, value) for name, value in figures.items())
        if not self.console.is_terminal:
            self._line(stage, done, total, text)
            return
        if stage not in self.tasks:
            self.tasks[stage] = self.bars.add_task(stage, total=total, figures="")
        self.bars.update(self.tasks[stage], completed=done, total=total, figures=text)

    def say(self, text: str) -> None:
        """One line above the bars."""
        self.console.print(text, soft_wrap=True)

    def _line(self, stage: str, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        first = stage not in self.started
        began = self.started.setdefault(stage, now)
        if done > 0:
            # The first step builds the graph: a rate that counted it would promise hours.
            self.paced.setdefault(stage, (now, done))
        if not first and done < total and now - self.printed_at < _LINE_EVERY_S:
            return
        self.printed_at = now
        paced_at, offset = self.paced.get(stage, (now, done))
        left = (now - paced_at) / (done - offset) * (total - done) if offset < done < total else None
        eta = "" if left is None else f"  ETA {_clock(left)}"
        line = f"{stage} {done}/{total}  {_clock(now - began)}{eta}  {text}".rstrip()
        self.console.print(line, soft_wrap=True)

    def _figure(self, name: str, value: float) -> str:
        if name == "latency_ms":
            return f"latency {value:.1f}{_limit(self.budget.latency_ms, 1)} ms"
        if name == "memory_bytes":
            return f"memory {value / KIB:.1f}{_limit(self.budget.memory_bytes, KIB)} KB"
        return f"{name} {value:.3f}"


def _limit(limit: float | None, unit: int) -> str:
    return "" if limit is None else f"/{limit / unit:g}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def show_summary(metrics: Mapping[str, Any], directory: Path) -> None:
    """The table at the end of a search: budget, predicted, verified; accuracy; files. On standard output."""
    console = _plain()
    budget, latency = metrics["budget"], metrics["latency_ms"]
    table = Table(title=f"{metrics['board']} · {latency['source']}")
    for column, justify in (("", "left"), ("budget", "right"), ("predicted", "right"), ("verified", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    margin = f" ± {latency['rel_error']:.1%}" if latency["rel_error"] else ""
    table.add_row("latency", _ms(budget["latency_ms"]), f"{_ms(latency['value'])}{margin}", "–")
    found = metrics["verification"]
    head = f"plan of {found['planned_head_bytes']:,} B {'exact' if metrics['verified'] else 'NOT CONFIRMED'} in TFLM"
    for figure, name in (("arena", "arena_bytes"), ("peak", "peak_memory_bytes")):
        limit = budget["memory_bytes"] if budget["memory_figure"] == figure else None
        table.add_row(f"{figure} memory", _bytes(limit), _bytes(metrics[name]), head if figure == "arena" else "–")
    flash = _bytes(metrics["flatbuffer_bytes"])
    table.add_row("flash", _bytes(budget["flash_bytes"]), _bytes(metrics["flash_bytes"]), flash)
    console.print(table)
    scores = Table(title=f"test split, {found['windows']} windows")
    for column in ("", "accuracy", "macro-F1"):
        scores.add_column(column, justify="left" if not column else "right")
    scores.add_row("float", *(f"{metrics['float'][name]:.2%}" for name in ("accuracy", "macro_f1")))
    bits = "bit-equal in TFLM and LiteRT" if found["bit_equal"] else "TFLM and LiteRT DIFFER"
    scores.add_row(f"int8 ({bits})", *(f"{metrics['int8'][name]:.2%}" for name in ("accuracy", "macro_f1")))
    console.print(scores)
    if "time" in metrics:
        console.print(_time(metrics["time"]), soft_wrap=True)
    for name in ("report.html", "model.keras", "model.tflite", "standardisation.json", "metrics.json", "bundle"):
        console.print(str(directory / name), soft_wrap=True)


def _time(time: Mapping[str, Any]) -> str:
    """How the time budget was spent, and what it cost."""
    steps = ", ".join(
        f"{stage} {taken} of {recipe}" + ("" if stage == "trials" else " steps")
        for stage, (taken, recipe) in time["steps"].items()
    )
    used = f"time budget {_clock(time['budget_s'])}, used {_clock(time['used_s'])}"
    return f"{used}: {steps}" if steps else used


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} ms"


def _bytes(value: int | None) -> str:
    return "–" if value is None else f"{value / KIB:.1f} KB"


def show_front(front: Mapping[str, Any]) -> None:
    """The table of `--pareto`: the trained models by their cost. On standard output."""
    console = _plain()
    table = Table(title=f"{front['axis']} against accuracy")
    for column in ("limit", "latency", "arena", "flash", "int8", "supernet", ""):
        table.add_column(column, justify="right" if column else "left")
    unit = _ms if front["axis"] == "latency" else _bytes
    for point in front["points"]:
        if not point["trained"]:
            continue
        marks = [mark for name, mark in (("chosen", "answer to the budget"), ("knee", "knee")) if point[name]]
        costs = (_ms(point["latency_ms"]), _bytes(point["arena_bytes"]), _bytes(point["flash_bytes"]))
        scores = (f"{point['int8_accuracy']:.2%}", f"{point['supernet_accuracy']:.2%}")
        table.add_row(unit(point["limit"]), *costs, *scores, ", ".join(marks))
    console.print(table)
    left_out = sum(point["folder"] is not None and not point["trained"] for point in front["points"])
    if left_out:
        console.print(
            f"{left_out} more had no time: micronas-tf search --resume, with a larger --time-budget, trains them.",
            soft_wrap=True,
        )


def show_estimate(figures: Mapping[str, Any]) -> None:
    """The table of `estimate`: cycles, milliseconds and share of each operator, and the totals."""
    console = _plain()
    latency = figures["latency_ms"]
    table = Table(title=f"{figures['model']} on {figures['board']}")
    for column in ("layer", "operator", "cycles", "ms", "share", "error", ""):
        right = column in ("cycles", "ms", "share", "error")
        table.add_column(column, justify="right" if right else "left", overflow="fold", no_wrap=right)
    sources = list(dict.fromkeys(item["source"] for item in figures["operators"]))
    for item in figures["operators"]:
        cells = (
            f"{item['cycles']:,.0f}",
            f"{item['latency_ms']:.3f}",
            f"{item['share']:.1%}",
            f"{item['rel_error']:.1%}",
        )
        table.add_row(item["name"], item["op"], *cells, f"[{sources.index(item['source']) + 1}]")
    console.print(table)
    for number, source in enumerate(sources, 1):
        console.print(f"[{number}] {source}", soft_wrap=True)
    console.print(
        f"latency {latency['value']:.2f} ms ± {latency['rel_error']:.1%} "
        f"(with {figures['overhead_cycles']:,} cycles of interpreter), arena {_bytes(figures['arena_bytes'])}, "
        f"peak memory {_bytes(figures['peak_memory_bytes'])}, flash {_bytes(figures['flash_bytes'])}, "
        f"{figures['macs']:,} MACs",
        soft_wrap=True,
    )


def show_fit(model: Mapping[str, Any], path: Path) -> None:
    """The table of `fit-latency`: rows, and the error on rows that the fit did not see."""
    console = _plain()
    table = Table(title=f"{model['board']} · {model['runtime']} · {model['provenance']}")
    for column in ("operator", "rows", "checked by", "R²", "mean error", "95th percentile"):
        table.add_column(column, justify="left" if column in ("operator", "checked by") else "right")
    for kind, item in model["operators"].items():
        check = item["check"]
        r2 = "–" if check["r2"] is None else f"{check['r2']:.5f}"
        errors = (f"{check['mean_error']:.2%}", f"{check['p95_error']:.2%}")
        table.add_row(kind, str(item["rows"]), check["method"], r2, *errors)
    console.print(table)
    if left := [kind for kind in _SEARCHED if kind not in model["operators"]]:
        console.print(
            f"Fewer than two rows, so no model: {', '.join(left)}. A search takes their latency from your table or the "
            "model that ships, or stops where neither knows it.",
            soft_wrap=True,
        )
    count = model["operation_count"]
    console.print(f"For comparison, MACs × {count['cycles_per_mac']:.2f}: mean error {count['mean_error']:.1%}")
    console.print(str(path), soft_wrap=True)
