"""Seeds measured ahead of need: no order of arrival changes a verdict, and spare capacity confirms first."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.config.settings import Settings
from autoresearch.core.confirmation import horizon, standing_of
from autoresearch.core.decision import Comparison, Needed, decide, next_trial
from autoresearch.core.measurement import Cause, Failure, Outcome
from autoresearch.core.records import DecisionRule, Evaluated, Proposed, TrialEnded, TrialStarted, decode
from autoresearch.core.trajectory import Trajectory, first_failure
from autoresearch.core.values import Cfg, sha256_of
from autoresearch.report.verify import verify
from autoresearch.testing.fake_trial import FakeTrial, fake_bpb, measurement
from tests.examples import examples
from tests.unit.core.loop_world import Killed, MortalJournal, records
from tests.unit.core.test_parallel_loop import CANDIDATES, ByNumber, check_whole, parallel

Make = Callable[..., Settings]
RULE = DecisionRule(
    kind="sequential",
    accept_delta_frac=0.005,
    seed=5,
    baseline_seeds=3,
    alpha=0.05,
    min_seeds=4,
    max_seeds=12,
    futility_frac=0.8,
    clip=4.5,
)


def noisy(cfg: Cfg, seed: int) -> float:
    """Gains of about a per cent with as much noise: verdicts of every kind, after few seeds and after many."""
    draw = random.Random(f"{sha256_of(cfg)}:{seed}")
    return 2.0 + 0.02 * math.log10(float(cfg["lr"]) / 3e-3) ** 2 + draw.gauss(0, 0.008)


def ended(trial: int, n: int, seed: int, outcome: Outcome | float) -> TrialEnded:
    measured = measurement(outcome) if isinstance(outcome, float) else outcome
    return TrialEnded(ts="now", trial=trial, iter=n, seed=seed, outcome=measured)


FAILED = Failure(cause=Cause.KILLED, detail="it was killed")
values = st.floats(1.9, 2.05)
outcomes = st.one_of(values, values, values, values, st.just(FAILED))


@given(
    own=st.lists(outcomes, min_size=12, max_size=24),
    theirs=st.lists(outcomes, min_size=21, max_size=21),
    pool=st.lists(st.lists(st.floats(-0.01, 0.01), min_size=2, max_size=5), max_size=4),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=examples(60), deadline=None)
def test_any_order_of_arrival_ends_in_what_a_serial_run_decides(
    own: list[Any], theirs: list[Any], pool: list[list[float]], order: random.Random
) -> None:
    """Of whatever was measured beyond the look that decides nothing is used, and no trial is needed twice."""
    first = [ended(n + 1, 0, 5 + n, 2.0 + 0.001 * n) for n in range(3)]
    baseline = first + [ended(100 + n, 0, 8 + n, outcome) for n, outcome in enumerate(theirs)]
    candidate = [ended(200 + n, 1, 5 + n, outcome) for n, outcome in enumerate(own)]
    base = Comparison([], first, pool, test=3, baseline_then=3)

    serial = base  # one trial after the other, as ``Loop`` measures
    while not first_failure(serial.candidate) and (need := next_trial(serial, RULE)):
        found = next((t for t in (baseline if need.of_baseline else candidate) if t.seed == need.seed), None)
        if found is None:
            return  # this example has too few trials
        serial = (
            replace(serial, baseline=[*serial.baseline, found])
            if need.of_baseline
            else replace(serial, candidate=[*serial.candidate, found])
        )

    arrivals = [*candidate, *baseline[3:]]
    order.shuffle(arrivals)
    some = base
    for trial in arrivals:
        standing = standing_of(some, RULE)
        asked = {(need.seed, need.of_baseline) for need in (standing.needed, *standing.ahead) if need}
        known = {(t.seed, True) for t in some.baseline} | {(t.seed, False) for t in some.candidate}
        assert not asked & known, "nothing that is there is asked for"
        if standing.needed is None:
            break
        some = (
            replace(some, candidate=[*some.candidate, trial])
            if trial.iter
            else replace(some, baseline=[*some.baseline, trial])
        )
    standing = standing_of(some, RULE)
    assert standing.needed is None
    rests_on = standing.rests_on
    assert [t.trial for t in rests_on.candidate] == [t.trial for t in serial.candidate]
    if not isinstance(serial.candidate[-1].outcome, Failure):
        by_seed = sorted(serial.baseline, key=lambda t: t.seed)
        failed_beyond = {t.trial for t in by_seed} - {t.trial for t in rests_on.baseline}
        assert all(isinstance(t.outcome, Failure) for t in by_seed if t.trial in failed_beyond)
        assert decide(rests_on, RULE) == decide(serial, RULE)


def test_how_far_ahead_seeds_are_measured() -> None:
    """None before the first look, then to the first possible keep, then as many again."""
    assert [horizon(RULE, looks) for looks in (0, 1, 3, 4, 5, 6, 12)] == [1, 4, 6, 8, 10, 12, 12]
    baseline = [ended(n + 1, 0, 5 + n, 2.0 + 0.001 * n) for n in range(3)]
    compared = Comparison([ended(9, 1, 5, 1.9)], baseline, baseline_then=3)
    standing = standing_of(compared, RULE)
    assert standing.needed == Needed(6)
    assert standing.ahead == (Needed(7), Needed(8, of_baseline=True), Needed(8))
    assert standing_of(replace(compared, candidate=[]), RULE).ahead == ()


@pytest.fixture
def make_settings(make_settings: Make) -> Make:
    fixed = {"decision.rule": "sequential", "baseline.lr": 3e-4}
    return lambda changes=None, **flags: make_settings(fixed | (changes or {}), **flags)


@pytest.mark.parametrize("bpb", [noisy, fake_bpb])
def test_where_all_is_proposed_at_once_every_order_gives_the_same_verdicts(
    make_settings: Make, bpb: Callable[[Cfg, int], float]
) -> None:
    """To the last digit of their evidence, the noise included; only the numbers of the trials differ."""
    chosen = make_settings(iters=len(CANDIDATES))
    seen = []
    for order in range(6):
        loop = parallel(chosen, 40, order, trial=FakeTrial(bpb=bpb))
        assert loop.run() == "complete"
        check_whole(records(loop), len(CANDIDATES))
        seen.append(
            {
                r.iter: (r.decision, r.evidence.model_dump(exclude={"baseline_trials"}))
                for r in records(loop)
                if isinstance(r, Evaluated) and r.evidence
            }
        )
    assert all(other == seen[0] for other in seen)
    assert len({len(evidence["seeds"]) for _, evidence in seen[0].values()}) > 1


def test_what_was_measured_in_vain_is_recorded_and_in_no_verdict(make_settings: Make) -> None:
    loop = parallel(make_settings(iters=7), 40, 1, trial=FakeTrial(bpb=noisy))
    assert loop.run() == "complete"
    found = records(loop)
    ends = {r.trial: r for r in found if isinstance(r, TrialEnded)}
    assert ends.keys() == {r.trial for r in found if isinstance(r, TrialStarted)}
    used = {trial for r in found if isinstance(r, Evaluated) for trial in r.trials}
    in_vain = [t for t in ends.values() if t.iter and t.trial not in used]
    assert in_vain
    for t in in_vain:  # the candidate was decided without it: at a look at earlier seeds
        verdict = next(r for r in found if isinstance(r, Evaluated) and r.iter == t.iter)
        assert t.seed > max(ends[trial].seed for trial in verdict.trials)
    run = Trajectory.fold(found)
    assert (run.spare, run.parked_trials, run.candidates) == (set(), {}, [])
    assert not any(work.outcomes or work.extra_baseline for work in run.parked.values()), "nothing is left open"


def test_spare_capacity_confirms_before_it_explores(make_settings: Make) -> None:
    """Nothing is proposed while a seed of an open candidate's next looks is not at work."""
    loop = parallel(make_settings(iters=7), 5, 2, trial=FakeTrial(bpb=fake_bpb))
    assert loop.run() == "complete"
    found, most = records(loop), 0
    for place, record in enumerate(found):
        run = Trajectory.fold(found[:place])
        seeds = [t.iter for t in run.trials_at_work if t.iter]
        most = max([most, *(seeds.count(n) for n in set(seeds))])
        if not isinstance(record, Proposed):
            continue
        at_work = {(t.iter, t.seed) for t in run.trials_at_work}
        for n in run.candidates:
            run.focus(n)
            standing = standing_of(run.comparison, loop.rule)
            wanted = {(0 if need.of_baseline else n, need.seed) for need in (standing.needed, *standing.ahead) if need}
            assert wanted <= at_work
    assert most >= 3, "seeds of one candidate run side by side"


