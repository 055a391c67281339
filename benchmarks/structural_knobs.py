"""Each structural knob of profile tiny-wide alone, against the profile's baseline at equal FLOPs, with paired seeds.

    python benchmarks/structural_knobs.py --out FILE [--seeds 3] [--lr 0.002 0.004] [--threads 1]

Writes one JSON line per trial to FILE and continues it after an interruption; then prints a table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from autoresearch.config.resolve import resolve
from autoresearch.core.measurement import Measurement
from autoresearch.daemon.backend import real_backend
from autoresearch.daemon.policy import build_policy
from autoresearch.testing.recording_observer import RecordingObserver
from rails import STRUCTURAL_KNOBS

Rows = dict[tuple[str, int], dict[str, Any]]


def variants(rates: list[float]) -> dict[str, dict[str, Any]]:
    """The changes to the baseline by name: each switch alone, all but Muon, all; and Muon at each learning rate."""
    alone = {f"{name} = {value}": {name: value} for name, knob in STRUCTURAL_KNOBS.items() for value in knob.others}
    every = {name: knob.others[0] for name, knob in STRUCTURAL_KNOBS.items()}
    network = {name: value for name, value in every.items() if name != "optimizer"}
    at_rates = {f"optimizer = muon, lr = {lr:g}": {"optimizer": "muon", "lr": lr} for lr in rates}
    return {"baseline": {}, **alone, "all but optimizer": network, "all": every, **at_rates}


def measure(args: argparse.Namespace) -> Rows:
    """Run what FILE does not have yet."""
    rows = read(args.out)
    settings = resolve({"profile": "tiny-wide", "threads": args.threads, "corpus": args.corpus}, {}).settings
    policy = build_policy(settings)
    with tempfile.TemporaryDirectory() as folder:
        backend = real_backend(settings, policy, Path(folder), lambda: False, RecordingObserver())
        try:
            for seed in range(args.seeds):
                for name, changes in variants(args.lr).items():
                    if (name, seed) in rows:
                        continue
                    outcome = backend.trial.measure({**policy.baseline, **changes}, seed, lambda *_: None)
                    if not isinstance(outcome, Measurement):
                        raise SystemExit(f"{name}, seed {seed}: {outcome}")
                    row = {"name": name, "seed": seed, **outcome.model_dump(mode="json")}
                    with args.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    rows[name, seed] = row
                    print(f"{name}, seed {seed}: {row['val_bpb']:.4f}", flush=True)
        finally:
            backend.close()
    return rows


def read(path: Path) -> Rows:
    """The trials that FILE has."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {(row["name"], row["seed"]): row for row in lines}


def table(rows: Rows) -> str:
    """A row per variant: steps, FLOPs over the baseline's, val_bpb, and the paired gain with its standard error."""
    text = [f"{'variant':34}{'steps':>6}{'FLOPs':>7}{'params':>10}{'val_bpb':>9}{'gain':>8}{'s.e.':>7}{'seeds':>6}"]
    for name in dict.fromkeys(name for name, _ in rows):
        seeds = [seed for other, seed in rows if other == name and ("baseline", seed) in rows]
        own = [rows[name, seed] for seed in seeds]
        base = [rows["baseline", seed] for seed in seeds]
        gains = [100 * (1 - a["val_bpb"] / b["val_bpb"]) for a, b in zip(own, base, strict=True)]
        error = stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
        bpb = fmean(r["val_bpb"] for r in own)
        text.append(
            f"{name:34}{own[0]['train_steps']:6}{own[0]['train_flops'] / base[0]['train_flops']:7.3f}"
            f"{own[0]['params']:10}{bpb:9.4f}{fmean(gains):+7.2f}%{error:6.2f}%{len(own):6}"
        )
    return "\n".join(text)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--corpus", default="stdlib")
    parser.add_argument("--lr", type=float, nargs="*", default=[], help="also Muon with these learning rates")
    print(table(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
