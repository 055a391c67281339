"""Several trials at work: what is recorded, in any order of arrival and after a kill at any record."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.benches.fleet.simulated_executor import SimulatedExecutor, VirtualClock
from autoresearch.config.settings import Settings
from autoresearch.core import parallel_loop
from autoresearch.core.confirmation import Standing, standing_of
from autoresearch.core.decision import Comparison
from autoresearch.core.executor import TrialOrder
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Exhausted, Reply
from autoresearch.core.records import (
    Attempt,
    Baseline,
    DecisionRule,
    EvalFailed,
    Evaluated,
    Proposed,
    Started,
    Stopped,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
    Unsealed,
    decode,
    encode,
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg, sha256_of
from autoresearch.daemon.run_reader import RUN
from autoresearch.errors import BaselineFailed
from autoresearch.report.verify import verify
from autoresearch.storage.fold_state import capture, restore
from autoresearch.testing.fake_control import FakeControl
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial, fake_bpb
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.memory_vault import MemoryVault
from autoresearch.testing.scripted_proposer import ScriptedProposer
from tests.examples import examples
from tests.unit.core.loop_world import BETTER, NO_BETTER, Killed, MortalJournal, records, say, stages

Make = Callable[..., Settings]
BAD = say("lr", 9e-3)
CANDIDATES = [BETTER, NO_BETTER, say("lr", 2e-3), say("beta1", 0.95), say("lr", 4e-3), BAD, say("lr", 5e-3)]


def fails(cfg: Cfg) -> Failure | None:
    return Failure(cause=Cause.ERROR, detail="it diverged") if cfg["lr"] == 9e-3 else None


@dataclass
class ByNumber:
    """A proposer whose proposal depends on the number of the iteration alone, whenever it is asked."""

    name: str = "script"
    pending: list[list[Cfg]] = field(default_factory=list)

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        if trajectory.new_iter > len(CANDIDATES) or refused:
            raise Exhausted("the script is over")
        self.pending.append(trajectory.pending)
        return Reply(CANDIDATES[trajectory.new_iter - 1], self.name)


@pytest.fixture
def make_settings(make_settings: Make) -> Make:
    fixed = {"decision.rule": "sequential", "baseline.lr": 3e-4}
    return lambda changes=None, **flags: make_settings(fixed | (changes or {}), **flags)


def parallel(
    settings: Settings,
    workers: int = 4,
    order: int = 0,
    proposer: Any = None,
    trajectory: Trajectory | None = None,
    trial: FakeTrial | None = None,
    payloads: Sequence[str] = (),
    boot_id: str = "boot",
    takes: Callable[[TrialOrder], float] | None = None,
) -> Any:
    """The loop over simulated workers whose trials take random times of seed ``order``, or what ``takes`` says."""
    draw = random.Random(order)
    clock, control = VirtualClock(), FakeControl()
    executor = SimulatedExecutor(
        trial or FakeTrial(fail=fails),
        workers,
        takes or (lambda _order: draw.uniform(1.0, 9.0)),
        clock,
        suspend_requested=lambda: loop.control.suspend_requested(),
    )
    proposer = proposer or ByNumber()
    loop = fake_loop(settings, proposer, executor.trial, trajectory=trajectory, executor=executor)
    loop.clock, loop.control, loop.boot_id = clock, control, boot_id
    if trajectory is not None:
        loop.journal = MemoryJournal(list(payloads))
    loop.record(started(boot_id, settings.iters, workers))
    return loop


def started(boot_id: str, iters: int, workers: int) -> Started:
    fields = {"pid": 2, "host": "desk", "autoresearch_version": "0", "proposer": "script", "workers": workers}
    return Started(ts="now", boot_id=boot_id, iters_requested=iters, **fields)


def check_whole(found: Sequence[Any], iters: int) -> None:
    """What must hold of the records of any complete run."""
    closed = [r for r in found if isinstance(r, Evaluated | EvalFailed)]
    assert sorted(r.iter for r in closed) == list(range(1, iters + 1)), "none lost, none doubled"
    assert [r.iter for r in found if isinstance(r, Proposed)] == list(range(1, iters + 1))
    ends = [(r.iter, r.seed, r.for_iter) for r in found if isinstance(r, TrialEnded) and not r.void]
    assert max(Counter(ends).values()) == 1, "no trial is measured twice"
    numbers = [r.trial for r in found if isinstance(r, TrialEnded)]
    assert len(set(numbers)) == len(numbers)
    assert {sha256_of(r.candidate_cfg) for r in closed} == {
        sha256_of(r.candidate_cfg) for r in found if isinstance(r, Proposed)
    }
    for r in closed:
        if isinstance(r, Evaluated) and r.evidence:
            assert r.evidence.test == r.iter, "the tests are numbered by iteration, whatever ends first"
            pairs = {t.trial: t for t in found if isinstance(t, TrialEnded)}
            assert [pairs[t].seed for t in r.trials] == list(r.evidence.seeds)
    assert verify(found).difference is None
    assert Trajectory.fold(found).candidates == []


def verdicts(found: Sequence[Any]) -> dict[int, Any]:
    return {r.iter: r.decision for r in found if isinstance(r, Evaluated)} | {
        r.iter: r.cause for r in found if isinstance(r, EvalFailed)
    }


@pytest.mark.parametrize("slow", [1, 3])
def test_a_straggler_does_not_hold_up_the_verdicts_of_others(make_settings: Make, slow: int) -> None:
    loop = parallel(make_settings(iters=5), takes=lambda order: 1000.0 if order.iter == slow else 1.0)
    assert loop.run() == "complete"
    closed = [r.iter for r in records(loop) if isinstance(r, Evaluated)]
    assert closed[-1] == slow
    assert sorted(closed) == [1, 2, 3, 4, 5]


class TestOneWorker:
    @pytest.mark.parametrize("rule", ["threshold", "sequential"])
    def test_it_records_what_the_serial_loop_records(self, make_settings: Make, rule: str) -> None:
        """But for the clock and where it says which iteration needs a trial of the baseline."""
        chosen = make_settings({"decision.rule": rule}, iters=len(CANDIDATES))
        serial = fake_loop(chosen, ByNumber(), FakeTrial(fail=fails))
        several = parallel(chosen, workers=1)
        assert serial.run() == several.run() == "complete"
        assert stages(serial) == [s for s in stages(several) if s != "started"]
        kinds = (TrialStarted, TrialEnded, Proposed, Evaluated, EvalFailed, Baseline)
        clocks = {"ts", "iter_wall_s", "overhead_s", "propose_wall_s", "wall_s", "trial_wall_s"}
        plain = [
            [r.model_dump(exclude=clocks | {"for_iter"}) for r in records(loop) if isinstance(r, kinds)]
            for loop in (serial, several)
        ]
        assert plain[0] == plain[1]

    def test_a_serial_run_has_none_of_the_new_fields(self, make_settings: Make) -> None:
        loop = fake_loop(make_settings(iters=2), ByNumber())
        loop.run()
        assert not any("for_iter" in line or '"workers"' in line for line in loop.journal.payloads)


class TestSeveralWorkers:
    def test_all_are_used_and_the_baselines_seeds_run_side_by_side(self, make_settings: Make) -> None:
        loop = parallel(make_settings(iters=7), workers=4)
        assert loop.run() == "complete"
        found = records(loop)
        check_whole(found, 7)
        first = [s for s in stages(loop) if s in {"trial_started", "trial"}]
        assert first[:3] == ["trial_started"] * 3, "three seeds of the baseline at once"
        most = at = 0
        for record in found:
            at += isinstance(record, TrialStarted)
            at -= isinstance(record, TrialEnded)
            most = max(most, at)
        assert most == 4
        assert [r.iter for r in found if isinstance(r, Evaluated)] != sorted(
            r.iter for r in found if isinstance(r, Evaluated)
        ), "the closings are in the order of events"

    def test_a_result_says_how_many_were_known_when_it_was_proposed(self, make_settings: Make) -> None:
        loop = parallel(make_settings(iters=7), workers=3, order=1)
        loop.run()
        found, closed, then = records(loop), 0, {}
        for record in found:
            if isinstance(record, Proposed):
                then[record.iter] = closed
            closed += isinstance(record, Evaluated | EvalFailed)
        assert {r.iter: r.known for r in Trajectory.fold(found).results} == then
        assert 0 < max(then.values()) < 6, "some were proposed before others were known"

    def test_what_is_pending_is_known_and_refused(self, make_settings: Make) -> None:
        script = ScriptedProposer([BETTER, BETTER, BETTER, NO_BETTER])
        loop = parallel(make_settings({"limits.max_attempts": 1}, iters=4), workers=4, proposer=script)
        loop.run()
        blocked = [r for r in records(loop) if r.stage == "blocked"]
        assert any("is being measured in this run" in r.reason for r in blocked)
        assert len([r for r in records(loop) if isinstance(r, Proposed)]) == 2

    @pytest.mark.parametrize("rule", ["threshold", "sequential"])
    def test_a_candidate_is_looked_at_anew_where_a_trial_of_it_or_of_the_baseline_ended(
        self, make_settings: Make, monkeypatch: pytest.MonkeyPatch, rule: str
    ) -> None:
        """However many are open: the cost of a turn does not grow with the square of the number of workers."""
        looks = Counter[int]()

        def count(compared: Comparison, chosen: DecisionRule) -> Standing:
            looks[compared.test] += 1
            return standing_of(compared, chosen)

        monkeypatch.setattr(parallel_loop, "standing_of", count)
        loop = parallel(make_settings({"decision.rule": rule}, iters=7), workers=7, order=2)
        assert loop.run() == "complete"
        ends = [r for r in records(loop) if isinstance(r, TrialEnded)]
        of_baseline = sum(r.iter == 0 for r in ends)
        own = Counter(r.iter for r in ends if r.iter)
        assert looks.keys() == own.keys()
        assert all(count <= 2 + own[n] + of_baseline for n, count in looks.items())
        assert rule == "sequential" or max(looks.values()) == 2

    def test_needed_trials_start_before_new_proposals(self, make_settings: Make) -> None:
        """Once a first seed is promising, its second starts before another candidate is proposed."""
        loop = parallel(make_settings(iters=7), workers=2, order=3)
        loop.run()
        found = records(loop)
        for place, record in enumerate(found):
            if isinstance(record, Proposed):
                before = Trajectory.fold(found[:place])
                waiting = [n for n in before.candidates if not any(t.iter == n for t in before.trials_at_work)]
                for n in waiting:  # only one that waits for a seed of the baseline, which is at work
                    assert any(t.iter == 0 for t in before.trials_at_work), n

    def test_a_failing_baseline_ends_the_run_and_leaves_nothing_running(self, make_settings: Make) -> None:
        trial = FakeTrial(fail=lambda _cfg: Failure(cause=Cause.ERROR, detail="no"))
        loop = parallel(make_settings(iters=2), trial=trial)
        with pytest.raises(BaselineFailed):
            loop.run()
        assert isinstance(records(loop)[-1], Stopped)
        assert loop.executor.poll(0.0) == ()

    def test_what_the_end_of_a_run_needs_is_measured_once_all_is_closed(self, make_settings: Make) -> None:
        loop, open_then = parallel(make_settings(iters=3), workers=3), []
        loop.at_end = lambda ended: open_then.append((ended.trajectory.candidates, list(ended.at_work)))
        assert loop.run() == "complete"
        assert open_then == [([], [])]

    def test_keeps_are_unsealed_and_no_verdict_rests_on_a_vaults_trials(self, make_settings: Make) -> None:
        loop = parallel(make_settings(iters=7), workers=3)
        loop.vault = MemoryVault()
        assert loop.run() == "complete"
        found = records(loop)
        keeps = [r.iter for r in found if isinstance(r, Evaluated) and r.decision == "keep"]
        assert keeps
        assert sorted(r.iter for r in found if isinstance(r, Unsealed)) == sorted(keeps)
        assert verify(found).difference is None
        assert Trajectory.fold(found).vaults == []


class TestABrokenProposer:
    def test_its_own_failure_ends_the_run_once_what_runs_is_finished(self, make_settings: Make) -> None:
        class Broken(ByNumber):
            def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
                if trajectory.new_iter > 2:
                    raise RuntimeError("the model is gone")
                return super().propose(trajectory, refused)

        loop = parallel(make_settings(iters=20), workers=3, order=1, proposer=Broken())
        ending = loop.run()
        assert ending.startswith("the proposer failed 5 times in a row: ")
        assert "the model is gone" in ending
        found = records(loop)
        assert sum(isinstance(r, TrialStarted) for r in found) == sum(isinstance(r, TrialEnded) for r in found)
        assert sorted(r.iter for r in found if isinstance(r, Evaluated)) == [1, 2]
        assert sum(r.stage == "proposer_failed" for r in found) == 5


class TestPauseAndStop:
    def test_a_stop_waits_for_all_that_runs_and_starts_nothing(self, make_settings: Make) -> None:
        chosen = make_settings(iters=7)
        loop = parallel(chosen, workers=3)
        measure, count = loop.trial.measure, iter(range(100))

        def stop_at_fifth(*args: Any, **kw: Any) -> Any:
            if next(count) == 5:
                loop.control.stop = "SIGTERM"
            return measure(*args, **kw)

        loop.executor.trial = type("T", (), {"measure": staticmethod(stop_at_fifth)})()
        assert loop.run() == "SIGTERM"
        found = records(loop)
        assert isinstance(found[-1], Stopped)
        assert Trajectory.fold(found).trials_at_work == []
        assert sum(isinstance(r, TrialStarted) for r in found) == sum(isinstance(r, TrialEnded) for r in found)
        again = parallel(chosen, 3, trajectory=Trajectory.fold(found), payloads=loop.journal.payloads)
        assert again.run() == "complete"
        check_whole(records(again), 7)

    def test_a_pause_suspends_every_running_trial_and_each_resumes_under_its_number(self, make_settings: Make) -> None:
        loop = parallel(make_settings(iters=7), workers=3)
        loop.control.now = True
        progressed = iter(range(100))

        def pause_at_fifth(_progress: object) -> None:
            if next(progressed) == 5:
                loop.control.pause = "pause.flag is there"

        loop.observer.progressed = pause_at_fifth
        assert loop.run() == "complete"
        found = records(loop)
        aside = [r.trial for r in found if isinstance(r, TrialSuspended)]
        assert len(aside) >= 2
        place = stages(loop).index("paused")
        assert Trajectory.fold(found[:place]).trials_at_work == []
        resumed = [r.trial for r in found[place:] if isinstance(r, TrialStarted) and r.continues]
        assert sorted(aside) == sorted(resumed)
        check_whole(found, 7)


@given(order=st.integers(0, 10**6), workers=st.integers(1, 9))
@settings(max_examples=examples(25), deadline=None)
def test_any_order_of_arrival_gives_a_whole_run_and_the_same_verdicts(order: int, workers: int) -> None:
    chosen = settings_of("threshold")
    loop = parallel(chosen, workers, order)
    assert loop.run() == "complete"
    check_whole(records(loop), len(CANDIDATES))
    assert verdicts(records(loop)) == verdicts(records(serial_run("threshold")))


@given(rule=st.sampled_from(["sequential", "best"]), order=st.integers(0, 10**6), workers=st.integers(2, 6))
@settings(max_examples=examples(10), deadline=None)
def test_under_rule_sequential_a_replay_of_the_records_decides_the_same(rule: str, order: int, workers: int) -> None:
    loop = parallel(settings_of(rule), workers, order)
    loop.vault = MemoryVault()
    assert loop.run() == "complete"
    check_whole(records(loop), len(CANDIDATES))


def survive(order: int, kills: Sequence[tuple[int, int]]) -> None:
    """Run to the end; each start but the last has its workers, and dies after so many records of its own."""
    payloads: list[str] = []
    trajectory: Trajectory | None = None
    for start, (workers, lives) in enumerate([*kills, (3, 10**6)]):
        loop = parallel(settings_of("sequential"), workers, order + start, trajectory=trajectory, payloads=payloads)
        loop.vault = MemoryVault()
        loop.journal = MortalJournal(list(loop.journal.payloads), last=len(loop.journal.payloads) + lives)
        try:
            ending = loop.run()
        except Killed:
            ending = "killed"
        payloads = loop.journal.payloads
        trajectory = Trajectory.fold(map(decode, payloads))
        if ending == "complete":
            break
    assert ending == "complete"
    found = [decode(p) for p in payloads]
    check_whole(found, len(CANDIDATES))
    keeps = [r.iter for r in found if isinstance(r, Evaluated) and r.decision == "keep"]
    assert sorted(r.iter for r in found if isinstance(r, Unsealed)) == sorted(keeps)


@given(order=st.integers(0, 10**6), kills=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 60)), max_size=4))
@settings(max_examples=examples(15), deadline=None)
def test_killed_at_any_records_nothing_is_lost_or_doubled(order: int, kills: list[tuple[int, int]]) -> None:
    survive(order, kills)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_killed_at_every_record_nothing_is_lost_or_doubled(workers: int) -> None:
    for lives in range(1, 90):
        survive(lives, [(workers, lives)])


def test_a_cache_of_the_fold_holds_all_that_is_open(make_settings: Make) -> None:
    loop = parallel(make_settings(iters=7), workers=4)
    loop.run()
    found = records(loop)
    for place in range(len(found)):
        trajectory = Trajectory.fold(found[:place])
        state = capture(RUN, trajectory, iterations=[], tried=None, ends=[], last=None)
        back = restore(
            Trajectory(),
            RUN.model_validate_json(state.model_dump_json()),
            without=("iterations", "tried", "ends", "last"),
        )
        assert (back.parked, back.parked_trials) == (trajectory.parked, trajectory.parked_trials)
        assert (back.proposals, back.results) == (trajectory.proposals, trajectory.results)
        assert (back.candidates, back.test, back.at_iter) == (
            trajectory.candidates,
            trajectory.test,
            trajectory.at_iter,
        )


def test_a_serial_run_continues_with_several_workers(make_settings: Make) -> None:
    """At whichever record it is killed."""
    chosen = make_settings(iters=7)
    serial = fake_loop(chosen, ByNumber(), FakeTrial(fail=fails))
    serial.run()
    payloads = [encode(r) for r in records(serial)[:-1]]
    for last in range(1, len(payloads), 3):
        trajectory = Trajectory.fold(map(decode, payloads[:last]))
        again = parallel(chosen, 3, last, trajectory=trajectory, payloads=payloads[:last])
        assert again.run() == "complete"
        check_whole(records(again), 7)


SETTINGS: dict[str, Settings] = {}
SERIAL: dict[str, Loop] = {}


@pytest.fixture(autouse=True)
def _settings_for_properties(make_settings: Make) -> None:
    for rule in ("threshold", "sequential"):
        SETTINGS.setdefault(rule, make_settings({"decision.rule": rule}, iters=len(CANDIDATES)))
    only_best = {"decision.rule": "sequential", "decision.confirm": "best"}
    SETTINGS.setdefault("best", make_settings(only_best, iters=len(CANDIDATES)))


def settings_of(rule: str) -> Settings:
    return SETTINGS[rule]


def serial_run(rule: str) -> Loop:
    if rule not in SERIAL:
        SERIAL[rule] = fake_loop(settings_of(rule), ByNumber(), FakeTrial(fail=fails, bpb=fake_bpb))
        SERIAL[rule].run()
    return SERIAL[rule]
