from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micronas_tf.datasets import load_dataset
from micronas_tf.errors import DataError

from .helpers import WINDOW, cut_stream

X = np.random.default_rng(0).normal(size=(12, WINDOW, 3))
Y = np.array([0, 1, 2] * 4)
SPLIT = {"x_train": X, "y_train": Y, "x_test": X[:6], "y_test": Y[:6]}


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "windows.npz"
    np.savez(path, **arrays)
    return path


def test_a_split_file_with_everything_known(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        **{**SPLIT, "x_train": X.astype(np.float16)},
        subject_train=[1] * 6 + [2] * 6,
        subject_test=[3] * 6,
        exp_train=np.arange(12),
        exp_test=np.arange(12, 18),
        channel_names=["acc_x", "acc_y", "acc_z"],
        class_names=["walk", "run", "sit"],
        sampling_rate_hz=np.float32(50),
    )
    dataset = load_dataset(path)
    assert (dataset.name, dataset.split_kind) == ("windows", "official")
    np.testing.assert_array_equal(dataset.train.x, X.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(dataset.test.y, Y[:6])
    assert dataset.train.class_names == ("walk", "run", "sit")
    assert dataset.train.sampling_rate_hz == 50.0
    assert dataset.train.triads == ((0, 1, 2),)
    assert dataset.test.subject is not None
    assert dataset.test.subject.tolist() == [3] * 6
    assert dataset.test.recording is not None
    assert dataset.test.recording[0] == 12


def test_what_is_known_of_one_part_only_is_known(tmp_path: Path) -> None:
    """The search divides the training part by these subjects, whoever is in the test part."""
    dataset = load_dataset(saved(tmp_path, **SPLIT, subject_train=["ann"] * 6 + ["bob"] * 6))
    assert dataset.train.subject is not None
    assert dataset.train.subject.tolist() == [0] * 6 + [1] * 6
    assert dataset.test.subject is None


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"m\xfcll.npz")
    with pytest.raises(DataError, match=r"m\\udcfcll\.npz' is not UTF-8"):
        load_dataset(path)


def test_an_unsplit_file_is_split_by_subject(tmp_path: Path) -> None:
    path = saved(tmp_path, x=X, y=Y, subject=np.repeat(["ann", "bob", "cid", "dan"], 3), triads=[[0, 1, 2]])
    dataset = load_dataset(path, seed=3)
    assert dataset.split_kind == "subject"
    assert (len(dataset.train), len(dataset.test)) == (9, 3)
    assert dataset.test.triads == ((0, 1, 2),)


def test_a_split_that_was_shuffled_after_cutting_is_noted(tmp_path: Path) -> None:
    x, y = cut_stream(60, 8), np.arange(60) % 2
    order = np.random.default_rng(0).permutation(60)
    train, test = order[:45], order[45:]
    path = saved(tmp_path, x_train=x[train], y_train=y[train], x_test=x[test], y_test=y[test])
    # Windows k and k + 1 share half of their samples.
    leaked = sum(bool({k - 1, k + 1} & set(train.tolist())) for k in test.tolist())
    (note,) = load_dataset(path).notes
    assert note.startswith(f"{leaked} of 15 test windows repeat samples")
    blocks = saved(tmp_path, x_train=x[:45], y_train=y[:45], x_test=x[46:], y_test=y[46:])
    assert load_dataset(blocks).notes == ()


def test_starts_in_an_unsplit_file_keep_overlapping_windows_apart(tmp_path: Path) -> None:
    path = saved(tmp_path, x=cut_stream(40, 8), y=np.repeat([0, 1], 20), start=np.arange(40) * 8)
    assert load_dataset(path).split_kind == "time"


