"""The time stamps of records as times."""

from __future__ import annotations

from datetime import UTC, datetime

from autoresearch.errors import JournalDamaged


def parse_ts(text: str) -> datetime:
    """The time of a record, which is in UTC. Raises ``JournalDamaged``."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError as e:
        raise JournalDamaged(f"ts = {text!a:.80} is not a time, for example 2026-11-20T22:00:00Z") from e
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
