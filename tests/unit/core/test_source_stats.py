"""Statistics per source of proposals, and the records that hold them."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Reply
from autoresearch.core.records import (
    Blocked,
    EvalFailed,
    Evaluated,
    IterationRecord,
    LoopComplete,
    ProposerFailed,
    SourceCredit,
    Stopped,
    decode,
    encode,
)
from autoresearch.core.results import result_of
from autoresearch.core.source_stats import source_credits
from autoresearch.testing.fake_control import FakeControl
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial, measurement
from autoresearch.testing.scripted_proposer import ScriptedProposer

TRIED = {"ts": "now", "verdict_ok": True, "rail": "passed", "reason": "", "attempts": [], "propose_wall_s": 0.0}
TRIED |= {"overhead_s": 0.0, "iter_wall_s": 0.0, "diff": "", "candidate_cfg": {}, "estimate": None, "trials": []}
TRIED |= {"proposal": {"knob": "lr", "new_value": 1e-3, "reason": ""}}
REFUSED = {k: TRIED[k] for k in ("ts", "reason", "attempts", "propose_wall_s", "overhead_s", "iter_wall_s")}


def credits_of(records: Iterable[IterationRecord]) -> tuple[SourceCredit, ...]:
    return source_credits(map(result_of, records))


def evaluated(n: int, source: str, gain: float, *, keep: bool = False) -> Evaluated:
    metrics = {"eval_metrics": measurement(2.0).model_dump(), "val_bpb": 2.0, "baseline_val_bpb": 2.0}
    decided = {"improvement_frac": gain, "decision": "keep" if keep else "revert", "is_new_best": False}
    return decode(json.dumps({"stage": "evaluated", "iter": n, "source": source, **TRIED, **metrics, **decided}))


def failed(n: int, source: str) -> EvalFailed:
    metrics = {"cause": "out_of_memory", "detail": "", "trial_wall_s": 1.0}
    how = {"eval_metrics": metrics, "cause": "out_of_memory", "val_bpb": None}
    return decode(json.dumps({"stage": "eval_failed", "iter": n, "source": source, **TRIED, **how}))


def blocked(n: int, source: str) -> Blocked:
    refused = {"verdict_ok": False, "rail": "R1_schema", "proposal": None}
    return decode(json.dumps({"stage": "blocked", "iter": n, "source": source, **REFUSED, **refused}))


def proposer_failed(n: int, source: str) -> ProposerFailed:
    refused = {"verdict_ok": False, "rail": None}
    return decode(json.dumps({"stage": "proposer_failed", "iter": n, "source": source, **REFUSED, **refused}))


class TestCreditOf:
    def test_without_a_tried_candidate_there_is_no_entry(self) -> None:
        assert credits_of([]) == ()
        assert credits_of([blocked(1, "nim"), proposer_failed(2, "nim")]) == ()

    def test_each_source_gets_what_its_own_candidates_came_to(self) -> None:
        night = [
            evaluated(1, "tpe", 0.001),
            blocked(2, "nim"),
            evaluated(3, "nim", 0.02, keep=True),
            failed(4, "tpe"),
            evaluated(5, "nim", -0.01),
            evaluated(6, "tpe", 0.007, keep=True),
        ]
        tpe, nim = credits_of(night)
        assert (tpe.source, tpe.iterations, tpe.measured, tpe.failed, tpe.keeps) == ("tpe", 3, 2, 1, 1)
        assert tpe.mean_improvement_frac == pytest.approx(0.004)
        assert (tpe.best_improvement_frac, tpe.best_iter) == (0.007, 6)
        assert (nim.source, nim.iterations, nim.measured, nim.failed, nim.keeps) == ("nim", 2, 2, 0, 1)
        assert (nim.best_improvement_frac, nim.best_iter) == (0.02, 3)

    def test_one_whose_candidates_all_failed_has_no_mean_and_no_best(self) -> None:
        (credit,) = credits_of([failed(1, "random"), failed(2, "random")])
        assert (credit.iterations, credit.measured, credit.failed, credit.keeps) == (2, 0, 2, 0)
        assert credit.mean_improvement_frac is credit.best_improvement_frac is credit.best_iter is None

    def test_of_two_that_are_equally_good_the_first_is_named(self) -> None:
        assert credits_of([evaluated(1, "tpe", 0.01), evaluated(2, "tpe", 0.01)])[0].best_iter == 1


SOURCES = st.sampled_from(["nim", "tpe", "random"])
GAINS = st.floats(-1, 1, allow_nan=False)


@st.composite
def nights(draw: st.DrawFn) -> list[Evaluated | EvalFailed | Blocked | ProposerFailed]:
    kinds = st.sampled_from([evaluated, failed, blocked, proposer_failed])
    night = []
    for n in range(1, draw(st.integers(0, 12)) + 1):
        kind, source = draw(kinds), draw(SOURCES)
        more = {"gain": draw(GAINS), "keep": draw(st.booleans())} if kind is evaluated else {}
        night.append(kind(n, source, **more))
    return night


class TestLaws:
    @given(nights())
    def test_the_shares_add_up_to_the_night(self, night) -> None:
        credit = credits_of(night)
        tried = [r for r in night if isinstance(r, Evaluated | EvalFailed)]
        assert sum(c.iterations for c in credit) == len(tried)
        assert sum(c.keeps for c in credit) == sum(getattr(r, "decision", "") == "keep" for r in night)
        assert [c.source for c in credit] == list(dict.fromkeys(r.source for r in tried)), "in order of appearance"
        for c in credit:
            assert c.iterations == c.measured + c.failed >= 1
            assert c.keeps <= c.measured
            if c.measured:
                assert c.mean_improvement_frac <= c.best_improvement_frac + 1e-12
                best = night[c.best_iter - 1]
                assert (best.source, best.improvement_frac) == (c.source, c.best_improvement_frac)

    @given(nights())
    def test_the_entry_of_a_source_does_not_depend_on_the_others(self, night) -> None:
        for credit in credits_of(night):
            assert credits_of(r for r in night if r.source == credit.source) == (credit,)


class TestWhereARunSaysSo:
    def replies(self) -> list[Reply]:
        def change(knob: str, value: object) -> str:
            return json.dumps({"knob": knob, "new_value": value, "reason": "a hunch"})

        return [
            Reply(change("lr", 3e-3), "nim"),
            Reply(change("weight_decay", 0.1), "tpe"),
            Reply(change("n_layer", 6), "nim"),
        ]

    def loop(self, make_settings):
        def fail(cfg):
            return Failure(cause=Cause.OUT_OF_MEMORY, detail="") if cfg["n_layer"] == 6 else None

        settings = make_settings({"baseline.lr": 3e-4}, iters=3)
        return fake_loop(settings, ScriptedProposer(list(self.replies())), FakeTrial(fail=fail))

    def test_at_its_end(self, make_settings) -> None:
        loop = self.loop(make_settings)
        assert loop.run() == "complete"
        end = decode(loop.journal.payloads[-1])
        assert isinstance(end, LoopComplete)
        assert [(c.source, c.iterations, c.measured, c.failed, c.keeps, c.best_iter) for c in end.credit] == [
            ("nim", 2, 1, 1, 1, 1),
            ("tpe", 1, 1, 0, 0, 2),
        ]
        assert decode(encode(end)) == end

    def test_and_where_it_stops(self, make_settings) -> None:
        loop = self.loop(make_settings)
        loop.control = control = FakeControl()
        measure = loop.trial.measure

        def measure_then_stop(*given):
            control.stop = "SIGTERM" if len(loop.trajectory.iterations) == 1 else ""
            return measure(*given)

        loop.trial = type("Stopping", (), {"measure": staticmethod(measure_then_stop)})()
        assert loop.run() == "SIGTERM"
        end = decode(loop.journal.payloads[-1])
        assert isinstance(end, Stopped)
        assert [(c.source, c.iterations, c.keeps) for c in end.credit] == [("nim", 1, 1), ("tpe", 1, 0)]

    def test_stopped_before_anything_was_tried_it_is_empty(self, make_settings) -> None:
        loop = self.loop(make_settings)
        loop.control = FakeControl(stop="SIGTERM")
        loop.run()
        assert decode(loop.journal.payloads[-1]).credit == ()
