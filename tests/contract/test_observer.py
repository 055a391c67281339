"""Every observer under the contract of its port."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from autoresearch.config.settings import HOOK_EVENTS
from autoresearch.core.ports import Observer
from autoresearch.daemon.hooks import Hooks
from autoresearch.daemon.hooks.notice import Notice
from autoresearch.daemon.observers.group import ObserverGroup
from autoresearch.daemon.observers.terminal import Terminal
from autoresearch.daemon.systemd.notify import Notifier
from autoresearch.daemon.systemd.watchdog import WatchdogObserver
from autoresearch.storage.progress_file import ProgressFile
from autoresearch.storage.run_dir import PROGRESS
from autoresearch.testing.contracts.observer import ITERS, ObserverContract
from autoresearch.testing.recording_observer import RecordingObserver


class TestObserver(ObserverContract):
    """The base class, whose callbacks ignore what happens."""

    @pytest.fixture
    def observer(self) -> Observer:
        return Observer()


class TestRecordingObserver(ObserverContract):
    """It keeps text as it came, for the test to look at."""

    @pytest.fixture
    def observer(self) -> RecordingObserver:
        return RecordingObserver()


class TestTerminal(ObserverContract):
    """On a stream that is not a terminal: a log file, or the journal of a service."""

    @pytest.fixture
    def stream(self) -> io.StringIO:
        return io.StringIO()

    @pytest.fixture
    def observer(self, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> Terminal:
        for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        self.stream = stream
        return Terminal(ITERS, stream)

    def output(self, observer: Observer) -> str:
        return self.stream.getvalue()


class Screen(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


class TestTerminalWithABar(TestTerminal):
    """On a terminal, where escape sequences of its own move the cursor back to the start of the bar's line."""

    @pytest.fixture
    def stream(self) -> io.StringIO:
        return Screen()

    def output(self, observer: Observer) -> str:
        return self.stream.getvalue().replace("\r", "")


class Gone(io.StringIO):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


class TestTerminalThatWasClosed(TestTerminal):
    @pytest.fixture
    def stream(self) -> io.StringIO:
        return Gone()


class TestProgressFile(ObserverContract):
    @pytest.fixture
    def observer(self, tmp_path: Path) -> ProgressFile:
        return ProgressFile(tmp_path)

    def output(self, observer: ProgressFile) -> str:
        return observer.path.read_text() if observer.path.exists() else ""


class TestProgressFileThatCannotBeWritten(ObserverContract):
    @pytest.fixture
    def observer(self, tmp_path: Path) -> ProgressFile:
        (tmp_path / PROGRESS).mkdir()
        return ProgressFile(tmp_path)


class TestWatchdogObserver(ObserverContract):
    """With a service manager that reads each datagram."""

    @pytest.fixture
    def manager(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind("")  # the kernel chooses an abstract name
            manager.setblocking(False)
            yield manager

    @pytest.fixture
    def observer(self, manager: socket.socket) -> WatchdogObserver:
        return Reading(Notifier(f"@{manager.getsockname()[1:].decode()}"), ITERS, 60.0, manager)

    def output(self, observer: Observer) -> str:
        assert isinstance(observer, Reading)
        assert "WATCHDOG=1" in observer.sent
        return observer.sent


class Reading(WatchdogObserver):
    """Reads what the manager was sent after each datagram: a queue of datagrams holds only a few."""

    def __init__(self, notifier: Notifier, iters: int, max_silence_s: float, manager: socket.socket) -> None:
        super().__init__(notifier, iters, max_silence_s)
        self.manager, self.sent = manager, ""

    def _feed(self, **more: int) -> None:
        super()._feed(**more)
        self.sent += self.manager.recv(1 << 16).decode() + "\n"


class TestWatchdogObserverWithoutAManager(ObserverContract):
    """No socket, or one that no process reads."""

    @pytest.fixture(params=["", "/nowhere/notify.socket"])
    def observer(self, request: pytest.FixtureRequest) -> WatchdogObserver:
        return WatchdogObserver(Notifier(request.param), ITERS, max_silence_s=60.0)


class TestHooks(ObserverContract):
    """With a list in place of the program; what a hook receives is shown by other programs."""

    @pytest.fixture
    def observer(self, make_settings) -> Hooks:
        self.notices: list[Notice] = []
        settings = make_settings(on_event="true", on_event_only=list(HOOK_EVENTS))
        return Hooks(settings, lambda _line: None, self.notices.append)

    def output(self, observer: Observer) -> str:
        texts = [str(value) for notice in self.notices for value in asdict(notice).values()]
        return "\n".join(text.replace("\n", "") for text in texts)


class Failing(Observer):
    """Raises in each callback."""

    def _fail(self, *_what: object) -> None:
        raise RuntimeError("this observer is broken")

    opened = recorded = progressed = heartbeat = notify = preparing = waiting = _fail


class TestObserverGroup(TestTerminal):
    """A terminal behind an observer that fails."""

    @pytest.fixture
    def observer(self, stream: io.StringIO) -> ObserverGroup:
        self.stream = stream
        return ObserverGroup(Failing(), Terminal(ITERS, stream), Failing())


class TestObserverGroupOfNone(ObserverContract):
    @pytest.fixture
    def observer(self) -> ObserverGroup:
        return ObserverGroup()
