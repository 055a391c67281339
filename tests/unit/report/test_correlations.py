"""The correlation of candidates with the baseline, per knob, from the records of a night."""

from __future__ import annotations

import pytest

from autoresearch.core.records import Evaluated, Event, TrialEnded
from autoresearch.core.trajectory import measurements
from autoresearch.report.correlations import KnobCorrelation, correlation_lines, knob_correlations, paired_bpbs
from autoresearch.report.native import build_history
from autoresearch.report.summary import summarise
from autoresearch.report.text import render_report


def test_the_pairs_are_the_measured_values(sequential_night: list[Event]) -> None:
    trials = [r for r in sequential_night if isinstance(r, TrialEnded)]
    baseline = [t for t in trials if t.iter == 0]
    judged = next(r for r in sequential_night if isinstance(r, Evaluated) and r.evidence and len(r.evidence.seeds) > 3)
    assert judged.evidence is not None
    pairs = paired_bpbs(judged.evidence, baseline)
    own = {t.seed: m.val_bpb for t in trials if t.iter == judged.iter for m in measurements([t])}
    assert [c for _, c in pairs] == pytest.approx([own[seed] for seed in judged.evidence.seeds])
    assert paired_bpbs(judged.evidence, baseline[:-9]) == ()
    assert paired_bpbs(None, baseline) == ()


def test_each_knob_with_several_seeds_has_its_correlation(sequential_night: list[Event]) -> None:
    history = build_history(sequential_night)
    several = [r for r in history.rows if r.evidence and len(r.evidence.seeds) >= 3]
    found = knob_correlations(history.rows)
    assert {one.knob for one in found} == {r.knob for r in several} == {"lr"}
    assert found[0].pairs == sum(len(r.evidence.seeds) for r in several if r.evidence)
    assert found[0].candidates == len(several)
    assert found[0].low < 0.5 < found[0].high  # half of the noise is the seed's
    text = " ".join(render_report(summarise(history), history, width=100).split())
    assert next(correlation_lines(found)) in text
    assert summarise(history).verdicts is not None


def test_a_sentence_for_each_knob_and_the_rest_counted() -> None:
    one = KnobCorrelation(knob="lr", correlation=0.7, low=0.2, high=0.9, pairs=9, candidates=2)
    assert list(correlation_lines([])) == []
    assert list(correlation_lines([one])) == [
        "candidates that change lr correlate with the baseline at 0.7 (95% interval 0.2 to 0.9, 9 pairs)"
    ]
    assert list(correlation_lines([one] * 7))[5:] == ["2 more knobs with fewer pairs: `autoresearch report --json`"]
