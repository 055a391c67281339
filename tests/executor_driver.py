"""A process that runs trials through an executor until it is killed: ``python -m tests.executor_driver KIND DIR ...``.

    serial DIR | local DIR | slurm DIR LEASE_S | ray DIR CORPUS ADDRESS    an empty ADDRESS is a cluster of its own

It prints ``running`` once every trial has reported progress.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from autoresearch.core.executor import TrialExecutor, TrialOrder, TrialProgress
from autoresearch.core.ports import Trial
from autoresearch.core.serial_executor import SerialExecutor
from autoresearch.core.values import Cfg
from autoresearch.daemon.local_workers import CheckpointPerTrial
from autoresearch.testing.stand_in_job import run_stand_in_job
from autoresearch.testing.stand_in_trainer import StandInServer, stand_in_spec
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.local_executor import LocalExecutor, MakeTrial
from autoresearch.trials.slurm.cluster import SlurmCluster
from autoresearch.trials.slurm.runner import SlurmRunner
from autoresearch.trials.slurm.session import SlurmSession
from tests.ray_cluster import ray_executor, stand_in_fleet
from tests.stand_in import MEMORY_BYTES, make_trial

ENDLESS: Cfg = {"lr": 1e-3, "steps": 10**6, "step_s": 0.05}
DEADLINE_S = 3600.0
WORKERS = 2


def local_makers(run_dir: Path) -> list[MakeTrial]:
    """Two workers with a trial server each."""

    def maker(n: int) -> MakeTrial:
        server = StandInServer("torch", run_dir / f"log-{n}")
        return lambda aborted: CheckpointPerTrial(make_trial(server, aborted, run_dir, DEADLINE_S))

    return [maker(n) for n in range(WORKERS)]


def job_maker(session: SlurmSession) -> MakeTrial:
    """Trials of the stand-in trainer as jobs of a session."""
    run_dir, spec = session.run_dir, stand_in_spec("corpus")

    def make(aborted: Callable[[], bool]) -> Trial:
        runner, folder = SlurmRunner(session, "torch", aborted), run_dir / "checkpoint"
        return CheckpointPerTrial(
            ForkedTrial(runner, spec, DEADLINE_S, run_dir, folder, memory_for=lambda _cfg: MEMORY_BYTES)
        )

    return make


@contextmanager
def open_executor(kind: str, run_dir: Path, arguments: list[str]) -> Iterator[TrialExecutor]:
    """The executor of a kind."""
    match kind:
        case "serial":
            trial = local_makers(run_dir)[0](lambda: False)
            yield SerialExecutor(lambda: trial)
        case "local":
            yield LocalExecutor(local_makers(run_dir))
        case "slurm":
            lease_s = float(arguments[0])
            programs = SlurmCluster(job=run_stand_in_job)
            session = SlurmSession(programs, run_dir, run_dir, 1, lease_s=lease_s, renew_s=lease_s / 10)
            session.open()
            yield LocalExecutor([job_maker(session)] * WORKERS)
        case _:
            corpus, address = arguments
            with ray_executor(address, stand_in_fleet(Path(corpus), run_dir, WORKERS), key=f"{run_dir.name}-") as found:
                yield found


def main() -> None:
    kind, run_dir, arguments = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    with open_executor(kind, run_dir, arguments) as executor:
        seen, count = set[int](), executor.capacity

        def progressed(at: TrialProgress) -> None:
            if at.phase == "train" and at.id not in seen:  # before that it may wait in a queue
                seen.add(at.id)
                print("running" if len(seen) == count else "more", flush=True)

        for n in range(count):
            executor.submit(TrialOrder(n, n, n, ENDLESS))
        while True:
            executor.poll(1.0, progressed)


if __name__ == "__main__":
    main()
