"""The folder of one job on a file system that daemon and nodes share: the request in, progress and one result out.

Each file is replaced as a whole, so that a reader sees one version or the other. A job that was given up is never read
again: whatever is submitted next has a folder of its own.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from autoresearch.core.measurement import Cause, Suspended
from autoresearch.core.values import FrozenModel
from autoresearch.storage.files import atomic_write, open_regular
from autoresearch.trials.requests import Request

MAX_FILE_BYTES = 8 << 20
REQUEST, CLAIM, STARTED, PROGRESS, RESULT = "request.json", "claimed", "started.json", "progress.json", "result.json"
SUSPEND, GIVEN_UP = "suspend", "given-up"  # flags: empty files

End = Literal["done", "interrupted", "suspend_failed", "error", "refused", "lease_over"]


class BadJobFile(Exception):
    """A file of a job folder that cannot be used; the text names it and says why."""


class Expected(FrozenModel):
    """What a node must have so that its measurements can be compared with the others."""

    device: str  # "cpu" or "cuda"
    device_kind: str
    versions: dict[str, str]
    corpus: str
    corpus_sha256: str


class JobRequest(FrozenModel):
    """What a job is to do, and when it must give up."""

    package: str  # the version of autoresearch, which must be the same on the node
    trainer: str
    request: Annotated[Request, Field(discriminator="kind")]
    deadline_s: float
    limit: int | None = None  # bytes of its child
    suspended_at: Suspended | None = None
    lease: str  # the file that the daemon renews
    lease_s: float  # after so many seconds without a renewal the job ends its child
    expected: Expected | None = None
    checked: str  # the folder of marks of the nodes that were compared in this session


class JobStarted(FrozenModel):
    """Written by the job before anything else."""

    node: str
    job: str


class JobProgress(FrozenModel):
    """As a trial reports it: ``trials.messages.PROGRESS``."""

    phase: str
    fraction: float
    step: int
    tokens_per_s: float | None


class JobResult(FrozenModel):
    """How a job ended, and what its child left: the fields of ``ChildOutput``."""

    end: End
    detail: str = ""
    hint: str = ""
    answer: str | None = None  # the child's last message, as JSON
    garbage: str = ""
    stderr: str = ""
    step: int | None = None
    first_step: int | None = None
    kill_cause: Cause | None = None
    kill_detail: str = ""
    extended_s: float = 0.0
    exit_code: int | None = None
    peak_bytes: int | None = None
    wall_s: float = 0.0  # from the fork to the end of the child


M = TypeVar("M", bound=FrozenModel)


@dataclass(frozen=True, slots=True)
class JobFolder:
    """See the module. Both ends use it; ``create`` is called by the daemon alone."""

    path: Path

    def create(self, request: JobRequest) -> None:
        """Make the folder with its request. Raises ``OSError``."""
        self.path.mkdir(parents=True)
        self.write(REQUEST, request)

    def write(self, name: str, content: FrozenModel) -> None:
        """Replace a file. Raises ``OSError``."""
        atomic_write(self.path / name, content.model_dump_json().encode(), durable=name in (REQUEST, RESULT))

    def read(self, name: str, kind: type[M]) -> M | None:
        """The content of a file, ``None`` where there is none yet. Raises ``BadJobFile``."""
        path = self.path / name
        try:
            with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as e:
            raise BadJobFile(f"{path}: {e.strerror}") from e
        if len(data) > MAX_FILE_BYTES:
            raise BadJobFile(f"{path} has more than {MAX_FILE_BYTES} bytes")
        try:
            return kind.model_validate_json(data)
        except ValidationError as e:
            first = e.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "content"
            raise BadJobFile(f"{path}: {where}: {first['msg']}, not {str(first['input'])[:100]!a}") from e

    def claim(self, job: str) -> bool:
        """Whether this process may do the work: true once, so that a job that Slurm starts again does nothing."""
        try:
            fd = os.open(self.path / CLAIM, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError:  # claimed, or the daemon has removed the folder
            return False
        with os.fdopen(fd, "w") as file:
            file.write(job)
        return True

    def set_flag(self, name: str) -> None:
        """Raise ``SUSPEND`` or ``GIVEN_UP``. Raises ``OSError``."""
        (self.path / name).touch()

    def has_flag(self, name: str) -> bool:
        return (self.path / name).exists()

    def is_there(self) -> bool:
        return self.path.is_dir()

    def remove(self) -> None:
        """Remove it with all that Slurm and submitit wrote into it; best effort."""
        shutil.rmtree(self.path, ignore_errors=True)
