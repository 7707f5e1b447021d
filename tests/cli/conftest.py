"""The command line without the user's own tables and folders."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

Invoke = Callable[..., Result]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No run, table or model of the user is read or written; lines are wide enough not to be wrapped."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def invoke() -> Invoke:
    """`invoke("search", "--quiet")`: exit code, standard output and standard error, in this process."""
    from micronas_tf.cli import main  # noqa: PLC0415 - after the environment is set

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return call


@pytest.fixture(scope="session")
def in_a_process() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same in a process of its own: what libraries print below Python is seen too."""

    def call(*arguments: object, timeout: float = 600, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from micronas_tf.cli import main; main()", *map(str, arguments)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env={**os.environ, **environment},
        )

    return call


def assert_refused(result: Result, exit_code: int, *words: str) -> None:
    """One sentence on standard error, the exit code, nothing else."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.count("Error: ") == 1, result.stderr
    for word in words:
        assert word in result.stderr
