"""Map an exception of the ``openai`` package to a ``Classification``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2
import openai

from autoresearch.core.llm_calls import Classification
from autoresearch.llm.answer import Answer
from autoresearch.llm.client import BodyRefused
from autoresearch.llm.extract import is_truncated_prose
from autoresearch.llm.parse import MalformedResponse, NoUsableModel, ReportedError
from autoresearch.machine import explain_start_failure, limit_named_in

MAX_DETAIL_CHARS = 300

# Error messages for a prompt that does not fit with its answer: vLLM and NIM (several wordings), llama.cpp's two
# servers, SGLang, LM Studio, Ollama, TensorRT-LLM, TabbyAPI, OpenAI, TGI. Other errors mention a length too, so each
# pattern names the context or the prompt.
_LIMIT = (
    r"(context|model length|(input|sequence|prompt) length|max_(num_tokens|(seq|model|input)_len)"
    r"|number of (input )?tokens|token limit|kv (size|cache))"
)
OVERFLOW = re.compile(
    r"maximum context length|context length (is|of) only|context_length_exceeded|longest input is"
    r"|exceed_?context_?(size|length|window)"
    rf"|(longer|greater|larger|bigger) than (the )?((model'?s|available|maximum|allowed) )*{_LIMIT}"
    rf"|exceed(s|ed|ing)? (the |its )?((model'?s?|available|maximum|allowed|configured) )*{_LIMIT}"
    r"|context (size|length|window|limit)( of \d+( tokens)?)?( has been| was| is)? (exceeded|full|too small)"
    r"|context overflow|context ?(window ?)?exceeded|max(imum)? context( (size|length|window))? reached"
    r"|(prompt|input)s?( \([^)]{0,60}\)| length| tokens?)?( is| are)? too (long|large|big)"
    r"|\b(prompt|input|sequence)( length| tokens?| of|[ (:=]{1,2}\d[\d,]*( tokens)?\)?){0,3} (exceeds?|is over) "
    r"|\b(prompt|input) (has|contains) \d[\d,]* tokens\b.{0,20}(more than|but|limit)"
    r"|too many (input|prompt) tokens|token limit( has been| was)? exceeded|range of input length should be"
    r"|reduce the length of the (messages|prompt|input)|too (long|large|big) for (the )?context|(>=?|exceeds?) n_ctx"
    r"|max_(completion_)?tokens must be at least 1, got -"  # vLLM, where the prompt alone is too long
    r"|(>|exceeds?) (the )?max_(seq_len|model_len|position_embeddings|input_length|total_tokens)"
    r"|tokens?\b.{0,60}\b(but|while) the (model|maximum|limit|context)\b.{0,60}\d|more than (the )?max(imum)? tokens"
    r"|must be <= \d+\. given: \d+ .{0,20}inputs. tokens",
    re.IGNORECASE,
)
LENGTH = re.compile(
    r"(?:(?:context|model|sequence|input) length(?: is| of)?(?: only)?|context window of|context size|n_ctx\W{1,3}"
    r"|must be <=|max_num_tokens|max_(?:seq|model|input)_len\w*|tokens allowed|token length of|model limit|for context"
    r"|exceeds (?:the )?(?:maximum|limit)(?: of)?|supports(?: at most)?|should be \[1\W{1,2})"
    r"[ (:=]{0,3}(\d{3,8})\b(?! >)"
    r"|(?:\d|tokens) >=? (\d{3,8})\b",
    re.IGNORECASE,
)
OF_THE_PROMPT = re.compile(  # not a limit
    r"(input|sequence) length\D*\d+\)?( tokens\)?)? (exceed|is (over|longer|larger|greater))", re.IGNORECASE
)
UNKNOWN_PARAMETER = re.compile(
    r"un(supported|known|expected|recognized)|not supported|extra (input|field)", re.IGNORECASE
)
# A failure of the server, whatever the status that it sends. It may come as the text of a chat completion too.
SERVER_FAULT = re.compile(
    r"(CUDA|HIP|ROCm|GPU|Metal|XPU|device)\W{1,3}(error|.{0,20}out of memory)|out ?of ?memory|cudaMalloc"
    r"|(failed|unable|not enough memory) to allocate|insufficient memory|std::bad_alloc|MemoryError"
    r"|engine ?(is )?(dead|died|core)|EngineDeadError|loading model|model is (still )?loading",
    re.IGNORECASE,
)
FAULT_AS_REPLY = re.compile(
    r"(CUDA|HIP|ROCm|Metal)\W{1,3}(error|out of memory)|OutOfMemoryError|cudaMalloc|EngineDeadError", re.IGNORECASE
)
MAX_FAULT_CHARS = 500  # a longer text is the model's own
MODEL_GONE = re.compile(
    r"model_not_found|model\b.{0,300}?\b(not exist|not found|unknown|(not |un)loaded|not available)|no models? loaded",
    re.IGNORECASE | re.DOTALL,
)
MAX_SEARCHED_CHARS = 1 << 14  # of the body of an error response
NO_OVERFLOW_STATUS = frozenset({401, 403, 404, 405})  # llama.cpp's servers answer an overflow with 400 or 500
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
        case NoUsableModel():
            kind, detail = Classification.MODEL_GONE, str(error)
        case ReportedError():
            kind, detail = classify_status(error.status, str(error)), f"HTTP 200, but an error: {error}"
        case MalformedResponse() if OVERFLOW.search(str(error)) or SERVER_FAULT.search(str(error)):
            kind, detail = classify_status(500, str(error)), f"HTTP 200, {error}"
        case RuntimeError() if limit_named_in(error):  # the request was never sent: it needs a thread
            kind, detail = Classification.UNREACHABLE, explain_start_failure(error)[0]
        case _:
            kind, detail = Classification.MALFORMED_RESPONSE, f"{type(error).__name__}: {error}"
    wait_s = _retry_after_s(error.response.headers) if isinstance(error, openai.APIStatusError) else None
    detail = redact(detail)  # before it is cut, which could leave half a key
    refuses = kind is Classification.REQUEST_REJECTED or (
        kind is Classification.SERVER_ERROR and UNKNOWN_PARAMETER.search(detail)
    )
    refusal = detail if refuses else ""
    return Answer(kind, _shorten(detail), retry_after_s=wait_s, refusal=refusal)


def classify_status(status: int, body: str) -> Classification:
    """Classify an HTTP error by its status and body."""
    if status == 429:
        return Classification.RATE_LIMITED
    if status == 413 or (status not in NO_OVERFLOW_STATUS and OVERFLOW.search(body)):  # 413: content too large
        return Classification.CONTEXT_LENGTH_EXCEEDED
    if SERVER_FAULT.search(body):
        return Classification.SERVER_ERROR
    if status in MODEL_STATUS and MODEL_GONE.search(body) and "response_format" not in body:
        return Classification.MODEL_GONE
    if status == 408:
        return Classification.TIMEOUT
    return Classification.SERVER_ERROR if status >= 500 else Classification.REQUEST_REJECTED


def reclassify_fault(answer: Answer) -> Answer:
    """``answer``, or a server error where its text is only the message of one: some servers send that as the reply."""
    is_short = 0 < len(answer.text) <= MAX_FAULT_CHARS and "{" not in answer.text
    if answer.classification is Classification.OK and is_short and FAULT_AS_REPLY.search(answer.text):
        return replace(answer, classification=Classification.SERVER_ERROR, detail=_shorten(answer.text), text="")
    return answer


def reclassify_open_thinking(answer: Answer, think_style: str) -> Answer:
    """Take a truncated reply without a tag for thinking, if earlier replies show that the template opens it.

    ``think_style`` is that of an earlier reply.
    """
    is_cut = answer.think_style == "none" and is_truncated_prose(answer.text, answer.finish_reason)
    if not (is_cut and think_style == "closing tag" and answer.text):
        return answer
    truncated = Classification.THINK_TRUNCATED
    return replace(answer, classification=truncated, text="", thinking=answer.text, think_style="closing tag")


def context_length_in(detail: str) -> int | None:
    """The context length that an overflow message names, in tokens."""
    text = detail.replace(", ", " , ").replace(",", "")  # 12,925 is one number
    found = (m for m in LENGTH.finditer(text) if not OF_THE_PROMPT.match(text, m.start()))
    match = next(found, None)
    return int(match[1] or match[2]) if match else None


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
