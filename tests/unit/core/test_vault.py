"""The vault: which trials it needs, and what its record says."""

from __future__ import annotations

import pytest

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.records import DecisionRule, Evaluated, TrialEnded
from autoresearch.core.vault import SealedKeep, build_unsealed, interval, next_vault_trial, trials_to_unseal
from autoresearch.testing.fake_trial import measurement

RULE = DecisionRule(kind="sequential", accept_delta_frac=0.005, seed=5)
KEEP = Evaluated.model_construct(iter=3, candidate_cfg={"lr": 0.003})  # of which no other field is used here


def trial(number: int, seed: int, bpb: float | None, n: int = 0) -> TrialEnded:
    failure = Failure(cause=Cause.TIMEOUT, detail="late")
    return TrialEnded(ts="now", trial=number, iter=n, seed=seed, outcome=measurement(bpb) if bpb else failure)


def sides(own: dict[int, float], baseline: dict[int, float | None]) -> tuple[SealedKeep, list[TrialEnded]]:
    """A keep and a baseline, bpb by seed; trials 11, 12, ... and 1, 2, ..."""
    ours = tuple(trial(11 + i, seed, bpb, KEEP.iter) for i, (seed, bpb) in enumerate(own.items()))
    theirs = [trial(1 + i, seed, bpb) for i, (seed, bpb) in enumerate(baseline.items())]
    return SealedKeep(KEEP, ours), theirs


class TestNextTrial:
    @pytest.mark.parametrize(
        ("own", "baseline", "seed", "of_baseline"),
        [
            ([5, 6], [5, 6, 7, 8], 7, False),
            ([5, 6, 7], [5, 6, 7], 8, True),
            ([5, 6, 7], [5, 6, 7, 8], 8, False),
            ([5, 7], [5, 6, 7], 6, False),
        ],
    )
    def test_the_next_seed_that_one_side_lacks(
        self, own: list[int], baseline: list[int], seed: int, of_baseline: bool
    ) -> None:
        sealed, theirs = sides(dict.fromkeys(own, 1.9), dict.fromkeys(baseline, 2.0))
        needed = next_vault_trial(sealed, theirs, RULE)
        assert needed is not None
        assert (needed.seed, needed.of_baseline) == (seed, of_baseline)

    def test_none_once_four_seeds_are_measured_on_both_sides(self) -> None:
        sealed, theirs = sides(dict.fromkeys(range(5, 9), 1.9), dict.fromkeys(range(5, 12), 2.0))
        assert next_vault_trial(sealed, theirs, RULE) is None

    def test_a_seed_with_which_the_baseline_failed_is_left_out(self) -> None:
        sealed, theirs = sides({5: 1.9}, {5: 2.0, 6: None})
        needed = next_vault_trial(sealed, theirs, RULE)
        assert needed is not None
        assert (needed.seed, needed.of_baseline) == (7, True)

    def test_seeds_are_bounded(self) -> None:
        sealed, theirs = sides({5: 1.9}, {5: 2.0} | dict.fromkeys(range(6, 13), None))
        assert next_vault_trial(sealed, theirs, RULE) is None

    @pytest.mark.parametrize("n", [0, KEEP.iter])
    def test_a_failed_trial_of_either_side_is_the_last(self, n: int) -> None:
        sealed, theirs = sides({5: 1.9}, {5: 2.0})
        assert next_vault_trial(sealed.with_trial(trial(20, 6, None, n)), theirs, RULE) is None
        assert next_vault_trial(sealed.with_trial(trial(20, 6, 2.0, n)), theirs, RULE) is not None


class TestRecord:
    def test_gains_are_paired_by_seed_and_relative_to_the_baseline(self) -> None:
        sealed, theirs = sides({5: 1.9, 6: 1.8}, {6: 2.0, 5: 2.0, 7: 9.9})
        test = {11: 3.9, 12: 3.8, 1: 4.0, 2: 4.0}
        record = build_unsealed(sealed, theirs, test, "now")
        assert (record.iter, record.seeds, record.trials, record.baseline_trials) == (3, (5, 6), (11, 12), (2, 1))
        assert record.val_gain_frac == pytest.approx((0.05 + 0.10) / 2)
        assert record.test_gain_frac == pytest.approx((0.025 + 0.05) / 2)
        assert record.missing == ()

    def test_it_asks_for_the_trials_of_both_sides_and_no_other(self) -> None:
        sealed, theirs = sides({5: 1.9, 6: 1.8}, {6: 2.0, 5: 2.0, 7: 9.9})
        assert trials_to_unseal(sealed, theirs) == {1, 2, 11, 12}

    @pytest.mark.parametrize(("lost", "seed"), [(11, 6), (2, 6), (12, 5), (1, 5)])
    def test_a_lost_value_takes_its_seed_out_of_both_gains(self, lost: int, seed: int) -> None:
        sealed, theirs = sides({5: 1.9, 6: 1.8}, {6: 2.0, 5: 2.0})
        test = {t: bpb for t, bpb in {11: 3.9, 12: 3.8, 1: 4.0, 2: 4.0}.items() if t != lost}
        record = build_unsealed(sealed, theirs, test, "now")
        assert (record.seeds, record.missing) == ((seed,), (lost,))
        assert record.val_gain_frac == pytest.approx(0.05 if seed == 5 else 0.10)
        assert record.test_gain_frac == pytest.approx(0.025 if seed == 5 else 0.05)
        assert (record.test_low_frac, record.test_high_frac) == (None, None)

    def test_without_any_value_nothing_is_claimed(self) -> None:
        sealed, theirs = sides({5: 1.9}, {5: 2.0})
        record = build_unsealed(sealed, theirs, {}, "now")
        assert (record.seeds, record.val_gain_frac, record.test_gain_frac) == ((), None, None)
        assert record.missing == (1, 11)


def test_the_interval_is_students() -> None:
    """By hand: the mean of 1, 2, 3, 4 is 2.5, their SD 1.29099, and t(0.975; 3) = 3.18245."""
    low, high = interval((1.0, 2.0, 3.0, 4.0))
    assert (low, high) == (pytest.approx(2.5 - 2.05426, abs=1e-4), pytest.approx(2.5 + 2.05426, abs=1e-4))
