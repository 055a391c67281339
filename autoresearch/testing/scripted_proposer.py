"""A proposer that answers from a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autoresearch.core.ports import (
    Exhausted,
    Reply,
)
from autoresearch.core.records import Attempt
from autoresearch.core.trajectory import Trajectory


@dataclass(slots=True)
class ScriptedProposer:
    """Returns one reply of the script after the other; raises an exception in it, and ``Exhausted`` at its end.

    Text becomes a ``Reply`` with the proposer's own name as source; a ``Reply`` is returned unchanged. ``asked``
    records each call: the number of the iteration, and the attempts that had been refused.
    """

    replies: list[str | Reply | Exception]
    name: str = "script"
    asked: list[tuple[int, tuple[Attempt, ...]]] = field(default_factory=list)

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        self.asked.append((trajectory.new_iter, tuple(refused)))
        if not self.replies:
            raise Exhausted("the script is over")
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, Reply) else Reply(reply, self.name)
