"""Where a training step's time goes: the kernels of some steps by the device's own clock, largest first.

    python -m benchmarks.kernels [--profile tiny] [--trainer torch] [--corpus CORPUS] [--compile on] [--set NAME=VALUE]

On a CPU the table shows torch's operators.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from autoresearch.config.resolve import parse_assignment, resolve
from autoresearch.daemon.backend import baseline_spec
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.run_corpus import prepare_corpus
from autoresearch.data.batches import batches
from autoresearch.data.corpus import Corpus
from autoresearch.data.span import Span
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.training.build import build_model
from autoresearch.training.profiling.device_probe import probe
from autoresearch.trials.server import SERVER_ENV
from benchmarks.machine import describe

STEPS, ROWS = 4, 18


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("profile", "trainer", "corpus"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--compile", default="off", choices=("on", "off"))
    parser.add_argument("--set", dest="assignments", action="append", default=[])
    args = parser.parse_args()
    flags = {n: v for n in ("profile", "trainer", "corpus") if (v := getattr(args, n))}
    settings = resolve({**flags, **dict(parse_assignment(a) for a in args.assignments)}, {}).settings
    policy = build_policy(settings)
    with tempfile.TemporaryDirectory() as folder:
        path = prepare_corpus(settings, Path(folder), RecordingObserver())
        corpus = Corpus.open(path)
        device = probe(settings.device, settings.trainer)
        span = Span(start=0, tokens=1, bytes=1)
        spec = baseline_spec(settings, policy, str(path), span, device)
        spec = spec.model_copy(update={"compiled": args.compile == "on"})
        stream = batches(corpus.split("train"), 0, int(spec.cfg["batch_size"]), int(spec.cfg["seq_len"]))
        model = build_model(spec, corpus.vocab)
        model.warm_up(next(stream))
        for _ in range(2):
            model.step(next(stream), 1e-4)
        model.losses(wait_for_all=True)
        on_cuda = spec.device == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
        with profile(activities=activities, acc_events=True) as recorded:
            for _ in range(STEPS):
                model.step(next(stream), 1e-4)
            model.losses(wait_for_all=True)
    by_device = "self_device_time_total" if on_cuda else "self_cpu_time_total"
    events = [e for e in recorded.key_averages() if not on_cuda or is_kernel(e)]
    events.sort(key=lambda e: -getattr(e, by_device))
    total = sum(getattr(e, by_device) for e in events) or 1  # none where the driver does not let profilers look
    compiled = " with compiled layers" if spec.compiled else ""
    print(f"#### Kernels: trainer {spec.trainer} in {spec.cfg['precision']}{compiled}\n")
    print(f"{describe()}{', ' + torch.cuda.get_device_name() if on_cuda else ''}\n")
    print(f"{STEPS} steps, {total / STEPS / 1000:.2f} ms of {'kernels' if on_cuda else 'operators'} a step\n")
    print("| share | ms a step | calls a step | kernel |\n|---|---|---|---|")
    for event in events[:ROWS]:
        spent = getattr(event, by_device)
        name = event.key.replace("|", "/")[:110]
        print(f"| {100 * spent / total:.1f}% | {spent / STEPS / 1000:.2f} | {event.count / STEPS:.0f} | `{name}` |")


def is_kernel(event: Any) -> bool:
    """An operator carries its kernels' time as well: count only these."""
    return event.device_type == DeviceType.CUDA and not event.is_user_annotation


if __name__ == "__main__":
    if not os.environ.keys() >= SERVER_ENV.keys():  # what the libraries read when they load
        os.execve(
            sys.executable, [sys.executable, "-m", "benchmarks.kernels", *sys.argv[1:]], {**os.environ, **SERVER_ENV}
        )
    main()
