"""``autoresearch bench audit``: the audit of logs on nights of known truth."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from autoresearch.cli.parsing import add_command, whole_number


def add(kinds: Any) -> None:
    """The proof ``audit``."""
    text = "audit simulated nights of known truth: what is predicted of their keeps, and what is true (Brier score)"
    parser = add_command(kinds, "audit", audit, text)
    parser.add_argument(
        "--nights", type=whole_number(1, 100_000), default=50, metavar="N", help="nights a world (default 50)"
    )
    parser.add_argument(
        "--proposals", type=whole_number(2, 10_000), default=100, metavar="N", help="proposals a night (default 100)"
    )
    parser.add_argument("--seed", type=whole_number(0, 2**63 - 1), default=0, metavar="N", help="of the simulation")
    parser.add_argument("--json", action="store_true", help="print JSON")


def audit(args: argparse.Namespace) -> int:
    """``autoresearch bench audit``."""
    from autoresearch.verdicts.audit_worlds import WORLDS, calibrate, pooled_brier

    cells = []
    for world in WORLDS:
        for loop in ("fixed", "ratchet"):
            cells.append(calibrate(world, loop, args.nights, args.proposals, args.seed))
            print(f"{world.name}, {loop}: {cells[-1].keeps} keeps", file=sys.stderr, flush=True)
    brier = pooled_brier(cells)
    if args.json:
        print(json.dumps({"cells": [c.as_json() for c in cells], "brier": brier}, indent=2))
        return 0
    print(f"{'world':<24}{'loop':<10}{'keeps':>7}{'predicted':>11}{'true':>7}{'Brier':>8}")
    for c in cells:
        print(f"{c.world:<24}{c.loop:<10}{c.keeps:>7}{c.predicted:>11.2f}{c.true:>7.2f}{c.brier:>8.3f}")
    print(f"\nBrier score over all keeps: {brier:.3f} (0 is perfect; always saying 0.5 has 0.25)")
    return 0
