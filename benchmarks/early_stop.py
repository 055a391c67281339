"""Early stopping, replayed on full loss curves of small trials: keeps lost, training of reverts saved.

    nice -n 19 python -m benchmarks.early_stop FOLDER [--minutes 25] [--trials 500] [--workers 2] [--csv FILE.csv.gz]

Makes the curves that FOLDER still lacks (``benchmarks.early_stop_curves``; the same command continues) and replays all.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from autoresearch.verdicts.early_stop import StopRule
from autoresearch.verdicts.early_stop_replay import FullTrial, Replayed, StopFigures, replay, summarise_stops
from benchmarks.early_stop_curves import BASELINE, generate, trials
from benchmarks.machine import describe

NEEDED = 0.005
LEVELS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
MIN_SAVED, MAX_LOST, MIN_TRIALS, MIN_NEAR = 0.4, 0.01, 300, 100  # the targets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=25, help="0: only replay")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--csv", type=Path, help="write the curves for `autoresearch bench stop`, gzipped")
    args = parser.parse_args()
    generate(args.folder, args.minutes, args.trials, args.workers)
    records = {(r["group"], r["seed"]): r for r in read(args.folder)}
    if args.csv:
        args.csv.write_bytes(gzip.compress(as_csv(records).encode(), mtime=0))
    full = [trial_of(records[key], records[("baseline", key[1])]) for key in trials() if is_compared(key, records)]
    figures = {level: replay_at(full, level) for level in LEVELS}
    print(section(full, figures, records))


def read(folder: Path) -> list[dict]:
    """The records of the curves, without a line that is torn because the process was killed."""
    lines = (folder / "curves.jsonl").read_text().split("\n")
    return [json.loads(line) for line in lines[:-1]]


def is_compared(key: tuple[str, int], records: dict) -> bool:
    return key[0] != "baseline" and key in records and ("baseline", key[1]) in records


def points(record: dict) -> list[tuple[float, float]]:
    """The training losses before the end, and val_bpb at the end."""
    before = [(f, loss) for f, loss in zip(record["fractions"], record["losses"], strict=True) if f < 1]
    return [*before, (1.0, record["val_bpb"])]


def trial_of(record: dict, baseline: dict) -> FullTrial:
    kind = record["group"].partition("=")[0]
    run = str(record["seed"])
    return FullTrial(record["group"], run, points(record), points(baseline), kind, record["warmup_frac"])


def replay_at(full: Sequence[FullTrial], tolerated: float) -> tuple[StopFigures, list[Replayed]]:
    rule = replace(StopRule(), tolerated=tolerated)
    done = replay(full, NEEDED, rule)
    return summarise_stops(done, NEEDED, rule), done


def as_csv(records: dict) -> str:
    """The curves in the order of the trials, as ``autoresearch bench stop`` reads them."""
    lines = ["group,run,fraction,value"]
    for key in trials():
        if key in records:
            lines += [f"{key[0]},{key[1]},{f:.5g},{value:.5f}" for f, value in points(records[key])]
    return "\n".join(lines) + "\n"


def is_slow_starter(trial: FullTrial) -> bool:
    """A longer warmup or a smaller learning rate than the baseline's."""
    knob, _, value = trial.group.partition("=")
    return (knob == "lr" and float(value) < BASELINE["lr"]) or (
        knob == "lr_warmup" and float(value) > BASELINE["lr_warmup"]
    )


def section(full: Sequence[FullTrial], figures: dict, records: dict) -> str:
    """The section of RESULTS.md."""
    f, done = figures[0.01]
    cpu_s = sorted(r["cpu_s"] for r in records.values())
    slow = [r for r in done if is_slow_starter(r.trial)]
    slow_keeps = [r for r in slow if r.trial.gain >= NEEDED]
    lines = [
        "### Early stopping on full curves of small trials\n",
        describe() + "\n",
        f"`nice -n 19 python -m benchmarks.early_stop FOLDER`: {f.trials} trials, one core and "
        f"{cpu_s[len(cpu_s) // 2]:.1f} s of it each (median); the rule learns from earlier trials alone\n",
        "| tolerated | keeps | lost | at most (95%) | training of reverts saved | near the decision |",
        "|---|---|---|---|---|---|",
    ]
    for level, (s, _) in figures.items():
        lines.append(
            f"| {percent(level)} | {s.keeps} | {s.keeps_lost} ({percent(s.keeps_lost_frac)}) "
            f"| {percent(s.keeps_lost_upper95)} | {percent(s.saved_frac)} | {percent(s.near_saved_frac)} |"
        )
    lines += [
        f"| target at 1% | | at most {percent(MAX_LOST)} | | at least {percent(MIN_SAVED)} | |\n",
        f"Trials: {f.trials} (target {MIN_TRIALS}), within {percent(NEEDED)} of the decision: {f.near} "
        f"(target {MIN_NEAR}).",
        f"Slow starters (longer warmup or smaller lr than the baseline): {len(slow)}, keeps {len(slow_keeps)}, "
        f"of these lost {sum(r.would_stop for r in slow_keeps)}.",
    ]
    return "\n".join(lines)


def percent(frac: float | None) -> str:
    return "unknown" if frac is None else f"{100 * frac:.3g}%"


if __name__ == "__main__":
    main()
