"""`report.html` and its figures, from what a run left in its directory; no TensorFlow, no data, no network."""

from __future__ import annotations

from pathlib import Path

from micronas_tf.errors import RunError
from micronas_tf.files import write_atomically
from micronas_tf.report.drawing import render
from micronas_tf.report.page import Stream, drawings, html
from micronas_tf.report.run import read_run
from micronas_tf.run_directory import RunDirectory

__all__ = ["Stream", "write_report"]


def write_report(directory: Path, stream: Stream | None = None) -> Path:
    """Write `report.html` and `figures/*.svg`, `figures/*.png` of a finished run.

    Args:
        directory: of the run.
        stream: sampling rate and hop in use, where the data do not say.

    Returns:
        The page's path.

    Raises:
        RunError: no run there, one that is not finished, a damaged file, or a folder that cannot be written.
    """
    run, files = read_run(directory), RunDirectory(directory)
    try:
        figures = [render(drawing) for drawing in drawings(run)]
        page = html(run, figures, stream or Stream())
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"A file of the run in {directory} is damaged or of another version: {error!r}. "
            f"`micronas-tf search --resume {directory}` writes what is missing."
        ) from error
    for figure in figures:
        write_atomically(files.figures / f"{figure.name}.svg", figure.svg)
        write_atomically(files.figures / f"{figure.name}.png", figure.png)
    write_atomically(files.report, page)
    return files.report
