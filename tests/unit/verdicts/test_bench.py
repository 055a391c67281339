"""The goals of the rule, at a size that fits into the tests; benchmarks/RESULTS.md has them in full."""

import pytest

from autoresearch.verdicts.bench import CORRELATIONS, noises, run_bench
from autoresearch.verdicts.repeats import parse_repeats, relative_residuals
from autoresearch.verdicts.simulate import resampled
from benchmarks.heavy_repeats import heavy_repeats

HIGH = (0.67, 0.95)


def heavy():
    return resampled(relative_residuals(parse_repeats(heavy_repeats()))), 0.014


def cells_of(rule, *args, **options):
    return [c for c in run_bench(*args, **{"proposals": 100, "seed": 1} | options) if c.rule == rule]


@pytest.mark.slow
def test_false_keeps_stay_below_alpha_at_every_correlation_and_tail():
    cells = cells_of("sequential", {**noises(0.0046), "file": heavy()}, (0.0,), nights=150)
    assert [(c.noise, c.rho) for c in cells] == [(n, r) for n in (*noises(1), "file") for r in CORRELATIONS]
    for cell in cells:
        assert cell.p_any_upper95 <= 0.05, cell
        assert cell.power is None
        if cell.rho >= 0.67:
            assert cell.trials_per_proposal <= 1.3, cell


def test_the_rules_that_others_use_keep_something_false_in_most_nights():
    for rule in ("threshold", "best_so_far", "mean_minus_sd"):
        (cell,) = cells_of(rule, {"file": heavy()}, (0.0,), nights=30, correlations=(0.0,))
        assert cell.p_any_false_keep > 0.75


@pytest.mark.parametrize("sd", [0.0025, 0.0046])
def test_a_true_gain_of_one_percent_is_found(sd):
    for cell in cells_of("sequential", noises(sd), (0.01,), nights=60, correlations=HIGH):
        assert cell.power >= 0.88, cell  # 0.9 is the goal; 600 planted gains have a standard error of 0.012
        assert cell.p_any_upper95 <= 0.05


def test_it_takes_at_most_half_the_seeds_of_the_record_rule_for_the_same_verdicts():
    cells = list(run_bench(noises(0.0046), (0.01,), nights=40, proposals=100, seed=2, correlations=(0.67,)))
    for noise in noises(1):
        ours, record = (next(c for c in cells if (c.noise, c.rule) == (noise, r)) for r in ("sequential", "record"))
        assert ours.trials_per_proposal <= 0.5 * record.trials_per_proposal
        assert ours.power >= record.power - 0.05
        assert ours.p_any_false_keep <= record.p_any_false_keep


def test_a_cell_has_exactly_the_fields_that_scripts_read():
    one = {"gaussian": noises(0.0046)["gaussian"]}
    (cell,) = cells_of("threshold", one, (0.02,), nights=5, proposals=20, correlations=(0.3,))
    found = cell.as_json()
    assert list(found) == [
        "noise", "rho", "gain", "rule", "nights", "proposals", "p_any_false_keep", "p_any_upper95", "mean_false_keeps",
        "power", "trials_per_proposal",
    ]  # fmt: skip
    assert (found["noise"], found["rho"], found["gain"], found["nights"]) == ("gaussian", 0.3, 0.02, 5)
    assert (found["proposals"], found["trials_per_proposal"]) == (20, 1)
    assert cell.trials_per_true_keep == cell.tally.trials / cell.tally.true_keeps
