"""What each record changes in the trajectory, field by field and by an example."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import pytest
from pydantic import TypeAdapter

from autoresearch.config.resolve import resolve
from autoresearch.core.full_curves import kind_of
from autoresearch.core.measurement import Cause, Failure, Outcome, Suspended
from autoresearch.core.power import Metering, Phase, Power, Scope
from autoresearch.core.records import (
    Baseline,
    Blocked,
    CandidateTried,
    CommandYardstick,
    EvalFailed,
    Evaluated,
    Event,
    Meta,
    Proposed,
    SideTrialStarted,
    Started,
    Stopped,
    StoppedEarly,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
    Unsealed,
    decode,
)
from autoresearch.core.stopped_trial import EarlyStop, StopPoint
from autoresearch.core.trajectory import ScopeJoules, Totals, Trajectory, is_better
from autoresearch.core.values import sha256_of
from autoresearch.core.vault import SealedKeep
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import measurement
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.scripted_proposer import ScriptedProposer
from autoresearch.verdicts.early_stop import MAX_CURVES, Curve
from tests.unit.core.loop_world import BETTER, NO_BETTER, say

TS = "2026-11-20T22:00:00.000Z"
TIMEOUT, CRASH = Failure(cause=Cause.TIMEOUT, detail="late"), Failure(cause=Cause.CRASHED, detail="torn")


@cache
def night() -> tuple[Event, ...]:
    """A baseline, a keep, a revert and a refused iteration of rule sequential."""
    settings = resolve(
        {"iters": 3, "baseline.lr": 3e-4, "decision.rule": "sequential", "limits.max_attempts": 1}, {}
    ).settings
    loop = fake_loop(settings, ScriptedProposer([BETTER, NO_BETTER, say("beta1", 9.0)]))
    loop.run()
    assert isinstance(loop.journal, MemoryJournal)
    return tuple(decode(payload) for payload in loop.journal.payloads)


def first(kind: type[Event]) -> Any:
    return next(r for r in night() if isinstance(r, kind))


def evaluated(decision: str) -> Evaluated:
    return next(r for r in night() if isinstance(r, Evaluated) and r.decision == decision)


def power(joules: float | None, scope: Scope | None = "system", phase: Phase = "train") -> dict[Phase, Power]:
    return {phase: Power(method="hwmon", scope=scope, span_s=10.0, coverage=1.0, energy_j=joules)}


def started(boot_id: str = "boot", idle: Power | None = None, metering: Metering | None = None) -> Started:
    fields = {"pid": 1, "host": "desk", "autoresearch_version": "0", "proposer": "script", "iters_requested": 8}
    if idle:
        metering = Metering(method="hwmon", scope="system", about="a sensor", idle=idle)
    return Started(ts=TS, boot_id=boot_id, metering=metering, **fields)


def begun(trial: int, n: int = 1, boot_id: str = "boot") -> TrialStarted:
    return TrialStarted(ts=TS, trial=trial, iter=n, seed=0, cfg={"lr": 3e-3}, boot_id=boot_id)


def ended(trial: int, n: int = 1, outcome: Outcome | None = None, **more: Any) -> TrialEnded:
    seed = more.pop("seed", 0)
    return TrialEnded(ts=TS, trial=trial, iter=n, seed=seed, outcome=outcome or measurement(1.9), **more)


def suspended(trial: int, joules: float | None, resumes_at: int | None = 4, **more: Any) -> TrialSuspended:
    at = Suspended(step=4, resumes_at=resumes_at, train_wall_s=1.0, val_wall_s=0.0, energy_j=joules)
    return TrialSuspended(ts=TS, trial=trial, iter=1, seed=0, suspended=at, **more)


def metered(joules: float) -> Outcome:
    return measurement(1.9).model_copy(update={"energy_j": joules})


def with_baseline(*bpbs: float) -> Trajectory:
    """The baseline measured with the seeds 0, 1, ..., and the first iteration open."""
    trajectory = Trajectory.fold([first(Meta)])
    for seed, bpb in enumerate(bpbs or (2.0, 2.1)):
        trajectory.add(ended(seed + 1, 0, measurement(bpb), seed=seed))
    trajectory.add(first(Baseline))
    trajectory.add(first(Proposed))
    return trajectory


class TestMeta:
    def test_it_is_kept_and_the_baseline_is_known(self) -> None:
        trajectory = Trajectory.fold([first(Meta)])
        assert trajectory.meta == first(Meta)
        assert trajectory.known().find(first(Meta).baseline_cfg) == "it is the baseline itself"

    def test_without_it_nothing_is_known(self) -> None:
        with pytest.raises(ValueError, match=r"^the trajectory has no meta record yet$"):
            Trajectory().known()


class TestStart:
    def test_starts_are_counted_and_the_metering_is_that_of_the_last(self) -> None:
        metering = Metering(method="hwmon", scope="system", about="a sensor")
        trajectory = Trajectory.fold([started(), started(metering=metering)])
        assert (trajectory.starts, trajectory.metering, trajectory.power) == (2, metering, {})
        trajectory.add(started())
        assert (trajectory.starts, trajectory.metering) == (3, None)

    def test_what_the_idle_machine_took_is_added_up(self) -> None:
        trajectory = Trajectory()
        for joules in (5.0, 7.0):
            trajectory.add(started(idle=power(joules)["train"]))
        assert list(trajectory.power) == ["system"]
        assert [(p, found.energy_j) for p, found in trajectory.power["system"].items()] == [("idle", 12.0)]

    def test_a_trial_that_never_ended_is_lost_once(self) -> None:
        trajectory = Trajectory.fold([begun(1, 0, "a"), started("b"), started("c")])
        assert (trajectory.running, trajectory.host_losses) == (None, 1)
        for record in (begun(2, 0, "c"), started("d")):
            trajectory.add(record)
        assert (trajectory.running, trajectory.host_losses) == (None, 2)

    def test_one_that_the_user_stopped_is_not_lost(self) -> None:
        trajectory = Trajectory.fold([begun(1, 0, "a")])
        trajectory.add(Stopped(ts=TS, reason="SIGINT", completed_iters=0, requested_iters=8))
        assert trajectory.running is None
        trajectory.add(started("b"))
        assert trajectory.host_losses == 0

    def test_failures_of_the_baseline_are_forgotten_with_the_losses_and_measurements_stay(self) -> None:
        good, bad = ended(1, 0), ended(2, 0, CRASH, seed=1)
        trajectory = Trajectory.fold([good, bad, begun(3, 0, "a"), started("b")])
        assert (trajectory.outcomes, trajectory.host_losses) == ([good], 0)

    def test_without_a_failure_losses_stay(self) -> None:
        trajectory = Trajectory.fold([ended(1, 0), begun(2, 0, "a"), started("b")])
        assert (len(trajectory.outcomes), trajectory.host_losses) == (1, 1)

    def test_failures_of_a_candidate_stay(self) -> None:
        trajectory = with_baseline()
        trajectory.add(ended(3, 1, CRASH))
        trajectory.add(started())
        assert trajectory.outcomes == [ended(3, 1, CRASH)]


class TestEnergy:
    def test_the_joules_of_a_suspended_trial_are_counted_once(self) -> None:
        trajectory = with_baseline()
        trajectory.add(suspended(3, 5.0, power=power(5.0)))
        assert trajectory.trials_j == {"system": 5.0}
        trajectory.add(suspended(3, 9.0, power=power(4.0)))
        assert trajectory.trials_j == {"system": 9.0}
        trajectory.add(ended(3, 1, metered(12.0), power=power(3.0)))
        assert trajectory.trials_j == {"system": 12.0}
        trajectory.add(ended(4, 1, metered(30.0), power=power(30.0)))
        assert (trajectory.trials_j, trajectory.energy_j) == ({"system": 42.0}, 42.0)

    def test_an_earlier_part_without_joules_takes_nothing_off(self) -> None:
        trajectory = with_baseline()
        trajectory.add(suspended(3, None))
        trajectory.add(ended(3, 1, metered(12.0)))
        assert trajectory.trials_j == {None: 12.0}

    def test_a_trial_without_joules_adds_none(self) -> None:
        trajectory = with_baseline()
        trajectory.add(ended(3, 1))
        assert (trajectory.trials_j, trajectory.energy_j) == ({}, None)

    def test_joules_of_two_scopes_are_two_sums_and_no_total(self) -> None:
        trajectory = with_baseline()
        trajectory.add(ended(3, 1, metered(12.0), power=power(12.0)))
        trajectory.add(ended(4, 1, metered(3.0), power=power(3.0, "gpu")))
        assert (trajectory.trials_j, trajectory.energy_j) == ({"system": 12.0, "gpu": 3.0}, None)

    def test_power_of_any_record_is_added_up_by_scope_and_phase(self) -> None:
        trajectory = Trajectory()
        trajectory.add(ended(1, 0, power=power(5.0)))
        trajectory.add(ended(2, 0, power=power(6.0) | power(2.0, phase="validate")))
        trajectory.add(ended(3, 0, power=power(1.0, "gpu")))
        trajectory.add(ended(4, 0, power=power(None, None)))
        joules = {scope: {p: found.energy_j for p, found in by.items()} for scope, by in trajectory.power.items()}
        assert joules == {"system": {"train": 11.0, "validate": 2.0}, "gpu": {"train": 1.0}}

    def test_joules_by_scope_are_read_back_from_their_pairs(self) -> None:
        adapter: TypeAdapter[dict[Scope | None, float]] = TypeAdapter(ScopeJoules)
        joules: dict[Scope | None, float] = {None: 3.0, "gpu": 4.0}
        assert adapter.dump_json(joules) == b'[[null,3.0],["gpu",4.0]]'
        assert adapter.validate_json(adapter.dump_json(joules)) == joules
        assert adapter.validate_python(joules) == joules


class TestSuspended:
    def test_the_power_of_the_parts_is_joined_while_the_trial_resumes(self) -> None:
        trajectory = with_baseline()
        trajectory.add(begun(3))
        trajectory.add(suspended(3, 5.0, power=power(5.0)))
        assert (trajectory.running, trajectory.earlier_parts) == (None, power(5.0))
        trajectory.add(suspended(3, 9.0, power=power(4.0)))
        assert trajectory.earlier_parts["train"].energy_j == 9.0

    def test_without_a_checkpoint_the_parts_before_no_longer_matter(self) -> None:
        trajectory = with_baseline()
        trajectory.add(suspended(3, 5.0, power=power(5.0)))
        trajectory.add(suspended(3, 9.0, None, power=power(4.0)))
        assert trajectory.earlier_parts == {}
        assert trajectory.suspended is not None

    def test_its_end_clears_all_of_it(self) -> None:
        trajectory = with_baseline()
        for record in (suspended(3, 5.0, power=power(5.0)), begun(3), ended(3)):
            trajectory.add(record)
        assert (trajectory.running, trajectory.suspended, trajectory.earlier_parts) == (None, None, {})
        assert trajectory.trials_started == 3


class TestBaselineTrials:
    def test_a_void_one_is_kept_apart_until_the_baseline_is_closed(self) -> None:
        good, void = ended(1, 0), ended(2, 0, void=True)
        trajectory = Trajectory.fold([good, void])
        assert (trajectory.outcomes, trajectory.voided) == ([good], [void])
        trajectory.host_losses = 1
        trajectory.add(first(Baseline))
        assert (trajectory.outcomes, trajectory.voided, trajectory.host_losses) == ([], [], 0)
        assert (trajectory.baseline, trajectory.baseline_outcomes) == (first(Baseline), [good])
        assert trajectory.lowest == 1.9

    def test_the_first_failure_that_chance_may_have_caused_is_tried_again(self) -> None:
        late = ended(2, 0, TIMEOUT, seed=1)
        trajectory = Trajectory.fold([ended(1, 0), late])
        assert (trajectory.outcomes, trajectory.baseline_retryable_failures) == ([ended(1, 0)], 1)
        trajectory.add(late)
        assert (trajectory.outcomes, trajectory.baseline_retryable_failures) == ([ended(1, 0), late], 2)

    def test_another_failure_or_a_void_one_is_not_counted(self) -> None:
        crashed, void = ended(1, 0, CRASH), ended(2, 0, TIMEOUT, void=True)
        trajectory = Trajectory.fold([crashed, void, ended(3, 0)])
        assert (trajectory.outcomes, trajectory.voided) == ([crashed, ended(3, 0)], [void])
        assert trajectory.baseline_retryable_failures == 0

    def test_a_failure_of_a_candidate_is_none_of_the_baseline(self) -> None:
        trajectory = with_baseline()
        trajectory.add(ended(3, 1, TIMEOUT))
        assert (trajectory.outcomes, trajectory.baseline_retryable_failures) == ([ended(3, 1, TIMEOUT)], 0)

    def test_one_for_a_seed_of_the_open_iteration_is_of_the_baseline_for_good(self) -> None:
        trajectory = with_baseline(2.0)
        more, void, own = ended(2, 0, seed=1), ended(3, 0, void=True), ended(4, 1)
        for record in (more, void, own):
            trajectory.add(record)
        assert trajectory.baseline_outcomes[1:] == [more]
        assert (trajectory.extra_baseline, trajectory.voided, trajectory.outcomes) == ([more, void], [void], [own])
        compared = trajectory.comparison
        assert (compared.candidate, compared.baseline) == ([own], trajectory.baseline_outcomes)
        assert (compared.earlier_gains, compared.test) == ([], 1)


def closing(record: Event, *bpbs: float) -> Trajectory:
    """An iteration with these trials of its candidate, and something in every field that closing it empties."""
    trajectory = with_baseline()
    for seed, bpb in enumerate(bpbs):
        trajectory.add(ended(seed + 3, 1, measurement(bpb), seed=seed))
    for more in (ended(8, 0, seed=5), ended(9, 1, void=True), begun(10, 1, "a"), started("b"), begun(11)):
        trajectory.add(more)
    assert (trajectory.host_losses, len(trajectory.voided), len(trajectory.extra_baseline)) == (1, 1, 1)
    trajectory.add(record)
    return trajectory


class TestClosing:
    @pytest.mark.parametrize("kind", [Evaluated, Blocked])
    def test_it_empties_what_was_of_the_iteration(self, kind: type[Event]) -> None:
        trajectory = closing(first(kind), 1.9)
        assert (trajectory.proposed, trajectory.running, trajectory.outcomes, trajectory.voided) == (None, None, [], [])
        assert (trajectory.host_losses, trajectory.extra_baseline) == (0, [])
        assert list(trajectory.iterations) == [first(kind)]
        assert [r.iter for r in trajectory.results] == [first(kind).iter]
        assert trajectory.next_iter == 2

    def test_the_place_of_its_record_is_kept_instead_of_it(self) -> None:
        trajectory = with_baseline()
        trajectory.add(evaluated("keep"), 17)
        assert trajectory.iterations.places() == [17]
        trajectory.add(first(Blocked), 19)
        assert trajectory.iterations.places() == [17, 19]

    def test_gains_of_several_seeds_are_remembered(self) -> None:
        trajectory = closing(evaluated("keep"), 1.9, 2.0)
        assert trajectory.earlier_gains == [pytest.approx((0.1 / 2.05, 0.1 / 2.05))]
        assert trajectory.comparison.earlier_gains == trajectory.earlier_gains
        assert closing(evaluated("revert"), 1.9).earlier_gains == []

    def test_only_what_was_tried_spends_alpha(self) -> None:
        assert closing(evaluated("revert"), 1.9).candidates_tried == 1
        assert closing(failed(), 1.9).candidates_tried == 1
        refused = closing(first(Blocked))
        assert (refused.candidates_tried, refused.comparison.test) == (0, 1)
        refused.add(evaluated("keep"))
        assert (refused.candidates_tried, refused.comparison.test) == (1, 2)

    def test_a_failed_one_has_no_gains(self) -> None:
        assert closing(failed(), 1.9, 2.0).earlier_gains == []

    def test_the_lowest_measurement_only_falls(self) -> None:
        assert closing(evaluated("keep"), 1.8, 1.7).lowest == 1.7
        assert closing(evaluated("keep"), 2.4).lowest == 2.0
        assert closing(first(Blocked)).lowest == 2.0

    def test_the_best_is_a_keep(self) -> None:
        assert closing(evaluated("revert"), 1.9).best is None
        trajectory = closing(evaluated("keep"), 1.9)
        assert trajectory.best == evaluated("keep")
        for gain, best in ((0.001, evaluated("keep").improvement_frac), (0.5, 0.5), (0.4, 0.5)):
            trajectory.add(evaluated("keep").model_copy(update={"improvement_frac": gain}))
            assert trajectory.best is not None
            assert trajectory.best.improvement_frac == best

    def test_the_best_lower_bound_comes_first(self) -> None:
        assert closing(evaluated("revert"), 1.9).finalists == []
        trajectory = closing(evaluated("keep"), 1.9)
        better = evaluated("keep").model_copy(update={"evidence": None, "improvement_frac": 0.9})
        trajectory.add(better)
        assert trajectory.finalists == [better, evaluated("keep")]

    def test_full_curves_are_kept_with_their_kind_the_latest_of_many(self) -> None:
        def with_curve(bpb: float, *losses: float) -> Outcome:
            return measurement(bpb).model_copy(update={"train_loss_curve": losses})

        trajectory = Trajectory.fold([first(Meta), ended(1, 0, with_curve(2.0, 4.0, 2.0)), first(Baseline)])
        for n in range(MAX_CURVES + 2):
            trajectory.add(first(Proposed))
            trajectory.add(ended(2, 1, with_curve(1.0, 2.0, 2.0 + n)))
            trajectory.add(evaluated("keep"))
        keep, baseline = evaluated("keep").proposal, first(Meta).baseline_cfg
        assert len(trajectory.curves) == MAX_CURVES
        assert trajectory.curves[0] == Curve((0.5, -1.0), 0.5, kind_of(keep, baseline))
        assert trajectory.curves[-1].gaps == (0.5, -(MAX_CURVES + 1) / 2.0)
        assert kind_of(keep, baseline) != kind_of(keep, {})

    def test_what_a_command_took_is_remembered_for_the_baseline_and_each_candidate(self) -> None:
        command = CommandYardstick.model_construct(seeded=True)
        meta = first(Meta)
        yardstick = meta.yardstick.model_copy(update={"command": command})
        trajectory = Trajectory.fold([meta.model_copy(update={"yardstick": yardstick}), ended(1, 0), first(Baseline)])
        for record in (first(Proposed), ended(2), evaluated("keep"), first(Proposed), ended(3), evaluated("revert")):
            trajectory.add(record)
        knobs = [None, evaluated("keep").proposal.knob, evaluated("revert").proposal.knob]
        assert [cost.knob for cost in trajectory.costs] == knobs
        assert closing(evaluated("keep"), 1.9).costs == [], "of the other trainers R7 computes the costs"

    def test_totals_count_and_do_not_remember(self) -> None:
        totals = Totals.fold(night())
        assert (list(totals.iterations), totals.results, totals.candidates_tried) == ([], [], 2)


def failed(cause: Cause = Cause.TIMEOUT) -> EvalFailed:
    """The keep's candidate, as one that failed."""
    own = {name: getattr(evaluated("keep"), name) for name in EvalFailed.model_fields if name in Evaluated.model_fields}
    failure = {"stage": "eval_failed", "cause": cause, "eval_metrics": Failure(cause=cause, detail="x")}
    return EvalFailed.model_construct(**own | {"val_bpb": None} | failure)


