"""Proposer ``replay``: the proposals of a recorded run, judged by this run's rails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoresearch.core.ports import Exhausted, Proposer, Reply
from autoresearch.core.records import Attempt
from autoresearch.core.trajectory import Trajectory, replies_of

REPLAY_SOURCE = "replay"  # in ``source`` of what is repeated
Replies = tuple[tuple[str, ...], ...]  # replies in their order, each of one or more raw proposals
# All replies of a trajectory in their order, or those of the LLM alone by iteration.
Recording = Replies | Mapping[int, Replies]


@dataclass(frozen=True, slots=True)
class ReplayProposer:
    """One recorded reply per call. How many are used is read from the trajectory, so that a restart resumes there."""

    replies: Replies
    name: str = REPLAY_SOURCE

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        earlier = sum(result.reply_sources.count(self.name) for result in trajectory.results)
        if trajectory.parallel:
            earlier += sum(count_replies_from(self.name, p.attempts) for p in trajectory.open_proposals)
        used = earlier + count_replies_from(self.name, refused)
        if used >= len(self.replies):
            raise Exhausted(f"all {len(self.replies)} recorded replies have been replayed")
        return replay_reply(self.replies[used], self.name)


@dataclass(frozen=True, slots=True)
class ExchangeReplay:
    """An LLM's answers in their recorded iterations and rounds; ``fallback`` proposes in the others.

    With the fallback, seed and rails of the recorded run the candidates are the same, in the same order.
    """

    answers: Mapping[int, Replies]
    fallback: Proposer
    name: str = REPLAY_SOURCE

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        answers, used = self.answers.get(trajectory.new_iter, ()), count_replies_from(self.name, refused)
        if used >= len(answers):
            return self.fallback.propose(trajectory, refused)
        return replay_reply(answers[used], self.name)


def count_replies_from(source: str, attempts: Sequence[Attempt]) -> int:
    """The number of an iteration's replies that came from ``source``."""
    return sum(reply[0].source == source for reply in replies_of(attempts))


def replay_reply(proposals: Sequence[str], source: str) -> Reply:
    """A recorded reply as a ``Reply`` of the proposer ``source``."""
    return Reply(proposals[0], source, tuple(proposals[1:]))
