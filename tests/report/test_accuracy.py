"""The interval of an accuracy, and scores by class, against scikit-learn and the definition."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from micronas_tf.report.accuracy import Confusions, wilson_interval


@pytest.mark.parametrize(("right", "total"), [(1, 10), (50, 100), (2800, 2947), (99, 100)])
def test_the_bounds_are_where_the_score_test_is_at_its_limit(right: int, total: int) -> None:
    """Wilson's interval holds every p with |right / total - p| <= z · sqrt(p (1 - p) / total)."""
    for p in wilson_interval(right, total):
        z = abs(right / total - p) / sqrt(p * (1 - p) / total)
        # The quantile is kept to seven digits.
        assert z == pytest.approx(1.959964, rel=1e-6)


def test_certain_and_empty() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    low, high = wilson_interval(20, 20)
    assert high == 1.0
    assert 0.8 < low < 0.85
    assert wilson_interval(0, 20)[0] == 0.0


def test_scores_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    y, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    found = Confusions.of("abcd", confusion_matrix(y, predicted).tolist())
    precision, recall, f1, windows = precision_recall_fscore_support(y, predicted)
    for k, score in enumerate(found.scores()):
        assert (score.name, score.windows) == ("abcd"[k], windows[k])
        # Both divide the same integers.
        assert (score.precision, score.recall, score.f1) == pytest.approx((precision[k], recall[k], f1[k]), rel=1e-12)
    assert found.right == int((y == predicted).sum())
    assert found.total == 200


def test_a_class_without_windows_has_no_recall() -> None:
    found = Confusions.of(["here", "gone", "never"], [[5, 1, 0], [0, 0, 0], [0, 0, 0]]).scores()
    assert found[0].recall == pytest.approx(5 / 6)
    assert found[0].mistaken_for == ("gone", 1)
    assert (found[1].windows, found[1].recall, found[1].precision, found[1].f1) == (0, None, 0.0, None)
    assert (found[2].precision, found[2].mistaken_for) == (None, None)


def test_the_most_frequent_class() -> None:
    assert Confusions.of("ab", [[1, 2], [4, 5]]).most_frequent == ("b", 0.75)


@pytest.mark.parametrize("counts", [[[1, 2]], [[1], [2]], [[1, 2], [3]]])
def test_a_matrix_is_square_and_of_its_classes(counts: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="2 classes"):
        Confusions.of("ab", counts)
