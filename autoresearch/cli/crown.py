"""``autoresearch crown``: write best_config.toml, the winner of a run as the baseline of a next one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_run_path, run_path
from autoresearch.errors import ConfigError, JournalError
from autoresearch.storage.run_dir import BEST_CONFIG


def add(commands: Any) -> None:
    """The command ``crown``."""
    text = "write best_config.toml, the winner of a run, for `autoresearch run --baseline`"
    parser = add_command(commands, "crown", crown, text)
    add_run_path(parser, "run directory or trajectory.jsonl")
    parser.add_argument("--out", metavar="FILE", help="write it there (default: best_config.toml in the run directory)")
    parser.add_argument("--json", action="store_true", help="print the winner as JSON")


def crown(args: argparse.Namespace) -> int:
    """Write it. Raises ``ConfigError`` for a run that kept nothing, ``JournalError`` if it cannot write."""
    from autoresearch.cli.export_trials import check_target
    from autoresearch.daemon.best_config import read_run, text_of
    from autoresearch.storage.files import atomic_write

    path = run_path(args)
    if args.out:
        check_target(Path(args.out), path)
        _refuse_foreign(Path(args.out))
    run = read_run(path)
    text = text_of(path, run)
    out = Path(args.out) if args.out else (path if path.is_dir() else path.parent) / BEST_CONFIG
    try:
        atomic_write(out, text.encode())
    except OSError as e:
        raise JournalError(f"cannot write {out}: {e.strerror}", hint="choose another place with --out FILE") from e
    if args.json:
        print(json.dumps(_facts(run, out), indent=2))
    else:
        winner = run.winner
        assert winner is not None
        print(f"{out}: iteration {winner.iter}, {winner.proposal.text}, gain {100 * winner.improvement_frac:+.2f}%")
        print(f"the next run climbs from it: autoresearch run --baseline {out} --dir ANOTHER_DIRECTORY")
    return 0


def _refuse_foreign(out: Path) -> None:
    """Raise ``ConfigError`` for a file that ``crown`` did not write, for example the user's own settings."""
    from autoresearch.daemon.best_config import HEAD

    if not out.exists():
        return
    try:
        with out.open("rb") as file:
            is_own = file.read(len(HEAD.encode())) == HEAD.encode()
    except OSError as e:
        raise JournalError(f"cannot read {out}: {e.strerror}", hint="name a new file with --out FILE") from e
    if not is_own:
        raise ConfigError(f"--out {out} exists and is not a {BEST_CONFIG}", hint="name a new file, or remove that one")


def _facts(run: Any, out: Path) -> dict[str, Any]:
    winner, evidence = run.winner, run.winner.evidence
    return {
        "run_id": run.meta.run_id,
        "iter": winner.iter,
        "changes": dict(winner.proposal.changes),
        "cfg": winner.candidate_cfg,
        "gain_frac": winner.improvement_frac,
        "low_frac": evidence.low_frac if evidence else None,
        "high_frac": evidence.high_frac if evidence else None,
        "seeds": list(evidence.seeds) if evidence else [run.meta.decision_rule.seed],
        "yardstick_sha256": run.meta.yardstick_sha256,
        "file": str(out),
    }
