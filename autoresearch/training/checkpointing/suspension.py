"""What a running trial asks between two steps: is it to stop here? And what a model must be able to for that."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from autoresearch.core.measurement import Suspended
from autoresearch.training.checkpointing.train_state import SoFar


class Suspension(Exception):
    """Leaves a trial that was put aside; no failure."""

    def __init__(self, suspended: Suspended) -> None:
        super().__init__(f"put aside after step {suspended.step}")
        self.suspended = suspended


class Pausable(Protocol):
    """What can be put aside: a model on one rank or several."""

    def state(self) -> dict[str, Any]:
        """Tensors, in dicts and lists, that ``load`` takes back. They may be the model's own."""
        ...

    def load(self, state: dict[str, Any]) -> None: ...

    def agree(self, yes: bool) -> bool:
        """Whether any rank says yes; all ranks must ask together."""
        ...

    @property
    def rank(self) -> int: ...


class Pausing(Protocol):
    """A trial's connection to the daemon's wish to pause."""

    def resume(self, model: Pausable) -> SoFar:
        """Load what was put aside into ``model``; the default ``SoFar`` where the trial begins."""
        ...

    def wanted(self, model: Pausable) -> bool:
        """Whether to stop here, the same answer on every rank."""
        ...

    def suspend(self, model: Pausable, so_far: SoFar) -> NoReturn:
        """Put the trial aside and leave it. Raises ``Suspension``."""
        ...


class Never:
    """A trial that is not paused: started by hand, or for a measurement."""

    def resume(self, model: Pausable) -> SoFar:
        return SoFar()

    def wanted(self, model: Pausable) -> bool:
        return False

    def suspend(self, model: Pausable, so_far: SoFar) -> NoReturn:
        raise AssertionError("nobody wanted it")
