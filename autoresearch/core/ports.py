"""The ports of the loop: what it needs from its surroundings, as Protocols; other packages implement them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from autoresearch.core.llm_calls import LlmCall
from autoresearch.core.measurement import Failure, Outcome, Suspended
from autoresearch.core.power import PHASES, Phase, Power
from autoresearch.core.records import Attempt, Event
from autoresearch.core.speeds import MatmulPeak, Speed, Timing
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.verdicts.stop_limits import Limits


class Exhausted(Exception):
    """Raised by a proposer that has nothing new to propose; the run then ends in good order."""


class Interrupted(Exception):
    """Raised by a trial or a proposer that the user ended: it counts neither as done nor as failed."""


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What a proposer changed of a model's proposal before the rails judge it: its form, not its meaning."""

    original: str  # as the model wrote it
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """A proposer's answer before the rails judge it; ``source`` is the proposer's name in the record.

    ``others`` are further proposals of the same reply, in its order: the first that passes the rails is tried.
    ``calls`` are the calls of an LLM server that it took, failed ones included. ``normalisations`` belong to ``raw``
    and ``others`` in their order; it is empty where none of them was rewritten.
    """

    raw: str
    source: str
    others: tuple[str, ...] = ()
    calls: tuple[LlmCall, ...] = ()
    normalisations: tuple[Normalisation | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of the running trial. ``fraction`` is of its training budget; validation follows at 1."""

    iter: int
    phase: str  # "train" or "validate"
    fraction: float
    step: int
    tokens_per_s: float | None
    trial: int = 0  # of a parallel run: its number, its seed and where it runs
    seed: int | None = None
    where: str = ""


class Proposer(Protocol):
    """Proposes one change of one knob."""

    @property
    def name(self) -> str:
        """The name in ``source`` and in the ``started`` record."""
        ...

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """Propose for the trajectory's next iteration; ``refused`` are this iteration's attempts that a rail refused.

        Raises ``Exhausted`` when nothing is left, and ``Interrupted`` when it sees that a pause or a stop is requested:
        it is called again if the run continues. Any other exception closes the iteration as proposer_failed.
        """
        ...


OnProgress = Callable[[str, float, int, float | None], None]


@dataclass(frozen=True, slots=True)
class SuspendControl:
    """Whether a running trial should suspend, and where it was suspended last, if it was."""

    requested: Callable[[], bool] = lambda: False  # polled while the trial runs
    suspended_at: Suspended | None = None


NEVER_SUSPENDED = SuspendControl()


Seal = Callable[[float], None]  # takes a trial's bits per byte on the test split, which stay sealed


def not_sealed(_test_bpb: float) -> None:
    """A ``Seal`` that keeps nothing."""


class Trial(Protocol):
    """Measures one configuration with one seed, isolated from the caller."""

    def measure(
        self,
        cfg: Cfg,
        seed: int,
        on_progress: OnProgress,
        suspend: SuspendControl = NEVER_SUSPENDED,
        seal: Seal = not_sealed,
        limits: Limits = (),
    ) -> Outcome | Suspended:
        """Train and measure; every failure is an outcome. Raises ``Interrupted`` only.

        Once the training loss of a part of the budget is above its limit the trial ends early, without validation, as
        an ``EarlyStop``; one that is suspended and resumed keeps its limits.

        ``seal`` receives, before a measurement is returned, what it scored on the test split, if it did.

        Suspends once ``suspend.requested()`` is true and returns ``Suspended``. With that as
        ``suspend.suspended_at`` it resumes, and its result equals that of a trial without suspension.
        """
        ...


class Vault(Protocol):
    """Keeps each trial's bits per byte on the test split, sealed: no proposer, verdict or report reads them before."""

    @property
    def seeds(self) -> int:
        """How many seeds of a keep and of the baseline an unsealing needs; 0 where there is no vault."""
        ...

    def seal(self, trial: int, seed: int, test_bpb: float) -> None:
        """Keep the value of a trial, durably. Reports what it cannot keep, and raises nothing."""
        ...

    def unseal(self, trials: Collection[int]) -> dict[int, float]:
        """Return the values of these trials; one that is missing is reported."""
        ...


class NullVault:
    """A ``Vault`` that keeps nothing."""

    seeds = 0

    def seal(self, trial: int, seed: int, test_bpb: float) -> None:
        pass

    def unseal(self, trials: Collection[int]) -> dict[int, float]:
        return {}


class Journal(Protocol):
    """Stores records durably, numbered from 0 without a gap. After a failed append it takes no more until reopened."""

    def append(self, payload: str) -> int:
        """Append a record, durable on return, and return its sequence number.

        Raises ``JournalError``, and ``ValueError`` for a payload that is not one JSON object on one line.
        """
        ...


class Control(Protocol):
    """Stop and pause requests of the user. A pause ends when its flag goes; a stop is not withdrawn."""

    def stop_reason(self) -> str:
        """Return why the run should end now, in good order; empty to continue."""
        ...

    def pause_reason(self) -> str:
        """Return why the run should pause now; empty to continue."""
        ...

    def suspend_requested(self) -> bool:
        """Whether the requested pause or stop should suspend the running trial instead of waiting for its end."""
        ...

    def wait_while_paused(self) -> None:
        """Block until the pause is over or a stop is requested."""
        ...

    def wait(self, seconds: float) -> None:
        """Block for that long, or until a stop is requested."""
        ...


class Observer:
    """Receives events for display or a log; its exceptions do not reach the loop. By default it ignores them."""

    def opened(self, trajectory: Trajectory) -> None:
        """Receive the run as read from its journal, before this process adds to it; the loop keeps it up to date."""

    def recorded(self, event: Event) -> None:
        """Receive ``event``, which is durable and part of the trajectory."""

    def progressed(self, progress: Progress) -> None:
        """Receive the progress of the running trial."""

    def heartbeat(self, stop_reason: str) -> None:
        """Called ten times a second while the daemon waits; ``stop_reason`` is empty unless the run is about to end."""

    def notify(self, message: str) -> None:
        """Receive one line of text for the user."""

    def preparing(self, stage: str, fraction: float) -> None:
        """Receive the progress of preparing a corpus."""

    def waiting(self, reason: str) -> None:
        """Receive once a second what the run waits for, with its numbers, and empty text when it continues."""


class Meter(Protocol):
    """Accounts for power and energy by phase. No method raises or blocks."""

    def poll(self) -> None:
        """Read the sensor if a reading is due. Any code that waits calls this, as often as it can."""
        ...

    def phase(self, name: Phase) -> None:
        """Attribute power from now on to phase ``name``."""
        ...

    def settle(self, phases: Sequence[Phase] = PHASES) -> dict[Phase, Power]:
        """Return what these phases took since they were last settled, and reset them: nothing is counted twice."""
        ...


class NullMeter:
    """A ``Meter`` that measures nothing."""

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
