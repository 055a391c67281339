"""The statistics of LLM calls: from the real loop, from records, and their invariants."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.llm_calls import ANSWERED, LLM_SOURCE, Classification, LlmCall
from autoresearch.core.ports import Exhausted, Reply
from autoresearch.core.records import Attempt, encode
from autoresearch.core.trajectory import Trajectory
from autoresearch.report import load, load_records, render_report, render_status, summarise, summary_json
from autoresearch.report.format import width_of
from autoresearch.report.native import build_history
from autoresearch.testing.fake_loop import fake_loop
from rails import Rail


@dataclass
class ScriptedHybrid:
    """A hybrid proposer that gives these replies in order."""

    replies: list[Reply]
    name: str = "hybrid"

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        if not self.replies:
            raise Exhausted("the script is over")
        return self.replies.pop(0)


def raw_proposal(knob, value):
    return json.dumps({"knob": knob, "new_value": value, "reason": "a hunch"})


def numbers(run):
    return summarise(build_history(run.records)).llm


def shown(run, render=render_status, **options):
    history = build_history(run.records)
    return render(summarise(history), history, **options)


def flat(text):
    return " ".join(text.split())


@pytest.fixture
def events(make_settings, make_call):
    """The loop's own records: a reply of two proposals, a refusal that falls back, and iterations of TPE's."""
    refused, late = make_call(Classification.RAIL_BLOCKED, 4.0), make_call(Classification.TIMEOUT, 30.0, round=2)
    replies = [
        Reply(raw_proposal("lr", 1e-3), "tpe"),
        Reply(
            "a word",
            LLM_SOURCE,
            (raw_proposal("lr", 2e-3), raw_proposal("lr", 3e-3), raw_proposal("lr", 1e-3)),
            (make_call(),),
        ),
        Reply(raw_proposal("lr", 7.0), LLM_SOURCE, calls=(refused,)),
        Reply(raw_proposal("weight_decay", 0.05), "tpe", calls=(late,)),
    ]
    loop = fake_loop(make_settings({"baseline.lr": 3e-4}, iters=3), ScriptedHybrid(replies))
    assert loop.run() == "complete"
    return loop.observer.events


def test_the_loops_own_records_add_up(events):
    history = build_history(events)
    assert [row.source for row in history.rows] == ["tpe", "nim", "tpe"]
    assert [len(row.llm_calls) for row in history.rows] == [0, 1, 2]
    assert [dict(row.llm_judged) for row in history.rows] == [
        {},
        {"R1_schema": 1, "passed": 2, "R6_novelty": 1},
        {"R3_range": 1},
    ]
    n = summarise(history).llm
    assert n is not None
    assert (n.iterations, n.calls, n.fell_back, n.rounds_mean) == (2, 3, 1, 1.0)
    assert (n.proposals, n.valid_share, n.novel_share) == (5, pytest.approx(3 / 5), pytest.approx(2 / 3))
    assert n.calls_by_classification == {"ok": 1, "rail_blocked": 1, "timeout": 1}


def test_they_are_the_same_after_the_disk(events, new_run, tmp_path):
    run = new_run()
    run.records = list(events)
    saved = run.save(tmp_path / "run")
    assert [encode(r) for r in load_records(saved)] == [encode(r) for r in events]
    assert summarise(load(saved)).llm == summarise(build_history(events)).llm


def test_a_hybrid_night(hybrid_night):
    n = numbers(hybrid_night)
    assert (n.iterations, n.calls, n.fell_back) == (3, 4, 1)
    assert n.calls_by_classification == {"ok": 1, "rail_blocked": 1, "duplicate": 1, "timeout": 1}
    assert list(n.calls_by_classification) == ["ok", "rail_blocked", "duplicate", "timeout"]  # as the enum has them
    assert n.models == ["llama-3", "qwen-3"]
    assert (n.prompt_tokens, n.completion_tokens) == (3000, 150)
    assert (n.latency_s, n.latency_mean_s, n.latency_median_s, n.latency_max_s) == (38.0, 9.5, 3.5, 30.0)
    assert n.rounds_mean == pytest.approx(3 / 3)
    assert (n.proposals, n.valid_share, n.novel_share) == (4, 0.75, pytest.approx(1 / 3))
    assert n.wall_share == pytest.approx(38 / summarise(build_history(hybrid_night.records)).wall_s)


def test_rewritten_proposals_are_counted_and_named(hybrid_night):
    history = build_history(hybrid_night.records)
    assert "rewritten" not in shown(hybrid_night)
    rows = tuple(replace(r, normalised=2) if r.llm_calls else r for r in history.rows)
    s = summarise(replace(history, rows=rows))
    assert s.llm is not None
    assert s.llm.normalised == 6
    assert "6 rewritten in form before the rails judged" in " ".join(render_status(s, history).split())


def test_without_a_call_there_is_no_llm(night, origin_log):
    assert numbers(night) is None
    assert json.loads(summary_json(summarise(load(origin_log))))["llm"] is None
    text = shown(night, render_report)
    assert "LLM" not in text


def test_a_refusal_for_the_machines_sake_is_valid_and_new(new_run, make_call):
    n = numbers(new_run().begin().by("nim", make_call()).blocked(Rail.R7_BUDGET, knob="n_layer", value=12))
    assert (n.proposals, n.valid_share, n.novel_share, n.fell_back) == (1, 1.0, 1.0, 0)


def test_a_share_of_nothing_and_what_the_server_did_not_say_are_unknown(new_run, make_call):
    silent = make_call(Classification.UNREACHABLE, prompt_tokens=None, completion_tokens=None, model=None)
    run = new_run().begin().by("tpe", silent).evaluated("lr", 0.001, 3.3)
    n = numbers(run)
    assert (n.proposals, n.valid_share, n.novel_share, n.rounds_mean) == (0, None, None, 0.0)
    assert (n.prompt_tokens, n.completion_tokens, n.models, n.fell_back) == (None, None, [], 1)
    text = flat(shown(run))
    assert "LLM 1 call: unreachable 1; median 2.00 s, 4% of the time 0 proposals, fallback in 1 of 1 iteration" in text
    refused = numbers(new_run().begin().by("nim", make_call()).blocked(Rail.R1_SCHEMA))
    assert (refused.valid_share, refused.novel_share) == (0.0, None)


def test_where_the_walls_time_is_unknown_so_is_the_share(hybrid_night):
    history = build_history(hybrid_night.records)
    timeless = replace(history, baseline=None, rows=tuple(replace(row, wall_s=None) for row in history.rows))
    n = summarise(timeless).llm
    assert n is not None
    assert n.wall_share is None
    assert "of the time" not in render_status(summarise(timeless), timeless)


def test_a_call_of_an_iteration_whose_proposer_raised_counts(new_run, make_call):
    n = numbers(new_run().begin().by("nim", make_call(Classification.MODEL_GONE)).proposer_failed())
    assert (n.calls, n.iterations, n.fell_back) == (1, 1, 0)


CALLS = st.lists(
    st.builds(
        LlmCall,
        exchange=st.integers(1, 99),
        round=st.integers(1, 5),
        classification=st.sampled_from(Classification),
        model=st.none() | st.sampled_from(["a", "b"]),
        prompt_tokens=st.none() | st.integers(0, 10**6),
        completion_tokens=st.none() | st.integers(0, 10**6),
        latency_s=st.floats(0, 1e4),
    ),
    max_size=4,
)
RAILS = st.lists(st.sampled_from([rail for rail in Rail if rail is not Rail.PASSED]), min_size=1, max_size=4)
STEPS = st.lists(st.tuples(st.sampled_from(["nim", "tpe"]), CALLS, st.booleans(), RAILS), max_size=6)


@given(STEPS)
def test_shares_are_shares_and_counts_add_up(new_run, steps):
    run = new_run().begin()
    for source, calls, passed, rails in steps:
        run.by(source, *calls)
        _ = run.evaluated("lr", 0.001, 3.3, refused=tuple(rails)) if passed else run.blocked(*rails)
    calls = [call for _, some, *_ in steps for call in some]
    history = build_history(run.records)
    n = summarise(history).llm
    assert (n is None) == (not calls)
    if n is None:
        return
    assert n.calls == len(calls) == sum(n.calls_by_classification.values()) >= n.iterations >= n.fell_back
    assert 0 not in n.calls_by_classification.values()
    assert all(0 <= share <= 1 for share in (n.valid_share, n.novel_share, n.wall_share) if share is not None)
    assert n.wall_share is not None
    assert (n.valid_share is None) == (n.proposals == 0)
    assert n.proposals == sum(len(rails) + passed for source, _, passed, rails in steps if source == "nim")
    assert n.latency_median_s <= n.latency_max_s <= n.latency_s * (1 + 1e-9)
    assert n.latency_mean_s * n.calls == pytest.approx(n.latency_s)
    assert n.rounds_mean * n.iterations == pytest.approx(sum(c.classification in ANSWERED for c in calls))
    json.loads(summary_json(summarise(history)))


def test_a_status_has_the_cost_of_the_llm_and_the_quality_of_its_proposals(hybrid_night):
    text = flat(shown(hybrid_night))
    assert "LLM 4 calls of llama-3, qwen-3: ok 1, rail_blocked 1, duplicate 1, timeout 1; median 3.50 s," in text
    assert "24% of the time, tokens 3,000 in and 150 out" in text
    assert "4 proposals, 75% valid, 33% of those new, fallback in 1 of 3 iterations" in text


def test_a_report_has_a_table_of_how_the_calls_ended(hybrid_night):
    text = shown(hybrid_night, render_report)
    heading, *lines = text.split("LLM calls by result:\n")[1].split("\n\n")[0].splitlines()
    assert heading.split() == ["ending", "calls", "share"]
    assert [line.split() for line in lines] == [
        [kind, "1", "25%"] for kind in ("ok", "rail_blocked", "duplicate", "timeout")
    ]


@pytest.mark.parametrize("model", ["\x1b[2J\u202e大" * 50, "a\nb", ""])
def test_whatever_a_model_is_called_it_cannot_act(new_run, make_call, model):
    run = new_run().begin().by("nim", *(make_call(model=f"{n}{model}") for n in range(9)))
    text = shown(run.evaluated("lr", 0.001, 3.3), render_report)
    assert all(char == "\n" or char.isprintable() for char in text)
    assert "and 6 more" in flat(text)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_the_words_about_the_llm_stay_within_the_width(new_run, make_call, width):
    calls = [make_call(kind, model=f"{kind}/" + 100 * "m") for kind in Classification]
    text = shown(new_run().begin().by("nim", *calls).evaluated("lr", 0.001, 3.3), render_report, width=width)
    assert max(map(width_of, text.split("\n\nEvery iteration")[0].splitlines())) <= width


def test_colour_is_around_the_same_text(hybrid_night):
    plain, colored = (shown(hybrid_night, render_report, color=color) for color in (False, True))
    assert re.sub(r"\x1b\[\d+m", "", colored) == plain


def test_a_copy_within_an_iteration_is_new_only_once(make_settings):
    raw = raw_proposal("lr", 2e-3)
    loop = fake_loop(
        make_settings({"baseline.lr": 3e-4}, iters=1), ScriptedHybrid([Reply(raw, LLM_SOURCE, (raw, raw))])
    )
    loop.run()
    assert dict(build_history(loop.observer.events).rows[0].llm_judged) == {"passed": 1, "R6_novelty": 2}
