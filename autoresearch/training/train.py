"""One training run and its validation for any model: budget, schedule, data order and score."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from autoresearch.core.measurement import CURVE_POINTS, Measurement
from autoresearch.core.ports import Seal, not_sealed
from autoresearch.core.stopped_trial import EarlyStop, StopPoint
from autoresearch.data.batches import batches
from autoresearch.data.corpus import Corpus
from autoresearch.training.checkpointing.suspension import NeverSuspend, Suspendable, Suspender
from autoresearch.training.checkpointing.train_state import TrainState
from autoresearch.training.evaluate import Score, score
from autoresearch.training.loss_curve import LossCurve
from autoresearch.training.stop_early import LimitExceeded, LimitWatch
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.schedule import LrSchedule
from autoresearch.trials.spec import TrialSpec
from autoresearch.trials.trial_budget import flops_per_step

REPORT_EVERY_S = 0.1
NEVER_SUSPEND = NeverSuspend()

# phase, fraction of the budget, step, tokens per second
Report = Callable[[str, float, int, float | None], None]


class NonFiniteLossError(Exception):
    """The loss became NaN or infinite; ``step`` counts from 1, ``where`` is "train" or "validate"."""

    def __init__(self, step: int, where: str, loss: float) -> None:
        super().__init__(f"the loss became {loss} in step {step} ({where})")
        self.step = step


class Model(Suspendable, Protocol):
    """A GPT with its optimizer on a device."""

    @property
    def device_name(self) -> str:
        """The chip, for the record."""
        ...

    def warm_up(self, batch: NDArray[np.int64]) -> None:
        """Do the work that only the first step needs, such as compiling, outside the budget; trains nothing."""
        ...

    def step(self, batch: NDArray[np.int64], lr: float) -> None:
        """Enqueue one optimizer step on ``(batch_size, seq_len + 1)`` ids."""
        ...

    def losses(self, wait_for_all: bool = False) -> list[float]:
        """Mean losses in nats, before the update, of the steps finished since the last call; in order.

        Waits until the device is at most a few steps behind, or with ``wait_for_all`` until it has finished them all.
        """
        ...

    def nats(self, inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.floating]:
        """Cross-entropy ``(n, scored)`` of the last ``scored`` positions; any number where the target is -1."""
        ...

    @property
    def validation_shard(self) -> tuple[int, int]:
        """Which shard of the validation this process computes, of how many: (0, 1) is all of it."""
        ...

    def sum_over_ranks(self, values: Sequence[float]) -> list[float]:
        """The sum of each value over the processes that share the validation."""
        ...

    def peak_bytes(self) -> int:
        """The most memory that this trial has held at once on its device, in bytes."""
        ...


def train_and_measure(
    spec: TrialSpec,
    corpus: Corpus,
    model: Model,
    report: Report,
    suspender: Suspender = NEVER_SUSPEND,
    seal: Seal = not_sealed,
) -> Measurement:
    """Train ``model`` under the spec's budget and score the span.

    Raises ``NonFiniteLossError``, and ``LimitExceeded`` once a loss is above its limit in ``spec.stop_above``.

    Where the spec has a span of the test split, ``seal`` receives its bits per byte; ``val_wall_s`` includes that.

    A suspended trial is resumed by ``suspender`` and measures what it would have measured undisturbed; suspending it
    raises ``Suspension``. ``trial_wall_s`` is left at 0: only the parent process can measure it.
    """
    batch_size, seq_len = int(spec.cfg["batch_size"]), int(spec.cfg["seq_len"])
    shape = ModelShape.of(spec.cfg, corpus.vocab)
    model.warm_up(next(batches(corpus.split("train"), spec.seed, batch_size, seq_len)))
    state = suspender.resume(model)
    if not state.trained:
        state = _train(spec, corpus, model, report, suspender, state)
    steps, train_s = state.step, state.train_s
    tokens = steps * batch_size * seq_len
    report("validate", 1.0, steps, tokens / train_s)
    result, vault, val_s = _validate(spec, corpus, model, suspender, state)
    assert state.loss_first is not None
    assert state.loss_last is not None
    if vault is not None and math.isfinite(vault.nats):
        seal(vault.bits_per_byte)
    return Measurement(
        val_bpb=result.bits_per_byte,
        val_nats_per_token=result.nats_per_token,
        val_tokens=result.tokens,
        val_bytes=result.bytes,
        train_loss_first=state.loss_first,
        train_loss_last=state.loss_last,
        train_loss_curve=LossCurve.resumed(1.0, state.curve_nats, state.curve_shares).points(),
        train_steps=steps,
        train_tokens=tokens,
        train_flops=steps * flops_per_step(spec.cfg, corpus.vocab),
        params=shape.params,
        mean_step_ms=1000 * train_s / steps,
        tokens_per_s=tokens / train_s,
        train_wall_s=train_s,
        val_wall_s=val_s,
        trial_wall_s=0.0,
        peak_bytes=max(model.peak_bytes(), state.peak_bytes),
        device=model.device_name,
    )


def _train(
    spec: TrialSpec, corpus: Corpus, model: Model, report: Report, suspender: Suspender, before: TrainState
) -> TrainState:
    """Run the optimizer steps that are left after ``before``."""
    batch_size, seq_len, lr = int(spec.cfg["batch_size"]), int(spec.cfg["seq_len"]), float(spec.cfg["lr"])
    schedule = _lr_schedule(spec, before)
    began = reported = time.monotonic()
    curve = LossCurve.resumed(schedule.fraction(), before.curve_nats, before.curve_shares)
    losses = LossTracker(before.step, before.loss_first, before.loss_last, curve)
    watch = LimitWatch.starting_at(spec.stop_above, schedule.fraction())
    report("train", schedule.fraction(), schedule.step, None)

    def state_now(trained: bool) -> TrainState:
        losses.add(model.losses(wait_for_all=True))
        return TrainState(
            step=schedule.step,
            trained=trained,
            loss_first=losses.first,
            loss_last=losses.last,
            curve_nats=tuple(curve.nats),
            curve_shares=tuple(curve.shares),
            warm_fraction=schedule.warm_fraction,
            train_s=before.train_s + time.monotonic() - began,
            val_s=before.val_s,
            peak_bytes=max(before.peak_bytes, model.peak_bytes()),
        )

    for batch in batches(corpus.split("train"), spec.seed, batch_size, seq_len, skip=before.step):
        if suspender.is_requested(model):
            suspender.suspend(model, state_now(trained=False))
        model.step(batch, lr * schedule.lr_factor())
        arrived = model.losses()
        within_budget = schedule.advance()
        curve.advance(schedule.fraction())
        losses.add(arrived)
        if watch.is_due(schedule.fraction()):
            losses.add(model.losses(wait_for_all=True))
            if (part := watch.exceeded(schedule.fraction(), curve, model)) is not None:
                flops = flops_per_step(spec.cfg, corpus.vocab)
                raise LimitExceeded(_early_stop(spec, flops, part, curve, state_now(trained=False), model.device_name))
        now = time.monotonic()
        if now - reported >= REPORT_EVERY_S:
            speed = (schedule.step - before.step) * batch_size * seq_len / (now - began)
            report("train", schedule.fraction(), schedule.step, speed)
            reported = now
        if not within_budget:
            break
    return state_now(trained=True)


def _early_stop(
    spec: TrialSpec, step_flops: int, part: int, curve: LossCurve, state: TrainState, device: str
) -> EarlyStop:
    """What is recorded of a trial whose loss in ``part`` of the budget was above its limit."""
    losses, limit = curve.first_points(part + 1) or (), spec.stop_above[part]
    assert losses
    assert limit is not None
    tokens = state.step * int(spec.cfg["batch_size"]) * int(spec.cfg["seq_len"])
    return EarlyStop(
        stopped_early=StopPoint(fraction=(part + 1) / CURVE_POINTS, loss=losses[part], limit=limit),
        train_loss_curve=losses,
        train_steps=state.step,
        train_tokens=tokens,
        train_flops=state.step * step_flops,
        tokens_per_s=tokens / state.train_s,
        train_wall_s=state.train_s,
        trial_wall_s=0.0,
        peak_bytes=state.peak_bytes,
        device=device,
    )


def _lr_schedule(spec: TrialSpec, before: TrainState) -> LrSchedule:
    steps = spec.budget.steps(int(spec.cfg["batch_size"]), int(spec.cfg["seq_len"]))
    warmup = int(spec.cfg["lr_warmup"])
    return LrSchedule(
        spec.budget, steps, warmup, step=before.step, spent_s=before.train_s, warm_fraction=before.warm_fraction
    )


def _validate(
    spec: TrialSpec, corpus: Corpus, model: Model, suspender: Suspender, state: TrainState
) -> tuple[Score, Score | None, float]:
    """The scores of the span and of the vault's, and the seconds that they took.

    Once suspended it starts over: it is short beside the training.
    """
    began = time.monotonic()

    def spent_s() -> float:
        return state.val_s + time.monotonic() - began

    def suspend_if_requested() -> None:
        if suspender.is_requested(model):
            suspender.suspend(model, state.model_copy(update={"val_s": spent_s()}))

    score_span = partial(
        score,
        model.nats,
        token_bytes=corpus.token_bytes,
        seq_len=int(spec.cfg["seq_len"]),
        shard=model.validation_shard,
        sum_over_shards=model.sum_over_ranks,
        before_each_pass=suspend_if_requested,
    )
    result = score_span(corpus.split("val"), spec.span)
    if not math.isfinite(result.nats):
        raise NonFiniteLossError(state.step, "validate", result.nats)
    vault = score_span(corpus.vault(), spec.vault) if spec.vault else None
    return result, vault, spent_s()


@dataclass(slots=True)
class LossTracker:
    """Keeps the first and the last training loss, and the curve. ``add`` raises ``NonFiniteLossError``."""

    steps: int = 0
    first: float | None = None
    last: float | None = None
    curve: LossCurve | None = None

    def add(self, losses: Sequence[float]) -> None:
        for loss in losses:
            self.steps += 1
            if not math.isfinite(loss):
                raise NonFiniteLossError(self.steps, "train", loss)
            self.first = loss if self.steps == 1 else self.first
            self.last = loss
            if self.curve:
                self.curve.add(loss)
