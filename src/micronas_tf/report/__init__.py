"""`report.html` and its figures, from what a run left in its directory; no TensorFlow, no data, no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import TemplateError

from micronas_tf.errors import RunError
from micronas_tf.files import write_atomically
from micronas_tf.report.baselines import to_json
from micronas_tf.report.drawing import render
from micronas_tf.report.page import drawings, html
from micronas_tf.report.run import read_run
from micronas_tf.report.stream import Stream, keep, remembered
from micronas_tf.run_directory import RunDirectory, resume_command, write_json

__all__ = ["Stream", "write_report"]


def write_report(directory: Path, stream: Stream | None = None, baselines: Sequence[str | Path] | None = None) -> Path:
    """Write `report.html` and `figures/*.svg`, `figures/*.png` of a finished run.

    Args:
        directory: of the run.
        stream: sampling rate and hop in use, where the data do not say. `stream.json` keeps them for the next report;
            what is None there is taken from it.
        baselines: folders of other finished runs on the same data and board, to compare with. `baselines.json` keeps
            their figures for the next report; None: those that it keeps.

    Returns:
        The page's path.

    Raises:
        RunError: no run there, one that is not finished, a damaged file, a folder that cannot be written, or a
            baseline that cannot be compared.
    """
    others = None if baselines is None else [Path(other) for other in baselines]
    run, files = read_run(directory, others), RunDirectory(directory)
    used = (stream or Stream()).completed_by(remembered(directory))
    try:
        figures = [render(drawing) for drawing in drawings(run)]
        page = html(run, figures, used)
    except (KeyError, TypeError, ValueError, TemplateError) as error:
        raise RunError(
            f"A file of the run in {directory} is damaged or of another version: {error!r}. "
            f"`{resume_command(directory)}` writes what is missing."
        ) from error
    for figure in figures:
        write_atomically(files.figures / f"{figure.name}.svg", figure.svg)
        write_atomically(files.figures / f"{figure.name}.png", figure.png)
    if run.baselines:
        write_json(files.baselines, to_json(run.baselines))
    else:
        files.baselines.unlink(missing_ok=True)
        if not run.pareto:  # then the figure was theirs alone
            for path in files.figures.glob("pareto.*"):
                path.unlink()
    keep(directory, used)
    write_atomically(files.report, page)
    return files.report
