"""Import runs of AutoResearchBench: upstream's own output, its grader's, or the summary of a published run.

Everything is joined by the id of the case, never by the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autoresearch.benches.cases import Case
from autoresearch.benches.imported import ImportedRun, ImportedTrial
from autoresearch.benches.jsonl import NotJson, decode_json, read_objects, shown
from autoresearch.benches.records import BenchTrial, Grade
from autoresearch.benches.research.cases import build_cases
from autoresearch.benches.research.evidence import paper_json
from autoresearch.benches.research.grading import grade_trial
from autoresearch.benches.research.replay import replay
from autoresearch.benches.research.summaries import import_summary
from autoresearch.benches.research.upstream_form import (
    HINT,
    LineForm,
    OwnForm,
    ResultForm,
    SummaryForm,
    read_form,
)
from autoresearch.errors import CorpusError
from autoresearch.hints import hint_after

FORMAT = "autoresearchbench"
MAX_DOCUMENT_BYTES = 1 << 30
UPSTREAM_GRADER = "upstream@1"  # its judge, a model
KNOWN = ("input_data", "per_question", "detailed_results")  # one of them is in each file that can be read
ENDED_BY = {
    "finished": "model",
    "max_turns_reached": "turns",
    "max_tokens_reached": "tokens",
    "context_length_exceeded": "context",
    "api_error": "api",
}


@dataclass(frozen=True, slots=True)
class _Line:
    place: str
    form: LineForm
    ts: str


def import_runs(files: Sequence[Path]) -> ImportedRun:
    """Read the files as one run. Raises ``CorpusError`` with file, line and field."""
    summaries: list[tuple[Path, SummaryForm]] = []
    lines: list[_Line] = []
    for file in files:
        found = _read(file)
        if isinstance(found, SummaryForm):
            summaries.append((file, found))
        else:
            lines += found
    if summaries and (lines or len(summaries) > 1):
        raise CorpusError(
            f"{summaries[0][0]} is the summary of a whole run",
            hint="import each summary by itself, and compare the runs",
        )
    if summaries:
        file, summary = summaries[0]
        return import_summary(file, summary, _ts(file))
    return _import_lines(lines, ", ".join(map(str, files)))


def _read(file: Path) -> SummaryForm | list[_Line]:
    """A summary, or the lines of upstream's output."""
    if file.is_dir():
        raise CorpusError(f"{file} is a directory", hint=HINT)
    document = _document(file)
    if document is not None and not document.keys() & KNOWN:
        raise CorpusError(f"{file}: it has none of {', '.join(KNOWN)}", hint=HINT)
    if document is not None and "per_question" in document:
        return read_form(SummaryForm, document, str(file))
    if document is not None and "detailed_results" in document:
        results = document["detailed_results"]
        if not isinstance(results, list):
            raise CorpusError(f"{file}: detailed_results: a list is expected, not {shown(results)}", hint=HINT)
        items = [(f"{file}: item {n}", value) for n, value in enumerate(results, 1)]
    else:
        items = [(f"{file}: line {number}", value) for number, value in read_objects(file, HINT)]
    if not items:
        raise CorpusError(f"{file} has no question", hint=HINT)
    return [_Line(place, read_form(LineForm, value, place), _ts(file)) for place, value in items]


def _document(file: Path) -> dict[str, Any] | None:
    """The file as one JSON object; ``None`` where it is something else, for example JSON Lines."""
    try:
        if file.stat().st_size > MAX_DOCUMENT_BYTES:
            return None
        with file.open("rb") as stream:
            if b'"input_data"' in stream.readline(MAX_DOCUMENT_BYTES):
                return None  # JSON Lines
        value = decode_json(file.read_bytes().decode("utf-8-sig"))
    except OSError as e:
        raise CorpusError(f"cannot read {file}: {e.strerror}", hint=hint_after(e, file, "read")) from e
    except (UnicodeDecodeError, NotJson):
        return None
    return value if isinstance(value, dict) else None


def _import_lines(lines: Sequence[_Line], source: str) -> ImportedRun:
    """Lines of one question are its passes, also where they are in several files."""
    first: dict[str, _Line] = {}
    for line in lines:
        known = first.setdefault(_question(line), line)
        if known.form.input_data != line.form.input_data:
            raise CorpusError(
                f"{line.place}: the question of {known.place} with another answer, arxiv_id or other field",
                hint="import the runs of one set of cases together, and compare the runs of several",
            )
    cases = build_cases(source, [(line.place, line.form.input_data) for line in first.values()])
    by_question = dict(zip(first, cases.cases, strict=True))
    trials: dict[tuple[str, int], ImportedTrial] = {}
    places: dict[tuple[str, int], str] = {}
    samples, missing = 1, 0
    for line in lines:
        case = by_question[_question(line)]
        for position, result in enumerate(line.form.inference_results):
            sample = position if result.pass_id is None else result.pass_id
            key = (case.id, sample)
            samples = max(samples, sample + 1)
            if key in places:
                raise CorpusError(
                    f"{line.place}: pass {sample} of this question is in {places[key]} already", hint="give it once"
                )
            places[key] = line.place
            if result.missing:
                missing += 1
            else:
                trials[key] = _trial(case, sample, result, line, position)
    own = [r.autoresearch for line in lines for r in line.form.inference_results if r.autoresearch is not None]
    return ImportedRun(
        format=FORMAT,
        cases=cases,
        samples=samples,
        trials=tuple(trials.values()),
        model=next((o.model for o in own if o.model), None),
        options={"top_k": next((o.top_k for o in own if o.top_k), 10)},
        notes=_notes(list(trials.values()), own, missing),
    )


