"""Closed iterations as records, as text and as places in a journal: a sequence of records in each case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.iterations import Iterations
from autoresearch.core.records import IterationRecord, encode
from autoresearch.core.results import result_of
from autoresearch.core.trajectory import Totals, Trajectory
from tests.unit.core.test_trajectory import night

CLOSED = [r for seed in range(8) for r in night(seed) if isinstance(r, IterationRecord)]
TEXTS = [encode(r).encode() for r in CLOSED]


@given(st.lists(st.tuples(st.integers(0, len(CLOSED) - 1), st.sampled_from(["record", "text", "place"]))), st.data())
def test_it_is_the_sequence_of_its_records(chosen: list[tuple[int, str]], data: st.DataObject) -> None:
    kept = Iterations(fetch=TEXTS.__getitem__)
    for n, how in chosen:
        kept.append(CLOSED[n], {"record": None, "text": TEXTS[n], "place": n}[how])
    records = [CLOSED[n] for n, _ in chosen]
    assert (list(kept), len(kept)) == (records, len(records))
    assert kept == records
    assert kept == Iterations(records)
    assert kept != [*records, CLOSED[0]]
    if records:
        n = data.draw(st.integers(-len(records), len(records) - 1))
        assert kept[n] == records[n]
        assert kept[n:] == records[n:]
        assert kept != [*records[:-1], next(r for r in CLOSED if r != records[-1])]


def test_only_places_can_be_kept_for_another_process() -> None:
    kept = Iterations(fetch=TEXTS.__getitem__)
    kept.extend([0, 1])
    assert kept.places() == [0, 1]
    kept.append(CLOSED[2])
    with pytest.raises(ValueError, match="without its place"):
        kept.places()
    with pytest.raises(ValueError, match="not known"):
        list(Iterations([3]))


@pytest.mark.slow
@given(st.integers(0, 200))
def test_the_results_are_of_the_iterations_and_totals_have_neither(seed: int) -> None:
    records = night(seed)
    whole = Trajectory.fold(records)
    assert whole.results == [result_of(r) for r in whole.iterations]
    totals = Totals.fold(records)
    assert (len(totals.iterations), totals.results) == (0, [])
    for name in ("best", "lowest", "energy_j", "power", "running", "proposed", "outcomes", "starts"):
        assert getattr(totals, name) == getattr(whole, name)
