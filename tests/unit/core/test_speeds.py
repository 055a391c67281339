"""When two measured speeds mean the same, and what of envelope.jsonl R7 is given."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.core.speeds import Point, speed_conditions
from autoresearch.core.values import sha256_of
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_timer import fake_speed
from rails import default_menu

BASELINE = dict(default_menu().defaults)
SHA = sha256_of(speed_conditions(YARDSTICK, BASELINE))


def point(batch_size: int = 16, seq_len: int = 1024, precision: str = "fp8", **changes: Any) -> Point:
    """A measured point; the baseline's by default."""
    fields = {"ts": "2026-11-21T00:00:00Z", "conditions_sha256": SHA, "steps": 20}
    fields |= {"outcome": fake_speed(batch_size * seq_len), **changes}
    return Point(batch_size=batch_size, seq_len=seq_len, precision=precision, **fields)


class TestConditions:
    @pytest.mark.parametrize("knob", ["lr", "lr_warmup", "grad_clip", "weight_decay", "beta1", "beta2"])
    def test_a_knob_that_only_scales_numbers_changes_nothing(self, knob: str) -> None:
        assert sha256_of(speed_conditions(YARDSTICK, {**BASELINE, knob: 0.123})) == SHA

    @pytest.mark.parametrize("knob", ["batch_size", "seq_len", "precision"])
    def test_the_swept_knobs_are_the_points_not_the_conditions(self, knob: str) -> None:
        assert sha256_of(speed_conditions(YARDSTICK, {**BASELINE, knob: 3})) == SHA

    @pytest.mark.parametrize("knob", ["n_layer", "n_head", "d_model", "d_ff", "a_knob_of_tomorrow"])
    def test_another_model_is_another_envelope(self, knob: str) -> None:
        assert sha256_of(speed_conditions(YARDSTICK, {**BASELINE, knob: 3})) != SHA

    @pytest.mark.parametrize(
        "change",
        [
            {"trainer": "megatron"}, {"device_kind": "H200"}, {"versions": {"torch": "3"}}, {"threads": 7},
            {"data_parallel": 2}, {"tensor_parallel": 2}, {"fp8_recipe": "mxfp8"}, {"compiled": True},
            {"corpus_sha256": "1" * 64},
        ],
    )  # fmt: skip
    def test_another_machine_or_trainer_is_another_envelope(self, change: dict[str, Any]) -> None:
        assert sha256_of(speed_conditions(YARDSTICK.model_copy(update=change), BASELINE)) != SHA

    @pytest.mark.parametrize("change", [{"budget_size": 99.0}, {"span_bytes": 7}, {"evaluator_version": 9}])
    def test_how_long_a_trial_trains_and_what_it_scores_change_nothing(self, change: dict[str, Any]) -> None:
        assert sha256_of(speed_conditions(YARDSTICK.model_copy(update=change), BASELINE)) == SHA
