"""What the options say of choices and defaults, against the settings and recipes that hold them.

The options do not import these, so that `--help` stays fast.
"""

from __future__ import annotations

import inspect
import re
import shlex
from typing import Any, get_args

import click
import pytest

from micronas_tf.api import MicroNAS
from micronas_tf.boards import MemoryFigure
from micronas_tf.cli import main
from micronas_tf.cli.lut import lut
from micronas_tf.cost import Runtime
from micronas_tf.device import REPEATS
from micronas_tf.front import Axis, Pareto
from micronas_tf.report.command import command_of
from micronas_tf.search import Strategy
from micronas_tf.settings import Quantisation, Settings
from micronas_tf.space import SpaceConfig

LEAVES = {name: command for name, command in main.commands.items() if not isinstance(command, click.Group)}
LEAVES |= {f"lut {name}": command for name, command in lut.commands.items()}


def options(name: str) -> list[tuple[str, click.Option]]:
    """(command, option) wherever there is an option of this name."""
    return [
        (command, parameter)
        for command, leaf in LEAVES.items()
        for parameter in leaf.params
        if isinstance(parameter, click.Option) and name in parameter.opts
    ]


@pytest.mark.parametrize(
    ("name", "literal", "count"),
    [
        ("--strategy", Strategy, 1),
        ("--quantize", Quantisation, 1),
        ("--memory-figure", MemoryFigure, 1),
        ("--pareto", Axis, 1),
        ("--runtime", Runtime, 3),
    ],
)
def test_choices_are_those_of_the_settings(name: str, literal: Any, count: int) -> None:
    found = options(name)
    assert len(found) == count
    for _, option in found:
        assert isinstance(option.type, click.Choice)
        assert tuple(option.type.choices) == get_args(literal)


def test_defaults_of_search_are_those_of_python() -> None:
    """Of each option that the interface in Python has, too; None there leaves the choice to the help text."""
    python = inspect.signature(MicroNAS.__init__).parameters
    given = main.commands["search"].make_context("search", []).params
    both = set(given) & set(python)
    assert {"board", "strategy", "quantize", "runtime", "extra_cells", "pareto_points", "latency_source"} <= both
    assert {name: given[name] for name in both} == {name: python[name].default for name in both}


def test_defaults_in_help_texts_are_those_of_the_recipes() -> None:
    """click does not know these: None stands for them."""
    found = options("--extra-cells")
    assert len(found) == 3
    for _, option in found:
        assert re.findall(r"\[default: (\d+)\]", option.help or "") == [str(SpaceConfig().extra_cells)]
    ((_, points),) = options("--pareto-points")
    assert re.findall(r"\[default: (\d+)\]", points.help or "") == [str(Pareto("latency").points)]


def test_defaults_that_stand_in_options() -> None:
    assert [found for found, _ in options("--repeats")] == ["characterize"]
    assert main.commands["characterize"].make_context("characterize", []).params["repeats"] == REPEATS


def test_the_report_leaves_out_the_options_that_are_at_their_defaults() -> None:
    record = {"settings": Settings().to_json(), "source": None, "window": None, "hop": None}
    words = shlex.split(command_of(record).replace("\\\n", " "))
    assert [word for word in words if word.startswith("--")] == ["--board", "--seed"]
