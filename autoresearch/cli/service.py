"""``autoresearch service``: install the systemd units and what belongs to them, and remove them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command, as_sentence

if TYPE_CHECKING:
    from autoresearch.daemon.systemd.install import Place


NEXT_SYSTEM = """
next:
  edit /etc/autoresearch/autoresearch.toml
  usermod -aG autoresearch YOU              # members may pause a run and read its log
  systemctl enable --now autoresearch       # or autoresearch@NAME, for /etc/autoresearch/NAME.toml
  systemctl status autoresearch             # iteration, best, state; journalctl -u autoresearch
  systemctl enable --now autoresearch-web   # its live page, http://127.0.0.1:8765/"""
NEXT_USER = """
next:
  edit ~/.config/autoresearch/autoresearch.toml
  loginctl enable-linger                    # else the run ends when you log out
  systemctl --user enable --now autoresearch
  systemctl --user status autoresearch"""
KEPT = "kept: {config}, the runs, and the user; docs/operations.md shows how to remove them"


def add(commands: Any) -> None:
    """The command ``service`` with its two kinds."""
    text = "run every night under systemd: install the units, or remove them"
    parser = commands.add_parser("service", help=text, description=as_sentence(text))
    kinds = parser.add_subparsers(title="what to do", required=True, metavar="WHAT")
    for name, command, what in (
        ("install", install, "install units, user, directories and example settings; safe to repeat"),
        ("uninstall", uninstall, "stop, disable and remove the units; settings and runs are kept"),
    ):
        kind = add_command(kinds, name, command, what)
        kind.add_argument("--user", action="store_true", help="for your own user, without root")
        kind.add_argument("--dry-run", action="store_true", help="only show what would be done")
        kind.add_argument("--prefix", metavar="DIR", help="put the files below DIR and call nothing (for packages)")
        if name == "install":
            more = "after-nim (start after an LLM server), container (torch is in an image); may be repeated"
            kind.add_argument("--drop-in", action="append", default=[], metavar="NAME", help=more)


def install(args: argparse.Namespace) -> int:
    """``autoresearch service install``."""
    from autoresearch.daemon.systemd.install import carry_out, check_visible, drop_in_names, install_steps
    from autoresearch.errors import ConfigError

    known = drop_in_names()
    for name in args.drop_in:
        if name not in known or args.user:
            hint = "--user has no drop-ins" if args.user else f"choose among {', '.join(known)}"
            raise ConfigError(f"--drop-in {name}: no such drop-in", hint=hint)
    if not args.user and not args.prefix:
        check_visible([Path(sys.executable), Path(__file__)])
    program = [sys.executable, "-P", "-m", "autoresearch"]
    for step in install_steps(_place(args), program, args.drop_in):
        print(carry_out(step, args.dry_run))
    if not args.dry_run and not args.prefix:
        print(NEXT_USER if args.user else NEXT_SYSTEM)
    return 0


def uninstall(args: argparse.Namespace) -> int:
    """``autoresearch service uninstall``."""
    from autoresearch.daemon.systemd.install import carry_out, uninstall_steps

    place = _place(args)
    for step in uninstall_steps(place):
        print(carry_out(step, args.dry_run), flush=True)
    print(KEPT.format(config=place.at(place.config)))
    return 0


def _place(args: argparse.Namespace) -> Place:
    from autoresearch.daemon.systemd.install import system_place, user_place

    prefix = Path(args.prefix).absolute() if args.prefix else None
    return user_place(os.environ, prefix) if args.user else system_place(prefix)
