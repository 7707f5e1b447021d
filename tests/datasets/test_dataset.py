from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from micronas_tf.datasets import Dataset, Windows, describe, split_dataset
from micronas_tf.errors import DataError

from .helpers import WINDOW, cut_stream, make_windows, share_samples

TRAIN = make_windows([0, 1, 2] * 4, subject=[1, 2, 3, 4] * 3, sampling_rate_hz=50.0)
TEST = make_windows([0, 1, 2, 0], subject=[4, 5, 5, 4], sampling_rate_hz=50.0)


def test_the_hash_depends_on_the_content_only() -> None:
    first = Dataset("a", TRAIN, TEST).sha256
    assert first == Dataset("b", TRAIN, TEST, "recording", ("note",)).sha256
    x = TEST.x.copy()
    x[0, 0, 0] += 1
    others = [
        replace(TEST, x=x),
        replace(TEST, y=TEST.y[::-1]),
        replace(TEST, subject=None),
        TEST.subset([1, 0, 2, 3]),
    ]
    assert len({first, *(Dataset("a", TRAIN, test).sha256 for test in others)}) == 5
    assert len(first) == 64


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (replace(TEST, x=TEST.x[:, :8]), "same window. Received: 16 and 8"),
        (replace(TEST, channel_names=("a", "b", "c")), "same channel_names"),
        (replace(TEST, class_names=("a", "b", "c")), "same class_names"),
        (replace(TEST, sampling_rate_hz=25.0), "same sampling_rate_hz"),
        (replace(TEST, x=TEST.x[:, :, :2], channel_names=("channel_0", "channel_1")), "same sensors"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(test: Windows, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Dataset("a", TRAIN, test)


def test_an_unseen_test_label_is_named() -> None:
    with pytest.raises(DataError, match=r"test label.*'class_0' has 2 test window\(s\) and no train window"):
        Dataset("a", TRAIN.subset(TRAIN.y != 0), TEST)
    with pytest.raises(DataError, match="'class_0' has no window at all"):
        Dataset("a", TRAIN.subset(TRAIN.y != 0), TEST.subset(TEST.y != 0))


def test_description_is_json_and_complete() -> None:
    described = describe(Dataset("a", TRAIN, TEST))
    assert json.loads(json.dumps(described)) == described
    assert described["windows"] == {"train": 12, "test": 4}
    assert (described["window"], described["sensors"], described["sampling_rate_hz"]) == (16, 3, 50.0)
    assert described["classes"]["class_0"] == {"train": 4, "test": 2}
    assert described["subjects"] == {"train": 4, "test": 2, "both": 1}
    assert described["split"] == "official"
    assert describe(Dataset("a", replace(TRAIN, subject=None), TEST))["subjects"] is None


def test_triads_are_described_by_name() -> None:
    names = ("acc_x", "acc_y", "acc_z")
    windows = Windows.of(TRAIN.x, TRAIN.y, channel_names=names)
    assert describe(Dataset("a", windows, windows))["triads"] == [list(names)]


def test_an_unsplit_set_is_split_and_says_how() -> None:
    dataset = split_dataset("a", TRAIN, test_fraction=0.25, seed=0, notes=("first",))
    assert (dataset.split_kind, dataset.notes) == ("subject", ("first",))
    lonely = make_windows([0, 1] * 6 + [2], subject=np.arange(13) % 3)
    (note,) = split_dataset("a", lonely, test_fraction=0.25, seed=0).notes
    assert "class 'class_2'" in note


def test_overlapping_windows_that_were_shuffled_are_noted() -> None:
    """Their order shows nothing; what they hold does."""
    x = np.concatenate([cut_stream(40, WINDOW // 2, seed) for seed in range(2)])
    apart, somewhere = np.arange(len(x)).reshape(-1, 4).T.ravel(), np.random.default_rng(0).permutation(len(x))
    # In the second order some windows still follow each other.
    for order, kind in ((apart, "shuffle"), (somewhere, "time")):
        shuffled = split_dataset("a", Windows.of(x[order], np.repeat([0, 1], 40)[order]), test_fraction=0.25, seed=0)
        assert shuffled.split_kind == kind
        assert share_samples(shuffled.train, shuffled.test)
        assert "repeat samples of train windows bit for bit" in shuffled.notes[0]
    ordered = split_dataset("a", Windows.of(x, np.repeat([0, 1], 40)), test_fraction=0.25, seed=0)
    assert (ordered.split_kind, ordered.notes) == ("time", ())
    assert not share_samples(ordered.train, ordered.test)


def test_this_room_does_without_tensorflow() -> None:
    code = (
        "import sys; import micronas_tf.datasets; "
        "print([name for name in ('tensorflow', 'keras', 'tf_keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
