"""Keeps combined, in the text, the page and the numbers of a report."""

from __future__ import annotations

import json

import pytest

from autoresearch.core.loop import Loop
from autoresearch.proposers.stack import StackProposer
from autoresearch.report.history import History
from autoresearch.report.html.stack import build_stack
from autoresearch.report.native import build_history
from autoresearch.report.summary import summarise, summary_json
from autoresearch.report.text import render_report
from autoresearch.testing.recording_observer import RecordingObserver
from tests.unit.proposers.test_stack import run, searched, settings, space_of


def history_of(*loops: Loop) -> History:
    events = []
    for loop in loops:
        assert isinstance(loop.observer, RecordingObserver)
        events += loop.observer.events
    return build_history(events)


@pytest.fixture(scope="module")
def composed() -> History:
    chosen = settings(30, compose="only", proposer="stack")
    night = run(settings(3), searched("weight_decay", "lr", "beta2"))
    return history_of(night, run(chosen, StackProposer(space_of(chosen)), trajectory=night.trajectory))


def test_the_numbers_of_a_composed_run(composed: History) -> None:
    found = json.loads(summary_json(summarise(composed)))["stack"]
    assert set(found["changes"]) == {"lr", "beta2", "weight_decay"}
    assert [u["parts"] for u in found["unions"]] == [[2, 3], [2, 3, 1], [3, 1], [2, 1]]
    assert {u["label"] for u in found["unions"]} == {"adds up"}  # the gains of this world add up
    first = found["unions"][0]
    assert first["sum_of_parts"]["value_frac"] == pytest.approx(0.05, abs=0.002)
    assert first["interaction"]["value_frac"] == pytest.approx(first["gain_frac"] - first["sum_of_parts"]["value_frac"])
    assert first["interaction"]["low_frac"] < 0 < first["interaction"]["high_frac"]
    adds = {a["knob"]: a["adds"]["value_frac"] for a in found["ablation"]}
    assert adds == pytest.approx({"lr": 0.03, "beta2": 0.02, "weight_decay": 0.012}, abs=0.002)


def test_text_and_page_show_them(composed: History) -> None:
    summary = summarise(composed)
    text = render_report(summary, composed, width=100)
    assert "Keeps combined:" in text
    assert "adds up" in text
    assert "The stack without one change:" in text
    section = build_stack(summary)
    assert section is not None
    assert [len(table.rows) for table in section.tables] == [4, 3]


def test_a_run_without_unions_has_no_section() -> None:
    history = history_of(run(settings(2), searched("weight_decay", "lr")))
    assert summarise(history).stack is None
    assert "Keeps combined" not in render_report(summarise(history), history)
