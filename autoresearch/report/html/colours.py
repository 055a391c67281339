"""The colours of the page, light and dark: one accent colour for keeps, grays for everything else."""

from __future__ import annotations

from collections.abc import Mapping

# The same names in both. A figure is built with the light colours, which the page replaces by the dark ones. Therefore
# no two light colours may be equal.
LIGHT: Mapping[str, str] = {
    "ground": "#ffffff",
    "raised": "#f6f6f4",
    "ink": "#17181a",
    "muted": "#65686e",
    "quiet": "#94979d",
    "line": "#e3e3df",
    "accent": "#0b7a56",
}
DARK: Mapping[str, str] = {
    "ground": "#131416",
    "raised": "#1c1e21",
    "ink": "#ecedee",
    "muted": "#a0a4ab",
    "quiet": "#747880",
    "line": "#2d3035",
    "accent": "#43c796",
}


def css_variables(colours: Mapping[str, str]) -> str:
    """The colours as declarations of CSS custom properties."""
    return " ".join(f"--{name}: {value};" for name, value in colours.items())
