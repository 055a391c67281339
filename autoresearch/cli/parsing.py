"""How a command enters the parser: with its name, its one line of help and the function that it calls."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

Command = Callable[[argparse.Namespace], int]  # answers with the exit code


def add_command(commands: Any, name: str, command: Command, text: str) -> argparse.ArgumentParser:
    """A command's own parser, for its flags."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=sentence(text))
    parser.set_defaults(command=command)
    return parser


def sentence(text: str) -> str:
    """A line of help as a sentence."""
    return text[0].upper() + text[1:] + "."
