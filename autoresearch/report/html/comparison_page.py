"""The page of two runs side by side: tables only, without a script."""

from __future__ import annotations

from autoresearch.report.comparison import Comparison
from autoresearch.report.comparison_text import (
    describe_common,
    describe_comparability,
    describe_difference,
    describe_sides,
    figures,
    kept_lists,
    verdict_of,
)
from autoresearch.report.html.embed import content_security_policy
from autoresearch.report.html.page import styles, template
from autoresearch.report.html.text import with_minus

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
        figures=[(label, with_minus(a), with_minus(b)) for label, a, b in figures(c)],
        kept=[(title, changes[:MAX_ROWS], len(changes)) for title, changes in kept_lists(c)],
        verdict_of=lambda outcome, measured: with_minus(verdict_of(outcome, measured)),
        difference_of=lambda difference: with_minus(describe_difference(difference, label="")),
        common=with_minus(describe_common(c)),
    )
    return page
