"""A local HTTP server that speaks like an LLM server, or fails like one: raw sockets, so that any byte can be wrong.

    with FakeLlm(says("hello"), reset()) as server:
        ... server.base_url ... server.requests ...

Chats are answered by the script, one behaviour each; the last one stays. A behaviour is a function of a ``Wire``.
The probe for structured output, the list of models and /tokenize have settings of their own.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

PROMPT_TOKENS = 3000  # about what a prompt has; far fewer would say that the server had cut it off
ANSWER_TOKENS = 20
PATIENCE_S = 10.0  # for threads to end; they do as soon as their sockets are shut down

Schema = Literal["enforced", "ignored", "rejected", "json_object"]
Behaviour = Callable[["Wire"], None]


@dataclass(frozen=True)
class Request:
    """What the client sent; ``body`` is parsed JSON or ``None``."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any

    @property
    def prompt(self) -> str:
        return "\n".join(m["content"] for m in self.body["messages"])

    @property
    def schema(self) -> Any:
        """The schema of ``response_format``, in whichever form."""
        form = (self.body or {}).get("response_format") or {}
        return form.get("schema") or form.get("json_schema", {}).get("schema")

    @property
    def probe_word(self) -> str | None:
        """The word that a probe for structured output asks for."""
        properties = (self.schema or {}).get("properties", {})
        return properties["word"]["enum"][0] if set(properties) == {"word"} else None


@dataclass
class Wire:
    """One connection with its one request."""

    socket: socket.socket
    request: Request
    closing: threading.Event

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def wait_until_gone(self) -> None:
        """Until the client hangs up or the server is closed."""
        while self.socket.recv(4096):
            pass


class FakeLlm:
    """Serves from its beginning to ``close``; every request is remembered in ``requests``, in order.

    ``schema`` is what it does with ``response_format``; ``tokens_of`` answers /tokenize, which is 404 without it;
    ``on_models`` and ``on_probe`` take the place of those answers. All of them may be changed while it runs.
    """

    def __init__(
        self,
        *script: Behaviour,
        models: Sequence[str] = ("fake-model",),
        max_model_len: int | None = 8192,
        schema: Schema = "enforced",
        tokens_of: Callable[[str], int] | None = None,
        on_models: Behaviour | None = None,
        on_probe: Behaviour | None = None,
    ) -> None:
        self.script = list(script)
        self.models = list(models)
        self.max_model_len = max_model_len
        self.schema = schema
        self.tokens_of = tokens_of
        self.on_models = on_models
        self.on_probe = on_probe
        self.requests: list[Request] = []
        self._errors: list[BaseException] = []  # mistakes of a behaviour
        self._closing, self._lock = threading.Event(), threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._acceptor = threading.Thread(target=self._accept, name="fake-llm")
        self._acceptor.start()

    @property
    def chats(self) -> list[Request]:
        """The chats that were not probes."""
        return [r for r in self.requests if r.path.endswith("/chat/completions") and not is_greeting(r)]

    @property
    def probes(self) -> list[Request]:
        return [r for r in self.requests if r.path.endswith("/chat/completions") and is_greeting(r)]

    def close(self) -> None:
        """Hang up on everybody and join every thread. Raises what a behaviour raised."""
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(PATIENCE_S)
        self._listener.close()
        with self._lock:
            still_open = dict(self._open)
        for thread, connection in still_open.items():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE_S)
        assert not any(t.is_alive() for t in (self._acceptor, *still_open))
        if self._errors:
            raise self._errors[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), name="fake-llm connection")
            with self._lock:
                self._open[thread] = connection
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, suppress(OSError):  # the client may hang up whenever it likes
                request = read_request(connection)
                if request is not None:
                    with self._lock:
                        self.requests.append(request)
                        behave = self._behaviour(request)
                    behave(Wire(connection, request, self._closing))
        except BaseException as e:
            self._errors.append(e)
        finally:
            with self._lock:
                del self._open[threading.current_thread()]

    def _behaviour(self, request: Request) -> Behaviour:
        if request.path.endswith("/models"):
            return self.on_models or answers(self._list_of_models())
        if not request.path.endswith("/chat/completions"):
            return self._tokenize(request)
        if request.body["model"] not in self.models:
            return not_found_as_vllm(request.body["model"])
        form = request.body.get("response_format", {}).get("type")
        if form and (self.schema == "rejected" or (self.schema == "json_object" and form == "json_schema")):
            return answers({"detail": "response_format is not supported"}, status=400)
        if is_greeting(request):
            is_obeyed = form is not None and self.schema in ("enforced", form)
            word = json.dumps({"word": request.probe_word}) if is_obeyed else "Hello! How can I help you?"
            return self.on_probe or says(word)
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def _list_of_models(self) -> dict[str, Any]:
        more = {"max_model_len": self.max_model_len} if self.max_model_len else {}
        return {"object": "list", "data": [{"id": name, "object": "model", **more} for name in self.models]}

    def _tokenize(self, request: Request) -> Behaviour:
        if request.path != "/tokenize" or self.tokens_of is None:
            return answers({"detail": "Not Found"}, status=404)
        count = self.tokens_of(request.body["prompt"])
        return answers({"count": count, "max_model_len": self.max_model_len, "tokens": [0] * min(count, 1000)})


