"""What sharing a seed is worth: the correlation of baseline and candidate at equal seeds, knob by knob.

python -m benchmarks.seed_correlation --dir D [--seeds 8] [--workers 1]
python -m benchmarks.seed_correlation --dir D --run RUN --corpus CORPUS   # the candidates of a run of profile tiny

Profile tiny with one thread a trial, about 13 s of CPU time each: 12 trials a seed, with ``--run`` 2 for each seed of
the run's baseline. The same command resumes; a smaller ``--seeds`` reports the first seeds of what is there.

The candidate of seed s has the data order and the initialisation of s. It is paired with a baseline that shares both,
one of the two, or neither. Which side has the foreign seed makes no difference to the correlation, so that two
baselines a seed serve all candidates.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from autoresearch.report.load import load_records
from autoresearch.verdicts.correlation import NORMAL_975, Pairs, pooled_correlation
from benchmarks.machine import describe
from benchmarks.seed_correlation_run import trials_of_run
from benchmarks.seed_correlation_trials import BASELINE, ELSEWHERE, Key, foreign_baselines, measure, planned

SHARED = ("both", "data order", "initialisation", "neither")
SHAPE_KNOBS = ("n_layer", "d_model", "d_ff", "seq_len")  # seq_len: of the table of positions
GROUPS = ("shapes changed", "shapes kept")
MIN_SEEDS = 4  # of a candidate: the interval of three is all of (-1, 1)

Trials = Mapping[Key, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--corpus", default="stdlib")
    args = parser.parse_args()
    found = trials_of_run(load_records(args.run), args.corpus) if args.run else {}
    found = {key: bpb for key, bpb in found.items() if key.data_seed < args.seeds}
    wanted = list(foreign_baselines(seeds_of(found, BASELINE)) if args.run else planned(args.seeds))
    measured = measure(args.dir, wanted, args.workers, args.corpus)
    print(section(found | {key: measured[key] for key in wanted}))


def section(trials: Trials) -> str:
    """The section of RESULTS.md."""
    baseline = [trials[Key.own(BASELINE, seed)] for seed in seeds_of(trials, BASELINE)]
    sd, mean = stdev(baseline), fmean(baseline)
    rows = [row for group in GROUPS for row in rows_of(trials, group)]
    return "\n".join(
        [
            "### What equal seeds share, knob by knob, profile tiny",
            f"\n{describe()}",
            f"\nBaseline: {len(baseline)} seeds, mean val_bpb {mean:.4f}, SD {sd:.4f} ({sd / mean:.2%}). Correlation",
            "of candidate and baseline with its 95% interval (Fisher z), by what the two share at equal seeds:\n",
            *_table(
                ["", "candidates, pairs", *SHARED],
                [[name, f"{len(some)}, {_count(trials, some)}", *_correlations(trials, some)] for name, some in rows],
            ),
            "\nSD of the paired gain in % of val_bpb, and its ratio to sqrt(2) times the baseline's SD at the same",
            "seeds, which two independent trials would have:\n",
            *_table(
                ["", "mean gain", "SD of a candidate", *SHARED],
                [[name, *_spread(trials, some)] for name, some in rows],
            ),
        ]
    )


def rows_of(trials: Trials, group: str) -> list[tuple[str, list[str]]]:
    """Each knob of a group with its changes, and the whole group."""
    changes = changes_of(trials, group)
    by_knob: dict[str, list[str]] = {}
    for change in changes:
        by_knob.setdefault(knob_of(change), []).append(change)
    return [*by_knob.items(), (f"**{group}**", changes)] if changes else []


def knob_of(change: str) -> str:
    """The knob of KNOB=VALUE."""
    return change.partition("=")[0]


def seeds_of(trials: Trials, change: str) -> list[int]:
    """The seeds with which the product's own trial of ``change`` was measured."""
    return sorted(key.data_seed for key in trials if key == Key.own(change, key.data_seed))


def changes_of(trials: Trials, group: str) -> list[str]:
    """The changes of a group that have enough seeds, in the order of their first trials."""
    changes = dict.fromkeys(key.change for key in trials if key.change != BASELINE)
    wanted = [c for c in changes if (knob_of(c) in SHAPE_KNOBS) == (group == GROUPS[0])]
    return [change for change in wanted if len(pairs(trials, change, "both")) >= MIN_SEEDS]


def pairs(trials: Trials, change: str, shared: str) -> Pairs:
    """Baseline and candidate at each seed with both; for ``neither`` the baseline of the next seed, cyclically."""
    own = seeds_of(trials, BASELINE)
    partners = {
        "both": {seed: Key.own(BASELINE, seed) for seed in own},
        "data order": {seed: Key(BASELINE, seed, seed + ELSEWHERE) for seed in own},
        "initialisation": {seed: Key(BASELINE, seed + ELSEWHERE, seed) for seed in own},
        "neither": {seed: Key.own(BASELINE, other) for seed, other in zip(own, [*own[1:], *own[:1]], strict=True)},
    }[shared]
    common = [seed for seed in seeds_of(trials, change) if seed in partners and partners[seed] in trials]
    return [(trials[partners[seed]], trials[Key.own(change, seed)]) for seed in common]


def correlation(trials: Trials, changes: Sequence[str], shared: str) -> tuple[float, float, float] | None:
    """The correlation pooled over the changes, with its interval; ``None`` without enough seeds.

    The interval is that of one change with the mean number of seeds: the changes share the baselines and, at equal
    seeds, most of their own noise, so that several of them are counted as no more than one.
    """
    found = [some for change in changes if len(some := pairs(trials, change, shared)) >= MIN_SEEDS]
    if not found:
        return None
    r = pooled_correlation(found).value
    half = NORMAL_975 / math.sqrt(fmean(len(some) for some in found) - 3)
    return r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)


def gains(found: Pairs) -> list[float]:
    """Paired gains as fractions of the baseline's mean."""
    mean = fmean(b for b, _ in found)
    return [(b - c) / mean for b, c in found]


def _count(trials: Trials, changes: Sequence[str]) -> int:
    return sum(len(pairs(trials, change, "both")) for change in changes)


def _correlations(trials: Trials, changes: Sequence[str]) -> list[str]:
    cells = [correlation(trials, changes, shared) for shared in SHARED]
    return [f"{c[0]:.2f} ({c[1]:.2f} to {c[2]:.2f})" if c else "" for c in cells]


def _spread(trials: Trials, changes: Sequence[str]) -> list[str]:
    own = [pairs(trials, change, "both") for change in changes]
    independent = math.sqrt(2) * _rms(stdev(b for b, _ in some) / fmean(b for b, _ in some) for some in own)
    cells = [f"{fmean(fmean(gains(some)) for some in own):+.2%}"]
    cells.append(f"{_rms(stdev(c for _, c in some) / fmean(c for _, c in some) for some in own):.2%}")
    for shared in SHARED:
        found = [some for change in changes if len(some := pairs(trials, change, shared)) >= MIN_SEEDS]
        sd = _rms(stdev(gains(some)) for some in found) if found else None
        cells.append("" if sd is None else f"{sd:.2%}, {sd / independent:.2f}")
    return cells


def _rms(values: Iterable[float]) -> float:
    return math.sqrt(fmean(value * value for value in values))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


if __name__ == "__main__":
    main()
