from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from micronas_tf.datasets import load_dataset
from micronas_tf.errors import DataError

SIGNALS = [f"{sensor}_{axis}" for sensor in ("body_acc", "body_gyro", "total_acc") for axis in "xyz"]
X = {
    part: np.random.default_rng(n).normal(size=(n, 16, 9)).round(4).astype(np.float32)
    for part, n in (("train", 8), ("test", 4))
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small folder laid out like the one from UCI."""
    root = tmp_path / "UCI HAR Dataset"
    for part, x in X.items():
        (root / part / "Inertial Signals").mkdir(parents=True)
        for channel, signal in enumerate(SIGNALS):
            np.savetxt(
                root / part / "Inertial Signals" / f"{signal}_{part}.txt", x[:, :, channel], " %.7e", delimiter=""
            )
        np.savetxt(root / part / f"y_{part}.txt", np.arange(len(x)) % 2 + 1, "%d")
        np.savetxt(root / part / f"subject_{part}.txt", np.arange(len(x)) // 2 + (100 if part == "test" else 1), "%d")
    (root / "activity_labels.txt").write_text("1 WALKING\n2 LAYING\n")
    return root


@pytest.mark.parametrize("around", [False, True])
def test_the_folder_and_the_folder_around_it_are_read(folder: Path, around: bool) -> None:
    dataset = load_dataset(folder.parent if around else folder)
    for part, windows in (("train", dataset.train), ("test", dataset.test)):
        np.testing.assert_array_equal(windows.x, X[part])
        assert windows.y.tolist() == [index % 2 for index in range(len(windows))]
    assert dataset.train.class_names == ("WALKING", "LAYING")
    assert dataset.train.channel_names == tuple(SIGNALS)
    assert dataset.train.sampling_rate_hz == 50.0
    assert dataset.train.triads == ((0, 1, 2), (3, 4, 5), (6, 7, 8))
    assert dataset.train.subject is not None
    assert dataset.train.subject.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("activity_labels.txt", None, ["not the UCI HAR dataset", "activity_labels.txt"]),
        ("activity_labels.txt", "WALKING\n", ["a number and a name"]),
        ("activity_labels.txt", "1 WALKING\n", ["does not name", "[2]"]),
        ("train/y_train.txt", None, ["train/y_train.txt is missing"]),
        ("train/y_train.txt", "", ["train/y_train.txt is empty"]),
        ("train/y_train.txt", "1\n2\n", ["one line per label", "(8, 16) for 2 labels"]),
        ("test/subject_test.txt", "1\nann\n", ["test/subject_test.txt is truncated or not numeric", "'ann'"]),
        ("test/subject_test.txt", "1\n", ["subject is one integer for each of the 4 windows"]),
        ("train/Inertial Signals/body_acc_y_train.txt", "1 2 3\n1 2\n", ["body_acc_y_train.txt is truncated"]),
        ("test/Inertial Signals/total_acc_z_test.txt", "nan " * 16, ["total_acc_z_test.txt has one line per label"]),
        (
            "test/Inertial Signals/total_acc_z_test.txt",
            ("nan " * 16 + "\n") * 4,
            ["test: x holds NaN", "'total_acc_z'"],
        ),
    ],
)
def test_a_damaged_folder_gets_one_clear_sentence(
    folder: Path, file: str, content: str | None, words: list[str]
) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(DataError) as caught:
        load_dataset(folder)
    for word in [str(folder), *words]:
        assert word in str(caught.value)


def test_windows_of_the_folder_are_not_cut_again(folder: Path) -> None:
    with pytest.raises(DataError, match="Window and hop are for tables"):
        load_dataset(folder, window=64)
