"""``autoresearch config``: the effective settings and where each comes from."""

from __future__ import annotations

import argparse
import json
from typing import Any

from autoresearch.cli.parsing import add_command
from autoresearch.cli.settings import add_settings, resolve_args


def add(commands: Any) -> None:
    """The command ``config``."""
    parser = add_command(commands, "config", config, "the effective settings and where each comes from")
    add_settings(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def config(args: argparse.Namespace) -> int:
    """``autoresearch config``."""
    from autoresearch.config.resolve import flat_settings

    rows = flat_settings(resolve_args(args))
    if args.json:
        print(json.dumps({name: {"value": value, "from": origin} for name, value, origin, _ in rows}, indent=2))
        return 0
    for name, value, origin, about in rows:
        print(f"{name + ' = ' + json.dumps(value):<44} # {origin}{': ' + about if about else ''}")
    return 0
