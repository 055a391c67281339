"""How fast one configuration trains: optimizer steps on random tokens and on the real corpus, in alternating blocks.

Both kinds do the same work on the device, so what the real one takes longer is the data path's cost. The random tokens
are drawn with the corpus's own frequencies, and their batches are made before the clock runs: then neither the
embedding's gradient nor the host differ in anything but the data path. Blocks alternate and change their order each
round, so that a machine that warms up or slows down does it to both alike; medians over the rounds are what counts.
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
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.spec import TrialSpec

WARM_STEPS = 2  # of each kind, before the clock runs: thread pools, allocators and caches settle
RANDOM_BATCHES = 8  # made beforehand and repeated: enough not to train on one, few enough to cost no memory
RANDOM_STREAM = 2  # keeps this random stream apart from the data order's and the initialisation's
LR = 0.0  # an update by nothing costs what any update costs, and no loss can explode
REPORT_EVERY_S = 0.1
MIN_ENERGY_S = 2.0  # NVML's counter moves up to ten times a second: over less, its steps are more than a few per cent

ReadEnergy = Callable[[], float | None]  # joules since some fixed moment, or None where nobody counts them


@dataclass(slots=True)
class Stopwatch:
    """Runs blocks of steps and keeps what they took, in seconds per step, by kind."""

    model: Model
    report: Report
    total_steps: int
    sources: dict[str, Iterator[NDArray[np.int64]]]  # "random" and "real"
    step_s: dict[str, list[float]] = field(default_factory=lambda: {"random": [], "real": []})
    batch_s: dict[str, list[float]] = field(default_factory=lambda: {"random": [], "real": []})
    losses: LossTracker = field(default_factory=LossTracker)
    done: int = 0
    reported: float = 0.0

    def block(self, kind: str, steps: int) -> None:
        """From the first batch until the device has done the last step. Raises ``NonFiniteLossError``."""
        making_s = 0.0
        began = time.perf_counter()
        for _ in range(steps):
            asked = time.perf_counter()
            batch = next(self.sources[kind])
            making_s += time.perf_counter() - asked
            self.model.step(batch, LR)
            self.losses.add(self.model.losses())
            self._say(kind)
        self.losses.add(self.model.losses(wait_for_all=True))
        self.step_s[kind].append((time.perf_counter() - began) / steps)
        self.batch_s[kind].append(making_s / steps)

    def forget(self) -> None:
        """What came before was the warm-up."""
        for seconds in (*self.step_s.values(), *self.batch_s.values()):
            seconds.clear()

    def _say(self, kind: str) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.reported >= REPORT_EVERY_S:
            self.report(f"{kind} tokens", min(1.0, self.done / self.total_steps), self.done, None)
            self.reported = now


def measure_speed(
    spec: TrialSpec, corpus: Corpus, model: Model, timing: Timing, report: Report, read_energy: ReadEnergy
) -> Speed:
    """Time ``timing.steps`` optimizer steps on random tokens and as many on the corpus, as a trial makes them.

    Raises ``NonFiniteLossError``, and ``ValueError`` for a training split that is shorter than one sequence.
    """
    batch_size, seq_len = int(spec.cfg["batch_size"]), int(spec.cfg["seq_len"])
    tokens = corpus.split("train")
    real = batches(tokens, spec.seed, batch_size, seq_len)
    model.warm_up(next(real))
    random = itertools.cycle(random_batches(tokens, spec.seed, batch_size, seq_len))
    watch = Stopwatch(model, report, 2 * (WARM_STEPS + timing.steps), {"random": random, "real": real})
    watch.block("random", WARM_STEPS)
    watch.block("real", WARM_STEPS)
    watch.forget()
    energy_before, began = read_energy(), time.perf_counter()
    for number, steps in enumerate(timing.blocks):
        for kind in ("random", "real") if number % 2 == 0 else ("real", "random"):
            watch.block(kind, steps)
    wall_s, energy_after = time.perf_counter() - began, read_energy()
    shape = ModelShape.of(spec.cfg, corpus.vocab)
    speed = summarise(watch, timing.steps, batch_size * seq_len, shape.flops_per_token)
    if energy_before is None or energy_after is None or energy_after <= energy_before or wall_s < MIN_ENERGY_S:
        return speed
    energy_j = energy_after - energy_before
    per_joule = 2 * timing.steps * batch_size * seq_len / energy_j
    return speed.model_copy(update={"energy_j": energy_j, "watts": energy_j / wall_s, "tokens_per_joule": per_joule})


def random_batches(tokens: NDArray[np.integer], seed: int, batch_size: int, seq_len: int) -> list[NDArray[np.int64]]:
    """``RANDOM_BATCHES`` batches ``(batch_size, seq_len + 1)`` of single tokens drawn from all over ``tokens``."""
    rng = np.random.Generator(np.random.PCG64([seed, RANDOM_STREAM]))
    places = rng.integers(0, len(tokens), (RANDOM_BATCHES, batch_size, seq_len + 1))
    return list(tokens[places].astype(np.int64))


def summarise(watch: Stopwatch, steps: int, tokens_per_step: int, flops_per_token: int) -> Speed:
    """The rounds of both kinds as one result; the data path's cost is compared within each round."""
    random_s, real_s = watch.step_s["random"], watch.step_s["real"]
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
        batch_ms=1000 * statistics.median(watch.batch_s["real"]),
        random_rounds_ms=tuple(1000 * s for s in random_s),
        real_rounds_ms=tuple(1000 * s for s in real_s),
        flops_per_token=flops_per_token,
        peak_bytes=watch.model.peak_bytes(),
        device=watch.model.device_name,
    )
