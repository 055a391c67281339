"""``autoresearch repair``: make a run with a damaged log continue, or show what that would take."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_run_path, run_path
from autoresearch.errors import LockHeld
from autoresearch.hints import command

if TYPE_CHECKING:
    from autoresearch.storage.repair import Plan


def add(commands: Any) -> None:
    """The command ``repair``."""
    text = "make a run with a damaged log continue; without --yes only shows what it would do"
    parser = add_command(commands, "repair", repair, text)
    add_run_path(parser, "run directory, or one log in it")
    parser.add_argument("--yes", action="store_true", help="do it; the original is kept beside it")
    parser.add_argument("--json", action="store_true", help="print JSON")


def repair(args: argparse.Namespace) -> int:
    """``autoresearch repair``. Raises ``LockHeld`` while a daemon runs: it is the writer of every log."""
    from autoresearch.storage.lock import is_locked
    from autoresearch.storage.repair import plan_repair
    from autoresearch.storage.repair import repair as apply
    from autoresearch.storage.run_dir import LOCK, hold

    path = run_path(args)
    files = _logs(path)
    if any(is_locked(file) for file in (files[0].parent / LOCK, *files)):
        hint = f"stop it first; `{command('status', files[0].parent)}` shows what it does"
        raise LockHeld(f"{files[0].parent} belongs to a running autoresearch", hint=hint)
    plans = [plan_repair(file) for file in files]
    copies: list[Path | None] = [None] * len(plans)
    removed = [""] * len(plans)
    if args.yes and any(plan.steps for plan in plans):
        with hold(files[0].parent):
            plans = [plan_repair(file) for file in files]  # again: a daemon may have run since
            for number, plan in enumerate(plans):
                if plan.steps:
                    copies[number], removed[number] = apply(plan)
    if args.json:
        facts = [_facts(*done) for done in zip(plans, copies, removed, strict=True)]
        print(json.dumps(facts[0] | {"logs": facts}, indent=2))
    else:
        print("\n".join(_text(*done, path) for done in zip(plans, copies, removed, strict=True)))
    return 0


def _logs(path: Path) -> list[Path]:
    """The logs to repair: the one that ``path`` names, or those in that run directory, its trajectory first."""
    from autoresearch.storage.repair import REPAIRABLE

    if not path.is_dir():
        return [path]
    found = [path / name for name in REPAIRABLE if os.path.lexists(path / name)]
    return found or [path / REPAIRABLE[0]]


def _facts(plan: Plan, copy: Path | None, removed: str) -> dict[str, Any]:
    return {
        "file": str(plan.file),
        "needed": bool(plan.steps) and copy is None,
        "problems": list(plan.warnings),
        "steps": list(plan.steps),
        "records_kept": plan.kept,
        "records_cut": plan.cut,
        "repaired": copy is not None,
        "original": str(copy) if copy else None,
        "removed": removed,
    }


def _text(plan: Plan, copy: Path | None, removed: str, path: Path) -> str:
    from autoresearch.core.text import escape_control, plural

    if not plan.steps:
        return f"{plan.file} is whole: {plural(plan.kept, 'record')}. Nothing is to be repaired."
    lines = [f"{plan.file}:", *(f"  {text}" for text in plan.warnings)]
    lines += ["Repaired:" if copy else "The repair would:", *(f"  {step}" for step in plan.steps)]
    if copy:
        after = f", after record {plan.kept - 1}" if plan.kept else ""
        lines += [
            f"The original is {copy}.",
            *([f"{removed}."] if removed else []),
            f"The run continues with its next start{after}.",
        ]
    else:
        lines.append(f"Nothing was changed. `{command('repair', path, '--yes')}` does it and keeps the original.")
    return "\n".join(map(escape_control, lines))
