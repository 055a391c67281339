"""A metric in either direction: the same verdicts, called by its name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from autoresearch.core.decision import Comparison, decide, paired_gains, pairs_of, unusable_baseline
from autoresearch.core.measurement import Measurement
from autoresearch.core.metric import Direction, Metric, MetricKind, MetricWords, mean_metric
from autoresearch.core.records import DecisionRule, TrialEnded

NOT_NULL = {"ok", "val_bpb", "metric", "train_wall_s", "val_wall_s", "trial_wall_s", "device"}
NULLS = dict.fromkeys(set(Measurement.model_fields) - NOT_NULL)
TIMES = {"train_wall_s": 1.0, "val_wall_s": 0.0, "trial_wall_s": 1.0, "device": "cpu"}
RULE = DecisionRule(accept_delta_frac=0.005, seed=0)
SIGNED = st.floats(0.01, 1e6) | st.floats(-1e6, -0.01)


def measured(value: float, direction: Direction) -> Measurement:
    metric = Metric(name="score", value=value, direction=direction)
    return Measurement(val_bpb=None, metric=metric, **NULLS, **TIMES)


def trial(value: float, direction: Direction, seed: int = 0) -> TrialEnded:
    return TrialEnded(ts="", trial=seed + 1, iter=1, seed=seed, outcome=measured(value, direction))


@given(SIGNED, st.floats(-1e6, 1e6))
def test_higher_is_better_is_lower_is_better_of_the_negated_values(baseline: float, candidate: float) -> None:
    up = decide(Comparison([trial(candidate, "higher")], [trial(baseline, "higher")]), RULE)
    down = decide(Comparison([trial(-candidate, "lower")], [trial(-baseline, "lower")]), RULE)
    assert (up.decision, up.improvement_frac) == (down.decision, down.improvement_frac)
    assert (up.improvement_frac > 0) == (candidate > baseline) or up.improvement_frac == 0


@given(st.lists(st.tuples(SIGNED, SIGNED), min_size=1, max_size=6))
def test_a_gain_is_positive_where_the_candidate_is_better(pairs: list[tuple[float, float]]) -> None:
    candidate = [trial(c, "higher", n) for n, (c, _) in enumerate(pairs)]
    baseline = [trial(b, "higher", n) for n, (_, b) in enumerate(pairs)]
    for gain, (ours, theirs) in zip(paired_gains(pairs_of(candidate, baseline)), pairs, strict=True):
        assert (gain > 0) == (ours > theirs) or gain == 0


def test_a_measurement_has_bits_per_byte_or_a_metric() -> None:
    metric = Metric(name="score", value=1.0, direction="higher")
    for fields in ({"val_bpb": None}, {"val_bpb": 1.0, "metric": metric}):
        with pytest.raises(ValidationError, match="either val_bpb or metric"):
            Measurement(**fields, **NULLS, **TIMES)  # type: ignore[arg-type]
    assert (measured(0.9, "higher").loss, measured(0.9, "lower").loss) == (-0.9, 0.9)


def test_a_mean_keeps_name_and_direction() -> None:
    metric = Metric(name="score", value=1.0, direction="higher")
    assert mean_metric(metric, -2.5) == Metric(name="score", value=2.5, direction="higher")
    assert mean_metric(None, 2.5) is None


@pytest.mark.parametrize(("values", "words"), [((0.0,), "is 0"), ((-1.0, 2.0), "on both sides"), ((-1.0, -2.0), "")])
def test_gains_need_a_baseline_that_is_not_0(values: tuple[float, ...], words: str) -> None:
    assert (words in unusable_baseline(values)) if words else unusable_baseline(values) == ""


def test_words() -> None:
    words = MetricWords(MetricKind(name="accuracy", direction="higher", unit="share"))
    assert (words.named_unit, words.improves, words.beyond, words.best) == (
        "accuracy in share",
        "raises",
        "above",
        "highest",
    )
    assert MetricWords(None).named_unit == "bits per byte"
