"""The ``Journal`` port: an append that returned is never lost, and never reordered."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any

import pytest

from autoresearch.core.ports import Journal
from autoresearch.errors import JournalError

PAYLOADS = [
    '{"stage":"meta","n":1}',
    '{"text":"a line\\nand a quote \\" and a backslash \\\\"}',
    '{"seq":7,"crc":"00000000","text":"the names of the journal\'s own fields"}',
    '{"text":"ümlaut \U0001f600 \u2028"}',
    '{"nested":{"list":[1,2.5,null,true,{}]}}',
    '{"stage":"meta","n":1}',  # the same record again is another record
    json.dumps({"long": "x" * 200_000}),
]
NO_RECORDS = ["", "{}", "[1]", "nonsense", '{"a":1}\n', '{"a":\n1}', '{"a":1}\n{"b":2}']


class JournalContract:
    """For every implementation of ``autoresearch.core.ports.Journal``. The fixture's journal is empty."""

    @pytest.fixture
    def journal(self) -> Any:
        """An empty journal, closed after the test where that is needed."""
        raise NotImplementedError

    def read_back(self, journal: Journal) -> list[str]:
        """The payloads that a reader of this journal finds now, the oldest first."""
        raise NotImplementedError

    def test_an_empty_journal_reads_back_as_nothing(self, journal: Journal) -> None:
        assert self.read_back(journal) == []

    def test_sequence_numbers_begin_at_zero_and_grow_by_one(self, journal: Journal) -> None:
        assert [journal.append(payload) for payload in PAYLOADS] == list(range(len(PAYLOADS)))

    def test_an_append_that_returned_can_be_read_at_once_in_order_and_unchanged(self, journal: Journal) -> None:
        for n, payload in enumerate(PAYLOADS, 1):
            journal.append(payload)
            assert self.read_back(journal) == PAYLOADS[:n]

    @pytest.mark.parametrize("payload", NO_RECORDS)
    def test_a_payload_that_is_not_one_object_on_one_line_is_refused_and_changes_nothing(
        self, journal: Journal, payload: str
    ) -> None:
        journal.append(PAYLOADS[0])
        with pytest.raises(ValueError, match="JSON object"):
            journal.append(payload)
        assert journal.append(PAYLOADS[1]) == 1
        assert self.read_back(journal) == PAYLOADS[:2]


class DurableJournalContract(JournalContract):
    """For a journal on a medium, which outlives its process and may fail."""

    def reopen(self, journal: Journal) -> Journal:
        """Close ``journal`` and open it again, as the next process would."""
        raise NotImplementedError

    def failing(self, journal: Journal) -> AbstractContextManager[object]:
        """Inside of this context every append of ``journal`` fails, for example because the disk is full."""
        raise NotImplementedError

    def test_the_next_process_continues_where_this_one_ended(self, journal: Journal) -> None:
        journal.append(PAYLOADS[0])
        again = self.reopen(journal)
        assert again.append(PAYLOADS[1]) == 1
        assert self.read_back(self.reopen(again)) == PAYLOADS[:2]

    def test_an_append_that_failed_raises_journal_error_and_loses_nothing_that_was_acknowledged(
        self, journal: Journal
    ) -> None:
        journal.append(PAYLOADS[0])
        with self.failing(journal), pytest.raises(JournalError):
            journal.append(PAYLOADS[1])
        assert self.read_back(journal) == PAYLOADS[:1]

    def test_after_a_failed_append_nothing_is_acknowledged_until_it_is_opened_again(self, journal: Journal) -> None:
        """What the medium holds is unknown by then: a later append must not be acknowledged behind a lost one."""
        journal.append(PAYLOADS[0])
        with self.failing(journal), pytest.raises(JournalError):
            journal.append(PAYLOADS[1])
        for _ in range(2):
            with pytest.raises(JournalError):
                journal.append(PAYLOADS[2])
        again = self.reopen(journal)
        assert again.append(PAYLOADS[3]) == 1
        assert self.read_back(again) == [PAYLOADS[0], PAYLOADS[3]]
