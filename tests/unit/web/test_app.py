"""The application behind its gate: what it serves, to whom, and with which headers."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from tests.asgi import HOST, acall, call
from tests.live_night import LiveNight

pytest.importorskip("starlette", reason="pip install 'autoresearch[serve]'")

from autoresearch.storage.run_dir import PAUSE_FLAG, TRAJECTORY
from autoresearch.web import app as module
from autoresearch.web.access import Token, host_names
from autoresearch.web.app import ASSETS, PAGES, asset, build_app
from autoresearch.web.control import FORM_HEADER, Controls, no_controls, stop
from autoresearch.web.find_runs import find_runs
from autoresearch.web.gate import FAILURES, MAX_BODY
from autoresearch.web.hub import ALL, MAX_WAITING, Hub

SECRET = "0123456789abcdef0123456789abcdef"
TOKEN = Token(SECRET.encode())
NAMES = host_names("127.0.0.1")
STATIC = Path(module.__file__).parent / "static"


@pytest.fixture
def runs(night) -> Path:
    night.grow(40)
    return night.path.parent


def open_app(runs: Path, token: Token | None = None, more=()):
    hub = Hub([runs])
    return build_app(hub, names=NAMES, token=token, more=more), hub


def close(hub: Hub) -> None:
    for feed in hub.feeds.values():
        feed.close()


@pytest.fixture
def app(runs):
    made, hub = open_app(runs)
    yield made
    close(hub)


@pytest.fixture
def guarded(runs):
    said: list[str] = []
    hub = Hub([runs])
    made = build_app(hub, names=NAMES, token=TOKEN, more=Controls(hub, TOKEN, said.append).routes())
    made.said = said
    yield made
    close(hub)


def run_id(runs: Path) -> str:
    return find_runs([runs]).runs[0].id


class TestPages:
    def test_every_page_and_asset_is_served_and_names_only_what_is_served(self, app, runs):
        for path in ("/", f"/runs/{run_id(runs)}", "/login"):
            answer = call(app, "GET", path)
            assert answer.status == 200
            named = re.findall(r'(?:src|href)="([^"]*)"', answer.text)
            assert all(name == "/" or name.removeprefix("/static/") in ASSETS for name in named)
        for name in ASSETS:
            assert call(app, "GET", f"/static/{name}").status == 200
        for name in ("../app.py", "..%2fapp.py", "run.html", "x", "."):
            assert call(app, "GET", f"/static/{name}").status == 404

    @pytest.mark.parametrize("name", PAGES)
    def test_a_page_has_no_script_style_or_handler_of_its_own(self, name):
        text = (STATIC / name).read_text()
        assert not re.search(r"<style|style=|\son\w+=|<script>|javascript:|https?:", text)

    @pytest.mark.parametrize("name", [n for n in ASSETS if n.endswith(".js")])
    def test_a_script_makes_no_markup_of_text_and_reaches_no_other_server(self, name):
        text = asset(name)[0].decode()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(|https?:", text
        )

    def test_a_run_that_does_not_exist(self, app):
        for run in ("0" * 16, "..", "x" * 400, "%00"):
            assert call(app, "GET", f"/runs/{run}").status == 404
            assert call(app, "GET", f"/runs/{run}/rows").status == 404

    def test_rows_whatever_is_asked_for(self, app, runs):
        for query in ("", "?from=-1", "?from=99999999999", "?from=x", "?epoch=%00%FF", "?from=²"):
            answer = call(app, "GET", f"/runs/{run_id(runs)}/rows{query}".replace("²", "%C2%B2"))
            assert answer.status == 200
            assert json.loads(answer.body)["from"] == 0

    def test_a_run_that_begins_later_is_found(self, app, runs):
        other = LiveNight(runs / "later", 5)
        other.grow(8)
        later = next(run for run in find_runs([runs]).runs if run.name == "later")
        assert call(app, "GET", f"/runs/{later.id}").status == 200  # the first search is at the first request

    def test_an_asset_that_the_browser_has_is_not_sent_again(self, app):
        tag = call(app, "GET", "/static/run.js").headers["etag"]
        answer = call(app, "GET", "/static/run.js", {"if-none-match": tag})
        assert (answer.status, answer.body) == (304, b"")

    def test_every_answer_has_its_headers(self, app, runs):
        for path in ("/", "/static/run.js", "/gone", f"/runs/{run_id(runs)}/rows"):
            headers = call(app, "GET", path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"  # with no-referrer a form sends "Origin: null"

    def test_the_report_and_the_comparison_are_those_of_the_commands(self, app, runs):
        pytest.importorskip("bokeh")
        other = LiveNight(runs / "other", 9)
        other.grow(30)
        first, second = find_runs([runs]).runs
        page = call(app, "GET", f"/runs/{first.id}/report")
        assert page.status == 200
        assert "The course of the run" in page.text
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        both = call(app, "GET", f"/compare?a={first.id}&b={second.id}")
        assert both.status == 200
        assert "night" in both.text
        assert not list(runs.glob("*/report*"))  # nothing was written
        for query in ("", f"?a={first.id}", f"?a={first.id}&b={first.id}", "?a=x&b=y"):
            assert call(app, "GET", f"/compare{query}").status == 400
        (runs / "other" / TRAJECTORY).write_bytes(b"nonsense\n")
        assert call(app, "GET", f"/runs/{second.id}/report").status == 409


class TestGate:
    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8765", ""])
    def test_another_name_is_refused_before_anything_is_served(self, app, host):
        assert call(app, "GET", "/", {"host": host}).status == 421
        assert call(app, "GET", "/static/run.js", {"host": host}).status == 421

    def test_two_hosts_are_refused(self, app):
        assert call(app, "GET", "/", {"host": f"{HOST}", "Host": "evil.example"}).status == 421

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
    def test_other_methods(self, app, method):
        assert call(app, method, "/").status == 405

    @pytest.mark.parametrize(
        "headers",
        [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:1"},
         {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}],
    )  # fmt: skip
    def test_a_page_of_another_site_reads_nothing(self, app, runs, headers):
        for path in ("/", "/events", f"/runs/{run_id(runs)}/rows"):
            assert call(app, "GET", path, headers).status == 403

    def test_a_link_on_another_site_may_be_followed(self, app):
        assert call(app, "GET", "/", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status == 200

    def test_a_large_body_is_refused(self, guarded):
        big = call(guarded, "POST", "/login", body=b"x" * (MAX_BODY + 1))
        assert big.status == 413
        for length in ("-1", "x", "9" * 40):
            assert call(guarded, "POST", "/login", {"content-length": length}).status == 413

    def test_without_the_token_only_the_login_page_is_served(self, guarded, runs):
        run = run_id(runs)
        closed = ["/", "/events", f"/runs/{run}", f"/runs/{run}/events", f"/runs/{run}/rows", f"/runs/{run}/report"]
        for path in [*closed, "/compare", "/controls", "/metrics", "/x"]:
            assert call(guarded, "GET", path).status == 401
            for wrong in ("x", f"Bearer {SECRET}x", "Bearer", f"Basic {SECRET}"):
                assert (
                    call(guarded, "GET", path, {"authorization": wrong, "cookie": f"autoresearch={SECRET}"}).status
                    == 401
                )
        assert call(guarded, "GET", "/", {"accept": "text/html"}).headers["location"] == "/login"
        assert call(guarded, "GET", "/login").status == 200
        assert call(guarded, "GET", "/static/live.css").status == 200

    def test_a_program_sends_the_token_and_a_browser_the_cookie(self, guarded):
        assert call(guarded, "GET", "/", {"authorization": f"Bearer {SECRET}"}).status == 200
        answer = call(guarded, "POST", "/login", {"origin": f"http://{HOST}"}, b"token=" + SECRET.encode())
        assert (answer.status, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert SECRET not in cookie
        assert call(guarded, "GET", "/", {"cookie": f"a=b; {cookie.partition(';')[0]}"}).status == 200

    def test_wrong_tokens_are_refused_and_soon_not_even_compared(self, guarded, monkeypatch):
        async def at_once(_: float) -> None:
            return None

        monkeypatch.setattr("autoresearch.web.gate.asyncio.sleep", at_once)
        for n in range(FAILURES):
            answer = call(guarded, "POST", "/login", body=f"token=wrong{n}".encode())
            assert answer.status == 403
            assert "This is not the token" in answer.text
        right = call(guarded, "POST", "/login", body=b"token=" + SECRET.encode())
        assert right.status == 403
        assert (
            call(guarded, "GET", "/", {"cookie": f"autoresearch={TOKEN.cookie}"}).status == 200
        )  # others are not locked out


class TestControl:
    def post(self, app, runs, action, **headers):
        sent = {
            "authorization": f"Bearer {SECRET}",
            FORM_HEADER: TOKEN.form_secret,
            "origin": f"http://{HOST}",
            **headers,
        }
        return call(app, "POST", f"/runs/{run_id(runs)}/control/{action}", sent)

    @pytest.fixture(autouse=True)
    def known(self, guarded, runs):
        call(guarded, "GET", f"/runs/{run_id(runs)}", {"authorization": f"Bearer {SECRET}"})

    def test_pause_and_resume(self, guarded, runs):
        flag = runs / "night" / PAUSE_FLAG
        assert self.post(guarded, runs, "pause").status == 200
        assert flag.read_bytes() == b""
        assert self.post(guarded, runs, "pause-now").status == 200
        assert flag.read_bytes() == b"now\n"
        assert "continues" in self.post(guarded, runs, "resume").text
        assert not flag.exists()
        assert "was not paused" in self.post(guarded, runs, "resume").text
        assert [line.split(": ")[1].split(" ")[0] for line in guarded.said] == [
            "pause",
            "pause-now",
            "resume",
            "resume",
        ]

    @pytest.mark.parametrize(
        "headers",
        [{FORM_HEADER: ""}, {FORM_HEADER: SECRET}, {FORM_HEADER: TOKEN.cookie}, {"origin": "http://evil.example"},
         {"authorization": ""}, {"sec-fetch-site": "cross-site"}, {"host": "evil.example"}],
    )  # fmt: skip
    def test_a_forged_request_does_nothing(self, guarded, runs, headers):
        assert self.post(guarded, runs, "pause", **headers).status in (401, 403, 421)
        assert not (runs / "night" / PAUSE_FLAG).exists()
        assert guarded.said == []

    def test_a_get_does_nothing_and_an_unknown_action_is_404(self, guarded, runs):
        url = f"/runs/{run_id(runs)}/control/pause"
        assert call(guarded, "GET", url, {"authorization": f"Bearer {SECRET}"}).status == 405
        assert self.post(guarded, runs, "delete").status == 404
        assert not (runs / "night" / PAUSE_FLAG).exists()

    def test_without_the_flag_there_is_nothing_to_post_to(self, runs):
        app, hub = open_app(runs, TOKEN, [no_controls()])
        assert self.post(app, runs, "pause").status == 404
        offered = call(app, "GET", "/controls", {"authorization": f"Bearer {SECRET}"})
        assert json.loads(offered.body)["actions"] == []
        close(hub)

    def test_an_action_is_in_the_log_of_the_page(self, guarded, runs):
        self.post(guarded, runs, "pause")
        headers = {"authorization": f"Bearer {SECRET}"}
        text = call(guarded, "GET", f"/runs/{run_id(runs)}/events", headers, chunks=1).text
        assert "pause from 127.0.0.1: it pauses after its running trial" in text

    def test_a_refusal_of_the_file_system_is_shown(self, guarded, runs):
        (runs / "night" / PAUSE_FLAG).mkdir()
        (runs / "night" / PAUSE_FLAG / "x").write_text("")
        answer = self.post(guarded, runs, "resume")
        assert answer.status == 409
        assert "cannot remove" in answer.text


class TestStop:
    def test_only_the_process_that_holds_the_lock_is_signalled(self, night, monkeypatch):
        sent: list[int] = []
        monkeypatch.setattr("signal.pidfd_send_signal", lambda _, number: sent.append(number))
        assert stop(night.path) == "it stops after its running trial"
        assert len(sent) == 1
        text = (night.path / "run.lock").read_text()
        (night.path / "run.lock").write_text(re.sub(r'"pid": \d+', '"pid": 1', text))
        assert stop(night.path) == "no process works on it"
        (night.path / "run.lock").write_text("[]")
        assert stop(night.path) == "no process works on it"
        night.end()
        assert stop(night.path) == "no process works on it"
        assert len(sent) == 1

    def test_a_pid_that_another_user_wrote_into_the_lock_is_not_signalled(self, night, monkeypatch):
        import subprocess
        import sys

        monkeypatch.setattr("signal.pidfd_send_signal", lambda *_: pytest.fail("signalled"))
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
            text = (night.path / "run.lock").read_text()
            (night.path / "run.lock").write_text(re.sub(r'"pid": \d+', f'"pid": {other.pid}', text))
            assert stop(night.path) == "no process works on it"
            other.communicate(b"\n")


class TestStreams:
    def test_the_list_then_what_changes(self, runs):
        async def scene() -> list[bytes]:
            hub = Hub([runs])
            stream = hub.stream(ALL)
            found = [await anext(stream)]
            await hub.refresh()
            found += [await anext(stream), await anext(stream)]
            await stream.aclose()
            assert hub.viewers == 0
            close(hub)
            return found

        first, listed, changed = asyncio.run(scene())
        assert b"event: clock" in first
        assert b"event: list" in listed
        assert b'"name":"night"' in listed
        assert b'"live":"running"' in changed

    def test_a_viewer_that_does_not_read_is_dropped_and_the_others_are_not(self, runs):
        async def scene() -> None:
            hub = Hub([runs])
            slow, quick = hub.stream(ALL), hub.stream(ALL)
            await anext(slow)
            await anext(quick)
            for _ in range(MAX_WAITING + 1):
                hub._publish(ALL, b"x")
                assert await anext(quick) == b"x"
            with pytest.raises(StopAsyncIteration):
                await anext(slow)
            await quick.aclose()

        asyncio.run(scene())

    def test_a_run_that_is_gone_is_told_to_its_viewers(self, runs, monkeypatch):
        monkeypatch.setattr("autoresearch.web.hub.SEARCH_S", 0.0)

        async def scene() -> bytes:
            hub = Hub([runs])
            await hub.refresh()
            stream = hub.stream(run_id(runs))
            assert b"event: sections" in await anext(stream)
            (runs / "night").rename(runs.parent / "moved")
            await hub.refresh()
            said = await anext(stream)
            await stream.aclose()
            return said

        assert asyncio.run(scene()).startswith(b"event: gone")

    def test_too_many_viewers_are_asked_to_come_back(self, app, monkeypatch):
        monkeypatch.setattr(module, "MAX_VIEWERS", 0)
        answer = call(app, "GET", "/events")
        assert (answer.status, answer.headers["retry-after"]) == (503, "30")

    def test_nothing_is_read_without_a_viewer(self, runs, monkeypatch):
        async def scene() -> None:
            hub = Hub([runs])
            monkeypatch.setattr(hub, "refresh", lambda: pytest.fail("read"))
            task = asyncio.create_task(hub.run())
            for _ in range(5):
                await asyncio.sleep(0)
            assert not task.done()
            task.cancel()

        asyncio.run(scene())


def test_metrics_are_what_prometheus_reads(runs, night):
    pytest.importorskip("prometheus_client")
    from prometheus_client.parser import text_string_to_metric_families

    from autoresearch.web.metrics import metrics_route

    (runs / 'odd"name\\').mkdir()
    (runs / 'odd"name\\' / TRAJECTORY).write_bytes(b"nonsense\n")
    hub = Hub([runs])
    app = build_app(hub, names=NAMES, more=[metrics_route(hub)])

    async def scene():
        return await acall(app, "GET", "/metrics")

    answer = asyncio.run(scene())
    found = {
        (s.name, s.labels.get("run", ""), s.labels.get("state", s.labels.get("scope", ""))): s.value
        for family in text_string_to_metric_families(answer.text)
        for s in family.samples
    }
    assert found["autoresearch_runs", "", ""] == 2
    assert found["autoresearch_run_state", "night", "running"] == 1
    assert found["autoresearch_run_iterations_requested", "night", ""] == 60
    assert found["autoresearch_run_iterations", "night", ""] == len(hub.feeds[run_id(runs)]._rows)
    assert sum(value for (name, run, _), value in found.items() if name.endswith("state") and run != "night") == 1
    close(hub)
