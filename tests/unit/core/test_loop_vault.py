"""The vault in the loop: sealed while trials run, unsealed once for each keep, and the same after any kill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.loop import Loop
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import NullVault
from autoresearch.core.records import Evaluated, Event, TrialEnded, TrialStarted, Unsealed, decode
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.report.verify import verify
from autoresearch.storage.fold_state import capture, model_of, restore
from autoresearch.testing.fake_control import FakeControl
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial, fake_bpb
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.memory_vault import MemoryVault
from autoresearch.testing.scripted_proposer import ScriptedProposer
from tests.unit.core.loop_world import BETTER, NO_BETTER, Killed, MortalJournal, Reactions, only, records, say, started

Make = Callable[..., Settings]
SCRIPT = (BETTER, NO_BETTER, say("lr", 2e-3), say("beta1", 0.95))
SEEDS = 10  # of the vault: more than a keep has after its verdict, and than the baseline has


@pytest.fixture
def make_settings(make_settings: Make) -> Make:
    """Rule sequential, with alpha and baseline seeds at which every real gain of the script is confirmed."""
    fixed = {"decision.rule": "sequential", "baseline.lr": 3e-4, "decision.alpha": 0.4, "decision.baseline_seeds": 8}
    return lambda changes=None, **flags: make_settings(fixed | (changes or {}), **flags)


def half(cfg: Cfg, seed: int) -> float:
    """On the test split a configuration gains half of what it gains on the validation span."""
    return 1.0 + fake_bpb(cfg, seed) / 2


def night(settings: Settings, seeds: int = SEEDS, trial: FakeTrial | None = None) -> Loop:
    loop = fake_loop(settings, ScriptedProposer(list(SCRIPT)), trial or FakeTrial(test_bpb=half))
    loop.vault = MemoryVault(seeds)
    return loop


def continued(loop: Loop, settings: Settings) -> Loop:
    """Another daemon on the same journal and the same vault."""
    known = [decode(payload) for payload in loop.journal.payloads]  # type: ignore[attr-defined]
    proposals = sum(r.stage == "proposed" for r in known)
    again = fake_loop(
        settings, ScriptedProposer(list(SCRIPT[proposals:])), loop.trial, trajectory=Trajectory.fold(known)
    )
    again.journal, again.vault = MemoryJournal(list(loop.journal.payloads)), loop.vault  # type: ignore[attr-defined]
    again.record(started("boot", settings.iters))
    return again


def story(loop: Loop) -> list[tuple[Any, ...]]:
    """Verdicts and vaults, without the numbers of trials, which a kill moves on."""
    numbers = {"ts", "power", "trials", "baseline_trials"}
    return [
        (r.stage, r.iter, r.decision, r.improvement_frac, r.reason)
        if isinstance(r, Evaluated)
        else (r.stage, r.model_dump(exclude=numbers))
        for r in records(loop)
        if isinstance(r, Evaluated | Unsealed)
    ]


class TestUnsealing:
    def test_each_keep_is_unsealed_once_right_after_its_verdict(self, make_settings: Make) -> None:
        loop = night(make_settings(iters=4))
        loop.run()
        kept = [r.iter for r in only(Evaluated, loop) if r.decision == "keep"]
        assert kept == [1, 3]
        assert [r.iter for r in only(Unsealed, loop)] == kept
        assert [r.stage for r in records(loop) if isinstance(r, Evaluated | Unsealed)] == [
            "evaluated", "vault", "evaluated", "evaluated", "vault", "evaluated"
        ]  # fmt: skip

    def test_both_sides_have_the_seeds_that_it_needs(self, make_settings: Make) -> None:
        loop = night(make_settings(iters=1))
        loop.run()
        (kept,), (unsealed,) = only(Evaluated, loop), only(Unsealed, loop)
        assert kept.evidence is not None
        assert len(kept.evidence.seeds) < SEEDS
        assert unsealed.seeds == tuple(range(SEEDS))
        by_trial = {t.trial: (t.iter, t.seed) for t in only(TrialEnded, loop)}
        assert [by_trial[t] for t in unsealed.trials] == [(1, s) for s in range(SEEDS)]
        assert [by_trial[t] for t in unsealed.baseline_trials] == [(0, s) for s in range(SEEDS)]
        assert unsealed.val_gain_frac == pytest.approx(0.025, abs=0.002)
        assert unsealed.test_gain_frac == pytest.approx(0.0125, abs=0.001)

    def test_a_keep_with_enough_seeds_costs_no_further_trial(self, make_settings: Make) -> None:
        loop = night(make_settings(iters=1), seeds=4)
        loop.run()
        (kept,), (unsealed,) = only(Evaluated, loop), only(Unsealed, loop)
        assert unsealed.trials == kept.trials
        assert len(only(TrialStarted, loop)) == 8 + len(kept.trials)

    def test_its_trials_change_no_verdict_neither_that_of_the_keep_nor_a_later_one(self, make_settings: Make) -> None:
        with_vault, without = night(make_settings(iters=4)), night(make_settings(iters=4))
        without.vault = NullVault()
        with_vault.run()
        without.run()
        assert [s for s in story(with_vault) if s[0] == "evaluated"] == story(without)
        assert only(Unsealed, without) == []
        assert verify(records(with_vault)).difference is None

    def test_rule_threshold_unseals_nothing(self, make_settings: Make) -> None:
        loop = night(make_settings({"decision.rule": "threshold"}, iters=1))
        loop.run()
        assert [r.decision for r in only(Evaluated, loop)] == ["keep"]
        assert only(Unsealed, loop) == []

    def test_a_configuration_is_not_unsealed_twice(self, make_settings: Make) -> None:
        loop = night(make_settings(iters=1))
        loop.run()
        log = records(loop)
        (keep,) = only(Evaluated, loop)
        assert Trajectory.fold(log[: log.index(keep) + 1]).sealed is not None
        assert Trajectory.fold([*log, keep.model_copy(update={"iter": 2})]).sealed is None

    def test_a_failed_trial_leaves_the_vault_with_fewer_seeds(self, make_settings: Make) -> None:
        class Fails(FakeTrial):
            def measure(self, cfg: Cfg, seed: int, *rest: Any) -> Any:
                if seed == 9:
                    return Failure(cause=Cause.TIMEOUT, detail="late")
                return FakeTrial.measure(self, cfg, seed, *rest)

        loop = night(make_settings(iters=1), trial=Fails(test_bpb=half))
        assert loop.run() == "complete"
        (unsealed,) = only(Unsealed, loop)
        assert len(unsealed.seeds) == 9

    def test_a_lost_value_is_named_and_ends_nothing(self, make_settings: Make) -> None:
        loop = night(make_settings(iters=1))
        assert isinstance(loop.vault, MemoryVault)

        def lose(event: Event) -> None:
            if isinstance(event, TrialEnded):
                loop.vault.sealed.pop(1, None)  # type: ignore[attr-defined]

        loop.observer = Reactions(react=lose)
        assert loop.run() == "complete"
        (unsealed,) = only(Unsealed, loop)
        assert (unsealed.missing, len(unsealed.seeds)) == ((1,), SEEDS - 1)


class TestSealing:
    def test_every_measured_trial_is_sealed_under_its_number(self, make_settings: Make) -> None:
        loop = night(make_settings(iters=4))
        loop.run()
        assert isinstance(loop.vault, MemoryVault)
        assert loop.vault.sealed.keys() == {t.trial for t in only(TrialEnded, loop)}

    def test_no_sealed_value_is_in_the_trajectory(self, make_settings: Make) -> None:
        loop = night(make_settings(iters=4))
        loop.run()
        log = "\n".join(loop.journal.payloads)  # type: ignore[attr-defined]
        assert isinstance(loop.vault, MemoryVault)
        assert [v for v in loop.vault.sealed.values() if repr(v) in log] == []

    def test_nothing_reads_it_but_the_unsealing_of_a_keep(self, make_settings: Make) -> None:
        loop = night(make_settings(iters=4))
        loop.run()
        assert isinstance(loop.vault, MemoryVault)
        own = [{*r.trials, *r.baseline_trials} for r in only(Unsealed, loop)]
        assert loop.vault.read == own

    def test_a_proposer_does_not_see_what_was_unsealed(self, make_settings: Make) -> None:
        loop = night(make_settings(iters=4))
        loop.run()
        gains = [r.test_gain_frac for r in only(Unsealed, loop)]
        assert all(gains)
        assert not any(str(gain) in repr(loop.trajectory) for gain in gains)


class TestResuming:
    @pytest.mark.parametrize("seeds", [4, SEEDS])
    def test_a_kill_after_any_record_gives_the_same_vaults(self, make_settings: Make, seeds: int) -> None:
        settings = make_settings(iters=4)
        undisturbed = night(settings, seeds)
        undisturbed.run()
        assert sum(s[0] == "vault" for s in story(undisturbed)) == 2
        for last in range(2, len(records(undisturbed))):
            loop = night(settings, seeds)
            loop.journal = MortalJournal(list(loop.journal.payloads), last=last)  # type: ignore[attr-defined]
            with pytest.raises(Killed):
                loop.run()
            again = continued(loop, settings)
            assert again.run() == "complete"
            assert story(again) == story(undisturbed), f"killed after record {last}"
            measured = [(t.iter, t.seed) for t in only(TrialEnded, again)]
            assert len(measured) == len(set(measured)), "no trial was run twice"

    def test_stopped_between_its_trials_it_continues(self, make_settings: Make) -> None:
        settings = make_settings(iters=1)
        loop = night(settings)
        loop.control = control = FakeControl()

        def stop_after_the_verdict(event: Event) -> None:
            control.stop = "SIGTERM" if isinstance(event, Evaluated) else ""

        loop.observer = Reactions(react=stop_after_the_verdict)
        assert loop.run() == "SIGTERM"
        assert only(Unsealed, loop) == []
        again = continued(loop, settings)
        assert again.run() == "complete"
        assert len(only(Unsealed, again)) == 1


def test_the_state_of_a_sealed_keep_survives_the_cache_of_a_long_run(make_settings: Make) -> None:
    """The cache keeps the fields of a trajectory as JSON."""
    state = model_of(Trajectory, without=("iterations", "tried"))
    loop = night(make_settings(iters=4))
    loop.run()
    trajectory, sealed = Trajectory(), 0
    for record in records(loop):
        trajectory.add(record)
        sealed += trajectory.sealed is not None
        text = capture(state, trajectory).model_dump_json()
        found = restore(Trajectory(), state.model_validate_json(text))
        for name in ("sealed", "unsealed", "vault_baseline"):
            assert getattr(found, name) == getattr(trajectory, name), f"{name} after {record.stage}"
    assert sealed > 4
