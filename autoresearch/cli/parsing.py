"""Add a command to the parser: its name, its line of help and the function that it calls."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

Command = Callable[[argparse.Namespace], int]  # returns the exit code


def add_command(commands: Any, name: str, command: Command, text: str) -> argparse.ArgumentParser:
    """Add a command and return its parser, for its flags."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=as_sentence(text))
    parser.set_defaults(command=command)
    return parser


def as_sentence(text: str) -> str:
    """A line of help as a as_sentence."""
    return text[0].upper() + text[1:] + "."
