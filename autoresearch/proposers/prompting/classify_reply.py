"""Classify a model's reply by the rails' verdicts on its proposals. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from autoresearch.core.llm_calls import Classification
from autoresearch.llm.answer import Answer
from rails import Rail, Verdict

# How models write a tool call into their text: Hermes and Qwen, Nemotron, Llama 3, Mistral, gpt-oss.
TOOL_MARKUP = re.compile(r"<\|?tool_call|<toolcall>|<\|python_tag\|>|\[tool_calls\]|<function=|to=functions\.", re.I)
ORDER = list(Rail)


def classify_reply(
    answer: Answer, proposals: Sequence[str], judge: Callable[[str], Verdict]
) -> tuple[Classification, str]:
    """The classification and why it is not ``ok``. Of several refusals the one by the latest rail counts."""
    if answer.classification is not Classification.OK:
        return answer.classification, answer.detail
    verdicts = [judge(raw) for raw in proposals or (answer.text,)]
    if any(v.ok for v in verdicts):
        return Classification.OK, ""
    furthest = max(verdicts, key=lambda v: ORDER.index(v.rail))
    detail = f"{furthest.rail}: {furthest.reason}"
    if furthest.rail is Rail.R6_NOVELTY:
        return Classification.DUPLICATE, detail
    if furthest.rail is not Rail.R1_SCHEMA:
        return Classification.RAIL_BLOCKED, detail
    if answer.has_tool_call or TOOL_MARKUP.search(answer.text):
        return Classification.TOOL_FORMAT_ERROR, detail
    if answer.finish_reason == "length" and not proposals:
        return Classification.OUTPUT_TRUNCATED, detail
    return Classification.SCHEMA_INVALID, detail
