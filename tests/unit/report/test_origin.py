"""The origin's log format, read leniently; its known results; and junk, which is refused with its line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.report import load, render_report, render_status, summarise, summary_json
from autoresearch.report.origin import build_history, parse

META = {"_meta": "trajectory log", "baseline_val_bpb": 10.0, "baseline_cfg": {"lr": 0.0003}, "accept_delta_frac": 0.005}


def evaluated(**changes):
    proposal = {"knob": "lr", "new_value": 0.001, "reason": "faster"}
    record = {"iter": 1, "stage": "evaluated", "proposal": proposal, "val_bpb": 9.9, "decision": "keep"}
    return record | changes


def test_the_asset_gives_its_known_answer(origin_log):
    s = summarise(load(origin_log))
    assert (s.log_format, s.state, s.iters_requested) == ("origin", "complete", 10)
    assert (s.iterations, s.evaluated, s.keeps, s.reverts, s.failed) == (9, 5, 3, 2, 3)
    assert s.keep_iters == [2, 8, 10]
    assert s.blocked_by_rail == {"R3_range": 1}
    assert s.failed_by_cause == {"garbage": 1, "out_of_memory": 1}
    assert s.proposer_failed == 1
    assert s.knobs_total == 13
    assert s.knobs_touched == ["n_layer", "n_head", "d_model", "lr", "beta2"]
    assert s.knob_counts == {"n_layer": 1, "n_head": 1, "d_model": 3, "lr": 2, "beta2": 1}
    assert (s.repeat_count, s.unique_pairs, s.repeat_rate) == (2, 6, 0.25)
    assert s.top_pairs[0].model_dump() == {"knob": "d_model", "new_value": 768, "count": 3}
    assert (s.baseline_val_bpb, s.best_val_bpb, s.best_iter, s.best_improvement_frac) == (10.9554, 10.8534, 8, 0.0093)
    assert s.wall_s == pytest.approx(459.6)
    assert s.train_s == pytest.approx(323.4)
    assert s.propose_s == pytest.approx(8.6)
    assert s.overhead_median_s == pytest.approx(0.6)
    assert s.energy_kwh is None
    assert s.tokens is None
    assert s.peak_bytes == round(24.31 * 2**30)


def test_its_rows_carry_what_it_logged(origin_log):
    rows = load(origin_log).rows
    assert [row.iter for row in rows] == [1, 2, 3, 4, 5, 7, 8, 9, 10]  # 6 went into a pause
    assert rows[0].why == "Fewer heads may be enough."
    assert rows[2].reason == "lr = 5 is outside [1e-05, 0.01]"
    assert rows[3].reason == "HTTP 503: Service Unavailable"
    assert rows[4].reason == "CUDA out of memory."
    assert (rows[7].stage, rows[7].val_bpb) == ("eval_failed", None)  # NaN is not a measurement


def test_it_stops_being_paused_when_an_iteration_follows():
    paused = {"iter": 2, "stage": "paused", "reason": "pause flag", "completed_iters": 1, "requested_iters": 50}
    history = build_history([META, evaluated(), paused])
    assert (history.state, history.stop_reason, history.iters_requested) == ("paused", "pause flag", 50)
    assert build_history([META, evaluated(), paused, evaluated(iter=3)]).state == "open"


def test_a_missing_field_is_unknown_and_an_extra_one_is_passed_over():
    history = build_history([{"stage": "evaluated", "val_bpb": 9.5, "mood": "good"}, {"stage": "coffee"}])
    (row,) = history.rows
    assert (row.iter, row.knob, row.decision, row.wall_s, row.improvement_frac) == (1, None, "revert", None, None)
    assert history.baseline_val_bpb is None
    assert len(history.knobs) == 13


def test_the_baseline_and_the_gain_are_found_where_only_the_iterations_tell_them():
    (row,) = build_history([evaluated(baseline_val_bpb=10.0)]).rows
    assert row.improvement_frac == pytest.approx(0.01)


@pytest.mark.parametrize("odd", [True, "9.9", [9.9], None, 10**400, -(10**400)])
def test_a_value_of_another_type_is_not_a_measurement(odd):
    (row,) = build_history([META, evaluated(val_bpb=odd)]).rows
    assert (row.stage, row.cause) == ("eval_failed", "garbage")


def test_values_of_other_types_become_text():
    proposals = [{"knob": "lr", "new_value": v, "reason": 1} for v in (None, True, [1], {"a": 1}, 10**400, "\ud800")]
    records = [META, *(evaluated(iter=n, proposal=p) for n, p in enumerate(proposals, 1))]
    history = build_history(records)
    assert [row.new_value for row in history.rows][:4] == ["null", "true", "[1]", '{"a": 1}']
    assert all(isinstance(row.new_value, str) for row in history.rows)
    assert summary_json(summarise(history))


def test_a_gain_over_no_baseline_to_speak_of_is_unknown():
    (row,) = build_history([META | {"baseline_val_bpb": 0.0}, evaluated()]).rows
    assert row.improvement_frac is None


def test_blank_lines_and_a_torn_last_line_are_passed_over():
    whole = json.dumps(META).encode()
    assert parse(b"\n" + whole + b"\r\n\n", "log") == [META]
    assert parse(whole + b'\n{"iter": 1, "sta', "log") == [META]
    assert parse(whole + b'\n{"iter": 1, "sta\n\n', "log") == [META]


@pytest.mark.parametrize(
    "junk",
    [
        b"not json",
        b"[1, 2]",
        b"3",
        b'"text"',
        b"\xff\xfe",
        b"\0" * 20,
        b"[" * 100_000,
        b'{"iter": ' + b"9" * 5000 + b"}",
    ],
    ids=["text", "list", "number", "string", "no utf-8", "zeros", "deep", "long number"],
)
def test_junk_before_the_tail_is_refused_with_its_line(junk):
    whole = json.dumps(META).encode()
    with pytest.raises(JournalDamaged, match="log: line 3 is not a JSON object"):
        parse(b"\n".join([whole, b"", junk, whole]), "log")


def test_json_lines_of_something_else_are_refused():
    with pytest.raises(JournalError, match="line 2 is JSON but has neither `_meta` nor `stage`"):
        parse(b'\n{"text": "a corpus"}\n{"text": "no log"}\n', "log")


FIELDS = st.sampled_from(
    """iter ts rail reason proposal knob new_value eval_metrics val_bpb decision baseline_val_bpb improvement_frac
    iter_wall_s nim_latency_s train_wall_s _meta nim_error requested_iters iters_requested baseline_cfg
    accept_delta_frac peak_gpu_mem_gib is_new_best""".split()  # noqa: SIM905 - a list literal would be 23 lines
)
STAGES = st.sampled_from(["evaluated", "blocked", "eval_failed", "nim_error", "paused", "loop_complete", "new"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9) | STAGES
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(FIELDS, SCALARS, max_size=3)
RECORDS = st.builds(lambda stage, rest: rest | {"stage": stage}, STAGES, st.dictionaries(FIELDS, VALUES, max_size=6))


@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_whatever_the_fields_hold_it_is_summed_up_and_shown(records):
    data = "\n".join(json.dumps(r) for r in records).encode()
    history = build_history(parse(data + b"\n", "log"))
    summary = summarise(history)
    json.loads(summary_json(summary))
    assert render_status(summary, history)
    assert render_report(summary, history, width=120)


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_an_error_of_ours(data):
    try:
        records = parse(data, "log")
    except JournalError:
        return
    assert records
