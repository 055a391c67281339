"""``autoresearch bench stop``: replay the early stopping of trials on full loss curves."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command
from autoresearch.core.text import escape_control, plural
from autoresearch.errors import ConfigError

if TYPE_CHECKING:
    from autoresearch.verdicts.early_stop_replay import FullTrial, StopFigures

LEVELS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)  # of the tolerated loss, for the trade-off


def add(kinds: Any) -> None:
    """The proof ``stop``."""
    text = "replay early stopping on full loss curves: the keeps that it loses, the training that it saves"
    parser = add_command(kinds, "stop", stop, text)
    columns = (
        "CSV with the columns group,run,fraction,value (configuration, seed, share of the budget, loss there), "
        "run directories: their candidates' trials, and the null trials of bench aa --trials; or tables of bench table"
    )
    parser.add_argument("--curves", required=True, nargs="+", metavar="PATH", help=columns)
    parser.add_argument("--baseline", metavar="GROUP", help="the group of the baseline in CSV (default: the first)")
    parser.add_argument(
        "--needed", type=float, default=0.005, metavar="FRAC", help="the final gain of a keep (default: 0.005)"
    )
    parser.add_argument(
        "--tolerated", type=float, default=0.01, metavar="FRAC", help="the share of keeps that may be lost (0.01)"
    )
    parser.add_argument("--min-curves", type=int, default=30, metavar="N", help="full curves before it is on (30)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def stop(args: argparse.Namespace) -> int:
    """``autoresearch bench stop``."""
    from autoresearch.cli.bench_stop_sources import read_sources
    from autoresearch.verdicts.early_stop import StopRule
    from autoresearch.verdicts.early_stop_replay import replay, summarise_stops

    _check(args)
    trials, baseline = read_sources([Path(path) for path in args.curves], args.baseline)
    rule = StopRule(tolerated=args.tolerated, min_curves=args.min_curves)
    if all(Path(path).is_dir() or path.endswith(".json") for path in args.curves):
        rule = StopRule.of_run(args.tolerated, args.min_curves, rule.audit_frac)
    levels = sorted({args.tolerated, *LEVELS})
    rules = [replace(rule, tolerated=level) for level in levels]
    curve = [summarise_stops(replay(trials, args.needed, r), args.needed, r) for r in rules]
    figures = curve[levels.index(args.tolerated)]
    print(_json(figures, curve, baseline, args) if args.json else _text(figures, curve, trials, baseline, args))
    return 0


def _check(args: argparse.Namespace) -> None:
    if not 0 < args.tolerated < 1:
        raise ConfigError(f"--tolerated {args.tolerated:g} is not between 0 and 1", hint="--tolerated 0.01")
    if not 0 < args.needed < 1:
        raise ConfigError(f"--needed {args.needed:g} is not between 0 and 1", hint="--needed 0.005")
    if args.min_curves < 10:
        what = f"--min-curves {args.min_curves}: fewer than 10 curves say nothing about a tail"
        raise ConfigError(what, hint="--min-curves 30")


def _json(figures: StopFigures, curve: Sequence[StopFigures], baseline: str, args: argparse.Namespace) -> str:
    trade_off = [asdict(f) for f in curve]
    return json.dumps(
        {**asdict(figures), "baseline": baseline, "needed": args.needed, "trade_off": trade_off}, indent=2
    )


def _text(
    f: StopFigures, curve: Sequence[StopFigures], trials: Sequence[FullTrial], baseline: str, args: argparse.Namespace
) -> str:
    groups = len({trial.group for trial in trials})
    lines = [
        f"{plural(f.trials, 'trial')} of {plural(groups, 'group')} against {escape_control(baseline)}; "
        f"a keep gains at least {100 * args.needed:g}%; {f.near} within that of the decision",
        f"keeps    {f.keeps}, lost {f.keeps_lost} ({_share(f.keeps_lost_frac)}, at most {_share(f.keeps_lost_upper95)} "
        "with 95% confidence)",
        f"reverts  {f.reverts}, stopped {f.reverts_stopped}; {_share(f.saved_frac)} of their training saved "
        f"({_share(f.near_saved_frac)} for the {f.near_reverts} near the decision)",
        _audit(f, args),
        "",
        "tolerated   keeps lost         at most   saved",
    ]
    lines += [_trade_off_line(c) for c in curve]
    return "\n".join(lines)


def _trade_off_line(c: StopFigures) -> str:
    lost = f"{c.keeps_lost} ({_share(c.keeps_lost_frac)})"
    return f"{_share(c.tolerated):>9}   {lost:<16} {_share(c.keeps_lost_upper95):>9}   {_share(c.saved_frac):>5}"


def _audit(f: StopFigures, args: argparse.Namespace) -> str:
    if f.learned_before_first is None:
        few = f"; the rule is off before {plural(args.min_curves, 'full curve')}" if f.trials <= args.min_curves else ""
        return f"audit    no trial would have been stopped{few}"
    return (
        f"audit    {f.audited} of {plural(f.stops, 'stop')} ran on, {f.audited_keeps} of them keeps; "
        f"the first stop came after {f.learned_before_first} full curves"
    )


def _share(frac: float | None) -> str:
    return "unknown" if frac is None else f"{100 * frac:.3g}%"