def is_greeting(request: Request) -> bool:
    """A probe, with a schema or without one."""
    return request.probe_word is not None or [m["content"] for m in request.body["messages"]] == ["Say hello."]


def read_request(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(1 << 16)):
            return None
        data += more
        if not data[:1].isalpha():  # a TLS handshake, say
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return None
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        if not (more := connection.recv(1 << 16)):
            return None
        body += more
    method, path, _ = first.split(" ")
    return Request(method, path, headers, json.loads(body) if body else None)


# Behaviours: what a server may do with a request.


def completion(message: Any, finish_reason: Any = "stop", **more: Any) -> dict[str, Any]:
    """The body of a chat completion, well formed as far as its parts are."""
    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": ANSWER_TOKENS}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "fake-model"}
    return {**head, "choices": [choice], "usage": usage, **more}


def says(content: Any, finish_reason: Any = "stop", **message: Any) -> Behaviour:
    """A chat completion with this content; further fields of its message by name."""
    return answers(completion({"role": "assistant", "content": content, **message}, finish_reason))


def answers(body: Any, status: int = 200, **headers: str) -> Behaviour:
    """Any JSON as the response."""
    return sends(json.dumps(body).encode(), status, **({"content-type": "application/json"} | headers))


def sends(body: bytes, status: int = 200, **headers: str) -> Behaviour:
    """A response with its right length. Header names are written with ``_`` or ``-``."""
    return raw(head(status, {"content-length": str(len(body)), **headers}) + body)


def raw(data: bytes) -> Behaviour:
    """These bytes, and then the end."""
    return lambda wire: wire.send(data)


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", "connection: close"]
    return "\r\n".join([*lines, *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items()), "", ""]).encode("latin-1")


def silence(after: bytes = b"") -> Behaviour:
    """Nothing more after these bytes, with the connection open."""

    def behave(wire: Wire) -> None:
        wire.send(after)
        wire.wait_until_gone()

    return behave


def endless(chunk: bytes, every_s: float = 0.0, after: bytes = b"") -> Behaviour:
    """The same bytes again and again, until the client hangs up."""

    def behave(wire: Wire) -> None:
        wire.send(after)
        while not wire.closing.wait(every_s):
            wire.send(chunk)

    return behave


def reset(after: bytes = b"") -> Behaviour:
    """A TCP reset in place of an answer, or after a part of it."""

    def behave(wire: Wire) -> None:
        wire.send(after)
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return behave


def says_no(status: int, message: str = "no", **headers: str) -> Behaviour:
    """An error in OpenAI's shape."""
    return answers({"error": {"message": message, "type": "error", "code": status}}, status, **headers)


def not_found_as_vllm(model: str) -> Behaviour:
    message = f"The model `{model}` does not exist."
    return answers({"object": "error", "message": message, "type": "NotFoundError", "code": 404}, status=404)


@contextmanager
def refusing() -> Iterator[str]:
    """The base URL of a port that is bound and does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
