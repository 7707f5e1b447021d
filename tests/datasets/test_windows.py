from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from micronas_tf.datasets import Windows, find_triads
from micronas_tf.datasets.labels import codes, encode_labels
from micronas_tf.errors import DataError

X = np.random.default_rng(0).normal(size=(4, 16, 3))
Y = [0, 1, 0, 1]


def test_float16_becomes_float32_and_every_array_is_read_only() -> None:
    windows = Windows.of(X.astype(np.float16), Y, subject=[1, 1, 2, 2])
    assert windows.x.dtype == np.float32
    assert (windows.window, windows.sensors, windows.n_classes, len(windows)) == (16, 3, 2, 4)
    assert windows.subject is not None
    for array in (windows.x, windows.y, windows.subject):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_callers_array_stays_writable() -> None:
    x = X.astype(np.float32)
    Windows.of(x, Y)
    x[0, 0, 0] = 1.0


def test_subset_takes_what_is_known_along() -> None:
    windows = Windows.of(X, Y, subject=[7, 7, 8, 9], recording=[0, 1, 2, 3], start=[0, 5, 0, 5])
    part = windows.subset([3, 0])
    np.testing.assert_array_equal(part.x, windows.x[[3, 0]])
    assert part.subject is not None
    assert part.subject.tolist() == [9, 7]
    assert part.start is not None
    assert part.start.tolist() == [5, 0]
    assert windows.subset(windows.y == 1).class_counts == (0, 2)
    assert part.class_names == windows.class_names


@pytest.mark.parametrize(
    ("x", "y", "more", "words"),
    [
        (
            np.where(np.arange(48).reshape(1, 16, 3) == 20, np.nan, X),
            Y,
            {},
            ["NaN", "window 0", "sample 6", "channel 'acc'"],
        ),
        (np.where(X[2, 3, 1] == X, np.inf, X), Y, {}, ["infinity", "window 2", "sample 3"]),
        (X * 1e300, Y, {}, ["infinity", "Fill or drop"]),
        ([[[1.0, 2.0]], [[1.0]]], Y, {}, ["ragged", "one length"]),
        (np.array([np.zeros(3), np.zeros(4)], dtype=object), Y, {}, ["numbers", "object"]),
        (X[:, :, 0], Y, {}, ["(windows, time, sensors)", "(4, 16)", "x[..., None]"]),
        (X[:0], [], {}, ["empty"]),
        (X[:, :7], Y, {}, ["at least 8 samples", "7"]),
        (X, [1, 1, 1, 1], {}, ["at least two classes"]),
        (X, [0, 1, 0], {}, ["4 windows", "(3,)"]),
        (X, np.eye(4), {}, ["argmax"]),
        (X, [0, 1, 2, 1.5], {}, ["whole numbers"]),
        (X, [0, 1, 0, np.nan], {}, ["NaN"]),
        (X, Y, {"class_names": ["a", "a"]}, ["class name"]),
        (X, [0, 1, 2, 9], {"class_names": ["a", "b"]}, ["2 class names"]),
        (X, ["a", "b", "a", "c"], {"class_names": ["a", "b"]}, ["among the class names", "'c'"]),
        (X, Y, {"channel_names": ["a", "b"]}, ["channel name", "Give 3 different names."]),
        (X, Y, {"subject": [1, 2]}, ["subject", "4 windows"]),
        (X, Y, {"start": [0.5, 1, 2, 3]}, ["start", "integer"]),
        (X, Y, {"sampling_rate_hz": 0.0}, ["sampling rate", "positive"]),
        (X, Y, {"triads": [(0, 1, 3)]}, ["0 to 2"]),
        (X, Y, {"triads": [(0, 1, 1)]}, ["at most once"]),
        (X, Y, {"triads": [(0, 1)]}, ["three channel indices"]),
    ],
)
def test_a_bad_input_gets_one_clear_sentence(x: Any, y: Any, more: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        Windows.of(x, y, **{"channel_names": ["left", "right", "acc"], **more})
    for word in words:
        assert word in str(caught.value)


def test_class_indices_are_checked_without_the_friendly_constructor() -> None:
    with pytest.raises(DataError, match=r"from 0 to 1.*Windows\.of"):
        Windows(X.astype(np.float32), np.array([0, 1, 2, 0]), ("a", "b"), ("x", "y", "z"))


@pytest.mark.parametrize(
    ("labels", "names", "expected", "expected_names"),
    [
        ([3, 7, 3], None, [0, 1, 0], ("3", "7")),
        ([10, 9, 10], None, [1, 0, 1], ("9", "10")),
        (["10", "9"], None, [1, 0], ("9", "10")),
        (["walk", "run"], None, [1, 0], ("run", "walk")),
        (np.array(["walk", "run"], object), None, [1, 0], ("run", "walk")),
        (np.array([b"b", b"a"]), None, [1, 0], ("a", "b")),
        ([True, False], None, [1, 0], ("False", "True")),
        ([2.0, 1.0], None, [1, 0], ("1", "2")),
        (["b", "a"], ["b", "a"], [0, 1], ("b", "a")),
        ([1, 2, 1], ["one", "two"], [0, 1, 0], ("one", "two")),
        ([2, 0], ["a", "b", "c"], [2, 0], ("a", "b", "c")),
    ],
)
def test_labels_become_indices_and_names_are_kept(
    labels: Any, names: list[str] | None, expected: list[int], expected_names: tuple[str, ...]
) -> None:
    (encoded,), kept = encode_labels(labels, class_names=names)
    assert encoded.tolist() == expected
    assert kept == expected_names


def test_labels_of_two_parts_share_one_list_of_names() -> None:
    (train, test), names = encode_labels([5, 3], [9])
    assert (train.tolist(), test.tolist(), names) == ([1, 0], [2], ("3", "5", "9"))
    with pytest.raises(DataError, match="one kind"):
        encode_labels([1], ["a"])


def test_identifiers_are_coded_alike_in_all_parts() -> None:
    first, second = codes(["ann", "bob"], ["bob"])
    assert first[1] == second[0] != first[0]
    assert codes([7, 9])[0].tolist() == [7, 9]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("acc_x acc_y acc_z gyro_x gyro_y gyro_z", [(0, 1, 2), (3, 4, 5)]),
        ("accX accY accZ", [(0, 1, 2)]),
        ("gyro-z gyro-y gyro-x", [(2, 1, 0)]),
        ("ax ay az gx gy gz", [(0, 1, 2), (3, 4, 5)]),
        ("x y z", [(0, 1, 2)]),
        ("ACC_X acc_y Acc_Z", [(0, 1, 2)]),
        ("acc_x ecg acc_y acc_z", [(0, 2, 3)]),
        ("acc_x acc_y gyro_z", []),
        ("acc_x acc_y", []),
        ("quat_w quat_x quat_y quat_z", []),
        ("q_w q_x q_y q_z", []),
        ("euler_x euler_y euler_z", []),
        ("acc_x ACC_X acc_y acc_z", []),
        ("index energy fuzz", []),
        ("channel_0 channel_1 channel_2", []),
    ],
)
def test_triads_are_found_by_name_and_nowhere_else(names: str, expected: list[tuple[int, int, int]]) -> None:
    assert list(find_triads(names.split())) == expected


def test_declared_triads_win_over_names() -> None:
    names = ["acc_x", "acc_y", "acc_z"]
    assert Windows.of(X, Y, channel_names=names).triads == ((0, 1, 2),)
    assert Windows.of(X, Y, channel_names=names, triads=()).triads == ()
    assert Windows.of(X, Y, triads=[[2, 1, 0]]).triads == ((2, 1, 0),)
