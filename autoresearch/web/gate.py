"""What every request passes before a page sees it: host, origin, token; and the headers that every answer gets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from autoresearch.web.access import Token, equal, is_own_host, is_own_origin

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # no-referrer makes a browser send "Origin: null" with the form of our own page
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
COOKIE = "autoresearch"
OPEN_PATHS = ("/login", "/static/")  # without a token
MAX_BODY = 8192
FAILURES, FAILURES_S = 10, 60.0  # wrong tokens within this time, from all addresses together


@dataclass
class Attempts:
    """Counts wrong tokens: with ten in a minute no further one is compared until that minute is over."""

    count: int = 0
    since_s: float = float("-inf")

    def allowed(self, now_s: float) -> bool:
        if now_s - self.since_s > FAILURES_S:
            self.count, self.since_s = 0, now_s
        return self.count < FAILURES


class Gate:
    """Wraps the application. ``token`` is required of every request but those for ``OPEN_PATHS``; ``None``: of none."""

    def __init__(self, app: App, names: frozenset[str], token: Token | None) -> None:
        self._app = app
        self._names = names
        self._token = token
        self._attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._handle(scope, receive, _with_headers(send))

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        server = scope.get("server")
        if not is_own_host(headers.get("host"), self._names, server[0] if server else None):
            await refuse(send, 421, "this server has another name; --allow-host adds one")
        elif scope["method"] not in ("GET", "HEAD", "POST"):
            await refuse(send, 405, "only GET, HEAD and POST")
        elif not is_own_origin(headers.get("origin"), headers.get("host")) or _is_cross_site(scope, headers):
            await refuse(send, 403, "a page of another site sent this request")
        elif scope["method"] == "POST" and int(headers.get("content-length", "0")) > MAX_BODY:
            await refuse(send, 413, "the request is too large")
        elif self._token is None or scope["path"].startswith(OPEN_PATHS) or self._is_known(headers):
            scope["state"] = {**(scope.get("state") or {}), "gate": self}
            await self._app(scope, receive, send)
        elif scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            await _answer(send, 303, b"", [(b"location", b"/login")])
        else:
            await refuse(send, 401, "a token is required", [(b"www-authenticate", b'Bearer realm="autoresearch"')])

    def _is_known(self, headers: dict[str, str]) -> bool:
        assert self._token is not None
        if equal(_cookie(headers.get("cookie", "")), self._token.cookie):
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._compare(given)

    def _compare(self, given: str) -> bool:
        assert self._token is not None
        now_s = time.monotonic()
        if not self._attempts.allowed(now_s):
            return False
        if self._token.matches(given):
            return True
        self._attempts.count += 1
        return False

    async def login(self, given: str) -> str | None:
        """The value of the cookie for the right token; ``None`` for another, after half a second."""
        if self._token is not None and self._compare(given):
            return self._token.cookie
        await asyncio.sleep(0.5)
        return None


def _is_cross_site(scope: Scope, headers: dict[str, str]) -> bool:
    """Whether a browser reports that another site caused the request; following a link to our page is allowed."""
    site = headers.get("sec-fetch-site", "same-origin")
    follows_link = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
    return site not in ("same-origin", "none") and not follows_link


def _headers(scope: Scope) -> dict[str, str]:
    """The headers; of one that was sent twice, both values, which no check accepts."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    length = found.get("content-length", "0")
    if not length.isdecimal() or len(length) > 12:
        found["content-length"] = str(MAX_BODY + 1)
    return found


def _cookie(header: str) -> str:
    """Our cookie; those of other servers on this machine may be of any form, which ``SimpleCookie`` gives up at."""
    for part in header.replace(",", ";").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def _with_headers(send: Send) -> Send:
    """Add the headers of every answer, where the answer does not have its own."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name.lower() for name, _ in message.get("headers", [])}
            every = {"content-security-policy": POLICY, **HEADERS}
            added = [(n.encode(), v.encode()) for n, v in every.items() if n.encode() not in own]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return wrapped


async def refuse(send: Send, status: int, why: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    """An answer of plain text."""
    await _answer(send, status, f"{why}\n".encode(), headers or [])


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    plain = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*plain, *headers]})
    await send({"type": "http.response.body", "body": body})