class TestSeveralAtWork:
    @pytest.mark.parametrize(("workers", "parallel"), [(None, False), (1, False), (2, True), (8, True)])
    def test_a_run_of_several_workers_stays_one(self, workers: int | None, parallel: bool) -> None:
        trajectory = Trajectory.fold([first(Meta), started().model_copy(update={"workers": workers})])
        assert (trajectory.parallel, trajectory.at_iter) == (parallel, 0)
        trajectory.add(started())
        assert trajectory.parallel is parallel

    def test_the_rails_know_what_is_open_of_several(self) -> None:
        trajectory = with_baseline()
        assert list(trajectory.known().pending) == []
        trajectory.add(started().model_copy(update={"workers": 2}))
        assert list(trajectory.known().pending) == [first(Proposed).candidate_cfg]

    def test_a_start_moves_the_focus_to_the_baseline_only_while_that_is_open(self) -> None:
        trajectory = with_baseline()
        trajectory.add(started().model_copy(update={"workers": 2}))
        assert (trajectory.at_iter, trajectory.proposed) == (1, first(Proposed))

    def test_a_closed_candidate_has_the_trials_of_its_record_in_their_order(self) -> None:
        trajectory = with_baseline()
        trajectory.add(started().model_copy(update={"workers": 2}))
        for trial, seed, bpb in ((5, 1, 1.8), (4, 0, 1.9), (6, 2, 1.7)):
            trajectory.add(begun(trial))
            trajectory.add(ended(trial, 1, measurement(bpb), seed=seed))
        trajectory.add(begun(7))
        trajectory.add(evaluated("keep").model_copy(update={"trials": (4, 5)}))
        assert trajectory.earlier_gains == [pytest.approx((0.1 / 2.05, 0.3 / 2.05))]
        assert trajectory.lowest == 1.8, "trial 6 was measured ahead of need and is left out"
        assert trajectory.spare == {7}

    @pytest.mark.parametrize(("boot_id", "tries"), [("boot", 0), ("another", 1)])
    def test_a_side_trial_is_lost_with_the_machine_only(self, boot_id: str, tries: int) -> None:
        trajectory = with_baseline()
        side = {"side_trial": 1, "purpose": "race", "iter": 1, "seed": 0, "cfg": {}, "boot_id": "boot"}
        trajectory.add(SideTrialStarted.model_construct(stage="side_trial_started", ts=TS, continues=False, **side))
        trajectory.add(started(boot_id))
        assert (trajectory.side_tries, trajectory.side_running) == (tries, None)


