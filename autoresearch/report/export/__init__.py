"""A run's best configuration as a training script for NVIDIA's own trainers. Pure; needs neither torch nor numpy.

>>> recipe = build_recipe(records)  # doctest: +SKIP
>>> print(FORMATS["megatron-lm"].render_script(recipe))  # doctest: +SKIP
"""

from autoresearch.report.export.formats import FORMATS, Format, ModelArguments
from autoresearch.report.export.recipe import Recipe, build_recipe, recipe_facts

__all__ = ["FORMATS", "Format", "ModelArguments", "Recipe", "recipe_facts", "build_recipe"]
