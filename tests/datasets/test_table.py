from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from micronas_tf.datasets import load_dataset
from micronas_tf.datasets.reader import Cut
from micronas_tf.datasets.table import read_table
from micronas_tf.errors import DataError

Change = Callable[[pd.DataFrame], pd.DataFrame]


def samples(n: int = 200) -> pd.DataFrame:
    """One recording at 50 Hz: a channel that counts, one of noise, the label changes halfway."""
    return pd.DataFrame(
        {
            "Time": np.arange(n) / 50,
            "count": np.arange(n),
            "noise": np.random.default_rng(0).normal(size=n),
            "label": np.where(np.arange(n) < n // 2, "walk", "run"),
        }
    )


def two_rates(frame: pd.DataFrame, rate: float) -> pd.DataFrame:
    """Two recordings at 50 Hz, one of half as many samples at another rate."""
    other = frame.iloc[50:150].assign(Time=np.arange(100) / rate)
    return pd.concat([frame.assign(recording=1), other.assign(recording=2)])


def csv(folder: Path, frame: pd.DataFrame) -> Path:
    path = folder / "samples.csv"
    frame.to_csv(path, index=False)
    return path


def test_windows_are_cut_by_hop_and_never_across_a_label(tmp_path: Path) -> None:
    parts = read_table(str(csv(tmp_path, samples())), Cut(16, 8))
    windows = parts.train
    # 100 samples of a label hold (100 - 16) // 8 + 1 = 11 windows.
    starts = [*range(0, 85, 8), *range(100, 185, 8)]
    assert windows.start is not None
    assert windows.start.tolist() == starts
    np.testing.assert_array_equal(windows.x[:, :, 0], np.add.outer(starts, np.arange(16)))
    assert windows.class_names == ("run", "walk")
    assert windows.y.tolist() == [1] * 11 + [0] * 11
    assert windows.sampling_rate_hz == pytest.approx(50)
    assert (windows.subject, windows.recording) == (None, None)
    # 80 + 16 of each 100 samples are used.
    assert parts.notes == ("8 of 200 samples fill no window and were left out.",)


@pytest.mark.parametrize("name", ["null", "NA", "None", "nan"])
def test_a_class_may_have_any_name(name: str, tmp_path: Path) -> None:
    """pandas takes these for nothing; without a label is only what is empty."""
    frame = samples().assign(subject="NA", label=lambda table: table["label"].replace("run", name))
    frame.loc[:19, "label"] = ""
    windows = read_table(str(csv(tmp_path, frame)), Cut(16, 16)).train
    assert sorted(windows.class_names) == sorted([name, "walk"])
    # 80 samples of one label, 100 of the other one.
    assert dict(zip(windows.class_names, windows.class_counts, strict=True)) == {name: 6, "walk": 5}


@pytest.mark.parametrize("nothing", ["", "NaN", "null", "NA"])
def test_a_number_that_is_missing_is_found(nothing: str, tmp_path: Path) -> None:
    frame = samples().astype({"noise": object})
    frame.loc[7, "noise"] = nothing
    with pytest.raises(DataError, match=r"'noise' holds NaN, infinity or nothing in 1 row\(s\), first in data row 8"):
        read_table(str(csv(tmp_path, frame)), Cut(16, 16))


def test_overlapping_windows_of_one_recording_are_split_in_time(tmp_path: Path) -> None:
    dataset = load_dataset(csv(tmp_path, samples(400)), window=16)
    assert dataset.split_kind == "time"
    counted = [set(part.x[:, :, 0].ravel().tolist()) for part in (dataset.train, dataset.test)]
    assert not counted[0] & counted[1]


def test_gaps_and_unlabelled_samples_end_a_window(tmp_path: Path) -> None:
    frame = samples()
    frame.loc[150:155, "label"] = None
    frame = frame.drop(index=range(40, 43))
    parts = read_table(str(csv(tmp_path, frame)), Cut(16, 4))
    counts = parts.train.x[:, :, 0]
    assert (np.diff(counts, axis=1) == 1).all()
    assert not (np.isin(counts, range(150, 156))).any()
    assert parts.notes[0] == "6 samples without a label were left out."
    assert parts.train.start is not None
    # Rows, not time: three rows are gone before the second half.
    np.testing.assert_array_equal(parts.train.start, counts[:, 0] - 3 * (counts[:, 0] > 40))


def test_interleaved_subjects_and_recordings_are_told_apart(tmp_path: Path) -> None:
    pieces = [
        samples(64).assign(subject=subject, recording=recording, count=np.arange(64) + 1000 * index)
        for index, (subject, recording) in enumerate([("ann", 1), ("ann", 2), ("bob", 1), ("cid", 1)])
    ]
    frame = pd.concat(pieces).sample(frac=1, random_state=0).sort_values("Time", kind="stable")
    path = csv(tmp_path, frame)
    windows = read_table(str(path), Cut(16, 8)).train
    assert (np.diff(windows.x[:, :, 0], axis=1) == 1).all()
    assert windows.subject is not None
    assert windows.recording is not None
    assert len(set(zip(windows.subject.tolist(), windows.recording.tolist(), strict=True))) == 4
    # Recording 1 of ann is another one than recording 1 of bob.
    assert len(set(windows.recording.tolist())) == 4
    dataset = load_dataset(path, window=16, hop=8)
    assert dataset.split_kind == "subject"
    assert dataset.train.subject is not None
    assert dataset.test.subject is not None
    assert not set(dataset.train.subject) & set(dataset.test.subject)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("time_ms", np.arange(200) * 20),
        ("TIME_US", np.arange(200) * 20_000),
        ("time_ns", 1_700_000_000_000_000_000 + np.arange(200) * 20_000_000),
        ("time", pd.date_range("2024-01-01", periods=200, freq="20ms").astype(str)),
        ("time", pd.date_range("2024-01-01", periods=200, freq="20ms", tz="Europe/Berlin")),
        ("time", np.arange(200) / 50 + np.random.default_rng(0).uniform(-0.004, 0.004, 200)),
    ],
)
def test_time_has_units_and_may_jitter(tmp_path: Path, name: str, values: Any) -> None:
    frame = samples().drop(columns="Time")
    frame[name] = values
    windows = read_table(str(csv(tmp_path, frame)), Cut(16, 8)).train
    assert windows.sampling_rate_hz == pytest.approx(50, rel=0.05)
    assert len(windows) == 22


