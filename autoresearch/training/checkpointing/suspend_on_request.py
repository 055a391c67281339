"""Suspend a trial on the daemon's request, and resume it from its checkpoint.

The request is a byte in a pipe, which is polled and never read: so every rank sees it, a byte that arrives early is not
lost, and no signal can hit a compiler that the trial has started.
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
    """See ``suspension.Suspender``. A byte in ``suspend_fd`` is the request; with ``resumes`` there is a checkpoint."""

    checkpoint: Checkpoint
    suspend_fd: int
    resumes: bool
    resumed_at: int | None = None

    def resume(self, model: Suspendable) -> TrainState:
        """Load the checkpoint, or return the initial state if it cannot be used on any one rank."""
        if not self.resumes:
            return TrainState()
        saved: tuple[TrainState, dict[str, Any]] | None = None
        try:
            saved = self.checkpoint.read(model.rank)
        except CheckpointUnusable as e:
            print(f"the checkpoint cannot be used, the trial starts over: {e}", file=sys.stderr)
        if model.any_rank(saved is None) or saved is None:
            return TrainState()
        so_far, state = saved
        model.load(state)
        self.resumed_at = so_far.step
        return so_far

    def is_requested(self, model: Suspendable) -> bool:
        """Poll without reading: the byte is for every rank."""
        poll = select.poll()
        poll.register(self.suspend_fd, select.POLLIN)
        return model.any_rank(any(events & select.POLLIN for _fd, events in poll.poll(0)))

    def suspend(self, model: Suspendable, so_far: TrainState) -> NoReturn:
        """Write a checkpoint; if that fails on any rank, the previous one, if any, stays in place."""
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
    """Why ``work`` could not write, or an empty string; torch raises RuntimeError for a full disk."""
    try:
        work()
    except (
        OSError,
        RuntimeError,
        MemoryError,
    ) as e:  # MemoryError too: suspending must not count against the configuration
        return describe_error(e, 500)
    return ""
