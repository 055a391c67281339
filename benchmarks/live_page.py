"""The CPU time that `autoresearch serve` takes while 100 viewers follow a running night, in a share of one core.

python -m benchmarks.live_page [VIEWERS]
"""

from __future__ import annotations

import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from autoresearch.web.find_runs import find_runs
from benchmarks.machine import describe
from tests.live_night import LiveNight

VIEWERS, SECONDS, SETTLE_S = 100, 30, 12
TARGET = 0.20
LENGTHS = (300, 10_000)  # iterations closed before the viewers come


def measure(folder: Path, iterations: int, viewers: int) -> tuple[float, float, float]:
    """The share of one core, the bytes per second and viewer, and the resident GiB."""
    night = LiveNight(folder / f"runs{iterations}" / "night", iterations + 1000)
    night.begin()
    night.grow(3 * iterations)
    command = [sys.executable, "-m", "autoresearch", "serve", str(night.path.parent), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r":(\d+)/", server.stdout.readline())
            assert found is not None
            path = f"/runs/{find_runs([night.path.parent]).runs[0].id}/events"
            streams = [connect(int(found[1]), path) for _ in range(viewers)]
            process = psutil.Process(server.pid)
            follow(night, streams, SETTLE_S)
            before = process.cpu_times()
            received = follow(night, streams, SECONDS)
            after = process.cpu_times()
            spent = after.user + after.system - before.user - before.system
            for stream in streams:
                stream.close()
            return spent / SECONDS, received / SECONDS / viewers, process.memory_info().rss / 2**30
        finally:
            server.terminate()
            night.end()


def connect(port: int, path: str) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", port))
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    stream.setblocking(False)
    return stream


def follow(night: LiveNight, streams: list[socket.socket], seconds: float) -> int:
    """Read every stream for a time, in which the trial progresses each second and an iteration ends every ten."""
    selector = selectors.DefaultSelector()
    for stream in streams:
        selector.register(stream, selectors.EVENT_READ)
    received, began, step = 0, time.monotonic(), 0
    while (now := time.monotonic() - began) < seconds:
        if now >= step:
            step += 1
            if step % 10 == 0:
                night.grow(3)
            while not night.is_open:
                night.grow(1)
            night.progress(night.open_iter, (step % 10) / 10)
        for key, _ in selector.select(timeout=0.2):
            stream = key.fileobj
            assert isinstance(stream, socket.socket)
            data = stream.recv(1 << 20)
            if not data:
                raise RuntimeError("the server closed a stream")
            received += len(data)
    selector.close()
    return received


def main() -> None:
    viewers = int(sys.argv[1]) if len(sys.argv) > 1 else VIEWERS
    print(f"### The live page\n\n{describe()}\n")
    print(f"`python -m benchmarks.live_page`: {viewers} viewers of a night at work, {SECONDS} s\n")
    print("| iterations before | share of one core | goal | bytes per second and viewer | resident GiB |")
    print("|---|---|---|---|---|")
    os.environ.setdefault("PYTHONPATH", os.getcwd())
    for iterations in LENGTHS:
        with tempfile.TemporaryDirectory() as folder:
            share, rate, gib = measure(Path(folder), iterations, viewers)
        print(f"| {iterations:,} | {share:.1%} | {TARGET:.0%} | {rate:,.0f} | {gib:.2f} |")


if __name__ == "__main__":
    main()
