"""The trust region's length and caution: a serial run counts each result, a parallel one what was known."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.results import Result
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.cube import Cube
from autoresearch.proposers.evidence import Evidence, EvidenceReader
from autoresearch.proposers.region import (
    MAX_FAILURE,
    MIN_LENGTH,
    SHRINK_AFTER,
    START_LENGTH,
    count_failures,
    most_failure,
    region_length,
)
from rails import default_menu

MENU = default_menu()


def length(losses, own=True, known=None):
    """Of results after the baseline; ``known`` is how many of them were known when each was proposed."""
    array = np.array([0.0, *losses])
    rows = np.arange(len(array)) if known is None else np.array([0, *(1 + k for k in known)])
    return region_length(
        Evidence(np.zeros((len(array), 1)), array, array, array, array, rows), np.full(len(array), own)
    )


def test_the_region_shrinks_grows_and_restarts():
    assert length([]) == START_LENGTH
    assert length([1.0] * SHRINK_AFTER) < START_LENGTH
    assert length([-1.0, -2.0]) > START_LENGTH
    lengths = [length([1.0] * n) for n in range(100)]
    assert min(lengths) >= MIN_LENGTH
    assert START_LENGTH in lengths[SHRINK_AFTER:]
    assert length([float("nan")] * SHRINK_AFTER) < START_LENGTH  # a crash is not an improvement
    assert length([float("nan")] * SHRINK_AFTER, own=False) == START_LENGTH  # of a model: not this region's
    assert length([-1.0, -2.0], own=False) > START_LENGTH


def test_what_was_proposed_before_the_best_was_known_does_not_shrink_the_region():
    worse = [-1.0] + [1.0] * 3 * SHRINK_AFTER
    assert length(worse, known=[0] * len(worse)) == START_LENGTH
    late = [*worse, *[1.0] * SHRINK_AFTER]
    assert length(late, known=[0] * len(worse) + list(range(1, 1 + SHRINK_AFTER))) < START_LENGTH
    assert length(late, known=[0] * len(worse) + [1] * SHRINK_AFTER) == START_LENGTH, "one knowledge, one failure"
    assert length([-1.0, -2.0], known=[0, 0]) > START_LENGTH, "an improvement counts whenever it was proposed"


@given(st.lists(st.booleans(), max_size=60))
def test_in_a_serial_run_every_failure_counts(failed):
    known = np.arange(len(failed))
    assert count_failures(np.array(failed, dtype=float), known) == (sum(failed), len(failed))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=60))
def test_no_knowledge_counts_for_more_than_one_trial(found):
    failed, known = np.array([f for f, _ in found], dtype=float), np.array([k for _, k in found])
    failures, trials = count_failures(failed, known)
    assert trials == len(set(known))
    assert 0 <= failures <= trials
    assert (failures > 0) == failed.any()


def test_the_more_fails_the_safer_the_candidates():
    assert most_failure(0, 0) == MAX_FAILURE
    assert most_failure(1, 100) == MAX_FAILURE
    assert most_failure(3, 20) < 0.5 * MAX_FAILURE
    assert most_failure(20, 20) > 0


def test_what_was_known_is_counted_in_candidates_with_the_baseline():
    """Results without a candidate are not rows; without a number everything before it was known."""

    def tried(n, known=None):
        return Result(n, "evaluated", "trust-region", "lr", 1e-3 * n, 1.0, 0.01, trials=1, known=known)

    results = [tried(1, 0), Result(2, "blocked", "trust-region"), tried(3, 1), tried(4, 2), tried(5), tried(6, 9)]
    reader = EvidenceReader(Cube(MENU), MENU.defaults)
    for count in (3, len(results)):  # read in parts
        evidence = reader.read(Trajectory(results=results[:count]))
    assert evidence.known.tolist() == [0, 1, 2, 2, 4, 5]
