"""A real Slurm cluster on this machine: munged, slurmctld and one slurmd per node, in a directory of their own.

The nodes are names for this machine, each with a port of its own on loopback. There is no accounting database and no
control group: Slurm follows a job's processes by their parents and checks memory by sampling. Needs root, like slurmd.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
START_DEADLINE_S = 60.0
KILL_WAIT_S = 5

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={here}/munge.socket
CredType=cred/munge
SlurmctldPort={control_port}
SlurmctldPidFile={here}/slurmctld.pid
SlurmctldLogFile={here}/slurmctld.log
SlurmdPidFile={here}/slurmd-%n.pid
SlurmdLogFile={here}/slurmd-%n.log
SlurmdSpoolDir={here}/spool-%n
StateSaveLocation={here}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
KillWait={kill_wait}
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
MinJobAge=300
CommunicationParameters=NoAddrCache
"""


def missing_for_slurm() -> str:
    """Why no cluster can be started here, or an empty string."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian: slurmctld, slurmd, slurm-client, munge)"
    if os.geteuid() != 0:
        return "slurmd needs root"
    try:
        import submitit  # noqa: F401
    except ImportError:
        return "not installed: submitit"
    return ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class SlurmCluster:
    """Its nodes are ``n0``, ``n1``, ...; partition ``main`` has all of them, ``urgent`` preempts it."""

    here: Path
    nodes: int = 2
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """What a program needs to use this cluster."""
        return {"SLURM_CONF": str(self.here / "slurm.conf")}

    def start(self) -> None:
        """Start all daemons and wait until every node is idle."""
        for name in ("state", *(f"spool-n{n}" for n in range(self.nodes))):
            (self.here / name).mkdir()
        (self.here / "munge.key").write_bytes(os.urandom(128))
        (self.here / "munge.key").chmod(0o400)
        (self.here / "slurm.conf").write_text(self._configuration())
        self._launch(
            "munged",
            *("munged", "--foreground", "--force", f"--socket={self.here}/munge.socket"),
            *(f"--key-file={self.here}/munge.key", f"--pid-file={self.here}/munged.pid"),
            *(f"--log-file={self.here}/munged.log", f"--seed-file={self.here}/munged.seed"),
        )
        self._await(lambda: (self.here / "munge.socket").exists(), "munged")
        self.start_controller()
        for n in range(self.nodes):
            self.start_node(f"n{n}")
        self._await(lambda: self.states() == ["idle"] * self.nodes, "nodes")

    def start_controller(self) -> None:
        self._launch("slurmctld", "slurmctld", "-D", "-f", str(self.here / "slurm.conf"))

    def start_node(self, name: str) -> None:
        self._launch(name, "slurmd", "-D", "-N", name, "-f", str(self.here / "slurm.conf"))

    def states(self) -> list[str]:
        found = self.call("sinfo", "--noheader", "--Node", "--partition=main", "--format=%T", check=False)
        return found.split()

    def call(self, *command: str, check: bool = True) -> str:
        """The output of one of Slurm's programs."""
        environ = {**os.environ, **self.environ}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.stderr}")
        return done.stdout

    def jobs(self) -> list[list[str]]:
        """Number, name, state and node of every job that has not ended."""
        return [line.split("|") for line in self.call("squeue", "-h", "-o", "%i|%j|%T|%N").splitlines()]

    def wait_for_no_jobs(self) -> bool:
        """Whether every job ends in time."""
        self._await(lambda: not self.jobs(), "end of the jobs")
        return True

    def kill(self, name: str) -> None:
        """End one of its daemons."""
        process = self.daemons.pop(name)
        process.kill()
        process.wait(30)

    def lose_node(self, name: str) -> None:
        """End a node as a power failure does: its slurmd and all that it started, at once."""
        import psutil

        self.kill(name)
        wanted = {f"SLURMD_NODENAME={name}", f"SLURM_CONF={self.environ['SLURM_CONF']}"}
        for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
            with contextlib.suppress(OSError, psutil.Error):
                if wanted <= set(Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")):
                    process = psutil.Process(pid)
                    for each in [*(p for p in process.parents() if p.name().startswith("slurmstepd")), process]:
                        each.kill()

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.call("scancel", "--user=root", check=False)
            self._await(lambda: not self.jobs(), "end of the jobs")
        for name in reversed(list(self.daemons)):
            self.kill(name)

    def _configuration(self) -> str:
        names = ",".join(f"n{n}" for n in range(self.nodes))
        text = CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            here=self.here,
            control_port=free_port(),
            kill_wait=KILL_WAIT_S,
        )
        for n in range(self.nodes):
            text += f"NodeName=n{n} NodeHostname={socket.gethostname().partition('.')[0]} NodeAddr=127.0.0.1 "
            text += f"Port={free_port()} CPUs={os.cpu_count()} RealMemory=8000\n"
        text += f"PartitionName=main Nodes={names} Default=YES MaxTime=INFINITE State=UP PriorityTier=1\n"
        text += f"PartitionName=urgent Nodes={names} MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=OFF\n"
        return text

    def _launch(self, name: str, *command: str) -> None:
        program = shutil.which(command[0])
        assert program is not None
        with (self.here / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen([program, *command[1:]], stdout=out, stderr=out)

    def _await(self, done, what: str) -> None:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + START_DEADLINE_S
        while not done():
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-500:] for path in sorted(self.here.glob("*.log")))
                raise AssertionError(f"{what}: not within {START_DEADLINE_S:g} s\n{logs}")
            time.sleep(0.1)


@contextlib.contextmanager
def slurm_cluster(here: Path, nodes: int = 2) -> Iterator[SlurmCluster]:
    cluster = SlurmCluster(here, nodes)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
