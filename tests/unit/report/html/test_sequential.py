"""The page of a run by rule sequential: labels, seeds, intervals, and points by their paired gain."""

from __future__ import annotations

import json
import re

import pytest

from autoresearch.core.records import Event
from autoresearch.report.history import History
from autoresearch.report.html.page import render_html
from autoresearch.report.native import build_history
from autoresearch.report.summary import best_keep, summarise


@pytest.fixture
def history(sequential_night: list[Event]) -> History:
    return build_history(sequential_night)


@pytest.fixture
def page(history: History) -> str:
    return render_html(summarise(history), history)


def data_of(page: str) -> dict[str, dict[str, list[float | None]]]:
    found: dict[str, dict[str, list[float | None]]] = json.loads(page.split('id="data">')[1].split("</script>")[0])
    return found


def test_the_headline_says_how_the_keep_was_confirmed(history: History, page: str) -> None:
    best = best_keep(history.rows)
    assert best is not None
    assert best.evidence is not None
    assert f"lowers val_bpb by {100 * (best.improvement_frac or 0):.2f}%, confirmed over {best.trials} seeds." in page
    assert "The interval of its gain is +" in page
    assert f"<dt>best gain, {best.trials} seeds</dt>" in page
    assert "<dt>corrected gain</dt>" in page
    assert f"confirmed over {best.trials} seeds, gain" in page.split('id="best"')[1].split("</pre>")[0]


def test_nothing_speaks_of_one_seed_or_of_reverts(page: str) -> None:
    text = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)
    assert "single seed" not in text
    assert "one seed" not in text
    assert "revert<" not in text
    assert not re.search(r">\s*(keep|revert)\s*<", text)


def test_each_row_has_its_label_and_seeds(history: History, page: str) -> None:
    for row in history.rows:
        assert row.evidence is not None
        seeds = f", {row.trials} seeds" if row.trials > 1 else ""
        assert f'<td class="end">{row.evidence.label}{seeds}</td>' in page


def test_the_plot_has_the_paired_place_and_the_interval(history: History, page: str) -> None:
    data = data_of(page)
    assert data["columns"]["y"] == [round(history.comparable_bpb(row) or 0, 6) for row in history.rows]
    assert data["columns"]["low"] == [
        None if row.evidence is None or row.evidence.low_frac is None else round(row.evidence.low_frac, 7)
        for row in history.rows
    ]
    assert data["course"]["baseline"] == history.baseline_val_bpb
    assert '"name":"interval"' in page
    assert data["kindNames"] == {"keep": "confirmed", "revert": "not confirmed"}


def test_by_rule_threshold_the_page_has_none_of_it(night) -> None:  # type: ignore[no-untyped-def]
    history = build_history(night.records)
    page = render_html(summarise(history), history)
    assert {"y", "low", "high"}.isdisjoint(data_of(page)["columns"])
    assert "kindNames" not in data_of(page)
    assert '"name":"interval"' not in page
    assert "a single seed" in page
