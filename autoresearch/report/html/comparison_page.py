"""The page of two runs side by side: tables only, without a script."""

from __future__ import annotations

from autoresearch.report.comparison import Comparison
from autoresearch.report.comparison_text import (
    describe_common,
    describe_comparability,
    describe_sides,
    figures,
    kept_lists,
    verdict_of,
)
from autoresearch.report.html.embed import content_security_policy
from autoresearch.report.html.page import styles, template

MAX_ROWS = 500  # of one list


def render_comparison_html(c: Comparison) -> str:
    """The comparison as one HTML document. Depends only on its argument."""
    differences = {
        "The yardstick": c.yardstick_differences,
        "The baseline configuration": c.baseline_differences,
        "The decision rule": c.rule_differences,
    }
    page: str = template("comparison").render(
        policy=content_security_policy(()),
        styles=styles(),
        c=c,
        sides=list(describe_sides(c)),
        comparability=describe_comparability(c),
        differences={title: found for title, found in differences.items() if found},
        figures=list(figures(c)),
        kept=[(title, changes[:MAX_ROWS], len(changes)) for title, changes in kept_lists(c)],
        verdict_of=verdict_of,
        common=describe_common(c),
    )
    return page
