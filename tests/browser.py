"""A real headless Chromium, driven over WebDriver with nothing but the standard library."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
DRIVER = shutil.which("chromedriver")
MISSING = "chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--force-color-profile=srgb",
)  # fmt: skip
START_S = 30.0


class Browser:
    """One session. Raises ``RuntimeError`` with the driver's message if a command fails."""

    def __init__(self, port: int, profile: Path) -> None:
        self._base = f"http://127.0.0.1:{port}"
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        self._base += f"/session/{session}"

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            with e:
                raise RuntimeError(json.load(e)["value"]["message"]) from None

    def close(self) -> None:
        self._call("DELETE", "")

    def devtools(self, command: str, **params: Any) -> Any:
        """A command of the DevTools protocol."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def emulate(self, width: int, height: int, *, dark: bool = False, touch: bool = False) -> None:
        """Set the size of the window and the colour scheme of all later pages."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 2 if touch else 1, "mobile": touch}
        self.devtools("Emulation.setDeviceMetricsOverride", **screen)
        self.devtools("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, page: Path) -> None:
        self.open_url(page.resolve().as_uri())

    def open_url(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    def run(self, script: str, *args: Any) -> Any:
        """The return value of the JavaScript."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def wait(self, condition: str, seconds: float = 20.0) -> Any:
        """The first true value of a JavaScript expression."""
        until = time.monotonic() + seconds
        while not (value := self.run(f"return {condition}")):
            if time.monotonic() > until:
                raise TimeoutError(f"{condition} stayed {value!r}; the console has {self.console()}")
            time.sleep(0.05)
        return value

    def point(self, x: float, y: float) -> None:
        """Move the mouse to (x, y) in two steps."""
        moves = [{"type": "pointerMove", "duration": 40, "x": round(x + d), "y": round(y + d)} for d in (-4, 0)]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": moves}
        self._call("POST", "/actions", {"actions": [mouse]})

    def console(self) -> list[str]:
        """The console messages of all levels since the last call."""
        return [f"{entry['level']}: {entry['message']}" for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(shot["data"]))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.devtools("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {**size, "x": 0, "y": 0, "scale": 1}}


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A Chromium with a new profile below ``folder``, ended with the context."""
    if CHROMIUM is None or DRIVER is None:
        raise RuntimeError(MISSING)
    command = [DRIVER, "--port=0", "--log-level=SEVERE"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver:
        try:
            found = Browser(_port(driver), folder / "profile")
            try:
                yield found
            finally:
                found.close()
        finally:
            driver.terminate()


def _port(driver: subprocess.Popen[str]) -> int:
    """The port that the driver chose, from its output."""
    assert driver.stdout is not None
    until = time.monotonic() + START_S
    while time.monotonic() < until and (line := driver.stdout.readline()):
        if found := re.search(r"started successfully on port (\d+)", line):
            return int(found[1])
    raise RuntimeError("chromedriver did not start")
