"""A generated run of any length: real records with invented results, the same each time."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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
    ProposalRecord,
    Started,
    TrialEnded,
    TrialStarted,
    Yardstick,
    encode,
)
from autoresearch.storage.journal import seal
from rails import FloatKnob, IntKnob, Knob, Rail, default_menu

BASELINE_BPB = 1.2
BEST_AT = {"lr": 0.7, "d_model": 0.8, "batch_size": 0.9, "beta2": 0.6}  # of the knob's range; elsewhere little changes
REASONS = (
    "the loss was still falling at the end, so a larger step should help",
    "narrower layers leave more steps within the same time",
    "what did harm in one direction may help in the other",
    "nothing is known of this knob yet",
    "the last three keeps all moved this way; a further step tests whether the trend holds or has turned around",
)
BEGAN = datetime(2026, 11, 21, 21, tzinfo=UTC)
SECONDS_EACH = 72


def write_long_night(path: Path, iterations: int, energy_j: float | None = 900.0) -> None:
    """Write the trajectory.jsonl of a night of ``iterations`` with keeps, reverts, failures and blocks."""
    lines = (seal(n, encode(record)) for n, record in enumerate(records(iterations, energy_j)))
    path.write_bytes(b"".join(lines))


def records(iterations: int, energy_j: float | None) -> Iterator[Event]:
    """The events of the night, in the loop's order."""
    menu, chance = default_menu(), random.Random(7)
    cfg = menu.defaults
    yield _meta(cfg)
    started = {"pid": 1, "host": "desk", "boot_id": "b", "autoresearch_version": "0.1.0", "proposer": "hybrid"}
    yield Started(ts=_ts(0), iters_requested=iterations, **started)
    first = _measured(BASELINE_BPB, energy_j)
    yield from _trial(1, 0, cfg, first)
    yield Baseline(
        ts=_ts(0), baseline_cfg=cfg, baseline_val_bpb=BASELINE_BPB, trials=(1,), eval_metrics=first, wall_s=72.0
    )
    for i in range(1, iterations + 1):
        yield from _iteration(i, menu.knobs[chance.choice(list(menu.knobs))], cfg, chance, energy_j)
    counts = dict.fromkeys(("accept_count", "revert_count", "blocked_count", "failed_count"), 0)
    best: dict[str, Any] = {"baseline_val_bpb": BASELINE_BPB, "best_val_bpb": None, "best_iter": None}
    yield LoopComplete(ts=_ts(iterations), iters_requested=iterations, **counts, **best)


def _iteration(i: int, knob: Knob, cfg: dict[str, Any], chance: random.Random, energy_j: float | None) -> Iterator[Any]:
    place, value = _change(knob, cfg, chance)
    source = "nim" if i % 10 in (4, 7, 0) else "tpe"
    proposal = ProposalRecord(knob=knob.name, new_value=value, reason=f"{chance.choice(REASONS)} ({i} results)")
    rail = Rail.R4_CROSS if chance.random() < 0.03 else Rail.PASSED
    raw = proposal.model_dump_json()
    attempt = Attempt(
        raw=raw, source=source, verdict_ok=rail is Rail.PASSED, rail=rail, reason="as it says", proposal=proposal
    )
    common: dict[str, Any] = {"ts": _ts(i), "iter": i, "attempts": (attempt,), "propose_wall_s": 0.4, "source": source}
    if rail is not Rail.PASSED:
        common |= {"overhead_s": 0.02, "iter_wall_s": 0.42, "proposal": proposal}
        yield Blocked(**common, verdict_ok=False, rail=rail, reason="d_model % n_head == 0 does not hold")
        return
    common |= {"overhead_s": 0.08, "iter_wall_s": 72.5, "verdict_ok": True, "rail": rail, "estimate": None}
    candidate = cfg | {knob.name: value}
    common |= {"proposal": proposal, "diff": f"{knob.name} = {value}", "candidate_cfg": candidate, "trials": (i + 1,)}
    if chance.random() < 0.02:
        cause = chance.choice([Cause.OUT_OF_MEMORY, Cause.NON_FINITE_LOSS])
        failure = Failure(cause=cause, detail="it ended early", trial_wall_s=30.0, energy_j=energy_j)
        yield from _trial(i + 1, i, candidate, failure)
        yield EvalFailed(**common, reason=failure.detail, eval_metrics=failure, cause=cause)
        return
    bpb = _bpb(knob.name, place, i, chance)
    measured, gain = _measured(bpb, energy_j), (BASELINE_BPB - bpb) / BASELINE_BPB
    yield from _trial(i + 1, i, candidate, measured)
    verdict: dict[str, Any] = {"decision": "keep" if gain >= 0.005 else "revert", "is_new_best": False}
    verdict |= {"reason": f"improvement {100 * gain:+.2f}% against the 0.5% that a keep needs"}
    yield Evaluated(
        **common,
        **verdict,
        eval_metrics=measured,
        val_bpb=bpb,
        baseline_val_bpb=BASELINE_BPB,
        improvement_frac=gain,
    )


