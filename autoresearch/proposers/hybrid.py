"""Proposer ``hybrid``: an optimizer that leaves a share of the iterations to a language model.

Published evidence on this kind of task (arXiv 2603.24647): a small local model alone in a fixed space loses to random
search; an optimizer that asks it for about 30% of the trials beats both. Both learn from every result: the optimizer
reads the whole trajectory, and the model's prompt shows the optimizer's state beside the results.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch.core.ports import Proposer, Reply
from autoresearch.core.records import Attempt
from autoresearch.core.trajectory import Trajectory


@dataclass(slots=True)
class HybridProposer:
    """Which of the two proposes depends on the iteration's number alone, so that a restart changes nothing."""

    optimizer: Proposer
    llm: Proposer
    share: float
    name: str = "hybrid"

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        proposer = self.llm if is_llm_iteration(trajectory.new_iter, self.share) else self.optimizer
        return proposer.propose(trajectory, refused)


def is_llm_iteration(n: int, share: float) -> bool:
    """Whether the LLM proposes in iteration ``n`` (from 1). Spread evenly: 4, 7, 10, ... at a share of 0.3."""
    return math.floor(n * share + 1e-9) > math.floor((n - 1) * share + 1e-9)
