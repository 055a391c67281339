"""A process with an executor on a Ray cluster: ``python -m tests.ray_driver ADDRESS CORPUS DIR WORKERS``.

It prints ``running``, then a line of JSON for the end of each trial, and ends after its input was closed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from autoresearch.core.executor import TrialOrder, TrialProgress
from autoresearch.core.measurement import Failure
from autoresearch.core.values import Cfg
from tests.ray_cluster import ray_executor, stand_in_fleet

CFG: Cfg = {"lr": 1e-3, "steps": 60, "step_s": 0.1}
SILENT_S = 60.0


def main() -> None:
    address, corpus, run_dir, count = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    fleet = stand_in_fleet(corpus, run_dir, count, SILENT_S)
    with ray_executor(address, fleet, notify=lambda text: print(text, file=sys.stderr, flush=True)) as executor:
        for n in range(count):
            executor.submit(TrialOrder(n, n, n, CFG))
        places = {w.order.trial: w.node.name for w in executor._workers if w.order is not None}
        seen, ended = set[int](), 0

        def progressed(at: TrialProgress) -> None:
            if at.id not in seen:
                seen.add(at.id)
                print("running" if len(seen) == count else "more", flush=True)

        while ended < count:
            for end in executor.poll(0.1, progressed):
                cause = end.outcome.cause if isinstance(end.outcome, Failure) else None
                print(json.dumps({"node": places[end.id], "cause": cause}), flush=True)
                ended += 1
        sys.stdin.read()


if __name__ == "__main__":
    main()
