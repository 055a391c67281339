"""The morning report in a real Chromium: no console messages, no network requests, sorting, filtering, tooltips."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.report import load, summarise
from autoresearch.report.history import History
from autoresearch.report.html import render_html
from benchmarks.long_night import write_long_night
from tests.browser import CHROMIUM, DRIVER, MISSING, Browser, browser

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=MISSING)]

DESKTOP, PHONE = (1280, 900), (390, 844)
ITERATIONS = 400
HOSTILE = "</script><script>window.evil=1</script><img src=x onerror='window.evil=1'>\u202e\u2028 {{7*7}} @{why} "
FIRST = "document.querySelector('#rows tbody tr')"
# The text of the tooltip beside the pointer, which is in nested shadow trees.
TOOLTIP_TEXT = """(() => {
  const found = [];
  const walk = (root) => {
    for (const e of root.querySelectorAll('*')) {
      if (e.classList.contains('bk-tooltip-content')) found.push(e.innerText.trim());
      if (e.shadowRoot) walk(e.shadowRoot);
    }
  };
  walk(document);
  return found.join('|');
})()"""
# The position in the window of the mark of an iteration.
MARK = """
const view = Plots.shown.get('course').roots[0];
view.el.scrollIntoView({ block: 'center', behavior: 'instant' });
const { x, y } = view.el.getBoundingClientRect();
const i = arguments[0];
return [x + view.frame.x_scale.compute(DATA.columns.iter[i]), y + view.frame.y_scale.compute(DATA.columns.bpb[i])];
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> History:
    path = tmp_path_factory.mktemp("night") / "trajectory.jsonl"
    write_long_night(path, ITERATIONS)
    return load(path)


@pytest.fixture(scope="module")
def page(night, tmp_path_factory) -> Path:
    return written(night, tmp_path_factory.mktemp("page"))


