"""The prompt of the research agent, its tool, and how results are shown. Its protocol is AutoResearchBench's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from autoresearch.benches.research.retrievers.port import Document

TOOL = "search"
MAX_TOP_K = 50
MAX_QUERY_CHARS = 2000
CONTENT_CHARS = 1200  # of a document's text in a result list
MAX_TITLE_CHARS = 300
SHOWN_AUTHORS = 10

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "What the paper is about, in natural language."},
        "top_k": {"type": "integer", "description": f"How many papers to return, 1 to {MAX_TOP_K}."},
    },
    "required": ["query"],
}
TOOLS: tuple[dict[str, Any], ...] = (
    {
        "type": "function",
        "function": {"name": TOOL, "description": "Search a collection of scientific papers.", "parameters": SCHEMA},
    },
)
PARAMETERS: Mapping[str, Mapping[str, Any]] = {TOOL: SCHEMA["properties"]}

SYSTEM = f"""You find scientific papers that answer a question. You work in turns, with one tool:

{TOOL}(query, top_k): returns a list of papers. Each has a paper_id, which is its position in that list, from 0.

In each turn, first think about what is known and what is missing. Then:

1. If papers of the LATEST list may answer the question, name them by their paper_id, for example
   <candidates>[0], [3]</candidates>. They are added to your candidates. Ids of earlier lists are not valid any more.
   <candidates>None</candidates> removes all candidates.
2. Either call {TOOL} again with a better query, or finish with <answer>Done</answer>.

If you cannot call the tool directly, write the call as JSON between tags:
<tool_call>
{{"name": "{TOOL}", "arguments": {{"query": "..."}}}}
</tool_call>

A question about one paper has exactly one right answer: finish with one candidate, the best one. A question about all
papers that meet some conditions has several: collect each that meets all of them, and none that does not. If a thorough
search finds no such paper, finish with <candidates>None</candidates> and <answer>Done</answer>."""

LAST_TURN = """
This is your last turn, because {limit} is reached. Do not call the tool any more. Name your final candidates with
<candidates>...</candidates>, and finish with <answer>Done</answer>."""

NO_ACTION = (
    f"The answer has neither a call of {TOOL} nor <answer>Done</answer>. Call {TOOL}, or finish: name your candidates "
    "with <candidates>...</candidates> and write <answer>Done</answer>."
)

PROMPT_TEXT = "\n\n".join((SYSTEM, LAST_TURN, NO_ACTION, json.dumps(TOOLS)))


def question_message(question: str) -> str:
    """The first message of the user."""
    return f"Question: {question}"


def shown_results(documents: Sequence[Document], *, titles_only: bool = False) -> str:
    """A result list as JSON in upstream's form. ``titles_only``: of an earlier list, whose ids are not valid now."""
    papers: list[dict[str, Any]] = []
    for position, document in enumerate(documents):
        title = document.title[:MAX_TITLE_CHARS]
        if titles_only:
            papers.append({"paper_title": title, "pub_date": document.date})
            continue
        text = document.text
        papers.append(
            {
                "paper_id": position,
                "arxiv_id": document.id,
                "paper_title": title,
                "authors": list(document.authors[:SHOWN_AUTHORS]),
                "pub_date": document.date,
                "retrieval_evidence": text if len(text) <= CONTENT_CHARS else f"{text[:CONTENT_CHARS]}...",
            }
        )
    return json.dumps(papers, ensure_ascii=False)
