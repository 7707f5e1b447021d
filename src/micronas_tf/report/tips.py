"""Advice that follows from the figures of a run; nothing here holds for every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from micronas_tf.report.answer import measured_ms
from micronas_tf.report.figures.latency import family_shares
from micronas_tf.report.operators import Family
from micronas_tf.report.run import Run
from micronas_tf.report.text import kilobytes, milliseconds, percent
from micronas_tf.space import SpaceConfig, characterize_command

DEAR_FIRST: Final = 0.25
DEAR_ADDS: Final = 0.15
DEAR_INTERPRETER: Final = 0.05
UNUSED: Final = 0.15
INT8_DROP: Final = 0.01
WEAK_RECALL: Final = 0.85
UNDECIDED: Final = 0.5
SHAKY: Final = 0.04
UNSURE_LATENCY: Final = 0.05


@dataclass(frozen=True, slots=True)
class Tip:
    """What was found, and what to do about it."""

    finding: str
    advice: str


def tips(run: Run) -> tuple[Tip, ...]:
    """The tips that this run's figures call for, the weightiest first."""
    return tuple(tip for rule in _RULES if (tip := rule(run)) is not None)


def _over_ram(run: Run) -> Tip | None:
    arena = run.metrics["arena_bytes"]
    if arena <= run.board.ram_bytes:
        return None
    return Tip(
        f"The arena of {kilobytes(arena)} is more than the {kilobytes(run.board.ram_bytes)} of RAM that the board has.",
        "Set a limit by --memory-kb and search again.",
    )


def _missing_class(run: Run) -> Tip | None:
    names = [score.name for score in run.confusions.scores() if not score.windows]
    if not names:
        return None
    return Tip(
        f"No test window is of {_listed(names)}.",
        "The accuracy says nothing about it. Record some for the test part, or split the data otherwise.",
    )


def _weak_class(run: Run) -> Tip | None:
    known = [(score.recall, score) for score in run.confusions.scores() if score.recall is not None]
    recall, score = min(known, key=lambda pair: pair[0])
    if recall >= WEAK_RECALL or score.mistaken_for is None:
        return None
    name, count = score.mistaken_for
    return Tip(
        f"“{score.name}” is found in {percent(recall)} of its {score.windows} windows; {count} are taken for “{name}”.",
        "More recordings of these two, of more people, help most. If the product need not tell them apart, merge them.",
    )


def _few_windows(run: Run) -> Tip | None:
    tested = run.confusions.total
    share = run.confusions.right / tested
    error = (share * (1 - share) / tested) ** 0.5
    if error < SHAKY / 1.96:
        return None
    return Tip(
        f"With {tested} test windows the accuracy is known to about ± {100 * 1.96 * error:.0f} points.",
        "Differences below that are chance. Test on more windows before you decide by them.",
    )


def _int8_drop(run: Run) -> Tip | None:
    drop = run.metrics["float"]["accuracy"] - run.metrics["int8"]["accuracy"]
    if drop < INT8_DROP:
        return None
    way = run.settings["quantisation"]
    if way == "ptq":
        return Tip(f"int8 costs {100 * drop:.1f} points of accuracy.", "Fine-tune under quantisation: --quantize qat.")
    if run.ptq is not None and run.ptq["accuracy"] > run.metrics["int8"]["accuracy"]:
        reached = percent(run.ptq["accuracy"])
        better = f"Post-training quantisation reached {reached} on the same windows: try --quantize ptq."
        return Tip(f"int8 costs {100 * drop:.1f} points of accuracy.", better)
    return Tip(
        f"int8 costs {100 * drop:.1f} points of accuracy, in spite of quantisation-aware training.",
        "Look for channels with rare, very large values: they stretch the input's range.",
    )


