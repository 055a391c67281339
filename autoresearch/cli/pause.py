"""``autoresearch pause`` and ``autoresearch resume``: create pause.flag in a run directory, and remove it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_run_path, run_path
from autoresearch.errors import AutoresearchError
from autoresearch.hints import command as run_command


def add(commands: Any) -> None:
    """The commands ``pause`` and ``resume``."""
    for name, command, text in (
        ("pause", pause, "pause a run after its running trial (creates pause.flag), or inside it (--now)"),
        ("resume", resume, "continue a paused run (removes pause.flag)"),
    ):
        parser = add_command(commands, name, command, text)
        add_run_path(parser, "run directory")
        if command is pause:
            parser.add_argument("--now", action="store_true", help="suspend the running trial at its next step")


def pause(args: argparse.Namespace) -> int:
    """``autoresearch pause``."""
    from autoresearch.storage.pause_flag import pause as put_flag
    from autoresearch.storage.run_dir import PAUSE_FLAG, TRAJECTORY, has_writer

    run_dir = _run_dir(args, "pause")
    when = "inside its running trial" if args.now else "after its running trial"
    print(f"{run_dir} {f'pauses {when}' if put_flag(run_dir, args.now) else 'is paused or pausing already'}")
    undo = f"`{run_command('resume', run_dir)}` removes {PAUSE_FLAG}"
    if not (run_dir / TRAJECTORY).exists():
        print(f"no run has started there yet: its first trial will wait; {undo}")
    elif not has_writer(run_dir):
        print(f"nothing runs there now: what is started there next will wait before its first trial; {undo}")
    return 0


def resume(args: argparse.Namespace) -> int:
    """``autoresearch resume``."""
    from autoresearch.storage.pause_flag import resume as take_flag

    run_dir = _run_dir(args, "resume")
    print(f"{run_dir} {'continues' if take_flag(run_dir) else 'was not paused'}")
    return 0


def _run_dir(args: argparse.Namespace, name: str) -> Path:
    path = run_path(args)
    run_dir = path.parent if path.is_file() else path
    if not run_dir.is_dir():
        raise AutoresearchError(f"{path} is not a run directory", hint=f"name one: autoresearch {name} RUN")
    return run_dir
