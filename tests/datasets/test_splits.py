from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from micronas_tf.datasets import Windows, load_dataset, partition
from micronas_tf.errors import DataError

from .helpers import WINDOW, classes, cut_stream, every, make_windows, share_samples

SEEDS = list(range(5))


def split(windows: Windows, fraction: float, **options: Any) -> tuple[Windows, Windows]:
    parts = partition(windows, fraction, **options)
    return windows.subset(parts.larger), windows.subset(parts.smaller)


@pytest.mark.parametrize(("seed", "fraction"), every(SEEDS, [0.1, 0.25, 0.5]))
def test_no_subject_is_in_both_parts_and_every_class_is(seed: int, fraction: float) -> None:
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(4), rng.integers(0, 4, 396)])
    subject = rng.integers(0, 15, 400)
    parts = partition(make_windows(y, subject=subject), fraction, seed=seed)
    assert parts.kind == "subject"
    assert not parts.note
    assert not set(subject[parts.larger]) & set(subject[parts.smaller])
    assert set(y[parts.larger]) == set(y[parts.smaller]) == {0, 1, 2, 3}
    assert sorted([*parts.larger, *parts.smaller]) == list(range(400))
    assert abs(len(parts.smaller) / 400 - fraction) < 0.06


@pytest.mark.parametrize("seed", SEEDS)
def test_rare_classes_reach_both_parts_where_subjects_allow_it(seed: int) -> None:
    # 10 of 11 classes occur in exactly two of 30 subjects: random draws alone hardly ever cover them.
    y, subject = [0] * 300, [*np.repeat(np.arange(30), 10)]
    for rare in range(1, 11):
        y += [rare] * 4
        subject += [2 * rare, 2 * rare, 2 * rare + 1, 2 * rare + 1]
    larger, smaller = split(make_windows(y, subject=subject), 0.25, seed=seed)
    assert classes(larger, smaller) == [set(range(11))] * 2


