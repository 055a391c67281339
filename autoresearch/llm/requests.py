"""One request to an LLM server: within its deadline, tried again, and without what the server refuses by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from autoresearch.core.llm_calls import Classification
from autoresearch.core.ports import Interrupted
from autoresearch.llm.answer import Answer
from autoresearch.llm.async_bridge import AsyncBridge
from autoresearch.llm.classify import classify_error
from autoresearch.llm.key import key_redactor
from autoresearch.llm.parameters import Parameters
from autoresearch.llm.retry import ask_with_retries

T = TypeVar("T")


def send(
    bridge: AsyncBridge,
    request: Coroutine[Any, Any, bytes],
    parse: Callable[[bytes], T],
    seconds: float,
    key: str | None,
) -> T | Answer:
    """The parsed response, or the failure as an answer, whatever the packages below raise but ``Interrupted``."""
    began = time.monotonic()
    try:
        return parse(bridge.run(request, seconds))
    except Interrupted:
        raise
    except Exception as e:
        return replace(classify_error(e, key_redactor(key)), latency_s=time.monotonic() - began)


def ask_without_refused(
    try_once: Callable[[Parameters, float], Answer],
    parameters: Parameters,
    end: float,
    sleep: Callable[[float], None],
    backoff_s: float,
) -> tuple[Answer, Parameters, str]:
    """Call ``try_once`` with retries until ``end`` (monotonic), each time without a parameter that was refused by name.

    Returns the answer, the parameters that it was asked with, and the message of the last refusal.
    """
    tries, why = 0, ""
    while True:
        left_s = max(0.0, end - time.monotonic())
        sent = parameters
        answer = ask_with_retries(lambda s, sent=sent: try_once(sent, s), left_s, sleep, backoff_s)  # type: ignore[misc]
        tries += answer.tries
        refused = parameters.refused_in(answer.refusal)
        if refused is None or not left_s:
            return replace(answer, tries=tries), parameters, why
        parameters, why = parameters.without(refused), answer.detail


def count_tokens(paths: tuple[str, ...], ask: Callable[[str], int | Answer]) -> tuple[int | None, tuple[str, ...]]:
    """The count of the first of a server's tokenizer ``paths`` that answers, and the paths that it may still have.

    ``None`` where none of them does. A path that the server does not have is left out; after other failures it stays.
    """
    left = paths
    for path in paths:
        counted = ask(path)
        if not isinstance(counted, Answer):
            return counted, (path,)
        if counted.classification in (Classification.REQUEST_REJECTED, Classification.MALFORMED_RESPONSE):
            left = tuple(p for p in left if p != path)
    return None, left
