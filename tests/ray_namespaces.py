"""A real Ray cluster whose nodes each have a network namespace of their own, joined by a bridge that a test can cut."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from autoresearch.trials.remote.ray_cluster import OBJECT_STORE_BYTES
from tests.ray_cluster import QUICK_HEALTH_CHECK

PORT = 6399
START_S = 120.0


def missing_for_namespaces() -> str:
    """Why no namespaces can be made here, or an empty string."""
    try:
        made = subprocess.run(["ip", "netns", "add", f"ray{os.getpid()}"], capture_output=True, text=True, check=False)
        link = subprocess.run(
            ["ip", "-n", f"ray{os.getpid()}", "link", "add", "br0", "type", "bridge"], capture_output=True, check=False
        )
        subprocess.run(["ip", "netns", "del", f"ray{os.getpid()}"], capture_output=True, check=False)
    except OSError as e:
        return f"ip (iproute2): {e.strerror}"
    return "" if made.returncode == link.returncode == 0 else "no right to make network namespaces and bridges"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


@dataclass(slots=True)
class Namespaces:
    """The first of ``names`` has the head, the others a node of one CPU each."""

    names: Sequence[str]
    key: str = field(default_factory=lambda: f"ray{os.getpid()}")
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{self.host(self.names[0])}:{PORT}"

    def host(self, name: str) -> str:
        return f"10.77.0.{10 + list(self.names).index(name)}"

    def open(self) -> None:
        ip("netns", "add", f"{self.key}-switch")
        ip("-n", f"{self.key}-switch", "link", "add", "br0", "type", "bridge")
        ip("-n", f"{self.key}-switch", "link", "set", "br0", "up")
        for name in self.names:
            own = f"{self.key}-{name}"
            ip("netns", "add", own)
            ip("link", "add", name, "netns", f"{self.key}-switch", "type", "veth", "peer", "name", "eth0", "netns", own)
            ip("-n", f"{self.key}-switch", "link", "set", name, "master", "br0", "up")
            ip("-n", own, "addr", "add", f"{self.host(name)}/24", "dev", "eth0")
            ip("-n", own, "link", "set", "eth0", "up")
            ip("-n", own, "link", "set", "lo", "up")
        for name in self.names:
            self.start(name)

    def start(self, name: str) -> None:
        """Start the head, or a node."""
        head = ["--head", f"--port={PORT}", "--num-cpus=0", "--include-dashboard=false"]
        head.append(f"--system-config={json.dumps(QUICK_HEALTH_CHECK)}")
        more = head if name == self.names[0] else [f"--address={self.address}", "--num-cpus=1"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", *more]
        command += [f"--node-ip-address={self.host(name)}", f"--node-name={name}"]
        command.append(f"--object-store-memory={OBJECT_STORE_BYTES}")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.started.append(self.run(name, *command, **quiet))
        deadline = time.monotonic() + START_S
        while not any("raylet/raylet" in line for line in self.commands(name)):
            assert time.monotonic() < deadline, f"no raylet on {name}"
            if self.started[-1].poll() is not None:  # the head may not answer yet
                self.started.append(self.run(name, *command, **quiet))
            time.sleep(0.2)

    def run(self, name: str, *command: str, **more: object) -> subprocess.Popen[bytes]:
        """Start a program in the namespace of a node. The bridge joins nothing else: Ray needs no token on it.

        What an earlier test of this process set for a cluster of its own would bind the head to loopback.
        """
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        more["env"] = {**environment, "RAY_AUTH_MODE": "disabled"}
        return subprocess.Popen(["ip", "netns", "exec", f"{self.key}-{name}", *command], **more)  # type: ignore[call-overload,no-any-return]

    def cut(self, name: str, up: bool = False) -> None:
        """Cut a node off from all others, or join it again."""
        ip("-n", f"{self.key}-switch", "link", "set", name, "up" if up else "down")

    def pids(self, name: str) -> list[int]:
        found = subprocess.run(
            ["ip", "netns", "pids", f"{self.key}-{name}"], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split()]

    def commands(self, name: str) -> list[str]:
        """The command lines of what runs on a node."""
        lines = []
        for pid in self.pids(name):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", errors="replace") as file:
                lines.append(file.read().replace("\0", " "))
        return lines

    def close(self) -> None:
        for name in [*self.names, "switch"]:
            for pid in self.pids(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
        for process in self.started:
            process.wait(30)
        for name in [*self.names, "switch"]:
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", f"{self.key}-{name}")


@contextlib.contextmanager
def namespaces(*names: str) -> Iterator[Namespaces]:
    found = Namespaces(names)
    try:
        found.open()
        yield found
    finally:
        found.close()
