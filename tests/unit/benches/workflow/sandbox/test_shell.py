"""Commands of an agent, confined for real: what they reach, what ends them, and that nothing is left."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch.benches.workflow.sandbox import landlock, seccomp, shell
from autoresearch.benches.workflow.sandbox.shell import CommandResult, LandlockShell, SandboxFailed, refusal, without

confined = pytest.mark.skipif(refusal() is not None, reason=str(refusal()))
python3 = Path("/usr/bin/python3")
needs_python = pytest.mark.skipif(not python3.exists(), reason="no /usr/bin/python3")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws/a.txt").write_text("alpha\n")
    return tmp_path / "ws"


def run(workspace: Path, command: str, port: int | None = None, timeout_s: float = 20.0) -> CommandResult:
    return LandlockShell().run(command, workspace, port, timeout_s, lambda: False)


OUTSIDE = (
    "cat ../secret.txt",
    "cat {parent}/secret.txt",
    "ls ..",
    "ls /",
    "cat /etc/passwd",
    "cat /etc/hostname",
    "cat /proc/self/root/{parent}/secret.txt",
    "cat /proc/self/environ",
    "ls /proc",
    "ls /tmp",
    "ln -s ../secret.txt link && cat link",
    "ln ../secret.txt link",
    "cp ../secret.txt .",
    "echo x > ../new.txt",
    "echo x > /tmp/new-of-the-sandbox",
    "echo x >> ../secret.txt",
    "rm ../secret.txt",
    "mv ../secret.txt .",
    "mv a.txt ..",
    "touch /usr/x",
    "chmod 777 ../secret.txt",
    "chown 1 ../secret.txt",
    "touch -d 2001-01-01 ../secret.txt",
    "mknod dev b 8 0",
    "mount -t tmpfs none .",
    "chroot . /bin/sh",
    "cd .. && cat secret.txt",
)


SOCKETS = (
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "socket.socket(socket.AF_INET6, socket.SOCK_RAW)",
    "socket.socket(socket.AF_UNIX)",
    "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)",  # MPTCP, which Landlock does not see
    "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)",  # SCTP
    "socket.socket().sendto(b'x', 0x20000000, ('127.0.0.1', 9))",  # TCP Fast Open
    "socket.socket().bind(('127.0.0.1', 0))",
    "ctypes.CDLL(None, use_errno=True).syscall(425, 1, 0) >= 0 or 1 / 0",  # io_uring
    "socket.socket()",
    "socket.socket(socket.AF_INET6)",
    "socket.socketpair()",
)
TRY = """
    try:
        eval(code)
    except (OSError, ZeroDivisionError):
        continue
    print(code)
