"""A suspended trial on disk: a file of tensors per rank, and a manifest that makes them valid.

The tensors are written and synced first, under the names of a new generation; then the manifest replaces the old one in
a single rename. Killed at any moment, the folder holds the old checkpoint, the new one, or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
from dataclasses import dataclass
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from autoresearch.core.values import FrozenModel, sha256_of
from autoresearch.storage.checkpoint_files import MANIFEST, remove_checkpoint_files, tensors_name
from autoresearch.storage.files import atomic_write, open_regular, opened_directory
from autoresearch.training.checkpointing.train_state import TrainState
from autoresearch.trials.spec import TrialSpec

VERSION = 1  # of the content of the tensor files


class CheckpointUnusable(Exception):
    """There is no checkpoint, or it is of another trial, or it is damaged."""


class Manifest(FrozenModel):
    """Which trial and step the checkpoint is of, and its files."""

    version: int
    generation: int
    spec_sha256: str
    so_far: TrainState
    files: dict[str, str]  # name -> SHA-256, in the order of the ranks


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The checkpoint of the one trial ``spec`` in ``folder``."""

    folder: Path
    spec: TrialSpec

    def write(self, rank: int, state: dict[str, Any]) -> None:
        """Write this rank's tensors to disk, not valid before ``commit``. Raises ``OSError`` or ``RuntimeError``."""
        name = tensors_name(self._next_generation(), rank)
        with opened_directory(self.folder, own=True, create=True) as folder:
            with contextlib.suppress(FileNotFoundError):  # of a checkpoint that was not finished, or another's link
                os.unlink(name, dir_fd=folder)
            fd = open_regular(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=folder)
        with os.fdopen(fd, "wb") as file:
            _save(state, file)
            file.flush()
            os.fsync(file.fileno())

    def commit(self, so_far: TrainState) -> None:
        """Make the files that every rank has written the checkpoint. Raises ``OSError``."""
        generation = self._next_generation()
        names = [tensors_name(generation, rank) for rank in range(self.spec.data_parallel * self.spec.tensor_parallel)]
        manifest = Manifest(
            version=VERSION,
            generation=generation,
            spec_sha256=identity(self.spec),
            so_far=so_far,
            files={name: self._sha256(name) for name in names},
        )
        atomic_write(self.folder / MANIFEST, manifest.model_dump_json().encode(), own_folder=True)

    def tidy(self) -> None:
        """Remove files that are not part of the checkpoint: of the one before it, or of an unfinished one."""
        try:
            keep = {MANIFEST, *self._manifest().files}
        except CheckpointUnusable:
            keep = set()
        remove_checkpoint_files(self.folder, keep)

    def read(self, rank: int) -> tuple[TrainState, dict[str, Any]]:
        """The trial's progress and this rank's tensors. Raises ``CheckpointUnusable``."""
        manifest = self._manifest()
        if manifest.version != VERSION:
            raise CheckpointUnusable(f"it is of version {manifest.version}, not {VERSION}")
        if manifest.spec_sha256 != identity(self.spec):
            raise CheckpointUnusable("it is of another configuration, seed, corpus or budget")
        name = tensors_name(manifest.generation, rank)
        try:
            with self._open(name) as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != manifest.files.get(name):
                    raise CheckpointUnusable(f"{name} is damaged")
                file.seek(0)
                return manifest.so_far, torch.load(file, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, ValueError, EOFError, MemoryError, pickle.UnpicklingError) as e:
            raise CheckpointUnusable(f"{name}: {e}") from e

    def _manifest(self) -> Manifest:
        try:
            with self._open(MANIFEST) as file:
                return Manifest.model_validate_json(file.read())
        except OSError as e:
            raise CheckpointUnusable(f"{MANIFEST}: {e.strerror}") from e
        except ValidationError as e:
            raise CheckpointUnusable(f"{MANIFEST} is damaged") from e

    def _next_generation(self) -> int:
        """The same on every rank until the manifest is written."""
        try:
            return self._manifest().generation + 1
        except CheckpointUnusable:
            return 0

    def _open(self, name: str) -> BufferedReader:
        """Open a file of the folder for reading. Raises ``OSError``, also where file or folder is a link."""
        with opened_directory(self.folder, own=True) as folder:
            return open(open_regular(name, os.O_RDONLY, dir_fd=folder), "rb")

    def _sha256(self, name: str) -> str:
        with self._open(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _save(state: dict[str, Any], file: BufferedWriter) -> None:
    """``torch.save``, whose own error for a failed write is a position in the file."""
    try:
        torch.save(state, file)
    except RuntimeError as e:
        if isinstance(e.__context__, OSError):
            raise e.__context__ from e
        raise


def identity(spec: TrialSpec) -> str:
    """Hash of everything that a trial's steps depend on: not free memory, the vault's span, or when it ends early."""
    fixed = spec.model_copy(update={"memory_limit_bytes": None})
    return sha256_of(fixed.model_dump(mode="json", exclude={"vault", "stop_above"}))
