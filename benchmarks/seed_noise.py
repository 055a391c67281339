"""Standard deviation of val_bpb over seeds for a profile's baseline: the noise of a verdict on one seed.

python -m benchmarks.seed_noise [--seeds 8] [--set NAME=VALUE ...]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from autoresearch.config.resolve import parse_assignment, resolve
from autoresearch.core.measurement import Measurement
from autoresearch.daemon.backend import real_backend
from autoresearch.daemon.policy import build_policy
from autoresearch.testing.recording_observer import RecordingObserver
from benchmarks.machine import describe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--set", dest="assignments", action="append", default=[])
    args = parser.parse_args()
    settings = resolve({"profile": "tiny", **dict(parse_assignment(a) for a in args.assignments)}, {}).settings
    policy = build_policy(settings)
    with tempfile.TemporaryDirectory() as folder:
        backend = real_backend(settings, policy, Path(folder), lambda: False, RecordingObserver())
        outcomes = [backend.trial.measure(policy.baseline, seed, lambda *_: None) for seed in range(args.seeds)]
        backend.close()
    measured = [o for o in outcomes if isinstance(o, Measurement)]
    bpb = [m.val_bpb for m in measured]
    mean, sd = statistics.fmean(bpb), statistics.stdev(bpb)
    print(f"### Noise of val_bpb over seeds, profile tiny\n\n{describe()}\n")
    flags = "".join(f" --set {a}" for a in args.assignments)
    print(
        f"`python -m benchmarks.seed_noise --seeds {args.seeds}{flags}`: initialisation and data order from the seed\n"
    )
    print("| | |\n|---|---|")
    print(f"| seeds | {len(bpb)} |\n| mean val_bpb | {mean:.4f} |\n| SD | {sd:.4f} ({100 * sd / mean:.2f} %) |")
    print(f"| lowest, highest | {min(bpb):.4f}, {max(bpb):.4f} |\n| target for the SD | at most 0.50 % |")
    print(f"| a trial's training, median | {statistics.median(m.train_wall_s for m in measured):.1f} s |")
    print(f"| a trial's validation, median | {statistics.median(m.val_wall_s for m in measured):.1f} s |")
    print(f"\nEach: {', '.join(f'{b:.4f}' for b in bpb)}")


if __name__ == "__main__":
    main()
