"""Which trials ``benchmarks.seed_correlation`` compares, what it makes of them, and that it resumes."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from benchmarks.seed_correlation import changes_of, correlation, gains, pairs, section
from benchmarks.seed_correlation_run import describe_change
from benchmarks.seed_correlation_trials import (
    BASELINE,
    CHANGES,
    ELSEWHERE,
    TRIALS,
    Key,
    foreign_baselines,
    planned,
    read_trials,
)

SEEDS = 40
CHANGED = ("n_layer=1", "n_layer=3", "d_model=96", "d_model=192", "d_ff=256")


@pytest.fixture(scope="module")
def trials() -> dict[Key, float]:
    """val_bpb as 2 + an effect of the data, SD 0.002 + one of the initialisation, 0.001 + noise, 0.0003."""
    random = Random(7)
    data = {s: random.gauss(0, 2e-3) for n in range(SEEDS) for s in (n, n + ELSEWHERE)}
    init = {s: random.gauss(0, 1e-3) for n in range(SEEDS) for s in (n, n + ELSEWHERE)}
    return {k: 2 + data[k.data_seed] + init[k.init_seed] + random.gauss(0, 3e-4) for k in planned(SEEDS)}


def test_every_pair_shares_what_it_is_named_after(trials: dict[Key, float]) -> None:
    candidate = trials[Key("n_layer=3", 0, 0)]
    expected = {
        "both": Key(BASELINE, 0, 0),
        "data order": Key(BASELINE, 0, ELSEWHERE),
        "initialisation": Key(BASELINE, ELSEWHERE, 0),
        "neither": Key(BASELINE, 1, 1),
    }
    assert {shared: pairs(trials, "n_layer=3", shared)[0] for shared in expected} == {
        shared: (trials[key], candidate) for shared, key in expected.items()
    }
    assert pairs(trials, "n_layer=3", "neither")[-1][0] == trials[Key(BASELINE, 0, 0)]


def test_correlations_are_those_that_were_put_in(trials: dict[Key, float]) -> None:
    total = 4 + 1 + 0.09
    for shared, effect in {"both": 5, "data order": 4, "initialisation": 1, "neither": 0}.items():
        r, low, high = correlation(trials, CHANGED, shared) or (0, 0, 0)
        assert low < effect / total < high
        assert low < r < high


def test_the_interval_of_many_changes_is_not_narrower_than_that_of_one(trials: dict[Key, float]) -> None:
    copies = trials | {Key(f"d_ff={n}", s, s): trials[Key("d_ff=256", s, s)] for n in range(9) for s in range(SEEDS)}
    assert correlation(copies, [f"d_ff={n}" for n in range(9)], "both") == pytest.approx(
        correlation(trials, ["d_ff=256"], "both")
    )


def test_a_change_with_three_seeds_is_left_out(trials: dict[Key, float]) -> None:
    few = {key: value for key, value in trials.items() if key.change != "n_head=2" or key.data_seed < 3}
    assert changes_of(few, "shapes kept") == ["lr=0.003", "beta1=0.85", "batch_size=4"]
    assert correlation(few, ["n_head=2"], "both") is None


def test_gains_are_relative_to_the_baselines_mean() -> None:
    assert gains([(2.0, 1.9), (4.0, 4.3)]) == pytest.approx([0.1 / 3, -0.1])


def test_the_section_has_a_row_for_each_knob_and_each_group_in_both_tables(trials: dict[Key, float]) -> None:
    text = section(trials)
    for name in {change.partition("=")[0] for change in CHANGES} | {"**shapes changed**", "**shapes kept**"}:
        assert text.count(f"| {name} | ") == 2
    assert "| n_layer | 2, 80 | " in text


def test_the_section_of_unfinished_trials_leaves_cells_empty(trials: dict[Key, float]) -> None:
    own = {key: value for key, value in trials.items() if key.data_seed == key.init_seed}
    assert "|  |  | " in section(own)


def test_every_seed_is_planned_whole_before_the_next() -> None:
    keys = list(planned(2))
    assert len(keys) == len(set(keys)) == 24
    assert list(planned(1)) == keys[:12]
    assert set(foreign_baselines([0, 1])) <= set(keys)


def test_a_torn_line_is_trained_again(tmp_path: Path) -> None:
    file = tmp_path / TRIALS
    assert read_trials(file) == {}
    whole = b'{"change": "lr=0.003", "data_seed": 1, "init_seed": 1, "val_bpb": 2.25}\n'
    file.write_bytes(whole + b'{"change": "lr=0.0')
    assert read_trials(file) == {Key("lr=0.003", 1, 1): 2.25}
    assert file.read_bytes() == whole


def test_a_configuration_is_named_by_what_it_changes() -> None:
    baseline = {"n_layer": 2, "lr": 2e-3}
    assert describe_change(baseline, baseline) == BASELINE
    assert describe_change({"n_layer": 2, "lr": 3e-3}, baseline) == "lr=0.003"
