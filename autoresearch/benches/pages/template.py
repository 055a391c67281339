"""The templates of the bench's pages, with the style sheet of the morning report."""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from autoresearch.core.text import plural
from autoresearch.report.html.embed import content_security_policy
from autoresearch.report.html.page import styles
from autoresearch.report.html.text import clean, with_minus


def render_template(name: str, **values: Any) -> str:
    """The page ``name``.html.j2; everything that is put into it is escaped, and it may load nothing."""
    page: str = _environment().get_template(name).render(policy=content_security_policy(()), styles=styles(), **values)
    return page


@functools.cache
def _environment() -> Environment:
    loader = FunctionLoader(lambda name: files(__package__).joinpath(f"{name}.html.j2").read_text(encoding="utf-8"))
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"clean": clean, "plural": plural, "minus": with_minus}
    return environment
