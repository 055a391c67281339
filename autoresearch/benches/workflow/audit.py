"""audit.jsonl: every request that reached a service, one line each."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autoresearch.core.values import FrozenModel, NotNegative
from autoresearch.storage.files import open_regular

AUDIT_NAME = "audit.jsonl"
MAX_AUDIT_BYTES = 64 << 20
MAX_RECORD_BYTES = 4 << 20


class AuditDamaged(Exception):
    """The audit log is missing or cannot be trusted: nothing can be graded by it."""


class AuditRecord(FrozenModel):
    """One request. ``endpoint`` is the name of its tool, ``None`` where no endpoint has this method and path."""

    seq: int
    ts: str
    service: str | None
    endpoint: str | None
    request: dict[str, Any]  # method, path, and parameters where they could be read
    status: int
    response: Any
    latency_ms: NotNegative
    injected: str | None = None  # for example "503" or "delay 2 s"


class AuditLog:
    """The writer: each record is in the file before its answer is sent."""

    def __init__(self, path: Path) -> None:
        self._fd = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL)
        self._lock = threading.Lock()
        self._seq = 0
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether one more record, as large as one can be, might not fit."""
        return self._bytes > MAX_AUDIT_BYTES - MAX_RECORD_BYTES

    def append(self, **fields: Any) -> None:
        """Write one record. Raises ``OSError``: also once the log is as long as it may be."""
        with self._lock:
            line = AuditRecord(seq=self._seq + 1, **fields).model_dump_json().encode() + b"\n"
            if self._bytes + len(line) > MAX_AUDIT_BYTES:
                raise OSError(f"the audit log would be larger than {MAX_AUDIT_BYTES:,} bytes")
            view = memoryview(line)
            while view:
                view = view[os.write(self._fd, view) :]
            self._seq += 1
            self._bytes += len(line)

    def close(self) -> None:
        """Close the file; a later record is an error, never a write into another file."""
        with self._lock:
            fd, self._fd = self._fd, -1
            os.close(fd)


def read_audit(path: Path) -> tuple[AuditRecord, ...]:
    """Every record in order. Raises ``AuditDamaged`` that names the line."""
    try:
        fd = open_regular(path, os.O_RDONLY)
        with os.fdopen(fd, "rb") as file:
            data = file.read(MAX_AUDIT_BYTES + 1)
    except OSError as e:
        raise AuditDamaged(f"{path.name}: {e.strerror}") from e
    records = []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            record = AuditRecord.model_validate_json(line)
        except ValidationError as e:
            raise AuditDamaged(f"{path.name}, line {number}: {e.errors(include_url=False)[0]['msg']}") from e
        if record.seq != number:
            raise AuditDamaged(f"{path.name}, line {number}: seq is {record.seq}, not {number}")
        records.append(record)
    return tuple(records)
