"""Single requests to an OpenAI-compatible server, through the ``openai`` package, with everything bounded.

The package's own retries are off (``patience.py`` has them) and so is its parsing: a server that answers 200 with HTML
or without choices must come out as what it is, not as an attribute error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, cast
from urllib.parse import urljoin

import httpx2
import openai

from autoresearch.exchange import Message

SchemaForm = Literal["json_schema", "json_object"]  # the standard's; llama-cpp-python's, which refuses the other
MAX_BODY_BYTES = 4 << 20
TOKENIZERS = ("/tokenize", "/extras/tokenize/count")  # vLLM, NIM and llama.cpp; llama-cpp-python
NO_KEY = "none"  # the package wants one; a server that asks for none ignores it


class BodyRefused(Exception):
    """A response that is too large, or packed so that it may become too large."""


class Client:
    """What is sent, and the bytes that come back. Each method is to be awaited under a deadline (``waiting.py``)."""

    def __init__(self, base_url: str, key: str | None) -> None:
        self._base_url = base_url
        http = httpx2.AsyncClient(transport=_BoundedTransport(limits=_ONE_BY_ONE), timeout=None, trust_env=False)
        self._client = openai.AsyncOpenAI(
            base_url=base_url, api_key=key or NO_KEY, max_retries=0, timeout=None, http_client=http
        )

    async def chat(
        self,
        model: str,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float,
        schema: Mapping[str, Any] | None = None,
        form: SchemaForm = "json_schema",
    ) -> bytes:
        """The body of a chat completion. ``schema`` is sent as ``response_format``, in one of its two forms."""
        body: dict[str, Any] = {
            "model": model,
            "messages": [m.model_dump() for m in messages],
            "max_tokens": max_tokens,
            "temperature": temperature,
        }
        if schema is not None:
            named = {"json_schema": {"name": "answer", "schema": dict(schema), "strict": True}}
            body["response_format"] = {"type": form, **(named if form == "json_schema" else {"schema": dict(schema)})}
        response = await self._client.chat.completions.with_raw_response.create(**body)
        return cast(bytes, response.content)

    async def models(self) -> bytes:
        """The body of ``GET /v1/models``."""
        return (await self._client.get("/models", cast_to=httpx2.Response)).content

    async def tokenize(self, path: str, model: str, text: str) -> bytes:
        """The body of ``POST`` to one of ``TOKENIZERS``, which lie outside /v1."""
        body = {"model": model, "prompt": text, "content": text, "input": text}  # each server reads one of them
        return (await self._client.post(urljoin(self._base_url, path), body=body, cast_to=httpx2.Response)).content

    async def close(self) -> None:
        await self._client.close()


# A connection per request: one that was kept may belong to a server that has been restarted since.
_ONE_BY_ONE = httpx2.Limits(max_connections=4, max_keepalive_connections=0)


class _BoundedTransport(httpx2.AsyncHTTPTransport):
    """Refuses a body past ``MAX_BODY_BYTES``, and a compressed one: nobody asked for it, and it may be a bomb."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
        encoding = response.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            await response.aclose()
            raise BodyRefused(f"the response is packed ({encoding[:40]}), which was not asked for")
        response.stream = _BoundedStream(cast(httpx2.AsyncByteStream, response.stream))
        return response


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in self._stream:
            seen += len(chunk)
            if seen > MAX_BODY_BYTES:
                raise BodyRefused(f"the response is longer than {MAX_BODY_BYTES >> 20} MiB")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
