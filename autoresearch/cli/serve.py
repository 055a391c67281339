"""``autoresearch serve``: the runs below some directories as a live page."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from autoresearch.cli.parsing import add_command, whole_number
from autoresearch.errors import ConfigError, missing_extra

PORT = 8765


def add(commands: Any) -> None:
    """The command ``serve``."""
    parser = add_command(commands, "serve", serve, "show runs live in a browser; it only reads files")
    parser.add_argument("dirs", nargs="*", metavar="RUN|DIR", help="run directories, or directories above them (runs)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s); another needs a token")
    parser.add_argument("--port", type=whole_number(0, 65535), default=PORT, help="0 takes a free one (%(default)s)")
    parser.add_argument("--token-file", metavar="FILE", help="file of mode 600 with the token that every request needs")
    more = "name that the page may be asked for by, for example behind a proxy; may be repeated"
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help=more)
    parser.add_argument("--control", action="store_true", help="offer pause, resume and stop; needs a token")


def serve(args: argparse.Namespace) -> int:
    """``autoresearch serve``. Raises ``ConfigError`` for a directory that is missing, ``MissingPackage``."""
    roots = [Path(name) for name in args.dirs] or [Path("runs")]
    for root in roots:
        if not root.exists():
            raise ConfigError(f"{root} does not exist", hint="name a run directory, or one above run directories")
    try:
        from autoresearch.web.access import read_token
        from autoresearch.web.serve import Address, serve
    except ImportError as e:
        raise missing_extra("autoresearch serve", e.name or "starlette", "serve", instead="autoresearch watch") from e
    token = read_token(args.token_file, os.environ)
    address = Address(args.host, args.port, tuple(args.allow_host))

    def say(text: str) -> None:
        print(text, flush=True)

    serve(roots, address, token, control=args.control, say=say)
    sys.stdout.flush()
    return 0
