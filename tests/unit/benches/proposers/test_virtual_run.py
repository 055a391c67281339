"""A virtual night: the real loop and gate on a table, in virtual time, with a trajectory like any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.benches.proposers import suite
from autoresearch.benches.proposers.checkpoints import read_night
from autoresearch.benches.proposers.counts import count_night
from autoresearch.benches.proposers.problem import Night, problem_of
from autoresearch.benches.proposers.table_file import RefusedChange
from autoresearch.benches.proposers.virtual_parts import BUDGET_SPENT, VirtualTime
from autoresearch.benches.proposers.virtual_run import judge_on_surface, policy_of, run_night, settings_of
from autoresearch.cli.main import main
from autoresearch.core.ports import Interrupted
from autoresearch.core.records import Baseline, EvalFailed, Started, Stopped, TrialEnded
from autoresearch.core.trajectory import Trajectory
from autoresearch.errors import ConfigError, JournalDamaged
from autoresearch.proposers.space import build_reply
from autoresearch.report.load import load_records
from autoresearch.storage.journal import seal
from autoresearch.testing.scripted_proposer import ScriptedProposer
from rails import Rail, Tried
from tests.unit.benches.proposers.worlds import build_table, truth

FIRST = 4000  # the first measured seed


@pytest.fixture
def problem(table):
    return problem_of(table)[0]


def trials_of(records):
    """The trials after those of the baseline."""
    at = next(n for n, r in enumerate(records) if isinstance(r, Baseline))
    return [r for r in records[at:] if isinstance(r, TrialEnded)]


def scripted(*changes):
    replies = [build_reply(knob, value, "a test", "script") for knob, value in changes]
    return lambda _settings, _context: ScriptedProposer(replies)


@pytest.mark.parametrize("proposer", ["random", "tpe"])
@pytest.mark.parametrize("decision", ["sequential", "threshold"])
def test_a_night_spends_its_trials_and_leaves_a_sound_trajectory(problem, tmp_path, capsys, proposer, decision):
    night = Night(proposer=proposer, seed=FIRST, trials=12, decision=decision)
    ending, watch = run_night(problem, night, tmp_path)
    assert (ending, watch.spent) == (BUDGET_SPENT, 12)
    records = load_records(tmp_path)
    assert len(trials_of(records)) == 12
    assert next(r.proposer for r in records if isinstance(r, Started)) == proposer
    for command in ("verify", "status", "report"):
        assert main([command, str(tmp_path)]) == 0
    assert f"proposer {proposer}" in capsys.readouterr().out


def test_the_same_night_is_the_same_and_another_seed_is_another(problem, tmp_path):
    def values(seed, name):
        (tmp_path / name).mkdir()
        run_night(problem, Night(proposer="tpe", seed=seed, trials=12), tmp_path / name)
        trials = [r for r in load_records(tmp_path / name) if isinstance(r, TrialEnded)]
        return [(t.seed, t.outcome.val_bpb) for t in trials]

    assert values(FIRST, "a") == values(FIRST, "b") != values(FIRST + 1000, "c")


def test_time_is_that_of_the_trials_plus_the_real_time(problem, tmp_path):
    time = VirtualTime(real=iter([100.0, 101.0, 103.0]).__next__)
    assert time.clock() == 1.0
    time.trials_s += 50
    assert time.clock() == 53.0
    run_night(problem, Night(proposer="random", seed=FIRST, trials=10), tmp_path)
    records = load_records(tmp_path)
    began, ended = records[0].ts, records[-1].ts
    from datetime import datetime

    seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
    total = sum(isinstance(r, TrialEnded) for r in records) * 10.0
    assert total <= seconds < total + 60


def test_a_night_may_allow_several_changes_and_choose_what_is_confirmed(problem):
    """A table of single changes has no value for them: they pass rail R1 and are refused for want of data."""
    raw = (
        '{"changes": [{"knob": "lr", "new_value": 0.004}, {"knob": "batch_size", "new_value": 4}], "reason": "a test"}'
    )
    night = Night(proposer="random", seed=FIRST, trials=1, max_changes=2, confirm="best")
    settings = settings_of(problem, night, {})
    policy = policy_of(problem, settings)
    assert (settings.max_changes, policy.rule.confirm) == (2, "best")
    trajectory = Trajectory(tried=Tried(policy.baseline))
    rails = [judge_on_surface(problem, policy, raw, trajectory, most).rail for most in (1, 2)]
    assert rails == [Rail.R1_SCHEMA, Rail.R7_BUDGET]


def test_a_configuration_without_data_is_refused_counted_and_costs_no_trial(problem, tmp_path):
    changes = [("precision", "bf16"), ("lr", 4e-3), ("batch_size", 4)]
    night = Night(proposer="random", seed=FIRST, trials=100, decision="threshold")
    _, watch = run_night(problem, night, tmp_path, make_proposer=scripted(*changes))
    assert watch.spent == 2
    counts = count_night(load_records(tmp_path))
    assert (counts.no_data, counts.evaluated, counts.proposals) == (1, 2, 3)
    assert counts.refused == {}


def test_what_r7_refused_where_the_table_was_measured_it_refuses_here(tmp_path, table):
    refused = RefusedChange(knob="d_model", value=256, rail=Rail.R7_BUDGET.value, reason="it needs 9 GiB")
    problem = problem_of(table.model_copy(update={"refused": (refused,)}))[0]
    changes = [("d_model", 256), ("d_model", 96)]
    night = Night(proposer="random", seed=FIRST, trials=100, decision="threshold")
    run_night(problem, night, tmp_path, make_proposer=scripted(*changes))
    counts = count_night(load_records(tmp_path))
    assert (counts.refused, counts.no_data, counts.evaluated) == ({"R7_budget": 1}, 0, 1)
    run_night(problem, Night(proposer="random", seed=FIRST, trials=20), tmp_path)
    assert count_night(load_records(tmp_path)).refused == {}  # an optimizer is told so before it proposes


def test_a_crash_of_the_table_is_a_failed_trial_that_counts(tmp_path):
    table = build_table(bpb=lambda cfg: None if float(cfg["lr"]) > 2e-2 else truth(cfg))
    night = Night(proposer="random", seed=FIRST, trials=100, decision="threshold")
    run_night(problem_of(table)[0], night, tmp_path, make_proposer=scripted(("lr", 3e-2), ("batch_size", 4)))
    records = load_records(tmp_path)
    (failed,) = [r for r in records if isinstance(r, EvalFailed)]
    assert (failed.cause, failed.reason) == ("out_of_memory", "killed by the memory guard")
    assert count_night(records).crashes == {"out_of_memory": 1}
    assert len(trials_of(records)) == 2


def test_a_proposer_that_only_repeats_itself_ends(problem, tmp_path):
    night = Night(proposer="random", seed=FIRST, trials=10, decision="threshold")
    ending, watch = run_night(problem, night, tmp_path, make_proposer=scripted(*[("lr", 4e-3)] * 500))
    assert ending == "complete"
    assert watch.spent == 1
    checkpoints, _ = read_night(load_records(tmp_path), truth, [10, 30])
    assert [c.reached for c in checkpoints] == [1, 1]


def test_a_stop_interrupts_the_night_and_keeps_its_records(problem, tmp_path):
    calls = iter([False] * 12)
    with pytest.raises(Interrupted):
        run_night(problem, Night(proposer="random", seed=FIRST, trials=50), tmp_path, aborted=lambda: next(calls, True))
    assert isinstance(load_records(tmp_path)[-1], Stopped)


@pytest.mark.parametrize("name", ["replay", "nobody", ""])
def test_a_proposer_that_does_not_exist_is_refused(problem, tmp_path, name):
    with pytest.raises(ConfigError, match="there is no proposer"):
        run_night(problem, Night(proposer=name, seed=0, trials=10), tmp_path)


def test_a_server_that_fails_makes_the_night_void(problem, tmp_path):
    pytest.importorskip("openai")
    from tests.fake_llm import FakeLlm, says_no

    with FakeLlm(says_no(401, "wrong key")) as server:
        night = Night(proposer="nim", seed=FIRST, trials=10)
        ending, watch = run_night(problem, night, tmp_path, llm={"base_url": server.base_url})
    assert watch.infrastructure is not None
    assert ending == "the server failed: request_rejected"
    assert watch.spent < 10


def test_a_model_proposes_through_the_projects_own_server(problem, tmp_path):
    pytest.importorskip("openai")
    from tests.fake_llm import FakeLlm, says

    reply = json.dumps({"knob": "lr", "new_value": 4e-3, "reason": "larger steps"})
    with FakeLlm(says(reply)) as server:
        llm = {"base_url": server.base_url, "proposals": 1, "rounds": 1}
        night = Night(proposer="nim", seed=FIRST, trials=3, decision="threshold")
        ending, _ = run_night(problem, night, tmp_path, llm=llm)
    assert ending == BUDGET_SPENT
    counts = count_night(load_records(tmp_path))
    assert counts.by_source["nim"] == 1
    assert counts.calls["ok"] == 1
    assert counts.calls["duplicate"] >= 1
    assert counts.tokens_out is not None
    assert (tmp_path / "exchanges.jsonl").exists()


def test_a_surface_of_another_kind_is_enough(problem, tmp_path):
    """What a night needs of a surface is its Protocol alone."""
    from autoresearch.benches.proposers.surface import Point

    class Flat:
        baseline = problem.surface.baseline

        def point(self, cfg, seed):
            return Point(2.0 + seed * 1e-9, 2.0, 5.0)

    ending, watch = run_night(
        replace(problem, surface=Flat()), Night(proposer="random", seed=1, trials=8, decision="threshold"), tmp_path
    )
    assert (ending, watch.spent) == (BUDGET_SPENT, 8)


def test_the_proposals_of_an_iteration_that_the_budget_cuts_are_counted(problem, tmp_path):
    night = Night(proposer="random", seed=FIRST, trials=2)  # the gain of lr = 4e-3 needs at least 4 trials
    run_night(problem, night, tmp_path, make_proposer=scripted(("precision", "bf16"), ("lr", 3.533e-3)))
    counts = count_night(load_records(tmp_path))
    assert (counts.iterations, counts.proposals, counts.no_data) == (0, 2, 1)
    assert counts.by_source == {"script": 1}


def test_a_damaged_night_is_not_advised_to_start_afresh(tmp_path: Path) -> None:
    (tmp_path / "trajectory.jsonl").write_bytes(seal(0, '{"stage":"x"}').replace(b"x", b"y") + seal(1, '{"stage":"x"}'))
    with pytest.raises(JournalDamaged, match="line 1") as error:
        suite._records(tmp_path)
    assert "--fresh" not in str(error.value)
    assert "--dir" in str(error.value)
