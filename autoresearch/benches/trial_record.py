"""The record of an attempt, exactly as it will be read back."""

from __future__ import annotations

from autoresearch.benches.ports import Attempt
from autoresearch.benches.records import BenchTrial, decode_bench_record
from autoresearch.core.records import encode


def record_attempt(case: str, sample: int, attempt: Attempt, ts: str, wall_s: float) -> BenchTrial:
    """The trial, written and read back: a grade of it now and one after a kill see the same.

    Raises ``ValueError`` or ``JournalDamaged`` where the attempt holds what a record cannot, for example NaN.
    """
    answer = attempt.answer
    record = BenchTrial(
        ts=ts,
        case=case,
        sample=sample,
        status=attempt.status,
        # Half a surrogate pair: JSON in a model's text can name one, and no record can hold it.
        answer=answer.encode("utf-8", "replace").decode() if answer is not None else None,
        turns=tuple(attempt.turns),
        tokens_in=attempt.tokens_in,
        tokens_out=attempt.tokens_out,
        wall_s=wall_s,
        evidence=dict(attempt.evidence),
    )
    decoded = decode_bench_record(encode(record))
    assert isinstance(decoded, BenchTrial)
    return decoded
