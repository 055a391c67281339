"""Time from the start of the service to `active`: profile tiny, corpus prepared, a new run and a continued one.

    python -m benchmarks.start_to_ready

The service manager is a socket of this benchmark's: what is timed is from the start of the process to READY=1. Where a
systemd can be booted (root), `systemctl start` under the whole unit is timed too.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from autoresearch.data.prepare import prepare
from autoresearch.data.sources import Sources
from autoresearch.data.tokenizer import TokenizerSpec
from benchmarks.machine import describe
from tests.systemd_sandbox import NoSandboxError, Sandbox, why_not

REPEATS = 5
DEADLINE_S = 120.0


def started(run_dir: Path, corpus: Path) -> float:
    """Seconds until one process reports that it is ready; it is ended in its first trial."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = run_dir.parent / f"{run_dir.name}.socket"
        address.unlink(missing_ok=True)
        manager.bind(str(address))
        manager.settimeout(DEADLINE_S)
        command = [sys.executable, "-m", "autoresearch", "run", "--dir", str(run_dir), "--corpus", str(corpus)]
        began = time.perf_counter()
        daemon = subprocess.Popen(
            [*command, "--proposer", "tpe"],
            env={**os.environ, "NOTIFY_SOCKET": str(address)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while b"READY=1" not in manager.recv(4096):
                pass
            return time.perf_counter() - began
        finally:
            daemon.send_signal(signal.SIGKILL)  # its trial dies with it
            daemon.wait()


def started_by_systemd(box: Sandbox, name: str) -> float:
    """Seconds of `systemctl start`, which returns when the unit is active."""
    began = time.perf_counter()
    box.systemctl("start", f"autoresearch@{name}")
    took_s = time.perf_counter() - began
    box.systemctl("kill", "--signal=KILL", f"autoresearch@{name}")
    box.systemctl("stop", f"autoresearch@{name}")
    return took_s


def row(what: str, start: Callable[[int], float]) -> str:
    seconds = [start(i) for i in range(REPEATS)]
    return f"| {what} | {statistics.median(seconds):.2f} | {max(seconds):.2f} |"


def systemd_rows(folder: Path, corpus: Path) -> list[str]:
    """The same under a systemd, or why not."""
    if why := why_not():
        return [f"| under systemd: not measured, {why} | | |"]
    try:
        with Sandbox(folder / "box", corpus) as box:
            box.install()
            for name in (f"new{i}" for i in range(REPEATS)):
                box.configure(name, {"corpus": "/srv/corpus", "proposer": "tpe"})
            return [
                row("under systemd, a new run", lambda i: started_by_systemd(box, f"new{i}")),
                row("under systemd, a continued run", lambda _: started_by_systemd(box, "new0")),
            ]
    except NoSandboxError as e:
        return [f"| under systemd: not measured, {e} | | |"]


def main() -> None:
    print(f"### Start to ready\n\n{describe()}\n")
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        corpus, sources = folder / "corpus", Sources(stdlib=True)
        prepare(sources.documents(), corpus, names=sources.names, tokenizer=TokenizerSpec("bpe", 4096))
        rows = [
            row("a new run", lambda i: started(folder / f"new{i}", corpus)),
            row("a continued run", lambda _: started(folder / "new0", corpus)),
            *systemd_rows(folder, corpus),
        ]
    print(f"`python -m benchmarks.start_to_ready`: {REPEATS} starts each, profile tiny, the corpus prepared\n")
    print("| | median s | largest s |\n|---|---|---|")
    print("\n".join(rows))
    print("| target | | at most 5 |")


if __name__ == "__main__":
    main()
