"""The settings on the command line: their flags, and the run directory that a command works on."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autoresearch.config.resolve import Resolved


# Flag, setting, type, help with choices and default. Every other setting is reached with --set.
RUN_FLAGS: tuple[tuple[str, str, type, str], ...] = (
    (
        "--profile",
        "profile",
        str,
        "set of defaults: tiny (CPU), tiny-wide (more knobs), gb10-354m, h100-354m, or command (default: tiny)",
    ),
    ("--dir", "dir", str, "the run's directory (default: runs/PROFILE)"),
    ("--corpus", "corpus", str, "a prepared corpus, or 'stdlib' (default: the profile's)"),
    ("--iters", "iters", int, "iterations of the whole run; raising it later continues (default: the profile's)"),
    (
        "--proposer",
        "proposer",
        str,
        "auto, hybrid, nim (any LLM server), tpe, trust-region, stack, random or replay (default: the profile's)",
    ),
    ("--base-url", "llm.base_url", str, "the LLM server (default: http://localhost:8000/v1)"),
    ("--model", "llm.model", str, "its model (default: the only or first one)"),
    (
        "--replay-from",
        "replay_from",
        str,
        "trajectory or exchanges.jsonl that the replay proposer repeats (default: none)",
    ),
    ("--trainer", "trainer", str, "torch, megatron, or command, your own script (default: the profile's)"),
    ("--device", "device", str, "auto, cpu or cuda (default: the profile's)"),
    (
        "--decision",
        "decision.rule",
        str,
        "sequential (a keep is confirmed over several seeds) or threshold (one seed) (default: sequential)",
    ),
    ("--seed", "seed", int, "seed of initialisation, data order and proposer (default: 0)"),
    ("--on-pause", "on_pause", str, "what the daemon does while pause.flag is there: wait or exit (default: wait)"),
    ("--until", "until", str, "end in good order at this local time, HH:MM (default: no limit)"),
    ("--window", "window", str, "end in good order outside these local hours, HH:MM-HH:MM (default: no limit)"),
    ("--max-kwh", "energy.max_kwh", float, "end in good order after this much energy (default: no limit)"),
    (
        "--max-hours",
        "max_hours",
        float,
        "end in good order after this many hours, counted from each start (default: no limit)",
    ),
    (
        "--on-event",
        "on_event",
        str,
        "command that receives best, paused, failed, finished, died (docs/hooks.md; default: none)",
    ),
    (
        "--track",
        "track",
        str,
        "trackio, mlflow or wandb: receives each candidate meanwhile (docs/exports.md; default: none)",
    ),
)


def add_settings(parser: argparse.ArgumentParser, only: Sequence[str] = ()) -> None:
    """Add the flags of the settings, or of those in ``only``, as one group."""
    group = parser.add_argument_group("settings", "flags of settings, above the environment, --config and the profile")
    group.add_argument("--config", metavar="FILE", help="your own TOML file of settings (default: none)")
    for flag, name, kind, text in RUN_FLAGS:
        if only and name not in only:
            continue
        group.add_argument(flag, dest=f"flag_{name}", type=kind, metavar=name.split(".")[-1].upper(), help=text)
    group.add_argument(
        "--set",
        dest="assignments",
        action="append",
        metavar="NAME=VALUE",
        help="any other setting, for example baseline.lr=1e-3; `autoresearch config` lists them with their values",
    )


def resolve_args(args: argparse.Namespace, run_dir: Path | None = None) -> Resolved:
    """The effective settings; without flags, those of file, environment and profile.

    With ``run_dir`` what that run was last started with stands directly above the profile.
    """
    from autoresearch.config.resolve import parse_assignment, resolve

    flags = {name: getattr(args, f"flag_{name}", None) for _, name, _, _ in RUN_FLAGS}
    given = {name: value for name, value in flags.items() if value is not None}
    if getattr(args, "compose", None):
        given["compose"] = "last"
    given |= dict(parse_assignment(text) for text in getattr(args, "assignments", None) or [])
    file = Path(args.config) if getattr(args, "config", None) else None
    if (baseline := getattr(args, "baseline", None)) is None:
        return resolve(given, os.environ, file, run=_recorded(run_dir))
    from autoresearch.daemon.best_config import read_baseline, refuse_own_directory

    layer = (f"baseline {baseline}", read_baseline(Path(baseline)))
    resolved = resolve(given, os.environ, file, baseline=layer)
    refuse_own_directory(Path(baseline), resolved.settings.run_dir)
    return resolved


def _recorded(run_dir: Path | None) -> tuple[str, dict[str, Any]] | None:
    if run_dir is None:
        return None
    from autoresearch.daemon.run_settings import read_run_settings

    values = read_run_settings(run_dir)
    return (f"run {run_dir}", values) if values else None


def add_run_path(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the argument RUN of commands that work on an existing run."""
    parser.add_argument("path", nargs="?", metavar="RUN", help=f"{what} (default: the profile's)")


def run_path(args: argparse.Namespace) -> Path:
    """The path given as RUN, or else the run directory of the settings."""
    return Path(args.path) if args.path else resolve_args(args).settings.run_dir
