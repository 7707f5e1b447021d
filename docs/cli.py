"""Writes docs/cli.md, the reference of every command, from the commands themselves.

Run it after a change of an option: `python docs/cli.py`. `tests/test_docs.py` says when it is due.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from micronas_tf.cli import main

PAGE = Path(__file__).with_name("cli.md")
INTRODUCTION = """# Commands

`micronas-tf COMMAND --help` says the same. Made by `python docs/cli.py`; do not edit it by hand.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(section(name, command) for name, command in commands(main, "micronas-tf"))])


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its full name, in alphabetical order."""
    for name in sorted(group.commands):
        command = group.commands[name]
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def section(name: str, command: click.Command) -> str:
    arguments = [argument_text(p) for p in command.params if isinstance(p, click.Argument)]
    options = [p for p in command.params if isinstance(p, click.Option)]
    usage = " ".join([name, *arguments, *(["[OPTIONS]"] if options else [])])
    lines = [f"## {name}", "", f"```text\n{usage}\n```", "", text(command), ""]
    if options:
        lines += ["| option | |", "|---|---|", *map(row, options), ""]
    return "\n".join(lines)


def argument_text(argument: click.Argument) -> str:
    name = argument.human_readable_name.upper()
    return name if argument.required else f"[{name}]"


def text(command: click.Command) -> str:
    """The description; click's marks for lines that are not to be wrapped are left out."""
    return inspect.cleandoc(command.help or "").replace("\b\n", "")


def row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    kind = "" if option.is_flag else f" {value_of(option)}"
    help_text = (option.help or "").replace("|", "\\|")
    default = f" [default: {option.default}]" if option.show_default and option.default is not None else ""
    needed = " [required]" if option.required else ""
    return f"| {names}{kind} | {help_text}{default}{needed} |"


def value_of(option: click.Option) -> str:
    """What the option takes: its choices, or the name of its type."""
    if isinstance(option.type, click.Choice):
        return " \\| ".join(map(str, option.type.choices))
    return option.metavar or option.type.name.split()[0].upper()


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
