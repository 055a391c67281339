"""Proposer ``random``: a uniformly random open change; the control that every other proposer must beat."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch.core.ports import Exhausted, Reply
from autoresearch.core.records import Attempt
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.space import Space, build_reply


@dataclass(frozen=True, slots=True)
class RandomProposer:
    """Deterministic in the seed, the iteration and the number of refusals."""

    space: Space
    seed: int
    name: str = "random"

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        rng = random.Random(f"{self.seed}:{trajectory.new_iter}:{len(refused)}")
        change = self.space.random_open(rng, trajectory, refused)
        if change is None:
            raise Exhausted("every value of the menu has been tried")
        return build_reply(*change, "drawn at random", self.name)
