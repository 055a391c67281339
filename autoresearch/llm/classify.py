"""Map an exception of the ``openai`` package to a ``Classification``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2
import openai

from autoresearch.core.llm_calls import Classification
from autoresearch.llm.answer import Answer
from autoresearch.llm.client import BodyRefused

MAX_DETAIL_CHARS = 300

# Error messages for a prompt that does not fit with its answer: vLLM and NIM (three wordings), llama.cpp's two servers,
# SGLang, LM Studio, OpenAI, TGI. Other errors mention a length too, so each pattern names the context.
OVERFLOW = re.compile(
    r"maximum context length|context length (is|of) only|context_length_exceeded|longest input is"
    r"|(longer|greater) than the (model'?s )?(context length|maximum model length)"
    r"|exceeds? (the )?(model'?s? |available |maximum )*context (size|length|window)"
    r"|must be <= \d+\. given: \d+ .{0,20}inputs. tokens",
    re.IGNORECASE,
)
LENGTH = re.compile(
    r"(?:(?:context|model) length(?: is| of)?(?: only)?|context window of|context size|n_ctx\W{1,3}|must be <=)"
    r"[ (]{0,3}(\d{3,8})\b",
    re.IGNORECASE,
)
MODEL_GONE = re.compile(
    r"model_not_found|model\b.{0,300}?\b(not exist|not found|unknown|(not |un)loaded|not available)|no models? loaded",
    re.IGNORECASE | re.DOTALL,
)
MAX_SEARCHED_CHARS = 1 << 14  # of the body of an error response
OVERFLOW_STATUS = frozenset({400, 413, 422, 500})  # llama-cpp-python answers an overflow with 400 or 500
MODEL_STATUS = frozenset({400, 404, 410, 422})


def classify_error(error: Exception, redact: Callable[[str], str] = str) -> Answer:
    """Classify ``error``: an ``Answer`` without text. ``redact`` removes the key from the detail."""
    match error:
        case openai.APIStatusError():
            body = error.response.text[:MAX_SEARCHED_CHARS]
            kind, detail = classify_status(error.status_code, body), f"HTTP {error.status_code}: {body}"
        case TimeoutError() | openai.APITimeoutError():
            kind, detail = Classification.TIMEOUT, str(error)
        case openai.APIConnectionError():
            cause = error.__cause__ or error
            kind, detail = _classify_connection(cause), f"{type(cause).__name__}: {cause}"
        case _:
            kind, detail = Classification.MALFORMED_RESPONSE, f"{type(error).__name__}: {error}"
    wait_s = _retry_after_s(error.response.headers) if isinstance(error, openai.APIStatusError) else None
    return Answer(
        kind, _shorten(redact(detail)), retry_after_s=wait_s
    )  # redacted first: cutting could leave half a key


def classify_status(status: int, body: str) -> Classification:
    """Classify an HTTP error by its status and body."""
    if status == 429:
        return Classification.RATE_LIMITED
    if status in OVERFLOW_STATUS and OVERFLOW.search(body):
        return Classification.CONTEXT_LENGTH_EXCEEDED
    if status in MODEL_STATUS and MODEL_GONE.search(body) and "response_format" not in body:
        return Classification.MODEL_GONE
    if status == 408:
        return Classification.TIMEOUT
    return Classification.SERVER_ERROR if status >= 500 else Classification.REQUEST_REJECTED


def context_length_in(detail: str) -> int | None:
    """The context length that an overflow message names, in tokens."""
    match = LENGTH.search(detail.replace(",", ""))
    return int(match[1]) if match else None


def _classify_connection(cause: BaseException) -> Classification:
    """Unreachable where the connection was refused or broken off, malformed where the peer does not speak HTTP."""
    if isinstance(cause, BodyRefused | httpx2.DecodingError):
        return Classification.MALFORMED_RESPONSE
    if isinstance(cause, httpx2.RemoteProtocolError) and not re.search("disconnect|closed", str(cause), re.IGNORECASE):
        return Classification.MALFORMED_RESPONSE
    return Classification.UNREACHABLE


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds, from a number or a date (RFC 9110, 10.2.3): ``None`` if unreadable, 0 if in the past."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None


def _shorten(text: str) -> str:
    return " ".join(text[: 4 * MAX_DETAIL_CHARS].split())[:MAX_DETAIL_CHARS]
