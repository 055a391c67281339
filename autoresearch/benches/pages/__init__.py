"""The pages of a bench: one self-contained HTML file per run, per comparison and for the morning; tables, no script.

They need the extra `report`: the function that imports them raises ``MissingPackage`` without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoresearch.errors import missing_extra

if TYPE_CHECKING:
    from autoresearch.benches.analysis import Analysis
    from autoresearch.benches.ports import BenchRun, Suite
    from autoresearch.benches.run_comparison import RunComparison
    from autoresearch.benches.tonight.evidence import Evidence


def render_run(run: BenchRun, suite: Suite, analysis: Analysis) -> str:
    """The page of a run. Depends only on its arguments. Raises ``MissingPackage``."""
    try:
        from autoresearch.benches.pages.run_page import render
    except ModuleNotFoundError as e:
        raise missing_extra("the page of a bench run", e.name or "jinja2", "report") from e
    return render(run, suite, analysis)


def render_comparison(comparison: RunComparison) -> str:
    """The page of a comparison. Depends only on its argument. Raises ``MissingPackage``."""
    try:
        from autoresearch.benches.pages.comparison_page import render
    except ModuleNotFoundError as e:
        raise missing_extra("the page of a comparison", e.name or "jinja2", "report") from e
    return render(comparison)


def render_tonight(evidence: Evidence) -> str:
    """The page of the morning. Depends only on its argument. Raises ``MissingPackage``."""
    try:
        from autoresearch.benches.pages.tonight_page import render
    except ModuleNotFoundError as e:
        raise missing_extra("the page of the morning", e.name or "jinja2", "report") from e
    return render(evidence)
