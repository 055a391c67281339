"""Builds runs from real records, as the loop would have written them."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.llm_calls import Classification, LlmCall
from autoresearch.core.measurement import Cause, Failure, Measurement
from autoresearch.core.records import (
    SCHEMA_VERSION,
    Attempt,
    Baseline,
    Blocked,
    DecisionRule,
    EvalFailed,
    Evaluated,
    Event,
    LoopComplete,
    Meta,
    Paused,
    ProposalRecord,
    ProposerFailed,
    Resumed,
    Started,
    Stopped,
    TrialEnded,
    TrialStarted,
    Unsealed,
    Yardstick,
    decode,
    encode,
)
from autoresearch.core.values import Cfg, KnobValue
from autoresearch.storage.journal import Journal
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.scripted_proposer import ScriptedProposer
from rails import Rail, default_menu

TS = "2026-11-20T22:00:00Z"
BASELINE_BPB = 3.4
PROPOSE_S, TRAIN_S, EVAL_S, OVERHEAD_S = 0.5, 20.0, 2.0, 0.25
FAILED_TRIAL_S = 7.0
ENERGY_J = 3600.0


class Run:
    """A run under construction: each method appends the records that the loop writes for one event."""

    def __init__(self) -> None:
        self.records: list[Event] = []
        self.iter = 0
        self.trial = 0
        self.source = "tpe"
        self.calls: tuple[LlmCall, ...] = ()

    def by(self, source: str, *calls: LlmCall) -> Run:
        """Set the source of the following proposals, and the calls of each iteration."""
        self.source, self.calls = source, calls
        return self

    def save(self, directory: Path) -> Path:
        """Write the records as real sealed lines; answers the run directory."""
        directory.mkdir(parents=True, exist_ok=True)
        journal = Journal(directory / "trajectory.jsonl")
        for record in self.records:
            journal.append(encode(record))
        journal.close()
        return directory

    def meta(self, accept_delta_frac: float = 0.005) -> Run:
        menu = default_menu()
        self.records.append(
            Meta(
                ts=TS,
                schema_version=SCHEMA_VERSION,
                run_id="night-1",
                autoresearch_version="0.1.0",
                profile="tiny",
                yardstick=_yardstick(),
                yardstick_sha256="y",
                baseline_cfg=menu.defaults,
                menu=dict(menu.source),
                policy_sha256="p",
                decision_rule=DecisionRule(accept_delta_frac=accept_delta_frac, seed=0),
            )
        )
        return self

    def start(self, iters: int = 10) -> Run:
        started = {"pid": 1, "host": "desk", "boot_id": "b", "autoresearch_version": "0.1.0", "proposer": "tpe"}
        self.records.append(Started(ts=TS, iters_requested=iters, **started))
        return self

    def begin_trial(self, iteration: int) -> Run:
        self.trial += 1
        cfg = default_menu().defaults
        self.records.append(TrialStarted(ts=TS, trial=self.trial, iter=iteration, seed=0, cfg=cfg, boot_id="b"))
        return self

    def _trial(self, iteration: int, outcome: Measurement | Failure) -> None:
        self.begin_trial(iteration)
        self.records.append(TrialEnded(ts=TS, trial=self.trial, iter=iteration, seed=0, outcome=outcome))

    def baseline(self, val_bpb: float = BASELINE_BPB, energy_j: float | None = None) -> Run:
        measured = measurement(val_bpb, energy_j)
        self._trial(0, measured)
        wall_s = TRAIN_S + EVAL_S + OVERHEAD_S
        cfg = default_menu().defaults
        self.records.append(
            Baseline(
                ts=TS,
                baseline_cfg=cfg,
                baseline_val_bpb=val_bpb,
                trials=(self.trial,),
                eval_metrics=measured,
                wall_s=wall_s,
            )
        )
        return self

    def begin(self, iters: int = 10) -> Run:
        """Meta, start and baseline."""
        return self.meta().start(iters).baseline()

    def evaluated(
        self,
        knob: str,
        value: KnobValue,
        *val_bpbs: float,
        why: str = "a hunch",
        refused: tuple[Rail, ...] = (),
        energy_j: float | None = None,
    ) -> Run:
        """An iteration that measured ``val_bpbs``, one trial each; kept if their mean gains half a percent."""
        self.iter += 1
        first = self.trial + 1
        for bpb in val_bpbs:
            self._trial(self.iter, measurement(bpb, energy_j))
        mean = sum(val_bpbs) / len(val_bpbs)
        gain = (BASELINE_BPB - mean) / BASELINE_BPB
        trials = tuple(range(first, self.trial + 1))
        self.records.append(
            Evaluated(
                **self._candidate(knob, value, why, refused, trials, len(val_bpbs) * (TRAIN_S + EVAL_S)),
                reason="judged",
                eval_metrics=measurement(val_bpbs[0], energy_j),
                val_bpb=mean,
                baseline_val_bpb=BASELINE_BPB,
                improvement_frac=gain,
                decision="keep" if gain >= 0.005 else "revert",
                is_new_best=False,
            )
        )
        return self

    def unsealed(self, val_gain: float, test_gain: float | None, *interval: float, lost: int = 0) -> Run:
        """The vault of the iteration's keep, over four seeds."""
        low, high = interval or (None, None)
        seeds = () if test_gain is None else (0, 1, 2, 3)
        self.records.append(
            Unsealed(
                ts=TS,
                iter=self.iter,
                seeds=seeds,
                trials=tuple(self.trial - s for s in seeds),
                baseline_trials=tuple(1 + s for s in seeds),
                missing=tuple(range(1, lost + 1)),
                val_gain_frac=None if test_gain is None else val_gain,
                test_gain_frac=test_gain,
                test_low_frac=low,
                test_high_frac=high,
            )
        )
        return self

    def failed(
        self, knob: str, value: KnobValue, cause: Cause = Cause.OUT_OF_MEMORY, refused: tuple[Rail, ...] = ()
    ) -> Run:
        self.iter += 1
        failure = Failure(cause=cause, detail="it went wrong", trial_wall_s=FAILED_TRIAL_S, peak_bytes=9 * 2**30)
        self._trial(self.iter, failure)
        candidate = self._candidate(knob, value, "a hunch", refused, (self.trial,), FAILED_TRIAL_S)
        self.records.append(EvalFailed(**candidate, reason=failure.detail, eval_metrics=failure, cause=cause))
        return self

    def blocked(self, *rails: Rail, knob: str | None = None, value: KnobValue = 1) -> Run:
        """An iteration whose attempts were refused by ``rails``, one after the other."""
        self.iter += 1
        proposal = None if knob is None else ProposalRecord(knob=knob, new_value=value, reason="a hunch")
        common = self._closed(tuple(attempt(r, self.source) for r in rails), 0.0)
        refusal = {"rail": rails[-1], "reason": "refused", "source": self.source, "proposal": proposal}
        self.records.append(Blocked(**common, verdict_ok=False, **refusal))
        return self

    def proposer_failed(self) -> Run:
        self.iter += 1
        common = self._closed((), 0.0)
        rail = Rail.R1_SCHEMA
        self.records.append(ProposerFailed(**common, verdict_ok=False, rail=rail, reason="no server", source="nim"))
        return self

    def paused(self) -> Run:
        self.records.append(Paused(ts=TS, reason="pause.flag", completed_iters=self.iter, requested_iters=10))
        return self

    def resumed(self) -> Run:
        self.records.append(Resumed(ts=TS, paused_s=60.0))
        return self

    def stopped(self, reason: str = "SIGTERM") -> Run:
        self.records.append(Stopped(ts=TS, reason=reason, completed_iters=self.iter, requested_iters=10))
        return self

    def complete(self) -> Run:
        counts = dict.fromkeys(("accept_count", "revert_count", "blocked_count", "failed_count"), 0)
        best = {"baseline_val_bpb": BASELINE_BPB, "best_val_bpb": None, "best_iter": None}
        self.records.append(LoopComplete(ts=TS, iters_requested=10, **counts, **best))
        return self

    def _closed(self, attempts: tuple[Attempt, ...], trials_s: float) -> dict[str, object]:
        propose_s = PROPOSE_S + sum(c.latency_s for c in self.calls)
        return {
            "ts": TS,
            "iter": self.iter,
            "attempts": attempts,
            "llm_calls": self.calls,
            "propose_wall_s": propose_s,
            "overhead_s": OVERHEAD_S,
            "iter_wall_s": propose_s + OVERHEAD_S + trials_s,
        }

    def _candidate(
        self, knob: str, value: KnobValue, why: str, refused: tuple[Rail, ...], trials: tuple[int, ...], trials_s: float
    ) -> dict[str, object]:
        attempts = tuple(attempt(rail, self.source) for rail in (*refused, Rail.PASSED))
        return self._closed(attempts, trials_s) | {
            "verdict_ok": True,
            "rail": Rail.PASSED,
            "source": self.source,
            "proposal": ProposalRecord(knob=knob, new_value=value, reason=why),
            "diff": "one line",
            "candidate_cfg": default_menu().defaults | {knob: value},
            "estimate": None,
            "trials": trials,
        }


