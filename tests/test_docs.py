"""The documentation is true as far as a test can tell: commands parse, code compiles, links and figures hold."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

from micronas_tf.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = tuple(
    sorted(
        path
        for pattern in ("*.md", "docs/**/*.md", "data/*.md", "firmware_pio/*.md", "benchmarks/*.md", "examples/**/*.md")
        for path in ROOT.glob(pattern)
    )
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(micronas-tf [a-z-]+ [^`]*)`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def blocks(*languages: str) -> Iterator[tuple[str, str]]:
    """(page, text) of every fenced block in one of these languages."""
    for page in PAGES:
        for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
            if language in languages:
                yield str(page.relative_to(ROOT)), text


def commands() -> list[tuple[str, str]]:
    """(page, command) of every `micronas-tf` line in a shell block, and of inline commands with arguments."""
    found = []
    for page, text in blocks("sh", "console", "bash"):
        lines = text.replace("\\\n", " ").splitlines()
        found += [
            (page, line.removeprefix("$ ")) for line in lines if line.removeprefix("$ ").startswith("micronas-tf")
        ]
    for path in PAGES:
        prose = FENCE.sub("", path.read_text(encoding="utf-8"))
        # `search [SOURCE]` says what may be given.
        found += [(str(path.relative_to(ROOT)), re.sub(r"[\[\]…]", "", line)) for line in INLINE.findall(prose)]
    return found


@pytest.mark.parametrize(("page", "command"), commands())
def test_commands_parse(page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command, comments=True)[1:]
    for word in words:
        # Files and runs that a command reads must exist for their arguments to parse.
        if not word.startswith("-"):
            Path(word).parent.mkdir(parents=True, exist_ok=True)
            if word == "RUN" or word.startswith("runs/"):
                Path(word).mkdir(exist_ok=True)
            else:
                Path(word).touch()
    with suppress(click.exceptions.Exit), main.make_context("micronas-tf", list(words)) as group:
        name, chosen, rest = main.resolve_command(group, words)
        assert chosen is not None
        chosen.make_context(name, rest, parent=group)


def test_runs_that_the_pages_use_are_made_by_them() -> None:
    """By a search in `docs/getting-started.md`; `runs/own_csv` by its example."""
    made = {"runs/own_csv"}
    for page, command in commands():
        words = shlex.split(command, comments=True)
        if page == "docs/getting-started.md" and words[1] == "search" and "--out" in words:
            made.add(words[words.index("--out") + 1])
    used = {
        run
        for page in PAGES
        for run in re.findall(r"(?<![\w/])runs/[\w-]+", page.read_text(encoding="utf-8"))
        if page.name != "CHANGELOG.md"
    }
    assert used == made


def test_the_reference_of_the_commands_is_current() -> None:
    """Made again from the commands; `python docs/cli.py` writes it."""
    spec = importlib.util.spec_from_file_location("docs_cli", ROOT / "docs" / "cli.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.PAGE == ROOT / "docs" / "cli.md"
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == maker.reference()


def test_there_are_commands_and_code_to_check() -> None:
    assert len(commands()) > 10
    assert len(list(blocks("python"))) > 4


@pytest.mark.parametrize(("page", "code"), list(blocks("python")))
def test_python_compiles_and_its_imports_resolve(page: str, code: str) -> None:
    for node in ast.walk(ast.parse(code, filename=page)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} is missing"
        assert not anchor or anchor in anchors(file), f"{target} has no such heading"


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", sorted((ROOT / "data" / "latency").glob("*.json")), ids=lambda path: path.stem)
def test_the_readme_states_the_errors_of_the_latency_models(path: Path) -> None:
    model = json.loads(path.read_text(encoding="utf-8"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    # One table for each runtime; that of the bundle, the second, has no column for the clock.
    board, runtime = path.stem.split(".")
    rows = [line for line in text.splitlines() if line.startswith(f"| `{board}`")]
    row, first = (rows[0], 3) if runtime == "tflm" else (rows[-1], 2)
    kinds = model["operators"]
    conv = kinds["conv2d"]
    stated = [str(conv["rows"]), percent(conv["check"]["mean_error"]), percent(conv["check"]["p95_error"])]
    stated += [percent(kinds[kind]["check"]["mean_error"]) for kind in ("add", "mean", "softmax")]
    assert [cell.strip() for cell in row.split("|")][first:-1] == stated
    assert f"{model['operation_count']['mean_error'] * 100:.1f} %" in text


def percent(share: float) -> str:
    return f"{share * 100:.2f} %"


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        (
            "characterize",
            ["BOARD=qemu_cortex_m4"],
            {"board": "qemu_cortex_m4", "window": 128, "sensors": 9, "classes": 6},
        ),
        ("demo", [], {"latency_ms": 50.0, "memory_kb": 32.0, "source": None}),
    ],
)
def test_targets_of_make_run_what_the_pages_say(target: str, options: list[str], told: dict[str, object]) -> None:
    """The last line of the recipe, read as the command reads it."""
    if shutil.which("make") is None:
        pytest.skip("make is not on PATH")
    done = subprocess.run(["make", "-n", target, *options], cwd=ROOT, capture_output=True, text=True, check=True)
    words = shlex.split(done.stdout.strip().splitlines()[-1])
    assert Path(words[0]).name == "micronas-tf"
    with main.make_context("micronas-tf", words[1:]) as group:
        _, command, rest = main.resolve_command(group, words[1:])
        assert command is not None
        params = command.make_context(words[1], rest, parent=group).params
    assert {name: params[name] for name in told} == told
