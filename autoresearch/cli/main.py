"""The entry point: the list of commands, and the only place that turns errors into text and exit codes.

Only the module of the command that is named is imported; the list of all commands, and ``--help``, import every one.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from autoresearch import __version__
from autoresearch.cli.output import discard_stdout
from autoresearch.cli.parsing import Command
from autoresearch.errors import AutoresearchError, JournalError, MissingPackage
from autoresearch.machine import explain_os_error, limit_named_in

DESCRIPTION = "Unattended training research on one machine: propose, gate, train, measure, keep or revert, record."
EXIT_CODES = """\
exit codes: 0 done, or ended in good order; 1 unexpected, or refused by the rails; 2 usage; 65 damaged trajectory;
66 corpus or another input; 68 incomplete bench run; 69 package missing; 70 baseline failed; 71 trial server;
74 cannot read or write; 75 another daemon holds the run; 76 another yardstick, baseline, menu or rule;
78 configuration; 130 interrupted"""

# In the order of the help text: each command, and the module here whose ``add`` adds it and closely related ones.
COMMANDS = {
    "run": "run",
    "prepare": "prepare",
    "status": "status",
    "report": "status",
    "watch": "watch",
    "serve": "serve",
    "repair": "repair",
    "verify": "verify",
    "recheck": "recheck",
    "crown": "crown",
    "promote": "promote",
    "compose": "compose",
    "audit": "audit",
    "pause": "pause",
    "resume": "pause",
    "doctor": "doctor",
    "envelope": "envelope",
    "energy": "energy",
    "export": "export",
    "rails": "rails",
    "menu": "menu",
    "bench": "bench",
    "service": "service",
    "config": "config",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's BLAS otherwise starts threads at import, unused here
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser(argv).parse_args(argv, argparse.Namespace(argv=argv))
    command: Command = args.command
    try:
        code = command(args)
        sys.stdout.flush()  # so that a closed pipe is noticed here and not at exit
        return code
    except AutoresearchError as e:
        if isinstance(e, MissingPackage) and e.__cause__ and (number := limit_named_in(e.__cause__)):
            return report_os_error(OSError(number, str(e.__cause__)))
        print(f"autoresearch: {e}", file=sys.stderr)
        return e.exit_code
    except KeyboardInterrupt:
        print("autoresearch: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `autoresearch report | head`
        discard_stdout()
        return 0
    except OSError as e:  # a limit of the system, or a file that this command cannot use
        return report_os_error(e)
    except (RuntimeError, ImportError, MemoryError) as e:
        if (number := limit_named_in(e)) is None:
            raise
        return report_os_error(OSError(number, str(e)))


def report_os_error(error: OSError) -> int:
    """Print what failed and what to try; returns the exit code."""
    what, hint = explain_os_error(error)
    print(f"autoresearch: {JournalError(what, hint=hint)}", file=sys.stderr)
    return JournalError.exit_code


def build_parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Every command with its flags and help; only those of its module where ``argv`` begins with a command."""
    parser = argparse.ArgumentParser(
        prog="autoresearch", description=DESCRIPTION, epilog=EXIT_CODES, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    named = COMMANDS.get(argv[0]) if argv else None
    for module in [named] if named else dict.fromkeys(COMMANDS.values()):
        import_module(f"autoresearch.cli.{module}").add(commands)
    return parser
