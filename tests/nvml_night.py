"""A night on two fake GPUs in a process of its own: each trial spends joules on its own GPU alone."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.nvml_world import gpu

SPENDS_J = (40.0, 900.0)  # by a trial, on each GPU
IDLE_J = 0.002
UUIDS = ("GPU-0", "GPU-1")


@dataclass(slots=True)
class Counters:
    """The fake's state, replaced as a whole: the meter reads it while a trial runs."""

    path: Path
    joules: list[float]
    lock: threading.Lock

    def spend(self, n: int, joules: float) -> None:
        with self.lock:
            self.joules[n] += joules
            state = gpu(0, watts=0.0, joules=self.joules[0]) | gpu(1, watts=0.0, joules=self.joules[1])
            new = self.path.with_suffix(".new")
            new.write_text("".join(f"{name} {int(value)}\n" for name, value in state.items()))
            new.rename(self.path)

    def idle(self, ended: threading.Event) -> None:
        """A little, all the time: a counter that stands still is taken for a stalled one."""
        while not ended.wait(0.05):
            self.spend(0, IDLE_J)
            self.spend(1, IDLE_J)


def main() -> None:
    from autoresearch.config.resolve import resolve
    from autoresearch.daemon import service
    from autoresearch.daemon.run_context import RunTiming
    from autoresearch.daemon.trial_backend import TrialBackend
    from autoresearch.energy.sensors.select import select_sensor
    from autoresearch.testing.fake_backend import YARDSTICK
    from autoresearch.testing.fake_trial import FakeTrial
    from autoresearch.testing.recording_observer import RecordingObserver

    state, run_dir = Path(sys.argv[1]), Path(sys.argv[2])
    counters = Counters(state, [1000.0, 5000.0], threading.Lock())
    counters.spend(0, 0.0)
    ended = threading.Event()
    threading.Thread(target=counters.idle, args=(ended,), daemon=True).start()

    @dataclass(slots=True)
    class Spending(FakeTrial):
        gpu: int = 0

        def measure(self, *given: Any, **named: Any) -> Any:
            outcome = FakeTrial.measure(self, *given, **named)
            counters.spend(self.gpu, SPENDS_J[self.gpu])
            return outcome

    def make_backend(*_: Any) -> TrialBackend:
        def make(n: int, aborted: Callable[[], bool]) -> Spending:
            return Spending(takes_s=0.02, aborted=aborted, gpu=n)

        sensor = partial(select_sensor, "cuda", UUIDS, hwmon=state.parent, powercap=state.parent)
        workers = [partial(make, n) for n in range(2)]
        return TrialBackend(FakeTrial(), YARDSTICK, None, workers=workers, select_sensor=sensor)

    changes = {"executor.devices": ["cuda:0", "cuda:1"], "device": "cuda", "decision.rule": "threshold", "reports": []}
    changes |= {"dir": run_dir, "proposer": "random", "iters": 12}
    observer = RecordingObserver()
    ending = service.run(
        resolve(changes, {}).settings,
        observer,
        make_backend=make_backend,
        timing=RunTiming(idle_s=1e-6, poll_s=1e-3),
    )
    ended.set()
    print(ending, *observer.messages, sep="\n")


if __name__ == "__main__":
    main()