class TestTried:
    def test_one_that_was_stopped_early_is_known_with_the_place(self) -> None:
        keep = evaluated("keep")
        at = StopPoint(fraction=0.25, loss=5.0, limit=4.5)
        stopped = StoppedEarly.model_construct(
            **{name: getattr(keep, name) for name in CandidateTried.model_fields},
            stage="stopped_early",
            eval_metrics=EarlyStop.model_construct(stopped_early=at),
        )
        trajectory = closing(stopped)
        assert trajectory.known().find(keep.candidate_cfg).endswith(f": {at.describe()}")
        assert trajectory.candidates_tried == 1

    def test_a_measured_one_is_known(self) -> None:
        trajectory = closing(evaluated("keep"), 1.9)
        assert trajectory.known().find(evaluated("keep").candidate_cfg).endswith(": measured")

    def test_a_failure_for_good_is_known_at_once(self) -> None:
        trajectory = closing(failed(Cause.CRASHED))
        assert trajectory.known().find(failed().candidate_cfg).endswith(": failed (crashed)")

    def test_one_that_chance_may_have_caused_the_second_time(self) -> None:
        trajectory = closing(failed())
        assert trajectory.known().find(failed().candidate_cfg) == ""
        trajectory.add(failed())
        assert trajectory.known().find(failed().candidate_cfg).endswith(": failed (timeout)")

    def test_a_damaged_log_without_its_meta_record_is_shown_too(self) -> None:
        trajectory = Trajectory.fold([evaluated("keep"), failed()])
        assert (trajectory.tried, len(trajectory.iterations)) == (None, 2)


