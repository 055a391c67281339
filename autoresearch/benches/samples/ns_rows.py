"""A row of an ``ns eval`` output: the generation of one sample with the verdicts that upstream gave it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from autoresearch.benches.jsonl import shown
from autoresearch.benches.records import BenchTrial, Grade
from autoresearch.benches.samples.attempt import CONTEXT_EXCEEDED, ERROR, FINISHED, TOKENS_REACHED, visible_text
from autoresearch.benches.samples.grading import normalise_answer

SYMBOLIC_GRADER, JUDGE_GRADER = "samples@ns-eval", "judge@ns-eval"
EXTERNAL = "external"  # BFCL, RULER: upstream's own verdict, is_correct; it is never graded again
MAX_SHORT_CHARS = 2_000
LATEST_S = 253_402_300_000.0  # the year 9999

_JUDGEMENT = re.compile(r"judge?ment\**\s*:[\s*]*((?:yes|no)\b)?", re.IGNORECASE)


class BadRow(ValueError):
    """A row that is not a sample; the message names the field and the value."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was read of a row; a field that it does not have is ``None``."""

    id: str | None
    question: str
    expected: str
    family: str
    generation: str
    predicted: str | None
    symbolic: float | None
    judgement: str | None
    external: float | None
    has_options: bool
    tokens_in: int | None
    tokens_out: int | None
    start: float | None
    end: float | None
    error: str | None
    finish_reason: str | None


def parse_row(line: Mapping[str, Any]) -> Row:
    """Read one row. Raises ``BadRow``; fields of other names are ignored, because every benchmark adds its own."""
    identity = line.get("id")
    if identity is not None and (isinstance(identity, bool) or not isinstance(identity, str | int) or identity == ""):
        raise BadRow(f"id: {shown(identity)} is neither text nor a whole number")
    generation = line.get("generation")
    return Row(
        id=None if identity is None else str(identity),
        question=str(line.get("problem") or line.get("question") or ""),
        expected=_as_text(line.get("expected_answer")) or "",
        family=_text(line, "subset_for_metrics") or "",
        generation=generation if isinstance(generation, str) else _as_text(generation) or "",
        predicted=_as_text(line.get("predicted_answer")),
        symbolic=_verdict(line, "symbolic_correct"),
        judgement=_text(line, "judgement"),
        external=_verdict(line, "is_correct"),
        has_options=bool(line.get("options")),
        tokens_in=_count(line, "num_input_tokens"),
        tokens_out=_count(line, "num_generated_tokens"),
        start=_time(line, "generation_start_time"),
        end=_time(line, "generation_end_time"),
        error=_as_text(line.get("error")),
        finish_reason=_text(line, "finish_reason"),
    )


def judged(judgement: str | None) -> bool | None:
    """The verdict of a judge's text after its last ``Judgement:``; ``None`` where neither yes nor no follows it."""
    found = _JUDGEMENT.findall(judgement or "")
    return found[-1].lower() == "yes" if found and found[-1] else None


def trial_of(row: Row, case: str, sample: int, kind: str, ts: str) -> BenchTrial:
    """The row as a trial. ``ts`` stands where the row has no time."""
    text, evidence = visible_text(row.generation)
    for name, value in (("finish_reason", row.finish_reason), ("error", row.error)):
        if value:
            evidence[name] = value[:MAX_SHORT_CHARS]
    if row.start is not None and row.end is not None:
        evidence |= {"generation_start_time": row.start, "generation_end_time": row.end}
    if kind in (EXTERNAL, "judge"):  # what is not ours to grade again
        grade = symbolic_grade(row, kind, ts)
        evidence["imported"] = grade.model_dump(mode="json", include={"grader", "score", "correct", "answer", "detail"})
    return BenchTrial(
        ts=ts if row.end is None else _iso(row.end),
        case=case,
        sample=sample,
        status=_status(row),
        answer=text or None,
        tokens_in=row.tokens_in,
        tokens_out=row.tokens_out,
        wall_s=row.end - row.start if row.start is not None and row.end is not None and row.end >= row.start else None,
        evidence=evidence,
    )


def symbolic_grade(row: Row, kind: str, ts: str) -> Grade:
    """The verdict of upstream's rules; without a score where the row has none."""
    predicted = row.predicted if kind != EXTERNAL else None
    score = row.external if kind == EXTERNAL else row.symbolic
    return Grade(
        ts=ts,
        trial=0,
        grader=SYMBOLIC_GRADER,
        score=score,
        correct=None if score is None else score == 1.0,
        answer=None if predicted is None else normalise_answer(kind, predicted) or predicted[:MAX_SHORT_CHARS],
        detail={} if predicted is None else {"extracted": predicted[:MAX_SHORT_CHARS]},
    )


def judge_grade(row: Row, ts: str) -> Grade | None:
    """The judge's verdict; ungraded where its text has none. ``None`` where there is no judgement."""
    if row.judgement is None:
        return None
    verdict = judged(row.judgement)
    return Grade(
        ts=ts,
        trial=0,
        grader=JUDGE_GRADER,
        score=None if verdict is None else float(verdict),
        correct=verdict,
        detail={"judgement": row.judgement[-MAX_SHORT_CHARS:]},
    )


def _status(row: Row) -> str:
    if row.error:
        return CONTEXT_EXCEEDED if "context" in row.error.lower() else ERROR
    return TOKENS_REACHED if row.finish_reason == "length" else FINISHED


def _as_text(value: Any) -> str | None:
    """Text as it is, anything else as JSON: a list of answers, a number, the tool calls of BFCL."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(line: Mapping[str, Any], name: str) -> str | None:
    value = line.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRow(f"{name}: {shown(value)} is not text")
    return value


def _verdict(line: Mapping[str, Any], name: str) -> float | None:
    value = line.get(name)
    if value is None:
        return None
    if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
        raise BadRow(f"{name}: {shown(value)} is neither true nor false nor a number from 0 to 1")
    return float(value)


def _count(line: Mapping[str, Any], name: str) -> int | None:
    value = line.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadRow(f"{name}: {shown(value)} is not a count")
    return value


def _time(line: Mapping[str, Any], name: str) -> float | None:
    value = line.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST_S:
        raise BadRow(f"{name}: {shown(value)} is not a time in seconds since 1970")
    return float(value)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
