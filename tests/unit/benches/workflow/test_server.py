"""The services over real sockets: what a client may send, and that nothing stays behind."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from autoresearch.benches.workflow.audit import AUDIT_NAME, read_audit
from autoresearch.benches.workflow.backend import MAX_BODY_BYTES, MAX_TARGET
from autoresearch.benches.workflow.faults import FaultPlan
from autoresearch.benches.workflow.load import task_of
from autoresearch.benches.workflow.server import Services, serving
from tests.unit.benches.workflow.tasks import make_case, service


@pytest.fixture
def services(tmp_path: Path) -> Services:
    with serving(task_of(make_case(tmp_path / "task")).services, tmp_path, FaultPlan("0")) as running:
        yield running


def ask(port: int, method: str, target: str, body: bytes | None = None, **headers: str) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def raw(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while more := client.recv(4096):
            answer += more
        return answer


def test_it_answers_json_on_the_loopback_address(services: Services) -> None:
    assert ask(services.port, "GET", "/crm/people")[1]["rows"][1]["name"] == "Bo"
    assert ask(services.port, "PATCH", "/crm/people/1", b'{"note": "x"}')[1]["changed"] == 1
    assert ask(services.port, "GET", "/crm/other")[0] == 404


def test_a_body_that_is_too_large_is_413_and_in_the_audit_log(services: Services, tmp_path: Path) -> None:
    assert ask(services.port, "POST", "/crm/people", bytes(MAX_BODY_BYTES + 1))[0] == 413
    assert ask(services.port, "POST", "/crm/people", b" " * MAX_BODY_BYTES)[0] == 400  # read, and without parameters
    (first, second) = read_audit(tmp_path / AUDIT_NAME)
    assert (first.endpoint, first.status) == ("add_person", 413)
    assert second.status == 400


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /crm/people HTTP/1.1\r\nContent-Length: x\r\n\r\n", b" 400 "),
        (b"GET /crm/people HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b" 400 "),
        (b"GET /crm/people HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", b" 413 "),
        (b"POST /crm/people HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b" 411 "),
        (b"POST /crm/people HTTP/1.1\r\nContent-Length: 50\r\n\r\n{}", b" 400 "),
        (b"GET /" + b"x" * MAX_TARGET + b" HTTP/1.1\r\n\r\n", b" 414 "),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /crm/people HTTP/9.9\r\n\r\n", b" 505 "),
        (b"GET /crm/people HTTP/1.1\r\n" + b"x: y\r\n" * 200 + b"\r\n", b" 431 "),
        (b"GET /crm/people HTTP/1.1\r\n\xff\xfe: \x00\r\n\r\n", b""),
        (b"\x16\x03\x01\x00", b""),
        (b"", b""),
    ],
)
def test_a_client_that_sends_nonsense_is_refused_and_the_next_one_is_served(
    services: Services, data: bytes, status: bytes
) -> None:
    assert status in raw(services.port, data)
    assert ask(services.port, "GET", "/crm/people")[0] == 200
    assert services.problems == ()


def test_several_clients_at_a_time_are_served_one_after_another(services: Services, tmp_path: Path) -> None:
    def add(n: int) -> None:
        assert ask(services.port, "POST", "/crm/people", json.dumps({"name": f"p{n}", "age": n}).encode())[0] == 200

    threads = [threading.Thread(target=add, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ask(services.port, "GET", "/crm/people")[1]["rows"]) == 14
    assert [record.seq for record in read_audit(tmp_path / AUDIT_NAME)] == list(range(1, 14))


def test_nothing_listens_and_no_thread_is_left_after_its_end(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with serving(task_of(make_case(tmp_path / "task")).services, tmp_path, FaultPlan("0")) as running:
        port = running.port
        assert port is not None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)
    assert set(threading.enumerate()) <= before


def test_its_end_does_not_wait_for_an_injected_delay(tmp_path: Path) -> None:
    slow = service(faults=[{"delay_s": 30.0}])
    task = task_of(make_case(tmp_path / "task", services=[slow]))
    with serving(task.services, tmp_path, FaultPlan("0")) as running:
        client = socket.create_connection(("127.0.0.1", running.port), 10)
        client.sendall(b"GET /crm/people HTTP/1.1\r\n\r\n")
    with client, suppress(ConnectionError):
        client.settimeout(10)
        client.recv(100)  # it is answered or reset at once


def test_a_task_without_services_has_an_empty_audit_log(tmp_path: Path) -> None:
    with serving((), tmp_path, FaultPlan("0")) as running:
        assert running.port is None
    assert read_audit(tmp_path / AUDIT_NAME) == ()


def test_an_error_inside_ends_the_services_too(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with (
        pytest.raises(KeyError),
        serving(task_of(make_case(tmp_path / "task")).services, tmp_path, FaultPlan("0")),
    ):
        raise KeyError
    assert set(threading.enumerate()) <= before
