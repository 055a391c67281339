"""``autoresearch run``: start or continue a run, and print at its end how to continue it."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.output import discard_stdout, render_options
from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_settings, resolve_args
from autoresearch.errors import AutoresearchError
from autoresearch.hints import command
from autoresearch.storage.run_dir import PAUSE_FLAG, TRAJECTORY

if TYPE_CHECKING:
    from autoresearch.config.settings import Settings
    from autoresearch.core.ports import Observer
    from autoresearch.daemon.systemd.notify import Notifier

PATH_FLAGS = ("--config", "--dir", "--corpus", "--replay-from", "--baseline")


def add(commands: Any) -> None:
    """The command ``run``."""
    parser = add_command(commands, "run", run, "start or continue a run; a second Ctrl-C stops at once")
    add_settings(parser)
    parser.add_argument(
        "--fresh", action="store_true", help="start over; the old run is moved to archive/, not deleted"
    )
    text = "start from the winner of an earlier run: its directory, or a best_config.toml (docs/search.md)"
    parser.add_argument("--baseline", metavar="RUN|FILE", help=text)
    text = "combine what was kept in the last iterations of the run (docs/search.md)"
    parser.add_argument("--compose", action="store_true", help=text)
    parser.add_argument("--json", action="store_true", help="print the summary as JSON at the end, progress to stderr")


def run(args: argparse.Namespace) -> int:
    """``autoresearch run``. Under a service manager it reports its state to it."""
    from autoresearch.daemon.systemd.notify import Notifier
    from autoresearch.daemon.systemd.unit import add_retry, failure_status
    from autoresearch.machine import own_cgroup_path

    manager = Notifier.take(os.environ)
    try:
        return _run(args, manager)
    except Exception as e:
        if isinstance(e, AutoresearchError) and manager.address:
            add_retry(e, own_cgroup_path())
        manager.tell(STATUS=failure_status(e, datetime.now()))  # `systemctl status` shows it until the next start
        raise


def _run(args: argparse.Namespace, manager: Notifier) -> int:
    run_settings(resolve_args(args).settings, args, manager)
    return 0


def run_settings(settings: Settings, args: argparse.Namespace, manager: Notifier) -> None:
    """Run with these settings in front of the user. ``args`` has ``config``, ``fresh``, ``json`` and ``argv``."""
    from autoresearch.daemon.final_report import report_names
    from autoresearch.daemon.hooks import Hooks
    from autoresearch.daemon.night import run_night
    from autoresearch.daemon.observers.group import ObserverGroup
    from autoresearch.daemon.observers.terminal import Terminal
    from autoresearch.daemon.recording import read_recording
    from autoresearch.daemon.systemd.unit import start_command, startup_warnings
    from autoresearch.daemon.systemd.watchdog import WatchdogObserver, max_silence_s
    from autoresearch.daemon.tracking import Tracking
    from autoresearch.machine import own_cgroup_path
    from autoresearch.storage.pause_flag import requested_pause
    from autoresearch.storage.progress_file import ProgressFile

    config = Path(args.config) if args.config else None
    replies = read_recording(settings.replay_from) if settings.replay_from else ()
    terminal = Terminal(
        settings.iters,
        sys.stderr if args.json else sys.stdout,
        after_pause=_after_pause(settings),
        drain_max_s=settings.drain_max_s,
    )
    watchdog = WatchdogObserver(
        manager,
        settings.iters,
        max_silence_s(settings),
        requested_pause=partial(requested_pause, settings.run_dir / PAUSE_FLAG, settings.pause_mode == "now"),
        drain_max_s=settings.drain_max_s,
    )
    for warning in startup_warnings() if manager.address else ():
        terminal.notify(warning)
    with ExitStack() as ends:
        progress = ends.enter_context(closing(ProgressFile(settings.run_dir)))
        observers: list[Observer] = [terminal, watchdog, progress]
        if settings.on_event:
            observers.append(ends.enter_context(Hooks(settings, terminal.notify, heartbeat=watchdog.heartbeat)))
        if settings.track:
            observers.append(ends.enter_context(Tracking(settings, terminal.notify, heartbeat=watchdog.heartbeat)))
        ending = run_night(settings, ObserverGroup(*observers), fresh=args.fresh, replies=replies, config=config)
    watchdog.ended(ending)
    try:
        _print_summary(settings.run_dir, args.json)
        if not args.json:
            print(f"\ntrajectory  {settings.run_dir / TRAJECTORY}")
            for name in report_names(settings):
                print(f"report      {settings.run_dir / name}")
            again = start_command(own_cgroup_path()) if manager.address else ""
            if settings.compose != "only":
                print(_continue_command(args.argv, settings, ending == "complete", again))
    except OSError:  # the terminal was closed, which has ended the run in good order
        discard_stdout()


def _after_pause(settings: Any) -> str:
    """What ends a pause of this run."""
    resume = f"`{command('resume', settings.run_dir)}` or removing the file"
    return f"{resume} and another start continue the run" if settings.on_pause == "exit" else f"{resume} continues it"


def _print_summary(run_dir: Path, as_json: bool) -> None:
    from autoresearch.report import load, render_status, summarise, summary_json

    history = load(run_dir)
    summary = summarise(history)
    print(
        summary_json(summary)
        if as_json
        else f"\n{render_status(summary, history, **render_options(run_dir, False)).rstrip()}"
    )


def _continue_command(argv: Sequence[str], settings: Any, complete: bool, unit: str) -> str:
    """The line with the command that continues the run: the user's own, with more iterations if all are done; or the
    one that starts the unit.
    """
    if unit:
        return f"to go further: raise iters, then {unit}" if complete else f"to continue: {unit}"
    words, skip = [], False
    for word in _absolute_paths(argv):
        if skip or word in ("--fresh", "--iters") or word.startswith("--iters="):
            skip = word == "--iters"
            continue
        words.append(word)
    if not any(word.partition("=")[0] == "--dir" for word in words):
        words += ["--dir", str(settings.run_dir.absolute())]
    words += ["--iters", str(2 * settings.iters)] if complete else []
    as_module = sys.argv[0].endswith("__main__.py")
    program = "autoresearch" if shutil.which("autoresearch") or as_module else str(Path(sys.argv[0]).absolute())
    return f"to {'go further' if complete else 'continue'}: {shlex.join([program, *words])}"


def _absolute_paths(argv: Sequence[str]) -> list[str]:
    """``argv`` with absolute paths, so that the command works from any directory."""
    words: list[str] = []
    for word in argv:
        flag, equals, value = word.partition("=")
        if words and words[-1] in PATH_FLAGS:
            words.append(_absolute(word))
        elif equals and flag in PATH_FLAGS:
            words.append(f"{flag}={_absolute(value)}")
        else:
            words.append(word)
    return words


def _absolute(path: str) -> str:
    """An absolute path; what does not exist, for example the corpus "stdlib", stays as it is."""
    return str(Path(path).absolute()) if Path(path).exists() else path
