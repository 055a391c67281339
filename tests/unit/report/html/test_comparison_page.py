"""The page of two runs: what it says, and that nothing in a log can act in it."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from autoresearch.report.comparison import compare
from autoresearch.report.history import History, Row
from autoresearch.report.html import render_comparison_html
from autoresearch.report.native import build_history

HOSTILE = ("</table><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"'><b>", "{{ 7 * 7 }} \u202e \x1b[2J")


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(a: History, b: History) -> str:
    return render_comparison_html(compare(a, b, ("runs/a", "runs/b")))


@pytest.fixture
def a(night) -> History:
    return build_history(night.complete().records)


def test_it_says_what_differs_and_what_was_kept(a):
    assert a.yardstick is not None
    b = replace(a, run_id="night-2", yardstick=a.yardstick.model_copy(update={"budget_size": 400.0}))
    text = " ".join(" ".join(Page(page(a, b)).text).split())
    for part in (
        "Two runs that cannot be compared",
        "NOT comparable: the yardsticks differ (budget_size).",
        "The yardstick differs field A B budget_size 200 400",
        "Kept in both: 1 change A B d_model = 768 keep +2.94% (1 seed) keep +2.94% (1 seed)",
        "Kept in A, not measured in B: 0",
    ):
        assert part in text, part
    assert "Two runs that can be compared" in page(a, replace(a, run_id="night-2"))


@pytest.mark.parametrize("evil", HOSTILE)
def test_hostile_text_changes_no_element_and_there_is_no_script(a, evil):
    def with_text(text: str) -> str:
        row = Row(9, "evaluated", knob=text, new_value=text, decision="keep", val_bpb=3.3, improvement_frac=0.01)
        b = replace(a, rows=(*a.rows, row), run_id=text, profile=text, proposer=text, baseline_cfg={text: text})
        return page(a, b)

    assert Page(with_text(evil)).tags == Page(with_text("harmless")).tags
    assert not any(tag == "script" or "src" in names for tag, names in Page(with_text(evil)).tags)
    assert not set("\u202e\x1b") & set(with_text(evil))


def test_a_comparable_change_has_the_difference_of_its_gains_with_a_typographic_minus(sequential_night):
    a = build_history(sequential_night)
    best = next(r for r in a.rows if r.decision == "keep")
    worse = replace(best, decision="revert", improvement_frac=-0.2)
    text = page(a, replace(a, run_id="night-2", rows=tuple(worse if r is best else r for r in a.rows)))
    assert "Kept in one and reverted in the other: 1" in text
    assert "\N{MINUS SIGN}20.00%" in text
    assert "points (95% interval \N{MINUS SIGN}" in text
