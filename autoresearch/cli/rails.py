"""``autoresearch rails check`` and ``rails bench``: explain one verdict, and measure the rails on adversarial cases."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command, as_sentence
from autoresearch.errors import ConfigError

if TYPE_CHECKING:
    from rails import Config, Menu, Tried, Verdict
    from rails.bench import Context, Score

PROFILES = ("tiny", "gb10-354m")  # of the named cases, beside the shipped menu
MAX_INPUT_BYTES = 1 << 20
MAX_CHANGES = 64
DEVICE_UNKNOWN = "only a run knows its device; `autoresearch doctor` and `run` check it"


def add(commands: Any) -> None:
    """The command ``rails`` with ``check`` and ``bench``."""
    text = "explain one verdict of the rails, or measure them on adversarial cases"
    parser = commands.add_parser("rails", help=text, description=as_sentence(text))
    kinds = parser.add_subparsers(title="what to do", required=True, metavar="ACTION")
    one = add_command(kinds, "check", check, "judge one reply and say what each rail did; exit code 1 if it is refused")
    one.add_argument("text", metavar="TEXT", help="the reply, or - to read it from stdin")
    one.add_argument("path", nargs="?", metavar="RUN", help="take menu, baseline and history of this run")
    one.add_argument("--menu", metavar="FILE", help="take this menu, with its defaults as the baseline")
    one.add_argument("--profile", metavar="PROFILE", help="take menu and baseline of this profile (default tiny)")
    one.add_argument(
        "--max-changes", type=_changes, default=1, metavar="N", help="how many knobs a reply may change (default 1)"
    )
    one.add_argument("--json", action="store_true", help="print JSON")
    text = "judge adversarial cases and count the right verdicts; exit code 1 if one is wrong"
    many = add_command(kinds, "bench", bench, text)
    many.add_argument("--menu", metavar="FILE", help="derive all cases from this menu instead")
    many.add_argument(
        "--generated", type=_count, default=1000, metavar="N", help="cases derived from each menu (default 1000)"
    )
    many.add_argument("--seed", type=int, default=0, help="seed of the derived cases (default 0)")
    many.add_argument("--json", action="store_true", help="print JSON")


def check(args: argparse.Namespace) -> int:
    """``autoresearch rails check``."""
    from rails import Rail, explain, gate

    raw = sys.stdin.buffer.read(MAX_INPUT_BYTES) if args.text == "-" else os.fsencode(args.text)
    context, known = _context_of(args)
    verdict = gate(raw, context.baseline, context.menu, steps=context.steps, known=known, max_changes=args.max_changes)
    changes = [{"knob": knob, "new_value": v} for knob, v in verdict.proposal.changes] if verdict.proposal else None
    outcomes = explain(verdict, {Rail.R7_BUDGET: DEVICE_UNKNOWN})
    if args.json:
        rows = [{"rail": o.rail, "outcome": o.outcome, "checks": o.checks, "reason": o.reason} for o in outcomes]
        found = {"ok": verdict.ok, "rail": verdict.rail, "reason": verdict.reason, "diff": verdict.diff}
        found |= {"changes": changes, "rails": rows}
        print(json.dumps(found, indent=2))
    else:
        print(_headline(verdict))
        for o in outcomes:
            print(f"  {o.rail:<12}  {o.outcome:<11}  {o.reason or o.checks}")
    return 0 if verdict.ok else 1


def bench(args: argparse.Namespace) -> int:
    """``autoresearch rails bench``."""
    from rails.bench import generate, load_cases, score

    contexts = {"menu": _defaults(_menu(args.menu))} if args.menu else _named_contexts()
    named = [] if args.menu else load_cases()
    derived = (generate(context, args.generated, args.seed, name) for name, context in contexts.items())
    result = score(itertools.chain(named, *derived), contexts)
    if not result.cases:
        raise ConfigError("there is no case to judge", hint="--generated 1000")
    print(json.dumps(_plain(result), indent=2) if args.json else _table(result))
    return 0 if result.perfect else 1


def _context_of(args: argparse.Namespace) -> tuple[Context, Tried | None]:
    """Menu, baseline, steps and history that ``check`` judges with. Raises ``ConfigError``, ``JournalError``."""
    sources = (("RUN", args.path), ("--menu", args.menu), ("--profile", args.profile))
    given = [name for name, value in sources if value]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} each name a menu", hint="give one of them")
    if args.menu:
        return _defaults(_menu(args.menu)), None
    return _of_run(Path(args.path)) if args.path else (_of_profile(args.profile or "tiny"), None)


def _of_run(path: Path) -> tuple[Context, Tried]:
    from autoresearch.core.trajectory import Trajectory
    from autoresearch.report.load import stream_records
    from autoresearch.trials.trial_budget import recorded_budget, trial_steps
    from rails import parse_menu
    from rails.bench import Context

    trajectory = Trajectory()
    for record in stream_records(path):
        trajectory.add(record, 0)  # the place in the file: closed iterations are not kept, and none is read here
    meta = trajectory.meta
    assert meta is not None  # stream_records refuses a trajectory that does not begin with one
    budget = recorded_budget(meta.yardstick)

    def steps(cfg: Config) -> int | None:
        return trial_steps(budget, cfg, meta.baseline_cfg, meta.vocab or 0)  # 0: of an older run, not in FLOPs

    return Context(parse_menu(meta.menu), meta.baseline_cfg, steps), trajectory.known()


def _of_profile(profile: str) -> Context:
    from autoresearch.config.resolve import resolve
    from autoresearch.daemon.policy import build_policy
    from rails.bench import Context

    policy = build_policy(resolve({"profile": profile}, {}).settings)
    return Context(policy.menu, policy.baseline, policy.steps)


def _named_contexts() -> dict[str, Context]:
    from rails.bench import Context

    return {"shipped": Context.shipped()} | {profile: _of_profile(profile) for profile in PROFILES}


def _menu(file: str) -> Menu:
    from rails import MenuError, load_menu

    try:
        return load_menu(Path(file))
    except MenuError as e:
        raise ConfigError(f"menu: {e}", hint="perturbation_menu.json shows the format") from e


def _defaults(menu: Menu) -> Context:
    from rails.bench import Context

    return Context(menu, menu.defaults)


def _headline(verdict: Verdict) -> str:
    if not verdict.ok:
        return f"refused by {verdict.rail}: {verdict.reason}"
    proposal = verdict.proposal
    assert proposal is not None  # a verdict that passes has one
    return "passed: " + ", ".join(f"{knob} = {json.dumps(value)}" for knob, value in proposal.changes)


def _plain(result: Score) -> Mapping[str, Any]:
    return {
        "cases": result.cases,
        "block_recall": result.block_recall,
        "clean_pass": result.clean_pass,
        "attribution": result.attribution,
        "by_rail": {rail: {"cases": count, "right": right} for rail, (count, right) in result.by_rail.items()},
        "misses": [
            {"name": m.name, "expected": m.expected, "judged_by": m.judged_by, "reason": m.reason}
            for m in result.misses
        ],
    }


def _table(result: Score) -> str:
    lines = [f"{'expected':<12}  {'cases':>7}  {'right':>7}"]
    lines += [f"{rail:<12}  {count:>7}  {right:>7}" for rail, (count, right) in result.by_rail.items()]
    lines += [
        f"block recall {result.block_recall:.4f}, clean pass {result.clean_pass:.4f}, "
        f"attribution {result.attribution:.4f}"
    ]
    lines += [f"wrong: {m.name}: {m.expected} expected, {m.judged_by}: {m.reason}" for m in result.misses[:20]]
    if len(result.misses) > 20:
        lines.append(f"and {len(result.misses) - 20} more wrong verdicts: --json lists them")
    return "\n".join(lines)


def _changes(text: str) -> int:
    """Parse a number of changes; a type for argparse."""
    value = int(text)
    if not 1 <= value <= MAX_CHANGES:
        raise argparse.ArgumentTypeError(f"{text} is not a number of changes from 1 to {MAX_CHANGES}")
    return value


def _count(text: str) -> int:
    """Parse a number of cases; a type for argparse."""
    value = int(text)
    if not 0 <= value <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text} is not a number of cases from 0 to 10,000,000")
    return value
