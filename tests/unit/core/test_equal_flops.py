"""A keep under equal steps or tokens, with what it would be at equal FLOPs."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.core.costs import CostRatios
from autoresearch.core.equal_flops import describe_equal_flops, equal_flops_gain, qualify_gain
from autoresearch.core.measurement import Measurement
from autoresearch.core.records import Evaluated, Meta, decode
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.service import build_meta
from autoresearch.report.native import build_history
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import measurement
from autoresearch.testing.scripted_proposer import ScriptedProposer
from autoresearch.verdicts.equal_flops import gain_at_equal_flops

FALLING = tuple(4.0 - (n + 0.5) / 32 for n in range(32))
STEEPER = tuple(5.0 - 2 * (n + 0.5) / 32 for n in range(32))


def measured(flops: int, curve: tuple[float, ...] | None = FALLING, steps: int = 200) -> Measurement:
    counts = {"train_flops": flops, "train_steps": steps, "train_loss_curve": curve}
    return measurement(2.0).model_copy(update=counts)


@pytest.fixture
def meta_of(make_settings: Any) -> Any:
    def make(kind: str = "steps") -> Meta:
        settings = make_settings()
        return build_meta(settings, build_policy(settings), YARDSTICK.model_copy(update={"budget_kind": kind}))

    return make


@pytest.mark.parametrize("kind", ["steps", "tokens"])
def test_the_curve_of_the_costlier_side_is_read(meta_of: Any, kind: str) -> None:
    cfg = {**meta_of().baseline_cfg, "batch_size": 16, "lr_warmup": 20}
    found = equal_flops_gain(0.05, [measured(2000)], [measured(1000, STEEPER)], cfg, meta_of(kind))
    assert found == gain_at_equal_flops(0.05, 2.0, FALLING, 0.1)
    meta = meta_of(kind)
    found = equal_flops_gain(0.05, [measured(500)], [measured(1000, STEEPER)], cfg, meta)
    assert found == gain_at_equal_flops(0.05, 0.5, STEEPER, float(meta.baseline_cfg["lr_warmup"]) / 200)


def test_curves_of_several_seeds_are_averaged(meta_of: Any) -> None:
    cfg = meta_of().baseline_cfg
    mean = tuple((a + b) / 2 for a, b in zip(FALLING, STEEPER, strict=True))
    several = equal_flops_gain(0.05, [measured(2000), measured(2000, STEEPER)], [measured(1000)], cfg, meta_of())
    assert several == pytest.approx(equal_flops_gain(0.05, [measured(2000, mean)], [measured(1000)], cfg, meta_of()))


@pytest.mark.parametrize("kind", ["flops", "seconds"])
def test_another_budget_asks_another_question(meta_of: Any, kind: str) -> None:
    cfg = meta_of().baseline_cfg
    assert equal_flops_gain(0.05, [measured(2000)], [measured(1000)], cfg, meta_of(kind)) is None


def test_without_a_curve_or_a_difference_nothing_is_known(meta_of: Any) -> None:
    meta = meta_of()
    one = measured(1000)
    assert equal_flops_gain(0.05, [measured(2000, None)], [one], meta.baseline_cfg, meta) is None
    assert equal_flops_gain(0.05, [measured(2000), measured(2000, None)], [one], meta.baseline_cfg, meta) is None
    assert equal_flops_gain(0.05, [measured(1005)], [one], meta.baseline_cfg, meta) is None
    assert equal_flops_gain(0.05, [], [one], meta.baseline_cfg, meta) is None
    assert equal_flops_gain(0.05, [measured(2000)], [one], meta.baseline_cfg, None) is None


def test_it_is_said_as_about_and_with_its_caveat() -> None:
    assert describe_equal_flops(CostRatios(flops=2.0), (-0.0785, -0.026)) == (
        "it trained on 2.00 x the baseline's FLOPs; at equal FLOPs, read from the loss curves: "
        "about -7.8 to -2.6% (a run that ends there decays its learning rate earlier)"
    )
    assert qualify_gain(CostRatios(flops=2.0), (-0.0785, -0.026)) == (
        "It trained on 2.00 x the baseline's FLOPs. At equal FLOPs, read from the loss curves: "
        "about -7.8 to -2.6% (a run that ends there decays its learning rate earlier)."
    )


def test_what_is_not_known_is_said_too() -> None:
    text = "it trained on 2.00 x the baseline's FLOPs; at equal FLOPs the difference is not known"
    assert describe_equal_flops(CostRatios(flops=2.0), None) == text
    sentence = "It trained on 2.00 x the baseline's FLOPs: at equal FLOPs the difference is not known."
    assert qualify_gain(CostRatios(flops=2.0)) == sentence


@pytest.mark.parametrize("flops", [None, 1.0, 1.0099, 0.991])
def test_the_same_or_unknown_flops_need_no_words(flops: float | None) -> None:
    assert qualify_gain(CostRatios(flops=flops)) == describe_equal_flops(CostRatios(flops=flops), None) == ""


class TwoTrials:
    """The baseline, and a candidate of twice the FLOPs with ``gain`` at equal steps."""

    def __init__(self, gain: float) -> None:
        self.outcomes = [measured(1000), measured(2000).model_copy(update={"val_bpb": 2.0 * (1 - gain)})]

    def measure(self, *_: Any) -> Measurement:
        return self.outcomes.pop(0)


@pytest.mark.parametrize(
    ("kind", "gain", "is_said"), [("steps", 0.05, True), ("steps", 0.0, False), ("seconds", 0.05, False)]
)
def test_the_verdict_and_its_row_say_it_of_a_keep(make_settings: Any, kind: str, gain: float, is_said: bool) -> None:
    settings = make_settings(iters=1)
    script = ScriptedProposer(['{"knob": "lr", "new_value": 0.003, "reason": "a hunch"}'])
    loop = fake_loop(settings, script, TwoTrials(gain), trajectory=Trajectory())
    yardstick = YARDSTICK.model_copy(update={"budget_kind": kind})
    loop.record(build_meta(settings, build_policy(settings), yardstick))
    assert loop.run() == "complete"
    records = [decode(payload) for payload in loop.journal.payloads]  # type: ignore[attr-defined]
    (judged,) = (r for r in records if isinstance(r, Evaluated))
    (row,) = build_history(records).rows
    assert ("at equal FLOPs, read from the loss curves: about" in judged.reason) == is_said
    assert ("% at equal FLOPs" in row.remark) == is_said
    if is_said:
        assert row.equal_flops_gain == pytest.approx(
            gain_at_equal_flops(gain, 2.0, FALLING, float(settings.baseline["lr_warmup"]) / 200)
        )
        assert row.remark.startswith("trained on 2.00 x the baseline's FLOPs, about -")
