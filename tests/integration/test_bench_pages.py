"""The pages of the benches in a real Chromium: no console message, no script, and no part beside a phone's screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.benches.analysis import analyse
from autoresearch.benches.pages import render_comparison, render_run, render_tonight
from autoresearch.benches.run_comparison import compare_runs
from autoresearch.benches.tonight.candidate import Candidate
from autoresearch.benches.tonight.evidence import OtherRun, build_evidence
from autoresearch.benches.tonight.verdict import decide_tonight
from autoresearch.testing.fake_suite import FakeSuite
from tests.bench_world import case_set, write_bench
from tests.browser import CHROMIUM, DRIVER, MISSING, Browser, browser

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=MISSING)]

HOSTILE = "</style><script>window.evil=1</script><img src=x onerror='window.evil=1'>\u202e " + "x" * 120
SUITE = FakeSuite()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """Each page by its name, with hostile text wherever a model or a file can put one."""
    folder = tmp_path_factory.mktemp("pages")
    ids = ["a", HOSTILE, *(f"case-{n}" for n in range(20))]
    cases = case_set(ids, {"a": HOSTILE, HOSTILE: "hr"})
    a = write_bench(folder / "a", {i: [1.0, 0.0] for i in ids}, cases=cases, model=HOSTILE)
    b = write_bench(folder / "b", {i: [1.0, None] for i in ids}, cases=cases, options={HOSTILE: HOSTILE, "loud": False})
    seeds = range(24)
    tpe = Candidate("tpe", None, {s: 0.02 + s / 1e4 for s in seeds})
    llm = Candidate(
        "hybrid", HOSTILE, {s: 0.01 + s / 1e4 for s in seeds}, proposals=9, failures={HOSTILE: 3}, missing=1
    )
    others = [OtherRun(HOSTILE, "samples", HOSTILE, HOSTILE, diagnosis=HOSTILE, incomplete=HOSTILE)]
    texts = {
        "run": render_run(a, SUITE, analyse(SUITE, a)),
        "incomplete": render_run(b, SUITE, analyse(SUITE, b)),
        "comparison": render_comparison(compare_runs(a, b, SUITE, bounds=True)),
        "tonight": render_tonight(build_evidence(decide_tonight([tpe, llm]), others)),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize("name", ["run", "incomplete", "comparison", "tonight"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_page_fits_the_screen_and_runs_nothing(chromium, pages, name, width, dark):
    chromium.emulate(width, 900, dark=dark, touch=width < 700)
    chromium.open(pages[name])
    assert chromium.run("return document.documentElement.scrollWidth") <= width
    assert chromium.run("return window.evil ?? null") is None
    assert chromium.run("return document.querySelectorAll('script, img, link, iframe').length") == 0
    assert chromium.run("return getComputedStyle(document.body).backgroundColor") == (
        "rgb(19, 20, 22)" if dark else "rgb(255, 255, 255)"
    )
    assert chromium.console() == []
