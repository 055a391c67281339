"""The real trials of ``bench aa`` and ``bench planted``: measured once, durable, resumed by the same command."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from autoresearch.cli.settings import resolve_args
from autoresearch.errors import AutoresearchError

if TYPE_CHECKING:
    from autoresearch.daemon.planted_trials import RealGain
    from autoresearch.verdicts.simulate import Draw

ORDERS = 1000  # in which the seeds of a real gain are judged


def noise_of_trials(args: argparse.Namespace) -> tuple[Draw, float]:
    """Measure the real null trials that are missing; how to draw their noise, and its standard deviation."""
    from statistics import pstdev

    from autoresearch.daemon.null_trials import measure_null_trials
    from autoresearch.daemon.observers.terminal import Terminal
    from autoresearch.verdicts.repeats import relative_residuals
    from autoresearch.verdicts.simulate import resampled

    terminal = Terminal(0, sys.stderr)
    trials = measure_null_trials(
        resolve_args(args).settings,
        args.trials,
        terminal,
        on_trial=lambda number, trial: terminal.notify(
            f"null trial {number}/{args.trials}: seed {trial.seed}, {trial.describe()}"
        ),
    )
    terminal.done()
    if len(trials) < args.trials:
        ended = f"ended after {len(trials)} of {args.trials} null trials"
        raise AutoresearchError(ended, hint="the same command resumes")
    residuals = relative_residuals({"baseline": [t.loss for t in trials]})
    spread = pstdev(residuals)
    print(f"{len(trials)} null trials: standard deviation {100 * spread:.3f}%", file=sys.stderr)
    return resampled(residuals), spread


def judge_real_gain(args: argparse.Namespace) -> int:
    """``autoresearch bench planted --trials``: a bad baseline against the profile's own, judged in random orders."""
    from autoresearch.daemon.observers.terminal import Terminal
    from autoresearch.daemon.planted_trials import measure_real_gain

    terminal = Terminal(0, sys.stderr)
    settings = resolve_args(args).settings
    found = measure_real_gain(settings, args.bad, args.trials, terminal, orders=ORDERS, seed=args.seed)
    terminal.done()
    if found is None:
        raise AutoresearchError("ended before every seed was measured", hint="the same command resumes")
    if args.json:
        print(json.dumps({"real": _facts(found)}, indent=2))
    else:
        print("\n".join(_lines(found)))
    return 0


def _facts(found: RealGain) -> dict[str, Any]:
    low, high = found.interval_frac
    return {
        "knob": found.knob,
        "bad": found.bad,
        "good": found.good,
        "seeds": len(found.gains_frac),
        "gain": found.mean_frac,
        "gain_low95": low,
        "gain_high95": high,
        "sd_frac": found.sd_frac,
        "correlation": found.correlation,
        "orders": found.orders.orders,
        "power": found.orders.keeps / found.orders.orders,
        "trials_per_order": found.orders.trials / found.orders.orders,
        "threshold_power": found.threshold_keeps / len(found.gains_frac),
        "seconds_per_trial": found.seconds_per_trial,
    }


def _lines(found: RealGain) -> list[str]:
    facts, (low, high) = _facts(found), found.interval_frac
    interval = "" if low is None or high is None else f" (95% interval {100 * low:+.2f} to {100 * high:+.2f}%)"
    rho = "" if found.correlation is None else f", correlation at equal seeds {found.correlation:.2f}"
    orders, seconds = found.orders, found.seconds_per_trial * facts["trials_per_order"]
    return [
        f"true gain    {found.knob} = {found.good} instead of {found.bad}: {100 * found.mean_frac:+.2f}%{interval}, "
        f"{len(found.gains_frac)} seeds{rho}",
        f"sequential   kept in {orders.keeps} of {orders.orders} orders of these seeds, "
        f"{facts['trials_per_order']:.2f} trials of the candidate each ({seconds:.0f} s)",
        f"threshold    kept with {found.threshold_keeps} of {len(found.gains_frac)} seeds, 1 trial each",
    ]
