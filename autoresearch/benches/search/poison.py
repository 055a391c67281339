"""Models that are of no use, as the share of a hybrid: what an optimizer loses by them is measured."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch.benches.search.problem import Problem
from autoresearch.core.llm_calls import LLM_SOURCE
from autoresearch.core.ports import Reply
from autoresearch.core.records import Attempt
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.space import Space, build_joint_reply
from rails import same_value

DRAWS = 500
NAME = LLM_SOURCE


@dataclass(frozen=True, slots=True)
class Nonsense:
    """Its answers are not JSON: the gate refuses them, and the iteration ends without a trial."""

    name: str = NAME

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        return Reply(raw="As a large model I would raise the learning rate.", source=self.name)


@dataclass(frozen=True, slots=True)
class Crashes:
    """Each of its proposals is a new configuration that crashes: the published failure of a hybrid's model."""

    problem: Problem
    name: str = NAME

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        rng = random.Random(f"poison:{self.problem.seed}:{trajectory.new_iter}:{len(refused)}")
        space, baseline = Space(self.problem.menu, self.problem.baseline, None), self.problem.baseline
        for _ in range(DRAWS):
            cfg = {name: space.draw(knob, rng) for name, knob in self.problem.menu.knobs.items()}
            if self.problem.allows(cfg) and self.problem.surrogate.fails({**baseline, **cfg}):
                changes = {name: value for name, value in cfg.items() if not same_value(value, baseline[name])}
                return build_joint_reply(changes, "more is better", self.name)
        return Nonsense(self.name).propose(trajectory, refused)
