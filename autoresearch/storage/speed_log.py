"""envelope.jsonl, the log of measured speeds: decoding, and the seconds per step that R7 uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from autoresearch.core.records import Yardstick
from autoresearch.core.speeds import _RECORD, Point, Record, Swept, speed_conditions, swept
from autoresearch.core.values import Cfg, sha256_of
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import ENVELOPE


def decode_all(path: Path, payloads: Iterable[bytes]) -> list[Record]:
    """The records of ``path``. Raises ``JournalDamaged`` with the number of the line that is none."""
    records: list[Record] = []
    for number, payload in enumerate(payloads, 1):
        try:
            records.append(_RECORD.validate_json(payload))
        except ValidationError as e:
            first = e.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the record"
            hint = "was it written by a newer version? `autoresearch envelope --fresh` begins anew and keeps it aside"
            raise JournalDamaged(f"{path}: line {number}: {where}: {first['msg']}", hint=hint) from e
    return records


def step_seconds(
    run_dir: Path, yardstick: Yardstick, baseline: Cfg, notify: Callable[[str], None]
) -> Mapping[Swept, float]:
    """Seconds per step on the corpus of every point measured under this run's conditions, for R7; the last one counts.

    Empty without the baseline's own point, which every ratio needs. A damaged file is told, and costs no run.
    """
    path = run_dir / ENVELOPE
    try:
        records = decode_all(path, read(path).payloads)
    except JournalError as e:
        notify(f"the measured speeds are not used: {e.what}")
        return {}
    wanted = sha256_of(speed_conditions(yardstick, baseline))
    points = (r for r in records if isinstance(r, Point) and r.conditions_sha256 == wanted)
    seconds = {point.swept: point.speed.real_step_ms / 1000 for point in points if point.speed}
    return seconds if swept(baseline) in seconds else {}
