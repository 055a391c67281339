"""Whether torch.compile pays: decided once per run from measured times, and the same for every trial of the run.

The same for every trial because compiled layers round differently: a candidate and its baseline must be computed alike.
"""

from __future__ import annotations

import time

from autoresearch.records import Plain
from autoresearch.training.spec import TrialSpec

ROUNDS, STEPS_A_ROUND = 3, 3  # the fastest round counts: what else the machine does must not look like a slow step
# More than compiling has brought (1.3 on a CPU with a vocabulary of 50k) and less time than it has taken anywhere (13 s
# and more): where even these do not pay, nothing needs to be compiled to know.
HOPED_SPEEDUP = 1.6
LEAST_COMPILE_S = 8.0


class CompileTimes(Plain):
    """Seconds, of the baseline: a step without and with compiled layers, and compiling them."""

    eager_step_s: float
    compiled_step_s: float | None = None  # null where the trial is too short to try it
    compile_s: float | None = None

    def pays(self, steps: int) -> bool:
        """Whether a trial of so many steps earns back a compile that nothing was cached of."""
        if self.compiled_step_s is None or self.compile_s is None:
            return False
        return steps * (self.eager_step_s - self.compiled_step_s) > self.compile_s

    def explain(self, steps: int) -> str:
        """One line for a terminal."""
        eager = f"a step takes {self.eager_step_s:.3g} s"
        if self.compiled_step_s is None or self.compile_s is None:
            return f"not compiled: {eager}, {steps} of them cannot earn a compile back"
        found = f"{eager}, compiled {self.compiled_step_s:.3g} s, compiling {self.compile_s:.3g} s"
        return f"{'compiled' if self.pays(steps) else 'not compiled'}: {found}, {steps} steps a trial"


def could_pay(eager_step_s: float, steps: int) -> bool:
    """Whether it is worth a compile to find out."""
    return steps * eager_step_s * (1 - 1 / HOPED_SPEEDUP) > LEAST_COMPILE_S


def steps_of(spec: TrialSpec, eager_step_s: float) -> int:
    """Optimizer steps of a trial; of one on the clock, as many as it would make without compiling."""
    steps = spec.budget.steps(int(spec.cfg["batch_size"]), int(spec.cfg["seq_len"]))
    return steps if steps is not None else int(spec.budget.size / eager_step_s)


def measure(spec: TrialSpec) -> CompileTimes:
    """Time the spec's configuration here, in a process of its own, as far as it could matter."""
    eager_s, _ = _step_and_warm_up(spec.model_copy(update={"compiled": False}))
    if not could_pay(eager_s, steps_of(spec, eager_s)):
        return CompileTimes(eager_step_s=eager_s)
    compiled_s, compile_s = _step_and_warm_up(spec.model_copy(update={"compiled": True}))
    return CompileTimes(eager_step_s=eager_s, compiled_step_s=compiled_s, compile_s=compile_s)


def _step_and_warm_up(spec: TrialSpec) -> tuple[float, float]:
    """Seconds of one step and of the warm-up before the first."""
    from pathlib import Path

    from autoresearch.training.batches import batches
    from autoresearch.training.corpus import Corpus
    from autoresearch.training.worker import make_model

    corpus = Corpus.open(Path(spec.corpus))
    stream = batches(corpus.split("train"), spec.seed, int(spec.cfg["batch_size"]), int(spec.cfg["seq_len"]))
    model = make_model(spec, corpus.vocab)
    began = time.monotonic()
    model.warm_up(next(stream))
    warm_up_s = time.monotonic() - began
    rounds_s = []
    for _ in range(1 + ROUNDS):  # and one before, in which the optimizer makes its moments
        began = time.monotonic()
        for _ in range(STEPS_A_ROUND):
            model.step(next(stream), 0.0)
        model.losses(wait_for_all=True)
        rounds_s.append(time.monotonic() - began)
    return min(rounds_s[1:]) / STEPS_A_ROUND, warm_up_s
