"""`micronas-tf boards`"""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from micronas_tf.boards import board_ids, load_board
from micronas_tf.cli.options import json_option


@click.command()
@json_option
def boards(as_json: bool) -> None:
    """List the boards that ship with micronas-tf.

    Your own board is a .toml file with the same fields: give its path to --board (docs/own-board.md).
    """
    found = [load_board(board_id) for board_id in board_ids()]
    if as_json:
        click.echo(json.dumps([asdict(board) for board in found], indent=2))
        return
    for board in found:
        click.echo(
            f"{board.id:<18} {board.name:<24} {board.cpu:<11} {board.clock_hz / 1e6:>4.0f} MHz  "
            f"{board.ram_bytes // 1024:>4} KB RAM  {board.flash_bytes // 1024:>5} KB flash  {board.notes}"
        )
