"""From a run to its page: which sections there are, and what the template is given."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from micronas_tf.report.accuracy import Confusions
from micronas_tf.report.answer import answer, measured_ms
from micronas_tf.report.command import command_of
from micronas_tf.report.drawing import Drawing, Rendered
from micronas_tf.report.figures import (
    arena_drawing,
    choices_drawing,
    confusion_drawing,
    latency_drawing,
    measured_drawing,
    network_drawing,
    pareto_drawing,
    search_drawing,
    trials_drawing,
)
from micronas_tf.report.figures.arena import float_head_bytes
from micronas_tf.report.figures.measured import differences
from micronas_tf.report.operators import shape_text
from micronas_tf.report.realtime import Pace, paces
from micronas_tf.report.run import Run
from micronas_tf.report.stream import Stream
from micronas_tf.report.text import kilobytes, milliseconds, percent, signed, thousands
from micronas_tf.report.theme import css_variables
from micronas_tf.report.tips import tips
from micronas_tf.run_directory import command
from micronas_tf.space import SpaceConfig, build_space, live_groups

_UNIT: Final = re.compile(r"(\d) (%|ms|s|KB|B|mJ|mA|points|k|M)(?!\w)")


def drawings(run: Run) -> list[Drawing]:
    """The figures that this run has the values for, in the order of the page."""
    budget = run.metrics["budget"]
    limit = budget["memory_bytes"] if budget["memory_figure"] == "arena" else None
    found = [
        confusion_drawing(run.confusions),
        network_drawing(run.network, run.operators),
        latency_drawing(run.operators, run.overhead_ms, run.metrics["latency_ms"]["value"]),
        arena_drawing(
            run.network, run.operators, run.metrics["latency_ms"]["runtime"], run.metrics["arena_bytes"], limit
        ),
    ]
    if run.measured is not None and differences(run.measured["operators"]):
        found.append(measured_drawing(run.measured))
    if run.history is not None:
        found.append(search_drawing(run.history, budget))
        found.append(choices_drawing(run.history, run.architecture, _live(run)))
    if run.trials:
        found.append(trials_drawing(run.trials, budget["latency_ms"]))
    if run.pareto or run.baselines:
        found.append(pareto_drawing(run.pareto, run.answer, run.baselines, budget))
    return found


def _live(run: Run) -> frozenset[str]:
    """The groups that matter in the chosen architecture."""
    if run.architecture is None:
        return frozenset()
    config = SpaceConfig.from_json(run.settings["space"])
    space = build_space(run.data["window"], run.data["sensors"], len(run.confusions.names), config)
    return live_groups(space, run.architecture)


def html(run: Run, figures: Sequence[Rendered], stream: Stream) -> str:
    """The page, complete in itself."""
    environment = Environment(
        loader=PackageLoader("micronas_tf.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_unbroken,
    )
    environment.filters |= {
        "percent": percent, "ms": milliseconds, "kb": kilobytes, "short": thousands, "shape": shape_text,
        "signed": signed,
    }  # fmt: skip
    return environment.get_template("report.html").render(
        run=run,
        version=version("micronas-tf"),
        answer=answer(run),
        tips=tips(run),
        figures={figure.name: figure for figure in figures},
        scores=_sorted_scores(run.confusions),
        float_head_bytes=float_head_bytes(run.network),
        command=_Verbatim(command_of(run.record)),
        rate_command=_Verbatim(command("report", run.directory, "--rate-hz …")),
        settings=_Verbatim(json.dumps(run.settings, indent=2, ensure_ascii=False)),
        light=Markup(css_variables(dark=False)),
        dark=Markup(css_variables(dark=True)),
        **_real_time(run, stream),
    )


class _Verbatim(str):
    """Text to be copied from the page: `_unbroken` leaves its spaces alone."""

    __slots__ = ()


def _unbroken(value: Any) -> Any:
    """A number and its unit stay on one line."""
    return _UNIT.sub("\\1\u00a0\\2", value) if type(value) is str else value


def _sorted_scores(confusions: Confusions) -> list[Any]:
    """Classes with their number, the weakest first; those without a test window last."""
    numbered = list(enumerate(confusions.scores(), 1))
    return sorted(numbered, key=lambda item: (item[1].recall is None, item[1].recall or 0.0))


def _real_time(run: Run, stream: Stream) -> dict[str, Any]:
    """Rate and hop that are told win over those of the data; a table's default hop is half a window."""
    latency = measured_ms(run) or run.metrics["latency_ms"]["value"]
    rate = stream.rate_hz or run.data["sampling_rate_hz"]
    window, hop = run.data["window"], stream.hop or run.record.get("hop")
    if hop is None and run.record.get("window"):
        hop = max(1, run.record["window"] // 2)
    found: tuple[Pace, ...] = ()
    if rate is not None:
        found = paces(latency, run.board, rate_hz=rate, window=window, hop=hop)
    return {"rate_hz": rate, "paces": found, "inferences_per_second": 1e3 / latency}
