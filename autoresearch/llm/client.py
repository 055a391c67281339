"""Single requests to an OpenAI-compatible server through the ``openai`` package, everything bounded.

The package's own retries are off (see ``retry.py``) and so is its parsing (see ``parse.py``): a server that answers 200
with HTML or without choices must be reported as that, not as an attribute error.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, cast
from urllib.parse import urljoin

import httpx2
import openai

from autoresearch.core.llm_calls import Message
from autoresearch.errors import ConfigError
from autoresearch.llm.key import key_redactor
from autoresearch.llm.parameters import Parameters

SchemaForm = Literal["json_schema", "json_object"]  # OpenAI's; llama-cpp-python's, which rejects the first
MAX_BODY_BYTES = 4 << 20
TOKENIZER_PATHS = ("/tokenize", "/extras/tokenize/count")  # vLLM, NIM and llama.cpp; llama-cpp-python
NO_KEY = "none"  # the package requires a key; a server without keys ignores it


class BodyRefused(Exception):
    """A response that is too large, or compressed, so that it may become too large."""


class Client:
    """Sends requests and returns the bytes of the responses. Await each method under a deadline (``AsyncBridge``).

    The key is removed from every response. Raises ``ConfigError`` where ``base_url`` is not a URL.
    """

    def __init__(self, base_url: str, key: str | None) -> None:
        self._base_url = base_url
        http = httpx2.AsyncClient(transport=_BoundedTransport(key), timeout=None, trust_env=False)
        try:
            self._client = openai.AsyncOpenAI(
                base_url=base_url, api_key=key or NO_KEY, max_retries=0, timeout=None, http_client=http
            )
        except httpx2.InvalidURL as e:
            raise ConfigError(
                f"llm.base_url = {base_url} is not a URL: {e}", hint="for example http://HOST:PORT/v1"
            ) from e

    async def chat(
        self,
        model: str,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float,
        schema: Mapping[str, Any] | None = None,
        form: SchemaForm = "json_schema",
        parameters: Parameters = Parameters(),
    ) -> bytes:
        """The body of a chat completion. ``schema`` is sent as ``response_format``, in one of its two forms."""
        body: dict[str, Any] = {
            "model": model,
            "messages": [m.model_dump() for m in messages],
            **parameters.fields(max_tokens, temperature),
        }
        if schema is not None:
            named = {"json_schema": {"name": "answer", "schema": dict(schema), "strict": True}}
            body["response_format"] = {"type": form, **(named if form == "json_schema" else {"schema": dict(schema)})}
        return await self.post_chat(body)

    async def post_chat(self, body: Mapping[str, Any]) -> bytes:
        """The body of the answer to a whole request of /chat/completions, as given."""
        return (await self._client.post("/chat/completions", body=dict(body), cast_to=httpx2.Response)).content

    async def models(self) -> bytes:
        """The body of ``GET /v1/models``."""
        return (await self._client.get("/models", cast_to=httpx2.Response)).content

    async def tokenize(self, path: str, model: str, text: str) -> bytes:
        """The body of ``POST`` to one of ``TOKENIZER_PATHS``, which are outside /v1."""
        body = {"model": model, "prompt": text, "content": text, "input": text}  # each server reads one of them
        return (await self._client.post(urljoin(self._base_url, path), body=body, cast_to=httpx2.Response)).content

    async def close(self) -> None:
        await self._client.close()


# One connection per request: a kept one may belong to a server that has been restarted since.
_NO_KEEPALIVE = httpx2.Limits(max_connections=4, max_keepalive_connections=0)
# Other headers are dropped: what the package takes from OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS
# belongs to another server.
_SENT_HEADERS = frozenset({"host", "accept", "content-type", "content-length", "user-agent"})


@cache
def _ssl_context() -> ssl.SSLContext:
    """One for all clients of a process: reading the certificates takes longer than a request."""
    return httpx2.create_ssl_context()


class _BoundedTransport(httpx2.AsyncHTTPTransport):
    """Reads a response whole, refuses one past ``MAX_BODY_BYTES``, and drops what is not used later.

    A compressed body is refused: it was not requested, and it may be a decompression bomb. Of the headers only
    Retry-After is kept: a charset, for example, can name any Python codec, and some codecs raise.
    """

    def __init__(self, key: str | None) -> None:
        super().__init__(verify=_ssl_context(), limits=_NO_KEEPALIVE)
        self._authorization = f"Bearer {key or NO_KEY}"
        self._redact = key_redactor(key)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers = httpx2.Headers(
            {
                **{name: value for name, value in request.headers.items() if name in _SENT_HEADERS},
                "authorization": self._authorization,
                "accept-encoding": "identity",
            }
        )
        response = await super().handle_async_request(request)
        try:
            body = await _read(response)
        finally:
            await response.aclose()
        kept = [(name, value) for name, value in response.headers.raw if name.lower() == b"retry-after"]
        redacted = self._redact(body.decode("latin-1")).encode("latin-1")  # latin-1 maps every byte to itself
        return httpx2.Response(response.status_code, headers=kept, content=redacted)


async def _read(response: httpx2.Response) -> bytes:
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise BodyRefused(f"the response is compressed ({encoding[:40]}), which was not requested")
    body = bytearray()
    async for chunk in cast(httpx2.AsyncByteStream, response.stream):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BodyRefused(f"the response is longer than {MAX_BODY_BYTES >> 20} MiB")
    return bytes(body)
