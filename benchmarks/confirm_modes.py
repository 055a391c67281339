"""Nights of the real loop on the measured joint table: what ``decision.confirm`` = all or best costs and hands over.

python -m benchmarks.confirm_modes [--seeds 24] [--trials 60,120] [--table FILE] [--out FILE]

Proposer ``trust-region`` with any number of changes, rule ``sequential``, the surrogate of ``bench search`` in place of
a trial. Both modes meet the same luck. Handed over: the keep with the best lower bound of its gain, as ``run`` does, or
the baseline. A night is durable once it has ended: the same command with ``--out`` continues.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from autoresearch.benches.proposers.problem import Night, Problem
from autoresearch.benches.proposers.surface import Crash, Point
from autoresearch.benches.proposers.table_file import read_table as read_file
from autoresearch.benches.proposers.virtual_run import run_night
from autoresearch.benches.search.surrogate import Surrogate, fit_surrogate
from autoresearch.benches.search.table import read_table
from autoresearch.benches.statistics.bootstrap import bootstrap_interval
from autoresearch.benches.statistics.sign_flip import sign_flip_test
from autoresearch.core.crown import rank
from autoresearch.core.records import Baseline, Evaluated, TrialEnded
from autoresearch.core.values import Cfg
from autoresearch.storage.decode import decode_trajectory
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import TRAJECTORY

TABLE = Path("evidence/bench-search/table.json")
MODES = ("all", "best")
SEEDS_APART = 1000


@dataclass(frozen=True)
class SurrogateSurface:
    """A ``Surface`` of the joint space; every trial takes a virtual second."""

    surrogate: Surrogate

    @property
    def baseline(self) -> Cfg:
        return self.surrogate.baseline

    def point(self, cfg: Cfg, seed: int) -> Point:
        """See ``Surface``."""
        value = self.surrogate.draw(cfg, seed)
        if value is None:
            raise Crash
        return Point(value, self.surrogate.mean(cfg), 1.0)


def run_mode(problem: Problem, surrogate: Surrogate, mode: str, seed: int, marks: Sequence[int]) -> dict[str, Any]:
    """One night: after each mark of trials the true mean handed over, the closed iterations and the keeps."""
    night = Night(
        proposer="trust-region",
        seed=SEEDS_APART * (1 + seed),
        trials=max(marks),
        max_changes=len(problem.menu.knobs),
        confirm=mode,
    )
    with tempfile.TemporaryDirectory() as folder:
        run_night(problem, night, Path(folder))
        path = Path(folder) / TRAJECTORY
        events = list(decode_trajectory(read(path).payloads, path))
    start = next(i for i, event in enumerate(events) if isinstance(event, Baseline))
    trials, closed, keeps, left = 0, 0, list[Evaluated](), list(marks)
    found: dict[str, Any] = {"mode": mode, "seed": seed, "marks": {}}
    for event in events[start:]:
        trials += isinstance(event, TrialEnded)
        if isinstance(event, Evaluated):
            closed += 1
            keeps += [event] if event.decision == "keep" else []
        while left and trials >= left[0]:
            best = max(keeps, key=rank, default=None)
            mean = surrogate.mean(dict(best.candidate_cfg) if best else surrogate.baseline)
            found["marks"][str(left.pop(0))] = {"mean_true": mean, "closed": closed, "keeps": len(keeps)}
    return found


def report(nights: Sequence[dict[str, Any]], marks: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each mode and mark, with the paired difference best - all."""
    rows = []
    for mark in map(str, marks):
        by_mode = {m: {n["seed"]: n["marks"][mark] for n in nights if n["mode"] == m} for m in MODES}
        for mode, own in by_mode.items():
            values = [night["mean_true"] for night in own.values()]
            row: dict[str, Any] = {"confirm": mode, "trials": int(mark), "seeds": len(own)}
            row |= {key: fmean(night[key] for night in own.values()) for key in ("mean_true", "closed", "keeps")}
            spread = math.sqrt(fmean((v - row["mean_true"]) ** 2 for v in values) / max(1, len(values) - 1))
            pairs = [own[s]["mean_true"] - by_mode["all"][s]["mean_true"] for s in own if s in by_mode["all"]]
            is_paired = mode == "best" and len(pairs) > 1
            row |= {"se": spread, "difference": fmean(pairs) if is_paired else None}
            row |= {"interval": bootstrap_interval(pairs) if is_paired else None}
            rows.append(row | {"p": sign_flip_test(pairs, draws=20_000) if is_paired else None})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--trials", type=lambda text: sorted(map(int, text.split(","))), default=[60, 120])
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    nights = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out and args.out.exists() else []
    known = {(night["mode"], night["seed"]) for night in nights}
    file = read_file(args.table)
    surrogate, _ = fit_surrogate(read_table(args.table, None))
    problem = Problem(
        SurrogateSurface(surrogate), surrogate.cube.menu, file.yardstick, file.profile, file.vocab or 257, file.setup
    )
    for seed in range(args.seeds):
        for mode in MODES:
            if (mode, seed) in known:
                continue
            night = run_mode(problem, surrogate, mode, seed, args.trials)
            nights.append(night)
            print(f"seed {seed}, {mode}: {night['marks']}", file=sys.stderr, flush=True)
            if args.out:
                with args.out.open("a") as out:
                    out.write(json.dumps(night) + "\n")
    print(json.dumps({"default": surrogate.mean(surrogate.baseline), "rows": report(nights, args.trials)}, indent=2))


if __name__ == "__main__":
    main()