def test_parquet_gives_the_same_windows(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "samples.parquet"
    samples().to_parquet(path)
    assert load_dataset(path, window=16).sha256 == load_dataset(csv(tmp_path, samples()), window=16).sha256
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be read"):
        load_dataset(path, window=16)


@pytest.mark.parametrize("index", [["Time"], ["subject", "Time"], ["subject"]])
def test_a_named_index_of_a_parquet_file_is_a_column(tmp_path: Path, index: list[str]) -> None:
    pytest.importorskip("pyarrow")
    frame = samples().assign(subject=np.arange(200) // 25)
    path = tmp_path / "samples.parquet"
    frame.set_index(index).to_parquet(path)
    assert load_dataset(path, window=16).sha256 == load_dataset(csv(tmp_path, frame), window=16).sha256


@pytest.mark.parametrize("index", [pd.RangeIndex(7, 207), pd.RangeIndex(200, name="id"), samples().Time])
def test_another_index_is_none(tmp_path: Path, index: Any) -> None:
    """Numbers of rows, or what a column says already."""
    pytest.importorskip("pyarrow")
    path = tmp_path / "samples.parquet"
    samples().set_index(index).to_parquet(path)
    assert load_dataset(path, window=16).sha256 == load_dataset(csv(tmp_path, samples()), window=16).sha256


def test_truths_are_labels_even_where_some_are_missing(tmp_path: Path) -> None:
    frame = samples()
    label = np.where(np.arange(200) < 100, "True", "False")
    dataset = load_dataset(csv(tmp_path, frame.assign(label=np.where(np.arange(200) % 100 < 5, "", label))), window=16)
    assert dataset.train.class_names == ("False", "True")


def test_windows_side_by_side_are_split_in_time(tmp_path: Path) -> None:
    """They share no sample, but the motion goes on from one to the next."""
    dataset = load_dataset(csv(tmp_path, samples()), window=16, hop=16)
    assert dataset.split_kind == "time"
    for label in (0, 1):
        first, last = (np.asarray(part.start)[part.y == label] for part in (dataset.train, dataset.test))
        assert first.max() < last.min()


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd, "read_parquet", missing)
    path = tmp_path / "samples.parquet"
    path.touch()
    with pytest.raises(DataError, match=r"micronas-tf\[parquet\]"):
        load_dataset(path, window=16)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="Time"), "one time column .*Columns found: count, noise, label"),
        (lambda f: f.assign(time_ms=0), "one time column"),
        (lambda f: f.drop(columns="label"), "'label' is missing. Columns found: time, count, noise"),
        (lambda f: f[["Time", "label"]], "no channel column"),
        (lambda f: f.assign(note="good"), "Column 'note' is not numeric: data row 1 has 'good'"),
        (lambda f: f.assign(noise=f.noise.where(f.index != 7)), "Column 'noise' holds NaN.* data row 8"),
        (lambda f: f.assign(noise=f.noise.where(f.index != 7, np.inf)), "infinity .* data row 8"),
        (lambda f: f.assign(subject=f["count"].where(f.index != 3)), "Column 'subject' is empty in data row 4"),
        (lambda f: f.assign(Time="noon"), "neither a number nor a date-time: data row 1 has 'noon'"),
        (lambda f: f.iloc[::-1], "Time must ascend .* data row 2"),
        (lambda f: pd.concat([f, f]), "Time must ascend .* data row 201 .*`recording` column"),
        (lambda f: f.assign(Time=f.Time.round(1)), "Time must ascend"),
        (lambda f: f.assign(Time=f.Time + (f.index % 5 > 2) * 0.05), "Time must ascend|evenly spaced"),
        (lambda f: f.assign(Time=np.cumsum(np.random.default_rng(0).exponential(size=200))), "evenly spaced.*Resample"),
        (lambda f: f.assign(recording=f.index), "one row only"),
        (lambda f: f.assign(label=f.index // 10 % 2), "holds a window of 16 samples. Longest run: 10"),
        (lambda f: f.assign(label=None), "No row has a label"),
        (lambda f: f.assign(label=f.noise), "Labels are classes, .* data row 1 of column 'label'"),
        (lambda f: f.assign(**{"Unnamed: 0": f.index}), "Column 5 has no name"),
        (lambda f: two_rates(f, 25), "evenly spaced in time, but 33% of the steps"),
        # 2 × 11 windows of the first recording, and 2 × ((50 - 16) // 8 + 1) of the second.
        (lambda f: two_rates(f, 90), "10 of 32 windows .* median 50 Hz: from data row 201 on it is 90 Hz"),
        (lambda f: two_rates(f, 35), "10 of 32 windows .* median 50 Hz: from data row 201 on it is 35 Hz"),
        (
            lambda f: f.assign(Time=f.Time.astype(str).where(f.index != 9, "x")),
            "a number but in 1 row.s.: data row 10 .*x",
        ),
        (
            lambda f: f.assign(label=f.label.where(f.index > 9, "fall")),
            "with the label.s. fall and without a gap holds",
        ),
        (lambda f: f.assign(label="walk"), "at least two classes"),
        (lambda f: f.iloc[:0], "empty"),
    ],
)
def test_a_bad_table_gets_one_clear_sentence(tmp_path: Path, change: Change, words: str) -> None:
    path = csv(tmp_path, change(samples()))
    with pytest.raises(DataError, match=words) as caught:
        load_dataset(path, window=16)
    assert str(path) in str(caught.value)


