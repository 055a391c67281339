"""Kills on a real Ray cluster: of trials, trial servers, actors, raylets, nodes and the daemon, up to a number of them.

python -m benchmarks.ray_kills --kills 1000 --seed 0

A cluster of a head and four nodes on this machine, a daemon with the real loop, executor and trial servers, and a
stand-in trainer whose trials take half a second. After each kill the processes below the victim must end; after each
run its journal must satisfy ``check_run``. A violation ends this program and leaves the run directory. Not part of
`make bench`; needs the extra [ray].
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Observer
from autoresearch.core.records import (
    EvalFailed,
    Evaluated,
    LoopComplete,
    Meta,
    Proposed,
    Started,
    TrialEnded,
    TrialStarted,
    decode,
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon import service
from autoresearch.daemon.policy import Policy
from autoresearch.daemon.remote_workers import RemoteFleet, run_key
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.data.prepare import prepare
from autoresearch.data.tokenizer import TokenizerSpec
from autoresearch.report.verify import verify
from autoresearch.storage.journal import read
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.stand_in_trainer import SLOWER, STEP_S, STEPS, StandInServer
from autoresearch.trials.remote.ray_cluster import RayCluster, Resources
from benchmarks.machine import describe
from tests.fault.fake_daemon import OnlyRecords
from tests.ray_cluster import ACTOR, RayNodes, ray_nodes, stand_in_fleet
from tests.stand_in import all_end, marked, processes

ITERS = 30  # of one run
TRIAL_S = 0.5
NODES = ("n0", "n1", "n2", "n3")
SLOW_NODE, SLOW = NODES[-1], 4.0  # times as long: a straggler
WEIGHTS = {"trial": 32, "trial server": 30, "actor": 28, "raylet": 2, "node": 3, "daemon": 5}
PAUSE_S = (0.05, 0.6)  # between two kills
END_S = 90.0  # in which what lost its parent must end
STILL_S = 600.0  # without a record: the run hangs


class OnlyRecordsAndNotes(OnlyRecords):
    """Notes go to stderr."""

    def notify(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)


def daemon(run_dir: Path, address: str, corpus: Path, seed: int) -> str:
    """One daemon: ``service.run`` with trials on the cluster."""

    def make_backend(
        _settings: Settings, _policy: Policy, run_dir: Path, aborted: Callable[[], bool], observer: Observer
    ) -> TrialBackend:
        cluster = RayCluster(run_key(run_dir), Resources(1), address, len(NODES))
        fleet = RemoteFleet(cluster, stand_in_fleet(corpus, run_dir, len(NODES)), observer.notify)
        return TrialBackend(FakeTrial(aborted=aborted), YARDSTICK, None, fleet=fleet)

    flags = {"dir": run_dir, "iters": ITERS, "proposer": "random", "reports": []}
    return service.run(resolve(flags, {}).settings, OnlyRecordsAndNotes(1), make_backend=make_backend)


@dataclass
class Life:
    """A daemon at work, and the records that it acknowledged."""

    process: subprocess.Popen[str]
    acknowledged: list[str] = field(default_factory=list)
    heard_at: float = field(default_factory=time.monotonic)
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("record ") and line.endswith("\n"):
                self.acknowledged.append(line.removeprefix("record ").rstrip("\n"))
                self.heard_at = time.monotonic()

    def end(self) -> int:
        code = self.process.wait()
        self.thread.join()
        return code


def check_run(run_dir: Path, acknowledged: list[str], killed: int) -> Counter[str]:
    """The laws of a complete run after its kills; what was counted in it. Raises ``AssertionError``."""
    contents = read(run_dir / "trajectory.jsonl")
    payloads = [payload.decode() for payload in contents.payloads]
    times = Counter(payloads)
    assert {payload: times[payload] for payload in acknowledged if times[payload] != 1} == {}
    assert [p for p in payloads if p in set(acknowledged)] == acknowledged, "in the order in which they were made"
    records = [decode(payload) for payload in payloads]
    whole = list(range(1, ITERS + 1))
    assert sorted(r.iter for r in records if isinstance(r, Evaluated | EvalFailed)) == whole, "closed once"
    assert [r.iter for r in records if isinstance(r, Proposed)] == whole, "proposed once"
    assert sum(isinstance(r, Meta) for r in records) == 1
    assert isinstance(records[-1], LoopComplete)
    begun = [r.trial for r in records if isinstance(r, TrialStarted)]
    ended = [r for r in records if isinstance(r, TrialEnded)]
    assert len(set(begun)) == len(begun)
    assert len({r.trial for r in ended}) == len(ended), "each trial ended once"
    measured = Counter((r.iter, r.seed, r.for_iter) for r in ended if not r.void)
    assert max(measured.values()) == 1, "nothing is measured twice"
    open_trials = set[int]()
    for record in records:
        if isinstance(record, Started):
            open_trials.clear()  # lost with the daemon before
        elif isinstance(record, TrialStarted):
            open_trials.add(record.trial)
        elif isinstance(record, TrialEnded):
            open_trials.remove(record.trial)
    assert not open_trials, "each trial of the last daemon ended"
    assert verify(records).difference is None
    run = Trajectory.fold(records)
    assert sorted(r.iter for r in run.iterations) == whole
    failures = [r.outcome for r in ended if isinstance(r.outcome, Failure)]
    return Counter(
        records=len(records),
        acknowledged=len(acknowledged),
        trials=len(ended),
        hosts_lost=sum(f.cause is Cause.HOST_LOST for f in failures),
        trials_killed=sum(f.cause is Cause.KILLED for f in failures),
        repeated=sum(r.void for r in ended),
        starts=sum(isinstance(r, Started) for r in records),
        runs=1,
    )


def find_victims(mark: str, life: Life, nodes: RayNodes) -> dict[str, list[Any]]:
    """What can be killed now, by kind."""
    servers = processes(mark, StandInServer.module)
    parents = {pid: psutil.Process(pid).ppid() for pid in servers if psutil.pid_exists(pid)}
    return {
        "trial": [pid for pid, parent in parents.items() if parent in parents],
        "trial server": [pid for pid, parent in parents.items() if parent not in parents],
        "actor": processes(mark, ACTOR),
        "raylet": list(nodes.nodes),
        "node": list(nodes.nodes),
        "daemon": [life.process.pid],
    }


def below(pids: list[int]) -> list[int]:
    """The descendants of processes."""
    found = []
    for pid in pids:
        try:
            found += [child.pid for child in psutil.Process(pid).children(recursive=True)]
        except psutil.Error:
            continue
    return found


def kill(kind: str, victim: Any, mark: str, nodes: RayNodes) -> list[int]:
    """Kill it; the processes that must end because of that."""
    if kind == "node":
        nodes.kill(victim)
        return []
    if kind == "raylet":
        doomed = [pid for pid in below([nodes.raylet(victim)]) if pid in {*processes(mark, ACTOR), *processes(mark)}]
        nodes.kill_raylet(victim)
        return doomed
    doomed = [*processes(mark, ACTOR), *processes(mark)] if kind == "daemon" else below([victim])
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        return []
    return doomed


@dataclass
class Storm:
    """The kills of one program: ``kills`` by kind, and what was found in the runs."""

    nodes: RayNodes
    mark: str
    corpus: Path
    dice: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    slowest_end_s: float = 0.0
    ends_at: float = float("inf")  # of the clock: no more kills
    early: bool = False  # whether there was a kill before the baseline of this run

    def is_over(self, most: int) -> bool:
        return self.kills.total() >= most or time.monotonic() > self.ends_at

    def run(self, run_dir: Path, seed: int, most: int) -> None:
        """One run from its start to its end, with kills until ``most`` are reached."""
        acknowledged: list[str] = []
        self.early = False
        log = (run_dir.parent / "daemon.log").open("ab")
        while True:
            life = self.start(run_dir, seed, log)
            killed = self.kill_until_it_ends(life, acknowledged, most)
            code = life.end()
            acknowledged += life.acknowledged
            if killed:
                continue
            if code == 0:
                break
            if not any('"stage":"baseline"' in line for line in acknowledged):
                self.found["refused"] += 1  # the same trial of the baseline was lost twice
                return
            raise AssertionError(f"the daemon ended with code {code}: see {log.name}")
        left = all_end([*processes(self.mark), *processes(self.mark, ACTOR)], END_S)
        assert not left, f"{left} outlived a complete run"
        self.found += check_run(run_dir, acknowledged, self.kills["daemon"])

    def start(self, run_dir: Path, seed: int, log: Any) -> Life:
        command = [sys.executable, "-m", "benchmarks.ray_kills", "--daemon", str(run_dir), self.nodes.address]
        command += [str(self.corpus), "--seed", str(seed)]
        return Life(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True))

    def kill_until_it_ends(self, life: Life, before: list[str], most: int) -> bool:
        """Kill at random moments; whether the daemon was killed, and did not end by itself."""
        while life.process.poll() is None:
            time.sleep(self.dice.uniform(*PAUSE_S))
            assert time.monotonic() - life.heard_at < STILL_S, f"no record for {STILL_S:g} s"
            if self.is_over(most) or life.process.poll() is not None:
                continue
            kinds = dict(WEIGHTS)
            if not any('"stage":"baseline"' in line for line in [*before, *life.acknowledged]):
                # A run without a baseline is refused if one trial of it fails, or its worker is lost twice.
                kinds = {"daemon": WEIGHTS["daemon"], "actor": WEIGHTS["actor"] * (not self.early), "none": 3000}
            elif not life.acknowledged:
                kinds["none"] = 99 * sum(WEIGHTS.values())  # while it starts, which takes some seconds
            kind = self.dice.choices(list(kinds), list(kinds.values()))[0]
            victims = find_victims(self.mark, life, self.nodes).get(kind)
            if not victims:
                continue
            self.early = True
            self.kill_one(kind, self.dice.choice(victims))
            if kind == "daemon":
                return True
        return False

    def kill_one(self, kind: str, victim: Any) -> None:
        doomed = kill(kind, victim, self.mark, self.nodes)
        began = time.monotonic()
        left = all_end(doomed, END_S)
        assert not left, f"{left} outlived their {kind}"
        self.slowest_end_s = max(self.slowest_end_s, time.monotonic() - began)
        self.kills[kind] += 1
        if kind == "raylet":
            self.nodes.kill(victim)
        if kind in ("raylet", "node"):
            self.nodes.add(victim, env_of(victim))
        if self.kills.total() % 10 == 0:
            print(f"{self.kills.total()} kills: {dict(self.kills)}, {dict(self.found)}", file=sys.stderr, flush=True)


def env_of(node: str) -> dict[str, str]:
    """What makes a trial on a node take its time."""
    slower = TRIAL_S / (STEPS * STEP_S) * (SLOW if node == SLOW_NODE else 1.0)
    return {SLOWER: str(slower)}


def make_corpus(folder: Path) -> Path:
    documents = (f"document {n}: " + "a small corpus for trials that do not read it. " * 20 for n in range(60))
    from autoresearch.data.document import Document

    prepare((Document(f"{n}", text) for n, text in enumerate(documents)), folder, names=["kills"],
            tokenizer=TokenizerSpec("byte"))  # fmt: skip
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000, help="at least this many (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments and of the proposals (default 0)")
    parser.add_argument("--minutes", type=float, default=1e9, help="after so long the last run is completed in peace")
    parser.add_argument("--daemon", nargs=3, metavar=("RUN", "ADDRESS", "CORPUS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.daemon:
        run_dir, address, corpus = args.daemon
        sys.exit(daemon(Path(run_dir), address, Path(corpus), args.seed) != "complete")
    folder = Path(tempfile.mkdtemp(prefix="autoresearch-ray-kills-"))
    began = time.monotonic()
    with marked(str(folder)), ray_nodes([]) as nodes:
        for name in NODES:
            nodes.add(name, env_of(name))
        storm = Storm(nodes, str(folder), make_corpus(folder / "corpus"), random.Random(args.seed))
        storm.ends_at = began + 60 * args.minutes
        try:
            for seed in range(args.seed, args.seed + args.kills):
                run_dir = folder / f"{seed}" / "run"
                run_dir.parent.mkdir()
                storm.run(run_dir, seed, args.kills)
                shutil.rmtree(run_dir.parent)
                if storm.is_over(args.kills):
                    break
        except BaseException as e:
            print(
                f"{type(e).__name__} after {storm.kills.total()} kills {dict(storm.kills)}: {folder}", file=sys.stderr
            )
            raise
        finally:
            report(args, storm, time.monotonic() - began)
    shutil.rmtree(folder)


def report(args: argparse.Namespace, storm: Storm, seconds: float) -> None:
    print(f"### Kills on a Ray cluster of {len(NODES)} nodes and a head\n\n{describe()}\n")
    minutes = seconds / 60
    print(
        f"`python -m benchmarks.ray_kills --kills {args.kills} --seed {args.seed}`: {minutes:.0f} min, stand-in trials"
    )
    print("\n| | |\n|---|---|")
    rows = {f"kills: {kind}": count for kind, count in sorted(storm.kills.items())}
    names = {
        "runs": f"complete runs of {ITERS} iterations, each with its kills",
        "refused": "runs refused because a trial of the baseline was lost twice",
        "starts": "starts of the daemon in them",
        "records": "records in their journals",
        "acknowledged": "records acknowledged",
        "trials": "trials that ended",
        "hosts_lost": "of them with cause host_lost",
        "trials_killed": "of them with cause killed",
        "repeated": "of them repeated",
    }
    rows |= {text: storm.found[name] for name, text in names.items()}
    print("\n".join(f"| {text} | {value:,} |" for text, value in rows.items()))
    print(f"| kills in all | {storm.kills.total():,} |")
    print(f"| longest time until what was below a victim had ended | {storm.slowest_end_s:.1f} s |", flush=True)


if __name__ == "__main__":
    main()
