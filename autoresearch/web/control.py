"""`--control`: pause, resume and stop a run from its page. Each action is noted in the page's log and printed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from autoresearch.errors import AutoresearchError
from autoresearch.machine import utc
from autoresearch.report.html.text import clean
from autoresearch.storage.lock import is_locked, lock_holder
from autoresearch.storage.pause_flag import pause, resume
from autoresearch.storage.run_dir import LOCK
from autoresearch.web.access import Token, equal, is_own_origin
from autoresearch.web.feed import RunFeed
from autoresearch.web.hub import Hub
from autoresearch.web.run_log import LogLine

FORM_HEADER = "x-autoresearch-form"
MAX_NOTED = 50


def pause_after_trial(run_dir: Path) -> str:
    return "it pauses after its running trial" if pause(run_dir) else "it is paused or pausing already"


def pause_now(run_dir: Path) -> str:
    return "it pauses inside its running trial" if pause(run_dir, now=True) else "it is paused or pausing already"


def end_pause(run_dir: Path) -> str:
    return "it continues" if resume(run_dir) else "it was not paused"


def stop(run_dir: Path) -> str:
    """SIGTERM to the daemon that holds the lock, as `kill` would: it ends after its trial. Raises."""
    lock = run_dir / LOCK
    holder = lock_holder(lock) or {}
    pid = holder.get("pid")
    if not is_locked(lock) or type(pid) is not int or pid <= 1:
        return "no process works on it"
    if holder.get("host") != socket.gethostname():
        raise AutoresearchError(f"its process is on another machine, {holder.get('host')}", hint="stop it there")
    try:
        handle = os.pidfd_open(pid)  # names this process, also when its number is given to another one
    except OSError as e:
        raise AutoresearchError(f"cannot stop process {pid}: {e.strerror}") from e
    try:
        if not is_locked(lock) or (lock_holder(lock) or {}).get("pid") != pid or not _is_holder(pid, lock):
            return "no process works on it"
        signal.pidfd_send_signal(handle, signal.SIGTERM)
    except OSError as e:
        hint = "run the page as the user of the daemon, or stop it with systemctl"
        raise AutoresearchError(f"cannot stop process {pid}: {e.strerror}", hint=hint) from e
    finally:
        os.close(handle)
    return "it stops after its running trial"


def _is_holder(pid: int, lock: Path) -> bool:
    """Whether ``pid`` has the lock file open: its text could have been written by another user of the group.

    Raises ``OSError`` where the process belongs to another user.
    """
    wanted = os.stat(lock)
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.path.samestat(os.stat(f"/proc/{pid}/fd/{name}"), wanted):
                return True
        except FileNotFoundError:
            continue
    return False


ACTIONS: dict[str, Callable[[Path], str]] = {
    "pause": pause_after_trial,
    "pause-now": pause_now,
    "resume": end_pause,
    "stop": stop,
}


class Controls:
    """The routes. A POST needs the cookie or the token, ``Origin`` and the secret that only our own page can read."""

    def __init__(self, hub: Hub, token: Token, say: Callable[[str], None]) -> None:
        self._hub = hub
        self._token = token
        self._say = say

    def routes(self) -> list[Route]:
        return [
            Route("/controls", self.describe),
            Route("/runs/{run}/control/{action}", self.act, methods=["POST"]),
        ]

    async def describe(self, _: Request) -> Response:
        """The actions, and the secret to send with them."""
        return JSONResponse({"actions": list(ACTIONS), "form": self._token.form_secret})

    async def act(self, request: Request) -> Response:
        feed = self._hub.feeds.get(request.path_params["run"])
        action = ACTIONS.get(request.path_params["action"])
        if feed is None or action is None:
            return JSONResponse({"text": "there is no such run or action"}, 404)
        origin, host = request.headers.get("origin"), request.headers.get("host")
        if not equal(request.headers.get(FORM_HEADER, ""), self._token.form_secret) or not is_own_origin(origin, host):
            return JSONResponse({"text": "this request is not of this server's page"}, 403)
        status, text = 200, ""
        try:
            text = await asyncio.to_thread(action, feed.place.path)
        except (AutoresearchError, OSError) as e:
            status = 409
            text = f"{e.what} ({e.hint})" if isinstance(e, AutoresearchError) and e.hint else str(e)
        client = request.client.host if request.client else "unknown"
        self._note(feed, f"{request.path_params['action']} from {client}: {text}")
        await self._hub.refresh_run(feed)
        return JSONResponse({"text": clean(text, 300)}, status)

    def _note(self, feed: RunFeed, text: str) -> None:
        line = LogLine(utc(), "control", clean(text, 300))
        feed.actions = [*feed.actions, line][-MAX_NOTED:]
        self._say(f"{line.ts} {feed.place.name}: {line.text}")


def no_controls() -> Route:
    """What a page is answered where ``--control`` was not given: that there are none."""

    async def describe(_: Request) -> Response:
        return JSONResponse({"actions": [], "form": ""})

    return Route("/controls", describe)