def measurement(val_bpb: float, energy_j: float | None = None) -> Measurement:
    return Measurement(
        val_bpb=val_bpb,
        val_nats_per_token=val_bpb,
        val_tokens=1000,
        val_bytes=1000,
        train_loss_first=5.0,
        train_loss_last=2.0,
        train_steps=60,
        train_tokens=4096,
        train_flops=10**9,
        params=1000,
        mean_step_ms=100.0,
        tokens_per_s=200.0,
        train_wall_s=TRAIN_S,
        val_wall_s=EVAL_S,
        trial_wall_s=TRAIN_S + EVAL_S,
        peak_bytes=2**30,
        device="cpu",
        energy_j=energy_j,
    )


def call(ended: Classification = Classification.OK, latency_s: float = 2.0, **changes: object) -> LlmCall:
    """A call of an LLM server that ended as ``ended``."""
    fields = {"exchange": 1, "round": 1, "model": "llama-3", "prompt_tokens": 1000, "completion_tokens": 50}
    return LlmCall(**{"classification": ended, "latency_s": latency_s, **fields, **changes})


def attempt(rail: Rail, source: str = "tpe") -> Attempt:
    return Attempt(raw="{}", source=source, verdict_ok=rail is Rail.PASSED, rail=rail, reason="checked")


