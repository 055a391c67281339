"""``verify``: records that contradict each other are found, also where every verdict follows from its trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.records import Baseline, Evaluated, LoopComplete, Proposed, TrialEnded, TrialStarted
from autoresearch.report.verify import verify
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.scripted_proposer import ScriptedProposer
from tests.unit.core.loop_world import BETTER, NO_BETTER, records, say

Forge = Callable[[Any], dict[str, Any]]


@pytest.fixture
def whole(make_settings: Callable[..., Settings]) -> list[Any]:
    settings = make_settings({"decision.rule": "sequential", "baseline.lr": 3e-4}, iters=3)
    loop = fake_loop(settings, ScriptedProposer([NO_BETTER, BETTER, say("beta1", 0.95)]))
    loop.run()
    found = records(loop)
    assert [r.decision for r in found if isinstance(r, Evaluated)][1] == "keep"
    assert verify(found).difference is None
    return found


def other_cfg(name: str) -> Forge:
    return lambda r: {name: {**getattr(r, name), "lr": 7e-4}}


FORGED: dict[str, tuple[type, int, str, Forge]] = {
    "the configuration of a keep": (Evaluated, 1, "evaluated.candidate_cfg", other_cfg("candidate_cfg")),
    "its proposal": (
        Evaluated,
        1,
        "evaluated.proposal",
        lambda r: {"proposal": r.proposal.model_copy(update={"new_value": 7e-4})},
    ),
    "its number": (Evaluated, 1, "evaluated.iter", lambda r: {"iter": 3}),
    "its trials": (Evaluated, 1, "evaluated.trials", lambda r: {"trials": r.trials[:-1]}),
    "a mark of the best": (Evaluated, 0, "evaluated.is_new_best", lambda r: {"is_new_best": not r.is_new_best}),
    "its first measurement": (
        Evaluated,
        1,
        "evaluated.eval_metrics",
        lambda r: {"eval_metrics": r.eval_metrics.model_copy(update={"val_bpb": 0.5})},
    ),
    "what was proposed": (Proposed, 1, "proposed.candidate_cfg", other_cfg("candidate_cfg")),
    "what was trained": (TrialStarted, 3, "trial_started.cfg", other_cfg("cfg")),
    "what the baseline was": (TrialStarted, 0, "trial_started.cfg", other_cfg("cfg")),
    "the baseline's configuration": (Baseline, 0, "baseline.baseline_cfg", other_cfg("baseline_cfg")),
    "the trial of a measurement": (TrialEnded, 1, "trial.trial", lambda r: {"trial": r.trial + 9}),
    "the seed of a measurement": (TrialEnded, 1, "trial.seed", lambda r: {"seed": r.seed + 9}),
    "the count of keeps": (LoopComplete, 0, "loop_complete.accept_count", lambda r: {"accept_count": 3}),
    "the best value": (LoopComplete, 0, "loop_complete.best_val_bpb", lambda r: {"best_val_bpb": 0.5}),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_record_that_contradicts_those_before_it_is_found(whole: list[Any], what: str) -> None:
    kind, place, name, forge = FORGED[what]
    at = [n for n, r in enumerate(whole) if isinstance(r, kind)][place]
    found = verify([*whole[:at], whole[at].model_copy(update=forge(whole[at])), *whole[at + 1 :]]).difference
    assert found is not None
    assert found.field == name
    assert "; the records before it give " in str(found)


@pytest.mark.parametrize("kind", [Proposed, TrialStarted, TrialEnded, Baseline, Evaluated])
@pytest.mark.parametrize("place", [0, -1])
def test_a_record_that_is_missing_is_found(whole: list[Any], kind: type, place: int) -> None:
    at = [n for n, r in enumerate(whole) if isinstance(r, kind)][place]
    assert verify([*whole[:at], *whole[at + 1 :]]).difference is not None


def test_a_baseline_of_fewer_seeds_than_its_rule_names_the_next_one(whole: list[Any]) -> None:
    meta = whole[0].model_copy(
        update={"decision_rule": whole[0].decision_rule.model_copy(update={"baseline_seeds": 5})}
    )
    found = verify([meta, *whole[1:]]).difference
    assert found is not None
    assert (found.iter, found.field) == (0, "baseline.trials")
    assert "seed 3" in str(found)