@given(order=st.integers(0, 10**6), workers=st.integers(2, 12), at=st.integers(0, 10**6))
@settings(max_examples=examples(10), deadline=None)
def test_shuffled_ends_give_the_recorded_verdicts(order: int, workers: int, at: int) -> None:
    """Of a recorded run: each verdict again from its candidate's trials in any order, and from more of them."""
    loop = parallel(SETTINGS[0], workers, order, trial=FakeTrial(bpb=noisy))
    assert loop.run() == "complete"
    found = records(loop)
    draw = random.Random(at)
    run = Trajectory()
    for record in found:
        run.aim(record)
        if isinstance(record, Evaluated):
            compared = run.comparison
            own = [t for t in found if isinstance(t, TrialEnded) and t.iter == record.iter]
            draw.shuffle(own)
            baseline = compared.baseline[: run.baseline_then]
            later = list(compared.baseline[run.baseline_then :])
            draw.shuffle(later)
            shuffled = replace(compared, candidate=own, baseline=[*baseline, *later])
            assert decide(standing_of(shuffled, loop.rule).rests_on, loop.rule).evidence == record.evidence
        run.add(record)


@given(order=st.integers(0, 10**6), kills=st.lists(st.integers(1, 70), min_size=1, max_size=4))
@settings(max_examples=examples(10), deadline=None)
def test_killed_between_confirmations_a_run_resumes_and_measures_nothing_twice(order: int, kills: list[int]) -> None:
    payloads: list[str] = []
    for lives in [*kills, 10**6]:
        trajectory = Trajectory.fold(map(decode, payloads)) if payloads else None
        loop = parallel(
            SETTINGS[0], 6, order, ByNumber(), trajectory, FakeTrial(bpb=noisy), payloads, boot_id="same boot"
        )
        payloads = killed_after(loop, lives)
    found = [decode(p) for p in payloads]
    check_whole(found, len(CANDIDATES))
    assert verify(found).difference is None


def killed_after(loop: Any, lives: int) -> list[str]:
    loop.journal = MortalJournal(list(loop.journal.payloads), last=len(loop.journal.payloads) + lives)
    with suppress(Killed):
        loop.run()
    kept: list[str] = loop.journal.payloads
    return kept


SETTINGS: list[Settings] = []


@pytest.fixture(autouse=True)
def _settings_for_properties(make_settings: Make) -> None:
    if not SETTINGS:
        SETTINGS.append(make_settings(iters=len(CANDIDATES)))
