"""Telling a service manager how it goes: one datagram each, as sd_notify(3) describes; nothing where nobody asked.

Own code: the protocol is this file, and a package for it would be the larger thing to trust (docs/decisions.md).
"""

from __future__ import annotations

import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

VARIABLE = "NOTIFY_SOCKET"
SEND_S = 1.0  # a manager that does not read cannot hold the night up
MAX_VALUE_CHARS = 500


@dataclass(frozen=True, slots=True)
class Notifier:
    """The manager's socket: a path, or ``@NAME`` in the abstract namespace. Empty: nobody listens."""

    address: str = ""

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Notifier:
        """The socket of this environment, which loses it: processes that we start have nothing to say there."""
        address = environ.pop(VARIABLE, "")
        return cls(address if address.startswith(("/", "@")) else "")

    def tell(self, **values: str | int) -> bool:
        """Send ``NAME=VALUE`` lines, each value on one line; whether they went out. Raises nothing."""
        if not self.address:
            return False
        lines = "\n".join(f"{name}={_one_line(str(value))}" for name, value in values.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as there:
                there.settimeout(SEND_S)
                there.sendto(lines.encode("utf-8", "replace"), _kernel_address(self.address))
        except (OSError, ValueError):  # ValueError: a path with a zero byte, or none of UTF-8
            return False
        return True


def _one_line(value: str) -> str:
    """A value cannot become another assignment."""
    return "".join(c if c.isprintable() else " " for c in value[:MAX_VALUE_CHARS])


def _kernel_address(address: str) -> str:
    return f"\0{address[1:]}" if address.startswith("@") else address
