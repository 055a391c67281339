"""The services of one attempt on a loopback port: the standard library's HTTP server around a ``Backend``."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR
from socketserver import TCPServer
from typing import Any

from autoresearch.benches.workflow.audit import AUDIT_NAME, AuditLog
from autoresearch.benches.workflow.backend import MAX_BODY_BYTES, MAX_TARGET, Answer, Backend
from autoresearch.benches.workflow.faults import FaultPlan
from autoresearch.benches.workflow.task import Service

MAX_CONNECTIONS = 64
MAX_DRAINED_BYTES = 8 << 20
READ_S = 10.0  # for a client that does not send what it announced


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a process that ends does not wait for a client
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, backend: Backend) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.backend = backend
        self.closing = threading.Event()
        self.slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.problems: list[str] = []

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's own asks the resolver for a name

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            self.problems.append(repr(error))

    def serve(self) -> None:
        """Until ``closing``: shutting the listening socket down ends the wait at once, without polling."""
        while not self.closing.is_set():
            self.handle_request()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = READ_S

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(MAX_TARGET + 1)
        self.requestline = self.request_version = ""
        self.command = ""
        if len(self.raw_requestline) > MAX_TARGET:
            self._send(self.server.backend.refuse("", "", 414, "the request line is too long"))
        elif self.raw_requestline and self.parse_request():
            self._send(self._answer())

    def _answer(self) -> Answer:
        backend, method, target = self.server.backend, self.command, self.path
        length = self.headers.get("content-length", "0")
        if self.headers.get("transfer-encoding"):
            return backend.refuse(method, target, 411, "send a content-length, not a transfer-encoding")
        if not (length.isascii() and length.isdigit()):
            return backend.refuse(method, target, 400, f"content-length {length!r} is not a number")
        if len(length) > 12 or int(length) > MAX_BODY_BYTES:
            self._drain(int(length[:12]))
            return backend.refuse(method, target, 413, f"the body is larger than {MAX_BODY_BYTES:,} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return backend.refuse(method, target, 400, f"the body ends after {len(body):,} of {length} bytes")
        return backend.handle(method, target, body, self.server.closing.wait)

    def _drain(self, length: int) -> None:
        """Read and drop the body, so that the client, which still sends it, comes to read the answer."""
        left = min(length, MAX_DRAINED_BYTES)
        while left > 0 and (data := self.rfile.read(min(left, 1 << 16))):
            left -= len(data)

    def _send(self, answer: Answer) -> None:
        data = json.dumps(answer[1], ensure_ascii=False).encode()
        self.close_connection = True
        self.request_version = "HTTP/1.0"  # as if sent so: for 0.9 the base class sends neither status nor headers
        self.send_response(answer[0])
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self._send(self.server.backend.refuse(self.command or "", "", code, message or "bad request"))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The audit log has every request."""


class Services:
    """The running services of one attempt."""

    def __init__(self, server: _Server | None) -> None:
        self._server = server

    @property
    def port(self) -> int | None:
        """Their TCP port on 127.0.0.1; ``None`` where the task has no service."""
        return self._server.server_address[1] if self._server else None

    @property
    def problems(self) -> tuple[str, ...]:
        """Errors of the services themselves: the attempt cannot be graded."""
        return tuple(self._server.problems) if self._server else ()


@contextmanager
def serving(services: Sequence[Service], folder: Path, faults: FaultPlan) -> Iterator[Services]:
    """Serve until the end of the block; the databases and the audit log stay in ``folder``. Raises ``SqlError``."""
    audit = AuditLog(folder / AUDIT_NAME)
    try:
        if not services:
            yield Services(None)
            return
        backend = Backend(services, folder, faults, audit)
        try:
            with _running(backend) as running:
                yield running
        finally:
            backend.close()
    finally:
        audit.close()


@contextmanager
def _running(backend: Backend) -> Iterator[Services]:
    server = _Server(backend)
    thread = threading.Thread(target=server.serve, name="workflow services", daemon=True)
    thread.start()
    try:
        yield Services(server)
    finally:
        server.closing.set()
        with suppress(OSError):
            server.socket.shutdown(SHUT_RDWR)
        thread.join(READ_S)
        server.server_close()
