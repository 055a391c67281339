"""Proposer ``replay``: the proposals of another trajectory, in their order, through this run's rails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch.ports import Exhausted, Reply
from autoresearch.records import Attempt
from autoresearch.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class ReplayProposer:
    """One recorded reply per question. How many are used up is read off the trajectory, so it survives restarts."""

    replies: tuple[str, ...]
    name: str = "replay"

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        earlier = (a for r in trajectory.iterations for a in r.attempts)
        used = sum(a.source == self.name for a in (*earlier, *refused))
        if used >= len(self.replies):
            raise Exhausted(f"all {len(self.replies)} recorded proposals have been replayed")
        return Reply(self.replies[used], self.name)
