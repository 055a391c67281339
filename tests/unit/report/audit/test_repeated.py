"""Fresh measurements of one keep, and what they change in the audit."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import pytest

from autoresearch.errors import ConfigError
from autoresearch.report.audit.judge import judge
from autoresearch.report.audit.log import Log
from autoresearch.report.audit.repeated import FreshGains, describe_repeats, find_keep, with_fresh_gains
from autoresearch.report.audit.text import render
from tests.unit.report.audit.test_judge import fixed, night


def fresh_of(verdict, place: str, *gains: float, label: str = "holds") -> FreshGains:
    return FreshGains(find_keep(verdict, place), gains, (min(gains), max(gains)) if gains else (None, None), label)


def keep_of(verdict, place: str):
    return next(k for k in verdict.keeps if k.entry.place == place)


@pytest.mark.parametrize("name", ["line 30", "30", " line 30 ", "x = 30"])
def test_a_keep_is_found_by_its_place_number_or_name(name):
    assert find_keep(judge(fixed(night(0.006, 0.03)), 0.003), name).entry.place == "line 30"


@pytest.mark.parametrize("name", ["line 0", "3", "", "x", "line 30 31"])
def test_what_is_not_a_keep_names_the_keeps(name):
    with pytest.raises(ConfigError, match="is not a keep") as error:
        find_keep(judge(fixed(night(0.006, 0.03)), 0.003), name)
    assert "line 31" in error.value.hint


def test_a_doubtful_keep_that_holds_is_believed_and_one_that_does_not_is_not():
    before = judge(fixed(night(0.006, 0.03)), 0.003)
    doubt = keep_of(before, "line 30").p_real
    holds = with_fresh_gains(before, fresh_of(before, "line 30", *[0.0060, 0.0055, 0.0065, 0.0060] * 4), 0.003)
    gone = with_fresh_gains(before, fresh_of(before, "line 30", *[0.0005, -0.001, 0.0, 0.0005] * 4), 0.003)
    assert keep_of(gone, "line 30").p_real < doubt < keep_of(holds, "line 30").p_real
    assert keep_of(holds, "line 30").p_real > 0.95
    assert holds.expected_false < before.expected_false < gone.expected_false
    assert [(k.entry, k.claimed) for k in holds.keeps] == [(k.entry, k.claimed) for k in before.keeps]
    assert (holds.measured, holds.distinct, holds.noise) == (before.measured, before.distinct, before.noise)


def test_the_noise_of_a_log_without_repeats_stays_as_it_was():
    before = judge(fixed(night(0.006, 0.03)))
    after = with_fresh_gains(before, fresh_of(before, "line 30", 0.001, 0.009), None)
    assert (after.noise, after.noise_from) == (before.noise, before.noise_from)


def test_of_a_ratchet_the_keep_is_judged_by_the_fresh_gains_alone():
    """Against scipy's value: t = mean / (sd / 2), 3 degrees of freedom."""
    entries = night(0.006, 0.03)
    before = judge(Log("log", "csv", "loss", "lower", "ratchet", (2.0,), tuple(entries)), 0.003)
    gains = (0.004, 0.001, 0.003, 0.002)
    after = with_fresh_gains(before, fresh_of(before, "line 30", *gains), 0.003)
    found = keep_of(after, "line 30")
    t = fmean(gains) / (stdev(gains) / 2)
    # The distribution of Student's t with 3 degrees of freedom has a closed form.
    x = t / math.sqrt(3)
    assert found.p_real == pytest.approx(0.5 + (x / (1 + x * x) + math.atan(x)) / math.pi)
    assert found.gain == pytest.approx(0.0025)
    assert found.p_threshold < 0.05
    others = [k for k in after.keeps if k.entry.place != "line 30"]
    assert others == [k for k in before.keeps if k.entry.place != "line 30"]


def test_one_fresh_gain_does_not_count_as_two():
    before = judge(fixed(night(0.006, 0.03)), 0.003)
    assert before.log.pair_sd is None
    assert with_fresh_gains(before, fresh_of(before, "line 30", 0.003), 0.003) == before
    assert with_fresh_gains(before, fresh_of(before, "line 30", 0.003, 0.003), 0.003) != before


@pytest.mark.parametrize("loop", ["fixed", "ratchet"])
def test_without_a_measurement_the_audit_stays(loop):
    before = judge(Log("log", "csv", "loss", "lower", loop, (2.0,), tuple(night(0.006, 0.03))), 0.003)
    fresh = FreshGains(find_keep(before, "30"), (), (None, None), "not measured", ("seed 2000: crashed",))
    assert with_fresh_gains(before, fresh, 0.003) == before
    assert describe_repeats(fresh) == "Measured again, line 30 gave no value; 1 seed failed."


def test_the_sentence_begins_with_what_was_measured():
    before = judge(fixed(night(0.006, 0.03)), 0.003)
    fresh = fresh_of(before, "line 31", 0.02, 0.03, label="holds")
    text = render(with_fresh_gains(before, fresh, 0.003), fresh)
    assert "Measured again, line 31 gains +2.50% over 2 fresh seeds (95% interval +2.00% to +3.00%)" in text
    assert "holds. Of " in text
    assert fresh.as_json()["mean_frac"] == pytest.approx(0.025)
