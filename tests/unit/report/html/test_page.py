"""The morning report without a browser: its text, escaping of everything in a log, and reproducible bytes."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.cli import main
from autoresearch.core.costs import CostRatios
from autoresearch.report import load, summarise
from autoresearch.report.history import History, Row
from autoresearch.report.html import Price, render_html
from autoresearch.report.html.embed import script_code, script_json
from autoresearch.report.html.headline import build_key_figures
from autoresearch.report.native import build_history
from tests.examples import examples

ROOT = Path(__file__).parents[4]
EVIDENCE = ROOT / "evidence/2026-11-20-tiny-wikitext2/trajectory.jsonl"
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'><b>&amp;",
    "\u2028\u2029 \u202e evil \x00 \x1b[2J",
    "{{ 7 * 7 }} {% raw %} @{why}{safe}",
    "<!-- ]]> --> ${alert(1)} `",
)


class Elements(HTMLParser):
    """Every element with its attributes, and what scripts and the rest of the page hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def page(history: History, price: Price | None = None) -> str:
    return render_html(summarise(history), history, price)


def words(text: str) -> str:
    """What a person reads, in one line."""
    return " ".join(" ".join(Elements(text).text).split())


def data_of(text: str) -> dict[str, Any]:
    """What the page's scripts read."""
    return json.loads(Elements(text).scripts[0])


