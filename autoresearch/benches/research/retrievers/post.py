"""A request of a retrieval server with one deadline, bounded bytes, and retries of what may pass."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any

from autoresearch.benches.jsonl import NotJson, decode_json
from autoresearch.benches.research.retrievers.port import RetrieverFailed
from autoresearch.core.llm_calls import Classification
from autoresearch.core.text import describe_error

TRIES, WAIT_S = 3, 2.0
TIMEOUT_S = 120.0  # of one try: upstream's own
MAX_BYTES = 64 << 20
BLOCK_BYTES = 1 << 16
MAX_DETAIL_CHARS = 300
TEMPORARY = frozenset({408, 409, 425, 429})


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would turn the POST into a GET: it is reported instead."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


# Retrieval servers are local: an HTTP proxy of the environment is for other programs.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def request_json(
    url: str,
    payload: Mapping[str, Any] | None,
    *,
    timeout_s: float = TIMEOUT_S,
    wait: Callable[[float], None] = time.sleep,
) -> Any:
    """The JSON that ``url`` answers: a POST of ``payload``, or a GET. Raises ``RetrieverFailed`` after the last try."""
    for attempt in range(1, TRIES + 1):
        try:
            return _request_once(url, payload, timeout_s)
        except RetrieverFailed as e:
            if e.is_refusal or attempt == TRIES:
                raise
        wait(WAIT_S * attempt)
    raise AssertionError("unreachable")


def _request_once(url: str, payload: Mapping[str, Any] | None, timeout_s: float) -> Any:
    data = None if payload is None else json.dumps(payload).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    end = time.monotonic() + timeout_s
    try:
        with _OPENER.open(urllib.request.Request(url, data, headers), timeout=timeout_s) as response:
            body = _read(response, end, url)
    except urllib.error.HTTPError as e:
        with e:
            raise _http_error(url, e) from e
    except TimeoutError as e:
        raise RetrieverFailed(Classification.TIMEOUT, f"{url}: no answer within {timeout_s:g} s") from e
    except (OSError, HTTPException, ValueError) as e:
        if isinstance(getattr(e, "reason", None), TimeoutError):
            raise RetrieverFailed(Classification.TIMEOUT, f"{url}: no connection within {timeout_s:g} s") from e
        raise RetrieverFailed(Classification.UNREACHABLE, f"{url}: {describe_error(e, MAX_DETAIL_CHARS)}") from e
    try:
        return decode_json(body.decode("utf-8-sig"))
    except (UnicodeDecodeError, NotJson) as e:
        detail = f"{url} answers what is not JSON ({describe_error(e, MAX_DETAIL_CHARS)})"
        raise RetrieverFailed(Classification.MALFORMED_RESPONSE, detail) from e


def _read(response: Any, end: float, url: str) -> bytes:
    """The body; a server that drips it is ended by the same deadline."""
    body = bytearray()
    while block := response.read1(BLOCK_BYTES):
        body += block
        if len(body) > MAX_BYTES:
            raise RetrieverFailed(Classification.MALFORMED_RESPONSE, f"{url} answers more than {MAX_BYTES >> 20} MiB")
        if time.monotonic() > end:
            raise TimeoutError
    return bytes(body)


def _http_error(url: str, error: urllib.error.HTTPError) -> RetrieverFailed:
    try:
        text = error.read(MAX_DETAIL_CHARS).decode("utf-8", "replace")
    except (OSError, HTTPException):
        text = ""
    detail = ascii(f"{url}: HTTP {error.code} {text}")[1:-1][: 2 * MAX_DETAIL_CHARS]
    if error.code == 429:
        return RetrieverFailed(Classification.RATE_LIMITED, detail)
    if error.code >= 500 or error.code in TEMPORARY:
        return RetrieverFailed(Classification.SERVER_ERROR, detail)
    # A wrong address or key fails every query alike; only these say that the query itself is at fault.
    return RetrieverFailed(Classification.REQUEST_REJECTED, detail, is_refusal=error.code in (400, 413, 414, 422))
