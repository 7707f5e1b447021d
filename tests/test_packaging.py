"""The source distribution and the wheel hold the boards, the latency models and the firmware, as real files."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")
FOLDERS = ("src", "data", "firmware_pio")
LEFTOVERS = ("firmware_pio/.pio/build/firmware.elf", "data/boards/__pycache__/x.pyc", "data/boards/.draft.toml.tmp")
PROBE = """
import micronas_tf
from micronas_tf.boards import board_ids, boards_directory, load_board
from micronas_tf.cost import load_operator_model
for board_id in board_ids():
    board = load_board(board_id)
    print(board_id, board.clock_hz > 0, len(load_operator_model(board.emulates or board_id).kinds))
print(micronas_tf.__file__)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the sdist and the wheel made from it; built from a copy, so that the checkout stays clean."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in FOLDERS:
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", ".pio")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignore)
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    for name in LEFTOVERS:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(b"leftover")
    # Neither isolation nor the check of versions, which would need the network.
    command = [sys.executable, "-m", "build", "--no-isolation", "--skip-dependency-check", "--outdir", "dist", "."]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "dist"


def data_files() -> set[str]:
    """Every file of `data/` and `firmware_pio/` that belongs to the package, by its place in the package."""
    return {
        f"micronas_tf/{link}/{path.relative_to(ROOT / folder)}"
        for link, folder in (("data", "data"), ("firmware", "firmware_pio"))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not {"__pycache__", ".pio"} & set(path.parts) and not path.name.startswith(".")
    }


def test_the_wheel_holds_what_the_package_needs_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    assert data_files() <= names
    assert {
        f"micronas_tf/{name}"
        for name in ("py.typed", "cli/__init__.py", "quantize/qat.py", "report/templates/report.html")
    } <= names
    templates = (ROOT / "src/micronas_tf/deploy/templates").iterdir()
    assert {f"micronas_tf/deploy/templates/{path.name}" for path in templates} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") or name.endswith(".dist-info/LICENSE") for name in names)
    packaged = {name for name in names if name.startswith(("micronas_tf/data/", "micronas_tf/firmware/"))}
    assert packaged == data_files()
    assert not [name for name in names if not name.startswith("micronas_tf")]


def test_the_source_distribution_holds_files_not_links(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        members = archive.getmembers()
    assert not [member.name for member in members if member.issym() or member.islnk()]
    names = {member.name.partition("/")[2] for member in members if member.isfile()}
    assert {f"src/{name}" for name in data_files()} <= names
    assert {"LICENSE", "README.md", "setup.cfg", "pyproject.toml"} <= names
    assert not [name for name in names if ".pio/" in name or "__pycache__" in name]


def test_the_wheel_works_outside_the_checkout(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    *boards, place = done.stdout.splitlines()
    assert boards == [f"{path.stem} True 4" for path in sorted((ROOT / "data" / "boards").glob("*.toml"))]
    assert Path(place).is_relative_to(tmp_path)


def test_make_clean_leaves_no_build_output_and_keeps_the_runs(tmp_path: Path) -> None:
    """What git ignores, runs apart; the firmware is built beside its sources where these can be written."""
    if shutil.which("make") is None:
        pytest.skip("make is not on PATH")
    shutil.copy(ROOT / "Makefile", tmp_path)
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.endswith("/")]
    places = {".pio": "firmware_pio/.pio", "__pycache__": "src/__pycache__", "*.egg-info": "src/x.egg-info"}
    for folder in (*(places.get(name, name) for name in ignored), "src", "tests", "benchmarks", "docs", "examples"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"Makefile", "runs", "firmware_pio", "src", "tests", "benchmarks", "docs", "examples"}
