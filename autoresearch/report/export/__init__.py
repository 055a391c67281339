"""A run's best configuration as a training script for NVIDIA's own trainers. Pure; needs neither torch nor numpy.

>>> recipe = recipe_of(records)  # doctest: +SKIP
>>> print(FORMATS["megatron-lm"].script(recipe))  # doctest: +SKIP
"""

from autoresearch.report.export.formats import FORMATS, Format, ModelArguments
from autoresearch.report.export.recipe import Recipe, build_recipe, facts

__all__ = ["FORMATS", "Format", "ModelArguments", "Recipe", "facts", "build_recipe"]
