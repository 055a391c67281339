"""What a server's message about an overflow of the context says of the prompt. Pure."""

from __future__ import annotations

import re

_COUNT = r"([\d,]{1,12})"
_FORMS = (
    re.compile(rf"{_COUNT}\s+(?:tokens\s+)?in (?:the |your )?(?:messages|prompt)"),  # vLLM, OpenAI, llama-cpp-python
    re.compile(rf"(?:has|contains|with|resulted in)\s+(?:at least\s+)?{_COUNT}\s+(?:input\s+|prompt\s+)?tokens"),
    re.compile(rf"prompt \(length {_COUNT}\)"),  # vLLM
    re.compile(rf"(?:request|input) \({_COUNT} tokens\)"),  # llama.cpp, SGLang
    re.compile(rf"{_COUNT} tokens from the input messages"),  # SGLang
    re.compile(rf"n_prompt_tokens\W{{1,4}}{_COUNT}"),  # llama.cpp
    re.compile(rf"{_COUNT}\s+`inputs` tokens"),  # TGI
)


def prompt_tokens_in(detail: str) -> int | None:
    """The tokens of the prompt that the message names; ``None`` where it names none."""
    for form in _FORMS:
        if (match := form.search(detail)) and (digits := match[1].replace(",", "")):
            return int(digits)
    return None


def is_lower_bound(detail: str) -> bool:
    """Whether the server counted only so far: vLLM reads no more of a prompt than can fit."""
    return "at least" in detail
