"""The trainers for which a recipe can be exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from autoresearch.report.export import megatron_bridge, megatron_lm
from autoresearch.report.export.recipe import Recipe

ModelArguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    """How a recipe is rendered as a script, and how the model is read back from the script."""

    render_script: Callable[[Recipe], str]
    model_arguments: Callable[[str], ModelArguments]
    mode: int  # file mode of the script


FORMATS: Mapping[str, Format] = {
    "megatron-lm": Format(megatron_lm.render_script, megatron_lm.model_arguments, 0o755),
    "megatron-bridge": Format(megatron_bridge.render_script, megatron_bridge.model_arguments, 0o644),
}
