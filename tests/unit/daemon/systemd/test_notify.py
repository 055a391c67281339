"""What is sent to a service manager's socket, of either kind, and that nothing goes wrong where there is none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.daemon.systemd.notify import SEND_S, Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A manager's address and its end of the socket."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@autoresearch-test-{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(address.replace("@", "\0", 1))
        end.settimeout(30)
        yield address, end


def test_one_datagram_holds_every_assignment(manager):
    address, end = manager
    assert Notifier.take({"NOTIFY_SOCKET": address}).tell(READY=1, STATUS="iteration 3 of 50")
    assert end.recv(4096) == b"READY=1\nSTATUS=iteration 3 of 50"


def test_a_value_cannot_become_another_assignment(manager):
    address, end = manager
    Notifier(address).tell(STATUS="harmless\nMAINPID=1\x00\x1b[2J", WATCHDOG=1)
    assert end.recv(4096) == b"STATUS=harmless MAINPID=1  [2J\nWATCHDOG=1"


def test_a_value_is_bounded_and_utf_8(manager):
    address, end = manager
    Notifier(address).tell(STATUS="\udc80" + "x" * 100_000)
    assert len(end.recv(1 << 20)) < 600


def test_the_environment_loses_the_socket():
    environ = {"NOTIFY_SOCKET": "/run/systemd/notify", "HOME": "/"}
    assert Notifier.take(environ).address == "/run/systemd/notify"
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_what_is_not_a_local_socket_is_ignored(address):
    assert Notifier.take({"NOTIFY_SOCKET": address} if address else {}) == Notifier("")
    assert not Notifier("").tell(READY=1)


@pytest.mark.parametrize("address", ["/nowhere/notify", "@nobody-listens-here", "/with\0zero", "/" + "x" * 200])
def test_a_missing_manager_is_not_an_error(address):
    assert not Notifier(address).tell(READY=1)


def test_a_manager_that_does_not_read_holds_nothing_up(manager):
    address, _end = manager
    notifier = Notifier(address, timeout_s=0.01)
    assert SEND_S <= 1
    while notifier.tell(WATCHDOG=1):
        pass
