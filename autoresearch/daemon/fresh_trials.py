"""Trials outside of a run: any configuration with any seed, measured once, durable, known by its conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import TypeAdapter

from autoresearch.config.settings import Settings
from autoresearch.core.measurement import RETRYABLE, Cause, Failure, Measurement, Outcome, Suspended
from autoresearch.core.metric import BITS_PER_BYTE, Metric, loss_of, value_of
from autoresearch.core.ports import Interrupted, Observer, Progress, SuspendControl
from autoresearch.core.recorded_run import input_changed
from autoresearch.core.values import Cfg, FrozenModel, NotNegative, Positive, decode_record, sha256_of
from autoresearch.daemon.backend import real_backend
from autoresearch.daemon.control import RunControl
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.service import MakeBackend
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.storage.decode import decode_lines
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import PAUSE_FLAG, hold

Limit = Callable[[RunControl, TrialBackend], AbstractContextManager[None]]


class FreshTrial(FrozenModel):
    """One measured trial. Trials with the same ``conditions_sha256`` differ in nothing but the seed."""

    conditions_sha256: str
    seed: int
    val_bpb: Positive | None
    trial_wall_s: NotNegative
    train_loss_curve: tuple[float, ...] | None = None  # as in a run's trials; null in older caches
    warmup_frac: NotNegative = 0.0  # the share of its budget that the configuration warms up
    train_steps: int | None = None  # as what follows: null in older caches
    train_tokens: int | None = None
    train_flops: int | None = None
    peak_bytes: int | None = None
    metric: Metric | None = None  # null where the metric is bits per byte

    @property
    def loss(self) -> float:
        """``val_bpb``, or the metric as a loss."""
        return loss_of(value_of(self.val_bpb, self.metric), self.metric.direction if self.metric else "lower")

    def describe(self) -> str:
        """``val_bpb 2.1234``."""
        name = self.metric.name if self.metric else BITS_PER_BYTE
        return f"{name} {value_of(self.val_bpb, self.metric):.4f}"


class FailedTrial(FrozenModel):
    """A trial that its configuration made fail, where failures are remembered too. A null was not measured."""

    conditions_sha256: str
    seed: int
    cause: Cause
    detail: str
    trial_wall_s: NotNegative | None = None
    peak_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A configuration and the seed to train it with."""

    cfg: Cfg
    seed: int


FRESH_TRIAL: TypeAdapter[FreshTrial] = TypeAdapter(FreshTrial)
ANY_TRIAL: TypeAdapter[FreshTrial | FailedTrial] = TypeAdapter(FreshTrial | FailedTrial)


