"""The certificate of a promotion: whether a run's winner holds when it is trained longer. Values and sentences."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from autoresearch.core.text import plural
from autoresearch.core.values import FrozenModel, decode_record
from autoresearch.errors import JournalDamaged
from autoresearch.report.gain_text import format_gain
from autoresearch.storage.files import open_regular
from autoresearch.storage.run_dir import PROMOTION

MAX_BYTES = 1 << 20


class Certificate(FrozenModel):
    """Winner and baseline at ``times`` the run's budget, paired by seed; see ``verdicts.promotion``."""

    run_id: str
    iter: int  # of the winner
    times: int
    yardstick_sha256: str  # of the longer budget
    label: Literal["holds", "shrinks", "reverses", "cannot tell"]
    text: str
    share: float | None  # gain at the longer budget over the gain at the run's own
    gain_frac: float | None
    low_frac: float | None  # 95% interval
    high_frac: float | None
    seeds: tuple[int, ...]
    gains_frac: tuple[float, ...]
    failures: tuple[str, ...]
    short_gain_frac: float  # at the run's own budget, as the winner was confirmed
    short_low_frac: float | None
    short_high_frac: float | None


_CERTIFICATE: TypeAdapter[Certificate] = TypeAdapter(Certificate)


def read_certificate(run_dir: Path, run_id: str | None) -> Certificate | None:
    """The certificate in a run directory; ``None`` where there is none, or one of another run, or a damaged file."""
    try:
        with os.fdopen(open_regular(run_dir / PROMOTION, os.O_RDONLY), "rb") as file:
            certificate = decode_record(_CERTIFICATE, file.read(MAX_BYTES))
    except (OSError, JournalDamaged):
        return None
    return certificate if certificate.run_id == run_id else None


def promotion_lines(certificate: Certificate | None) -> Iterator[str]:
    """The verdict, with both gains."""
    if certificate is None:
        return
    c = certificate
    seeds = plural(len(c.seeds), "fresh seed")
    long = "not measured" if c.gain_frac is None else format_gain(c.gain_frac, c.low_frac, c.high_frac)
    short = format_gain(c.short_gain_frac, c.short_low_frac, c.short_high_frac)
    failed = f"; {plural(len(c.failures), 'trial')} failed" if c.failures else ""
    yield (
        f"iteration {c.iter} at {c.times} times the budget: {c.text}. Gain {long} over {seeds}, "
        f"{short} at the run's own budget{failed}"
    )
