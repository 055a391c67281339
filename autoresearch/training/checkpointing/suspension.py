"""What a running trial asks between two steps: is it to stop here? And what a model must be able to for that."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from autoresearch.core.measurement import Suspended
from autoresearch.training.checkpointing.train_state import TrainState


class Suspension(Exception):
    """Leaves a trial that was put aside; no failure."""

    def __init__(self, suspended: Suspended) -> None:
        super().__init__(f"put aside after step {suspended.step}")
        self.suspended = suspended


class Suspendable(Protocol):
    """What can be put aside: a model on one rank or several."""

    def state(self) -> dict[str, Any]:
        """Tensors, in dicts and lists, that ``load`` takes back. They may be the model's own."""
        ...

    def load(self, state: dict[str, Any]) -> None: ...

    def any_rank(self, yes: bool) -> bool:
        """Whether any rank says yes; all ranks must ask together."""
        ...

    @property
    def rank(self) -> int: ...


class Suspender(Protocol):
    """A trial's connection to the daemon's wish to pause."""

    def resume(self, model: Suspendable) -> TrainState:
        """Load what was put aside into ``model``; the default ``TrainState`` where the trial begins."""
        ...

    def wanted(self, model: Suspendable) -> bool:
        """Whether to stop here, the same answer on every rank."""
        ...

    def suspend(self, model: Suspendable, so_far: TrainState) -> NoReturn:
        """Put the trial aside and leave it. Raises ``Suspension``."""
        ...


class NeverSuspend:
    """A trial that is not paused: started by hand, or for a measurement."""

    def resume(self, model: Suspendable) -> TrainState:
        return TrainState()

    def wanted(self, model: Suspendable) -> bool:
        return False

    def suspend(self, model: Suspendable, so_far: TrainState) -> NoReturn:
        raise AssertionError("nobody wanted it")
