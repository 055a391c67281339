"""What is written can be read, by this program and by any other; what was not written by it is refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import get_args

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from autoresearch.core.measurement import Cause, Failure, Measurement, Suspended
from autoresearch.core.race_record import Eliminated
from autoresearch.core.records import (
    SCHEMA_VERSION,
    Attempt,
    Baseline,
    Blocked,
    DecisionRule,
    EstimateRecord,
    EvalFailed,
    Evaluated,
    Event,
    LoopComplete,
    Meta,
    Paused,
    ProposalRecord,
    Proposed,
    ProposerFailed,
    Race,
    Record,
    Resumed,
    SideTrial,
    SideTrialStarted,
    SideTrialSuspended,
    Started,
    Stopped,
    StoppedEarly,
    TrialEnded,
    TrialStarted,
    TrialSuspended,
    Unsealed,
    decode,
    encode,
    file_schema,
)
from autoresearch.core.stopped_trial import EarlyStop, StopPlan, StopPoint
from autoresearch.core.values import sha256_of
from autoresearch.errors import JournalDamaged
from autoresearch.storage.journal import seal
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import early_stop, measurement
from rails import Rail, default_menu

TS = "2026-11-20T22:00:00.000Z"
CFG = default_menu().defaults
PROPOSAL = ProposalRecord(knob="lr", new_value=1e-3, reason="the loss was still falling")
REFUSED = Attempt(raw="maybe lr?", source="nim", verdict_ok=False, rail=Rail.R1_SCHEMA, reason="not one JSON object")
PASSED = Attempt(raw="{}", source="nim", verdict_ok=True, rail=Rail.PASSED, reason="", proposal=PROPOSAL)
FAILURE = Failure(cause=Cause.NON_FINITE_LOSS, detail="the loss became nan", step=7, exit_code=0, stderr_tail="warn")
CLOSED = {"ts": TS, "iter": 1, "propose_wall_s": 1.5, "overhead_s": 0.1, "iter_wall_s": 20.0}
CANDIDATE = {
    "verdict_ok": True,
    "rail": Rail.PASSED,
    "attempts": (REFUSED, PASSED),
    "source": "nim",
    "proposal": PROPOSAL,
    "diff": "--- a/cfg.py\n+++ b/cfg.py\n",
    "candidate_cfg": {**CFG, "lr": 1e-3},
    "estimate": EstimateRecord(peak_bytes=10**9, time_ratio=1.0),
}

RECORDS: list[Event] = [
    Meta(
        ts=TS,
        schema_version=SCHEMA_VERSION,
        run_id="0123456789ab",
        autoresearch_version="0.1.0",
        profile="tiny",
        yardstick=YARDSTICK,
        yardstick_sha256=sha256_of(YARDSTICK),
        baseline_cfg=CFG,
        menu=dict(default_menu().source),
        policy_sha256="p",
        decision_rule=DecisionRule(accept_delta_frac=0.005, seed=0),
    ),
    Started(
        ts=TS,
        pid=1,
        host="desk",
        boot_id="b",
        autoresearch_version="0.1.0",
        proposer="tpe",
        iters_requested=10,
        torn_bytes=3,
        ends_at="2026-11-27T06:30:00+01:00",
        zone="CET",
    ),
    TrialStarted(ts=TS, trial=1, iter=0, seed=0, cfg=CFG, boot_id="b"),
    TrialStarted(
        ts=TS,
        trial=2,
        iter=1,
        seed=0,
        cfg=CFG,
        boot_id="b",
        stop=StopPlan(limits=(None, 5.1, 4.8), needed_frac=0.004, curves=30, audited=True),
    ),
    TrialSuspended(
        ts=TS,
        trial=1,
        iter=0,
        seed=0,
        suspended=Suspended(step=7, resumes_at=7, train_wall_s=1.5, val_wall_s=0.0, trial_wall_s=2.0, energy_j=3.0),
    ),
    TrialEnded(ts=TS, trial=1, iter=0, seed=0, outcome=measurement(3.4)),
    TrialEnded(ts=TS, trial=2, iter=1, seed=0, outcome=FAILURE),
    TrialEnded(ts=TS, trial=3, iter=2, seed=0, outcome=early_stop((6.0, 5.5), limit=5.1)),
    TrialEnded(
        ts=TS,
        trial=4,
        iter=3,
        seed=0,
        outcome=measurement(3.4),
        would_stop=StopPoint(fraction=0.5, loss=5.2, limit=5.1, predicted_gain_frac=-0.01),
    ),
    Baseline(ts=TS, baseline_cfg=CFG, baseline_val_bpb=3.4, trials=(1,), eval_metrics=measurement(3.4), wall_s=20.0),
    Proposed(
        ts=TS, iter=1, propose_wall_s=1.5, **{k: v for k, v in CANDIDATE.items() if k not in ("verdict_ok", "rail")}
    ),
    Evaluated(
        **CLOSED,
        **CANDIDATE,
        reason="reaches it",
        trials=(2,),
        eval_metrics=measurement(3.3),
        val_bpb=3.3,
        baseline_val_bpb=3.4,
        improvement_frac=0.029,
        decision="keep",
        is_new_best=True,
    ),
    Unsealed(
        ts=TS,
        iter=1,
        seeds=(0, 1),
        trials=(4, 5),
        baseline_trials=(1, 2),
        missing=(3,),
        val_gain_frac=0.02,
        test_gain_frac=0.01,
        test_low_frac=0.005,
        test_high_frac=0.015,
    ),
    StoppedEarly(
        **CLOSED,
        **CANDIDATE,
        reason="it could no longer become a keep",
        trials=(2,),
        eval_metrics=early_stop((6.0, 5.5, 5.0, 4.9), limit=4.8),
        baseline_trial=1,
    ),
    EvalFailed(**CLOSED, **CANDIDATE, reason="nan", trials=(2,), eval_metrics=FAILURE, cause=FAILURE.cause),
    Blocked(
        **CLOSED,
        verdict_ok=False,
        rail=Rail.R1_SCHEMA,
        reason="not one JSON object",
        attempts=(REFUSED, REFUSED),
        source="nim",
        proposal=None,
    ),
    ProposerFailed(
        **CLOSED,
        verdict_ok=False,
        rail=None,
        reason="ConnectionError",
        attempts=(),
        source="nim",
    ),
    SideTrialStarted(ts=TS, side_trial=1, purpose="climb", iter=None, seed=3000, cfg=CFG, boot_id="b"),
    SideTrialSuspended(
        ts=TS,
        side_trial=1,
        purpose="climb",
        iter=None,
        seed=3000,
        suspended=Suspended(step=9, resumes_at=9, train_wall_s=1.0, val_wall_s=0.0),
    ),
    SideTrial(ts=TS, side_trial=1, purpose="climb", iter=None, seed=3000, outcome=measurement(3.4)),
    Race(
        ts=TS,
        arms=(0, 1, 2),
        seeds=(5000, 5001),
        left=(1,),
        eliminated=(Eliminated(iter=0, after_seeds=2, by=1), Eliminated(iter=2, after_seeds=1, by=None)),
        alpha=0.05,
        winner=1,
        gain_frac=0.02,
        low_frac=0.01,
        high_frac=0.03,
    ),
    Paused(ts=TS, reason="pause.flag is there", completed_iters=1, requested_iters=10),
    Resumed(ts=TS, paused_s=61.5),
    Stopped(ts=TS, reason="SIGTERM", completed_iters=1, requested_iters=10),
    LoopComplete(
        ts=TS,
        iters_requested=10,
        accept_count=1,
        revert_count=2,
        blocked_count=3,
        failed_count=4,
        baseline_val_bpb=3.4,
        best_val_bpb=None,
        best_iter=None,
    ),
]
EVERY = pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
KNOB_VALUES = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT


def changed(record: Event, *path: str | int, to: object) -> str:
    """The record's JSON with one leaf replaced or added."""
    whole = json.loads(encode(record))
    *way, last = path
    table = whole
    for key in way:
        table = table[key]
    table[last] = to
    return json.dumps(whole)


