"""What a service does with a request: parameters, fault, statement, audit. No sockets here."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from autoresearch.benches.workflow.audit import AuditLog
from autoresearch.benches.workflow.database import SqlError, as_rows, build, execute, parameters_of
from autoresearch.benches.workflow.faults import FaultPlan
from autoresearch.benches.workflow.parameters import BadRequest, read_parameters
from autoresearch.benches.workflow.task import Endpoint, Fault, Service
from autoresearch.machine import utc

MAX_BODY_BYTES = 256 << 10
MAX_TARGET = 8192

Answer = tuple[int, dict[str, Any]]


def database_name(service: str) -> str:
    """The file of a service's database in the folder of an attempt."""
    return f"service-{service}.sqlite"


class Backend:
    """The services of one attempt, behind one port: ``/SERVICE/PATH``. Requests are carried out one after another."""

    def __init__(self, services: Sequence[Service], folder: Path, faults: FaultPlan, audit: AuditLog) -> None:
        self._services = {service.name: service for service in services}
        self._faults, self._audit, self._lock = faults, audit, threading.Lock()
        self._databases: dict[str, sqlite3.Connection] = {}
        try:
            for service in services:
                self._databases[service.name] = build(service, folder / database_name(service.name))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the databases; what they hold stays in their files."""
        with self._lock:
            for connection in self._databases.values():
                connection.close()
            self._databases.clear()

    def handle(self, method: str, target: str, body: bytes, wait: Callable[[float], object]) -> Answer:
        """Carry out one request and write it to the audit log. ``wait`` takes the seconds of an injected delay."""
        began = time.monotonic()
        ts = utc()
        service, endpoint, path_values = self._route(method, target)
        request: dict[str, Any] = {"method": method, "path": target[:MAX_TARGET]}
        refused: Answer | None = None
        if endpoint is None:
            refused = 404, {"error": f"there is no endpoint {method} {urlsplit(target).path}"}
        else:
            try:
                request["parameters"] = read_parameters(endpoint, path_values, target, body)
            except BadRequest as e:
                refused = 400, {"error": str(e)}
        fault = self._next_fault(service, endpoint)
        if fault and fault.delay_s:
            wait(fault.delay_s)
        with self._lock:
            if self._audit.is_full:
                return 429, {"error": "too many requests"}  # not carried out, so not recorded either
            if fault and fault.status:
                answer: Answer = (fault.status, {"error": "the service is temporarily unavailable; try again"})
            else:
                answer = refused or self._carry_out(service, endpoint, request["parameters"])
            self._audit.append(
                ts=ts,
                service=service.name if service else None,
                endpoint=endpoint.tool if endpoint else None,
                request=request,
                status=answer[0],
                response=answer[1],
                latency_ms=round((time.monotonic() - began) * 1000, 3),
                injected=_words(fault),
            )
        return answer

    def refuse(self, method: str, target: str, status: int, message: str) -> Answer:
        """Answer a request that was not read in full, and write it to the audit log."""
        answer: Answer = (status, {"error": message})
        service, endpoint, _ = self._route(method, target)
        with self._lock:
            if self._audit.is_full:
                return answer
            self._audit.append(
                ts=utc(),
                service=service.name if service else None,
                endpoint=endpoint.tool if endpoint else None,
                request={"method": method, "path": target[:MAX_TARGET]},
                status=status,
                response=answer[1],
                latency_ms=0.0,
            )
        return answer

    def _next_fault(self, service: Service | None, endpoint: Endpoint | None) -> Fault | None:
        with self._lock:
            return self._faults.next_fault(service, endpoint.tool) if service and endpoint else None

    def _route(self, method: str, target: str) -> tuple[Service | None, Endpoint | None, dict[str, str]]:
        _, _, rest = urlsplit(target).path.partition("/")
        name, _, path = rest.partition("/")
        service = self._services.get(unquote(name))
        for endpoint in service.endpoints if service else ():
            values = match_path(endpoint.path, f"/{path}") if endpoint.method == method else None
            if values is not None:
                return service, endpoint, values
        return service, None, {}

    def _carry_out(self, service: Service | None, endpoint: Endpoint | None, values: Mapping[str, Any]) -> Answer:
        assert service is not None
        assert endpoint is not None
        if service.name not in self._databases:
            return 503, {"error": "the service has ended"}
        bound = {name: values.get(name) for name in parameters_of(endpoint.sql)}
        writes = endpoint.method != "GET"
        try:
            columns, rows, changed = execute(self._databases[service.name], endpoint.sql, bound, writes=writes)
        except SqlError as e:
            return 400, {"error": str(e)}
        answer: dict[str, Any] = {"rows": as_rows(columns, rows)} if columns else {}
        if columns and len(answer["rows"]) < len(rows):
            answer["truncated"] = f"only the first {len(answer['rows'])} rows are shown"
        return 200, {**answer, "changed": changed} if writes else answer


def match_path(pattern: str, path: str) -> dict[str, str] | None:
    """The values of the path's parameters, or ``None`` where ``path`` does not have the form of ``pattern``."""
    wanted, given = pattern.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    values = {}
    for want, have in zip(wanted, given, strict=True):
        if want.startswith("{"):
            if not have:
                return None
            values[want[1:-1]] = unquote(have)
        elif want != unquote(have):
            return None
    return values


def _words(fault: Fault | None) -> str | None:
    if fault is None:
        return None
    parts = [str(fault.status)] if fault.status else []
    return ", ".join([*parts, f"delay {fault.delay_s:g} s"] if fault.delay_s else parts)
