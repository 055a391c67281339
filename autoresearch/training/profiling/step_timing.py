"""How fast one configuration trains: optimizer steps on random tokens and on the real corpus, in alternating blocks.

Both kinds do the same work on the device, so the extra time of the real one is the cost of the data path. The random
tokens are drawn with the corpus's own frequencies, and their batches are made before the clock runs: so the two kinds
differ in the data path only, and not in the embedding's gradient. Blocks alternate and change their order each round,
so that a machine that warms up or slows down affects both alike; the results are medians over the rounds.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autoresearch.core.speeds import Speed, Timing
from autoresearch.data.batches import batches
from autoresearch.data.corpus import Corpus
from autoresearch.training.train import LossTracker, Model, Report
from autoresearch.trials.spec import TrialSpec
from autoresearch.trials.trial_budget import flops_per_step

WARM_STEPS = 2  # of each kind, before the clock runs, for thread pools, allocators and caches
RANDOM_BATCHES = 8  # made beforehand and repeated: more than one, few enough to take little memory
RANDOM_STREAM = 2  # separates this random stream from those of the data order and the initialisation
LR = 0.0  # such an update takes as long as any other, and the loss cannot diverge
REPORT_EVERY_S = 0.1
MIN_ENERGY_S = (
    2.0  # NVML's counter is updated up to ten times a second: in less time the error is more than a few per cent
)

ReadEnergy = Callable[[], float | None]  # joules since some fixed moment, or None without a counter


@dataclass(slots=True)
class Stopwatch:
    """Runs blocks of steps and keeps their seconds per step, by kind."""

    model: Model
    report: Report
    total_steps: int
    sources: dict[str, Iterator[NDArray[np.int64]]]  # "random" and "real"
    step_s: dict[str, list[float]] = field(default_factory=lambda: {"random": [], "real": []})
    batch_s: dict[str, list[float]] = field(default_factory=lambda: {"random": [], "real": []})
    losses: LossTracker = field(default_factory=LossTracker)
    done: int = 0
    reported: float = 0.0
    report_every_s: float = REPORT_EVERY_S

    def block(self, kind: str, steps: int) -> None:
        """Time ``steps`` steps, until the device has finished the last one. Raises ``NonFiniteLossError``."""
        batches_s = 0.0
        began = time.perf_counter()
        for _ in range(steps):
            batch_began = time.perf_counter()
            batch = next(self.sources[kind])
            batches_s += time.perf_counter() - batch_began
            self.model.step(batch, LR)
            self.losses.add(self.model.losses())
            self._report_progress(kind)
        self.losses.add(self.model.losses(wait_for_all=True))
        self.step_s[kind].append((time.perf_counter() - began) / steps)
        self.batch_s[kind].append(batches_s / steps)

    def reset(self) -> None:
        """Drop the times of the warm-up."""
        for seconds in (*self.step_s.values(), *self.batch_s.values()):
            seconds.clear()

    def _report_progress(self, kind: str) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.reported >= self.report_every_s:
            self.report(f"{kind} tokens", min(1.0, self.done / self.total_steps), self.done, None)
            self.reported = now


def measure_speed(
    spec: TrialSpec,
    corpus: Corpus,
    model: Model,
    timing: Timing,
    report: Report,
    read_energy: ReadEnergy,
    *,
    min_energy_s: float = MIN_ENERGY_S,
    report_every_s: float = REPORT_EVERY_S,
) -> Speed:
    """Time ``timing.steps`` optimizer steps of a trial on random tokens, and as many on the corpus.

    Energy is left out if the steps take less than ``min_energy_s``. Raises ``NonFiniteLossError``, and ``ValueError``
    for a training split that is shorter than one sequence.
    """
    batch_size, seq_len = int(spec.cfg["batch_size"]), int(spec.cfg["seq_len"])
    tokens = corpus.split("train")
    real = batches(tokens, spec.seed, batch_size, seq_len)
    model.warm_up(next(real))
    random = itertools.cycle(random_batches(tokens, spec.seed, batch_size, seq_len))
    stopwatch = Stopwatch(model, report, 2 * (WARM_STEPS + timing.steps), {"random": random, "real": real})
    stopwatch.report_every_s = report_every_s
    stopwatch.block("random", WARM_STEPS)
    stopwatch.block("real", WARM_STEPS)
    stopwatch.reset()
    energy_before, began = read_energy(), time.perf_counter()
    for number, steps in enumerate(timing.blocks):
        for kind in ("random", "real") if number % 2 == 0 else ("real", "random"):
            stopwatch.block(kind, steps)
    wall_s, energy_after = time.perf_counter() - began, read_energy()
    tokens_per_step = batch_size * seq_len
    per_token = flops_per_step(spec.cfg, corpus.vocab) // tokens_per_step
    speed = summarise(stopwatch, timing.steps, tokens_per_step, per_token)
    if energy_before is None or energy_after is None or energy_after <= energy_before or wall_s < min_energy_s:
        return speed
    energy_j = energy_after - energy_before
    per_joule = 2 * timing.steps * batch_size * seq_len / energy_j
    return speed.model_copy(update={"energy_j": energy_j, "watts": energy_j / wall_s, "tokens_per_joule": per_joule})


def random_batches(tokens: NDArray[np.integer], seed: int, batch_size: int, seq_len: int) -> list[NDArray[np.int64]]:
    """``RANDOM_BATCHES`` batches ``(batch_size, seq_len + 1)`` of single tokens drawn from all of ``tokens``."""
    rng = np.random.Generator(np.random.PCG64([seed, RANDOM_STREAM]))
    places = rng.integers(0, len(tokens), (RANDOM_BATCHES, batch_size, seq_len + 1))
    return list(tokens[places].astype(np.int64))


def summarise(stopwatch: Stopwatch, steps: int, tokens_per_step: int, flops_per_token: int) -> Speed:
    """The rounds of both kinds as one result; the cost of the data path is computed within each round."""
    random_s, real_s = stopwatch.step_s["random"], stopwatch.step_s["real"]
    random, real = statistics.median(random_s), statistics.median(real_s)
    fractions = [1 - at_random / with_text for at_random, with_text in zip(random_s, real_s, strict=True)]
    return Speed(
        steps=steps,
        random_tokens_per_s=tokens_per_step / random,
        real_tokens_per_s=tokens_per_step / real,
        random_step_ms=1000 * random,
        real_step_ms=1000 * real,
        data_path_frac=statistics.median(fractions),
        data_path_spread=(max(fractions) - min(fractions)) / 2,
        batch_ms=1000 * statistics.median(stopwatch.batch_s["real"]),
        random_rounds_ms=tuple(1000 * s for s in random_s),
        real_rounds_ms=tuple(1000 * s for s in real_s),
        flops_per_token=flops_per_token,
        peak_bytes=stopwatch.model.peak_bytes(),
        device=stopwatch.model.device_name,
    )