def _yardstick() -> Yardstick:
    return Yardstick(
        corpus_sha256="c",
        tokenizer_sha256="t",
        span_start_token=0,
        span_tokens=1000,
        span_bytes=1000,
        evaluator_version=1,
        trainer="torch",
        versions={"torch": "2.13.0"},
        threads=2,
        device_kind="cpu",
        budget_kind="steps",
        budget_size=200,
    )


@pytest.fixture(scope="session")
def new_run() -> Callable[[], Run]:
    """Starts the record of another run."""
    return Run


@pytest.fixture(scope="session")
def make_call() -> Callable[..., LlmCall]:
    """A call of an LLM server: by default one that ended well."""
    return call


@pytest.fixture
def hybrid_night(new_run: Callable[[], Run]) -> Run:
    """TPE, and an LLM in some iterations: it finds the best keep, is refused, and times out."""
    run = new_run().begin().evaluated("lr", 0.001, 3.36).evaluated("beta2", 0.99, 3.395)
    run.by("nim", call(Classification.RAIL_BLOCKED, 4.0), call(latency_s=3.0, exchange=2, round=2))
    run.evaluated("d_model", 768, 3.3, why="narrower", refused=(Rail.R3_RANGE, Rail.R6_NOVELTY))
    run.by("tpe").failed("n_layer", 48)
    run.by("tpe", call(Classification.TIMEOUT, 30.0, prompt_tokens=None, completion_tokens=None, model=None))
    run.evaluated("lr", 0.002, 3.41)
    run.by("nim", call(Classification.DUPLICATE, 1.0, model="qwen-3")).blocked(Rail.R6_NOVELTY, knob="lr", value=0.001)
    return run.by("tpe")


@pytest.fixture
def night(new_run: Callable[[], Run]) -> Run:
    """A night with one of everything: two keeps, a revert, a repeat, a block, two failures."""
    run = new_run().begin()
    run.evaluated("lr", 0.001, 3.36, why="a higher rate", refused=(Rail.R3_RANGE, Rail.R6_NOVELTY))
    run.evaluated("beta2", 0.99, 3.395)
    run.blocked(Rail.R2_MENU, Rail.R3_RANGE, knob="lr", value=0.5)
    run.failed("n_layer", 48)
    run.proposer_failed()
    run.evaluated("d_model", 768, 3.3)
    run.evaluated("lr", 0.001 * (1 + 1e-12), 3.41)
    return run


@pytest.fixture(scope="session")
def origin_log() -> Path:
    """A log in the origin's format: ten iterations, one of them used up by a pause, with a known answer."""
    return Path(__file__).parents[2] / "assets" / "origin_trajectory.jsonl"


SEQUENTIAL_SCRIPT = (
    ("weight_decay", 0.1), ("lr", 3e-3), ("beta1", 0.95), ("lr", 2e-3), ("lr", 8e-4), ("n_layer", 3), ("lr", 5e-4),
)  # fmt: skip


def noisy_bpb(cfg: Cfg, seed: int) -> float:
    """Best at lr = 3e-3; half of the noise is the seed's own, shared by candidate and baseline."""
    shared, own = (random.Random(f"{key}").gauss(0, 1) for key in (seed, f"{sorted(cfg.items())} {seed}"))
    return 2.0 + 0.04 * math.log10(float(cfg["lr"]) / 3e-3) ** 2 + 0.003 * (shared + own)


@pytest.fixture
def sequential_night(make_settings: Callable[..., Settings]) -> list[Event]:
    """A night by rule sequential: some are screened out, some confirmed on further seeds of both."""
    settings = make_settings({"decision.rule": "sequential", "baseline.lr": 3e-4}, iters=len(SEQUENTIAL_SCRIPT))
    script = [json.dumps({"knob": k, "new_value": v, "reason": "a hunch"}) for k, v in SEQUENTIAL_SCRIPT]
    loop = fake_loop(settings, ScriptedProposer(script), trial=FakeTrial(bpb=noisy_bpb))
    started = {"pid": 1, "host": "desk", "boot_id": "boot", "autoresearch_version": "0.1.0", "proposer": "tpe"}
    loop.record(Started(ts=TS, iters_requested=settings.iters, **started))
    loop.run()
    assert isinstance(loop.journal, MemoryJournal)
    return [decode(payload) for payload in loop.journal.payloads]
