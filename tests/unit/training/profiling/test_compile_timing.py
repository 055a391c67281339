"""When torch.compile pays, from measured times."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.data.span import Span
from autoresearch.trials.compile_decision import CompileTimes, compiling_could_pay, steps_of
from autoresearch.trials.spec import Budget, TrialSpec


def spec(kind: Any, size: float) -> TrialSpec:
    return TrialSpec(
        cfg={"batch_size": 4, "seq_len": 8},
        seed=0,
        corpus="",
        trainer="torch",
        device="cpu",
        threads=1,
        budget=Budget(kind=kind, size=size),
        span=Span(start=0, tokens=1, bytes=1),
    )


@pytest.mark.parametrize(("steps", "pays"), [(99, False), (100, False), (101, True)])
def test_a_trial_must_earn_back_a_compile_that_nothing_was_cached_of(steps: int, pays: bool) -> None:
    times = CompileTimes(eager_step_s=0.5, compiled_step_s=0.25, compile_s=25.0)
    assert times.pays(steps) is pays
    assert times.explain(steps).startswith("compiled" if pays else "not compiled")


def test_what_became_slower_never_pays() -> None:
    assert not CompileTimes(eager_step_s=0.1, compiled_step_s=0.2, compile_s=0.0).pays(10**9)


def test_a_trial_too_short_for_any_compile_is_not_tried() -> None:
    assert not compiling_could_pay(0.025, 250), "profile tiny on two idle cores"
    assert compiling_could_pay(1.2, 60), "the origin's trial on a GB10"
    untried = CompileTimes(eager_step_s=0.025)
    assert not untried.pays(10**9)
    assert "too few to save the time of compiling" in untried.explain(250)


def test_a_budget_counts_steps_tokens_or_what_fits_into_its_seconds() -> None:
    assert steps_of(spec("steps", 60), 0.5) == 60
    assert steps_of(spec("tokens", 64), 0.5) == 2
    assert steps_of(spec("seconds", 60), 0.5) == 120
