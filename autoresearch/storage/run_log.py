"""Decode the payloads of a journal into records; an error names the file and the line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autoresearch.core.records import decode
from autoresearch.errors import JournalDamaged


def decode_all(payloads: Iterable[bytes], path: Path) -> list[Any]:
    """Every record of the journal at ``path``. Raises ``JournalDamaged`` with the line number."""
    records = []
    for number, payload in enumerate(payloads, 1):
        try:
            records.append(decode(payload))
        except JournalDamaged as e:
            hint = "was it written by a newer version? `autoresearch run --fresh` begins anew and keeps it aside"
            raise JournalDamaged(f"{path}: line {number}: {e.what}", hint=hint) from e
    return records
