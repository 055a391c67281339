"""Proposer ``hybrid``: an optimizer that leaves a share of the iterations to a language model.

Published evidence on this kind of task (arXiv 2603.24647): a small local model alone in a fixed space loses to random
search; an optimizer that asks it for about 30% of the trials beats both. Both learn from every result: the optimizer
reads the whole trajectory, and the model's prompt shows the optimizer's state beside the results. With ``share =
"auto"`` the model's share follows what its proposals have gained (``credit.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from autoresearch.core.ports import Proposer, Reply
from autoresearch.core.records import Attempt
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.credit import credit_of, is_earned_turn
from autoresearch.proposers.pending import with_pending


@dataclass(slots=True)
class HybridProposer:
    """Which of the two proposes follows from the trajectory, so that a restart changes nothing.

    With a number as ``share`` it follows from the iteration's number alone.
    """

    optimizer: Proposer
    llm: Proposer
    share: float | Literal["auto"]
    name: str = "hybrid"

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        proposer = self.llm if self._is_llm_turn(trajectory) else self.optimizer
        return proposer.propose(trajectory, refused)

    def _is_llm_turn(self, trajectory: Trajectory) -> bool:
        if self.share == "auto":
            return is_earned_turn(trajectory.new_iter, *credit_of(with_pending(trajectory).results, self.llm.name))
        return is_llm_iteration(trajectory.new_iter, self.share)


def is_llm_iteration(n: int, share: float) -> bool:
    """Whether the LLM proposes in iteration ``n`` (from 1). Spread evenly: 4, 7, 10, ... at a share of 0.3."""
    return math.floor(n * share + 1e-9) > math.floor((n - 1) * share + 1e-9)
