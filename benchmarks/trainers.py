"""Both trainers against each other and against the origin's way of training, as real trials of one profile, in turn.

    python -m benchmarks.trainers [--profile tiny|h100-354m] [--corpus CORPUS] [--rounds 3] [--set NAME=VALUE]

On a GPU also compiled layers, fp8 where Transformer Engine is installed, and model FLOPs utilisation against the
device's measured matmul peak. The second trial of each kind shows the time outside training and validation for a
shape that was trained before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.config.resolve import parse_assignment, resolve
from autoresearch.core.measurement import Measurement
from autoresearch.daemon.backend import check_baseline, real_backend
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import AutoresearchError
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.trials.forked_trial import ForkedTrial
from benchmarks.machine import describe

ORIGIN_WARM_STEPS, ORIGIN_STEPS = 5, 30
ORIGIN = "the origin's way (bf16 parameters, eager, mask, a synchronisation a step)"


@dataclass
class Kind:
    """One way to train the baseline, and what its trials measured."""

    name: str
    trainer: str
    precision: str
    compiled: str = "off"
    backend: TrialBackend | None = None
    found: list[Measurement] = field(default_factory=list)

    @property
    def tokens_per_s(self) -> float:
        return statistics.median(m.tokens_per_s for m in self.found)

    @property
    def outside_s(self) -> list[float]:
        """Seconds of each trial that were neither training nor validation."""
        return [m.trial_wall_s - m.train_wall_s - m.val_wall_s for m in self.found]


def kinds_on(device: str, precisions: tuple[str, ...]) -> list[Kind]:
    if device == "cpu":
        return [Kind("torch", "torch", "fp32"), Kind("megatron", "megatron", "fp32")]
    kinds = [
        Kind("torch", "torch", "bf16"),
        Kind("torch, compiled layers", "torch", "bf16", "on"),
        Kind("megatron", "megatron", "bf16"),
    ]
    return [*kinds, Kind("megatron", "megatron", "fp8")] if "fp8" in precisions else kinds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--corpus")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", dest="assignments", action="append", default=[])
    parser.add_argument("--matmul-peak", nargs=2, metavar=("DEVICE", "PRECISION"), help="print this alone, in FLOP/s")
    args = parser.parse_args()
    if args.matmul_peak:
        import torch  # only in a process of its own: it makes a CUDA context

        from autoresearch.training.profiling.matmul_peak import matmul_flops_per_s

        print(matmul_flops_per_s(torch.device(args.matmul_peak[0]), args.matmul_peak[1]))
        return
    flags: dict[str, Any] = {"profile": args.profile, "baseline.lr_warmup": 5, "menu.knobs.lr_warmup.high": 10}
    flags |= dict(parse_assignment(a) for a in args.assignments)
    if args.corpus:
        flags["corpus"] = args.corpus
    with tempfile.TemporaryDirectory() as folder:
        device, kinds, origin = run(flags, args.rounds, Path(folder))
    title = f"### Both trainers, profile {args.profile}"
    print(f"{title}\n\n{describe()}{'' if device == 'cpu' else ', ' + kinds[0].found[0].device}\n")
    print(f"`python -m benchmarks.trainers --profile {args.profile} --rounds {args.rounds}`: real trials in turn\n")
    show(kinds, origin, device)


def run(flags: dict[str, Any], rounds: int, folder: Path) -> tuple[str, list[Kind], list[float]]:
    """Every kind's trials and the origin's tokens per second, one of each per round."""
    backends: list[TrialBackend] = []

    def build_backend_for(kind: Kind) -> TrialBackend:
        changes = {"trainer": kind.trainer, "compile": kind.compiled, "baseline.precision": kind.precision}
        settings = resolve({**flags, **changes}, {}).settings
        policy = build_policy(settings)
        backend = real_backend(settings, policy, folder, lambda: False, RecordingObserver())
        backends.append(backend)
        check_baseline(backend, policy)
        return backend

    settings = resolve(flags, {}).settings
    fallback = "cpu" if settings.device == "cpu" else "cuda"
    first = kinds_on(fallback, ("fp8",))
    kinds, origin = [], list[float]()
    try:
        for kind in first:
            try:
                kind.backend = build_backend_for(kind)
                kinds.append(kind)
            except AutoresearchError as e:
                print(f"left out: {kind.name} in {kind.precision}: {e.what}", file=sys.stderr)
        if not kinds:
            sys.exit("nothing could be trained here")
        trial = kinds[0].backend.trial if kinds[0].backend else None
        assert isinstance(trial, ForkedTrial)
        spec = trial.spec(build_policy(settings).baseline, 0)
        for _ in range(rounds):
            for kind in kinds:
                assert kind.backend is not None
                assert kind.backend.estimator is not None
                outcome = kind.backend.trial.measure(kind.backend.estimator.baseline, 0, lambda *_: None)
                print(f"{kind.name} {kind.precision}: {outcome!r}", file=sys.stderr, flush=True)
                if isinstance(outcome, Measurement):
                    kind.found.append(outcome)
            words = (spec.corpus, json.dumps(spec.cfg), spec.device, spec.threads, ORIGIN_WARM_STEPS, ORIGIN_STEPS)
            command = [sys.executable, "-m", "benchmarks.origin_loop", *map(str, words)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            print(f"{ORIGIN}: {done.stdout.strip()}", file=sys.stderr, flush=True)
            if done.returncode == 0:
                origin.append(float(done.stdout))
            else:
                print(f"origin_loop: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    finally:
        for backend in backends:
            backend.close()
    return spec.device, [k for k in kinds if k.found], origin


def peak_of(device: str, precision: str) -> float | None:
    """FLOP/s of large matrix products in a process of its own; ``None`` where the device cannot compute so."""
    command = [sys.executable, "-m", "benchmarks.trainers", "--matmul-peak", device, precision]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"no matmul peak in {precision}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return float(done.stdout)


def show(kinds: list[Kind], origin: list[float], device: str) -> None:
    peaks = {p: peak_of(device, p) for p in {k.precision for k in kinds} | {"bf16"}}
    print("| | precision | tokens/s | MFU | outside training and validation: first trial, others | peak memory |")
    print("|---|---|---|---|---|---|")
    for kind in kinds:
        flops = kind.found[0].train_flops / kind.found[0].train_tokens * kind.tokens_per_s
        peak = peaks["bf16" if kind.precision == "fp8" else kind.precision]
        others = f"{statistics.median(kind.outside_s[1:]):.2f} s" if len(kind.outside_s) > 1 else "-"
        cells = [
            kind.name,
            kind.precision,
            f"{kind.tokens_per_s:,.0f}",
            f"{100 * flops / peak:.1f}%{' of bf16' if kind.precision == 'fp8' else ''}" if peak else "unknown",
            f"{kind.outside_s[0]:.2f} s, {others}",
            f"{max(m.peak_bytes for m in kind.found) / 2**30:.2f} GiB",
        ]
        print(f"| {' | '.join(cells)} |")
    if origin:
        print(f"| {ORIGIN} | bf16 | {statistics.median(origin):,.0f} | | | |")
    for precision, peak in sorted(peaks.items()):
        if peak:
            print(f"\nMeasured matmul peak in {precision}: {peak / 1e12:.2f} TFLOP/s")
    print("\n| ratio, round by round | median | min | max |\n|---|---|---|---|")
    first = kinds[0]
    for kind in kinds[1:]:
        ratio(f"{kind.name} ({kind.precision}) / {first.name} ({first.precision})", kind, first)
    by_name = {(k.name, k.precision): k for k in kinds}
    if ("megatron", "fp8") in by_name:
        ratio("megatron: fp8 / bf16 (target 1.15)", by_name["megatron", "fp8"], by_name["megatron", "bf16"])
    if origin:
        for kind in kinds:
            row(f"{kind.name} ({kind.precision}) / the origin's way", [m.tokens_per_s for m in kind.found], origin)


def ratio(name: str, one: Kind, other: Kind) -> None:
    row(name, [m.tokens_per_s for m in one.found], [m.tokens_per_s for m in other.found])


def row(name: str, ones: list[float], others: list[float]) -> None:
    ratios = [a / b for a, b in zip(ones, others, strict=False)]
    print(f"| {name} | {statistics.median(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f} |")


if __name__ == "__main__":
    main()
