"""Send state to the service manager, one datagram per call (sd_notify(3)); without a manager, nothing is sent.

Own code: the whole protocol is this file, less than a dependency on a package for it (docs/decisions.md).
"""

from __future__ import annotations

import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

VARIABLE = "NOTIFY_SOCKET"
SEND_S = 1.0  # so that a manager that does not read never blocks a run
MAX_VALUE_CHARS = 500


@dataclass(frozen=True, slots=True)
class Notifier:
    """The manager's socket: a path, or ``@NAME`` in the abstract namespace; empty without a manager."""

    address: str = ""
    timeout_s: float = SEND_S

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Notifier:
        """The socket named in ``environ``; the variable is removed, so that no child process notifies the manager."""
        address = environ.pop(VARIABLE, "")
        return cls(address if address.startswith(("/", "@")) else "")

    def tell(self, **values: str | int) -> bool:
        """Send ``NAME=VALUE`` lines, each value on one line; returns whether they were sent. Raises nothing."""
        if not self.address:
            return False
        lines = "\n".join(f"{name}={_one_line(str(value))}" for name, value in values.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
                connection.settimeout(self.timeout_s)
                connection.sendto(lines.encode("utf-8", "replace"), _kernel_address(self.address))
        except (OSError, ValueError):  # ValueError: a path with a zero byte, or one that is not UTF-8
            return False
        return True


def _one_line(value: str) -> str:
    """``value`` without line breaks, which would start another assignment."""
    return "".join(c if c.isprintable() else " " for c in value[:MAX_VALUE_CHARS])


def _kernel_address(address: str) -> str:
    return f"\0{address[1:]}" if address.startswith("@") else address
