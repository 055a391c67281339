"""envelope.jsonl, the log of measured speeds: decoding, and the seconds per step that rail R7 uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from autoresearch.core.records import Yardstick
from autoresearch.core.speeds import Point, Record, Swept, decode_speed, speed_conditions, swept
from autoresearch.core.values import Cfg, sha256_of
from autoresearch.errors import JournalError
from autoresearch.storage.decode import decode_lines, fresh_hint
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import ENVELOPE


def decode_speeds(path: Path, payloads: Iterable[bytes]) -> list[Record]:
    """Return every record of ``path``. Raises ``JournalDamaged`` with the number of the line that cannot be decoded."""
    return list(decode_lines(payloads, decode_speed, path, hint=fresh_hint("envelope")))


def step_seconds(
    run_dir: Path, yardstick: Yardstick, baseline: Cfg, notify: Callable[[str], None]
) -> Mapping[Swept, float]:
    """Return seconds per step on the corpus of every point under this run's conditions, for R7 (the last counts).

    Empty without the baseline's own point, which every ratio needs. A damaged file is reported; the run continues.
    """
    path = run_dir / ENVELOPE
    try:
        records = decode_speeds(path, read(path).payloads)
    except JournalError as e:
        notify(f"the measured speeds are not used: {e.what}")
        return {}
    conditions_sha256 = sha256_of(speed_conditions(yardstick, baseline))
    points = (r for r in records if isinstance(r, Point) and r.conditions_sha256 == conditions_sha256)
    seconds = {point.swept: point.speed.real_step_ms / 1000 for point in points if point.speed}
    return seconds if swept(baseline) in seconds else {}
