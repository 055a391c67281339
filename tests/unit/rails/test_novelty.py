"""The configurations that a run has tried."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from rails import Tried
from tests.examples import examples

BASELINE = {"n_layer": 24, "lr": 3e-4, "weight_decay": 0.0, "precision": "fp8"}


def test_a_fresh_run_knows_only_its_baseline():
    tried = Tried(BASELINE)
    assert tried.find(BASELINE) == "it is the baseline itself"
    assert tried.find(BASELINE | {"lr": 3e-4 * (1 + 1e-10)}) == "it is the baseline itself"
    assert tried.find(BASELINE | {"lr": 1e-3}) == ""


def test_a_measured_configuration_is_known_with_its_change():
    tried = Tried(BASELINE)
    tried.add(BASELINE | {"lr": 1e-3}, "measured")
    assert tried.find(BASELINE | {"lr": 1e-3}) == "lr = 0.001 was tried before in this run: measured"
    assert tried.find(BASELINE | {"lr": 1e-3, "n_layer": 12}) == ""
    assert tried.find(BASELINE | {"precision": "bf16"}) == ""


def test_what_is_being_measured_is_known_within_the_same_tolerance():
    tried = Tried(BASELINE, pending=[BASELINE | {"n_layer": 12}, BASELINE | {"lr": 1e-3, "n_layer": 12}])
    assert tried.find(BASELINE | {"n_layer": 12}) == "n_layer = 12 is being measured in this run"
    both = BASELINE | {"lr": 1e-3 * (1 + 1e-10), "n_layer": 12}
    assert tried.find(both) == f"lr = {both['lr']}, n_layer = 12 is being measured in this run"
    assert tried.find(BASELINE | {"n_layer": 13}) == ""
    assert tried.find(BASELINE | {"lr": 1e-3}) == ""
    assert tried.find(BASELINE | {"lr": 1e-3, "n_layer": 11}) == ""


def test_floats_within_a_billionth_are_one_configuration():
    tried = Tried(BASELINE)
    tried.add(BASELINE | {"lr": 1e-3}, "measured")
    assert tried.find(BASELINE | {"lr": 1e-3 * (1 + 5e-10)})
    assert tried.find(BASELINE | {"lr": 1e-3 * (1 - 5e-10)})
    assert not tried.find(BASELINE | {"lr": 1e-3 * (1 + 3e-9)})


def test_whole_numbers_and_words_are_compared_exactly():
    tried = Tried(BASELINE)
    tried.add(BASELINE | {"n_layer": 10**12}, "measured")
    tried.add(BASELINE | {"precision": "bf16"}, "measured")
    assert tried.find(BASELINE | {"n_layer": 10**12})
    assert not tried.find(BASELINE | {"n_layer": 10**12 + 1})
    assert tried.find(BASELINE | {"precision": "bf16"})
    assert not tried.find(BASELINE | {"precision": "bf"})


def test_a_retryable_failure_is_known_after_the_second_time():
    tried = Tried(BASELINE)
    slow = BASELINE | {"n_layer": 48}
    tried.add(slow, "failed (timeout)", retryable=True)
    assert tried.find(slow) == ""
    tried.add(slow, "failed (timeout)", retryable=True)
    assert tried.find(slow).endswith("failed (timeout)")


def test_a_retry_that_is_measured_counts_as_measured():
    tried = Tried(BASELINE)
    slow = BASELINE | {"n_layer": 48}
    tried.add(slow, "failed (killed)", retryable=True)
    tried.add(slow, "measured")
    assert tried.find(slow).endswith("measured")


def test_a_lasting_failure_is_known_at_once():
    tried = Tried(BASELINE)
    tried.add(BASELINE | {"lr": 1e-2}, "failed (non_finite_loss)")
    assert tried.find(BASELINE | {"lr": 1e-2}).endswith("failed (non_finite_loss)")


def test_a_neighbour_with_a_retryable_failure_hides_no_measurement():
    """Of three values in a row each equals the next, but the first does not equal the third."""
    first = 1e-3
    second = first * (1 + 0.9e-9)
    third = second * (1 + 0.9e-9)
    tried = Tried(BASELINE)
    tried.add(BASELINE | {"lr": first}, "failed (timeout)", retryable=True)
    tried.add(BASELINE | {"lr": third}, "measured")
    assert tried.find(BASELINE | {"lr": second}).endswith("measured")
    assert tried.find(BASELINE | {"lr": first}) == ""

    tried = Tried(BASELINE)
    tried.add(BASELINE | {"lr": first}, "failed (timeout)", retryable=True)
    tried.add(BASELINE | {"lr": second}, "measured")
    assert tried.find(BASELINE | {"lr": third}).endswith("measured")


def test_what_is_added_about_the_baseline_changes_nothing():
    tried = Tried(BASELINE)
    tried.add(BASELINE, "measured")
    assert tried.find(BASELINE) == "it is the baseline itself"


# Values in crowds: steps of 0.3e-9 around a few centres, so that "the same" is not transitive.
CROWD = st.builds(
    lambda centre, steps: centre * (1 + steps * 0.3e-9), st.sampled_from([1e-3, 4e-4, 2.0, -1.0]), st.integers(-8, 8)
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "lr": CROWD | st.just(0.0),
        "weight_decay": CROWD | st.sampled_from([0, 1, 5e-324]),
        "n_layer": st.sampled_from([24, 25, 10**12, 10**12 + 1]),
        "precision": st.sampled_from(["fp8", "bf16", ""]),
    },
)
NOTES = st.lists(st.tuples(CHANGES, st.sampled_from(["measured", "failed"]), st.booleans()), max_size=25)


def plainly_same(a, b) -> bool:
    return all(
        math.isclose(a[k], b[k], rel_tol=1e-9, abs_tol=0.0) if isinstance(a[k], float) or isinstance(b[k], float)
        else a[k] == b[k]
        for k in BASELINE
    )  # fmt: skip


@settings(max_examples=examples(300))
@given(NOTES, CHANGES)
def test_it_finds_what_a_search_from_front_to_back_finds(notes, change):
    tried = Tried(BASELINE)
    for changes, outcome, retryable in notes:
        tried.add(BASELINE | changes, outcome, retryable=retryable)

    cfg = BASELINE | change
    same = [(outcome, retryable) for changes, outcome, retryable in notes if plainly_same(BASELINE | changes, cfg)]
    is_known = plainly_same(cfg, BASELINE) or any(not retryable for _, retryable in same) or len(same) > 1
    found = tried.find(cfg)
    assert bool(found) == is_known
    if found and not plainly_same(cfg, BASELINE):
        final = [outcome for outcome, retryable in same if not retryable]
        assert found.rpartition(": ")[2] in (final or [outcome for outcome, _ in same])


@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                st.sampled_from(["n_layer", "lr", "precision"]),
                st.sampled_from([24, 12, 3e-4, 1e-3, "fp8", "bf16"]),
            ),
            st.sampled_from(["measured", "failed (killed)"]),
            st.booleans(),
        )
    ),
    st.dictionaries(st.sampled_from(["n_layer", "lr"]), st.sampled_from([24, 12, 3e-4, 1e-3])),
)
def test_the_entries_of_a_run_give_the_same_run(added, asked):
    tried = Tried(BASELINE)
    for changes, outcome, retryable in added:
        tried.add(BASELINE | changes, outcome, retryable=retryable)
    again = Tried.of_entries(BASELINE, tried.entries())
    assert again == tried
    assert again.find(BASELINE | asked) == tried.find(BASELINE | asked)
    again.add(BASELINE | {"lr": 7.0}, "measured")
    assert not tried.find(BASELINE | {"lr": 7.0}), "it is another object"
