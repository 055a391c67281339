"""The morning report: a run as one self-contained HTML file. Pure; needs the extra `report` (Bokeh and Jinja).

>>> history = load(Path("runs/tonight"))  # doctest: +SKIP
>>> Path("report.html").write_text(render_html(summarise(history), history))  # doctest: +SKIP
"""

from autoresearch.report.html.comparison_page import render_comparison_html
from autoresearch.report.html.page import render_html
from autoresearch.report.html.price import Price

__all__ = ["Price", "render_comparison_html", "render_html"]
