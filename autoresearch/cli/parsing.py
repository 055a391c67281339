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
    """A line of help as a sentence."""
    return text[0].upper() + text[1:] + "."


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A type of argument: a whole number from ``low`` to ``high``."""

    def parse(text: str) -> int:
        if not text.isdecimal() or len(text) > 20 or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high:,}")
        return int(text)

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """A type of argument: a number from ``low`` to ``high``."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
        return value

    return parse
