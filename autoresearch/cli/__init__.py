"""The command line: parse, call, print. One file per command, each with its function, its flags and ``add``.

A new command is a new file here and one line in ``main.COMMANDS``.
"""

from autoresearch.cli.main import EXIT_CODES, build_parser, main

__all__ = ["EXIT_CODES", "build_parser", "main"]
