"""vault.jsonl: each trial's bits per byte on the test split, sealed until a keep that needs it is unsealed.

A journal that only its user can read. It is open only while a line is written, and only ``unseal`` reads it. Whatever
happens to it, the run continues: what is lost is reported, and a keep that needed it has fewer seeds in the vault.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

from autoresearch.core.records import encode
from autoresearch.core.values import FrozenModel, Positive, decode_record
from autoresearch.core.vault import VAULT_SEEDS
from autoresearch.errors import AutoresearchError
from autoresearch.storage.decode import OTHER_VERSION, decode_lines
from autoresearch.storage.journal import Journal, read

MODE = 0o600  # of the file, and of what a crash left of a line
FIRST_FIELD = b'"trial":'  # how each line begins


class SealedLine(FrozenModel):
    """One line: a trial of trajectory.jsonl, and its bits per byte on the test split."""

    trial: int
    seed: int
    test_bpb: Positive


_LINE: TypeAdapter[SealedLine] = TypeAdapter(SealedLine)


@dataclass(slots=True)
class VaultFile:
    """The real implementation of the ``Vault`` port; ``notify`` receives what could not be written or read."""

    path: Path
    notify: Callable[[str], None]
    seeds: int = VAULT_SEEDS
    waiting: list[SealedLine] = field(default_factory=list)  # that could not be written yet
    problem: str = ""  # why not

    def seal(self, trial: int, seed: int, test_bpb: float) -> None:
        """See ``ports.Vault``. What cannot be written, for example on a full disk, is written with a later value."""
        self.waiting.append(SealedLine(trial=trial, seed=seed, test_bpb=test_bpb))
        self._write()

    def _write(self) -> None:
        """Append every value that waits. A problem is reported once, not for every trial."""
        problem = ""
        try:
            with closing(Journal(self.path, FIRST_FIELD, mode=MODE)) as journal:
                while self.waiting:
                    journal.append(encode(self.waiting[0]))
                    del self.waiting[0]
        except AutoresearchError as e:
            problem = e.what
            if problem != self.problem:
                what = f"the value of trial {self.waiting[0].trial} cannot be sealed"
                self.notify(f"{what}: {problem}; try: {e.hint or 'see the system log'}")
        self.problem = problem

    def unseal(self, trials: Collection[int]) -> dict[int, float]:
        """See ``ports.Vault``. Of two lines of one trial the later counts: a repaired run uses a number again."""
        if self.waiting:
            self._write()
        try:
            payloads = read(self.path).payloads
            lines = decode_lines(payloads, partial(decode_record, _LINE), self.path, hint=OTHER_VERSION)
            found = {line.trial: line.test_bpb for line in lines if line.trial in trials}
        except AutoresearchError as e:
            self.notify(f"the vault cannot be read: {e.what}")
            return {}
        if missing := sorted(set(trials) - found.keys()):
            named = ", ".join(map(str, missing))
            self.notify(f"{self.path} has no line of trial {named}: the vault has fewer seeds without it")
        return found
