"""A real systemd for tests: booted in namespaces of its own over a copy-on-write view of this machine's root.

    with Sandbox(work) as box:                   # boots
        box.install()                            # `autoresearch service install`, as root of the sandbox
        box.configure("night", {"iters": 3})     # /etc/autoresearch/night.toml
        box.systemctl("start", "autoresearch@night")

Nothing of it is seen outside: its mounts live in its mount namespace, its processes in its PID namespace, and both end
with its first process, which dies with this one. ``power_cut`` and ``boot`` are a reboot: what was written is kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autoresearch.core.records import decode
from autoresearch.storage.journal import read

ROOT = Path(__file__).parents[1]
SYSTEMD = Path("/lib/systemd/systemd")
TOOLS = ("unshare", "nsenter", "setpriv", "mount", "systemctl", "systemd-sysusers", "systemd-tmpfiles", "useradd")
HOME = Path("/opt/autoresearch")  # a virtual environment that the service's user can see
PYTHON = HOME / "bin" / "python"
# The sources are not installed there, and a Python built as a shared library may have to be told where that is.
ENVIRON = {"PYTHONPATH": str(HOME / "source"), "LD_LIBRARY_PATH": "/opt/python/lib"}
DEADLINE_S = 120.0
POLL_S = 0.05

# Arguments: work directory, repository, site-packages, the base Python, corpus. Runs in the new namespaces.
BOOT = r"""
set -eu
work=$1 source=$2 packages=$3 python=$4 corpus=$5
mount --make-rprivate /
root=$work/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/overlay" "$root"
cd "$root"
mkdir -p opt/python opt/autoresearch/bin opt/autoresearch/source "opt/autoresearch/lib/$6/site-packages" srv/corpus \
    opt/autoresearch-image var/lib/autoresearch etc/systemd/system
mount --bind "$source" opt/autoresearch/source
mount --bind "$packages" "opt/autoresearch/lib/$6/site-packages"
mount --bind "$python" opt/python
mount --bind "$corpus" srv/corpus
mount --bind "$work/state" var/lib/autoresearch
mount --bind "$work/units" etc/systemd/system
ln -sf "/opt/python/bin/$6" opt/autoresearch/bin/python
echo "home = /opt/python/bin" > opt/autoresearch/pyvenv.cfg
mount -t proc proc proc
mount --bind "$work/boot_id" proc/sys/kernel/random/boot_id
mount -t tmpfs -o mode=755 tmpfs run
cp "$work/boot_id" run/boot_id
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for node in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0"; do
    set -- $node
    mknod -m 666 "dev/$1" c "$2" "$3"
done
mkdir -p dev/pts dev/shm old  # the last one is there after a power cut
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for wants in multi-user timers; do
    [ ! -d "lib/systemd/system/$wants.target.wants" ] || mount -t tmpfs tmpfs "lib/systemd/system/$wants.target.wants"
done
pivot_root . old
umount -l /old
mount --make-rshared /  # as systemd does where it sees no container; the credentials of a service need it
exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal </dev/null >/run/boot.log 2>&1
"""
# What would touch the machine, or takes long, at boot.
MASKED = (
    "systemd-sysctl.service", "systemd-udevd.service", "systemd-udev-trigger.service", "systemd-random-seed.service",
    "systemd-remount-fs.service", "systemd-modules-load.service", "systemd-binfmt.service",
    "systemd-hwdb-update.service", "systemd-journald-audit.socket", "dev-hugepages.mount", "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount", "getty.target",
)  # fmt: skip


class NoSandboxError(Exception):
    """A systemd cannot be booted here; says why."""


def why_not() -> str:
    """Why there can be no sandbox here, as far as that is seen without trying; empty where it may work."""
    if os.geteuid() != 0:
        return "only root can make namespaces and mounts"
    if not SYSTEMD.exists():
        return f"there is no {SYSTEMD}"
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        return f"there is no {', '.join(missing)}"
    if cgroups() is None:
        return "no cgroup2 is mounted"
    return ""


def cgroups() -> Path | None:
    """Where this machine's unified cgroups are."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return next((Path(m[1]) for m in mounts if m[2] == "cgroup2"), None)


