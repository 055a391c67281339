"""Call an ASGI application in this process, without a server, a socket or a client library."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

SERVER = ("127.0.0.1", 8765)
HOST = "127.0.0.1:8765"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def call(
    app: Any, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"", chunks: int = 0
) -> Answer:
    """The answer to one request; of a stream the first ``chunks`` parts, after which the client leaves."""
    return asyncio.run(acall(app, method, url, headers, body, chunks))


async def acall(
    app: Any, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"", chunks: int = 0
) -> Answer:
    """As ``call``, inside a loop."""
    parts = urlsplit(url)
    sent = {"host": HOST, **({"content-length": str(len(body))} if body else {}), **(headers or {})}
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": parts.path, "raw_path": parts.path.encode(), "root_path": "",
        "query_string": parts.query.encode(), "server": SERVER, "client": ("127.0.0.1", 50000),
        "headers": [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in sent.items()],
    }  # fmt: skip
    left, requests = asyncio.Event(), [{"type": "http.request", "body": body, "more_body": False}]
    started: dict[str, Any] = {}
    found: list[bytes] = []

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            started.update(message)
        elif message.get("body"):
            found.append(message["body"])
            if chunks and len(found) >= chunks:
                left.set()

    await app(scope, receive, send)
    names = {k.decode(): v.decode() for k, v in started["headers"]}
    return Answer(started["status"], names, b"".join(found))