class TestVault:
    def test_a_confirmed_keep_is_sealed_with_its_trials(self) -> None:
        own = (ended(3, 1, measurement(1.9)),)
        assert closing(evaluated("keep"), 1.9).sealed == SealedKeep(evaluated("keep"), own)

    @pytest.mark.parametrize("change", [{"decision": "revert"}, {"evidence": None}])
    def test_nothing_else_is(self, change: dict[str, Literal["revert"] | None]) -> None:
        assert closing(evaluated("keep").model_copy(update=change), 1.9).sealed is None

    def test_trials_for_the_vault_are_in_no_verdict(self) -> None:
        trajectory = closing(evaluated("keep"), 1.9)
        own, baseline, void = ended(12, 1, seed=1), ended(13, 0, seed=2), ended(14, 0, seed=3, void=True)
        before = list(trajectory.baseline_outcomes)
        for record in (own, baseline, void):
            trajectory.add(record)
        assert trajectory.sealed == SealedKeep(evaluated("keep"), (ended(3, 1, measurement(1.9)), own))
        assert (trajectory.vault_baseline, trajectory.voided) == ([baseline], [void])
        assert (trajectory.outcomes, trajectory.baseline_outcomes) == ([], before)
        assert trajectory.baseline_for_vault == [baseline, *before]

    def test_it_is_unsealed_once(self) -> None:
        trajectory = closing(evaluated("keep"), 1.9)
        for more in (ended(12, 0, void=True), begun(13, 1, "b"), started("c"), begun(14)):
            trajectory.add(more)
        assert (trajectory.host_losses, len(trajectory.extra_baseline)) == (1, 1)
        trajectory.add(Unsealed.model_construct(power={}))
        assert trajectory.unsealed == {sha256_of(evaluated("keep").candidate_cfg)}
        assert (trajectory.sealed, trajectory.running, trajectory.voided) == (None, None, [])
        assert (trajectory.extra_baseline, trajectory.host_losses) == ([], 0)
        trajectory.add(evaluated("keep"))
        assert trajectory.sealed is None, "its configuration was unsealed before"

    def test_an_unsealing_without_a_sealed_keep_changes_nothing(self) -> None:
        trajectory = with_baseline()
        trajectory.add(Unsealed.model_construct(power={}))
        assert (trajectory.unsealed, trajectory.sealed) == (set(), None)

    def test_the_next_proposal_leaves_it_sealed_for_good(self) -> None:
        trajectory = closing(evaluated("keep"), 1.9)
        trajectory.add(first(Proposed))
        assert (trajectory.sealed, trajectory.proposed) == (None, first(Proposed))


class TestIsBetter:
    def better(self, one: dict[str, Any], *without: str) -> bool:
        """Whether ``one`` is better than a gain of 5% at 1.9 bits; without evidence of the sides that are named."""
        like = {"val_bpb": 1.9, "improvement_frac": 0.05}
        sides = {name: evaluated("keep").model_copy(update=like | (one if name == "one" else {}))
                 for name in ("one", "other")}  # fmt: skip
        sides |= {name: sides[name].model_copy(update={"evidence": None}) for name in without}
        return is_better(sides["one"], sides["other"])

    def test_with_evidence_the_larger_gain(self) -> None:
        assert self.better({"val_bpb": 2.5, "improvement_frac": 0.06})
        assert not self.better({"val_bpb": 1.5, "improvement_frac": 0.04})
        assert not self.better({})

    @pytest.mark.parametrize("without", [("one",), ("other",), ("one", "other")])
    def test_without_it_on_either_side_the_lower_bits(self, without: tuple[str, ...]) -> None:
        assert not self.better({"val_bpb": 2.5, "improvement_frac": 0.06}, *without)
        assert self.better({"val_bpb": 1.5, "improvement_frac": 0.04}, *without)
        assert not self.better({"improvement_frac": 0.06}, *without)
