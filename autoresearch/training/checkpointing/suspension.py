"""The interface by which a running trial checks for suspension between two steps, and what it needs of a model."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from autoresearch.core.measurement import Suspended
from autoresearch.training.checkpointing.train_state import TrainState


class Suspension(Exception):
    """Raised to leave a trial that has been suspended; not a failure."""

    def __init__(self, suspended: Suspended) -> None:
        super().__init__(f"suspended after step {suspended.step}")
        self.suspended = suspended


class Suspendable(Protocol):
    """What can be suspended: a model on one rank or several."""

    def state(self) -> dict[str, Any]:
        """Tensors in dicts and lists, for ``load``. They may share the model's memory."""
        ...

    def load(self, state: dict[str, Any]) -> None: ...

    def any_rank(self, flag: bool) -> bool:
        """Whether ``flag`` is true on any rank; every rank must call it."""
        ...

    @property
    def rank(self) -> int: ...


class Suspender(Protocol):
    """Suspends and resumes a trial."""

    def resume(self, model: Suspendable) -> TrainState:
        """Load the checkpoint into ``model``; the default ``TrainState`` if the trial starts."""
        ...

    def is_requested(self, model: Suspendable) -> bool:
        """Whether to suspend now, the same on every rank."""
        ...

    def suspend(self, model: Suspendable, so_far: TrainState) -> NoReturn:
        """Suspend the trial. Raises ``Suspension``."""
        ...


class NeverSuspend:
    """For a trial that cannot be suspended: started by hand, or for a measurement."""

    def resume(self, model: Suspendable) -> TrainState:
        return TrainState()

    def is_requested(self, model: Suspendable) -> bool:
        return False

    def suspend(self, model: Suspendable, so_far: TrainState) -> NoReturn:
        raise AssertionError("suspend() without a request")
