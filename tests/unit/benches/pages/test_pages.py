"""The pages: what they say, that they load nothing, and that nothing in them is trusted."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import pytest

from autoresearch.benches.analysis import analyse
from autoresearch.benches.pages import render_comparison, render_run, render_tonight
from autoresearch.benches.run_comparison import compare_runs
from autoresearch.benches.tonight.candidate import Candidate
from autoresearch.benches.tonight.evidence import OtherRun, build_evidence
from autoresearch.benches.tonight.verdict import decide_tonight
from autoresearch.testing.fake_suite import FakeSuite
from tests.bench_world import case_set, write_bench

SUITE = FakeSuite()
EVIL = '<script>alert(1)</script><img src="http://x/">'


class Tags(HTMLParser):
    """The tags of a page, and whether each one that was opened was closed."""

    VOID = frozenset({"meta", "br", "img", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check_page(text: str) -> str:
    """The page's text without markup; it is well-formed, has no script and loads nothing."""
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert not {"script", "img", "link", "iframe", "object"} & set(tags.seen)
    assert "default-src 'none'; script-src ;" in unescape(text)
    body = text.split("</style>")[1]
    assert "http://x/" not in re.sub(r"&[a-z0-9#]+;", "", body) or "<img" not in body
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


@pytest.fixture
def runs(tmp_path):
    ids = ["a", "b", EVIL]
    cases = case_set(ids, {"a": "hr", "b": EVIL})
    a = write_bench(tmp_path / "a", {"a": [1.0], "b": [0.0], EVIL: [0.0]}, cases=cases, model=EVIL)
    b = write_bench(tmp_path / "b", {"a": [1.0], "b": [1.0], EVIL: [None]}, cases=cases, options={"loud": EVIL})
    return a, b


def test_the_page_of_a_run(runs):
    text = check_page(render_run(runs[0], SUITE, analyse(SUITE, runs[0])))
    for part in ("3 of 3 planned attempts done", "accuracy 33.3%", "95% interval", "finished", "sha256", "Every case"):
        assert part in text, part
    assert render_run(runs[0], SUITE, analyse(SUITE, runs[0])) == render_run(runs[0], SUITE, analyse(SUITE, runs[0]))


def test_a_diagnosis_is_a_sentence_at_the_top(runs):
    analysis = analyse(SUITE, runs[0])
    diagnosis = {"sentence": f"the bottleneck is {EVIL}"}
    found = analysis.model_copy(update={"figures": analysis.figures | {"diagnosis": diagnosis}})
    page = check_page(render_run(runs[0], SUITE, found))
    assert page.index("The bottleneck is") < page.index("The figures")
    assert "The bottleneck is" not in check_page(render_run(runs[0], SUITE, analysis))


def test_the_page_of_an_incomplete_run(runs):
    text = check_page(render_run(runs[1], SUITE, analyse(SUITE, runs[1])))
    assert "accuracy between 66.7% and 100.0%" in text
    assert "1 of 3 planned samples have no trial (not attempted 1)" in text
    assert "missing: not attempted" in text


def test_the_page_of_a_comparison(runs):
    text = check_page(render_comparison(compare_runs(*runs, SUITE, bounds=True)))
    for part in ("Cannot tell which scores higher", "What else differs", "By family", "Case by case"):
        assert part in text, part


def test_the_page_of_the_morning():
    seeds = range(24)
    tpe = Candidate("tpe", None, {s: 0.02 + s / 1e4 for s in seeds})
    llm = Candidate("hybrid", EVIL, {s: 0.01 + s / 1e4 for s in seeds}, proposals=9, failures={EVIL: 3}, missing=1)
    others = [OtherRun(EVIL, "samples", EVIL, EVIL, diagnosis=EVIL, incomplete=EVIL)]
    text = check_page(render_tonight(build_evidence(decide_tonight([tpe, llm]), others)))
    places = [text.index(part) for part in ("Hybrid with", "autoresearch run", "The candidates", "Against the clock")]
    places += [text.index(part) for part in ("Proposals lost", "The bottleneck", "What was incomplete")]
    assert places == sorted(places)


def test_the_page_of_a_morning_without_runs_of_proposers():
    text = check_page(render_tonight(build_evidence(decide_tonight([]), [])))
    assert "Cannot tell: no run of the suite proposer was given" in text
    assert "Nothing: every planned sample" in text