def test_string_labels_and_no_names_and_an_unknown_rate(tmp_path: Path) -> None:
    path = saved(tmp_path, x=X, y=np.array(["b", "a", "c"] * 4), sampling_rate_hz=np.nan)
    train = load_dataset(path).train
    assert train.class_names == ("a", "b", "c")
    assert train.sampling_rate_hz is None
    assert train.channel_names == ("channel_0", "channel_1", "channel_2")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({**SPLIT, "y_test": None}, ["'y_test' is missing", "Found: x_train"]),
        ({"a": X}, ["'x' is missing"]),
        ({**SPLIT, "x_test": X[:6, :10]}, ["same window", "16 and 10"]),
        ({**SPLIT, "y_test": [0, 1, 3, 0, 1, 3]}, ["'3' has 2 test window(s)", "no train window"]),
        ({**SPLIT, "x_test": np.where(X[:6] > 2, np.nan, X[:6])}, ["x_test: x holds NaN"]),
        ({**SPLIT, "x_train": X.reshape(12, -1)}, ["x_train: x has the shape (windows, time, sensors)"]),
        (
            {**SPLIT, "y_train": Y[:5]},
            ["x_train: y is one integer for each of the 12 windows", "shape (5,). Give an integer array of"],
        ),
        ({**SPLIT, "subject": np.arange(12)}, ["Whose windows 'subject'", "subject_train and subject_test"]),
        ({"x": X, "y": Y * 0}, ["at least two classes"]),
        ({"x": X[:0], "y": Y[:0]}, ["empty"]),
        ({"x": X[:, :4], "y": Y}, ["at least 8 samples"]),
        ({"x": X, "y": Y, "class_names": 3}, ["class_names is a list of strings"]),
        ({"x": X, "y": Y, "sampling_rate_hz": [1, 2]}, ["sampling_rate_hz is one number"]),
        ({"x": X, "y": Y, "subject": np.zeros((12, 2))}, ["subject is one value for each window"]),
        ({"x": np.array([X[0], X[1, :5]], dtype=object), "y": [0, 1]}, ["'x' is pickled", "Ragged"]),
        ({"x": X, "y": np.array(["a", "b", "c"] * 4, dtype=object)}, ["'y' is pickled", "np.asarray(y, dtype=str)"]),
        ({"x": X, "y": Y[:, None]}, ["shape (12, 1)", "y.ravel()"]),
        ({"x": X, "y": np.eye(3)[Y]}, ["shape (12, 3)", "y.argmax(axis=1)"]),
        ({"x": X, "y": np.array([b"\xfc", b"a", b"b"] * 4)}, ["Labels that are bytes are UTF-8"]),
        ({"x": X, "y": 2.0**63 + 2.0**20 * Y}, ["numbers below 2^63"]),
        ({"x": X, "y": Y, "channel_names": np.array(None)}, ["'channel_names' is pickled"]),
        ({"x": X, "y": Y, "triads": [[0, 1, 2.5]]}, ["A triad is three channel indices"]),
        ({"x": X, "y": Y, "triads": 5}, ["A triad is three channel indices", "Received: 5"]),
        ({"x": X, "y": Y, "triads": [["acc_x", "acc_y", "acc_z"]]}, ["A triad is three channel indices", "acc_x"]),
    ],
)
def test_bad_arrays_get_one_clear_sentence(tmp_path: Path, arrays: dict[str, Any], words: list[str]) -> None:
    path = saved(tmp_path, **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(DataError) as caught:
        load_dataset(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: float) -> None:
    path = saved(tmp_path, **SPLIT)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DataError, match="truncated"):
        load_dataset(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("place", [60, 200, 1500])
def test_a_damaged_array_is_refused(tmp_path: Path, save: Callable[..., None], place: int) -> None:
    path = tmp_path / "windows.npz"
    save(path, x=X, y=Y)
    content = bytearray(path.read_bytes())
    content[place : place + 60] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        load_dataset(path)


def test_a_single_array_and_a_pickle_are_refused(tmp_path: Path) -> None:
    single = tmp_path / "a.npz"
    with single.open("wb") as file:
        np.save(file, X)
    with pytest.raises(DataError, match="single array"):
        load_dataset(single)
    text = tmp_path / "b.npz"
    text.write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match=r"no complete \.npz"):
        load_dataset(text)


@pytest.mark.parametrize(
    ("name", "shape", "triads"),
    [("uci_har", (7352, 128, 9), 3), ("natops", (180, 51, 24), 8), ("racketsports", (151, 30, 6), 2)],
)
def test_the_reference_files_are_read(shared: Path, name: str, shape: tuple[int, ...], triads: int) -> None:
    dataset = load_dataset(shared / "datasets" / f"{name}.npz")
    assert dataset.train.x.shape == shape
    assert len(dataset.train.triads) == triads
    with np.load(shared / "datasets" / f"{name}.npz", allow_pickle=False) as raw:
        np.testing.assert_array_equal(dataset.test.x, raw["x_test"].astype(np.float32))
        np.testing.assert_array_equal(dataset.test.y, raw["y_test"])
