"""The figures of suite P against arithmetic that is done here once more."""

from __future__ import annotations

from itertools import combinations
from statistics import fmean

import pytest

from autoresearch.benches.proposers.analysis import exact_random, paired, summary
from autoresearch.benches.proposers.describe import describe_nights
from autoresearch.benches.proposers.problem import problem_of
from autoresearch.benches.proposers.suite import ProposerSuite, share_of_best
from autoresearch.benches.proposers.table_file import format_table
from autoresearch.benches.statistics.best_of import expected_best_of
from autoresearch.cli.main import main
from autoresearch.errors import ConfigError
from tests.unit.benches.proposers.worlds import build_table, truth


def test_the_expected_best_of_n_is_that_of_the_issue():
    values = [3, 1, 4, 1, 5, 9, 2, 6]
    assert [expected_best_of(values, n) for n in (1, 2, 3, 5)] == [3.875, 2.25, 1.625, 1.125]


def test_exact_random_is_the_mean_over_every_draw():
    table = build_table(values=2, seeds=2, bpb=lambda cfg: None if cfg["d_ff"] > 768 else truth(cfg))
    surface = problem_of(table)[1]
    changes = [cell for cell in surface.cells.values() if cell.cfg != surface.baseline]
    means = [surface.baseline_mean if cell.failures else cell.mean for cell in changes]
    found = exact_random(surface, [1, 2, 1000])
    best = surface.optimum_mean
    assert found["1"] == pytest.approx(fmean(means) - best)
    assert found["2"] == pytest.approx(fmean(min(pair) for pair in combinations(means, 2)) - best)
    assert found["1000"] is None


def test_gains_are_paired_by_seed():
    found = paired({0: 0.1, 1: 0.2, 3: 0.3}, {0: 0.3, 1: 0.1, 2: 0.0})
    assert (found["seeds"], found["better"], found["worse"]) == (2, 1, 1)
    assert found["gain"] == pytest.approx(0.05)
    assert paired({0: 1.0}, {}) == {
        "seeds": 0,
        "gain": None,
        "low": None,
        "high": None,
        "p": None,
        "better": 0,
        "worse": 0,
    }


def test_a_missing_night_leaves_bounds_and_no_mean():
    assert summary([1.0, 3.0], 2, 9.0)["mean"] == 2.0
    found = summary([1.0, 3.0], 4, 9.0)
    assert (found["mean"], found["low"], found["at_least"], found["at_most"]) == (None, None, 1.0, 5.5)
    assert summary([], 3, 2.0) == {
        "mean": None,
        "se": None,
        "low": None,
        "high": None,
        "at_least": 0.0,
        "at_most": 2.0,
    }


@pytest.mark.parametrize(
    ("true", "baseline", "optimum", "share"),
    [(2.0, 2.0, 1.8, 0), (1.9, 2.0, 1.8, 0.5), (1.8, 2.0, 1.8, 1), (2.5, 2.0, 1.8, 0), (2.0, 2.0, 2.0, 1)],
)
def test_the_score_is_the_share_of_the_best_gain(true, baseline, optimum, share):
    assert share_of_best(true, baseline, optimum) == pytest.approx(share)


def test_a_bench_run_from_the_command_line(tmp_path, table, capsys):
    """Two proposers, three seeds: complete, resumed without a change, analysed, graded again."""
    import json

    (tmp_path / "table.json").write_text(format_table(table))
    command = ["bench", "run", "proposer", str(tmp_path / "table.json"), "-k", "3", "--trials", "12", "--dir"]
    assert main([*command, str(tmp_path / "run"), "--proposers", "random,tpe", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["analysis"]
    assert main([*command, str(tmp_path / "run"), "--proposers", "random,tpe", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["analysis"] == first
    assert first["trials"] == [10, 12]
    assert [p["proposer"] for p in first["proposers"]] == ["random", "tpe"]
    for proposer in first["proposers"]:
        assert (proposer["seeds"], proposer["missing"], proposer["ended_early"]) == (3, 0, 0)
        last = proposer["checkpoints"][-1]
        assert last["reached"] == 12
        by_seed = list(last["regret_by_seed"].values())
        assert last["regret"]["mean"] == pytest.approx(fmean(by_seed))
        assert min(by_seed) >= 0
        assert last["curse"]["mean"] == pytest.approx(last["true"] - last["noisy"])
    random, tpe = (p["checkpoints"][-1] for p in first["proposers"])
    assert random["against"]["tpe"]["gain"] == pytest.approx(-tpe["against"]["random"]["gain"])
    assert "best of n, exact" in describe_nights(first)
    trajectory = tmp_path / "run" / "attempts"
    assert len(list(trajectory.glob("*/trajectory.jsonl"))) == 6
    assert main([*command, str(tmp_path / "run"), "--proposers", "random"]) == 76  # other cases


@pytest.mark.parametrize("names", ["", "tpe,tpe", "nobody", "replay", "tpe,,random"])
def test_proposers_that_cannot_be_benched_are_refused(names):
    import argparse

    suite = ProposerSuite()
    parser = argparse.ArgumentParser()
    suite.add_flags(parser)
    with pytest.raises(ConfigError, match="--proposers"):
        suite.options(parser.parse_args(["--proposers", names]))


def test_a_model_is_needed_only_by_proposers_that_ask_one():
    import argparse

    suite = ProposerSuite()
    parser = argparse.ArgumentParser()
    suite.add_flags(parser)
    assert not suite.needs_model
    options = suite.options(parser.parse_args(["--proposers", "tpe,hybrid"]))
    assert suite.needs_model
    assert "share" in options["llm"]
    assert not {"base_url", "model"} & set(options["llm"])
