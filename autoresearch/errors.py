"""Every error that reaches the user, with its exit code.

    AutoresearchError                 1
      ConfigError                    78   a setting, a flag, a menu: names the field and the value
      BenchIncomplete                68   a bench run ended with attempts that the LLM server did not answer
      MissingPackage                 69   an optional package is not installed, or cannot be loaded
      CorpusError                    66   a source, a corpus or another input is missing, damaged, unfit or changed
      LockHeld                       75   another daemon owns the run directory
      YardstickMismatch              76   the run was measured with another yardstick, baseline, menu or rule
      JournalError                   74   the trajectory cannot be read or written
        JournalDamaged               65   the trajectory cannot be trusted
      BaselineFailed                 70   the baseline could not be measured, so nothing can be compared
      TrialServerError               71   the process that forks trials does not start

The codes follow sysexits.h where it has a suitable one. Only ``cli/`` turns an error into text and an exit code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class AutoresearchError(Exception):
    """``what`` states what happened and with which value; ``hint`` states what to try next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  try: {self.hint}" if self.hint else self.what


class ConfigError(AutoresearchError):
    """A setting that is unknown, of the wrong type or out of range."""

    exit_code = 78


class BenchIncomplete(AutoresearchError):
    """A bench run ended early: the server failed for longer than its patience, or an attempt could not be made."""

    exit_code = 68


class MissingPackage(AutoresearchError):
    """An optional package that this command needs is not installed, or is and cannot be loaded."""

    exit_code = 69

    def __str__(self) -> str:
        cause = self.__cause__
        if not isinstance(cause, ImportError) or isinstance(cause, ModuleNotFoundError):
            return super().__str__()
        hint = "repair that, or install the package again with --force-reinstall"
        return f"{self.what}, which is installed and cannot be loaded: {cause}\n  try: {hint}"


class CorpusError(AutoresearchError):
    """A source or a corpus that is missing, damaged or unfit, or an input that changed while the run read it."""

    exit_code = 66


class LockHeld(AutoresearchError):
    """Another process is the writer of this run directory."""

    exit_code = 75


class YardstickMismatch(AutoresearchError):
    """Two measurements that cannot be compared: the message names every field that differs."""

    exit_code = 76


class JournalError(AutoresearchError):
    """The trajectory cannot be written: read-only directory, full disk, failed fsync.

    ``no_space``: a disk or a quota was full, and the file is as before, so that the same write may be repeated.
    """

    exit_code = 74

    def __init__(self, what: str, *, hint: str = "", no_space: bool = False) -> None:
        super().__init__(what, hint=hint)
        self.no_space = no_space


class JournalDamaged(JournalError):
    """A line before the tail is damaged: the message names the line. Nothing is repaired by guessing."""

    exit_code = 65


class BaselineFailed(AutoresearchError):
    """The fixed baseline could not be measured, so there is nothing to compare with."""

    exit_code = 70


class TrialServerError(AutoresearchError):
    """The trial server, the process that forks trials, does not start."""

    exit_code = 71


def missing_extra(feature: str, packages: str | Sequence[str], extra: str, *, instead: str = "") -> MissingPackage:
    """The error for a ``feature`` that needs ``packages``: its hint names the one ``extra`` that installs them all.

    ``instead`` is what the user can do without them.
    """
    names = [packages] if isinstance(packages, str) else packages
    noun = "package" if len(names) == 1 else "packages"
    hint = f"pip install 'autoresearch[{extra}]'" + (f", or {instead}" if instead else "")
    return MissingPackage(f"{feature} needs the {noun} {', '.join(names)}", hint=hint)