def written(history: History, folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text(render_html(summarise(history), history), encoding="utf-8")
    return path


def opened(chromium: Browser, page: Path, size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> Browser:
    """The page with its first plot drawn, and nothing left in the console of the page before."""
    chromium.console()
    chromium.emulate(*size, dark=dark, touch=size == PHONE)
    chromium.open(page)
    chromium.wait("Plots.shown.has('course')")
    return chromium


def complaints(chromium: Browser) -> list[str]:
    return [line for line in chromium.console() if not line.startswith("INFO")]


def tooltip_at_mark(chromium: Browser, row: int) -> str:
    """The tooltip of the mark of a row. A plot that is still being laid out moves the mark: it is pointed at again."""
    for _ in range(8):
        chromium.point(*chromium.run(MARK, row))
        with suppress(TimeoutError):
            return str(chromium.wait(TOOLTIP_TEXT, 2.0))
    raise AssertionError("no tooltip")


def draw_all(chromium: Browser) -> None:
    chromium.run("for (const place of Plots.places) document.getElementById(place).scrollIntoView()")
    chromium.run("for (const place of Plots.places) if (!Plots.shown.has(place)) Plots.show(place)")
    chromium.wait("Plots.shown.size === Plots.places.length")


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("dark", [False, True])
def test_it_opens_without_a_complaint_and_asks_no_network(chromium, page, size, dark):
    opened(chromium, page, size, dark=dark)
    draw_all(chromium)
    assert complaints(chromium) == []
    assert chromium.run("return performance.getEntriesByType('resource').map((e) => e.name)") == []
    assert chromium.run("return document.documentElement.scrollWidth") == size[0]  # nothing sticks out


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_run_by_rule_sequential_shows_seeds_and_intervals(chromium, tmp_path, size):
    history = load(Path(__file__).parents[2] / "evidence/2026-11-26-make-run-sequential/trajectory.jsonl")
    opened(chromium, written(history, tmp_path), size)
    draw_all(chromium)
    assert complaints(chromium) == []
    assert chromium.run("return document.documentElement.scrollWidth") == size[0]
    cells = chromium.run("return [...document.querySelectorAll('#rows td.interval')].map((e) => e.textContent)")
    assert cells == [*[""] * 7, "+0.08 to +1.10%", "", "+1.50 to +2.65%"]
    sizes = """return [...Plots.shown.get('effect-0').roots[0].model.document._all_models.values()]
        .filter((m) => m.name === 'keep').map((m) => m.data.size[0] / DATA.markSize)"""
    assert chromium.run(sizes) == [pytest.approx((1 + 3 / 3) ** 0.5)]  # n_layer = 1, four seeds


def test_the_table_sorts_both_ways_and_puts_what_is_missing_last(chromium, page, night):
    opened(chromium, page)
    gains = sorted((r.improvement_frac for r in night.rows if r.improvement_frac is not None), reverse=True)

    def first_gain() -> str:
        return chromium.run(f"return {FIRST}.querySelector('.gain').textContent").replace("\N{MINUS SIGN}", "-")

    chromium.run("document.querySelector('[data-key=gain]').click()")
    assert first_gain() == f"{100 * gains[0]:+.2f}%"
    assert chromium.run("return document.querySelector('th.gain').getAttribute('aria-sort')") == "descending"
    chromium.run("document.querySelector('[data-key=gain]').click()")
    assert first_gain() == f"{100 * gains[-1]:+.2f}%"
    last = "document.querySelectorAll('#rows tbody tr')"
    chromium.run("for (let n = 0; n < 20; n++) document.querySelector('[data-step=\"1\"]').click()")
    assert chromium.run(f"return [...{last}].at(-1).querySelector('.gain').textContent") == "-"


def test_a_chip_and_a_word_leave_only_what_fits(chromium, page, night):
    opened(chromium, page)
    failed = [r for r in night.rows if r.stage == "eval_failed"]
    chromium.run("[...document.querySelectorAll('.chips button')].find((b) => /^failed/.test(b.textContent)).click()")
    assert chromium.run("return [...document.querySelectorAll('#rows tbody tr')].map((r) => r.className)") == [
        "failed"
    ] * len(failed)
    chromium.run(
        "const s = document.getElementById('search'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))",
        failed[0].knob,
    )
    changes = chromium.run("return [...document.querySelectorAll('#rows td.change')].map((r) => r.textContent)")
    assert changes
    assert all(str(failed[0].knob) in change for change in changes)


def test_pointing_at_a_mark_shows_its_change_its_figures_and_its_reason(chromium, page, night):
    opened(chromium, page)
    best = min((r for r in night.rows if r.decision == "keep"), key=lambda r: r.val_bpb or 9)
    tooltip = tooltip_at_mark(chromium, best.iter - 1)
    assert f"{best.iter:,} · {best.knob} = " in tooltip
    assert f"{best.val_bpb:.4f}" in tooltip
    assert str(best.why) in tooltip


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_change_unfolds_the_loss_curves_of_its_trials_beside_the_baselines(chromium, night, tmp_path, size):
    baseline = replace(night.baseline, curves=(tuple(9.0 / (n + 1) for n in range(32)),))
    measured = next(n for n, r in enumerate(night.rows[:40]) if r.decision == "revert")
    curves = tuple(tuple(seed + 9.0 / (n + 1) for n in range(32)) for seed in (0.5, 0.75))
    rows = tuple(replace(r, curves=curves) if n == measured else r for n, r in enumerate(night.rows[:60]))
    opened(chromium, written(replace(night, rows=rows, baseline=baseline), tmp_path), size)
    (name,) = chromium.run("return [...document.querySelectorAll('.unfold')].map((b) => b.textContent)")
    assert name.startswith(f"{rows[measured].knob} = ")
    chromium.run("document.querySelector('.unfold').click()")
    paths = "[...document.querySelectorAll('.details svg svg path')].map((p) => p.getAttribute('class'))"
    assert chromium.run(f"return {paths}") == ["baseline", "candidate", "candidate", "zero", "candidate"]
    about = chromium.run("return document.querySelector('.details p').textContent")
    assert "0.906 nats per token, the baseline 0.281 (+0.625)" in about
    assert chromium.run("return document.documentElement.scrollWidth") == size[0]
    chromium.run("document.querySelector('.unfold').click()")
    assert chromium.run("return document.querySelectorAll('.details').length") == 0
    assert complaints(chromium) == []


def test_light_and_dark_follow_the_system_until_the_button_says_otherwise(chromium, page):
    ground = "return getComputedStyle(document.body).backgroundColor"
    opened(chromium, page, dark=True)
    dark = chromium.run(ground)
    opened(chromium, page)
    light = chromium.run(ground)
    assert dark != light
    chromium.run("document.getElementById('theme').click()")
    assert chromium.run(ground) == dark
    chromium.run("document.getElementById('theme').click()")
    assert chromium.run(ground) == light
    chromium.run("localStorage.clear()")
    assert complaints(chromium) == []


def test_a_run_that_is_hostile_through_and_through_is_only_text(chromium, night, tmp_path):
    rows = tuple(replace(r, why=HOSTILE * (2000 if r.iter == 3 else 1), source=HOSTILE) for r in night.rows[:60])
    hostile = replace(night, rows=rows, run_id=HOSTILE, profile=HOSTILE, proposer=HOSTILE, stop_reason=HOSTILE)
    opened(chromium, written(hostile, tmp_path), PHONE)
    draw_all(chromium)
    tooltip = tooltip_at_mark(chromium, next(i for i, r in enumerate(rows) if r.val_bpb is not None))
    assert "<img src=x" in tooltip
    assert chromium.run("return window.evil === undefined && document.images.length === 0")
    assert chromium.run("return document.documentElement.scrollWidth") == PHONE[0]
    assert complaints(chromium) == []


def test_ten_thousand_iterations_open_and_sort(chromium, tmp_path):
    path = tmp_path / "trajectory.jsonl"
    write_long_night(path, 10_000)
    opened(chromium, written(load(path), tmp_path))
    assert chromium.run("return document.querySelectorAll('*').length") < 6000
    chromium.run("document.querySelector('[data-key=why]').click()")
    assert chromium.run("return document.querySelectorAll('#rows tbody tr').length") == 50
    assert complaints(chromium) == []


def test_the_file_to_copy_is_the_file_that_is_saved(chromium, page):
    import tomllib

    opened(chromium, page)
    text = chromium.run("return document.getElementById('best').textContent")
    assert tomllib.loads(text)["profile"] == "gb10-354m"
    assert json.dumps(tomllib.loads(text)["baseline"])
    assert chromium.run("return !document.getElementById('save').hidden")


def test_printing_opens_and_draws_everything_and_folds_it_again_afterwards(chromium, page):
    opened(chromium, page, PHONE)
    folded = "document.querySelectorAll('details:not([open])').length"
    before = chromium.run(f"return {folded}")
    assert before > 1
    chromium.run("dispatchEvent(new Event('beforeprint'))")
    assert chromium.run(f"return {folded}") == 0
    chromium.wait("Plots.shown.size === Plots.places.length")
    chromium.run("dispatchEvent(new Event('afterprint'))")
    assert chromium.run(f"return {folded}") == before


def test_every_plot_is_drawn_before_anybody_prints(chromium, page):
    """A plot is drawn in several steps, and a browser prints before the second one: the idle time draws them."""
    opened(chromium, page)
    chromium.wait("Plots.shown.size === Plots.places.length")
    assert complaints(chromium) == []


@pytest.mark.parametrize(("size", "is_open"), [(DESKTOP, [True, True]), (PHONE, [True, False])])
def test_on_a_phone_all_knob_panels_but_the_first_are_folded(chromium, page, size, is_open):
    opened(chromium, page, size)
    assert chromium.run("return [...document.querySelectorAll('.panel')].map((p) => p.open)")[:2] == is_open


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_value_of_a_tile_stays_on_one_line(chromium, page, size):
    opened(chromium, page, size)
    tiles = "[...document.querySelectorAll('.figures dd:not(.note)')]"
    lines = f"{tiles}.map((d) => d.getBoundingClientRect().height / parseFloat(getComputedStyle(d).lineHeight))"
    assert max(chromium.run(f"return {lines}")) < 1.5
    assert chromium.run(f"return {tiles}.every((d) => d.scrollWidth <= innerWidth / 2 || innerWidth > 700)")