def shape(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """The elements and the names of their attributes: what no text of a log may change."""
    return [(tag, tuple(attrs)) for tag, attrs in Elements(text).found]


def test_the_page_describes_the_night(night):
    text = words(page(build_history(night.complete().records)))
    for part in (
        "Complete: 7 of 10 iterations",
        "d_model = 768 instead of 1024 lowers val_bpb by 2.94%, from 3.4000 to 3.3000.",
        "The best of 4 candidates, each measured with a single seed",
        "against the baseline",
        "needed for a keep, 3.3830",
        "autoresearch run --config best.toml --dir runs/next",
        "4 of 13 knobs proposed",
        "1 of 6 proposals (17%) repeated a value that an earlier iteration had proposed; 5 were distinct.",
        "lr = 0.001 2 times",
        "Never proposed: n_head, d_ff, lr_warmup",
        "R6_novelty repeated a known proposal 1",
        "training 1 min 40 s",
        "Not measured.",
        "The effect of two keeps together was not measured.",
        "it went wrong",
        "a higher rate",
    ):
        assert part in text, part


def test_energy_and_its_cost_are_shown_where_they_are_known(new_run):
    run = new_run().begin().evaluated("lr", 0.001, 3.3, energy_j=3.6e6).evaluated("lr", 0.002, 3.4, energy_j=1.8e6)
    history = build_history(run.records)
    text = words(page(history))
    assert "energy of the trials 1.50 kWh" in text
    assert "energy per keep 1.50 kWh" in text
    assert "energy per 1% gained 0.510 kWh" in text
    priced = words(page(history, Price(0.4, "EUR")))
    assert "energy per keep 1.50 kWh, 0.6000 EUR" in priced
    assert "Not measured." not in text


@pytest.mark.parametrize(
    ("joules", "shown"), [(5.4e6, "1.50 kWh"), (40_320.0, "11.2 Wh"), (90.0, "0.025 Wh"), (None, None)]
)
def test_the_energy_tile_has_a_short_number_and_is_left_out_without_one(new_run, joules, shown):
    history = build_history(new_run().begin().evaluated("lr", 0.001, 3.3, energy_j=joules).complete().records)
    figures = {f.name: f.value for f in build_key_figures(summarise(history), history)}
    assert figures.get("energy") == shown


def test_the_best_file_is_settings_that_the_program_takes(night, tmp_path):
    from autoresearch.config.resolve import resolve

    text = Elements(page(build_history(night.complete().records)))
    start = next(n for n, part in enumerate(text.text) if part.startswith("# d_model = 768"))
    end = next(n for n in range(start, len(text.text)) if "precision" in text.text[n])
    file = tmp_path / "best.toml"
    file.write_text("".join(text.text[start : end + 1]))
    settings = resolve({}, {}, file).settings
    assert settings.baseline["d_model"] == 768
    assert settings.baseline["lr"] == 0.0003
    assert settings.profile == "tiny"


def test_what_is_not_measured_yet_is_named(new_run):
    fresh = page(build_history(new_run().meta().start().records))
    assert "The baseline is not measured yet" in words(fresh)
    begun = words(page(build_history(new_run().begin().records)))
    assert "The baseline has val_bpb 3.4000; no candidate is measured yet." in begun
    assert "The run has not ended" in begun
    nothing = words(page(build_history(new_run().begin().evaluated("lr", 0.001, 3.39).records)))
    assert "No candidate beat the baseline by the 0.5% that a keep needs: 1 candidate measured, none kept." in nothing
    assert "The baseline" in nothing
    blocked = words(page(build_history(new_run().begin().proposer_failed().records)))
    assert "Nothing was proposed." in blocked


def test_a_run_whose_log_is_the_origins_is_shown_as_such(origin_log):
    text = words(page(load(origin_log)))
    assert "a log in the origin's format" in text
    assert "not comparable with any other run" in text
    assert "val_bpb by" in text


def test_more_compute_than_the_baselines_stands_beside_the_keep_and_in_the_limits(night):
    history = build_history(night.records)
    assert "x the baseline's FLOPs: at equal" not in words(page(history))
    ratios = CostRatios(tokens=2.0, flops=1.9)
    rows = tuple(replace(r, ratios=ratios) if r.iter in (2, 6) else r for r in history.rows)
    document = page(replace(history, rows=rows))
    text = words(document)
    assert "It trained on 1.90 x the baseline's FLOPs: at equal FLOPs the difference is not known." in text
    assert "trained on 1.90 x the baseline's FLOPs and 2.00 x its tokens" in text
    columns = data_of(document)["columns"]
    remarks = [columns["texts"][n] for n in columns["reason"]]
    assert remarks[5] == "trained on 1.90 x the baseline's FLOPs"
    assert remarks[1] == "", "a revert needs no such label"


def test_every_iteration_is_in_the_columns_and_reads_the_same_in_the_table(night):
    text = page(build_history(night.records))
    columns = data_of(text)["columns"]
    lengths = {len(values) for name, values in columns.items() if name not in ("names", "texts")}
    assert lengths == {7}
    assert columns["iter"] == list(range(1, 8))
    kinds = [data_of(text)["kinds"][kind] for kind in columns["kind"]]
    assert kinds == ["keep", "revert", "blocked", "failed", "no proposal", "keep", "revert"]
    assert [columns["texts"][n] for n in columns["why"]][:2] == ["a higher rate", "a hunch"]
    rows = [attrs["class"] for tag, attrs in Elements(text).found if tag == "tr" and "class" in attrs]
    assert rows == [kind.replace(" ", "-") for kind in kinds]


def test_the_importance_of_each_knob_is_on_the_page(new_run):
    run = new_run().begin()
    for n, gain in enumerate((0.02, 0.0, -0.02)):
        run.evaluated("lr", 0.001 + n / 1000, 3.4 * (1 - gain)).evaluated("beta2", 0.9 + n / 100, 3.4 * (1 - gain / 2))
    text = words(page(build_history(run.evaluated("d_ff", 512, 3.39).records)))
    assert "lr 80% 3 measurements of 3 values, \N{MINUS SIGN}2.00% to +2.00%" in text
    assert "d_ff n too small 1 measurement of 1 value" in text


def test_extended_deadlines_are_a_fact_of_the_page(night):
    history = build_history(night.records)
    rows = (replace(history.rows[0], deadline_extended_s=90.0), *history.rows[1:])
    assert "deadlines extended by 1 min 30 s, in 1 iteration with a slowed trial" in words(
        page(replace(history, rows=rows))
    )
    assert "deadlines extended" not in words(page(history))


def test_a_marked_iteration_carries_its_mark_in_the_table_and_in_the_columns(night):
    plain = build_history(night.records)
    marked = replace(plain.rows[0], marks=("throttled",))
    text = page(replace(plain, rows=[marked, *plain.rows[1:]], marks={"throttled": 1}))
    columns = data_of(text)["columns"]
    ends = [columns["names"][n] for n in columns["end"]]
    assert [end.endswith(" !") for end in ends] == [True] + [False] * 6
    assert f'<td class="end">{ends[0]}</td>' in text
    assert "! a trial of the iteration was throttled, contended or slow" in text
    assert "! a trial of the iteration" not in page(plain)


def test_the_page_makes_no_network_requests_and_runs_only_its_own_scripts(night):
    text = page(build_history(night.records))
    found = Elements(text).found
    outside = [(tag, attrs) for tag, attrs in found if tag in ("link", "img", "iframe") or "src" in attrs]
    assert outside == []
    assert not any(name.startswith("on") for _, attrs in found for name in attrs)
    (policy,) = (a["content"] for _, a in found if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "unsafe-inline" not in policy.split(";")[1]
    assert policy.count("'sha256-") == sum(tag == "script" and "type" not in attrs for tag, attrs in found)


@pytest.mark.parametrize("evil", HOSTILE)
def test_hostile_text_changes_no_element_of_the_page(new_run, evil):
    def page_with(text: str) -> str:
        run = new_run().begin()
        run.evaluated("lr", 0.001, 3.3, why=text).evaluated("precision", "bf16", 3.4, why=text).failed("lr", 0.002)
        history = build_history(run.by("nim").proposer_failed().records)
        rows = tuple(replace(r, source=text, reason=text, cause=text) for r in history.rows)
        rows += (Row(9, "blocked", rail=text, reason=text, knob=text, new_value=text, why=text, refused={text: 1}),)
        rows += (Row(10, "blocked", rail=text, knob=text, new_value=text, why=text),)
        return page(replace(history, rows=rows, run_id=text, profile=text, proposer=text, stop_reason=text))

    plain, hostile = page_with("harmless"), page_with(evil)
    assert shape(hostile) == shape(plain)
    assert data_of(hostile)["columns"]["iter"] == [1, 2, 3, 4, 9, 10]
    assert not set("\u202e\u2028\u2029\x00\x1b") & set(hostile)
    assert "<" not in evil or evil not in hostile


@settings(max_examples=examples(300))
@given(st.recursive(st.text() | st.floats(allow_nan=False, allow_infinity=False), lambda s: st.lists(s), max_leaves=8))
def test_json_in_a_script_element_comes_back_and_cannot_leave_it(value):
    text = str(script_json(value))
    assert not re.search(r"[<>&\u2028\u2029]", text)
    assert json.loads(text) == json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def test_code_that_would_end_its_element_is_refused():
    with pytest.raises(ValueError, match="script element"):
        script_code("x = '</SCRIPT>'")
    with pytest.raises(ValueError, match="script element"):
        script_code("x = '<!--'")


@given(st.text(max_size=200))
@settings(max_examples=examples(25))
def test_any_reason_reads_as_it_was_written_but_for_what_is_not_printable(why):
    row = Row(1, "evaluated", knob="lr", new_value=0.1, why=why, val_bpb=3.0, improvement_frac=0.1, decision="keep")
    history = History(
        "origin", ("lr",), rows=(row,), baseline=Row(0, "baseline", val_bpb=3.3), baseline_cfg={"lr": 1.0}
    )
    text = page(history)
    seen = data_of(text)["columns"]["texts"][-1] if why.split() else ""
    assert seen.isprintable()
    if why.isprintable():
        assert seen == " ".join(why.split())
        assert html.escape(seen, quote=False).replace("'", "&#39;").replace('"', "&#34;") in text


def test_two_processes_write_the_same_bytes(tmp_path):
    """This one, and one that hashes in another order."""
    words = ["report", str(EVIDENCE), "--html", "--out"]
    assert main([*words, str(tmp_path / "here.html")]) == 0
    command = [sys.executable, "-m", "autoresearch", *words, str(tmp_path / "there.html")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "1"}, cwd=ROOT)
    assert (tmp_path / "here.html").read_bytes() == (tmp_path / "there.html").read_bytes()


def test_the_second_page_of_a_process_is_the_first(night):
    history = build_history(night.records)
    assert page(history) == page(history)


def many(count: int, why: str) -> History:
    rows = tuple(
        Row(
            n,
            "evaluated",
            knob="lr",
            new_value=1e-5 + n * 9.9e-7,
            why=f"{n}: {why}",
            source="nim",
            val_bpb=3.3 + (n % 97) / 500,
            improvement_frac=0.01 - (n % 97) / 2000,
            decision="keep" if n % 97 < 10 else "revert",
            wall_s=70.0 + n % 7,
        )
        for n in range(1, count + 1)
    )
    cfg = {"lr": 3e-4}
    return History("origin", ("lr",), rows=rows, baseline=Row(0, "baseline", val_bpb=3.4), baseline_cfg=cfg)


@pytest.mark.slow
@pytest.mark.parametrize(
    "why", ["a reason of the usual length, which is about so long", "long " * 100, "長い理由 " * 100]
)
def test_ten_thousand_iterations_make_a_file_of_at_most_five_megabytes(why):
    text = page(many(10_000, why))
    assert len(text.encode()) <= 5_000_000
    assert text.count("<tr class=") == 50
    columns = data_of(text)["columns"]
    assert len(columns["iter"]) == 10_000
    assert columns["kind"].count(0) == sum(n % 97 < 10 for n in range(1, 10_001))
    assert ("Reasons are cut after" in text) == (len(why) > 100)
