"""The forms of other programs' runs: upstream's results, and the summary of a run. Unknown keys are ignored."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autoresearch.benches.jsonl import shown
from autoresearch.benches.research.papers import Paper, normalise_id
from autoresearch.core.values import NotNegative
from autoresearch.errors import CorpusError

HINT = "give the output of AutoResearchBench's inference.py or of its grader, or the summary of a run: docs/benches.md"


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


Form = TypeVar("Form", bound=_Form)
Count = Field(default=None, ge=0)


class PaperForm(_Form):
    """A final candidate: of the inference output, or the title alone, as upstream's grader leaves it."""

    arxiv_id: str | None = None
    title: str | None = None
    paper_title: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    @property
    def paper(self) -> Paper:
        """What identifies it; upstream's own grader takes the title of ``metadata``."""
        named = self.metadata.get("title")
        title = next((t for t in (named, self.title, self.paper_title) if isinstance(t, str) and t.strip()), "")
        return Paper(normalise_id(self.arxiv_id or ""), title.strip())


class TurnForm(_Form):
    """A turn; ``duration_s`` and ``papers_retrieved`` are the names of a summary."""

    turn: int | None = None
    duration: NotNegative | None = None
    duration_s: NotNegative | None = None
    input_tokens: int | None = Count
    output_tokens: int | None = Count
    action: str | None = None
    action_content: Any = None
    papers_retrieved_this_turn: int | None = Count
    papers_retrieved: int | None = Count
    error_message: str | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """Under upstream's names; what is not recorded is ``None``."""
        return {
            "turn": self.turn,
            "duration": self.duration if self.duration is not None else self.duration_s,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "action": self.action,
            "action_content": self.action_content,
            "papers_retrieved_this_turn": (
                self.papers_retrieved if self.papers_retrieved_this_turn is None else self.papers_retrieved_this_turn
            ),
        } | ({"error_message": self.error_message} if self.error_message else {})


class PlainPaper(_Form):
    """A paper in our own records."""

    id: str
    title: str


class ProbeForm(_Form):
    """The retriever by itself, in our own records; lists have one place for each gold paper."""

    k: int
    returned: int
    ranks: list[int | None]
    indexed: list[bool | None]


class OwnTurn(_Form):
    """What we record of a turn beside upstream's form."""

    papers: list[PlainPaper] | None = None
    queries: list[str] | None = None
    call_source: str | None = None
    call_formats: list[str] | None = None
    call_errors: int | None = None
    context_tokens: int | None = None
    finish_reason: str | None = None


class OwnForm(_Form):
    """What our own export adds to a result."""

    nominee: PlainPaper | None = None
    ended_by: str | None = None
    probe: ProbeForm | None = None
    retriever: str | None = None
    turns: list[OwnTurn] = Field(default_factory=list)
    model: str | None = None
    top_k: int | None = Field(default=None, ge=1)


class ResultForm(_Form):
    """One pass of one question."""

    status: str = Field(min_length=1)
    pass_id: int | None = Field(default=None, ge=0, lt=100_000)
    total_time: NotNegative | None = None
    messages: list[dict[str, Any]] | None = None
    final_candidates: list[PaperForm] | None = None
    final_candidate_state: str | None = None
    turn_details: list[TurnForm] | None = None
    missing: bool = False
    autoresearch: OwnForm | None = None


class EvaluationForm(_Form):
    """The scores of upstream's Deep grader, one a pass."""

    pass_scores: list[float] = Field(default_factory=list)


class LineForm(_Form):
    """One question with its passes."""

    input_data: dict[str, Any]
    inference_results: list[ResultForm]
    evaluation: EvaluationForm = EvaluationForm()


class QuestionForm(_Form):
    """One question of a summary: its candidates are a number, and there is no text of the question."""

    arxiv_id: str | list[str]
    truth_title: str | None = None
    question: str | None = None
    status: str = Field(min_length=1)
    wall_seconds: NotNegative | None = None
    turns: int | None = Count
    candidates: int | None = Count
    turn_detail: list[TurnForm] | None = None


class SummaryForm(_Form):
    """The summary of a run of one pass."""

    label: str | None = None
    per_question: list[QuestionForm]


def read_form(kind: type[Form], value: object, where: str) -> Form:
    """Read a value in this form. Raises ``CorpusError`` with the place, the field and the value."""
    try:
        return kind.model_validate(value)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise CorpusError(f"{where}: {field}: {first['msg']}, not {shown(first['input'])}", hint=HINT) from e
