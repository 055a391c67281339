"""Fakes that ship beside the real things: a trial that answers at once, by arithmetic, and the bench around it.

``fake_bench`` goes where ``bench.real_bench`` goes (``service.run(make_bench=fake_bench)``), so that everything else
of a test is the product itself. ``fake_loop`` is the real loop and the real gate around a proposer, all in memory.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from autoresearch.bench import Bench, Watcher, judge
from autoresearch.config import Settings
from autoresearch.exchange import Classification, Exchange, Message
from autoresearch.llm.answer import Answer
from autoresearch.loop import Loop
from autoresearch.parts import with_earlier_parts
from autoresearch.policy import Policy, policy_of
from autoresearch.ports import NO_HOLD, Exhausted, Hold, Interrupted, OnProgress, Progress, Proposer, Reply
from autoresearch.power import PHASES, TRIAL_PHASES, Phase, Power
from autoresearch.records import Attempt, Cfg, Event, Failure, Measurement, Outcome, Suspended, Yardstick, sha256_of
from autoresearch.service import meta_of, utc
from autoresearch.training.estimate import Estimator
from autoresearch.training.speed import MatmulPeak, Speed, Timing
from autoresearch.trajectory import Trajectory

STEP_S = 0.001


@dataclass(slots=True)
class FakeTrial:
    """A bowl around one best learning rate, with noise of the seed's (or ``bpb``); failures and delays as told.

    ``fail`` answers a ``Failure`` for configurations that should fail, else ``None``; a trial takes ``takes_s``.
    """

    fail: Callable[[Cfg], Failure | None] = lambda _cfg: None
    takes_s: float = 0.0
    aborted: Callable[[], bool] = lambda: False
    measured: list[tuple[Cfg, int]] = field(default_factory=list)
    bpb: Callable[[Cfg, int], float] | None = None

    def measure(self, cfg: Cfg, seed: int, on_progress: OnProgress, hold: Hold = NO_HOLD) -> Outcome | Suspended:
        """See ``ports.Trial``; the same configuration and seed always measure the same. A step takes ``STEP_S``."""
        self.measured.append((cfg, seed))
        step = (hold.before.resumes_at or 0) if hold.before else 0
        while step * STEP_S < self.takes_s:
            if self.aborted():
                raise Interrupted("stopped at once")
            if hold.wanted():
                s = step * STEP_S
                return Suspended(step=step, resumes_at=step, train_wall_s=s, val_wall_s=0.0, trial_wall_s=s)
            on_progress("train", 0.5, step, None)
            time.sleep(STEP_S)
            step += 1
        outcome = self.fail(cfg) or measurement((self.bpb or fake_bpb)(cfg, seed))
        return with_earlier_parts(outcome, hold.before)


@dataclass(slots=True)
class FakeTimer:
    """Steps whose time is proportional to their tokens and twice as long in bf16; failures as told, as ``FakeTrial``.

    ``timed`` remembers the configurations it was asked for.
    """

    fail: Callable[[Cfg], Failure | None] = lambda _cfg: None
    no_peak: Callable[[Cfg], Failure | None] = lambda _cfg: None
    timed: list[Cfg] = field(default_factory=list)

    def speed(self, cfg: Cfg, timing: Timing, on_progress: OnProgress) -> Speed | Failure:
        """See ``bench.Timer``."""
        self.timed.append(cfg)
        on_progress("real tokens", 1.0, timing.steps, None)
        slower = 2.0 if cfg["precision"] == "bf16" else 1.0
        return self.fail(cfg) or fake_speed(int(cfg["batch_size"]) * int(cfg["seq_len"]), slower, timing.steps)

    def matmul_peak(self, cfg: Cfg) -> MatmulPeak | Failure:
        """See ``bench.Timer``."""
        return self.no_peak(cfg) or MatmulPeak(flops_per_s=1e9)


def fake_speed(tokens_per_step: int, slower: float = 1.0, steps: int = 20) -> Speed:
    """A whole ``Speed``: 1,000 random tokens a millisecond where ``slower`` is 1, and a data path that costs 1%."""
    random_ms = slower * tokens_per_step / 1000
    real_ms = random_ms / 0.99
    return Speed(
        steps=steps,
        random_tokens_per_s=1000 * tokens_per_step / random_ms,
        real_tokens_per_s=1000 * tokens_per_step / real_ms,
        random_step_ms=random_ms,
        real_step_ms=real_ms,
        data_path_frac=0.01,
        data_path_spread=0.002,
        batch_ms=0.01,
        random_rounds_ms=(random_ms,),
        real_rounds_ms=(real_ms,),
        flops_per_token=100,
        peak_bytes=1 << 28,
        device="fake",
    )


def fake_exchange(number: int, *slices: str, n: int = 1, round: int = 1, **changes: object) -> Exchange:  # noqa: A002
    """The ``number``th exchange, in iteration ``n``, with these proposals in its answer; none where the call failed."""
    fields: dict[str, object] = {
        "ts": "2026-11-21T22:00:00.000Z",
        "exchange": number,
        "iter": n,
        "round": round,
        "model": "fake",
        "messages": (Message(role="user", content="Propose one change."),),
        "structured": True,
        "classification": Classification.OK if slices else Classification.EMPTY,
        "detail": "",
        "raw": "\n".join(slices),
        "thinking": "",
        "slices": slices,
        "finish_reason": "stop",
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "latency_s": 1.0,
        "tries": 1,
    }
    return Exchange.model_validate(fields | changes)


def fake_bpb(cfg: Cfg, seed: int) -> float:
    """About 2 bits per byte, best at lr = 3e-3, with 0.1% of noise that depends on configuration and seed only."""
    digest = hashlib.sha256(f"{sha256_of(cfg)}:{seed}".encode()).digest()
    noise = int.from_bytes(digest[:4], "little") / 2**32 - 0.5
    return 2.0 + 0.05 * math.log10(float(cfg["lr"]) / 3e-3) ** 2 + 0.004 * noise


def measurement(val_bpb: float) -> Measurement:
    """A whole measurement around one val_bpb."""
    return Measurement(
        val_bpb=val_bpb,
        val_nats_per_token=val_bpb * math.log(2),
        val_tokens=1000,
        val_bytes=1000,
        train_loss_first=8.0,
        train_loss_last=2.0,
        train_steps=10,
        train_tokens=1000,
        train_flops=10**9,
        params=10**6,
        mean_step_ms=1.0,
        tokens_per_s=1000.0,
        train_wall_s=0.0,
        val_wall_s=0.0,
        trial_wall_s=0.0,
        peak_bytes=10**6,
        device="fake",
    )


YARDSTICK = Yardstick(
    corpus_sha256="0" * 64,
    tokenizer_sha256="0" * 64,
    span_start_token=256,
    span_tokens=1000,
    span_bytes=1000,
    evaluator_version=1,
    trainer="fake",
    versions={"fake": "1"},
    threads=1,
    device_kind="fake",
    budget_kind="steps",
    budget_size=10,
)


def fake_bench(
    settings: Settings, policy: Policy, run_dir: Path, aborted: Callable[[], bool], watcher: Watcher
) -> Bench:
    """A bench without corpus, device or process."""
    return Bench(FakeTrial(aborted=aborted), YARDSTICK, None, timer=FakeTimer())


@dataclass(slots=True)
class SilentWatcher:
    """Remembers what it was told."""

    events: list[Event] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def recorded(self, event: Event) -> None:
        self.events.append(event)

    def progressed(self, progress: Progress) -> None:
        pass

    def said(self, message: str) -> None:
        self.messages.append(message)

    def preparing(self, stage: str, fraction: float) -> None:
        pass


@dataclass(slots=True)
class MemoryJournal:
    """Keeps what it is given in a list."""

    payloads: list[str] = field(default_factory=list)

    def append(self, payload: str) -> int:
        self.payloads.append(payload)
        return len(self.payloads) - 1


@dataclass(slots=True)
class FakeControl:
    """The user's hand: set ``pause`` or ``stop`` to the reason; a pause ends as soon as it is waited for.

    With ``now`` neither waits for the running trial.
    """

    stop: str = ""
    pause: str = ""
    now: bool = False

    def stop_reason(self) -> str:
        return self.stop

    def pause_reason(self) -> str:
        return self.pause

    def suspend_wanted(self) -> bool:
        return self.now and bool(self.stop or self.pause)

    def wait_while_paused(self) -> None:
        self.pause = ""


@dataclass(slots=True)
class FakeMeter:
    """A meter whose phases take as many joules as told, each time they are settled; ``heard`` remembers the phases.

    ``trials`` says what the phases of one trial after the other (or of one part of it) took; then ``usual`` holds.
    """

    trials: list[dict[Phase, Power]] = field(default_factory=list)
    usual: dict[Phase, Power] = field(default_factory=dict)
    heard: list[Phase] = field(default_factory=list)

    def look(self) -> None:
        pass

    def phase(self, name: Phase) -> None:
        self.heard.append(name)

    def settle(self, phases: Sequence[Phase] = PHASES) -> dict[Phase, Power]:
        """See ``ports.Meter``."""
        told = self.trials.pop(0) if tuple(phases) == TRIAL_PHASES and self.trials else self.usual
        return {phase: power for phase, power in told.items() if phase in phases}


def fake_power(energy_j: float | None = 100.0, span_s: float = 1.0, **more: object) -> Power:
    """What a GPU took by its own counter, all of the time covered unless ``more`` says otherwise."""
    known = energy_j is not None
    fields = {"method": "nvml_energy", "scope": "gpu", "span_s": span_s, "coverage": 1.0 if known else 0.0}
    watts = energy_j / span_s if energy_j is not None and span_s else None
    return Power.model_validate({**fields, "energy_j": energy_j, "mean_w": watts, **more})


@dataclass(slots=True)
class ScriptedProposer:
    """Answers as told, one reply after the other; an exception is raised, the end of the script is ``Exhausted``.

    Text is a reply of the script's own; a whole ``Reply`` is answered as it is. ``asked`` remembers each question: the
    number of the iteration, and the attempts that had been refused.
    """

    replies: list[str | Reply | Exception]
    name: str = "script"
    asked: list[tuple[int, tuple[Attempt, ...]]] = field(default_factory=list)

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        self.asked.append((trajectory.next_iter, tuple(refused)))
        if not self.replies:
            raise Exhausted("the script is over")
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, Reply) else Reply(reply, self.name)


@dataclass(slots=True)
class ScriptedLlm:
    """An LLM server that says what ``say`` makes of the messages and the schema: text, or a whole ``Answer``.

    ``unmet`` is why it cannot be met, ``rest_s`` how long it is left alone; ``asked`` remembers the conversations.
    """

    say: Callable[[Sequence[Message], Mapping[str, Any]], str | Answer]
    unmet: Answer | None = None
    rest_s: float = 0.0
    max_model_len: int = 8192
    completion_tokens: int = 1024
    tokens_ratio: float = 1.0
    asked: list[tuple[Message, ...]] = field(default_factory=list)

    def resting_s(self) -> float:
        return self.rest_s

    def meet(self) -> Answer | None:
        return self.unmet

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Answer:
        """See ``proposers.nim.Llm``."""
        self.asked.append(tuple(messages))
        said = self.say(messages, schema)
        return said if isinstance(said, Answer) else Answer(Classification.OK, text=said, model="scripted")

    def count_tokens(self, text: str) -> int | None:
        return None


def fake_loop(
    settings: Settings,
    proposer: Proposer,
    trial: FakeTrial | None = None,
    estimator: Estimator | None = None,
    trajectory: Trajectory | None = None,
) -> Loop:
    """The loop of a run that begins, or of one that goes on with ``trajectory``."""
    policy = policy_of(settings)
    loop = Loop(
        trajectory=Trajectory() if trajectory is None else trajectory,
        journal=MemoryJournal(),
        proposer=proposer,
        judge=partial(judge, policy, Bench(trial or FakeTrial(), YARDSTICK, estimator), settings),
        trial=trial or FakeTrial(),
        control=FakeControl(),
        observer=SilentWatcher(),
        rule=policy.rule,
        baseline_cfg=policy.baseline,
        iters=settings.iters,
        max_attempts=settings.limits.max_attempts,
        on_pause=settings.on_pause,
        boot_id="boot",
        utc=utc,
    )
    if trajectory is None:
        loop.record(meta_of(settings, policy, YARDSTICK))
    return loop
