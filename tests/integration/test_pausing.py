"""A trial suspended at any step, any number of times, measures bitwise what it measures undisturbed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.measurement import CURVE_POINTS, Measurement, Suspended
from autoresearch.data.corpus import Corpus
from autoresearch.data.windows import choose_span
from autoresearch.training.build import build_model
from autoresearch.training.checkpointing.checkpoint import MANIFEST, Checkpoint
from autoresearch.training.checkpointing.suspend_on_request import SuspendOnRequest
from autoresearch.training.checkpointing.suspension import Suspendable, Suspension
from autoresearch.training.train import train_and_measure
from autoresearch.trials.spec import Budget, TrialSpec
from rails import STRUCTURAL_KNOBS

CFG: dict[str, Any] = {
    "n_layer": 2,
    "n_head": 2,
    "d_model": 32,
    "d_ff": 64,
    "lr": 3e-3,
    "lr_warmup": 5,
    "grad_clip": 1.0,
    "weight_decay": 0.1,
    "beta1": 0.9,
    "beta2": 0.95,
    "batch_size": 4,
    "seq_len": 64,
    "precision": "fp32",
}
WALL = {"mean_step_ms", "tokens_per_s", "train_wall_s", "val_wall_s", "trial_wall_s", "peak_bytes"}

Part = Callable[..., Measurement | Suspended]


@dataclass(slots=True)
class Stops(SuspendOnRequest):
    """Requests a suspension once it has been checked ``after`` times."""

    after: float = float("inf")
    looks: int = 0

    def is_requested(self, model: Suspendable) -> bool:
        self.looks += 1
        return model.any_rank(self.looks > self.after)


def build_spec(corpus: Path, trainer: str, kind: Any = "steps", size: float = 12, **knobs: Any) -> TrialSpec:
    opened = Corpus.open(corpus)
    return TrialSpec(
        cfg=CFG | knobs,
        seed=0,
        corpus=str(corpus),
        trainer=trainer,
        device="cpu",
        threads=1,
        budget=Budget(kind=kind, size=size),
        span=choose_span(opened.split("val"), opened.token_bytes, 64, 16384),
    )


def part(spec: TrialSpec, folder: Path, after: float = float("inf"), resumes: bool = True) -> Measurement | Suspended:
    """One part of a trial, in a model of its own: to its end, or until it has looked ``after`` times."""
    corpus = Corpus.open(Path(spec.corpus))
    suspender = Stops(Checkpoint(folder, spec), suspend_fd=-1, resumes=resumes, after=after)
    try:
        return train_and_measure(spec, corpus, build_model(spec, corpus.vocab), lambda *_: None, suspender)
    except Suspension as e:
        return e.suspended


def in_parts(spec: TrialSpec, folder: Path, looks: Sequence[float]) -> tuple[list[Suspended], Measurement]:
    """A trial that is suspended after the given number of checks each time, and then runs to its end."""
    aside: list[Suspended] = []
    for n, after in enumerate(looks):
        one = part(spec, folder, after, resumes=n > 0)
        assert isinstance(one, Suspended)
        assert (one.resumes_at, one.problem) == (one.step, "")
        aside.append(one)
    end = part(spec, folder)
    assert isinstance(end, Measurement)
    return aside, end


def numbers(m: Measurement) -> dict[str, Any]:
    """Everything but times and the process's memory, floats to the bit."""
    return {k: v.hex() if isinstance(v, float) else v for k, v in m.model_dump(exclude=WALL).items()}


@pytest.fixture(params=[("torch", "fp32"), ("torch", "bf16"), ("megatron", "fp32"), ("megatron", "bf16")], ids="-".join)
def make(request: pytest.FixtureRequest, small_corpus: Path) -> Callable[..., TrialSpec]:
    trainer, precision = request.param
    return partial(build_spec, small_corpus, trainer, precision=precision)


# For tests that take a second whatever the machine.
ONE_OF_EACH = pytest.mark.parametrize("make", [("torch", "fp32"), ("megatron", "bf16")], indirect=True, ids="-".join)


