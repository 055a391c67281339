"""What metering costs a trial: the same trial with and without it, in turn.

    python -m benchmarks.metering [--pairs 8] [--steps 100]

Real trials of profile tiny's baseline, of fewer steps. The meter is the daemon's, polled ten times a second as in the
daemon, with its telemetry on the disk. Without a GPU its sensor is the real pynvml over the tests' stand-in for
the driver's library: every cost is included but the driver's own. The wall time of trials varies by more than the
target, so the CPU time of the daemon's process is reported too: on the CPU a trial can lose no more than that.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from autoresearch.config.resolve import resolve
from autoresearch.core.measurement import Measurement
from autoresearch.core.power import phase_from_progress
from autoresearch.daemon.backend import real_backend
from autoresearch.daemon.policy import build_policy
from autoresearch.energy.meter import build_power_meter
from autoresearch.energy.sensors.nvml import open_nvml
from autoresearch.energy.sensors.select import SelectedSensor
from autoresearch.energy.telemetry import Telemetry
from autoresearch.testing.recording_observer import RecordingObserver
from benchmarks.machine import describe
from tests import nvml_world

TARGET = 0.005


@dataclass(frozen=True)
class Trial:
    """Seconds of one trial: on the wall, of its training, and of the daemon's own process on the CPU."""

    wall_s: float
    train_s: float
    daemon_cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # the environment is made
    args = parser.parse_args()
    if args.here:
        measure(args.pairs, args.steps)
        return
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "nvml.state"
        nvml_world.write_state(state, nvml_world.gpu(joules=1e6))
        is_faked = isinstance(open_nvml([]), str)
        if is_faked and (why := nvml_world.missing()):
            raise SystemExit(f"no GPU, and no stand-in for its driver: {why}")
        env = nvml_world.environment(state) if is_faked else dict(os.environ)
        command = [sys.executable, "-m", "benchmarks.metering", "--here", "--pairs", str(args.pairs)]
        command += ["--steps", str(args.steps)]
        subprocess.run(command, check=True, env=env)


def measure(pairs: int, steps: int) -> None:
    meter = build_power_meter()
    short = {"budget.size": steps, "baseline.lr_warmup": 0, "menu.knobs.lr_warmup.high": 1}
    settings = resolve({"profile": "tiny", **short}, {}).settings
    policy = build_policy(settings)
    found: dict[bool, list[Trial]] = {True: [], False: []}

    def poll() -> bool:  # as RunControl does while the daemon waits for a trial
        meter.poll()
        return False

    with tempfile.TemporaryDirectory() as folder:
        backend = real_backend(settings, policy, Path(folder), poll, RecordingObserver())

        def one(is_metered: bool) -> Trial:
            if is_metered:
                source = open_nvml(())
                if isinstance(source, str):
                    raise SystemExit(f"no sensor: {source}")
                meter.use(SelectedSensor(source), Telemetry(Path(folder)))
                meter.phase("start")
            cpu_s, began = time.process_time(), time.monotonic()
            outcome = backend.trial.measure(
                policy.baseline, 0, lambda phase, *_: meter.phase(phase_from_progress(phase))
            )
            if is_metered:
                meter.settle()
            took = Trial(time.monotonic() - began, _train_s(outcome), time.process_time() - cpu_s)
            meter.close()
            return took

        try:
            one(True)  # neither is the first
            for n in range(pairs):
                for is_metered in (n % 2 == 0, n % 2 == 1):
                    found[is_metered].append(one(is_metered))
        finally:
            backend.close()
    show(pairs, steps, found[True], found[False])


def _train_s(outcome: object) -> float:
    if not isinstance(outcome, Measurement):
        raise SystemExit(f"the trial failed: {outcome}")
    return outcome.train_wall_s


def show(pairs: int, steps: int, meter_run: list[Trial], bare: list[Trial]) -> None:
    ratios = sorted(m.wall_s / b.wall_s - 1 for m, b in zip(meter_run, bare, strict=True))
    cpu = [statistics.median(t.daemon_cpu_s / t.wall_s for t in trials) for trials in (meter_run, bare)]
    print(f"### Metering\n\n{describe()}\n")
    print(f"`python -m benchmarks.metering --pairs {pairs} --steps {steps}`: profile tiny's baseline, in turn\n")
    print("| | metered | not metered |\n|---|---|---|")
    print(f"| seconds of a trial, median | {_median(meter_run, 'wall_s'):.3f} | {_median(bare, 'wall_s'):.3f} |")
    print(f"| of its training, median | {_median(meter_run, 'train_s'):.3f} | {_median(bare, 'train_s'):.3f} |")
    print(f"| CPU of the daemon's process, of a trial's seconds | {cpu[0]:.3%} | {cpu[1]:.3%} |\n")
    spread = f"{ratios[0]:+.2%} to {ratios[-1]:+.2%}"
    print("| a metered trial takes longer by | |\n|---|---|")
    print(f"| on the wall, median of the pairs and their range | {statistics.median(ratios):+.2%} ({spread}) |")
    print(f"| by the CPU that the daemon spends more | {cpu[0] - cpu[1]:+.3%} |\n| target | at most {TARGET:.1%} |")


def _median(trials: list[Trial], name: str) -> float:
    return statistics.median(getattr(t, name) for t in trials)


if __name__ == "__main__":
    main()
