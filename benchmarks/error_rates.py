"""The self-proofs of the keep rule in full: false keeps and power of every rule, as tables.

python -m benchmarks.error_rates [--nights 10000] [--planted-nights 1000]

The same cells as ``autoresearch bench aa``, ``bench planted``, and both with ``--noise`` and the file of
``benchmarks.heavy_repeats``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from autoresearch.cli.bench import SD
from autoresearch.verdicts.bench import PLANTED_GAINS, noises, run_bench
from autoresearch.verdicts.repeats import parse_repeats, relative_residuals
from autoresearch.verdicts.simulate import resampled
from benchmarks.heavy_repeats import heavy_repeats
from benchmarks.machine import describe

Cells = Sequence[dict[str, Any]]  # as `--json` prints them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=10_000)
    parser.add_argument("--planted-nights", type=int, default=1000)
    args = parser.parse_args()
    residuals = relative_residuals(parse_repeats(heavy_repeats()))
    sd = (sum(r * r for r in residuals) / len(residuals)) ** 0.5
    sources = [noises(SD), {"file": (resampled(residuals), sd)}]
    aa = [c.as_json() for s in sources for c in run_bench(s, (0.0,), nights=args.nights, proposals=100, seed=0)]
    planted = [
        c.as_json()
        for s in sources
        for c in run_bench(s, PLANTED_GAINS, nights=args.planted_nights, proposals=100, seed=0)
    ]
    print(section(aa, planted))


def section(aa: Cells, planted: Cells) -> str:
    """The section of RESULTS.md."""
    lines = [
        f"### Error rates of the keep rule\n\n{describe()}\n",
        f"`python -m benchmarks.error_rates`: nights of 100 simulated proposals, seed SD {100 * SD:g}% (`file`: of",
        "`benchmarks.heavy_repeats`, kurtosis 315), threshold 0.5%, the baseline with 3 seeds\n",
        f"P(any false keep) in a night of 100 nulls, {aa[0]['nights']:,} nights a line; ours with its upper",
        "95% bound (Clopper-Pearson)\n",
        *_aa_table(aa),
        "",
        f"Power: one proposal in ten has the gain, {planted[0]['nights']:,} nights a line. In brackets: trials of",
        "candidates per proposal. `record`: n runs of each, sigma known, p < 0.001, n for power 0.9 at 1%\n",
        *_planted_table(planted),
        "",
    ]
    return "\n".join(lines)


def _aa_table(cells: Cells) -> Iterable[str]:
    yield "| noise | correlation | ours | upper 95% | trials per null | threshold | best so far | mean minus 1 SD |"
    yield "|---|---|---|---|---|---|---|---|"
    for (noise, rho, _), row in _by_world(cells).items():
        ours = row["sequential"]
        others = [f"{row[r]['p_any_false_keep']:.3f}" for r in ("threshold", "best_so_far", "mean_minus_sd")]
        own = f"{ours['p_any_false_keep']:.4f} | {ours['p_any_upper95']:.4f} | {ours['trials_per_proposal']:.2f}"
        yield f"| {noise} | {rho:g} | {own} | {' | '.join(others)} |"


def _planted_table(cells: Cells) -> Iterable[str]:
    yield "| noise | correlation | gain | ours | record | threshold | best so far | mean minus 1 SD |"
    yield "|---|---|---|---|---|---|---|---|"
    for (noise, rho, gain), row in _by_world(cells).items():
        parts = [f"{row[r]['power']:.3f} ({row[r]['trials_per_proposal']:.2f})" for r in ("sequential", "record")]
        parts += [f"{row[r]['power']:.3f}" for r in ("threshold", "best_so_far", "mean_minus_sd")]
        yield f"| {noise} | {rho:g} | {100 * gain:g}% | {' | '.join(parts)} |"


def _by_world(cells: Cells) -> dict[tuple[str, float, float], dict[str, dict[str, Any]]]:
    worlds: dict[tuple[str, float, float], dict[str, dict[str, Any]]] = {}
    for cell in cells:
        worlds.setdefault((cell["noise"], cell["rho"], cell["gain"]), {})[cell["rule"]] = cell
    return worlds


if __name__ == "__main__":
    main()