def of(kind: type[Event]) -> Event:
    return next(r for r in RECORDS if isinstance(r, kind))


class TestRoundTrip:
    @EVERY
    def test_every_kind_of_record_comes_back_equal(self, record: Event) -> None:
        assert decode(encode(record)) == record
        assert type(decode(encode(record))) is type(record)

    def test_there_is_an_example_of_every_kind(self) -> None:
        assert {type(r) for r in RECORDS} == set(get_args(get_args(Record)[0]))

    @EVERY
    def test_a_person_reads_the_stage_and_the_time_first(self, record: Event) -> None:
        assert list(json.loads(encode(record)))[:2] == ["stage", "ts"]

    @given(st.dictionaries(TEXT, KNOB_VALUES))
    def test_whole_numbers_stay_whole_and_floats_stay_floats(self, cfg: dict[str, int | float | str]) -> None:
        """A configuration is compared and hashed: 2 that comes back as 2.0 would be another one."""
        found = decode(encode(TrialStarted(ts=TS, trial=1, iter=1, seed=0, cfg=cfg, boot_id="b"))).cfg
        assert found == cfg
        assert {k: type(v) for k, v in found.items()} == {k: type(v) for k, v in cfg.items()}
        assert sha256_of(found) == sha256_of(cfg)

    @given(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
    def test_a_measurement_comes_back_to_the_last_bit(self, val_bpb: float) -> None:
        found = decode(encode(TrialEnded(ts=TS, trial=1, iter=1, seed=0, outcome=measurement(val_bpb)))).outcome.val_bpb
        assert found.hex() == val_bpb.hex()

    @given(TEXT, TEXT)
    def test_nothing_a_model_wrote_can_move_a_cursor(self, raw: str, reason: str) -> None:
        """`tail -f trajectory.jsonl` shows what a language model answered."""
        proposal = ProposalRecord(knob="lr", new_value=reason, reason=reason)
        attempt = Attempt(raw=raw, source=raw, verdict_ok=False, rail=Rail.R2_MENU, reason=reason, proposal=proposal)
        record = Blocked(
            **CLOSED,
            verdict_ok=False,
            rail=Rail.R2_MENU,
            reason=reason,
            attempts=(attempt,),
            source=raw,
            proposal=proposal,
        )
        line = encode(record)
        assert all(" " <= c <= "~" for c in line)
        assert decode(line) == record

    @pytest.mark.parametrize(
        ("reason", "kept"),
        [("\ud800", "?"), ("a\udfffb", "a?b"), ("\U0001f600\ud83d", "\U0001f600?"), (r"\ud800",) * 2],
    )
    def test_half_a_character_does_not_make_the_log_unreadable(self, reason: str, kept: str) -> None:
        """JSON can say half a surrogate pair and no decoder takes it back."""
        record = Paused(ts=TS, reason=reason, completed_iters=1, requested_iters=2)
        assert decode(encode(record)).reason == kept

    def test_records_are_values(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            PROPOSAL.reason = "rewritten"  # type: ignore[misc]


class TestStrictness:
    """Each case: what is wrong, and the field that the refusal must name."""

    CASES = (
        (changed(of(Started), "mood", to="good"), "started.mood"),
        (changed(of(Evaluated), "eval_metrics", "luck", to=1), "evaluated.eval_metrics.luck"),
        (changed(of(Started), "pid", to="1"), "started.pid"),
        (changed(of(Started), "pid", to=True), "started.pid"),
        (changed(of(Started), "pid", to=1.5), "started.pid"),
        (changed(of(Baseline), "baseline_val_bpb", to=True), "baseline.baseline_val_bpb"),
        (changed(of(Baseline), "baseline_val_bpb", to=math.nan), "baseline.baseline_val_bpb"),
        (changed(of(Baseline), "baseline_val_bpb", to=math.inf), "baseline.baseline_val_bpb"),
        (changed(of(Baseline), "baseline_val_bpb", to=None), "either baseline_val_bpb or metric is needed"),
        (changed(of(Baseline), "eval_metrics", "val_bpb", to=0), "baseline.eval_metrics.val_bpb"),
        (changed(of(Baseline), "eval_metrics", "train_wall_s", to=-0.1), "baseline.eval_metrics.train_wall_s"),
        (changed(of(Baseline), "eval_metrics", "peak_bytes", to=0), "baseline.eval_metrics.peak_bytes"),
        (changed(of(Baseline), "baseline_cfg", "lr", to=True), "baseline.baseline_cfg.lr"),
        (changed(of(Baseline), "baseline_cfg", "lr", to=math.nan), "baseline.baseline_cfg.lr"),
        (changed(of(Baseline), "baseline_cfg", "lr", to=[1]), "baseline.baseline_cfg.lr"),
        (changed(of(Evaluated), "decision", to="perhaps"), "evaluated.decision"),
        (changed(of(Evaluated), "rail", to="R8_mood"), "evaluated.rail"),
        (changed(of(Evaluated), "trials", 0, to="2"), "evaluated.trials.0"),
        (changed(of(EvalFailed), "cause", to="bad_luck"), "eval_failed.cause"),
        (changed(of(EvalFailed), "val_bpb", to=0), "eval_failed.val_bpb"),
        (changed(of(Blocked), "attempts", 1, "rail", to=None), "blocked.attempts.1.rail"),
        (changed(of(Started), "stage", to="begun"), "stage"),
        ('{"ts": "now"}', "stage"),
        ("[]", "the record"),
        ("{", "the record"),
        ("[" * 100_000, "the record"),
        ("\ufeff{}", "the record"),
    )

    @pytest.mark.parametrize(("payload", "field"), CASES, ids=[f"{field}: {p[-24:]}" for p, field in CASES])
    def test_the_wrong_field_is_named(self, payload: str, field: str) -> None:
        with pytest.raises(JournalDamaged) as refusal:
            decode(payload)
        assert field in refusal.value.what

    @EVERY
    def test_no_field_may_be_missing_but_those_with_a_default(self, record: Event) -> None:
        whole = json.loads(encode(record))
        for name, field in type(record).model_fields.items():
            without = json.dumps({k: v for k, v in whole.items() if k != name})
            if field.is_required() or name == "stage":
                with pytest.raises(JournalDamaged, match=name):
                    decode(without)
            else:
                assert decode(without)

    @given(st.binary())
    def test_arbitrary_bytes_are_refused_and_nothing_else_is_raised(self, noise: bytes) -> None:
        with pytest.raises(JournalDamaged):
            decode(noise)

    def test_what_json_cannot_say_is_never_written(self) -> None:
        with pytest.raises(ValidationError):
            measurement(math.nan)
        with pytest.raises(ValidationError):
            TrialStarted(ts=TS, trial=1, iter=1, seed=0, cfg={"lr": math.inf}, boot_id="b")


class TestSchema:
    """The published schema is for readers in any language: it must hold for real lines and refuse what we refuse."""

    VALIDATOR = jsonschema.Draft202012Validator(file_schema())

    @EVERY
    def test_a_sealed_line_of_every_kind_is_valid(self, record: Event) -> None:
        self.VALIDATOR.validate(json.loads(seal(3, encode(record))))

    @EVERY
    def test_a_line_needs_its_number_its_checksum_and_its_stage(self, record: Event) -> None:
        line = json.loads(seal(3, encode(record)))
        for name in ("seq", "crc", "stage", "ts"):
            assert not self.VALIDATOR.is_valid({k: v for k, v in line.items() if k != name})

    @pytest.mark.parametrize(
        ("payload", "field"),
        [(p, f) for p, f in TestStrictness.CASES if f != "the record" and "NaN" not in p and "Infinity" not in p],
    )
    def test_it_refuses_what_the_program_refuses(self, payload: str, field: str) -> None:
        envelope = {"seq": 3, "crc": "00000000"}
        assert not self.VALIDATOR.is_valid(envelope | json.loads(payload)), field

    def test_it_is_itself_a_valid_schema(self) -> None:
        jsonschema.Draft202012Validator.check_schema(file_schema())

    def test_the_published_one_is_this_one(self) -> None:
        """After a change of the records: ``python -m autoresearch.core.records > docs/trajectory.schema.json``."""
        published = Path(__file__).parents[3] / "docs" / "trajectory.schema.json"
        assert json.loads(published.read_text()) == json.loads(json.dumps(file_schema()))


class TestHash:
    def test_the_order_of_fields_does_not_matter_and_every_value_does(self) -> None:
        assert sha256_of({"a": 1, "b": 2}) == sha256_of({"b": 2, "a": 1})
        assert sha256_of({"a": 1, "b": 2}) != sha256_of({"a": 1, "b": 3})
        assert sha256_of(YARDSTICK) != sha256_of(YARDSTICK.model_copy(update={"threads": 2}))


def test_outcomes_are_told_apart() -> None:
    ended = [r.outcome for r in RECORDS if isinstance(r, TrialEnded)]
    found = [decode(encode(r)).outcome for r in RECORDS if isinstance(r, TrialEnded)]
    assert [type(o) for o in found] == [type(o) for o in ended] == [Measurement, Failure, EarlyStop, Measurement]
