"""A trial that is put aside when the daemon asks for it, and goes on later.

The daemon asks by a byte in a pipe that nobody reads: so every rank sees it, a byte that comes early waits, and no
signal can hit a compiler that the trial has started.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from autoresearch.core.measurement import Suspended
from autoresearch.core.text import describe_error
from autoresearch.training.checkpointing.checkpoint import Checkpoint, CheckpointUnusable
from autoresearch.training.checkpointing.suspension import Suspendable, Suspension
from autoresearch.training.checkpointing.train_state import TrainState


@dataclass(slots=True)
class SuspendOnRequest:
    """See ``suspension.Suspender``: a byte in ``suspend_fd`` is the request; with ``resumes`` there is a checkpoint."""

    checkpoint: Checkpoint
    suspend_fd: int
    resumes: bool
    resumed_at: int | None = None

    def resume(self, model: Suspendable) -> TrainState:
        """What cannot be used, on any rank, is as good as none: the trial then begins again."""
        if not self.resumes:
            return TrainState()
        found: tuple[TrainState, dict[str, Any]] | None = None
        try:
            found = self.checkpoint.read(model.rank)
        except CheckpointUnusable as e:
            print(f"the checkpoint cannot be used, the trial begins again: {e}", file=sys.stderr)
        if model.any_rank(found is None) or found is None:
            return TrainState()
        so_far, state = found
        model.load(state)
        self.resumed_at = so_far.step
        return so_far

    def wanted(self, model: Suspendable) -> bool:
        """Looks without reading: the byte is for every rank."""
        poll = select.poll()
        poll.register(self.suspend_fd, select.POLLIN)
        return model.any_rank(any(events & select.POLLIN for _fd, events in poll.poll(0)))

    def suspend(self, model: Suspendable, so_far: TrainState) -> NoReturn:
        """What cannot be written leaves the checkpoint before it, or none, in place."""
        problem = problem_of(lambda: self.checkpoint.write(model.rank, model.state()))
        if model.any_rank(bool(problem)):
            problem = problem or "another rank could not write its part"
        elif model.rank == 0:
            problem = problem_of(lambda: self.checkpoint.commit(so_far))
        if model.rank == 0:
            self.checkpoint.tidy()
        raise Suspension(
            Suspended(
                step=so_far.step,
                resumes_at=self.resumed_at if problem else so_far.step,
                problem=problem,
                train_wall_s=so_far.train_s,
                val_wall_s=so_far.val_s,
            )
        )


def problem_of(work: Callable[[], object]) -> str:
    """Why ``work`` could not write, or an empty string; torch has no better name than RuntimeError for a full disk."""
    try:
        work()
    except (OSError, RuntimeError, MemoryError) as e:  # a pause makes no configuration too large
        return describe_error(e, 500)
    return ""
