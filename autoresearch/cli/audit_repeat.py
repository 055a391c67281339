"""``autoresearch audit --repeat KEEP``: measure one keep and its baseline again, and judge the log with the result."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import whole_number
from autoresearch.cli.settings import add_settings, resolve_args
from autoresearch.errors import AutoresearchError, ConfigError, CorpusError

if TYPE_CHECKING:
    from autoresearch.config.settings import Settings
    from autoresearch.daemon.recheck import Rechecked
    from autoresearch.report.audit.judge import Keep, Verdict

SEEDS = 4


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of a repeat, and those of the settings that measure."""
    group = parser.add_argument_group("repeats", "measure one keep of one log again, with the trainer of the settings")
    text = "the keep: its place (iteration 7, line 12), the number in it, or its name; earlier work is continued"
    group.add_argument("--repeat", metavar="KEEP", help=text)
    text = f"fresh seeds of the keep and of its baseline (default {SEEDS})"
    group.add_argument("--repeats", type=whole_number(1, 1000), default=SEEDS, metavar="N", help=text)
    text = "what the keep changed of the baseline of the settings, where the log is not a run of autoresearch"
    group.add_argument("--change", action="append", metavar="KNOB=VALUE", help=text)
    add_settings(parser, ("profile", "dir", "corpus", "trainer", "device"))


def repeat(args: argparse.Namespace, verdicts: Sequence[Verdict]) -> int:
    """Measure, and print the audit with the result. Raises ``AutoresearchError`` where it was interrupted."""
    from autoresearch.report.audit.repeated import FreshGains, find_keep, with_fresh_gains
    from autoresearch.report.audit.text import render

    if len(verdicts) != 1:
        hint = "name one file; of a file with several logs, copy the one into a file of its own"
        raise ConfigError(f"--repeat needs one log, and there are {len(verdicts)}", hint=hint)
    (before,) = verdicts
    keep, path = find_keep(before, args.repeat), Path(args.files[0])
    result, complete = _measure(args, before, keep, path)
    fresh = FreshGains(keep, result.gains_frac, result.interval_frac, result.label, tuple(result.failures))
    after = with_fresh_gains(before, fresh, args.noise)
    if args.json:
        facts = {"logs": [after.as_json() | {"repeated": fresh.as_json() | {"complete": complete}}]}
        print(json.dumps(facts, indent=2))
    else:
        print(render(after, fresh))
    if not complete:
        raise AutoresearchError("ended before every seed was measured", hint="the same command resumes")
    return 0


def _measure(args: argparse.Namespace, verdict: Verdict, keep: Keep, path: Path) -> tuple[Rechecked, bool]:
    from autoresearch.daemon.observers.terminal import Terminal
    from autoresearch.daemon.repeat_keep import repeat_change

    terminal = Terminal(0, sys.stderr)
    if verdict.log.format == "autoresearch":
        if args.change:
            raise ConfigError("--change: the run itself says what the keep changed", hint="leave it out")
        measured = _repeat_own(args, keep, path, terminal)
    else:
        change = _changes(args.change, verdict)
        settings = _settings(args, path)
        measured = repeat_change(settings, change, keep.claimed, verdict.threshold, args.repeats, terminal)
    terminal.done()
    return measured


def _repeat_own(args: argparse.Namespace, keep: Keep, path: Path, terminal: Any) -> tuple[Rechecked, bool]:
    """A keep of our own run, with the run's profile and corpus unless the user names others."""
    from autoresearch.config.resolve import profile_names
    from autoresearch.core.records import Meta
    from autoresearch.daemon.recheck import kept_configurations, recheck
    from autoresearch.report.load import load_records
    from autoresearch.storage.run_dir import CORPUS

    records = load_records(path)
    meta = next((r for r in records if isinstance(r, Meta)), None)
    kept = [k for k in kept_configurations(records) if k.by_run and f"iteration {k.iter}" == keep.entry.place]
    if meta is None or len(kept) != 1:
        raise CorpusError(f"{path} has no configuration of {keep.entry.place}", hint="`autoresearch verify` checks it")
    if not args.config and args.flag_profile is None and meta.profile in profile_names():
        args.flag_profile = meta.profile
    corpus = (path if path.is_dir() else path.parent) / CORPUS
    if args.flag_corpus is None and not args.config and corpus.is_dir():
        args.flag_corpus = str(corpus.absolute())
    results, complete = recheck(_settings(args, path), meta, kept, args.repeats, terminal)
    return results[0], complete


def _settings(args: argparse.Namespace, path: Path) -> Settings:
    """The settings, with the directory beside the log unless the user names one."""
    from autoresearch.daemon.repeat_keep import repeats_dir

    if args.flag_dir is None:
        args.flag_dir = str(repeats_dir(path))
    return resolve_args(args).settings


def _changes(texts: Sequence[str] | None, verdict: Verdict) -> dict[str, Any]:
    from autoresearch.config.resolve import parse_assignment

    if not texts:
        hint = "--change KNOB=VALUE, once per knob, with --config FILE whose trainer has these knobs"
        raise ConfigError(f"a log of format {verdict.log.format} does not say what a keep changed", hint=hint)
    found = dict(parse_assignment(text) for text in texts)
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ConfigError(f"--change {name}={value!a:.80}: not a number or a text", hint="--change lr=0.001")
    return found
