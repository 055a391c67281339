"""Draw the top of a run's page as a PNG: ``python -m benchmarks.page_picture RUN FILE.png [WIDTH HEIGHT]``.

Needs chromium and chromedriver. docs/README.md has the command of each picture under docs/img.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from autoresearch.report import load, summarise
from autoresearch.report.html import render_html
from tests.browser import browser

WIDTH, HEIGHT = 1280, 1160


def draw_page(run: Path, out: Path, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Write the picture of the page of ``run`` in a window of this size."""
    history = load(run)
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as chromium:
        page = Path(folder) / "report.html"
        page.write_text(render_html(summarise(history), history), encoding="utf-8")
        chromium.emulate(width, height)
        chromium.open(page)
        chromium.wait("Plots.shown.has('course')")
        chromium.picture(out)


if __name__ == "__main__":
    draw_page(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:5]))
