"""The verdicts of rule sequential in words, and the places that show them as text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoresearch.core.records import DecisionRule, EarlierRun, Event
from autoresearch.report.format import format_percent
from autoresearch.report.history import History
from autoresearch.report.native import build_history
from autoresearch.report.summary import best_keep, summarise
from autoresearch.report.table import SEQUENTIAL, SEQUENTIAL_WITH_SOURCE
from autoresearch.report.text import describe_no_keep, render_report
from autoresearch.report.verdict_text import describe_correction, describe_noise, describe_verdict, format_interval

RULE = DecisionRule(
    kind="sequential", accept_delta_frac=0.005, seed=0, baseline_seeds=3, alpha=0.05, min_seeds=4, max_seeds=8,
    futility_frac=0.8, clip=2.5,
)  # fmt: skip


@pytest.fixture
def history(sequential_night: list[Event]) -> History:
    return build_history(sequential_night)


def test_the_report_shows_a_keep_as_what_it_is(history: History) -> None:
    s, best = summarise(history), best_keep(history.rows)
    text = " ".join(render_report(s, history, width=100).split())
    assert best is not None
    assert best.evidence is not None
    seeds = len(best.evidence.seeds)
    assert f"confirmed over {seeds} seeds, gain {100 * (best.improvement_frac or 0):+.2f}% (interval +" in text
    assert "Corrected for having been selected, its gain is " in text
    assert "The probability of any false keep in this run directory is at most 5%" in text
    assert f"verdicts {s.keeps} confirmed, " in text
    assert "any false keep: at most 5% (alpha 0.05); 7 tests spent" in text
    assert "single seed" not in text
    assert " revert" not in text


def test_the_table_has_labels_and_seeds(history: History) -> None:
    lines = render_report(summarise(history), history, width=78).split("Every iteration:\n")[1].splitlines()
    rows = dict(zip((row.iter for row in history.rows), lines[1:], strict=True))
    for row in history.rows:
        assert row.evidence is not None
        assert row.evidence.label in rows[row.iter]
        assert rows[row.iter].split(format_percent(row.improvement_frac))[1].split()[0] == str(row.trials)
    assert sum(SEQUENTIAL.values()) == sum(SEQUENTIAL_WITH_SOURCE.values()) == 78


def test_without_a_keep_the_largest_gain_has_its_label(history: History) -> None:
    s = summarise(history)
    rows = tuple(row for row in history.rows if row.decision == "revert" and row.trials == 1)
    text = describe_no_keep(s, History("autoresearch", (), rows=rows, rule=history.rule))
    assert "was confirmed as 0.5% better than the baseline" in text
    assert "over 1 seed, screened out, in iteration" in text


def test_a_verdict_without_a_known_noise_has_no_interval(history: History) -> None:
    evidence = next(row.evidence for row in history.rows if row.evidence)
    bare = evidence.model_copy(update={"low_frac": None, "high_frac": None})
    assert format_interval(bare) == ""
    assert describe_verdict(0.012, bare) == "screened out over 1 seed, gain +1.20%"


def test_a_correction_names_the_selection_that_it_leaves_out() -> None:
    assert describe_correction(None, 0.011, 1) == ""
    assert describe_correction(0.0105, 0.011, 1) == "Corrected for having been selected, its gain is about +1.05%."
    same = describe_correction(0.03081, 0.030812, 1)
    assert same == "Corrected for having been selected, its gain is the same to 0.01%."
    assert "the best of 3 keeps is not corrected for" in describe_correction(0.0105, 0.011, 3)


def test_the_noise_in_a_sentence() -> None:
    noisy = describe_noise([2.0, 2.005, 2.01], RULE)
    assert noisy.startswith(
        "one trial's noise is about 0.25% (SD over 3 seeds, 95% interval 0.13 to 1.57%): "
        "a true gain of 1.1% is confirmed"
    )
    assert "within 8 seeds in nine of ten cases" in noisy
    assert noisy.endswith(
        "0.75% would take 0.6 times that noise: 2.7 times the budget, if noise falls with its square root"
    )


def test_a_quiet_baseline_resolves_the_threshold() -> None:
    assert describe_noise([2.0, 2.0005, 2.001], RULE).endswith("that is near the threshold of 0.5%")


def test_one_seed_says_nothing_of_the_noise() -> None:
    assert describe_noise([2.0], RULE) == (
        "the noise of one trial is not known yet: the baseline is measured with one seed"
    )


EARLIER = [
    EarlierRun(run_id=name, gains_sd_frac=0.003, gains_df=6, trials_sd_frac=0.006, trials_df=9) for name in "ab"
]  # fmt: skip


def test_the_noise_of_earlier_runs_is_part_of_the_sentence() -> None:
    text = describe_noise([2.0, 2.005, 2.01], RULE, EARLIER)
    assert text.startswith(
        "one trial's noise is about 0.41% (SD; 2 degrees of freedom from this run, 18 from 2 earlier runs): "
        "a true gain of 0.89% is confirmed"
    )
    assert describe_noise([2.0], RULE, EARLIER[:1]).startswith(
        "one trial's noise is about 0.42% (SD; 0 degrees of freedom from this run, 9 from 1 earlier run)"
    )


def test_earlier_runs_with_less_noise_are_not_used() -> None:
    text = describe_noise([2.0, 2.05, 2.1, 2.15, 2.03], RULE, EARLIER)
    assert "(SD over 5 seeds, 95% interval " in text
    assert "that of 2 earlier runs is smaller, and not used" in text


def test_the_report_says_whether_earlier_runs_are_used(history: History) -> None:
    quiet = [EarlierRun(run_id="q", gains_sd_frac=1e-5, gains_df=9, trials_sd_frac=1e-5, trials_df=2)]
    for runs, text in (
        (EARLIER, "2 earlier runs: 18 degrees of freedom of the noise of a gain"),
        (quiet, "that of 1 earlier run is smaller, by an F test at 1%, and not used"),
        ([], "earlier run"),
    ):
        s = summarise(replace(history, earlier_runs=tuple(runs)))
        assert (text in " ".join(render_report(s, history, width=100).split())) == bool(runs)
