"""The figures, against numbers computed by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.research.metrics import (
    capped_recall_at_k,
    hit_at_k,
    mean_of_cases,
    recall_at_k,
    reciprocal_rank,
    set_scores,
)
from autoresearch.benches.research.papers import Paper, find_paper


def papers(*numbers: int) -> list[Paper]:
    return [Paper(f"2204.{n:05}", f"Title {n}") for n in numbers]


@pytest.mark.parametrize(
    ("gold", "predicted", "iou", "precision", "recall"),
    [
        ((1, 2, 3, 4), (3, 4, 5), 2 / 5, 2 / 3, 2 / 4),
        ((1, 2), (1, 2), 1.0, 1.0, 1.0),
        ((1, 2), (3,), 0.0, 0.0, 0.0),
        ((1, 2), (), 0.0, 0.0, 0.0),
        ((), (1,), 0.0, 0.0, 0.0),
        ((), (), 1.0, 1.0, 1.0),
        ((1,), (1, 1, 2, 2), 1 / 2, 1 / 2, 1.0),
    ],
)
def test_sets_by_hand(
    gold: tuple[int, ...], predicted: tuple[int, ...], iou: float, precision: float, recall: float
) -> None:
    scores = set_scores(papers(*gold), papers(*predicted))
    assert (scores.iou, scores.precision, scores.recall) == (iou, precision, recall)


def test_a_prediction_without_an_id_is_matched_by_its_title_and_counts_once() -> None:
    scores = set_scores(
        papers(1, 2), [Paper("", "title 1"), Paper("2204.00001"), Paper("", "Other"), Paper("", "other")]
    )
    assert (scores.hits, scores.predicted) == (1, 2)


def test_ids_are_matched_before_titles() -> None:
    gold = [Paper("", "One title"), Paper("2204.00002", "Other title")]
    assert find_paper(Paper("2204.00002", "One title"), gold) == 1
    assert find_paper(Paper("", "one title"), gold) == 0
    assert find_paper(Paper("", "no title"), gold) is None
    both = [Paper("2204.00002", "One title"), Paper("https://x", "One title")]
    assert set_scores(gold, both).iou == 1.0


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_sets_are_those_of_set_algebra(gold: set[int], predicted: set[int]) -> None:
    scores = set_scores(papers(*gold), papers(*predicted))
    union = gold | predicted
    assert scores.iou == (len(gold & predicted) / len(union) if union else 1)


def test_ranks_by_hand() -> None:
    ranks = [3, None, 1, 12]
    assert recall_at_k(ranks, 1) == 1 / 4
    assert recall_at_k(ranks, 10) == 2 / 4
    assert capped_recall_at_k(ranks, 1) == 1.0
    assert capped_recall_at_k(ranks, 3) == 2 / 3
    assert capped_recall_at_k(ranks, 10) == 2 / 4
    assert (hit_at_k([3, None], 2), hit_at_k([3, None], 3)) == (0.0, 1.0)
    assert reciprocal_rank(ranks) == 1.0
    assert reciprocal_rank([4, 9]) == 1 / 4
    assert reciprocal_rank([None]) == 0.0


def test_a_case_counts_once_however_many_samples_it_has() -> None:
    mean = mean_of_cases([[1.0], [0.0, 0.0, 1.0, 1.0], [0.25]])
    assert mean is not None
    assert mean.mean == pytest.approx((1 + 0.5 + 0.25) / 3)
    assert (mean.low, mean.high) == (mean.mean, mean.mean)


def test_samples_without_a_score_bound_the_mean() -> None:
    mean = mean_of_cases([[1.0, None], [0.0, 0.5]])
    assert mean is not None
    assert mean.mean is None
    assert (mean.low, mean.high, mean.unknown) == ((0.5 + 0.25) / 2, (1.0 + 0.25) / 2, 1)
    assert mean_of_cases([]) is None