def test_clocks_that_differ_a_little_are_one_rate(tmp_path: Path) -> None:
    """A tenth faster is the other phone's clock."""
    dataset = load_dataset(csv(tmp_path, two_rates(samples(), 55)), window=16)
    assert dataset.train.sampling_rate_hz == pytest.approx(50)


def test_an_identifier_that_is_read_as_a_channel_is_noted(tmp_path: Path) -> None:
    """Still in every window, another value in others; a channel that stands still everywhere tells nothing."""
    frame = samples(400).assign(person=np.arange(400) // 100, dead=0)
    (note,) = (n for n in read_table(str(csv(tmp_path, frame)), Cut(20, 20)).notes if "fill no window" not in n)
    assert note.startswith("'person' never changes within a window")
    assert "rename it to subject" in note


def test_columns_that_are_separated_otherwise_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    samples().to_csv(path, index=False, sep=";")
    with pytest.raises(DataError, match=r"separated by commas\. Received the header: 'Time;count;noise;label'"):
        load_dataset(path, window=16)


@pytest.mark.parametrize("content", ["", "time,label,a\n1,x,2\n1,x,2,3,4\n", "\x00\x01"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "samples.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=r"samples\.csv"):
        load_dataset(path, window=16)


def test_a_damaged_gzip_is_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    """A byte turned round in the compressed stream or in the checksum, half of the file, and none of it."""
    path = tmp_path / "samples.csv.gz"
    whole = gzip.compress(samples(400).to_csv(index=False).encode(), mtime=0)
    step = len(whole) // 40
    turned = [whole[:k] + bytes([whole[k] ^ 255]) + whole[k + 1 :] for k in range(10, len(whole), step)]
    for content in (*turned, whole[: len(whole) // 2], b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"samples\.csv\.gz: This table cannot be read: .*rite it again"):
            load_dataset(path, window=16)


@pytest.mark.parametrize("name", ["samples.csv", "samples.csv.gz"])
def test_labels_in_another_encoding_are_told_to_be_saved_as_utf_8(tmp_path: Path, name: str) -> None:
    content = samples().replace({"label": {"walk": "hüpfen"}}).to_csv(index=False).encode("latin-1")
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(DataError, match=r"cannot be read: .*0xfc.*\. Save it as UTF-8\.$"):
        load_dataset(path, window=16)


def test_a_folder_with_a_tables_name_is_called_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    path.mkdir()
    with pytest.raises(DataError, match="This is a folder, not a table"):
        load_dataset(path, window=16)


@pytest.mark.parametrize(("unit", "named"), [(1e3, "time_ms"), (1e6, "time_us"), (1e9, "time_ns")])
def test_time_that_seems_to_be_in_another_unit_is_noted(tmp_path: Path, unit: float, named: str) -> None:
    """Steps of 20 ms at 50 Hz: in milliseconds they would make 0.05 Hz. Renamed as the note says, they make 50 Hz."""
    frame = samples()
    frame["Time"] = np.round(frame.Time * unit).astype("int64")
    parts = read_table(str(csv(tmp_path, frame)), Cut(16, 8))
    assert parts.train.sampling_rate_hz == pytest.approx(50 / unit)
    assert "If time is in milliseconds, name the column time_ms" in parts.notes[0]
    assert named in parts.notes[0]
    renamed = read_table(str(csv(tmp_path, frame.rename(columns={"Time": named}))), Cut(16, 8))
    assert renamed.train.sampling_rate_hz == pytest.approx(50)
    assert not any("name the column" in note for note in renamed.notes)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("time", np.arange(200) * 1.0),  # 1 Hz
        ("time_s", np.arange(200) * 20),
        ("time", pd.date_range("2024-01-01", periods=200, freq="20s").astype(str)),
    ],
)
def test_a_rate_that_is_meant_is_not_noted(tmp_path: Path, name: str, values: Any) -> None:
    frame = samples().drop(columns="Time")
    frame[name] = values
    notes = read_table(str(csv(tmp_path, frame)), Cut(16, 8)).notes
    assert not any("name the column" in note for note in notes)


@pytest.mark.parametrize(
    ("window", "hop", "words"),
    [
        (None, None, "give the window length"),
        (None, 8, "A hop needs a window"),
        (16, 0, "at least one sample"),
        (4, 4, r"at least 8 samples. Received: 4 \(--window\)"),
    ],
)
def test_a_table_needs_a_sensible_cut(tmp_path: Path, window: int | None, hop: int | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_dataset(csv(tmp_path, samples()), window=window, hop=hop)


def test_rows_that_end_in_a_comma_are_refused(tmp_path: Path) -> None:
    path = csv(tmp_path, samples())
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *(f"{row}," for row in rows)]))
    with pytest.raises(DataError, match="more values than the header has names"):
        load_dataset(path, window=16)


@pytest.mark.filterwarnings("error")
def test_a_class_called_0_stays_one_in_a_large_table(tmp_path: Path) -> None:
    """pandas reads large files in pieces, and a piece of zeros as numbers."""
    frame = samples(300_000)
    frame["label"] = np.where(frame.index < 280_000, "0", "run")
    assert load_dataset(csv(tmp_path, frame), window=1000).train.class_names == ("0", "run")
