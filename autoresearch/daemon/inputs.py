"""The files that a run reads: their content must stay the same from the start to the end of the run.

Before and after each trial the identity of each file (device, inode, size, times of change) is compared, which costs
one system call. Only where it differs the file is hashed again: a copy of the same bytes, or `touch`, changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.data.corpus import CHECKED_BYTES, Corpus

READ_BY_TRIALS = ("train", "val", "test")  # splits; test for the sealed vault alone


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What changes when a file is replaced or written."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> FileIdentity | None:
        """The identity of the file that ``path`` leads to; ``None`` for a pipe or a device, which is read only once.

        Raises ``OSError``.
        """
        s = os.stat(path)
        return cls(s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) if stat.S_ISREG(s.st_mode) else None


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package that a file belongs to; ``now`` returns its present version."""

    name: str
    version: str
    now: Callable[[str], str]


@dataclass(slots=True)
class Inputs:
    """Watched files with identity and SHA-256. ``heartbeat`` is called while one is hashed."""

    heartbeat: Callable[[], object] = lambda: None
    _identities: dict[Path, FileIdentity] = field(default_factory=dict)
    _hashes: dict[Path, str] = field(default_factory=dict)
    _packages: dict[Path, Package] = field(default_factory=dict)

    def watch(self, path: Path, package: str = "", version: Callable[[str], str] = str) -> None:
        """Watch the content that ``path`` has now; call it before the content is used. Raises ``OSError``.

        Of a file of an installed ``package``, a change is reported with its ``version``, then and now.
        """
        path = Path(os.path.abspath(path))
        if identity := FileIdentity.of(path):
            self._identities[path], self._hashes[path] = identity, self._sha256(path)
        if package:
            self._packages[path] = Package(package, version(package), version)

    def sha256(self, path: Path) -> str:
        """The hash of a watched file as it was read; empty for a pipe or a device."""
        return self._hashes.get(Path(os.path.abspath(path)), "")

    def watch_corpus(self, path: Path, open_corpus: Callable[[], Corpus]) -> Corpus:
        """Open a corpus with ``open_corpus``, which verifies every byte, and watch what trials read of it.

        The identities are taken first, so that a change during the verification is found by the first check.
        Raises what ``open_corpus`` raises.
        """
        path = Path(os.path.abspath(path))
        before = {name: _identity_or_none(path / f"{name}.bin") for name in READ_BY_TRIALS}
        for name in ("manifest.json", "tokenizer.json"):
            if _identity_or_none(path / name):
                self.watch(path / name)
        corpus = open_corpus()
        for name, split in corpus.manifest.splits.items():
            if identity := before.get(name):
                self._identities[path / f"{name}.bin"], self._hashes[path / f"{name}.bin"] = identity, split.sha256
        return corpus

    def change(self) -> str:
        """Which file or package has other content than at the start; empty if none has."""
        for path, known in self._identities.items():
            try:
                now = FileIdentity.of(path)
                if now == known:
                    continue
                if now is None or self._sha256(path) != self._hashes[path]:
                    size = "it is not a regular file now" if now is None else f"{known.size} bytes then, {now.size} now"
                    return self._describe(path, f"{path} has changed since the run read it ({size})")
                self._identities[path] = now
            except OSError as e:
                return self._describe(path, f"{path} cannot be read any more: {e.strerror}")
        return ""

    def _describe(self, path: Path, what: str) -> str:
        """What happened to a file, and to the package that it belongs to."""
        if (package := self._packages.get(path)) is None:
            return what
        then, now = package.version, package.now(package.name)
        versions = f"version {then}, installed again" if now == then else f"version {then} then, {now} now"
        return f"the package {package.name} has changed during the run ({versions}): {what}"

    def _sha256(self, path: Path) -> str:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHECKED_BYTES):
                digest.update(chunk)
                self.heartbeat()
        return digest.hexdigest()


def _identity_or_none(path: Path) -> FileIdentity | None:
    try:
        return FileIdentity.of(path)
    except OSError:
        return None  # the corpus is opened next, and names what is missing