def _question(line: _Line) -> str:
    return str(line.form.input_data.get("question")).strip()


def _trial(case: Case, sample: int, result: ResultForm, line: _Line, position: int) -> ImportedTrial:
    turns = [turn.plain for turn in result.turn_details or ()]
    evidence = _evidence(case, result, turns, line.place)
    record = BenchTrial(
        ts=line.ts,
        case=case.id,
        sample=sample,
        status=result.status,
        answer=None,
        turns=tuple(turns),
        tokens_in=_total(turns, "input_tokens"),
        tokens_out=_total(turns, "output_tokens"),
        wall_s=result.total_time,
        evidence=evidence,
    )
    grade = grade_trial(case, record, line.ts)
    record = record.model_copy(update={"answer": grade.answer})
    return ImportedTrial(record, (grade, *_upstream_grades(line, position)))


def _upstream_grades(line: _Line, position: int) -> list[Grade]:
    """What upstream's judge found, where the file is its output."""
    scores = line.form.evaluation.pass_scores
    if position >= len(scores):
        return []
    score = scores[position]
    if not 0 <= score <= 1:
        raise CorpusError(f"{line.place}: evaluation.pass_scores: {shown(score)} is not from 0 to 1", hint=HINT)
    return [Grade(ts=line.ts, trial=0, grader=UPSTREAM_GRADER, score=score, correct=score == 1)]


def _evidence(case: Case, result: ResultForm, turns: list[dict[str, Any]], place: str) -> dict[str, Any]:
    """The evidence of a trial; the papers of each search are set in ``turns``, as far as the messages show them."""
    state, raw = result.final_candidate_state, result.final_candidates
    if raw is None and state in ("none", "empty"):
        raw = []
    papers = None if raw is None else [item.paper for item in raw]
    candidates = None if papers is None else [paper for paper in papers if paper.id or paper.title]
    evidence: dict[str, Any] = {
        "ended_by": ENDED_BY.get(result.status),
        "candidate_state": state,
        "candidates": None if candidates is None else [paper_json(paper) for paper in candidates],
        "candidate_count": None if candidates is None else len(candidates),
        "messages": result.messages or [],
    }
    if papers and candidates is not None and len(papers) > len(candidates):
        evidence["candidates_without_id_and_title"] = len(papers) - len(candidates)
    if result.autoresearch is not None:
        return evidence | _own_evidence(case, result.autoresearch, turns, place)
    shown_lists = replay(result.messages or (), candidates or ())
    lists = list(shown_lists.lists)
    for turn in turns:
        if turn["action"] == "tool":
            turn["papers"] = [paper_json(paper) for paper in lists.pop(0)] if lists else None
    if candidates is not None and len(candidates) <= 1:
        evidence["nominee"] = paper_json(candidates[0]) if candidates else None
    elif candidates and shown_lists.agrees and shown_lists.nominee:
        evidence["nominee"] = paper_json(shown_lists.nominee)
    return evidence


def _own_evidence(case: Case, own: OwnForm, turns: list[dict[str, Any]], place: str) -> dict[str, Any]:
    """What our own export recorded beside upstream's form."""
    for turn, recorded in zip(turns, own.turns, strict=False):
        turn |= recorded.model_dump(exclude_unset=True)
    found: dict[str, Any] = {"nominee": own.nominee.model_dump() if own.nominee else None, "retriever": own.retriever}
    if own.ended_by:
        found["ended_by"] = own.ended_by
    if own.probe is not None:
        gold = len(case.payload["gold"])
        if not len(own.probe.ranks) == len(own.probe.indexed) == gold:
            raise CorpusError(f"{place}: autoresearch.probe has not one rank for each of {gold} papers", hint=HINT)
        found["probe"] = own.probe.model_dump()
    return found


def _total(turns: Sequence[dict[str, Any]], key: str) -> int | None:
    counts = [turn[key] for turn in turns]
    return None if None in counts or not counts else sum(counts)


def _notes(trials: Sequence[ImportedTrial], own: Sequence[OwnForm], missing: int) -> tuple[str, ...]:
    notes = []
    if not own:
        notes.append("the retriever by itself and what its index has are not recorded")
        notes.append("token counts are those of upstream's tokenizer, not of the model's")
    if missing:
        notes.append(f"{missing} passes are marked as missing")
    unknown = sum(trial.grades[0].score is None for trial in trials)
    if unknown:
        notes.append(f"the final nomination of {unknown} attempts is not recorded: they have no grade")
    return tuple(notes)


def _ts(file: Path) -> str:
    """When the file was last written: the attempts ended before."""
    written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return written.isoformat(timespec="milliseconds").replace("+00:00", "Z")
