"""What the loop needs of the world, as Protocols; the implementations live at the edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from autoresearch.core.llm_calls import LlmCall
from autoresearch.core.measurement import Failure, Outcome, Suspended
from autoresearch.core.power import PHASES, Phase, Power
from autoresearch.core.records import Attempt, Event
from autoresearch.core.speeds import MatmulPeak, Speed, Timing
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg


class Exhausted(Exception):
    """Raised by a proposer that has nothing new to propose; the run then ends in good order."""


class Interrupted(Exception):
    """Raised by a trial or a proposer that was ended at the user's wish: it counts neither as done nor as failed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a proposer answered, unjudged, and who it was (``source`` goes into the record).

    ``others`` are further proposals of the same reply, in its order: the first that passes the rails is tried.
    ``calls`` are the calls of an LLM server that it took, also those that came to nothing.
    """

    raw: str
    source: str
    others: tuple[str, ...] = ()
    calls: tuple[LlmCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the running trial is. ``fraction`` is of its training budget; validation follows at 1."""

    iter: int
    phase: str  # "train" or "validate"
    fraction: float
    step: int
    tokens_per_s: float | None


class Proposer(Protocol):
    """Suggests one change of one knob."""

    @property
    def name(self) -> str:
        """What ``source`` and the ``started`` record call it."""
        ...

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """Answer for the trajectory's next iteration; ``refused`` are this iteration's attempts that a rail refused.

        Raises ``Exhausted`` when nothing is left, and ``Interrupted`` where it noticed that a pause or a stop is
        wanted: it is asked again if the run goes on. Anything else it raises closes the iteration as proposer_failed.
        """
        ...


OnProgress = Callable[[str, float, int, float | None], None]


@dataclass(frozen=True, slots=True)
class SuspendControl:
    """How a running trial hears that it should stop for now, and where it had stopped before, if it had."""

    wanted: Callable[[], bool] = lambda: False
    before: Suspended | None = None


NEVER_SUSPENDED = SuspendControl()


class Trial(Protocol):
    """Measures one configuration with one seed, isolated from the caller."""

    def measure(
        self, cfg: Cfg, seed: int, on_progress: OnProgress, hold: SuspendControl = NEVER_SUSPENDED
    ) -> Outcome | Suspended:
        """Blocks until measured or failed; every way to fail is an outcome. Raises ``Interrupted`` only.

        Put aside as soon as ``hold.wanted``, it answers where; with that as ``hold.before`` it goes on from there, and
        measures what it would have measured undisturbed.
        """
        ...


class Journal(Protocol):
    """Takes records for good."""

    def append(self, payload: str) -> int:
        """Durable on return. Raises ``JournalError``."""
        ...


class Control(Protocol):
    """The user's hand on the run."""

    def stop_reason(self) -> str:
        """Why the run should end now, in good order; empty to go on."""
        ...

    def pause_reason(self) -> str:
        """Why the run should pause now; empty to go on."""
        ...

    def suspend_wanted(self) -> bool:
        """Whether the pause or stop that is wanted should not wait for the running trial's end."""
        ...

    def wait_while_paused(self) -> None:
        """Return when the pause is over or a stop is wanted."""
        ...


class Observer:
    """Told what happens, for a terminal or a log; no exception of an observer reaches the loop. The default ignores."""

    def opened(self, trajectory: Trajectory) -> None:
        """The run as read from its journal, before this process adds to it; the object stays up to date."""

    def recorded(self, event: Event) -> None:
        """``event`` is durable and part of the trajectory."""

    def progressed(self, progress: Progress) -> None:
        """Progress of the running trial."""

    def heartbeat(self, stop_reason: str) -> None:
        """Called ten times a second while the daemon waits; ``stop_reason`` is empty unless the run is about to end."""

    def notify(self, message: str) -> None:
        """One line for the user."""

    def preparing(self, stage: str, fraction: float) -> None:
        """Progress of the preparation of a corpus."""


class Meter(Protocol):
    """Keeps account of power and energy, by phase. Nothing that it does raises or waits."""

    def poll(self) -> None:
        """Called by whoever waits, as often as it likes."""
        ...

    def phase(self, name: Phase) -> None:
        """What happens from now on is this."""
        ...

    def settle(self, phases: Sequence[Phase] = PHASES) -> dict[Phase, Power]:
        """What these phases took since they were last settled."""
        ...


class NullMeter:
    """The ``Meter`` where nobody counts."""

    def poll(self) -> None:
        pass

    def phase(self, name: Phase) -> None:
        pass

    def settle(self, phases: Sequence[Phase] = PHASES) -> dict[Phase, Power]:
        return {}


class Timer(Protocol):
    """Measures how fast a configuration trains, isolated from the caller. Raises ``Interrupted`` only."""

    def speed(self, cfg: Cfg, timing: Timing, on_progress: OnProgress) -> Speed | Failure: ...

    def matmul_peak(self, cfg: Cfg) -> MatmulPeak | Failure: ...