def test_the_seed_decides_the_split() -> None:
    windows = make_windows(np.arange(200) % 4, subject=np.arange(200) // 10)
    chosen = [tuple(partition(windows, 0.25, seed=seed).smaller) for seed in (0, 0, 1, 2)]
    assert chosen[0] == chosen[1]
    assert len(set(chosen)) > 1


def test_a_class_of_one_subject_stays_in_the_larger_part_and_is_named() -> None:
    windows = make_windows([0, 1] * 20 + [2], subject=[*np.repeat(np.arange(4), 10), 3])
    assert "subjects apart has class 'class_2' in both" in partition(windows, 0.25).note
    larger, smaller = split(windows, 0.25)
    assert classes(larger, smaller) == [{0, 1, 2}, {0, 1}]


def test_subjects_that_share_no_class_are_refused() -> None:
    windows = make_windows([0] * 10 + [1] * 10, subject=[0] * 10 + [1] * 10)
    with pytest.raises(DataError, match="No split that keeps subjects apart leaves class"):
        split(windows, 0.5)


def test_recordings_are_kept_apart_without_subjects() -> None:
    recording = np.repeat(np.arange(10), 8)
    windows = make_windows(np.arange(80) % 2, recording=recording, subject=np.zeros(80, int))
    parts = partition(windows, 0.25)
    assert parts.kind == "recording"
    assert not set(recording[parts.larger]) & set(recording[parts.smaller])


def test_one_recording_per_class_is_split_in_time_with_a_note() -> None:
    hop, y = WINDOW // 2, np.repeat([0, 1, 2], 12)
    x = np.concatenate([cut_stream(12, hop, seed) for seed in range(3)])
    start = np.tile(np.arange(12) * hop, 3)
    windows = Windows.of(x, y, recording=y, start=start)
    parts = partition(windows, 0.25)
    assert parts.kind == "time"
    assert "split in time" in parts.note
    larger, smaller = windows.subset(parts.larger), windows.subset(parts.smaller)
    assert classes(larger, smaller) == [{0, 1, 2}] * 2
    assert not share_samples(larger, smaller)


@pytest.mark.parametrize(
    ("hop", "fraction", "known"), [*every([1, 3, 8, 14], [0.2, 0.4], ["start", "content"]), (15, 0.2, "start")]
)
def test_overlapping_windows_of_one_stream_never_straddle_a_split(hop: int, fraction: float, known: str) -> None:
    n, y = 240, np.repeat([0, 1, 0, 2, 1, 2], 40)
    x = cut_stream(n, hop)
    windows = Windows.of(x, y, start=np.arange(n) * hop if known == "start" else None)
    assert partition(windows, fraction).kind == "time"
    larger, smaller = split(windows, fraction)
    # Every sample of this noise is unique, so equal samples are the same sample.
    assert not share_samples(larger, smaller)
    assert classes(larger, smaller) == [{0, 1, 2}] * 2
    assert abs(len(smaller) / n - fraction) < 0.05


def test_the_order_of_the_windows_does_not_matter_where_starts_are_known() -> None:
    order = np.random.default_rng(1).permutation(60)
    x, y, start = cut_stream(60, 4), np.repeat([0, 1], 30), np.arange(60) * 4
    windows = Windows.of(x[order], y[order], start=start[order])
    larger, smaller = split(windows, 0.25)
    assert not share_samples(larger, smaller)


@pytest.mark.parametrize("start", [None, np.arange(40) * 8])
def test_a_shuffled_split_of_overlapping_windows_is_refused_with_the_reason(start: np.ndarray | None) -> None:
    windows = Windows.of(cut_stream(40, 8), [0, 1] * 20, start=start)
    with pytest.raises(DataError, match=r"neighbours share samples.*inflated.*method='time'"):
        split(windows, 0.25, method="shuffle")


def test_windows_that_share_nothing_are_shuffled_within_each_class() -> None:
    y = np.repeat([0, 1, 2, 3], [40, 20, 3, 1])
    windows = make_windows(y)
    parts = partition(windows, 0.25, seed=1)
    assert parts.kind == "shuffle"
    assert sorted([*parts.larger, *parts.smaller]) == list(range(64))
    assert np.bincount(y[parts.smaller], minlength=4).tolist() == [10, 5, 1, 0]
    assert tuple(parts.smaller) != tuple(partition(windows, 0.25, seed=2).smaller)


def test_flat_windows_are_no_evidence_of_overlap() -> None:
    windows = Windows.of(np.zeros((20, WINDOW, 2)), [0, 1] * 10)
    assert partition(windows, 0.25).kind == "shuffle"


def test_a_class_that_cannot_be_split_in_time_is_named() -> None:
    windows = Windows.of(cut_stream(40, 1), [0] * 38 + [1] * 2, start=np.arange(40))
    with pytest.raises(DataError, match="class '1' cannot be split in time"):
        split(windows, 0.25)


@pytest.mark.parametrize("known", [{}, {"recording": [0, 1, 2]}, {"start": [0, 100, 200]}])
def test_a_single_window_of_each_class_cannot_be_split(known: dict[str, list[int]]) -> None:
    with pytest.raises(DataError, match="Every class has a single window"):
        partition(make_windows([0, 1, 2], **known), 0.25)


@pytest.mark.parametrize("method", ["time", "shuffle"])
def test_a_class_of_a_single_window_is_named(method: Literal["time", "shuffle"]) -> None:
    parts = partition(make_windows([0, 1] * 5 + [2]), 0.25, method=method)
    assert parts.note == "Only the larger part has class 'class_2': there is a single window of it."
    assert 10 in parts.larger


@pytest.mark.parametrize(
    ("fraction", "method", "words"),
    [
        (0.0, "auto", "above 0"),
        (0.7, "auto", r"at most 0\.5"),
        (0.25, "subject", "at least two subjects"),
        (0.25, "recording", "at least two recordings"),
        (0.25, "random", "Received: 'random'"),
    ],
)
def test_impossible_requests_are_refused(fraction: float, method: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        split(make_windows([0, 1] * 5), fraction, method=method)


def test_overlap_of_real_windows_is_found_from_the_samples_alone(shared: Path) -> None:
    train = load_dataset(shared / "datasets" / "uci_har.npz").train
    unknown = Windows.of(train.x[:1000], train.y[:1000], class_names=train.class_names)
    parts = partition(unknown, 0.25)
    assert parts.kind == "time"
    # Half of each window is repeated by the next one of the same activity.
    near = [(a, b) for a, b in pairwise(range(1000)) if np.array_equal(train.x[a, 64:], train.x[b, :64])]
    assert len(near) > 500
    smaller, larger = set(parts.smaller.tolist()), set(parts.larger.tolist())
    assert not [pair for pair in near if len(smaller & set(pair)) == len(larger & set(pair)) == 1]
