"""``autoresearch export``: a run's best configuration or a corpus for NVIDIA's trainers, its trials for other tools."""

from __future__ import annotations

from typing import Any

from autoresearch.cli import export_dataset, export_recipe, export_trackers, export_trials
from autoresearch.cli.parsing import as_sentence


def add(commands: Any) -> None:
    """The command ``export`` with its kinds."""
    text = "the best configuration or a corpus for NVIDIA's own trainers, the trials of a run for other tools"
    parser = commands.add_parser("export", help=text, description=as_sentence(text))
    kinds = parser.add_subparsers(title="what to export", required=True, metavar="KIND")
    export_recipe.add(kinds)
    export_dataset.add(kinds)
    export_trials.add(kinds)
    export_trackers.add(kinds)
