from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.llm_calls import Classification as End
from autoresearch.llm.classify import MAX_DETAIL_CHARS, classify_error, classify_status, context_length_in
from autoresearch.llm.client import BodyRefused
from autoresearch.llm.parse import MalformedResponse

REQUEST = httpx2.Request("POST", "http://llm/v1/chat/completions")


def http_error(status: int, body: str = "", **headers: str) -> openai.APIStatusError:
    lines = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    response = httpx2.Response(status, request=REQUEST, headers=lines, content=body.encode("utf-8", "replace"))
    return openai.APIStatusError("no", response=response, body=None)


def connection_error(cause: Exception) -> openai.APIConnectionError:
    error = openai.APIConnectionError(request=REQUEST)
    error.__cause__ = cause
    return error


# The servers' own wordings are rows of tests/fault/test_llm_faults.py and test_llm_too_long.py.


@given(st.integers(300, 999), st.text())
def test_every_status_has_a_name_whatever_the_body(status, body):
    end = classify_status(status, body)
    if status == 429:
        assert end is End.RATE_LIMITED
    elif status >= 500:
        assert end in (End.SERVER_ERROR, End.CONTEXT_LENGTH_EXCEEDED)


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (TimeoutError("late"), End.TIMEOUT),
        (openai.APITimeoutError(REQUEST), End.TIMEOUT),
        (connection_error(httpx2.ConnectError("refused")), End.UNREACHABLE),
        (connection_error(httpx2.ReadError("")), End.UNREACHABLE),
        (connection_error(httpx2.RemoteProtocolError("Server disconnected without sending")), End.UNREACHABLE),
        (connection_error(httpx2.RemoteProtocolError("illegal status line")), End.MALFORMED_RESPONSE),
        (connection_error(httpx2.DecodingError("zlib")), End.MALFORMED_RESPONSE),
        (connection_error(BodyRefused("large")), End.MALFORMED_RESPONSE),
        (openai.APIConnectionError(request=REQUEST), End.UNREACHABLE),
        (BodyRefused("large"), End.MALFORMED_RESPONSE),
        (MalformedResponse("no choices"), End.MALFORMED_RESPONSE),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), End.MALFORMED_RESPONSE),
    ],
)
def test_what_is_raised_has_a_name(error, end):
    assert classify_error(error).classification is end


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *[("0", 0), ("7", 7), (" 7.5 ", 7.5), ("007", 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
        *[("Wed, 21 Oct 2015 07:28:00", 0), ("", None), ("soon", None), ("-7", None), ("1e3", None), ("nan", None)],
        *[("inf", None), ("9" * 30, None), ("Mon, 1 Jan 2020 00:00:00 +9999", None)],
        ("Mon, 1 Jan 99999999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after(value, seconds):
    assert classify_error(http_error(429, retry_after=value)).retry_after_s == seconds


def test_retry_after_as_a_date_to_come():
    until = datetime.now(UTC) + timedelta(hours=1)
    wait = classify_error(http_error(503, retry_after=format_datetime(until, usegmt=True))).retry_after_s
    assert 3500 < wait <= 3600


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0")), st.text())
def test_no_header_and_no_body_raises_and_a_detail_is_one_short_line(header, body):
    answer = classify_error(http_error(429, body, retry_after=header))
    assert len(answer.detail) <= MAX_DETAIL_CHARS
    assert len(answer.detail.splitlines()) == 1
    assert answer.retry_after_s is None or answer.retry_after_s >= 0


@pytest.mark.parametrize(
    ("detail", "tokens"),
    [
        ("maximum context length is 8192 tokens. However, your request has 12,925 input tokens", 8192),
        ("maximum context length is 131,072 tokens", 131072),
        ("maximum context length is 12 tokens", None),
        ("request (9001 tokens) exceeds the available context size (8192 tokens)", 8192),
        ("something else with 4096 tokens", None),
        ("", None),
    ],
)
def test_a_length_in_words(detail, tokens):
    assert context_length_in(detail) == tokens


def test_a_request_that_could_not_be_sent_for_want_of_a_thread_names_the_limit() -> None:
    answer = classify_error(RuntimeError("can't start new thread"))
    assert answer.classification is End.UNREACHABLE
    assert "no further process or thread can be started" in answer.detail
    assert "(RLIMIT_NPROC)" in answer.detail


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        ("Input length 9000 exceeds the maximum allowed token length of 8192", 8192),
        ("Prompt length of 9000 exceeds maximum of 8192", 8192),
        ("Sequence length (9000) exceeds max_seq_len (8192)", 8192),
        ("input length of 9000 is over the model limit 8192", 8192),
        ("Prompt has 9,000 tokens, but the model supports at most 8,192 tokens", 8192),
        ("the prompt contains 9000 tokens which is more than the context window of 8192 tokens", 8192),
        ("Prompt (9000 tokens) too large for context (8192)", 8192),
        ("Range of input length should be [1, 30720]", 30720),
        ("n_prompt_tokens 9000 >= n_ctx 8192", 8192),
        ("Too many input tokens: 9000", None),
        ("Token limit exceeded", None),
        ("Prompt exceeds max length", None),
        ("Prompt too long; over by 4000 tokens", None),
        ("prompt_tokens(5000) + max_tokens(512) > max_seq_len(4096)", 4096),
        ("The requested length 9000 exceeds the max_position_embeddings", None),
        ("the prompt is 9000 tokens, but the maximum is 4096", None),
        ("Your messages resulted in 9000 tokens but the model only supports 4096 tokens", 4096),
        ("tokens in request more than max tokens allowed: 9000 > 4096", 4096),
        ("litellm.ContextWindowExceededError: too many", None),
        ("Max context reached", None),
        ("Please reduce the length of the messages or completion", None),
        ("max_tokens must be at least 1, got -900.", None),
    ],
)
def test_an_overflow_in_other_words(message: str, tokens: int | None) -> None:
    assert {classify_status(status, message) for status in (400, 422, 500)} == {End.CONTEXT_LENGTH_EXCEEDED}
    assert context_length_in(message) == tokens, "the limit, not the prompt's own length"


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens must be <= 4096",
        "max_tokens must be at least 1, got 0",
        "temperature exceeds the limit 2",
        "The request body exceeds the maximum size",
        "json schema exceeds the depth limit",
        "tokens per minute exceeded",
        "Model too large to load: context length 8192 needs 20 GB",
    ],
)
def test_a_limit_of_something_else_is_not_an_overflow(message: str) -> None:
    assert classify_status(400, message) is not End.CONTEXT_LENGTH_EXCEEDED


def test_a_body_that_is_too_large_for_a_gateway_is_a_prompt_that_is_too_long():
    assert classify_status(413, "<html>413 Request Entity Too Large</html>") is End.CONTEXT_LENGTH_EXCEEDED