def _bpb(knob: str, place: float, i: int, chance: random.Random) -> float:
    """Worse away from the knob's best place, a little luck for all, and now and then something that went wrong."""
    if chance.random() < 0.01:
        return BASELINE_BPB * chance.uniform(1.3, 2.5)
    best = BEST_AT.get(knob)
    gain = 0.02 - 0.12 * (place - best) ** 2 if best is not None else -0.02 * place**2
    return BASELINE_BPB * (1 - gain * (1 + 0.3 * math.tanh(i / 4000)) + chance.gauss(0, 0.0025))


def _change(knob: Knob, cfg: dict[str, Any], chance: random.Random) -> tuple[float, Any]:
    """A place in the knob's range and the value there, which is not the baseline's: R6 would have refused that."""
    while (value := _value(knob, place := chance.random())) == cfg[knob.name]:
        pass
    return place, value


def _value(knob: Knob, place: float) -> Any:
    match knob:
        case IntKnob(low=low, high=high):
            return min(high, low + int(place * (high - low + 1)))
        case FloatKnob(low=low, high=high, log=True):
            return low * (high / low) ** place
        case FloatKnob(low=low, high=high):
            return low + place * (high - low)
    return knob.choices[min(len(knob.choices) - 1, int(place * len(knob.choices)))]


def _trial(trial: int, i: int, cfg: dict[str, Any], outcome: Measurement | Failure) -> Iterator[Event]:
    yield TrialStarted(ts=_ts(i), trial=trial, iter=i, seed=0, cfg=cfg, boot_id="b")
    yield TrialEnded(ts=_ts(i), trial=trial, iter=i, seed=0, outcome=outcome)


def _measured(val_bpb: float, energy_j: float | None) -> Measurement:
    sizes = {"val_tokens": 38729, "val_bytes": 131073, "train_steps": 60, "train_tokens": 983040, "params": 354601984}
    speed = {"mean_step_ms": 1180.0, "tokens_per_s": 13900.0, "train_wall_s": 70.8, "val_wall_s": 0.9}
    losses = {"val_nats_per_token": 2.8 * val_bpb, "train_loss_first": 10.99, "train_loss_last": 7.4}
    rest: dict[str, Any] = {"train_flops": 2 * 10**15, "trial_wall_s": 72.0, "peak_bytes": 26 * 2**30, "device": "gb10"}
    return Measurement(val_bpb=val_bpb, energy_j=energy_j, **sizes, **speed, **losses, **rest)


def _meta(cfg: dict[str, Any]) -> Meta:
    span: dict[str, Any] = {"span_start_token": 0, "span_tokens": 38729, "span_bytes": 131073}
    device: dict[str, Any] = {"trainer": "megatron", "versions": {"torch": "2.13.0"}, "threads": 20}
    yardstick = Yardstick(
        corpus_sha256="c", tokenizer_sha256="t", evaluator_version=1, device_kind="invented",
        budget_kind="steps", budget_size=60.0, **span, **device,
    )  # fmt: skip
    return Meta(
        ts=_ts(0), schema_version=SCHEMA_VERSION, run_id="long-night", autoresearch_version="0.1.0",
        profile="gb10-354m", yardstick=yardstick, yardstick_sha256="y", baseline_cfg=cfg,
        menu=dict(default_menu().source), policy_sha256="p",
        decision_rule=DecisionRule(accept_delta_frac=0.005, seed=0),
    )  # fmt: skip


def _ts(i: int) -> str:
    then = BEGAN + timedelta(seconds=SECONDS_EACH * i)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")
