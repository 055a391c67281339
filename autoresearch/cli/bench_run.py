"""``autoresearch bench run``: make the attempts of a bench run, or those that are still missing."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.bench_conditions import limits_of, meta_of, server_of
from autoresearch.cli.parsing import add_command, as_sentence, number, whole_number
from autoresearch.cli.settings import add_settings, resolve_args
from autoresearch.errors import AutoresearchError, BenchIncomplete, MissingPackage, missing_extra

if TYPE_CHECKING:
    from autoresearch.benches.cases import CaseSet
    from autoresearch.benches.ports import BenchRun, Suite
    from autoresearch.benches.records import Ended
    from autoresearch.benches.run_directory import BenchDirectory
    from autoresearch.benches.server import BenchServer
    from autoresearch.cli.bench_progress import BenchProgress
    from autoresearch.config.settings import Settings
    from autoresearch.daemon.control import RunControl

# What each suite does; a suite itself is imported when it is named.
ABOUT = {
    "proposer": "proposers on a table of measured configurations, in virtual time: regret after 10 to 100 trials",
    "research": "agents that search literature with tools: accuracy or overlap, and what bounds it",
    "samples": "several samples of each question: pass@k, majority@k, without a judge where that is possible",
    "workflow": "tasks in mocked business services, checked by their state, audit log and workspace",
}
OWN_CASES = {"workflow": "builtin"}  # of suites that come with cases
MAX_THREADS = 256


class SuiteParser(argparse.ArgumentParser):
    """The parser of one suite. It imports the suite, and adds its flags, once a command line names it."""

    suite_name: str = ""
    _suite: Suite | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.suite_name and self._suite is None:
            try:
                self._suite = load_suite(self.suite_name)
            except AutoresearchError as e:  # while the command line is parsed, so main does not see it
                self.exit(e.exit_code, f"autoresearch: {e}\n")
            self._suite.add_flags(self)
            self.set_defaults(suite=self._suite)
            self.epilog = _limits_text(self._suite)
        return super().parse_known_args(args, namespace)


def add(kinds: Any) -> None:
    """The command ``bench run`` with a parser for each suite."""
    text = (
        "let a model or a proposer attempt every case of a suite; the same command continues a run that was cut short"
    )
    parser = kinds.add_parser("run", help=text, description=as_sentence(text))
    suites = parser.add_subparsers(title="suites", required=True, metavar="SUITE", parser_class=SuiteParser)
    for name, about in ABOUT.items():
        suite = add_command(suites, name, run, about)
        assert isinstance(suite, SuiteParser)
        suite.suite_name = name
        add_flags(suite, name)


def load_suite(name: str) -> Suite:
    """Import a suite. Raises ``MissingPackage`` where an optional package of it is not installed."""
    from autoresearch.benches.suites import suite_named

    try:
        return suite_named(name)
    except ImportError as e:
        if (e.name or "").startswith("autoresearch."):
            raise MissingPackage(f"suite {name} is not a part of this installation: {e}") from e
        raise missing_extra(f"bench run {name}", e.name or name, "bench") from e


def add_flags(parser: argparse.ArgumentParser, name: str) -> None:
    """The flags of ``bench run`` that every suite has."""
    count = whole_number(1, 1_000_000)
    text = "file or folder with the cases (docs/benches.md)"
    if own := OWN_CASES.get(name):
        parser.add_argument(
            "cases", metavar="CASES", nargs="?", default=own, help=f"{text}; {own}: those of the package"
        )
    else:
        parser.add_argument("cases", metavar="CASES", help=text)
    parser.add_argument("--dir", metavar="DIR", help=f"directory of the bench run (default: runs/bench-{name})")
    text = "samples of each case; may grow when a run is continued (default: 1)"
    parser.add_argument("-k", "--samples", type=count, default=1, metavar="K", help=text)
    text = "attempts at the same time, each with its own connection (default: 1)"
    parser.add_argument("--parallel", type=whole_number(1, MAX_THREADS), default=1, metavar="N", help=text)
    parser.add_argument("--limit", type=count, metavar="N", help="take the first N cases only (default: all)")
    text = "another value of one of the suite's limits, see below; may be repeated"
    parser.add_argument("--bound", action="append", default=[], metavar="NAME=NUMBER", help=text)
    group = parser.add_argument_group("sampling", "sent with every request; part of the run's conditions")
    text = "sampling temperature (default: the setting llm.temperature)"
    group.add_argument("--temperature", type=number(0, 10), metavar="T", help=text)
    group.add_argument("--top-p", type=number(0, 1), metavar="P", help="nucleus sampling (default: the server's)")
    text = "tokens of one reply, thinking included (default: a quarter of the context, at most 8,192)"
    group.add_argument("--max-tokens", type=whole_number(1, 1 << 20), metavar="N", help=text)
    text = "sample i is sent the seed N + i (default: none is sent)"
    group.add_argument("--seed", type=whole_number(0, 2**31 - 1), metavar="N", help=text)
    group = parser.add_argument_group("patience", "with a server that is slow or fails")
    text = "longest duration of one request, retries included (default: 600)"
    group.add_argument("--deadline", type=number(1, 86_400), default=600.0, metavar="SECONDS", help=text)
    text = "how long a failing server is waited for before the run ends as incomplete (default: 900)"
    group.add_argument("--patience", type=number(0, 7 * 86_400), default=900.0, metavar="SECONDS", help=text)
    parser.add_argument("--json", action="store_true", help="print the result as JSON at the end, progress to stderr")
    add_settings(parser, ("llm.base_url", "llm.model"))


def run(args: argparse.Namespace) -> int:
    """``autoresearch bench run``. The first Ctrl-C lets what is under way finish, the second does not."""
    from autoresearch.benches.run_directory import open_directory
    from autoresearch.cli.bench_progress import BenchProgress
    from autoresearch.daemon.control import RunControl

    suite: Suite = args.suite
    settings = resolve_args(args).settings
    options, limits = suite.options(args), limits_of(suite, args.bound)
    cases = _load_cases(suite, Path(args.cases), args.limit)
    run_dir = Path(args.dir or f"runs/bench-{suite.name}")
    progress = BenchProgress(sys.stderr)
    control = RunControl(flag=run_dir / "pause.flag")
    with control.listening(), open_directory(run_dir) as directory:
        if directory.torn_bytes:
            progress.notify(
                f"{directory.torn_bytes} torn bytes at the end of trials.jsonl were cut off and kept beside it"
            )
        directory.check(meta_of(suite, cases, options, limits, args, settings, directory, None))
        server = server_of(
            suite, cases, directory, args, settings, lambda: bool(control.stop_reason()), progress.notify
        )
        directory.begin(meta_of(suite, cases, options, limits, args, settings, directory, server), cases)
        try:
            ended = _engine(suite, cases, directory, server, args, settings, control, progress)
        finally:
            progress.done()
        _print_result(suite, directory.fold.run(run_dir, cases), ended, dict(directory.fold.unavailable), args.json)
    if ended.reason == "incomplete":
        slower = ", with a longer --deadline" if "timeout" in ended.detail else ""
        hint = f"the same command continues{slower}; `autoresearch bench analyze {run_dir}` bounds the result"
        raise BenchIncomplete(ended.detail, hint=hint)
    return 0


def _load_cases(suite: Suite, source: Path, limit: int | None) -> CaseSet:
    cases = suite.load(source)
    return cases if limit is None else replace(cases, cases=cases.cases[:limit])


def _engine(
    suite: Suite,
    cases: CaseSet,
    directory: BenchDirectory,
    server: BenchServer | None,
    args: argparse.Namespace,
    settings: Settings,
    control: RunControl,
    progress: BenchProgress,
) -> Ended:
    """Run the engine with the machine's meter where the server is on this machine."""
    from autoresearch.benches.engine import Engine
    from autoresearch.benches.patience import Patience
    from autoresearch.daemon.metering import is_local
    from autoresearch.energy.meter import build_power_meter
    from autoresearch.energy.sensors.select import select_sensor

    engine = Engine(
        suite,
        cases,
        directory,
        control,
        parallel=args.parallel,
        observer=progress,
        patience=Patience(args.patience),
    )
    with ExitStack() as ends:
        if server is not None:
            engine.open_chat = server.open_chat
            if settings.energy.meter == "auto" and is_local(server.base_url):
                meter = build_power_meter()
                ends.callback(meter.close)
                meter.llm_is_here = True
                meter.use(select_sensor("cuda", file=settings.energy.sensor))
                engine.meter = meter
        return engine.run()


def _print_result(suite: Suite, run: BenchRun, ended: Ended, unavailable: dict[str, int], as_json: bool) -> None:
    from autoresearch.benches.result import result_of

    try:
        result = result_of(suite, run, ended, unavailable)
    except AutoresearchError:
        raise
    except Exception as e:
        what = f"the analysis failed: {type(e).__name__}: {e}"
        raise AutoresearchError(what, hint=f"every attempt is kept; `autoresearch bench analyze {run.path}`") from e
    if as_json:
        print(json.dumps(result, indent=2))
        return
    print(suite.describe(result["analysis"]).rstrip())
    tokens = f", {result['tokens_out']:,} tokens written" if result["tokens_out"] is not None else ""
    joules = f", {result['this_start_energy_j']:.0f} J" if result["this_start_energy_j"] is not None else ""
    print(f"\n{run.meta.suite}: {result['recorded']} of {result['planned']} attempts{tokens}{joules}, in {run.path}")
    if ended.reason == "stopped":
        print(f"stopped: {ended.detail}; the same command continues")


def _limits_text(suite: Suite) -> str:
    limits = ", ".join(f"{name}={value:g}" for name, value in suite.default_limits.items())
    return f"limits for --bound: {limits or 'none'}"
