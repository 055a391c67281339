"""Proposer ``stack``: unions of confirmed keeps against the fixed baseline, and in front of it a search.

The plan (``verdicts.stack``) is a function of the trajectory: a restart changes nothing, and what is known is not
proposed again. A union is a candidate as any other: gate, trial and verdict are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoresearch.core.ports import Exhausted, Proposer, Reply
from autoresearch.core.records import Attempt
from autoresearch.core.stacking import STACK_SOURCE, tried_candidates
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.pending import with_pending
from autoresearch.proposers.space import Space, build_joint_reply
from autoresearch.verdicts.stack import Changes, Key, Stack, plan_stack

NOTHING_LEFT = "nothing is left to combine: every union of keeps that could gain more has been tried"
LATE_SHARE = 0.5  # of a run's iterations: the share at its end that ``compose`` may use


@dataclass(frozen=True, slots=True)
class StackProposer:
    """Unions alone: raises ``Exhausted`` once there is none to try. It may change every knob of the menu at once."""

    space: Space
    name: str = STACK_SOURCE

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        plan = self.plan(trajectory, refused)
        if plan.wanted is None:
            raise Exhausted(NOTHING_LEFT)
        return build_joint_reply(plan.wanted, plan.reason, self.name)

    def plan(self, trajectory: Trajectory, refused: Sequence[Attempt] = ()) -> Stack:
        """The stack so far and what it would try next."""
        space = replace(self.space, max_changes=len(self.space.menu.knobs))
        blocked = _refused_unions(trajectory)

        def is_possible(changes: Changes) -> bool:
            known = frozenset(changes.items()) in blocked
            return not known and space.is_open_together(changes, trajectory, refused)

        return plan_stack(tried_candidates(trajectory.results), is_possible)


@dataclass(slots=True)
class SearchAndStack:
    """Proposer ``stack`` of a whole run: a search, and after each new keep its unions, at most every other iteration.

    So a union is tried as soon as there is one, and a run of many keeps still searches.
    """

    search: Proposer
    stack: StackProposer
    name: str = STACK_SOURCE

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        known = with_pending(trajectory).results
        last = max(known, key=lambda result: result.iter).source if known else ""
        if last != STACK_SOURCE and self.stack.plan(trajectory, refused).wanted is not None:
            return self.stack.propose(trajectory, refused)
        return propose_or_stack(self.search, self.stack, trajectory, refused)


@dataclass(slots=True)
class ComposeAtEnd:
    """``--compose``: the run's proposer, and unions in as many of its last iterations as they may need.

    At most the last half of ``iters`` belongs to them. When they are done before the end, the search continues.
    """

    search: Proposer
    stack: StackProposer
    iters: int

    @property
    def name(self) -> str:
        """That of the search: the records name the source of each proposal."""
        return self.search.name

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        left = self.iters - trajectory.new_iter + 1
        if left <= LATE_SHARE * self.iters:
            plan = self.stack.plan(trajectory, refused)
            if plan.wanted is not None and left <= plan.needed:
                return self.stack.propose(trajectory, refused)
        return propose_or_stack(self.search, self.stack, trajectory, refused)


def propose_or_stack(
    search: Proposer, stack: StackProposer, trajectory: Trajectory, refused: Sequence[Attempt]
) -> Reply:
    """The search's proposal; a union where the search has nothing left."""
    try:
        return search.propose(trajectory, refused)
    except Exhausted:
        if stack.plan(trajectory, refused).wanted is None:
            raise
        return stack.propose(trajectory, refused)


def _refused_unions(trajectory: Trajectory) -> set[Key]:
    """Unions that a rail refused in an earlier iteration: those are not tried again, also where memory is free now."""
    return {
        frozenset(attempt.proposal.changes)
        for place, result in enumerate(trajectory.results)  # both lists are in the order in which iterations closed
        if result.refused and STACK_SOURCE in result.reply_sources
        for attempt in trajectory.iterations[place].attempts
        if not attempt.verdict_ok and attempt.source == STACK_SOURCE and attempt.proposal is not None
    }