@pytest.mark.parametrize(
    ("looks", "steps"),
    [
        ([0], [0]),
        ([1], [1]),
        ([11], [11]),
        ([12], [12]),  # trained, and no forward pass of the validation
        ([14], [12]),  # two forward passes into it
        ([3, 0, 4, 1], [3, 3, 7, 8]),
        ([5, 9, 2], [5, 12, 12]),
    ],
)
def test_it_measures_what_it_measures_undisturbed(
    make: Any, tmp_path: Path, looks: list[int], steps: list[int]
) -> None:
    spec = make()
    whole = part(spec, tmp_path / "other", resumes=False)
    assert isinstance(whole, Measurement)
    aside, end = in_parts(spec, tmp_path / "aside", looks)
    assert [a.step for a in aside] == steps
    assert numbers(end) == numbers(whole)
    assert end.train_loss_curve is not None


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_with_every_structural_knob_and_the_momentum_of_muon(
    small_corpus: Path, tmp_path: Path, precision: str
) -> None:
    others = {name: knob.others[0] for name, knob in STRUCTURAL_KNOBS.items()}
    spec = build_spec(small_corpus, "torch", precision=precision, **others)
    whole = part(spec, tmp_path / "other", resumes=False)
    assert isinstance(whole, Measurement)
    _, end = in_parts(spec, tmp_path / "aside", [3, 4, 7])
    assert numbers(end) == numbers(whole)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler of torch looks at what warns
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_layers_too(small_corpus: Path, tmp_path: Path, precision: str) -> None:
    spec = build_spec(small_corpus, "torch", precision=precision).model_copy(update={"compiled": True})
    whole = part(spec, tmp_path / "other", resumes=False)
    assert isinstance(whole, Measurement)
    _, end = in_parts(spec, tmp_path / "aside", [3, 4, 7])
    assert numbers(end) == numbers(whole)


def test_with_a_budget_in_tokens(make: Any, tmp_path: Path) -> None:
    spec = make(kind="tokens", size=2000)
    whole = part(spec, tmp_path / "other", resumes=False)
    assert isinstance(whole, Measurement)
    _, end = in_parts(spec, tmp_path / "aside", [2, 3])
    assert numbers(end) == numbers(whole)
    assert end.train_steps == 8


@ONE_OF_EACH
def test_with_a_budget_in_seconds_the_seconds_add_up(make: Any, tmp_path: Path) -> None:
    """How many steps fit into them is the machine's business; that none is trained twice or lost is ours."""
    spec = make(kind="seconds", size=1.0)
    aside, end = in_parts(spec, tmp_path, [1, 1, 1])
    assert [a.step for a in aside] == [1, 2, 3]
    assert 0 < aside[0].train_wall_s < aside[1].train_wall_s < aside[2].train_wall_s < end.train_wall_s
    assert end.train_wall_s >= 1.0
    assert end.train_steps > 3
    assert end.train_loss_curve is not None
    assert len(end.train_loss_curve) == CURVE_POINTS


def test_seconds_put_aside_in_the_validation_are_not_trained_again(make: Any, tmp_path: Path) -> None:
    spec = make(kind="seconds", size=0.1)
    looks = 0

    class InValidation(Stops):
        def is_requested(self, model: Suspendable) -> bool:
            nonlocal looks
            looks += reported[-1] == "validate"
            return looks > 1

    reported: list[str] = []
    corpus = Corpus.open(Path(spec.corpus))
    suspender = InValidation(Checkpoint(tmp_path, spec), suspend_fd=-1, resumes=False)
    with pytest.raises(Suspension) as left:
        train_and_measure(
            spec, corpus, build_model(spec, corpus.vocab), lambda phase, *_: reported.append(phase), suspender
        )
    aside = left.value.suspended
    end = part(spec, tmp_path)
    assert isinstance(end, Measurement)
    assert (end.train_steps, end.train_wall_s) == (aside.step, aside.train_wall_s)
    assert end.val_wall_s > aside.val_wall_s > 0


@ONE_OF_EACH
def test_losses_and_schedule_go_on_where_the_warmup_was(make: Any, tmp_path: Path) -> None:
    """Under a budget in seconds the decay begins at the share of it that the warmup took."""
    spec = make(kind="seconds", size=1.0, lr_warmup=1)
    in_parts(spec, tmp_path, [3])
    so_far = json.loads((tmp_path / MANIFEST).read_text())["so_far"]
    assert 0 < so_far["warm_fraction"] < 1
    assert so_far["loss_first"] != so_far["loss_last"]
