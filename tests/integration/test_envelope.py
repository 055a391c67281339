"""A sweep of the real thing on the CPU: what it measures, what R7 makes of it, a point without room, and a kill."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Cause
from autoresearch.core.speeds import Point, Timing
from autoresearch.daemon import service
from autoresearch.daemon.backend import real_backend
from autoresearch.daemon.cost_check import refusal_for_cost
from autoresearch.daemon.envelope import Axes, Envelope, sweep
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import ConfigError
from autoresearch.storage.journal import Journal, read
from autoresearch.storage.run_dir import ENVELOPE
from autoresearch.storage.speed_log import decode_speeds
from autoresearch.testing.recording_observer import RecordingObserver

pytestmark = pytest.mark.slow  # the same with fakes: tests/unit/daemon/test_envelope.py

QUICK = Timing(steps=3)
SMALL = {"baseline.n_layer": 1, "baseline.d_model": 64, "baseline.d_ff": 128, "baseline.n_head": 2, "threads": 1}


@pytest.fixture
def flags(small_corpus: Path, tmp_path: Path) -> dict[str, Any]:
    return {**SMALL, "corpus": str(small_corpus), "dir": tmp_path / "run", "limits.deadline_s": 60}


def quick(settings: Settings, axes: Axes, **how: Any) -> Envelope:
    return sweep(settings, RecordingObserver(), axes, QUICK, **how)


def points_in(run_dir: Path) -> list[Point]:
    path = run_dir / ENVELOPE
    return [r for r in decode_speeds(path, read(path).payloads) if isinstance(r, Point)]


def refusal_of_bf16(settings: Settings) -> str:
    """What R7 says to bf16 instead of the baseline's fp32, by all that a new bench knows."""
    policy = build_policy(settings)
    backend = real_backend(settings, policy, settings.run_dir, lambda: False, RecordingObserver())
    try:
        return refusal_for_cost(backend, settings, {**policy.baseline, "precision": "bf16"})
    finally:
        backend.close()


def test_points_are_measured_and_r7_goes_by_them(flags: dict[str, Any]) -> None:
    settings = resolve({**flags, "limits.max_time_ratio": 2.5}, {}).settings
    envelope = quick(settings, Axes((4, 8), (64,), ("fp32", "bf16")))
    assert [p.status for p in envelope.points] == ["measured"] * 4
    for point in envelope.points:
        s = point.speed
        assert s is not None
        assert s.real_tokens_per_s == pytest.approx(1000 * point.tokens_per_step / s.real_step_ms)
        assert s.random_tokens_per_s == pytest.approx(1000 * point.tokens_per_step / s.random_step_ms)
        assert point.mfu == pytest.approx(s.flops_per_token * s.real_tokens_per_s / envelope.peaks[point.precision])
        assert 0 < s.batch_ms < s.real_step_ms
        assert len(s.real_rounds_ms) == len(s.random_rounds_ms) == 3
        assert (s.device, s.energy_j) == ("cpu", None)
        assert s.peak_bytes > 100 << 20
        assert s.trial_wall_s > 0
    assert envelope.prices_r7

    step_ms = {p.swept: p.speed.real_step_ms for p in envelope.points if p.speed}
    in_bf16 = next(p for p in envelope.points if p.swept == (8, 64, "bf16"))
    assert in_bf16.speed is not None
    for times, refused in ((1, ""), (3, "3.0 x the baseline's time")):  # as if bf16 were so much slower than fp32 here
        slower = in_bf16.speed.model_copy(update={"real_step_ms": times * step_ms[8, 64, "fp32"]})
        journal = Journal(envelope.path)
        journal.append(in_bf16.model_copy(update={"outcome": slower}).model_dump_json())
        journal.close()
        said = refusal_of_bf16(settings)
        assert refused in said
        assert bool(refused) == bool(said)


def test_a_point_without_room_is_recorded_and_the_sweep_continues(flags: dict[str, Any]) -> None:
    settings = resolve({**flags, "limits.memory_gib": 1.2}, {}).settings

    def without_r7(*how: Any) -> TrialBackend:
        """R7 knows better than to let it run, so it is not asked."""
        return dataclasses.replace(real_backend(*how), estimator=None)

    envelope = quick(settings, Axes((4096, 4), (128, 64), ("fp32",)), make_backend=without_r7)
    assert [p.status for p in envelope.points] == ["measured", "measured", "failed", "failed"]
    for point in envelope.points[2:]:
        assert point.failure is not None
        assert point.failure.cause == Cause.OUT_OF_MEMORY
    asked = quick(settings, Axes((4096,), (128,), ("fp32",)))
    assert "GiB of memory, 1.20 GiB are available" in asked.points[0].refused


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130)])
def test_a_sweep_that_was_ended_goes_on_where_it_was(
    flags: dict[str, Any], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """By a signal as soon as its first point is told, in a process as a user starts it."""
    settings = resolve(flags, {}).settings
    words = [w for name, value in flags.items() if name not in ("dir", "corpus") for w in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "autoresearch", "envelope", "--dir", str(flags["dir"])]
    command += ["--corpus", flags["corpus"], "--batch-size", "2,4,8,16", "--seq-len", "128", "--precision", "fp32"]
    with subprocess.Popen([*command, "--steps", "3", *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("1/4" in line for line in process.stdout)
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == code
    done = points_in(flags["dir"])
    assert 1 <= len(done) < 4
    assert ("ended by SIGTERM" in rest) == (number == signal.SIGTERM)

    envelope = quick(settings, Axes((2, 4, 8, 16), (128,), ("fp32",)))
    assert [p.status for p in envelope.points] == ["measured"] * 4
    assert list(envelope.points[: len(done)]) == done, "what was measured is not measured again"
    assert len(points_in(flags["dir"])) == 4


def test_a_crash_of_the_child_is_a_point_with_its_cause(flags: dict[str, Any]) -> None:
    """Struck as soon as it says how far it is; it has enough to do to be there for that."""
    settings = resolve(flags, {}).settings
    struck: list[int] = []

    class Striking(RecordingObserver):
        def preparing(self, stage: str, fraction: float) -> None:
            if "tokens" in stage and not struck:
                server = max(psutil.Process().children(), key=lambda process: process.create_time())
                (child,) = server.children()
                struck.append(child.pid)
                child.send_signal(signal.SIGSEGV)

    (point,) = sweep(settings, Striking(), Axes((4,), (64,), ("fp32",)), Timing(steps=100_000)).points
    assert point.failure is not None
    assert point.failure.cause == Cause.CRASHED
    assert "SIGSEGV" in point.failure.detail


def test_a_run_still_refuses_a_baseline_that_cannot_train_here(flags: dict[str, Any], tmp_path: Path) -> None:
    menu = {"menu.knobs.precision.choices": ["fp32", "fp8"], "baseline.precision": "fp8"}
    settings = resolve({**flags, **menu, "proposer": "random"}, {}).settings
    with pytest.raises(ConfigError, match="baseline: trainer torch cannot train in fp8"):
        service.run(settings, RecordingObserver())
