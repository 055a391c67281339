"""How a request failed, as one name: from what the ``openai`` package raised to a ``Classification``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2
import openai

from autoresearch.exchange import Classification
from autoresearch.llm.answer import Answer
from autoresearch.llm.client import BodyRefused

MAX_DETAIL_CHARS = 300

# What servers say when prompt and answer do not fit: vLLM and NIM in two wordings, llama.cpp's two servers, OpenAI,
# TGI. Not every 400 that speaks of length is one, so each pattern names the context.
OVERFLOW = re.compile(
    r"maximum context length|context length is only|context_length_exceeded|longest input is"
    r"|exceeds? (the )?(model'?s? |available |maximum )*context (size|length|window)"
    r"|must be <= \d+\. given: \d+ .{0,20}inputs. tokens",
    re.IGNORECASE,
)
LENGTH = re.compile(
    r"(?:context length is(?: only)?|context window of|context size \()\D{0,12}(\d{3,8})", re.IGNORECASE
)
MODEL_GONE = re.compile(
    r"model_not_found|model\b.{0,120}\b(not exist|not found|unknown|not loaded|not available)", re.I | re.S
)
OVERFLOW_STATUS = frozenset({400, 413, 422, 500})  # llama-cpp-python answers an overflow with 400 or 500
MODEL_STATUS = frozenset({400, 404, 410, 422})


def failure_of(error: Exception) -> Answer:
    """What ``error`` says of the call, as an ``Answer`` without text."""
    match error:
        case openai.APIStatusError():
            body = error.response.text
            kind = of_status(error.status_code, body)
            return Answer(
                kind, _brief(f"HTTP {error.status_code}: {body}"), retry_after_s=_wait(error.response.headers)
            )
        case TimeoutError() | openai.APITimeoutError():
            return Answer(Classification.TIMEOUT, _brief(str(error)))
        case openai.APIConnectionError():
            cause = error.__cause__ or error
            return Answer(_of_connection(cause), _brief(f"{type(cause).__name__}: {cause}"))
        case _:
            return Answer(Classification.MALFORMED_RESPONSE, _brief(f"{type(error).__name__}: {error}"))


def of_status(status: int, body: str) -> Classification:
    """The name of an HTTP error."""
    if status == 429:
        return Classification.RATE_LIMITED
    if status in OVERFLOW_STATUS and OVERFLOW.search(body):
        return Classification.CONTEXT_LENGTH_EXCEEDED
    if status in MODEL_STATUS and MODEL_GONE.search(body):
        return Classification.MODEL_GONE
    if status == 408:
        return Classification.TIMEOUT
    return Classification.SERVER_ERROR if status >= 500 else Classification.REQUEST_REJECTED


def context_length_in(detail: str) -> int | None:
    """The context length that an overflow message names, in tokens."""
    match = LENGTH.search(detail.replace(",", ""))
    return int(match[1]) if match else None


def _of_connection(cause: BaseException) -> Classification:
    """A connection that is refused or breaks off is no server; one that speaks something else is a wrong one."""
    if isinstance(cause, BodyRefused | httpx2.DecodingError):
        return Classification.MALFORMED_RESPONSE
    if isinstance(cause, httpx2.RemoteProtocolError) and not re.search("disconnect|closed", str(cause), re.IGNORECASE):
        return Classification.MALFORMED_RESPONSE
    return Classification.UNREACHABLE


def _wait(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds: a number, or a date (RFC 9110, 10.2.3). Nonsense and the past are no wait."""
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", said):
        return float(said)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _brief(text: str) -> str:
    return " ".join(text[: 4 * MAX_DETAIL_CHARS].split())[:MAX_DETAIL_CHARS]