"""


@confined
class TestConfinement:
    def test_a_command_works_in_its_workspace(self, workspace: Path) -> None:
        result = run(workspace, "mkdir d && tr a-z A-Z < a.txt > d/b.txt && mv d/b.txt . && cat b.txt | wc -c && pwd")
        assert result == CommandResult(0, f"6\n{workspace}\n")
        assert (workspace / "b.txt").read_text() == "ALPHA\n"

    def test_a_script_is_made_executable_and_edited_in_place(self, workspace: Path) -> None:
        result = run(
            workspace, "printf '#!/bin/sh\\necho one\\n' > s && chmod +x s && sed -i s/one/two/ s && ./s && touch s"
        )
        assert result == CommandResult(0, "two\n")

    @pytest.mark.parametrize("command", ["exit 7", "kill -TERM $$"])
    def test_its_exit_code_is_returned(self, workspace: Path, command: str) -> None:
        assert run(workspace, command).exit_code == (7 if "exit" in command else -15)

    def test_what_is_outside_is_neither_read_nor_written(self, workspace: Path) -> None:
        before = sorted(workspace.parent.iterdir())
        status = metadata(workspace.parent / "secret.txt")
        script = "".join(f'( {c.format(parent=workspace.parent)} ); echo "== {i} $?"\n' for i, c in enumerate(OUTSIDE))
        lines = run(workspace, script).output.splitlines()
        succeeded = [OUTSIDE[int(n)] for mark, n, code in (x.split() for x in lines if x[:3] == "== ") if code == "0"]
        assert succeeded == []
        assert sum(line[:3] == "== " for line in lines) == len(OUTSIDE)
        assert "secret" not in lines
        assert sorted(workspace.parent.iterdir()) == before
        assert metadata(workspace.parent / "secret.txt") == status
        assert (workspace.parent / "secret.txt").read_text() == "secret"
        assert not Path("/tmp/new-of-the-sandbox").exists()

    def test_the_code_of_the_bench_and_its_solutions_are_not_readable(self, workspace: Path) -> None:
        solutions = Path(shell.__file__).parents[1] / "tasks"
        result = run(workspace, f"cat {solutions}/*/*/solutions/oracle.yaml")
        assert result.exit_code != 0
        assert "calls" not in result.output

    def test_it_has_no_variables_but_its_own(self, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
        names = {line.partition("=")[0] for line in run(workspace, "env", port=4711).output.splitlines()}
        assert names <= {"PATH", "HOME", "TMPDIR", "LC_ALL", "PWD", "SERVICES_URL", "_", "OLDPWD", "SHLVL"}
        assert run(workspace, "echo $SERVICES_URL", port=4711).output == "http://127.0.0.1:4711\n"

    def test_it_has_no_input(self, workspace: Path) -> None:
        assert run(workspace, "cat; echo end").output == "end\n"

    @needs_python
    def test_tcp_reaches_the_port_of_the_services_only(self, workspace: Path) -> None:
        connect = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5); print('in')"
        (workspace / "c.py").write_text(connect)
        with socket.create_server(("127.0.0.1", 0)) as allowed, socket.create_server(("127.0.0.1", 0)) as other:
            ports = [server.getsockname()[1] for server in (allowed, other)]
            results = [run(workspace, f"python3 c.py {port}", port=ports[0]) for port in ports]
            assert run(workspace, f"python3 c.py {ports[0]}", port=None).exit_code == 1
        assert results[0].output == "in\n"
        assert "PermissionError" in results[1].output

    @needs_python
    def test_no_socket_but_of_tcp_is_made(self, workspace: Path) -> None:
        (workspace / "s.py").write_text(f"import ctypes, socket\nfor code in {SOCKETS!r}:\n{TRY}")
        result = run(workspace, "python3 s.py")
        assert result.exit_code == 0, result.output
        assert [code for code in result.output.splitlines() if code] == [
            "socket.socket()",
            "socket.socket(socket.AF_INET6)",
            "socket.socketpair()",
        ]

    def test_signals_reach_nothing_outside(self, workspace: Path) -> None:
        if landlock.abi() < landlock.SCOPE_ABI:
            pytest.skip("this kernel's Landlock does not scope signals")
        with subprocess.Popen(["sleep", "60"]) as bystander:
            try:
                result = run(workspace, f"kill -9 {bystander.pid}; kill -9 {os.getpid()}; kill -9 -1; echo alive")
                assert result.output.endswith("alive\n")
                assert bystander.poll() is None
            finally:
                bystander.kill()


@confined
class TestBounds:
    def test_a_file_has_a_largest_size(self, workspace: Path) -> None:
        run(workspace, "head -c 90000000 /dev/zero > big")
        assert (workspace / "big").stat().st_size <= shell.RLIMITS["RLIMIT_FSIZE"]

    @needs_python
    def test_memory_is_bounded(self, workspace: Path) -> None:
        result = run(workspace, "python3 -c 'x = bytearray(3 << 30)'")
        assert "MemoryError" in result.output

    def test_output_is_cut_off_and_the_command_goes_on(self, workspace: Path) -> None:
        result = run(workspace, "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last >> done.txt")
        assert result.exit_code == 0
        assert len(result.output) < shell.MAX_OUTPUT_BYTES + 100
        assert "cut off" in result.output
        assert (workspace / "done.txt").exists()

    def test_what_is_not_text_is_shown_all_the_same(self, workspace: Path) -> None:
        assert run(workspace, "printf '\\377\\376a'").output == "\ufffd\ufffda"

    @pytest.mark.parametrize("command", ["a\0b", "x" * 40_000])
    def test_a_command_that_cannot_be_started_is_refused(self, workspace: Path, command: str) -> None:
        assert run(workspace, command).exit_code is None

    def test_time_is_bounded(self, workspace: Path) -> None:
        result = run(workspace, "echo begin; sleep 600; echo end", timeout_s=0.3)
        assert result == CommandResult(None, "begin\n", "timeout")

    def test_the_number_of_processes_is_bounded(self, workspace: Path) -> None:
        result = run(workspace, "for i in $(seq 200); do sleep 300 & done; sleep 300", timeout_s=60)
        assert result.exit_code is None or "fork" in result.output
        assert not left_in(workspace)

    def test_a_stop_of_the_run_ends_the_command(self, workspace: Path) -> None:
        result = LandlockShell().run("sleep 600", workspace, None, 60.0, lambda: True)
        assert result == CommandResult(None, "", "cancelled")


@confined
class TestNothingIsLeft:
    @pytest.mark.parametrize(
        "command",
        [
            "sleep 300 & echo started",
            "setsid sleep 300 & echo started",
            "(setsid sh -c 'sleep 300 & sleep 300' &) ; echo started",
            "trap '' TERM HUP INT; sleep 300 & echo started",
        ],
    )
    def test_what_runs_in_the_background_is_ended(self, workspace: Path, command: str) -> None:
        assert run(workspace, command) == CommandResult(0, "started\n")
        assert not left_in(workspace)

    def test_when_the_bench_is_killed_its_commands_end(self, workspace: Path) -> None:
        code = (
            "import sys; from pathlib import Path\n"
            "from autoresearch.benches.workflow.sandbox.shell import LandlockShell\n"
            "LandlockShell().run('touch started; setsid sleep 300 & sleep 300', Path(sys.argv[1]), None, 100, bool)\n"
        )
        with subprocess.Popen([sys.executable, "-c", code, str(workspace)]) as bench:
            wait_for(lambda: (workspace / "started").exists())
            bench.kill()
        wait_for(lambda: not left_in(workspace))


def metadata(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_ctime_ns


def left_in(workspace: Path) -> list[str]:
    """The processes whose directory is the workspace."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.readlink(entry / "cwd").startswith(str(workspace)):
                found.append(entry.name)
    return found


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end
        threading.Event().wait(0.05)


