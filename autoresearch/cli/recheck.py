"""``autoresearch recheck``: measure what a run kept again, with fresh seeds."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command, whole_number
from autoresearch.cli.settings import add_settings, resolve_args
from autoresearch.errors import AutoresearchError, CorpusError

if TYPE_CHECKING:
    from autoresearch.config.settings import Settings
    from autoresearch.daemon.recheck import Rechecked

SEEDS = 4
NOTE = """\
kept by: run, its own decision; threshold, what the plain rule (one seed, no test) would have kept of the same trials.
holds: above zero at 95% and large enough for a keep; smaller: above zero; not there: below what a keep needs;
not resolved: more seeds would tell (--seeds)."""


def add(commands: Any) -> None:
    """The command ``recheck``."""
    text = "measure what a run kept again, with fresh seeds: which gains are still there; resumes earlier work in --dir"
    parser = add_command(commands, "recheck", recheck, text)
    parser.add_argument("path", metavar="RUN", help="run directory or trajectory.jsonl")
    text = f"fresh seeds of the baseline and of every kept configuration (default {SEEDS})"
    parser.add_argument("--seeds", type=whole_number(2, 1000), default=SEEDS, metavar="N", help=text)
    text = "only what the run itself kept, not what rule threshold would have kept"
    parser.add_argument("--only-run", action="store_true", help=text)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_settings(parser, ("profile", "dir", "corpus", "trainer", "device"))


def recheck(args: argparse.Namespace) -> int:
    """``autoresearch recheck``."""
    from autoresearch.core.records import Meta
    from autoresearch.daemon.observers.terminal import Terminal
    from autoresearch.daemon.recheck import kept_configurations
    from autoresearch.daemon.recheck import recheck as measure
    from autoresearch.report.load import load_records

    records = load_records(Path(args.path))
    meta = next((r for r in records if isinstance(r, Meta)), None)
    if meta is None:
        raise CorpusError(f"{args.path} has no meta record", hint="name a run that has started")
    kept = [k for k in kept_configurations(records) if k.by_run or not args.only_run]
    terminal = Terminal(0, sys.stderr)
    results, complete = measure(_settings(args), meta, kept, args.seeds, terminal)
    terminal.done()
    if args.json:
        facts = {"run": args.path, "seeds": args.seeds, "complete": complete, "kept": [_facts(r) for r in results]}
        print(json.dumps(facts, indent=2))
    elif results:
        print("\n".join([*_table(results), "", *_summary(results), "", NOTE]))
    else:
        print(f"{args.path}: nothing was kept")
    if not complete:
        raise AutoresearchError("ended before every seed was measured", hint="the same command resumes")
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    """The settings on the command line over those of the run, in a directory of their own."""
    path = Path(args.path)
    return resolve_args(args, path if path.is_dir() else path.parent).settings


def _facts(result: Rechecked) -> dict[str, Any]:
    kept, (low, high) = result.kept, result.interval_frac
    return {
        "iter": kept.iter,
        "change": kept.change,
        "kept_by_run": kept.by_run,
        "kept_by_threshold": kept.by_threshold,
        "first_seed_frac": kept.first_frac,
        "claimed_frac": kept.claimed_frac,
        "claimed_seeds": kept.seeds,
        "gains_frac": list(result.gains_frac),
        "seeds": [p.seed for p in result.pairs],
        "mean_frac": result.mean_frac,
        "low_frac": low,
        "high_frac": high,
        "label": result.label,
        "failures": result.failures,
    }


def _summary(results: Sequence[Rechecked]) -> list[str]:
    """What each rule claims on average, beside the fresh seeds of the same keeps."""
    from math import fsum, sqrt
    from statistics import fmean

    from autoresearch.core.text import signed_percent

    lines = []
    for rule in ("run", "threshold"):
        pairs = []
        for result in results:
            kept = result.kept
            claim = kept.claimed_frac if rule == "run" else kept.first_frac
            if (kept.by_run if rule == "run" else kept.by_threshold) and claim is not None and result.gains_frac:
                pairs.append((claim, fmean(result.gains_frac)))
        if pairs:
            claims, fresh = (fmean(side) for side in zip(*pairs, strict=True))
            rms = sqrt(fsum((c - f) ** 2 for c, f in pairs) / len(pairs))
            text = f"claims {signed_percent(claims)} on average, fresh seeds {signed_percent(fresh)}"
            lines.append(f"{rule}: {len(pairs)} kept, {text}, root mean square difference {100 * rms:.2f}%")
    return lines


def _table(results: Sequence[Rechecked]) -> list[str]:
    from autoresearch.core.text import signed_percent
    from autoresearch.report.format import safe

    heading = ("iter", "change", "kept by", "first seed", "claimed", "fresh seeds", "95% interval", "verdict")
    rows = [heading]
    for result in results:
        kept, (low, high) = result.kept, result.interval_frac
        by = [name for name, is_so in (("run", kept.by_run), ("threshold", kept.by_threshold)) if is_so]
        mean = "-" if result.mean_frac is None else f"{signed_percent(result.mean_frac)} x{len(result.pairs)}"
        span = "-" if low is None or high is None else f"{signed_percent(low)} to {signed_percent(high)}"
        label = f"{result.label}, {len(result.failures)} failed" if result.failures else result.label
        claimed = f"{signed_percent(kept.claimed_frac)} x{kept.seeds}"
        first = "-" if kept.first_frac is None else signed_percent(kept.first_frac)
        rows.append((str(kept.iter), safe(kept.change, 40), ", ".join(by), first, claimed, mean, span, label))
    widths = [max(len(row[i]) for row in rows) for i in range(len(heading))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