def until(what: str, found: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    """Wait for something that sends no event; the first thing found that is not nothing."""
    end = time.monotonic() + deadline_s
    while not (thing := found()):
        assert time.monotonic() < end, f"waited {deadline_s:.0f} s in vain: {what}"
        time.sleep(POLL_S)
    return thing


def have_ended(pidfds: Sequence[int], deadline_s: float = DEADLINE_S) -> bool:
    """Wait for the end of every process, and close the descriptors."""
    try:
        return all(select.select([pidfd], [], [], deadline_s)[0] for pidfd in pidfds)
    finally:
        for pidfd in pidfds:
            os.close(pidfd)


class Sandbox:
    """One machine with a systemd. Everything that it writes is below ``work``."""

    def __init__(self, work: Path, corpus: Path) -> None:
        self.work = work
        self.corpus = corpus
        self.state = work / "state"  # /var/lib/autoresearch
        self._unshare: subprocess.Popen[bytes] | None = None
        self._group: Path | None = None
        self.init = 0  # its first process, as this machine numbers it

    def __enter__(self) -> Sandbox:
        for name in ("upper", "overlay", "root", "state", "units"):
            (self.work / name).mkdir(parents=True)
        for unit in MASKED:
            (self.work / "units" / unit).symlink_to("/dev/null")
        self.boot()
        return self

    def __exit__(self, *_: object) -> None:
        self.power_cut()

    def boot(self) -> None:
        """Start systemd and wait until it has brought everything up. Raises ``NoSandboxError``."""
        above = cgroups()
        assert above is not None
        self._group = above / f"autoresearch-test-{uuid.uuid4().hex[:8]}"
        self._group.mkdir()
        (self.work / "boot_id").write_text(f"{uuid.uuid4()}\n")
        base = Path(sys.base_prefix)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = Path(sys.prefix) / "lib" / version / "site-packages"
        own = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--cgroup", "--mount-proc"]
        join = f'echo $$ > "{self._group}/cgroup.procs"; exec "$@"'
        script = ["bash", "-c", BOOT, "boot", self.work, ROOT, packages, base, self.corpus, version]
        with (self.work / "boot.err").open("wb") as said:
            self._unshare = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "bash", "-c", join, "join", *own, *script],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                cwd="/",
            )
        try:
            self._await_boot()
        except BaseException:
            self.power_cut()
            raise

    def _await_boot(self) -> None:
        def private_socket() -> bool:
            assert self._unshare is not None
            if self._unshare.poll() is not None:
                raise NoSandboxError((self.work / "boot.err").read_text(errors="replace").strip()[-500:] or "it ended")
            children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text().split()
            self.init = int(children[0]) if children else 0
            is_systemd = self.init and Path(f"/proc/{self.init}/comm").read_text().strip() == "systemd"
            return bool(is_systemd) and Path(f"/proc/{self.init}/root/run/systemd/private").exists()

        until("systemd's socket", private_socket)
        state = self.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()
        if state not in ("running", "degraded"):
            raise NoSandboxError(f"systemd is {state}")

    def power_cut(self) -> None:
        """End every process at once, as a power failure would (what was written is in the page cache all the same)."""
        if self._unshare is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._unshare.pid, 9)  # --kill-child: its first process dies with it, and with that one all others
        self._unshare.wait()
        self._unshare = None
        group, self._group = self._group, None
        assert group is not None
        until("the sandbox's processes to end", lambda: not _processes(group))
        for below in sorted((d for d in group.rglob("*") if d.is_dir()), reverse=True):
            below.rmdir()
        group.rmdir()

    def run(self, *argv: str | Path, check: bool = True, user: str = "") -> subprocess.CompletedProcess[str]:
        """A command in the sandbox, by root or by ``user``."""
        enter = ["nsenter", "-t", str(self.init), "-m", "-p", "-u", "-i", "-C"]
        become = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"] if user else []
        environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **ENVIRON}
        done = subprocess.run(
            [*enter, *become, *argv], capture_output=True, text=True, check=False, env=environ, timeout=DEADLINE_S
        )
        assert not check or done.returncode == 0, f"{argv}: {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def systemctl(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("systemctl", *argv, check=check)

    def autoresearch(self, *argv: str, check: bool = True, user: str = "") -> subprocess.CompletedProcess[str]:
        """The product's own command line."""
        return self.run(PYTHON, "-P", "-m", "autoresearch", *argv, check=check, user=user)

    def install(self, *flags: str) -> str:
        """`autoresearch service install`, and for the unit what is this sandbox's: its sources, and its boot.

        ProtectProc gives the unit a /proc of its own, which knows only the kernel's boot id.
        """
        said = self.autoresearch("service", "install", *flags).stdout
        boot = "BindReadOnlyPaths=/run/boot_id:/proc/sys/kernel/random/boot_id"
        environ = " ".join(f"{name}={value}" for name, value in ENVIRON.items())
        self.drop_in("sandbox", f"[Service]\nEnvironment={environ}\n{boot}\n")
        return said

    def drop_in(self, name: str, text: str, unit: str = "autoresearch@.service") -> None:
        """What an administrator would write with `systemctl edit`."""
        directory = self.work / "units" / f"{unit}.d"
        directory.mkdir(exist_ok=True)
        (directory / f"90-{name}.conf").write_text(text)
        self.systemctl("daemon-reload")

    def configure(self, name: str, settings: Mapping[str, Any]) -> None:
        """/etc/autoresearch/NAME.toml, by dotted names."""
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
        (self.inside("/etc/autoresearch") / f"{name}.toml").write_text(lines)

    def inside(self, path: str) -> Path:
        """A path of the sandbox, from outside."""
        return Path(f"/proc/{self.init}/root{path}")

    def show(self, name: str, prop: str) -> str:
        """A property of autoresearch@NAME."""
        return self.systemctl("show", "--value", "-p", prop, f"autoresearch@{name}").stdout.strip()

    def journal(self, name: str) -> str:
        """What autoresearch@NAME, and systemd about it, has written since the boot."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "--boot", "-o", "cat", "-u", f"autoresearch@{name}").stdout

    def records(self, name: str) -> list[Any]:
        """The run's records, as far as they are whole."""
        path = self.state / name / "trajectory.jsonl"
        return [decode(payload) for payload in read(path).payloads] if path.exists() else []

    def processes(self, name: str) -> dict[int, list[str]]:
        """Who is in the unit's cgroup: process, as this machine numbers it, and its words."""
        assert self._group is not None
        group = self._group / "system.slice" / "system-autoresearch.slice" / f"autoresearch@{name}.service"
        found = {}
        for pid in _processes(group):
            with contextlib.suppress(OSError):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        return found


def _processes(group: Path) -> list[int]:
    """Every process below a cgroup."""
    found: list[int] = []
    for procs in group.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):  # it went away meanwhile
            found += [int(pid) for pid in procs.read_text().split()]
    return found