ORDINARY = """
import os, sys
from pathlib import Path
from autoresearch.benches.workflow.sandbox import shell
from autoresearch.benches.workflow.sandbox.shell import LandlockShell
work = Path(sys.argv[1])
if sys.argv[2] == "no user namespaces":
    shell._START = shell._START.replace("confine.main()", "confine.mounts.CLONE_NEWUSER = -1; confine.main()")
commands = "id -u", "cat ../secret.txt", "chmod 777 ../secret.txt", "echo x > new && cat new", "touch s; chmod +x s"
for command in commands:
    result = LandlockShell().run(command, work, None, 20.0, bool)
    print(command, "|", result.exit_code, result.ended_by, result.output.strip())
"""


@confined
@needs_python
@pytest.mark.parametrize("machine", ["as it is", "no user namespaces"])
@pytest.mark.skipif(os.getuid() != 0, reason="the tests run as an ordinary user already")
def test_an_ordinary_user_is_confined_too(machine: str) -> None:
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "ws").mkdir()
        (root / "secret.txt").write_text("secret")
        for path in (root / "ws", root / "secret.txt"):
            os.chown(path, nobody, nobody)
        ran = subprocess.run(
            [str(python3), "-c", ORDINARY, str(root / "ws"), machine],
            capture_output=True, text=True, timeout=100, user=nobody, group=nobody, extra_groups=(), cwd="/",
            env={"PYTHONPATH": str(Path(shell.__file__).parents[4])},
        )  # fmt: skip
        if ran.returncode:
            pytest.skip(f"an ordinary user cannot run this checkout: {ran.stderr[-200:]}")
        lines = dict(line.split(" | ", 1) for line in ran.stdout.splitlines() if " | " in line)
        assert lines["id -u"] == f"0 None {nobody}", ran.stderr
        assert lines["cat ../secret.txt"].startswith("1 None")
        assert lines["chmod 777 ../secret.txt"].startswith("1 None")
        assert lines["echo x > new && cat new"] == "0 None x"
        if machine == "no user namespaces":  # then the mode of a file cannot be changed by its path
            assert lines["touch s; chmod +x s"].startswith("1 None")
        assert (root / "secret.txt").stat().st_mode & 0o777 == 0o644


