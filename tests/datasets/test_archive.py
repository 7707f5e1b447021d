from __future__ import annotations

from pathlib import Path
from typing import Any

import aeon.datasets
import numpy as np
import pytest

from micronas_tf.datasets import load_dataset
from micronas_tf.errors import DataError

HEADER = "@problemName toy\n@timeStamps false\n@univariate false\n@equalLength {equal}\n@classLabel true b a\n@data\n"


def case(length: int, label: str, value: str = "") -> str:
    series = [",".join([value or "0.5", *(str(time * channel) for time in range(1, length))]) for channel in (1, 2)]
    return ":".join([*series, label]) + "\n"


def written(path: Path, *cases: str, equal: str = "true") -> Path:
    path.write_text(HEADER.format(equal=equal) + "".join(cases))
    return path


def test_basic_motions_is_the_default_and_its_sensors_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEON_DATA", str(tmp_path / "aeon"))
    dataset = load_dataset()
    assert (dataset.name, dataset.train.x.shape, dataset.test.x.shape) == ("BasicMotions", (40, 100, 6), (40, 100, 6))
    assert dataset.train.class_names == ("badminton", "running", "standing", "walking")
    assert dataset.train.class_counts == (10, 10, 10, 10)
    assert dataset.train.triads == ((0, 1, 2), (3, 4, 5))
    assert dataset.train.sampling_rate_hz == 10.0
    # First and last figures of the first series in the file that aeon bundles.
    assert dataset.train.x[0, 0, 0] == np.float32(0.079106)
    assert dataset.train.x[0, 99, 0] == np.float32(-0.20515)
    assert not (tmp_path / "aeon").exists()
    assert dataset.sha256 == load_dataset("basicmotions").sha256


def test_unequal_lengths_name_the_equal_version(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"JapaneseVowels: The series differ in length.*JapaneseVowels_eq"):
        load_dataset("JapaneseVowels")
    equal = load_dataset("JapaneseVowels_eq")
    assert equal.train.x.shape == (270, 25, 12)
    assert equal.train.class_names == tuple("123456789")


def test_an_unknown_name_gets_suggestions() -> None:
    with pytest.raises(DataError, match=r"BasicMotion: This is no file and no name.*Did you mean BasicMotions\?"):
        load_dataset("BasicMotion")


def test_a_failed_download_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise ValueError("Could not download files for NATOPS from Zenodo: URLError")

    monkeypatch.setattr(aeon.datasets, "load_classification", offline)
    with pytest.raises(DataError, match=r"natops: It could not be loaded.*Without a network.*NATOPS_TRAIN\.ts"):
        load_dataset("natops")


def test_a_ts_file_is_split_and_a_pair_of_them_is_not(tmp_path: Path) -> None:
    cases = [case(20, "a"), case(20, "b"), case(20, "a"), case(20, "b")]
    single = written(tmp_path / "toy.ts", *cases)
    dataset = load_dataset(single, test_fraction=0.5)
    assert (len(dataset.train), len(dataset.test), dataset.train.class_names) == (2, 2, ("a", "b"))
    np.testing.assert_array_equal(dataset.train.x[0, 1:, 1], 2 * dataset.train.x[0, 1:, 0])
    train = written(tmp_path / "toy_TRAIN.ts", *cases)
    test = written(tmp_path / "toy_TEST.ts", *cases[:3])
    pair = load_dataset(train)
    assert (len(pair.train), len(pair.test), pair.split_kind) == (4, 3, "official")
    assert pair.sha256 == load_dataset(test).sha256


def test_classes_of_a_ts_file_keep_their_names(tmp_path: Path) -> None:
    """aeon would call the first one fernaNdo, and take the second one for the third."""
    for labels, expected in (
        (("Fernando", "A", "a", "why?"), ("A", "Fernando", "a", "why?")),
        (("Fernando", "A"), ("a", "fernando")),
    ):
        path = written(tmp_path / "toy.ts", *(case(20, label) for label in labels * 2))
        assert load_dataset(path, test_fraction=0.5).train.class_names == expected


@pytest.mark.parametrize(
    ("cases", "equal", "words"),
    [
        ([case(20, "a"), case(19, "b")], "true", "differ in length. Cut or pad"),
        ([case(20, "a"), case(19, "b")], "false", "differ in length, 19 to 20 samples. Cut or pad"),
        ([case(20, "a"), case(20, "b", "?")], "true", r"x holds NaN .*window 1, sample 0"),
        ([case(20, "a"), case(20, "b", "oops")], "true", r"truncated or no \.ts file"),
        ([case(20, "a"), case(20, "b")[:60]], "true", r"truncated or no \.ts file"),
        ([case(20, "a"), case(20, "a")], "true", "at least two classes"),
        ([case(5, "a"), case(5, "b")], "true", "at least 8 samples"),
        ([], "true", "no series after @data"),
    ],
)
def test_a_bad_ts_file_gets_one_clear_sentence(tmp_path: Path, cases: list[str], equal: str, words: str) -> None:
    path = written(tmp_path / "toy.ts", *cases, equal=equal)
    with pytest.raises(DataError, match=words) as caught:
        load_dataset(path)
    assert str(path) in str(caught.value)


def test_an_unlabelled_or_empty_ts_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "toy.ts"
    path.write_text("@problemName toy\n@timeStamps false\n@univariate true\n@classLabel false\n@data\n1,2,3\n")
    with pytest.raises(DataError, match="no class labels"):
        load_dataset(path)
    # aeon would take 0 and 1 for samples, and 2.5 for the second value.
    stamped = "@problemName toy\n@timeStamps true\n@univariate true\n@classLabel true a b\n@data\n"
    path.write_text(f"{stamped}(0,1.5),(1,-2.5):a\n(0,3.5),(1,4.5):b\n")
    with pytest.raises(DataError, match="time stamps cannot be read"):
        load_dataset(path)
    path.write_text("")
    with pytest.raises(DataError, match=r"toy\.ts"):
        load_dataset(path)


@pytest.mark.parametrize("name", ["gone.npz", "gone.csv", "gone.ts", "no/such/folder", "gone.parquet"])
def test_a_missing_file_is_named(name: str) -> None:
    with pytest.raises(DataError, match=f"{name}: There is no such file"):
        load_dataset(name)


def test_a_file_of_unknown_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "windows.mat"
    path.write_text("x")
    with pytest.raises(DataError, match=r"No reader for this format. Known: NumPy \.npz"):
        load_dataset(path)
