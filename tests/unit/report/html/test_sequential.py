"""The page of a run by rule sequential: labels, seeds, intervals, and points by their paired gain."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from autoresearch.core.records import Event, Unsealed
from autoresearch.report.history import History
from autoresearch.report.html.course import build_course
from autoresearch.report.html.page import render_html
from autoresearch.report.html.spending import build_spending
from autoresearch.report.native import build_history
from autoresearch.report.summary import best_keep, summarise
from autoresearch.report.verdict_text import same_gain


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
    assert best.corrected_frac is not None
    shown_apart = not same_gain(best.corrected_frac, best.improvement_frac)
    assert ("<dt>corrected gain</dt>" in page) == shown_apart
    assert ("its gain is the same to 0.01%" in page) == (not shown_apart)
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


def test_the_panels_have_the_seeds_and_the_interval_of_each_gain(history: History, page: str) -> None:
    data = data_of(page)
    assert data["columns"]["seeds"] == [row.trials for row in history.rows]
    for name in ('"name":"interval-keep"', '"name":"interval-revert"', '"size":{"type":"field","field":"size"}'):
        assert name in page
    rows = [row for row in history.rows if row.knob == "lr"]
    best = max(rows, key=lambda row: row.improvement_frac or 0.0)
    seeds = f"{len(rows)} measured, {sum(row.trials for row in rows)} seeds, "
    assert seeds in page
    assert f"({best.trials} seeds) with " in page
    assert max(row.trials for row in rows) > 1


def test_the_table_has_the_interval_of_a_gain_over_several_seeds_alone(history: History, page: str) -> None:
    cells = re.findall(r'<td class="interval">(.*?)</td>', page)
    assert len(cells) == len(history.rows)
    for cell, row in zip(cells, history.rows, strict=True):
        assert bool(cell) == (row.trials > 1)
    assert 'id="rows" class="one-source "' in page


def test_the_plot_of_the_run_has_room_for_the_intervals_of_the_keeps(history: History) -> None:
    course = build_course(history)
    assert history.baseline_val_bpb is not None
    for row in history.rows:
        if row.decision == "keep" and row.evidence and row.evidence.high_frac is not None:
            assert course.low < history.baseline_val_bpb * (1 - row.evidence.high_frac)


def test_time_by_outcome_is_named_as_the_verdicts_are(history: History) -> None:
    names = {share.name for share in build_spending(summarise(history), history).by_outcome}
    assert {"confirmed", "not confirmed"} <= names
    assert not {"keeps", "reverts"} & names


def test_the_gain_on_the_test_split_is_a_key_figure(history: History) -> None:
    vault = Unsealed(
        ts="2026-11-20T22:00:00Z", iter=1, seeds=(0, 1), trials=(1, 2), baseline_trials=(3, 4), missing=(),
        val_gain_frac=0.03, test_gain_frac=0.0272, test_low_frac=0.0231, test_high_frac=0.0314,
    )  # fmt: skip
    rows = tuple(replace(row, vault=vault) if row is best_keep(history.rows) else row for row in history.rows)
    sealed = replace(history, rows=rows)
    page = render_html(summarise(sealed), sealed)
    figure = '<dt>gain on test</dt><dd>+2.72%</dd><dd class="note">95%: +2.31 to +3.14%</dd>'
    assert figure in page


def test_by_rule_threshold_the_page_has_none_of_it(night) -> None:  # type: ignore[no-untyped-def]
    history = build_history(night.records)
    page = render_html(summarise(history), history)
    assert {"y", "low", "high", "seeds"}.isdisjoint(data_of(page)["columns"])
    assert "kindNames" not in data_of(page)
    assert '"name":"interval' not in page
    assert "no-interval" in page
    assert "a single seed" in page
