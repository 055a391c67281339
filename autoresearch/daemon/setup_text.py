"""Say what is trained, for the prompt of an LLM: model, vocabulary, FLOPs, corpus."""

from __future__ import annotations

from autoresearch.trials.estimate import Estimator
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.trial_budget import flops_per_step, trial_steps


def describe_setup(estimator: Estimator | None, train_tokens: int | None = None) -> str:
    """One line on the baseline's model and the corpus; empty where neither is known."""
    if estimator is None:
        return ""
    shape = ModelShape.of(estimator.baseline, estimator.vocab)
    text = f"The baseline model has {shape.params / 1e6:,.2f} M parameters and a vocabulary of {shape.vocab:,}"
    steps = trial_steps(estimator.budget, estimator.baseline, estimator.baseline, estimator.vocab)
    if steps:
        flops = steps * flops_per_step(estimator.baseline, estimator.vocab)
        text += f"; its training takes {flops:.2g} FLOPs"
    return f"{text}; the corpus has {train_tokens:,} training tokens." if train_tokens else f"{text}."
