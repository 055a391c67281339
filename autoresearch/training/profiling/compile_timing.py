"""Measure what torch.compile would save, once per run: every trial of a run is compiled, or none is.

Compiled layers round differently, and a candidate must be computed as its baseline is.
"""

from __future__ import annotations

import time
from pathlib import Path

from autoresearch.data.batches import batches
from autoresearch.data.corpus import Corpus
from autoresearch.training.build import build_model
from autoresearch.trials.compile_decision import CompileTimes, compiling_could_pay, steps_of
from autoresearch.trials.spec import TrialSpec

ROUNDS, STEPS_PER_ROUND = 3, 3  # the fastest round counts: other processes can only slow a step down


def measure(spec: TrialSpec) -> CompileTimes:
    """Time the spec's configuration without compiled layers, and with them if compiling could save time."""
    eager_s, _ = _step_and_warm_up(spec.model_copy(update={"compiled": False}))
    if not compiling_could_pay(eager_s, steps_of(spec, eager_s)):
        return CompileTimes(eager_step_s=eager_s)
    compiled_s, compile_s = _step_and_warm_up(spec.model_copy(update={"compiled": True}))
    return CompileTimes(eager_step_s=eager_s, compiled_step_s=compiled_s, compile_s=compile_s)


def _step_and_warm_up(spec: TrialSpec) -> tuple[float, float]:
    """Seconds of one step, and of the warm-up before the first step."""
    corpus = Corpus.open(Path(spec.corpus))
    stream = batches(corpus.split("train"), spec.seed, int(spec.cfg["batch_size"]), int(spec.cfg["seq_len"]))
    model = build_model(spec, corpus.vocab)
    began = time.monotonic()
    model.warm_up(next(stream))
    warm_up_s = time.monotonic() - began
    rounds_s = []
    for _ in range(1 + ROUNDS):  # and one before, in which the optimizer allocates its moments
        began = time.monotonic()
        for _ in range(STEPS_PER_ROUND):
            model.step(next(stream), 0.0)
        model.losses(wait_for_all=True)
        rounds_s.append(time.monotonic() - began)
    return min(rounds_s[1:]) / STEPS_PER_ROUND, warm_up_s