def _unused(run: Run) -> Tip | None:
    budget, metrics = run.metrics["budget"], run.metrics
    shares = {
        "latency": (metrics["latency_ms"]["value"], budget["latency_ms"]),
        "memory": (
            metrics["arena_bytes" if budget["memory_figure"] == "arena" else "peak_memory_bytes"],
            budget["memory_bytes"],
        ),
        "flash": (metrics["flatbuffer_bytes"], budget["flash_bytes"]),
    }
    used = {name: value / limit for name, (value, limit) in shares.items() if limit is not None}
    if not used or max(used.values()) > 1 - UNUSED:
        return None
    said = ", ".join(f"{percent(1 - share, 0)} of the {name}" for name, share in used.items())
    return Tip(
        f"Unused: {said}.",
        f"The search found nothing better above this size in the time it had. Search longer ({_time(run)}), or with "
        "another --seed; if it stays so, a slower and cheaper board will do.",
    )


def _share(run: Run, family: Family) -> float:
    """Of the latency, by this kind of operator."""
    return family_shares(run.operators, run.overhead_ms, run.metrics["latency_ms"]["value"]).get(family, 0.0)


def _first_convolution(run: Run) -> Tip | None:
    share = _share(run, "first")
    if share < DEAR_FIRST:
        return None
    first = next(operator for operator in run.operators if operator.family == "first")
    others = [o for o in run.operators if o.family == "conv"]
    rate = first.cycles / first.macs
    rest = sum(o.cycles for o in others) / max(1, sum(o.macs for o in others))
    compared = f", against {rest:.1f} in the other convolutions" if others else ""
    return Tip(
        f"The first convolution takes {percent(share, 0)} of the latency: {rate:.0f} cycles per MAC{compared}.",
        "With one input filter the kernels cannot work in pairs. Half the sampling rate, or fewer channels, halve it.",
    )


def _additions(run: Run) -> Tip | None:
    share = _share(run, "add")
    if share < DEAR_ADDS:
        return None
    return Tip(
        f"Additions take {percent(share, 0)} of the latency without a single MAC.",
        "They join the parallel branches. A tighter --latency-ms makes the search drop branches; the C bundle's "
        "kernels (--runtime bundle) add faster.",
    )


def _interpreter(run: Run) -> Tip | None:
    share = _share(run, "runtime")
    if share < DEAR_INTERPRETER:
        return None
    return Tip(
        f"The interpreter takes {percent(share, 0)} of the latency ({milliseconds(run.overhead_ms)}).",
        "The C bundle calls the kernels directly: --runtime bundle.",
    )


def _uncertain_latency(run: Run) -> Tip | None:
    if measured_ms(run) is not None:
        return None
    error = run.metrics["latency_ms"]["rel_error"]
    if error >= UNSURE_LATENCY:
        return Tip(f"The latency is known to ± {percent(error)} only.", _measuring(run))
    beyond = [operator.node.name for operator in run.operators if "extrapolated" in operator.source]
    if not beyond:
        return None
    found = f"{len(beyond)} operators are outside the sizes that were measured ({_listed(beyond[:3])})."
    return Tip(found, _measuring(run))


def _measuring(run: Run) -> str:
    if not run.board.firmware:
        return f"There is no firmware for {run.board.id} yet: docs/own-board.md says how to bring cycles of your own."
    shape = (run.data["window"], run.data["sensors"], len(run.record["data"]["classes"]))
    config = SpaceConfig.from_json(run.settings["space"])
    command = characterize_command(config, shape, run.settings["board"], run.settings["runtime"])
    what = f"micronas-tf characterize measures them on {run.board.id}" if command is None else command
    return f"Measure the operators of this space: {what}."


def _undecided(run: Run) -> Tip | None:
    if run.history is None or run.history["entropy"].iloc[-1] < UNDECIDED:
        return None
    entropy = run.history["entropy"].iloc[-1]
    return Tip(
        f"The search ended undecided (indecision {entropy:.2f}, where 1 is uniform).",
        f"What it would have preferred is hardly known yet. Give it more {_time(run)}.",
    )


def _time(run: Run) -> str:
    """The option that decides how long the search may take."""
    return "--time-budget" if run.settings.get("time_budget_s") else "--epochs"


def _listed(names: list[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)


_RULES: Final[tuple[Callable[[Run], Tip | None], ...]] = (
    _over_ram,
    _missing_class,
    _few_windows,
    _weak_class,
    _int8_drop,
    _undecided,
    _unused,
    _uncertain_latency,
    _first_convolution,
    _additions,
    _interpreter,
)