METADATA = """
import ctypes, os, sys
from autoresearch.benches.workflow.sandbox import seccomp
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
seccomp.install(metadata=False)
path = sys.argv[1]
fd = os.open(path, os.O_RDWR)
os.fchmod(fd, 0o600)
os.utime(fd)
for change in (lambda: os.chmod(path, 0o777), lambda: os.chown(path, 1, 1), lambda: os.utime(path, (1, 1)),
               lambda: os.setxattr(path, "user.x", b"y"), lambda: os.lchown(path, 1, 1)):
    try:
        change()
    except PermissionError:
        continue
    sys.exit("it was changed")
"""


@confined
def test_without_its_own_mounts_metadata_is_changed_of_open_files_only(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    subprocess.run([sys.executable, "-c", METADATA, str(tmp_path / "f")], check=True, timeout=60)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600


class TestRefusal:
    def test_an_old_kernel_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(landlock, "abi", lambda: 3)
        assert "ABI 4 (Linux 6.7) or newer is needed" in str(refusal())
        assert "has ABI 3" in str(refusal())
        monkeypatch.setattr(landlock, "abi", lambda: 0)
        assert "has none" in str(refusal())

    def test_an_unknown_machine_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(landlock, "abi", lambda: 6)
        monkeypatch.setattr(seccomp, "supported", lambda: False)
        assert "system calls" in str(refusal())

    @confined
    def test_a_machine_that_cannot_confine_a_command_is_found_out_by_a_trial(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shell, "RLIMITS", {"RLIMIT_NO_SUCH": 1})
        shell._failed_trial.cache_clear()
        try:
            assert "could not be confined" in str(refusal())
        finally:
            shell._failed_trial.cache_clear()

    @confined
    def test_a_command_that_could_not_be_confined_is_not_run(
        self, workspace: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shell, "RLIMITS", {"RLIMIT_NO_SUCH": 1})
        with pytest.raises(SandboxFailed, match="could not be confined"):
            run(workspace, "touch started")
        assert not (workspace / "started").exists()


def test_a_tree_without_one_folder_is_everything_beside_it(tmp_path: Path) -> None:
    for name in ("lib/python/site/other", "lib/python/site/hidden", "lib/python/stdlib", "bin"):
        (tmp_path / name).mkdir(parents=True)
    assert sorted(without(tmp_path, tmp_path / "lib/python/site/hidden")) == [
        str(tmp_path / name) for name in ("bin", "lib/python/site/other", "lib/python/stdlib")
    ]
    assert list(without(tmp_path / "bin", tmp_path / "lib")) == [str(tmp_path / "bin")]
    assert list(without(tmp_path / "bin", tmp_path / "bin")) == []


@pytest.mark.parametrize("machine", list(seccomp.MACHINES))
def test_the_jumps_of_the_filter_stay_inside_it(machine: str) -> None:
    program = seccomp.filter_for(seccomp.MACHINES[machine], metadata=False)
    assert len(program) < 256
    for i, (code, yes, no, _) in enumerate(program):
        assert code & 7 != 5 or i + 1 + max(yes, no) < len(program)
    assert program[-1][3] == 0x7FFF0000
