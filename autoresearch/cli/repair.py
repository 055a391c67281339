"""``autoresearch repair``: make a run with a damaged trajectory continue, or show what that would take."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_run_path, run_path
from autoresearch.errors import LockHeld

if TYPE_CHECKING:
    from autoresearch.storage.repair import Plan


def add(commands: Any) -> None:
    """The command ``repair``."""
    text = "make a run with a damaged trajectory continue; without --yes only shows what it would do"
    parser = add_command(commands, "repair", repair, text)
    add_run_path(parser, "run directory or trajectory.jsonl")
    parser.add_argument("--yes", action="store_true", help="do it; the original is kept beside it")
    parser.add_argument("--json", action="store_true", help="print JSON")


def repair(args: argparse.Namespace) -> int:
    """``autoresearch repair``. Raises ``LockHeld`` while a daemon runs: it is the file's writer."""
    from autoresearch.storage.lock import is_locked
    from autoresearch.storage.repair import plan_repair
    from autoresearch.storage.repair import repair as apply
    from autoresearch.storage.run_dir import LOCK, TRAJECTORY, hold

    path = run_path(args)
    file = path / TRAJECTORY if path.is_dir() else path
    if is_locked(file.parent / LOCK):
        hint = "stop it first; `autoresearch status` shows what it does"
        raise LockHeld(f"{file.parent} belongs to a running autoresearch", hint=hint)
    plan = plan_repair(file)
    copy: Path | None = None
    if args.yes and plan.steps:
        with hold(file.parent):
            plan = plan_repair(file)  # again: a daemon may have run since
            copy = apply(plan) if plan.steps else None
    print(json.dumps(_facts(plan, copy), indent=2) if args.json else _text(plan, copy, path))
    return 0


def _facts(plan: Plan, copy: Path | None) -> dict[str, Any]:
    return {
        "file": str(plan.file),
        "needed": bool(plan.steps) and copy is None,
        "problems": list(plan.warnings),
        "steps": list(plan.steps),
        "records_kept": plan.kept,
        "records_cut": plan.cut,
        "repaired": copy is not None,
        "original": str(copy) if copy else None,
    }


def _text(plan: Plan, copy: Path | None, path: Path) -> str:
    from autoresearch.core.text import escape_control, plural

    if not plan.steps:
        return f"{plan.file} is whole: {plural(plan.kept, 'record')}. Nothing is to be repaired."
    lines = [f"{plan.file}:", *(f"  {text}" for text in plan.warnings)]
    lines += ["Repaired:" if copy else "The repair would:", *(f"  {step}" for step in plan.steps)]
    if copy:
        lines += [f"The original is {copy}.", f"The run continues with its next start, after record {plan.kept - 1}."]
    else:
        lines.append(f"Nothing was changed. `autoresearch repair {path} --yes` does it and keeps the original.")
    return "\n".join(map(escape_control, lines))
