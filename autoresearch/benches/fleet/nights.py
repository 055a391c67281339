"""Nights of every proposer with every number of workers, in several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from autoresearch.benches.fleet.night import FleetNight, Plan, run_fleet_night
from autoresearch.benches.fleet.trial_times import TrialTimes
from autoresearch.benches.search.surrogate import Surrogate
from autoresearch.proposers.blas_threads import one_blas_thread

Key = tuple[str, int, int]
Shared = tuple[Surrogate, TrialTimes, Plan]

_shared: Shared | None = None  # of a worker process


def _open_worker(shared: Shared) -> None:
    global _shared
    _shared = shared


def _work(key: Key) -> FleetNight:
    assert _shared is not None  # the pool's initializer ran
    with one_blas_thread():
        return run_fleet_night(*_shared, *key)


def run_nights(
    shared: Shared,
    keys: Sequence[Key],
    jobs: int,
    progress: Callable[[int, int], None],
    known: Mapping[Key, FleetNight],
    keep: Callable[[FleetNight], None],
) -> list[FleetNight]:
    """Run what is not ``known``, in ``jobs`` processes; ``keep`` is called with each new night."""
    done = {key: known[key] for key in keys if key in known}
    work = [key for key in keys if key not in done]

    def take(found: Iterator[FleetNight]) -> None:
        for night in found:
            done[night.proposer, night.workers, night.seed] = night
            keep(night)
            progress(len(done), len(keys))

    if jobs == 1 or len(work) < 2:
        with one_blas_thread():
            take(run_fleet_night(*shared, *key) for key in work)
    else:
        with ProcessPoolExecutor(jobs, get_context("spawn"), _open_worker, (shared,)) as pool:
            take(future.result() for future in as_completed([pool.submit(_work, key) for key in work]))
    return [done[key] for key in keys]
