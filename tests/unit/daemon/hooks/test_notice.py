"""The notice of a best keep by rule sequential: what its verdict rests on."""

from __future__ import annotations

import json
from collections.abc import Callable

from autoresearch.config.settings import Settings
from autoresearch.core.records import Evaluated
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.hooks.notice import RunInfo, build_notice
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.scripted_proposer import ScriptedProposer

SCRIPT = (("lr", 3e-3), ("lr", 2e-3), ("lr", 1e-3))
RUN = RunInfo("desk", "/runs/night", "tiny", len(SCRIPT))


def night(settings: Settings) -> tuple[Trajectory, Evaluated]:
    script = [json.dumps({"knob": k, "new_value": v, "reason": "a hunch"}) for k, v in SCRIPT]
    loop = fake_loop(settings, ScriptedProposer(script), trial=FakeTrial())
    loop.run()
    assert loop.trajectory.best is not None
    return loop.trajectory, loop.trajectory.best


def test_a_confirmed_keep_has_its_seeds_and_interval(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings({"decision.rule": "sequential", "baseline.lr": 3e-4}, iters=len(SCRIPT))
    trajectory, best = night(settings)
    notice = build_notice("best", "why", trajectory, RUN, "now", best)
    assert best.evidence is not None
    assert notice.best is not None
    assert (notice.best["label"], notice.best["seeds"]) == ("confirmed", len(best.trials))
    assert notice.best["low_frac"] == best.evidence.low_frac
    assert notice.best["alpha_spent"] == best.evidence.alpha_spent
    assert best.improvement_frac / 2 < notice.best["corrected_gain_frac"] <= best.improvement_frac
    start = f"best: lr = {best.proposal.new_value}, confirmed over {len(best.trials)} seeds, gain +"
    assert notice.message.startswith(start)


def test_by_rule_threshold_it_is_as_before(make_settings: Callable[..., Settings]) -> None:
    trajectory, best = night(make_settings({"baseline.lr": 3e-4}, iters=len(SCRIPT)))
    notice = build_notice("best", "why", trajectory, RUN, "now", best)
    assert notice.best is not None
    assert {"label", "seeds", "low_frac", "corrected_gain_frac"}.isdisjoint(notice.best)
    assert "% below the baseline (iteration " in notice.message
