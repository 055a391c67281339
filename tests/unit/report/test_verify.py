"""``verify``: every verdict from its trials, and every trial from the verdicts before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autoresearch.config.settings import Settings
from autoresearch.core.decision import decide
from autoresearch.core.measurement import Outcome
from autoresearch.core.metric import Metric
from autoresearch.core.records import Baseline, Evaluated, TrialEnded, TrialStarted
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.report.verify import verify
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial, fake_bpb, measurement
from autoresearch.testing.scripted_proposer import ScriptedProposer
from tests.unit.core.loop_world import BETTER, NO_BETTER, records, say

Make = Callable[..., Settings]


class Accuracy(FakeTrial):
    """Measures an accuracy, of which more is better."""

    def measure(self, cfg: Cfg, seed: int, *_: Any) -> Outcome:
        metric = Metric(name="accuracy", value=3.0 - fake_bpb(cfg, seed), direction="higher")
        return measurement(2.0).model_copy(update={"val_bpb": None, "val_nats_per_token": None, "metric": metric})


def run(make_settings: Make, trial: FakeTrial | None = None) -> list[Any]:
    changes = {"decision.rule": "sequential", "baseline.lr": 3e-4}
    settings = make_settings(changes, iters=3)
    loop = fake_loop(settings, ScriptedProposer([NO_BETTER, BETTER, say("beta1", 0.95)]), trial)
    loop.run()
    return records(loop)


def changed(run: list[Any], kind: type, place: int, **values: Any) -> list[Any]:
    at = [n for n, r in enumerate(run) if isinstance(r, kind)][place]
    return [r.model_copy(update=values) if n == at else r for n, r in enumerate(run)]


def test_a_metric_of_which_more_is_better_is_shown_as_it_was_recorded(make_settings: Make) -> None:
    whole = run(make_settings, Accuracy())
    assert verify(whole).difference is None
    baseline = next(r.metric for r in whole if isinstance(r, Baseline))
    forged = verify(changed(whole, Baseline, 0, metric=baseline.model_copy(update={"value": 0.5}))).difference
    assert forged is not None
    assert (forged.field, forged.recorded, forged.recomputed) == ("metric", 0.5, baseline.value)
    for field in ("metric", "baseline_metric"):
        metric = next(getattr(r, field) for r in whole if isinstance(r, Evaluated))
        found = verify(changed(whole, Evaluated, 0, **{field: metric.model_copy(update={"value": 0.25})})).difference
        assert found is not None
        assert (found.iter, found.field, found.recorded, found.recomputed) == (1, field, 0.25, metric.value)


def test_a_verdict_of_an_older_version_has_no_p_value(make_settings: Make) -> None:
    whole = run(make_settings)
    evidence = next(r.evidence for r in whole if isinstance(r, Evaluated))
    assert evidence.p is not None
    assert verify(changed(whole, Evaluated, 0, evidence=evidence.model_copy(update={"p": None}))).difference is None
    found = verify(changed(whole, Evaluated, 0, evidence=evidence.model_copy(update={"p": 0.9}))).difference
    assert found is not None
    assert found.field == "evidence.p"


def test_a_seed_that_was_chosen_is_found(make_settings: Make) -> None:
    whole = run(make_settings)
    first, confirming = (changed(whole, TrialStarted, place, seed=9) for place in (0, 5))
    found = verify(first).difference
    assert found is not None
    assert (found.iter, found.field, found.recomputed) == (0, "trial 1", "seed 0 of the baseline")
    found = verify(confirming).difference
    assert found is not None
    assert (found.iter, found.field, found.recomputed) == (2, "trial 6", "seed 1 of the candidate")


def test_a_trial_after_the_verdict_is_found(make_settings: Make) -> None:
    """A candidate that is screened out by its first seed gets no second chance."""
    whole = run(make_settings)
    began = next(r for r in whole if isinstance(r, TrialStarted) and r.iter == 1)
    at = next(n for n, r in enumerate(whole) if isinstance(r, Evaluated))
    found = verify([*whole[:at], began.model_copy(update={"trial": 5, "seed": 1}), *whole[at:]]).difference
    assert found is not None
    assert (found.iter, found.recomputed) == (1, "a verdict, and no further trial")


def test_a_verdict_before_its_last_look_is_found(make_settings: Make) -> None:
    """A run that ends at two seeds and says so: the rule would have measured a third."""
    whole = run(make_settings)
    cut = next(n for n, r in enumerate(whole) if isinstance(r, TrialEnded) and (r.iter, r.seed) == (2, 1))
    closing = next(r for r in whole if isinstance(r, Evaluated) and r.iter == 2)
    trajectory = Trajectory.fold(whole[: cut + 1])
    early = decide(trajectory.comparison, trajectory.meta.decision_rule)
    values = {"evidence": early.evidence, "improvement_frac": early.improvement_frac, "decision": "revert"}
    values |= {"val_bpb": early.loss, "baseline_val_bpb": early.baseline_loss, "trials": closing.trials[:2]}
    found = verify([*whole[: cut + 1], closing.model_copy(update=values)]).difference
    assert found is not None
    assert (found.iter, found.field) == (2, "trials")
    assert found.recomputed == "no verdict yet: seed 2 of the candidate is needed"
