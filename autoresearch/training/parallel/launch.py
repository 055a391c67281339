"""Run one trial on several ranks, each a fork of the trial's process.

By hand, ``torchrun --nproc-per-node 2 -m autoresearch.training.torchrun SPEC.json`` runs one trial, over several
machines too, and prints its outcome. A trial of the daemon forks its ranks instead: everything is imported already, no
port is needed for the rendezvous, and it is certain which rank failed first (docs/decisions.md). In both cases a rank
reads its number from torchrun's environment variables, and when one fails the others are killed and the trial fails.
"""

from __future__ import annotations

import json
import os
import select
import signal
import tempfile
from pathlib import Path

from autoresearch.core.measurement import Cause, Failure
from autoresearch.machine import die_with_parent
from autoresearch.training.parallel.processes import STORE, RunRank, Send
from autoresearch.trials.messages import FAILED, SUCCEEDED, Message
from autoresearch.trials.spec import TrialSpec

MAX_MESSAGE_BYTES = 1 << 16


def run_forked(spec: TrialSpec, run_rank: RunRank, send: Send) -> Message:
    """Fork ``data_parallel * tensor_parallel`` ranks; rank 0's final message, or the first failure of any rank."""
    world = spec.data_parallel * spec.tensor_parallel
    with tempfile.TemporaryDirectory(prefix="autoresearch-ranks-") as folder:
        ranks: dict[int, tuple[int, int]] = {}  # pid -> (rank, pipe with its final message)
        try:
            for rank in range(world):
                pid, pipe = _fork(rank, world, Path(folder) / "store", spec, run_rank, send)
                ranks[pid] = (rank, pipe)
            return _first_failure_or_outcome(dict(ranks))
        finally:
            for pid, (_rank, pipe) in ranks.items():
                _end(pid)
                os.close(pipe)


def _fork(rank: int, world: int, store: Path, spec: TrialSpec, run_rank: RunRank, send: Send) -> tuple[int, int]:
    parent_end, child_end = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(child_end)
        return pid, parent_end
    code = 1
    try:
        die_with_parent(parent)
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), STORE: str(store)}
        message = run_rank(spec, send if rank == 0 else lambda _: None)
        os.write(child_end, json.dumps(message).encode()[:MAX_MESSAGE_BYTES])
        code = 0 if SUCCEEDED & message.keys() else 1
    finally:
        os._exit(code)


def _first_failure_or_outcome(ranks: dict[int, tuple[int, int]]) -> Message:
    """Wait for every rank, or for the first that fails."""
    outcome: Message = {}
    while ranks:
        pid, status = os.wait()
        if pid not in ranks:
            continue
        rank, pipe = ranks.pop(pid)
        message = _read(pipe)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return _failed(Cause.KILLED if -code in (signal.SIGKILL, signal.SIGTERM) else Cause.CRASHED, rank, code)
        if code != 0 or not SUCCEEDED & message.keys():
            return message if FAILED in message else _failed(Cause.EXITED, rank, code)
        if rank == 0:
            outcome = message
    return outcome


def _read(pipe: int) -> Message:
    if not select.select([pipe], [], [], 0)[0]:
        return {}
    data = os.read(pipe, MAX_MESSAGE_BYTES)
    return dict(json.loads(data)) if data else {}


def _failed(cause: Cause, rank: int, code: int) -> Message:
    end = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code} and without an answer"
    return {FAILED: Failure(cause=cause, detail=f"rank {rank} {end}").model_dump(mode="json")}


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # it has ended and was waited for already
