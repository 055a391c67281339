"""A proposal of several changes on its way: rails, records, trajectory, reports."""

from __future__ import annotations

import json

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.records import Evaluated, ProposalRecord, Proposed, decode, encode
from autoresearch.report.format import format_change, format_changes
from autoresearch.report.html.best_file import build_best_file
from autoresearch.report.importance import knob_importance
from autoresearch.report.native import build_history
from autoresearch.report.summary import summarise
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.scripted_proposer import ScriptedProposer
from rails import Rail, default_menu

BASELINE = default_menu().defaults
PAIR = {"lr": 1e-3, "beta1": 0.8}
TEXT = "lr = 0.001, beta1 = 0.8"


def several(changes, reason="both"):
    listed = [{"knob": knob, "new_value": value} for knob, value in changes.items()]
    return json.dumps({"changes": listed, "reason": reason})


def one(knob, value):
    return json.dumps({"knob": knob, "new_value": value, "reason": "one"})


@pytest.fixture
def night():
    """The pair is kept and each of the two alone is not."""

    def bpb(cfg, seed):
        return 3.0 if cfg["lr"] == 1e-3 and cfg["beta1"] == 0.8 else 3.4

    replies = [one("lr", 1e-3), several(PAIR), several(dict(reversed(PAIR.items()))), one("beta1", 0.8)]
    settings = Settings(iters=3, baseline=BASELINE, max_changes=3, decision={"rule": "threshold"})
    loop = fake_loop(settings, ScriptedProposer(replies), trial=FakeTrial(bpb=bpb))
    loop.run()
    return loop


def test_it_is_tried_as_one_candidate_against_the_fixed_baseline(night):
    first, pair, last = night.trajectory.iterations
    assert isinstance(pair, Evaluated)
    assert pair.decision == "keep"
    assert pair.candidate_cfg == {**BASELINE, **PAIR}
    assert pair.proposal.changes == tuple(PAIR.items())
    assert pair.diff.count("@@") == 4
    assert (first.decision, last.decision) == ("revert", "revert")


def test_the_same_in_another_order_is_known(night):
    refused = night.trajectory.iterations[2].attempts[0]
    assert (refused.rail, refused.verdict_ok) == (Rail.R6_NOVELTY, False)


def test_results_do_not_count_it_for_one_of_its_knobs(night):
    result = night.trajectory.results[1]
    assert (result.knob, result.new_value) == (None, None)
    assert result.changes == result.several == tuple(PAIR.items())
    assert night.trajectory.results[0].changes == (("lr", 1e-3),)


def test_records_survive_writing_and_reading(night):
    for event in night.observer.events:
        assert decode(encode(event)) == event
    proposed = [e for e in night.observer.events if isinstance(e, Proposed)]
    assert [p.proposal.text for p in proposed] == ["lr = 0.001", TEXT, "beta1 = 0.8"]


def test_a_record_without_the_field_is_one_change():
    old = ProposalRecord.model_validate({"knob": "lr", "new_value": 1e-3, "reason": "x"})
    assert old.changes == (("lr", 1e-3),)
    assert format_changes(old, 40) == "lr = 0.001"


def test_where_one_change_is_allowed_the_list_is_refused():
    settings = Settings(iters=1, max_changes=1, baseline=BASELINE, limits={"max_attempts": 1})
    loop = fake_loop(settings, ScriptedProposer([several(PAIR)]))
    loop.run()
    assert loop.trajectory.iterations[0].attempts[0].rail is Rail.R1_SCHEMA


def test_reports_show_all_changes_and_count_the_effect_for_none_of_them(night):
    history = build_history(night.observer.events)
    row = history.rows[1]
    assert format_change(row.knob, row.new_value, 40) == TEXT
    assert (row.knob, row.new_value, row.several) == ("lr, beta1", "0.001, 0.8", tuple(PAIR.items()))
    summary = summarise(history)
    assert summary.best_knob == "lr, beta1"
    assert {k.knob for k in knob_importance(history)} == {"lr", "beta1"}
    assert max(k.best_gain for k in knob_importance(history)) < 0.01


def test_the_best_file_has_every_change(night):
    history = build_history(night.observer.events)
    best = build_best_file(summarise(history), history)
    assert best is not None
    assert [line for line, changed in best.lines if changed] == ["lr = 0.001", "beta1 = 0.8"]
