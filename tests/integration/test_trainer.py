"""Both trainers on real text: deterministic to the bit, every knob honoured, and better than what can be counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoresearch.core.measurement import CURVE_POINTS, Measurement
from autoresearch.core.ports import not_sealed
from autoresearch.data.corpus import Corpus
from autoresearch.data.windows import choose_span
from autoresearch.training.build import build_model
from autoresearch.training.train import NonFiniteLossError, train_and_measure
from autoresearch.trials.spec import Budget, TrialSpec
from autoresearch.trials.trial_budget import flops_per_step
from rails import STRUCTURAL_KNOBS

CFG: dict[str, Any] = {
    "n_layer": 1,
    "n_head": 2,
    "d_model": 32,
    "d_ff": 64,
    "lr": 3e-3,
    "lr_warmup": 2,
    "grad_clip": 1.0,
    "weight_decay": 0.0,
    "beta1": 0.9,
    "beta2": 0.95,
    "batch_size": 4,
    "seq_len": 64,
    "precision": "fp32",
}
OTHER = {
    "n_layer": 2,
    "n_head": 4,
    "d_model": 64,
    "d_ff": 128,
    "lr": 1e-3,
    "lr_warmup": 0,
    "grad_clip": 0.1,
    "weight_decay": 0.3,
    "beta1": 0.8,
    "beta2": 0.99,
    "batch_size": 8,
    "seq_len": 32,
    "precision": "bf16",
}


Trial = Callable[..., Measurement]


@pytest.fixture(params=["torch", "megatron"])
def trial(request: pytest.FixtureRequest, small_corpus: Path) -> Trial:
    return partial(measure, small_corpus, request.param)


def measure(
    corpus: Path,
    trainer: str,
    steps: float = 12,
    kind: Any = "steps",
    seed: int = 0,
    seal: Any = None,
    threads: int = 1,
    **changes: Any,
) -> Measurement:
    opened = Corpus.open(corpus)
    span = choose_span(opened.split("val"), opened.token_bytes, 64, 4096)
    vault = choose_span(opened.vault(), opened.token_bytes, 64, 2048, "test") if seal else None
    spec = TrialSpec(
        cfg=CFG | changes,
        seed=seed,
        corpus=str(corpus),
        trainer=trainer,
        device="cpu",
        threads=threads,
        budget=Budget(kind=kind, size=steps),
        span=span,
        vault=vault,
    )
    return train_and_measure(spec, opened, build_model(spec, opened.vocab), lambda *_: None, seal=seal or not_sealed)


def result(m: Measurement) -> tuple[Any, ...]:
    return m.val_bpb, m.train_loss_first, m.train_loss_last, m.train_loss_curve


@pytest.mark.slow
def test_the_same_trial_is_bitwise_the_same_after_any_other(trial: Trial) -> None:
    first = trial(threads=2)
    trial(seed=9, d_model=64, precision="bf16")
    assert result(trial(threads=2)) == result(first)
    assert trial(seed=1).val_bpb != first.val_bpb


def test_a_vault_is_scored_beside_the_validation_and_changes_nothing_of_it(trial: Trial) -> None:
    sealed: list[float] = []
    assert result(trial(seal=sealed.append)) == result(trial())
    trial(seal=sealed.append)
    trial(seal=sealed.append, seed=1)
    first, again, other = sealed
    assert first == again != other
    assert first not in (trial().val_bpb, trial(seed=1).val_bpb)
    assert 1 < first < 9, "bits per byte of a model that has hardly learned"


@pytest.mark.slow
@pytest.mark.parametrize("knob", sorted(OTHER))
def test_every_knob_changes_the_training(trial: Trial, knob: str) -> None:
    assert trial(**{knob: OTHER[knob]}).val_bpb != trial().val_bpb


@pytest.mark.slow
@pytest.mark.parametrize("name", STRUCTURAL_KNOBS)
def test_every_structural_knob_changes_the_training_of_trainer_torch(small_corpus: Path, name: str) -> None:
    trial, knob = partial(measure, small_corpus, "torch"), STRUCTURAL_KNOBS[name]
    plain, same = trial(), trial(**{name: knob.origin})
    assert result(plain) == result(same), "the origin's value is what a configuration without the knob has"
    for value in knob.others:
        other = trial(**{name: value})
        assert other.val_bpb != plain.val_bpb
        assert result(trial(**{name: value})) == result(other)
        with pytest.raises(ValueError, match=f"cannot train with {name} = {value}"):
            measure(small_corpus, "megatron", **{name: value})


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_all_structural_knobs_together_learn(small_corpus: Path, precision: str) -> None:
    others = {name: knob.others[0] for name, knob in STRUCTURAL_KNOBS.items()}
    measured = measure(small_corpus, "torch", steps=30, precision=precision, **others)
    assert measured.train_loss_last < measured.train_loss_first - 1
    assert measured.train_flops == 30 * flops_per_step(CFG | others, Corpus.open(small_corpus).vocab)


def test_batch_size_does_not_change_what_is_scored(trial: Trial) -> None:
    """An untrained model of one seed scores the same span to the bit, whatever the batch size of its training."""
    scores = [trial(steps=1, lr=1e-30, batch_size=b) for b in (2, 4, 16)]
    assert len({(m.val_bpb, m.val_bytes, m.val_tokens) for m in scores}) == 1
    assert trial(steps=1, lr=1e-30, seq_len=32).val_bytes == scores[0].val_bytes


def test_budgets_in_tokens_and_seconds(trial: Trial) -> None:
    in_tokens = trial(steps=1000, kind="tokens")
    assert (in_tokens.train_steps, in_tokens.train_tokens) == (4, 1024)
    in_seconds = trial(steps=0.2, kind="seconds")
    assert in_seconds.train_steps >= 1
    assert in_seconds.train_wall_s >= 0.2


def test_a_diverging_loss_ends_the_trial_with_its_step(trial: Trial) -> None:
    with pytest.raises(NonFiniteLossError, match=r"step \d+ \(") as caught:
        trial(steps=50, lr=1e30, lr_warmup=0, grad_clip=5.0)
    assert 1 < caught.value.step < 50


def test_what_was_computed_is_accounted_for(trial: Trial) -> None:
    m = trial()
    assert m.train_steps == 12
    assert m.train_tokens == 12 * 4 * 64
    assert m.train_flops > 6 * 10_000 * m.train_tokens
    assert m.val_bytes == 4096
    assert m.train_loss_first == pytest.approx(math.log(257), rel=0.05)
    curve = m.train_loss_curve
    assert curve is not None
    assert len(curve) == CURVE_POINTS  # of 12 steps: the first step takes two points and a part of the third
    assert curve[:2] == (round(m.train_loss_first, 5),) * 2
    assert curve[-2:] == (round(m.train_loss_last, 5),) * 2
    assert m.val_bpb == pytest.approx(m.val_nats_per_token * m.val_tokens / math.log(2) / m.val_bytes)


@pytest.mark.parametrize("trial", ["torch", pytest.param("megatron", marks=pytest.mark.slow)], indirect=True)
@pytest.mark.slow
def test_a_trained_model_beats_byte_counting(trial: Trial, small_corpus: Path) -> None:
    """A unigram and an order-1 model, fitted on the same training bytes with add-one smoothing, on the same span."""
    corpus = Corpus.open(small_corpus)
    train, val = np.asarray(corpus.split("train"), np.int64), np.asarray(corpus.split("val"), np.int64)
    span = choose_span(corpus.split("val"), corpus.token_bytes, 64, 4096)
    here = np.arange(span.start, span.start + span.tokens)
    here = here[val[here] < 256]
    pairs = np.ones((257, 257))
    np.add.at(pairs, (train[:-1], train[1:]), 1)
    order_1 = pairs / pairs.sum(1, keepdims=True)
    unigram = pairs.sum(0) / pairs.sum()
    unigram_bpb = -np.log2(unigram[val[here]]).mean()
    order_1_bpb = -np.log2(order_1[val[here - 1], val[here]]).mean()
    trained = trial(steps=500, n_layer=2, d_model=64, d_ff=256, batch_size=8, lr=6e-3, lr_warmup=50)
    assert trained.val_bpb < order_1_bpb < unigram_bpb


def test_both_trainers_measure_the_same(small_corpus: Path) -> None:
    """Not to the bit: Megatron multiplies the same matrices in another order of memory."""
    ours, theirs = (measure(small_corpus, trainer, steps=40) for trainer in ("torch", "megatron"))
    assert theirs.val_bpb == pytest.approx(ours.val_bpb, rel=1e-5)
    assert theirs.params == ours.params


@pytest.mark.parametrize(
    ("trainer", "changes", "why"),
    [("torch", {"precision": "fp8"}, "cannot train in fp8"), ("megatron", {"d_ff": 100, "precision": "fp8"}, "16")],
)
def test_what_a_trainer_cannot_do_it_says(small_corpus: Path, trainer: str, changes: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        measure(small_corpus, trainer, **changes)
