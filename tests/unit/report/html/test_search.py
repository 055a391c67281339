"""The section "Researching or flailing?" of the page: its facts, its bars and its plot of random orders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from autoresearch.report import load, summarise
from autoresearch.report.history import History
from autoresearch.report.html.page import render_html
from autoresearch.report.html.search import MAX_WINDOWS, build_search
from autoresearch.report.native import build_history

NIGHT = Path(__file__).parents[4] / "evidence/2026-11-20-tiny-wikitext2/trajectory.jsonl"
BASELINE = 3.4


def search_of(history: History):
    return build_search(summarise(history), history)


def test_a_run_that_repeats_itself_has_bars_of_its_repeats_and_no_ops(new_run):
    run = new_run().begin()
    own = build_history(run.records).baseline_cfg["lr"]
    for n in range(40):
        run.evaluated("lr", own if n < 10 else 0.001, BASELINE)
    found = search_of(build_history(run.records))
    assert [(b.repeats, b.no_ops) for b in found.bars] == [(80, 20), (100, 0), (80, 0), *[(100, 0)] * 5]
    assert found.bars[0].title == "5 proposals: 4 repeats, 5 no-ops"
    assert dict(found.facts)["repeats and no-ops"] == "39 of 40 proposals (98%)"
    assert dict(found.facts)["proposed most often"] == "lr = 0.001, 75% of the proposals"
    assert found.orders is None  # nothing was better than the baseline


def test_a_real_night_has_a_band_and_its_own_course_and_no_bars():
    history = load(NIGHT)
    found = search_of(history)
    assert found.bars == ()
    assert found.orders is not None
    assert found.orders.measured == 50
    assert found.orders.own.startswith("M0.00 ")
    assert found.orders.own.split("L")[-1].startswith("100.00 ")
    assert [t.label for t in found.orders.ticks] == ["0", "+1%", "+2%", "+3%"]
    for path in (found.orders.own, found.orders.band, found.orders.median):
        places = [float(n) for n in re.findall(r"[\d.]+", path)]
        assert all(0 <= n <= 100 for n in places)
    assert dict(found.facts)["first keep"] == "iteration 1, 38 s of work after the baseline"


@pytest.mark.parametrize("count", [0, 1, 3, 4, 19, 400])
def test_any_length_has_at_most_as_many_bars_as_fit(new_run, count):
    run = new_run().begin()
    for _ in range(count):
        run.evaluated("lr", 0.001, 3.5)
    assert len(search_of(build_history(run.records)).bars) <= MAX_WINDOWS


def test_the_page_has_the_verdict_and_the_plots():
    history = load(NIGHT)
    page = render_html(summarise(history), history)
    section = page.split("Researching or flailing?")[1].split("</section>")[0]
    assert summarise(history).research.verdict in section
    assert 'class="own"' in section
    assert "Every proposal was new." in section
