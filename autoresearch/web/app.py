"""The application: pages, streams of events, and the files that the pages are made of."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from autoresearch.errors import AutoresearchError
from autoresearch.report.html.colours import DARK, LIGHT, css_variables
from autoresearch.web.access import Token
from autoresearch.web.gate import COOKIE, MAX_BODY, App, Gate
from autoresearch.web.hub import ALL, MAX_VIEWERS, Hub, TooManyViewers
from autoresearch.web.rendered import RenderedPages

TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
PAGES = ("index.html", "run.html", "login.html")
ASSETS = ("live.css", "common.js", "index.js", "run.js", "course.js", "curves.js", "controls.js", "icon.svg")
# Pages of the morning report bring their own policy, with the hashes of their scripts, in their head.
REPORT_POLICY = "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; connect-src 'none'; object-src 'none'"
COOKIE_AGE_S = 30 * 24 * 3600


def build_app(hub: Hub, *, names: frozenset[str], token: Token | None = None, more: Iterable[Route] = ()) -> App:
    """The application behind its gate. It polls ``hub`` while it runs."""
    pages = Pages(hub)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work) for work in (hub.run(), hub.watch_for_stop())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            hub.stop()

    routes = [
        Route("/", pages.index),
        Route("/events", pages.index_events),
        Route("/runs/{run}", pages.run),
        Route("/runs/{run}/events", pages.run_events),
        Route("/runs/{run}/rows", pages.rows),
        Route("/runs/{run}/report", pages.report),
        Route("/compare", pages.compare),
        Route("/static/{name}", pages.asset),
        Route("/login", login_page, methods=["GET"]),
        Route("/login", login, methods=["POST"]),
        *more,
    ]
    return Gate(Starlette(routes=routes, lifespan=lifespan), names, token)


class Pages:
    """The handlers that show runs."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._rendered = RenderedPages()

    async def index(self, _: Request) -> Response:
        return html_file("index.html")

    async def run(self, request: Request) -> Response:
        await self._known(request)
        return html_file("run.html")

    async def index_events(self, _: Request) -> Response:
        return await self._events(ALL)

    async def run_events(self, request: Request) -> Response:
        run = await self._known(request)
        return await self._events(run)

    async def _events(self, subject: str) -> Response:
        if self._hub.viewers >= MAX_VIEWERS:
            return PlainTextResponse(f"{MAX_VIEWERS} viewers already\n", 503, {"retry-after": "30"})
        return StreamingResponse(_until_refused(self._hub.stream(subject)), media_type="text/event-stream")

    async def rows(self, request: Request) -> Response:
        feed = self._hub.feeds[await self._known(request)]
        first = request.query_params.get("from", "0")
        number = int(first) if first.isascii() and first.isdecimal() and len(first) < 10 else 0
        return Response(feed.rows_from(request.query_params.get("epoch", ""), number), media_type="application/json")

    async def report(self, request: Request) -> Response:
        feed = self._hub.feeds[await self._known(request)]
        return await self._page(self._rendered.report(feed.place))

    async def compare(self, request: Request) -> Response:
        names = [request.query_params.get(side, "") for side in ("a", "b")]
        if any(name not in self._hub.feeds for name in names):
            await self._hub.refresh(everything=False)
        places = [self._hub.feeds[name].place for name in names if name in self._hub.feeds]
        if len(places) != 2 or places[0] == places[1]:
            return PlainTextResponse("name two different runs\n", 400)
        return await self._page(self._rendered.comparison(*places))

    async def _page(self, rendering: Any) -> Response:
        try:
            text = await rendering
        except AutoresearchError as e:
            return PlainTextResponse(f"{e.what}\n", 409)
        return Response(text, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})

    async def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ASSETS:
            return PlainTextResponse("not found\n", 404)
        data, tag = asset(name)
        headers = {"etag": tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=TYPES[name.rpartition(".")[2]], headers=headers)

    async def _known(self, request: Request) -> str:
        """The run that the address names, which may have begun since the last search. Raises 404."""
        from starlette.exceptions import HTTPException

        run: str = request.path_params["run"]
        if re.fullmatch("[0-9a-f]{16}", run):
            if run not in self._hub.feeds:
                await self._hub.refresh()
            if run in self._hub.feeds:
                return run
        raise HTTPException(404, "there is no such run; the list of runs is at /")


async def _until_refused(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for event in events:
            yield event
    except TooManyViewers:
        return


async def login_page(_: Request) -> Response:
    return html_file("login.html")


async def login(request: Request) -> Response:
    """Exchange the token for a cookie, which only this server's own pages send."""
    gate: Gate = request.state.gate
    cookie = await gate.login((await read_form(request)).get("token", ""))
    if cookie is None:
        return html_file("login.html", 403, b"<!-- wrong -->", b'<p class="bad">This is not the token.</p>')
    answer = RedirectResponse("/", 303)
    answer.set_cookie(COOKIE, cookie, max_age=COOKIE_AGE_S, httponly=True, samesite="strict", path="/")
    return answer


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, of at most ``MAX_BODY`` bytes; of a longer one none."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            return {}
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=10))
    except ValueError:  # more fields
        return {}


def html_file(name: str, status: int = 200, mark: bytes = b"", text: bytes = b"") -> Response:
    """A page, with ``text`` in the place of ``mark``."""
    data = _read(name)
    return Response(data.replace(mark, text) if mark else data, status, media_type="text/html")


@functools.cache
def asset(name: str) -> tuple[bytes, str]:
    """The content of a file of the pages, and its ETag."""
    data = _read(name)
    if name == "live.css":
        data = (
            _colours().encode() + resources.files("autoresearch.report.html").joinpath("report.css").read_bytes() + data
        )
    return data, f'"{hashlib.sha256(data).hexdigest()[:20]}"'


@functools.cache
def _read(name: str) -> bytes:
    return resources.files("autoresearch.web").joinpath("static", name).read_bytes()


def _colours() -> str:
    dark = css_variables(DARK)
    return (
        f":root {{ color-scheme: light; {css_variables(LIGHT)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ color-scheme: dark; {dark} }} }}\n"
    )
