"""The live page under a real systemd: a user of its own, who reads the runs of another and can change none."""

from __future__ import annotations

import re
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.systemd_night import check_whole, in_a_trial, main_pid
from tests.systemd_sandbox import ENVIRON, until, why_not

pytest.importorskip("uvicorn", reason="pip install 'autoresearch[serve]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"no systemd can be booted here: {why_not()}"),
]

UNIT = "autoresearch-web.service"


def address(box) -> str:
    """Of the newest start; the port is any free one, because the sandbox shares this machine's loopback."""

    def printed() -> str:
        box.run("journalctl", "--sync")
        lines = box.run("journalctl", "--no-pager", "--boot", "-o", "cat", "-u", UNIT).stdout
        return (re.findall(r"http://127\.0\.0\.1:\d+/", lines) or [""])[-1]

    return until("the address of the page", printed)  # type: ignore[no-any-return]


def web_pid(box) -> str:
    pid = box.systemctl("show", "--value", "-p", "MainPID", UNIT).stdout.strip()
    return "" if pid == "0" else pid


def test_the_page_follows_a_run_of_another_user_can_change_nothing_and_its_end_costs_the_run_nothing(box, start):
    name = start("watched")
    in_a_trial(box, name, after=1)
    daemon = main_pid(box, name)
    command = re.search(r"^ExecStart=(.+)$", box.systemctl("cat", UNIT).stdout, re.M)
    assert command is not None
    environ = " ".join(f"{key}={value}" for key, value in ENVIRON.items())
    box.drop_in("sandbox", f"[Service]\nEnvironment={environ}\nExecStart=\nExecStart={command[1]} --port 0\n", UNIT)
    box.systemctl("start", UNIT)
    url = address(box)
    with urlopen(f"{url}events", timeout=30) as stream:
        events = until("the run in the list of runs", lambda: name in (line := stream.readline().decode()) and line)
    run = re.search(r'"id":"([0-9a-f]{16})"[^{}]*"name":"[^"]*watched"', events)
    assert run is not None, events
    with urlopen(f"{url}runs/{run[1]}", timeout=30) as page:
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
    pid = web_pid(box)
    uid = box.run("id", "-u", "autoresearch-web").stdout.strip()
    assert re.search(rf"^Uid:\s+{uid}\s+{uid}\s", box.run("cat", f"/proc/{pid}/status").stdout, re.M)
    as_page = ["nsenter", "-t", pid, "-m", "setpriv", "--reuid", "autoresearch-web", "--regid", "autoresearch-web"]
    for file in (f"/var/lib/autoresearch/{name}/pause.flag", "/var/lib/autoresearch/x", "/etc/autoresearch/x", "/x"):
        assert box.run(*as_page, "--init-groups", "touch", file, check=False).returncode != 0, file
    for path in ("control/pause", "control/stop"):
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(f"{url}runs/{run[1]}/{path}", method="POST"), timeout=30)
        assert refused.value.code in (403, 404, 405)
    box.systemctl("kill", "--signal=KILL", UNIT)
    until("the page to be started again", lambda: web_pid(box) not in ("", pid))
    until("another address", lambda: address(box) != url)
    box.systemctl("stop", UNIT)
    assert main_pid(box, name) == daemon
    in_a_trial(box, name, after=2)
    check_whole(box, name)
