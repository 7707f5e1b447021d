"""Run directories: where files lie, who may claim one, and JSON files that are whole or refused."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from micronas_tf.errors import RunError
from micronas_tf.run_directory import RunDirectory, command, read_json, resume_command, write_json


def test_files_lie_where_the_design_says() -> None:
    """DESIGN, section 8."""
    run = RunDirectory(Path("runs/one"))
    found = {
        path.relative_to("runs/one").as_posix()
        for path in (
            run.run,
            run.search,
            run.probabilities,
            run.candidates,
            run.architecture,
            run.network,
            run.standardisation,
            run.model,
            run.saved_model,
            run.flatbuffer,
            run.metrics,
        )
    }
    assert found == {
        "run.json",
        "search",
        "search/probabilities.json",
        "search/candidates.json",
        "architecture.json",
        "network.json",
        "standardisation.json",
        "model.keras",
        "saved_model",
        "model.tflite",
        "metrics.json",
    }


@pytest.mark.parametrize("existing", [False, True])
def test_a_new_or_empty_folder_is_claimed(tmp_path: Path, existing: bool) -> None:
    run = RunDirectory(tmp_path / "deep" / "one")
    if existing:
        run.path.mkdir(parents=True)
    run.claim()
    assert run.search.is_dir()


def test_a_folder_of_a_run_that_was_killed_before_it_wrote_anything_is_claimed(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "one")
    run.claim()
    run.claim()
    (run.search / "checkpoint.npz").write_text("")
    with pytest.raises(RunError, match="is not empty"):
        run.claim()


def test_a_folder_with_a_run_is_refused(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    write_json(run.run, {})
    with pytest.raises(RunError, match=rf"holds a run\. Go on with it by `micronas-tf search --resume {tmp_path}`"):
        run.claim()


def test_a_folder_with_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("")
    with pytest.raises(RunError, match="is not empty"):
        RunDirectory(tmp_path).claim()
    assert [path.name for path in tmp_path.iterdir()] == [".hidden"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a file")
    with pytest.raises(RunError, match=r"Cannot make .* Choose a writable folder by --out"):
        RunDirectory(tmp_path / "one").claim()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RunError, match="Choose a writable folder"):
            RunDirectory(tmp_path / "one").claim()
    finally:
        tmp_path.chmod(0o700)


def test_json_round_trip(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, True], "b": {"c": "Zeit × Kanal"}}
    write_json(tmp_path / "sub" / "file.json", value)
    assert read_json(tmp_path / "sub" / "file.json") == value
    assert (tmp_path / "sub" / "file.json").read_text(encoding="utf-8").endswith("}\n")
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["file.json"]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=rf"run\.json is missing\. Is {tmp_path} the folder of a run"):
        read_json(tmp_path / "run.json")


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe", b"{} {}"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.json").write_bytes(content)
    with pytest.raises(RunError, match=r"metrics\.json cannot be read: .* Delete it and resume the run"):
        read_json(tmp_path / "metrics.json")


def test_a_run_cannot_go_on_without_its_record(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b"{")
    with pytest.raises(RunError, match=r"run\.json cannot be read: [^.]*\. Start a new run\.$"):
        read_json(tmp_path / "run.json")


def test_commands_are_ones_for_a_shell() -> None:
    run = Path("my runs/UCI HAR")
    assert shlex.split(resume_command(run)) == ["micronas-tf", "search", "--resume", str(run)]
    assert shlex.split(command("report", run, "--hop 16")) == ["micronas-tf", "report", str(run), "--hop", "16"]


def test_a_folder_where_a_file_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(RunError, match="cannot be read"):
        read_json(tmp_path / "run.json")
