"""Who may use the page: the token, the addresses that it is served under, and whether a request is our own page's.

Pure: no sockets and no files, except for reading the token once.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from autoresearch.errors import ConfigError
from autoresearch.storage.files import open_regular

MIN_TOKEN_CHARS, MAX_TOKEN_BYTES = 20, 4096
CREDENTIAL = "web-token"  # name of the systemd credential
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
HOW_TO_MAKE = "make one: (umask 077; openssl rand -hex 32 > web-token)"


@dataclass(frozen=True, slots=True)
class Token:
    """A secret; compared in constant time, and never sent: a browser holds a value that is derived from it."""

    secret: bytes

    def __repr__(self) -> str:
        return "Token(...)"

    def matches(self, given: str) -> bool:
        """Whether the user typed this token, or a program sent it."""
        return hmac.compare_digest(_digest(given.strip().encode("utf-8", "replace")), _digest(self.secret))

    @property
    def cookie(self) -> str:
        """What a browser holds after the token was typed."""
        return self._derive("session")

    @property
    def form_secret(self) -> str:
        """What our own page sends with each action: another site can send the cookie, but not read this."""
        return self._derive("form")

    def _derive(self, purpose: str) -> str:
        return hmac.new(self.secret, f"autoresearch {purpose}".encode(), hashlib.sha256).hexdigest()


def equal(given: str, expected: str) -> bool:
    """Whether two texts are equal, in constant time."""
    return hmac.compare_digest(_digest(given.encode("utf-8", "replace")), _digest(expected.encode()))


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def read_token(file: str | None, environ: Mapping[str, str]) -> Token | None:
    """The token in ``file``, or in the systemd credential; ``None`` without either. Raises ``ConfigError``."""
    if file is not None:
        return _token_of(_read(Path(file), is_private=True), Path(file))
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if directory is None or not (path := Path(directory) / CREDENTIAL).exists():
        return None
    data = _read(path, is_private=False)
    return _token_of(data, path) if data.strip() else None  # an empty credential: the unit's default


def _read(path: Path, *, is_private: bool) -> bytes:
    try:
        fd = open_regular(path, os.O_RDONLY)
    except OSError as e:
        raise ConfigError(f"cannot read the token file {path}: {e.strerror}", hint=HOW_TO_MAKE) from e
    with os.fdopen(fd, "rb") as opened:
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if is_private and mode & 0o077:
            what = f"the token file {path} has mode {mode:04o}: other users may read it"
            raise ConfigError(what, hint=f"chmod 600 {path}, and make a new token if others are on this machine")
        return opened.read(MAX_TOKEN_BYTES + 1)


def _token_of(data: bytes, path: Path) -> Token:
    token = data.strip()
    if len(token) > MAX_TOKEN_BYTES or len(token) < MIN_TOKEN_CHARS or any(not 0x21 <= c <= 0x7E for c in token):
        what = (
            f"{path} is not a token: one line of at least {MIN_TOKEN_CHARS} printable ASCII characters without spaces"
        )
        raise ConfigError(what, hint=HOW_TO_MAKE)
    return Token(token)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that is bound to ``host``."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_names(bound: str, extra: Iterable[str] = ()) -> frozenset[str]:
    """The names that a request may have in ``Host``: loopback, the address that is bound, and ``extra``."""
    return LOOPBACK_NAMES | {bound.lower()} | {name.strip().lower() for name in extra if name.strip()}


def is_own_host(header: str | None, names: frozenset[str], server: str | None) -> bool:
    """Whether ``Host`` names this server: by one of ``names``, or by the address ``server`` that was connected to.

    A page of another site that makes its own name resolve to this machine (DNS rebinding) has that name here.
    """
    name = host_name(header)
    own = None if server is None else server.lower().removeprefix("::ffff:")  # IPv4 on a socket of both kinds
    return name is not None and (name in names or name == own)


def host_name(header: str | None) -> str | None:
    """The name in a ``Host`` header without its port; ``None`` for what is not one."""
    if not header or any(c in header for c in "/\\@?# \t,"):
        return None
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname.lower() if parts.hostname else None


def is_own_origin(origin: str | None, host: str | None) -> bool:
    """Whether the page that sent the request is ours: same host and port. Without ``Origin`` it is not known: true."""
    if origin is None:
        return True
    if host is None or not origin.startswith(("http://", "https://")):
        return False
    scheme, _, rest = origin.partition("://")
    return _with_port(rest, scheme) == _with_port(host, scheme)


def _with_port(authority: str, scheme: str) -> tuple[str | None, int] | None:
    try:
        parts = urlsplit(f"//{authority.lower()}")
        if parts.path or parts.username is not None:
            return None
        return parts.hostname, parts.port or (443 if scheme == "https" else 80)
    except ValueError:
        return None
