"""``autoresearch menu from-constants`` and ``menu check``: make a menu for a script, and explain one."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.cli.parsing import add_command, as_sentence, whole_number
from autoresearch.errors import ConfigError

if TYPE_CHECKING:
    from autoresearch.trials.command.menu_from_constants import DerivedMenu
    from rails import Menu


def add(commands: Any) -> None:
    """The command ``menu`` with its actions."""
    text = "make a menu from a script's constants, or explain a menu"
    parser = commands.add_parser("menu", help=text, description=as_sentence(text))
    kinds = parser.add_subparsers(title="what to do", required=True, metavar="ACTION")
    text = "write a menu from the ALL_CAPS = literal constants of a Python script; nothing of it is executed"
    one = add_command(kinds, "from-constants", from_constants, text)
    one.add_argument("script", metavar="SCRIPT", help="the Python file")
    one.add_argument("--out", metavar="FILE", help="write the menu there instead of printing it")
    one.add_argument("--json", action="store_true", help="print menu, rules and what was left out as JSON")
    other = add_command(
        kinds, "check", check, "explain a menu: each knob, each constraint, and whether the defaults fit"
    )
    other.add_argument("file", metavar="FILE", help="the menu, as JSON")
    text = "the step budget that constraints with `steps` are checked with (default: they are not checked)"
    other.add_argument("--steps", type=whole_number(1, 10**12), metavar="N", help=text)
    other.add_argument("--json", action="store_true", help="print JSON")


def from_constants(args: argparse.Namespace) -> int:
    """``autoresearch menu from-constants``."""
    from autoresearch.cli.output import write_file
    from autoresearch.trials.command.constants import ScriptError, read_constants
    from autoresearch.trials.command.menu_from_constants import menu_from_constants
    from autoresearch.trials.command.script_file import read_script
    from rails import MenuError, parse_menu

    try:
        found = menu_from_constants(read_constants(read_script(Path(args.script))))
    except ScriptError as e:
        raise ConfigError(f"{args.script}: {e}", hint="name a Python script") from e
    if not found.menu["knobs"]:
        raise ConfigError(
            f"{args.script}: no constant became a knob{_reasons(found)}",
            hint="NAME = literal at the top level of the script, in capitals",
        )
    try:
        parse_menu(found.menu)
    except MenuError as e:
        raise ConfigError(f"{args.script}: {e}", hint="rename that constant, or write the menu by hand") from e
    if args.json:
        print(json.dumps({"menu": found.menu, "rules": found.rules, "left_out": found.left_out}, indent=2))
        return 0
    text = json.dumps(found.menu, indent=2) + "\n"
    if args.out:
        write_file(Path(args.out), text)
    else:
        print(text, end="")
    print(_summary(found), file=sys.stderr)
    return 0


def check(args: argparse.Namespace) -> int:
    """``autoresearch menu check``. Returns 78 where the defaults break a constraint."""
    from rails import MenuError, load_menu

    try:
        menu = load_menu(Path(args.file))
    except MenuError as e:
        raise ConfigError(f"menu: {e}", hint="perturbation_menu.json shows the format") from e
    why = menu.check_config(menu.defaults, args.steps)
    if args.json:
        print(json.dumps(_plain(menu, why), indent=2))
    else:
        print(_table(menu, args.steps, why))
    return ConfigError.exit_code if why else 0


def _reasons(found: DerivedMenu) -> str:
    return "".join(f"\n  {name}: {why}" for name, why in found.left_out.items())


def _summary(found: DerivedMenu) -> str:
    lines = [f"{knob}: {rule}" for knob, rule in found.rules.items()]
    lines += [f"{name} is left out: {why}" for name, why in found.left_out.items()]
    return "\n".join(lines)


def _table(menu: Menu, steps: int | None, why: str) -> str:
    width = max(len(name) for name in menu.knobs)
    lines = []
    for name, knob in menu.knobs.items():
        scale = " log" if getattr(knob, "log", False) else ""
        lines.append(f"{name:<{width}}  {knob.default!s:>12}  {knob.describe()}{scale}  {knob.doc}".rstrip())
    for constraint in menu.constraints:
        unchecked = steps is None and "steps" in constraint.rule.names
        state = "not checked: it uses steps" if unchecked else "holds for the defaults"
        if not unchecked and why.startswith(f"{constraint.name}:"):
            state = "does not hold for the defaults"
        lines.append(f"{constraint.name}: {constraint.rule.text}  ({state})  {constraint.doc}".rstrip())
    size = f"{len(menu.knobs)} knobs, {len(menu.constraints)} constraints, sha256 {menu.sha256[:12]}"
    return "\n".join([*lines, "", size, why or "the defaults are a valid configuration"])


def _plain(menu: Menu, why: str) -> dict[str, Any]:
    return {
        "sha256": menu.sha256,
        "knobs": dict(menu.source["knobs"]),
        "constraints": [
            {"name": c.name, "rule": c.rule.text, "knobs": sorted(c.rule.names), "doc": c.doc} for c in menu.constraints
        ],
        "defaults_ok": not why,
        "why": why or None,
    }
