"""What proposers, the prompt and a whole loop do with the menu of profile tiny-wide."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.core.records import Evaluated
from autoresearch.core.values import Cfg
from autoresearch.daemon.policy import Policy, build_policy
from autoresearch.proposers.prompting.answer_schema import answer_schema
from autoresearch.proposers.prompting.prompt import PromptInputs, build_prompt
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.space import Space
from autoresearch.proposers.tpe import TpeProposer
from autoresearch.proposers.trust_region import TrustRegionProposer
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from rails import STRUCTURAL_KNOBS, gate

POLICY: Policy = build_policy(resolve({"profile": "tiny-wide", "decision.rule": "threshold"}, {}).settings)
SPACE = Space(POLICY.menu, POLICY.baseline, POLICY.steps)
SETTINGS = resolve({"profile": "tiny-wide", "decision.rule": "threshold", "iters": 40}, {}).settings


def bpb(cfg: Cfg, _seed: int) -> float:
    """The other value of every structural knob is 3% better; the sizes do not matter."""
    return 2.0 * 0.97 ** sum(cfg[name] != knob.origin for name, knob in STRUCTURAL_KNOBS.items())


@pytest.mark.parametrize("proposer", [RandomProposer, TpeProposer, TrustRegionProposer])
def test_a_night_tries_and_keeps_structural_values(proposer: Callable[..., Any]) -> None:
    loop = fake_loop(SETTINGS, proposer(SPACE, 0), FakeTrial(bpb=bpb))
    loop.run()
    evaluated = [r for r in loop.trajectory.iterations if isinstance(r, Evaluated)]
    kept = {r.proposal.knob for r in evaluated if r.decision == "keep"}
    assert kept
    assert kept <= set(STRUCTURAL_KNOBS)
    assert all(set(r.candidate_cfg) == set(POLICY.baseline) for r in evaluated)


def test_the_prompt_describes_each_structural_knob_and_its_answer_may_name_one() -> None:
    trajectory = fake_loop(SETTINGS, RandomProposer(SPACE, 0)).trajectory
    prompt = build_prompt(PromptInputs(SPACE, trajectory, "40 iterations", 3), 20_000)
    kinds = answer_schema(SPACE, trajectory, 3)["properties"]["proposals"]["items"]["anyOf"]
    admitted = {kind["properties"]["knob"]["enum"][0]: kind["properties"]["new_value"] for kind in kinds}
    for name, knob in STRUCTURAL_KNOBS.items():
        assert f"{name}" in prompt
        assert knob.doc in prompt
        assert admitted[name]["enum"] == list(knob.others), "the baseline's own value is not open"
        raw = json.dumps({"knob": name, "new_value": knob.others[0], "reason": "r"})
        assert gate(raw, POLICY.baseline, POLICY.menu, steps=POLICY.steps).ok
