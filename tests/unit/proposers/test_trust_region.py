"""What the trust region does with what a run knows. The contract is in tests/contract/test_proposer.py."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autoresearch.benches.search.ours import Lookup
from autoresearch.core.measurement import Cause
from autoresearch.core.results import Result
from autoresearch.core.stopped_trial import StopPoint
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.evidence import Evidence
from autoresearch.proposers.region import MAX_FAILURE, START_LENGTH
from autoresearch.proposers.space import Space
from autoresearch.proposers.trust_region import (
    TrustRegionProposer,
    choose_rows,
    expected_improvement,
    milestone,
)
from rails import Tried, default_menu

MENU = default_menu()
BASELINE = MENU.defaults


def trajectory_of(results: list[Result]) -> Trajectory:
    run = Trajectory(results=results, tried=Tried(BASELINE))
    run.iterations = Lookup(len(results))
    for r in results:
        run.known().add({**BASELINE, **dict(r.changes)}, "measured")
    return run


def measured(n, changes, gain, **more):
    one = next(iter(changes.items())) if len(changes) == 1 else (None, None)
    several = () if len(changes) == 1 else tuple(changes.items())
    return Result(n, "evaluated", "trust-region", *one, 1.0, gain, trials=1, several=several, **more)


def proposer(max_changes=13, seed=0):
    return TrustRegionProposer(Space(MENU, BASELINE, 60, max_changes=max_changes), seed)


def changes_of(reply):
    fields = json.loads(reply.raw)
    listed = fields.get("changes", [fields])
    return {c["knob"]: c["new_value"] for c in listed}


def test_what_it_hands_over_is_what_it_takes_for_the_best_and_not_the_luckiest_trial():
    results = [measured(n, {"lr": 3e-4 * (1 + n / 10)}, 0.02 + 0.0001 * n) for n in range(1, 9)]
    results += [measured(9 + n, {"beta1": 0.7 + 0.01 * n}, -0.01) for n in range(8)]
    results += [measured(17, {"beta1": 0.785}, 0.05)]  # among neighbours that all lose 1%
    assert proposer().best(trajectory_of(results)).keys() == {"lr"}


def test_its_beliefs_are_what_its_best_open_candidates_change():
    results = [measured(n, {"lr": 3e-4 * (1 + n / 10), "beta1": 0.7}, 0.004 * n) for n in range(1, 9)]
    trajectory, one = trajectory_of(results), proposer()
    beliefs = {b.knob: b for b in one.beliefs(trajectory)}
    assert list(beliefs) == list(BASELINE)
    assert {name: b.results for name, b in beliefs.items() if b.results} == {"lr": 8, "beta1": 8}
    assert beliefs["lr"].best == dict(results[-1].changes)["lr"]
    assert beliefs["lr"].share > 0.5  # most candidates keep what is known to help
    assert {b.best for name, b in beliefs.items() if name not in ("lr", "beta1")} == {None}
    for belief in beliefs.values():
        values = (belief.low, belief.guess, belief.high)
        assert {value is None for value in values} == {belief.share == 0}
        assert belief.share == 0 or belief.low <= belief.guess <= belief.high
        assert ("no result yet" in belief.note) == (belief.results == 0)
    assert any("spread" in b.note for b in beliefs.values())


def test_the_reason_states_an_expectation_once_there_are_results_to_expect_from():
    results = [measured(n, {"lr": 3e-4 * (1 + n / 10)}, -0.01 * n) for n in range(1, 4)]
    reasons = [json.loads(proposer().propose(trajectory_of(results[:n]), []).raw)["reason"] for n in (0, 2, 3)]
    assert [r.startswith("few results yet") for r in reasons] == [True, True, False]
    assert reasons[2].startswith("expected ")


def test_its_beliefs_depend_on_seed_and_trajectory_alone_and_change_no_proposal():
    trajectory = trajectory_of([measured(n, {"lr": 3e-4 * (1 + n / 10)}, 0.004 * n) for n in range(1, 5)])
    one = proposer()
    first, raw = one.beliefs(trajectory), one.propose(trajectory, []).raw
    assert one.beliefs(trajectory) == proposer().beliefs(trajectory) == first
    assert proposer().propose(trajectory, []).raw == raw
    assert proposer(seed=1).beliefs(trajectory) != first


def test_its_beliefs_of_one_knob_a_candidate_add_up():
    assert sum(b.share for b in proposer(max_changes=1).beliefs(trajectory_of([]))) == pytest.approx(1)


def test_nothing_known_is_the_baseline():
    assert proposer().best(trajectory_of([])) == {}


def test_a_confirmed_keep_is_the_centre_where_another_is_better_within_the_noise():
    results = [measured(n, {"lr": 3e-4 * (1 + n / 50)}, 0.02 + 0.004 * (-1) ** n, is_keep=n == 3) for n in range(1, 9)]
    one = proposer()
    belief = one.belief(trajectory_of(results))
    assert belief.centre == 3


def test_candidates_are_made_of_the_centre_first_and_never_of_a_failure():
    lucky = [measured(n, {"lr": 3e-4 * (1 + n / 50)}, 0.012) for n in range(1, 12)]
    keep = measured(12, {"beta1": 0.8}, 0.011, is_keep=True)
    failed = [
        Result(n, "eval_failed", "trust-region", "batch_size", 4, cause=Cause.OUT_OF_MEMORY) for n in range(13, 16)
    ]
    one = proposer()
    belief = one.belief(trajectory_of([*lucky, keep, *failed]))
    parents = one._parents(belief)
    assert parents[0] == belief.centre
    assert (parents == belief.centre).sum() == 12
    assert np.isfinite(belief.posterior[parents]).all()
    few = one.belief(trajectory_of(failed))
    assert len(one._recipe(few).others) == 1, "the baseline alone: no value is taken from a failure"


def test_failures_are_avoided_and_have_no_value():
    failed = [Result(n, "eval_failed", "trust-region", "batch_size", 4, cause=Cause.OUT_OF_MEMORY) for n in range(1, 4)]
    gains = [measured(3 + n, {"lr": 3e-4 * (1 + n / 10)}, 0.01) for n in range(1, 8)]
    one = proposer()
    run = trajectory_of([*failed, *gains])
    belief = one.belief(run)
    assert np.isnan(belief.evidence.loss[1:4]).all()
    assert np.isinf(belief.posterior[1:4]).all()
    cube = one._cube
    dear, same = ({**BASELINE, "batch_size": 4}, {**BASELINE, "beta1": 0.91})
    chance = belief.feasibility.failure(cube.expand(cube.places([dear, same])))
    assert chance[0] > MAX_FAILURE
    assert chance[0] > 1.5 * chance[1]


@pytest.mark.parametrize("most", [1, 2, 5])
def test_it_changes_no_more_knobs_than_it_may(most):
    results = [measured(1, {"lr": 1e-3, "beta1": 0.8, "beta2": 0.9, "grad_clip": 0.5, "weight_decay": 0.1}, 0.05)]
    for seed in range(4):
        assert 1 <= len(changes_of(proposer(most, seed).propose(trajectory_of(results), ()))) <= most


def test_a_new_object_proposes_what_the_old_one_would():
    results = [measured(n, {"lr": 3e-4 * (1 + n / 30), "beta1": 0.8 + n / 1000}, 0.001 * n) for n in range(1, 30)]
    old = proposer()
    for n in range(0, 30, 5):
        old.propose(trajectory_of(results[:n]), ())
    assert old.propose(trajectory_of(results), ()) == proposer().propose(trajectory_of(results), ())


def test_ten_thousand_results_bound_the_work():
    """Counted, not timed: what the models are fitted to does not grow."""
    rng = np.random.default_rng(0)
    loss = rng.normal(size=10_000)
    loss[::7] = np.nan
    none = np.zeros(10_000)
    rows = choose_rows(Evidence(np.zeros((10_000, 1)), loss, np.ones(10_000), none, none, np.arange(10_000)), 150)
    assert len(rows) <= 151
    assert int(np.nanargmin(loss)) in rows
    assert np.isfinite(loss[rows]).all()


def test_what_a_model_crashes_with_does_not_make_the_optimizer_cautious():
    def crash(n, source):
        return Result(n, "eval_failed", source, "batch_size", 4, cause=Cause.OUT_OF_MEMORY)

    results = [measured(n, {"lr": 3e-4 * (1 + n / 10)}, 0.001) for n in range(1, 9)]
    for source, cautious in (("nim", False), ("trust-region", True)):
        belief = proposer().belief(trajectory_of([*results, *(crash(9 + n, source) for n in range(6))]))
        assert (belief.most_failure < MAX_FAILURE) == cautious
        assert belief.evidence.failed.sum() == 6, "where it crashes is learned all the same"


def test_hyperparameters_are_fitted_at_few_numbers_of_results():
    counts = {milestone(n) for n in range(1, 1001)}
    assert len(counts) < 200
    assert all(0 <= n - milestone(n) <= max(3, n // 12) for n in range(1, 1001))


def test_expected_improvement_is_that_of_a_large_sample():
    gain, sd = np.array([0.5, -1.0, 0.0]), np.array([1.0, 0.7, 2.0])
    draws = np.random.default_rng(0).standard_normal((400_000, 3)) * sd + gain
    np.testing.assert_allclose(expected_improvement(gain, sd), np.maximum(draws, 0).mean(0), rtol=0.02)


def test_a_trial_that_was_stopped_early_is_a_typical_loser_and_no_failure():
    stop = StopPoint(fraction=0.5, loss=4.0, limit=3.0)
    results = [measured(1, {"lr": 1e-3}, -0.02), measured(2, {"lr": 2e-3}, -0.04), measured(3, {"lr": 4e-4}, 0.03)]
    results.append(Result(4, "stopped_early", "trust-region", "beta1", 0.8, stopped=stop))
    belief = proposer().belief(trajectory_of(results))
    assert belief.evidence.loss[4] == pytest.approx(0.03)
    assert not belief.evidence.failed.any()


def smooth_run(*more):
    """16 results on a line of lr, each 0.1% off it, and further ones."""
    rng = np.random.default_rng(0)
    rates = [3e-4 * (1 + n / 10) for n in range(16)]
    results = [measured(n, {"lr": lr}, 20 * lr + 1e-3 * float(rng.normal())) for n, lr in enumerate(rates, 1)]
    return trajectory_of([*results, *more])


@pytest.mark.parametrize("gain", [-0.5, -4.0, -1e6, -1e300])
def test_a_diverged_trial_with_a_finite_value_does_not_pass_for_noise(gain):
    diverged = [measured(17, {"lr": 9e-3}, gain), measured(18, {"lr": 8e-3}, gain / 3)]
    clean, spoiled = (proposer().belief(smooth_run(*more)) for more in ([], diverged))
    assert spoiled.noise_sd < 3 * clean.noise_sd
    assert spoiled.centre == clean.centre
    mean, _ = spoiled.process.predict(proposer()._cube.expand(spoiled.evidence.places[-1:]))
    assert mean[0] > 0.01, "it is still known to be bad"


def test_the_height_of_a_bad_value_does_not_change_what_is_proposed():
    one, other = (
        proposer().propose(smooth_run(measured(17, {"lr": 9e-3}, gain)), []).raw.partition('"reason"')[0]
        for gain in (-3.0, -1e9)
    )
    assert one == other


def test_ordinary_values_are_left_as_they_are():
    evidence = proposer().belief(smooth_run()).evidence
    assert np.array_equal(evidence.loss, evidence.tempered().loss)
    losses = np.array([0.0, -0.01, 0.02, 0.05, np.nan])
    one = Evidence(np.zeros((5, 1)), losses, np.ones(5), np.zeros(5), np.zeros(5), np.arange(5))
    assert np.array_equal(one.tempered().loss, losses, equal_nan=True)


def test_proposals_from_the_same_results_share_a_model_and_others_do_not():
    """Several workers ask one after the other; what is pending is not a result."""
    results = [measured(n, {"lr": 3e-4 * (1 + n / 10)}, 0.001 * n) for n in range(1, 9)]
    one, trajectory = proposer(), trajectory_of(results)
    first = one.belief(trajectory)
    assert one.belief(trajectory) is first
    assert one.belief(trajectory_of([*results, measured(9, {"beta1": 0.8}, 0.01)])) is not first
    changed = trajectory_of([*results[:-1], measured(8, {"lr": 1e-3}, -0.5)])
    assert one.belief(changed).posterior[-1] != first.posterior[-1]


def test_what_a_batch_that_knew_nothing_crashed_with_is_one_failed_trial():
    """Sixteen workers at the start: in a serial run the same results make the search cautious."""

    def batch(known):
        def crash(n):
            cause = Cause.OUT_OF_MEMORY
            return Result(n, "eval_failed", "trust-region", "batch_size", n, cause=cause, known=known)

        return [*(measured(n, {"lr": 3e-4 * (1 + n / 10)}, -0.01, known=known) for n in range(1, 12)),
                *(crash(n) for n in range(12, 17))]  # fmt: skip

    blind, serial = (proposer().belief(trajectory_of(batch(known))) for known in (0, None))
    assert blind.most_failure > 2 * serial.most_failure
    assert blind.length == START_LENGTH
    assert serial.length < START_LENGTH
