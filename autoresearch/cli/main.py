"""The entry point: the list of commands, and the only place that turns errors into text and exit codes.

Everything here is imported by every command, ``--help`` too: heavy modules are imported inside the commands.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from autoresearch import __version__
from autoresearch.cli import (
    audit,
    bench,
    compose,
    config,
    crown,
    doctor,
    energy,
    envelope,
    export,
    menu,
    pause,
    prepare,
    promote,
    rails,
    recheck,
    repair,
    run,
    serve,
    service,
    status,
    verify,
    watch,
)
from autoresearch.cli.output import discard_stdout
from autoresearch.cli.parsing import Command
from autoresearch.errors import AutoresearchError, JournalError
from autoresearch.machine import explain_os_error, limit_named_in

DESCRIPTION = "Unattended training research on one machine: propose, gate, train, measure, keep or revert, record."
EXIT_CODES = """\
exit codes: 0 done, or ended in good order; 1 unexpected, or refused by the rails; 2 usage; 65 damaged trajectory;
66 corpus or another input; 68 incomplete bench run; 69 package missing; 70 baseline failed; 71 trial server;
74 cannot read or write; 75 another daemon holds the run; 76 another yardstick, baseline, menu or rule;
78 configuration; 130 interrupted"""

# In the order of the help text. Each adds a command, or a closely related pair, to the parser.
COMMANDS: tuple[Callable[[Any], None], ...] = (
    run.add,
    prepare.add,
    status.add,
    watch.add,
    serve.add,
    repair.add,
    verify.add,
    recheck.add,
    crown.add,
    promote.add,
    compose.add,
    audit.add,
    pause.add,
    doctor.add,
    envelope.add,
    energy.add,
    export.add,
    rails.add,
    menu.add,
    bench.add,
    service.add,
    config.add,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's BLAS otherwise starts threads at import, unused here
    argv = sys.argv[1:] if argv is None else argv
    args = build_parser().parse_args(argv, argparse.Namespace(argv=argv))
    command: Command = args.command
    try:
        code = command(args)
        sys.stdout.flush()  # so that a closed pipe is noticed here and not at exit
        return code
    except AutoresearchError as e:
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
    except (RuntimeError, ImportError) as e:
        if (number := limit_named_in(e)) is None:
            raise
        return report_os_error(OSError(number, str(e)))


def report_os_error(error: OSError) -> int:
    """Print what failed and what to try; returns the exit code."""
    what, hint = explain_os_error(error)
    print(f"autoresearch: {JournalError(what, hint=hint)}", file=sys.stderr)
    return JournalError.exit_code


def build_parser() -> argparse.ArgumentParser:
    """Every command with its flags and help."""
    parser = argparse.ArgumentParser(
        prog="autoresearch", description=DESCRIPTION, epilog=EXIT_CODES, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    return parser
