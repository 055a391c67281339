"""Bind, say where the page is, and serve until a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.routing import Route

from autoresearch.errors import AutoresearchError, ConfigError
from autoresearch.hints import REFUSED
from autoresearch.web.access import Token, host_names, is_loopback
from autoresearch.web.app import build_app
from autoresearch.web.control import Controls, no_controls
from autoresearch.web.hub import MAX_VIEWERS, Hub

BACKLOG = 1024
GRACE_S = 3  # for open answers after a signal; streams end at once
SPARE_CONNECTIONS = 100  # beside one for each viewer


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, and which other names the page may be asked for by."""

    host: str = "127.0.0.1"
    port: int = 8765
    extra_names: tuple[str, ...] = ()


def check_address(address: Address, token: Token | None, *, control: bool) -> None:
    """Raise ``ConfigError`` where a token is required and there is none."""
    hint = "--token-file FILE; make one: (umask 077; openssl rand -hex 32 > FILE)"
    if token is None and not is_loopback(address.host):
        raise ConfigError(
            f"--host {address.host} is not loopback: others can reach it, and there is no token", hint=hint
        )
    if token is None and control:
        raise ConfigError("--control lets the page stop runs, and there is no token", hint=hint)


def serve(
    roots: Iterable[Path], address: Address, token: Token | None, *, control: bool, say: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT. Raises ``AutoresearchError`` for an address that cannot be bound."""
    check_address(address, token, control=control)
    sockets = [bind(address)]
    server: uvicorn.Server
    hub = Hub(roots, is_stopping=lambda: server.should_exit)
    app = build_app(
        hub, names=host_names(address.host, address.extra_names), token=token, more=_more(hub, token, control, say)
    )
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,  # a header cannot claim another client or scheme
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=MAX_VIEWERS + SPARE_CONNECTIONS,
        h11_max_incomplete_event_size=16384,
    )
    server = uvicorn.Server(config)
    # After a signal, uvicorn cancels the stream of a viewer that does not read, and would print the cancellation.
    logging.getLogger("uvicorn.error").addFilter(lambda _record: not server.should_exit)
    say(f"http://{_shown(address.host)}:{sockets[0].getsockname()[1]}/")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ended_in_order)
    asyncio.run(server.serve(sockets))


def _ended_in_order(_number: int, _frame: FrameType | None) -> None:
    """uvicorn raises the signal that ended it once more: without this the exit code would be that of a kill."""


def _more(hub: Hub, token: Token | None, control: bool, say: Callable[[str], None]) -> list[Route]:
    from autoresearch.web.metrics import metrics_route

    controls = Controls(hub, token, say).routes() if control and token is not None else [no_controls()]
    return [metrics_route(hub), *controls]


def bind(address: Address) -> socket.socket:
    """A listening socket. Raises ``AutoresearchError``."""
    try:
        family, kind, _, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind)
    except OSError as e:
        raise AutoresearchError(f"--host {address.host} is not an address of this machine: {e.strerror}") from e
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(where)
        bound.listen(BACKLOG)  # from the line with the address on, no connection is refused
    except OSError as e:
        bound.close()
        hint = "a port from 1024 on" if e.errno in REFUSED else "another --port; 0 takes a free one"
        raise AutoresearchError(f"cannot listen on {address.host}:{address.port}: {e.strerror}", hint=hint) from e
    return bound


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
