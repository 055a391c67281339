"""Every journal under the contract of its port."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from autoresearch.storage import journal as storage
from autoresearch.storage.journal import Journal
from autoresearch.testing.contracts.journal import DurableJournalContract, JournalContract
from autoresearch.testing.memory_journal import MemoryJournal
from tests.processes import no_file_above


class TestJournal(DurableJournalContract):
    """The one of a run directory, on a disk that becomes full."""

    @pytest.fixture
    def journal(self, tmp_path: Path) -> Iterator[Journal]:
        made = Journal(tmp_path / "records.jsonl")
        yield made
        with suppress(OSError):
            made.close()

    def read_back(self, journal: Journal) -> list[str]:
        return [payload.decode() for payload in storage.read(journal.path).payloads]

    def reopen(self, journal: Journal) -> Journal:
        journal.close()
        return Journal(journal.path)

    @contextmanager
    def failing(self, journal: Journal) -> Iterator[None]:
        with no_file_above(journal.size + 10):
            yield


class TestJournalOnADiskThatDoesNotSync(TestJournal):
    """fsync(2) fails; the line may be on the disk or not."""

    @contextmanager
    def failing(self, journal: Journal) -> Iterator[None]:
        def no_fsync(fd: int) -> None:
            os.ftruncate(fd, size)  # the kernel has dropped the page
            raise OSError(errno.EIO, "Input/output error")

        size = journal.size
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", no_fsync)
            yield


class TestMemoryJournal(JournalContract):
    @pytest.fixture
    def journal(self) -> MemoryJournal:
        return MemoryJournal()

    def read_back(self, journal: MemoryJournal) -> list[str]:
        return list(journal.payloads)
