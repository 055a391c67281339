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
from autoresearch.training.checkpointing.checkpoint import Checkpoint, Unusable
from autoresearch.training.checkpointing.suspension import Pausable, Suspension
from autoresearch.training.checkpointing.train_state import SoFar


@dataclass(slots=True)
class OnRequest:
    """See ``pausing.Pausing``: a byte in ``wish`` is the request, and ``goes_on`` says that there is a checkpoint."""

    checkpoint: Checkpoint
    wish: int
    goes_on: bool
    resumed_at: int | None = None

    def resume(self, model: Pausable) -> SoFar:
        """What cannot be used, on any rank, is as good as none: the trial then begins again."""
        if not self.goes_on:
            return SoFar()
        found: tuple[SoFar, dict[str, Any]] | None = None
        try:
            found = self.checkpoint.read(model.rank)
        except Unusable as e:
            print(f"the checkpoint cannot be used, the trial begins again: {e}", file=sys.stderr)
        if model.agree(found is None) or found is None:
            return SoFar()
        so_far, state = found
        model.load(state)
        self.resumed_at = so_far.step
        return so_far

    def wanted(self, model: Pausable) -> bool:
        """Looks without reading: the byte is for every rank."""
        poll = select.poll()
        poll.register(self.wish, select.POLLIN)
        return model.agree(any(events & select.POLLIN for _fd, events in poll.poll(0)))

    def suspend(self, model: Pausable, so_far: SoFar) -> NoReturn:
        """What cannot be written leaves the checkpoint before it, or none, in place."""
        problem = problem_of(lambda: self.checkpoint.write(model.rank, model.state()))
        if model.agree(bool(problem)):
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
        return ascii(f"{type(e).__name__}: {e}")[1:-1][:500]
    return ""
