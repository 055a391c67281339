"""The live page in a real Chromium: it follows a running night without a reload, on a desktop and a phone."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from autoresearch.storage.run_dir import PAUSE_FLAG, TRAJECTORY
from autoresearch.web.find_runs import find_runs
from benchmarks.long_night import write_long_night
from tests.browser import CHROMIUM, DRIVER, MISSING, Browser, browser
from tests.live_night import LiveNight

pytest.importorskip("starlette", reason="pip install 'autoresearch[serve]'")
pytest.importorskip("uvicorn", reason="pip install 'autoresearch[serve]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=MISSING),
]

DESKTOP, PHONE = (1280, 900), (390, 844)
HOSTILE = "</script><img src=x onerror='window.evil=1'><b>bold</b>"
SECRET = "0123456789abcdef0123456789abcdef"
TEXT = "document.getElementById('{}').textContent"
Serve = Callable[..., "Server"]


class Server:
    """`autoresearch serve` in a process of its own."""

    def __init__(self, *argv: str) -> None:
        command = [sys.executable, "-m", "autoresearch", "serve", *argv]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        found = re.search(r"http://[\d.]+:(\d+)/", self.process.stdout.readline())
        assert found is not None
        self.port = int(found[1])

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[Server] = []

    def start(*argv: str | Path) -> Server:
        started.append(Server(*map(str, argv)))
        return started[-1]

    yield start
    for server in started:
        server.end(signal.SIGKILL)


@pytest.fixture
def night(tmp_path) -> Iterator[LiveNight]:
    made = LiveNight(tmp_path / "runs/night", 60)
    made.begin()
    with closing(_Ending(made)):
        yield made


class _Ending:
    def __init__(self, night: LiveNight) -> None:
        self.close = night.end


def run_path(runs: Path) -> str:
    return f"/runs/{find_runs([runs]).runs[0].id}"


def show(chromium: Browser, url: str, size: tuple[int, int]) -> None:
    chromium.open_url("about:blank")
    chromium.console()
    chromium.emulate(*size, touch=size == PHONE)
    chromium.open_url(url)


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_a_running_night_updates_without_a_reload_and_without_a_complaint(chromium, serve, night, size):
    night.grow(40)
    server = serve(night.path.parent, "--port", "0")
    show(chromium, server.url(run_path(night.path.parent)), size)
    chromium.run("window.stays = 1")
    chromium.wait("Run.count() > 5")
    before = chromium.run("return Run.count()")
    for _ in range(2):
        night.grow(8)
        chromium.wait(f"Run.count() > {before}")
        before = chromium.run("return Run.count()")
    while not night.is_open:
        night.grow(1)
    night.progress(night.open_iter, 0.5)
    chromium.wait("document.querySelector('progress')?.value === 0.5")
    assert "65.0 W" in chromium.run("return document.getElementById('devices').textContent")
    chromium.wait(f"Course.count() === {before} || Course.count() > 0")
    assert chromium.run("return window.stays") == 1
    assert chromium.run("return document.documentElement.scrollWidth") == size[0]  # nothing sticks out
    assert chromium.console() == []
    loaded = chromium.run("return performance.getEntriesByType('resource').map((e) => new URL(e.name).host)")
    assert set(loaded) == {f"127.0.0.1:{server.port}"}


def test_it_connects_again_after_the_server_was_killed_and_shows_what_it_missed(chromium, serve, night):
    night.grow(40)
    runs = night.path.parent
    server = serve(runs, "--port", "0")
    show(chromium, server.url(run_path(runs)), DESKTOP)
    chromium.wait("Run.count() > 5")
    before = chromium.run("return Run.count()")
    whole = (night.path / TRAJECTORY).read_bytes()
    server.end(signal.SIGKILL)
    assert (night.path / TRAJECTORY).read_bytes() == whole
    chromium.wait("document.getElementById('link').className === 'link off'")
    night.grow(10)
    serve(runs, "--port", str(server.port))
    chromium.wait("document.getElementById('link').className === 'link on'", 30)
    chromium.wait(f"Run.count() > {before}")
    assert all("ERR_" in line for line in chromium.console())  # what Chromium itself says of a server that is away


def test_ten_thousand_iterations_stay_smooth(chromium, serve, tmp_path):
    (tmp_path / "runs/long").mkdir(parents=True)
    write_long_night(tmp_path / "runs/long" / TRAJECTORY, 10_000)
    server = serve(tmp_path / "runs", "--port", "0")
    show(chromium, server.url(run_path(tmp_path / "runs")), DESKTOP)
    chromium.wait("Run.count() === 10000", 120)
    chromium.wait("document.getElementById('sentence').textContent.includes('val_bpb')", 60)
    chromium.wait("Course.count() === 10000")
    chromium.run("document.getElementById('older').click()")
    assert "of 10,000" in chromium.run(f"return {TEXT.format('range')}")
    assert chromium.run("return document.querySelectorAll('*').length") < 2000  # whatever the length of the run
    assert chromium.console() == []


def test_what_a_proposer_wrote_is_text(chromium, serve, night):
    night.grow(40)
    file = night.path / TRAJECTORY
    night.rewrite(lambda record: record.replace("the loss was still falling", HOSTILE))
    assert HOSTILE in file.read_text()
    runs = night.path.parent
    (runs / "<img src=x onerror=window.evil=1>").mkdir()
    (runs / "<img src=x onerror=window.evil=1>" / TRAJECTORY).write_text(f"{HOSTILE}\n")
    server = serve(runs, "--port", "0")
    for path in ["/", *(f"/runs/{run.id}" for run in find_runs([runs]).runs)]:
        show(chromium, server.url(path), DESKTOP)
        chromium.wait("document.getElementById('link').className === 'link on'")
        chromium.wait("!document.body.textContent.includes('Reading the')")
        assert chromium.run("return [window.evil, document.querySelectorAll('main img, main b b').length]") == [None, 0]
        assert chromium.console() == []


def test_a_token_opens_the_page_and_a_button_pauses_the_run(chromium, serve, night, tmp_path):
    night.grow(40)
    token = tmp_path / "token"
    token.write_text(SECRET)
    token.chmod(0o600)
    server = serve(night.path.parent, "--port", "0", "--token-file", token, "--control")
    show(chromium, server.url(), PHONE)
    chromium.run(f"document.querySelector('[name=token]').value = {json.dumps(SECRET)}; document.forms[0].submit()")
    chromium.wait("document.querySelector('.runs a')")
    chromium.run("document.querySelector('.runs a').click()")
    chromium.wait("document.querySelectorAll('#controls button').length === 4")
    chromium.run("document.querySelector('#controls button').click()")
    chromium.wait("document.getElementById('answer').textContent.includes('pauses after its running trial')")
    assert (night.path / PAUSE_FLAG).exists()
    chromium.wait("document.getElementById('log').textContent.includes('pause from 127.0.0.1')")
    assert chromium.console() == []
    assert server.end() == 0