class FreshTrials:
    """A context that holds the run directory of the settings and measures trials into its file ``name``.

    Pause and stop requests are obeyed as in an iteration; a pause ends the work where ``on_pause`` is ``exit``. Without
    a ``control`` only signals stop it. ``limit`` holds a further limit while the context is open.
    With ``remember_failures`` a failure that is not chance (``RETRYABLE``) is durable too, and is not tried again.
    Entering raises an ``AutoresearchError`` for everything that the user must decide or repair.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        observer: Observer,
        make_backend: MakeBackend | None = None,
        *,
        remember_failures: bool = False,
        control: RunControl | None = None,
        limit: Limit | None = None,
    ) -> None:
        self.settings, self.name, self.observer = settings, name, observer
        self.remember_failures = remember_failures
        self.limit, self._control = limit, control or RunControl(settings.run_dir / PAUSE_FLAG)
        self.policy = build_policy(settings)
        self.make_backend = make_backend or real_backend
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            run_dir = opened.enter_context(hold(self.settings.run_dir))
            self._journal = Journal(run_dir / self.name)
            opened.callback(self._journal.close)
            decoded = decode_lines(
                self._journal, lambda p: decode_record(ANY_TRIAL, p), self._journal.path, hint="another --dir"
            )
            self._known: dict[tuple[str, int], FreshTrial] = {}
            self._failed: dict[tuple[str, int], FailedTrial] = {}
            for trial in decoded:
                if isinstance(trial, FreshTrial):
                    self._known[trial.conditions_sha256, trial.seed] = trial
                else:
                    self._failed[trial.conditions_sha256, trial.seed] = trial
            self._control.heartbeat = self.observer.heartbeat
            self.backend: TrialBackend = self.make_backend(
                self.settings, self.policy, run_dir, self._stopped, self.observer
            )
            opened.callback(self.backend.close)
            if self.limit is not None:
                opened.enter_context(self.limit(self._control, self.backend))
            opened.enter_context(self._control.listening())
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def known(self, wanted: Wanted) -> FreshTrial | None:
        """The trial, if it was measured before."""
        return self._known.get((self._conditions(wanted), wanted.seed))

    def known_failure(self, wanted: Wanted) -> FailedTrial | None:
        """The failure, if this trial failed before and failures are remembered."""
        return self._failed.get((self._conditions(wanted), wanted.seed))

    def measure(self, wanted: Wanted) -> FreshTrial | Failure | None:
        """Measure a trial and remember it; ``None`` if a stop or pause ended it. A failure: see ``remember_failures``.

        Raises ``CorpusError`` if a file that trials read has changed; the trial that may have read it is forgotten.
        """
        try:
            outcome = self._run_parts(wanted)
        except Interrupted:
            return None
        if what := self.backend.inputs.change():
            raise input_changed(what)
        if isinstance(outcome, Failure):
            self._remember_failure(wanted, outcome)
            return outcome
        if not isinstance(outcome, Measurement):
            return None  # stopped before its end
        conditions, steps = self._conditions(wanted), self.policy.steps(wanted.cfg)
        trial = FreshTrial(
            conditions_sha256=conditions,
            seed=wanted.seed,
            val_bpb=outcome.val_bpb,
            metric=outcome.metric,
            trial_wall_s=outcome.trial_wall_s,
            train_loss_curve=outcome.train_loss_curve,
            warmup_frac=min(1.0, int(wanted.cfg.get("lr_warmup", 0)) / steps) if steps else 0.0,
            train_steps=outcome.train_steps,
            train_tokens=outcome.train_tokens,
            train_flops=outcome.train_flops,
            peak_bytes=outcome.peak_bytes,
        )
        self._journal.append(trial.model_dump_json())
        self._known[conditions, wanted.seed] = trial
        return trial

    def _run_parts(self, wanted: Wanted) -> Outcome | Suspended | None:
        """The trial's outcome after any number of pauses; ``None`` or ``Suspended`` where a stop ended it."""
        outcome: Outcome | Suspended | None = None
        while self._may_continue():
            before = outcome if isinstance(outcome, Suspended) else None
            suspend = SuspendControl(self._control.suspend_requested, before)
            outcome = self.backend.trial.measure(wanted.cfg, wanted.seed, self._show, suspend)
            if not isinstance(outcome, Suspended):
                break
        return outcome

    def _may_continue(self) -> bool:
        """Wait while the user pauses; false once a stop is requested, or where a pause ends the process."""
        if self._stopped():
            return False
        if reason := self._control.pause_reason():
            if self.settings.on_pause == "exit":
                return False
            self.observer.notify(f"paused: {reason}")
            self._control.wait_while_paused()
            if self._stopped():
                return False
            self.observer.notify("resumed")
        return True

    def _remember_failure(self, wanted: Wanted, failure: Failure) -> None:
        if not self.remember_failures or failure.cause in RETRYABLE:
            return
        failed = FailedTrial(
            conditions_sha256=self._conditions(wanted),
            seed=wanted.seed,
            cause=failure.cause,
            detail=failure.detail,
            trial_wall_s=failure.trial_wall_s,
            peak_bytes=failure.peak_bytes,
        )
        self._journal.append(failed.model_dump_json())
        self._failed[failed.conditions_sha256, failed.seed] = failed

    def _conditions(self, wanted: Wanted) -> str:
        return sha256_of({"yardstick": self.backend.yardstick.model_dump(mode="json"), "cfg": wanted.cfg})

    def _stopped(self) -> bool:
        self._control.must_abort()  # a sign of life for a service manager
        return bool(self._control.stop_reason())

    def _show(self, phase: str, fraction: float, step: int, tokens_per_s: float | None) -> None:
        self.observer.progressed(Progress(0, phase, fraction, step, tokens_per_s))


def decode_fresh_trials(path: Path, payloads: Iterable[bytes]) -> Iterator[FreshTrial]:
    """Every trial of ``path``. Raises ``JournalDamaged`` with the number of the line that cannot be decoded."""
    return decode_lines(payloads, lambda p: decode_record(FRESH_TRIAL, p), path, hint="another --dir")
