"""``autoresearch doctor``: check on one screen whether a run would work."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_settings, resolve_args

if TYPE_CHECKING:
    from autoresearch.daemon.doctor import Check


COLORS = {"ok": "32", "warn": "33", "fail": "31"}
LABELS = {"ok": "ok", "warn": "WARN", "fail": "FAIL"}


def add(commands: Any) -> None:
    """Add the command ``doctor``."""
    text = "check whether a run would work: LLM server, trainer, memory, corpus, disk, lock, clock"
    parser = add_command(commands, "doctor", doctor, text)
    add_settings(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def doctor(args: argparse.Namespace) -> int:
    """``autoresearch doctor``; returns 0 where a run would work, else the exit code that it would end with."""
    from autoresearch.daemon.doctor import examine

    settings = resolve_args(args).settings
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    checks = examine(settings, (lambda _check: None) if args.json else (lambda check: _show(check, color)))
    failed = [check for check in checks if check.state == "fail"]
    if args.json:
        plain = [check.model_dump(mode="json", exclude={"exit_code"}) for check in checks]
        print(json.dumps({"ok": not failed, "checks": plain}, indent=2))
    else:
        print(f"\n{_verdict(checks, len(failed))}")
    return failed[0].exit_code if failed else 0


def _show(check: Check, color: bool) -> None:
    from autoresearch.core.text import escape_control

    label = f"{LABELS[check.state]:<4}"
    if color:
        label = f"\x1b[{COLORS[check.state]}m{label}\x1b[0m"
    print(f"{label}  {check.name:<14} {escape_control(check.found)}", flush=True)
    if check.hint:
        print(f"{'':<20} try: {escape_control(check.hint)}", flush=True)


def _verdict(checks: list[Check], failed: int) -> str:
    if failed:
        return f"The run would fail: {failed} of {len(checks)} checks failed."
    warnings = sum(check.state == "warn" for check in checks)
    noun = "warning" if warnings == 1 else "warnings"
    return f"The run would work, with {warnings} {noun}." if warnings else "The run would work."
