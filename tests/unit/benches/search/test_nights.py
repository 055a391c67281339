"""Nights on the surrogate: counted, paired, the same in any number of processes."""

from __future__ import annotations

import json

import pytest

from autoresearch.benches.search.night import Mark, Night
from autoresearch.benches.search.nights import BUILDERS, DESCRIPTIONS, missing, run_nights, summarise
from autoresearch.benches.search.problem import Problem
from autoresearch.benches.search.surrogate import fit_surrogate
from autoresearch.benches.search.table import Table, TableRow
from autoresearch.cli import main
from rails import parse_menu
from tests.unit.benches.search.conftest import MENU

QUICK = ["random", "climb", "joint"]


def test_the_joint_search_beats_chance_and_the_default(surrogate):
    rows = {(r.proposer, r.trials): r for r in summarise(run_nights(surrogate, QUICK, 3, (10, 25), 1))}
    assert len(rows) == 6
    assert rows["joint", 25].mean_true < rows["random", 25].mean_true
    assert rows["joint", 25].mean_true < surrogate.mean(surrogate.baseline) - 0.01
    assert rows["random", 25].difference > 0


def test_a_searcher_sees_the_same_luck_and_never_the_truth(surrogate):
    problem = Problem(surrogate, 5)
    assert problem.baseline_value() == Problem(surrogate, 5).baseline_value()
    assert problem.baseline_value() != Problem(surrogate, 6).baseline_value()


@pytest.mark.parametrize("name", [n for n in BUILDERS if n not in ("gp", "cmaes")])
def test_every_searcher_asks_for_configurations_of_the_menu(surrogate, name):
    problem = Problem(surrogate, 0)
    searcher = BUILDERS[name](problem)
    for _ in range(6):
        cfg = searcher.ask()
        assert problem.menu.check_config(cfg, None) == ""
        searcher.tell(cfg, surrogate.draw(cfg, 0))
    assert problem.menu.check_config(searcher.pick(), None) == ""


CONSTANT = {
    "scale": {"type": "float", "low": 1.0, "high": 1.0, "default": 1.0},
    "heads": {"type": "int", "low": 4, "high": 4, "default": 4},
    "text": {"type": "choice", "choices": ["a"], "default": "a"},
}


@pytest.fixture(scope="module")
def with_constants(measured, tmp_path_factory):
    """The same table with three knobs that never vary, one of each kind."""
    menu = parse_menu({**MENU, "knobs": {**CONSTANT, **MENU["knobs"]}})
    own = {name: entry["default"] for name, entry in CONSTANT.items()}
    rows = tuple(TableRow({**own, **row["cfg"]}, row["value"]) for row in measured)
    return fit_surrogate(Table(menu, rows))[0]


@pytest.mark.parametrize("name", [n for n in BUILDERS if n not in ("gp", "cmaes")])
def test_every_searcher_leaves_a_constant_knob_alone(with_constants, name):
    problem = Problem(with_constants, 0)
    searcher = BUILDERS[name](problem)
    for _ in range(4):
        cfg = searcher.ask()
        assert problem.menu.check_config(cfg, None) == ""
        searcher.tell(cfg, with_constants.draw(cfg, 0))


def test_the_names_are_described():
    assert DESCRIPTIONS.keys() == BUILDERS.keys()


def test_rows_by_hand():
    nights = [
        Night("climb", 0, (Mark(30, False, 1.0, 0.1),)),
        Night("climb", 1, (Mark(30, False, 2.0, 0.3),)),
        Night("joint", 0, (Mark(30, False, 0.5, 0.0),)),
        Night("joint", 1, (Mark(30, False, 1.5, 0.0),)),
        Night("gp", 0, (), "package scipy is not installed"),
    ]
    climb, joint = summarise(nights)
    assert (climb.mean_true, climb.se, climb.crash_frac) == (1.5, pytest.approx(0.5), pytest.approx(0.2))
    assert (climb.difference, climb.p) == (0.5, 0.5)  # both pairs agree: two of four assignments of signs
    assert (joint.difference, joint.p) == (None, None)
    assert missing(nights) == {"gp": "package scipy is not installed"}


@pytest.mark.slow
def test_equal_flops_are_judged_beside_equal_trials(read, measured):
    given = [{**r, "flops": 1e6 * r["cfg"]["width"] * r["cfg"]["depth"]} for r in measured]
    surrogate, _ = fit_surrogate(read(given))
    rows = summarise(run_nights(surrogate, ["climb"], 2, (5,), 1))
    assert [(r.equal, r.trials) for r in rows] == [("trials", 5), ("flops", 5)]


@pytest.mark.slow
def test_the_command_prints_what_others_read(write, measured, capsys):
    table, menu = write(measured)
    flags = ["--seeds", "2", "--trials", "4,6", "--proposers", "joint,random", "--jobs", "1"]
    assert main(["bench", "search", "--table", str(table), "--menu", str(menu), *flags, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["surrogate"].keys() >= {"spearman", "mae", "crash_accuracy"}
    assert len(found["rows"]) == 4
    assert all(r.keys() >= {"proposer", "trials", "seeds", "mean_true", "se", "crash_frac"} for r in found["rows"])
    assert main(["bench", "search", "--table", str(table), "--menu", str(menu), *flags]) == 0
    assert "joint" in capsys.readouterr().out


def test_an_unknown_proposer_is_named(write, measured, capsys):
    table, menu = write(measured)
    assert main(["bench", "search", "--table", str(table), "--menu", str(menu), "--proposers", "bayes"]) == 78
    assert "'bayes'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_result_does_not_depend_on_the_number_of_processes(surrogate):
    one, two = (run_nights(surrogate, ["climb", "joint"], 2, (6,), jobs) for jobs in (1, 2))
    assert one == two
