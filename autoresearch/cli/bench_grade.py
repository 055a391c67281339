"""``autoresearch bench regrade`` and ``judge``: new grades for the trials of a run."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command, whole_number
from autoresearch.cli.settings import add_settings, resolve_args
from autoresearch.core.text import escape_control
from autoresearch.errors import BenchIncomplete, ConfigError, missing_extra

if TYPE_CHECKING:
    from autoresearch.benches.judging import Judging
    from autoresearch.benches.run_directory import BenchDirectory
    from autoresearch.benches.server import BenchServer

MAX_THREADS = 256


def add(kinds: Any) -> None:
    """The commands ``bench regrade`` and ``bench judge``."""
    text = "grade a bench run again without the model, with the grader of this version; changed grades are new records"
    parser = add_command(kinds, "regrade", regrade, text)
    parser.add_argument("run", metavar="RUN", help="directory of a bench run")
    parser.add_argument("--json", action="store_true", help="print JSON")
    text = "let another model grade the answers of a bench run; its grades stand beside those of the suite's grader"
    parser = add_command(kinds, "judge", judge, text)
    parser.add_argument("run", metavar="RUN", help="directory of a bench run")
    text = "requests at the same time (default: 1)"
    parser.add_argument("--parallel", type=whole_number(1, MAX_THREADS), default=1, metavar="N", help=text)
    parser.add_argument("--again", action="store_true", help="judge again what a judge has graded before")
    text = "allow a judge of the agent's own model family, which favours its own answers"
    parser.add_argument("--force", action="store_true", help=text)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_settings(parser, ("llm.base_url", "llm.model"))


def regrade(args: argparse.Namespace) -> int:
    """``autoresearch bench regrade``."""
    from autoresearch.benches.regrading import describe_regrading
    from autoresearch.benches.regrading import regrade as grade_again
    from autoresearch.benches.run_directory import open_directory, read_run
    from autoresearch.cli.bench_run import load_suite

    run = read_run(Path(args.run))
    with open_directory(run.path) as directory:
        found = grade_again(directory, run.cases, load_suite(run.meta.suite))
    print(json.dumps(asdict(found), indent=2) if args.json else describe_regrading(found))
    return 0


def judge(args: argparse.Namespace) -> int:
    """``autoresearch bench judge``. Exit code 68 where the server failed before the end."""
    from autoresearch.benches.judging import describe_judging
    from autoresearch.benches.run_directory import open_directory, read_run

    run = read_run(Path(args.run))
    check_family(run.meta.model, resolve_args(args).settings.llm.model or "", force=args.force)
    server = _find_judge(args)
    check_family(run.meta.model, server.model.name, force=args.force)
    with open_directory(run.path) as directory:
        counts = _judge(args, server, directory)
    if args.json:
        print(json.dumps({"judge": server.model.name, **asdict(counts)}, indent=2))
    else:
        print(f"judge {escape_control(server.model.name)}\n{describe_judging(counts)}")
    if counts.failed:
        what = f"{counts.failed} trials were not judged: {counts.why or 'stopped'}"
        raise BenchIncomplete(what, hint="the same command continues")
    return 0


def check_family(agent: str | None, judge: str, *, force: bool) -> None:
    """Raise ``ConfigError`` for a judge of the agent's own family, or where the agent is not known.

    An empty ``judge`` is one that the server will choose: only the agent is checked.
    """
    from autoresearch.benches.model_family import families_of, same_family

    if force:
        return
    if agent is None:
        what = "the run does not name its model, so the judge may be of its own family"
        raise ConfigError(what, hint="--force, if you know that it is not")
    if judge and same_family(agent, judge):
        family = ", ".join(sorted(families_of(agent) & families_of(judge))) or judge
        what = f"the judge {judge} is of the same family as the agent {agent} ({family}) and would favour it"
        raise ConfigError(what, hint="a judge of another family (--model, --base-url), or --force")


def _find_judge(args: argparse.Namespace) -> BenchServer:
    try:
        from autoresearch.benches.chat import Sampling
        from autoresearch.benches.server import find_server
    except ImportError as e:
        raise missing_extra("bench judge", e.name or "openai", "llm") from e
    from autoresearch.llm.key import llm_key

    chosen = resolve_args(args).settings.llm
    return find_server(
        chosen.base_url,
        llm_key(os.environ),
        Sampling(temperature=0.0, max_tokens=chosen.max_tokens or None),
        wanted=chosen.model,
        context=chosen.max_model_len,
        notify=_notify,
    )


def _judge(args: argparse.Namespace, server: BenchServer, directory: BenchDirectory) -> Judging:
    """Judge until all is done or the user stops; the first Ctrl-C lets what is under way finish."""
    from autoresearch.benches.judging import Judge
    from autoresearch.benches.run_directory import read_cases
    from autoresearch.daemon.control import RunControl

    assert directory.fold.meta is not None
    cases = read_cases(directory.path, directory.fold.meta)
    control = RunControl(flag=directory.path / "pause.flag")
    with control.listening():
        found = Judge(
            server.model.name,
            lambda: server.open_chat(lambda: control.aborted, _notify),
            lambda: bool(control.stop_reason()),
            parallel=args.parallel,
            again=args.again,
            progress=_show_progress,
        ).grade(directory, cases)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return found


def _notify(message: str) -> None:
    print(f"autoresearch: {escape_control(message)}", file=sys.stderr)


def _show_progress(done: int, planned: int) -> None:
    if sys.stderr.isatty():
        print(f"\rjudged {done:,} of {planned:,}", end="", file=sys.stderr, flush=True)
