"""Merge trained networks by a recipe, a YAML file: which parents, which data, how to plan, how to write weights."""

from pam_opt.recipes.config import Recipe, parse_recipe, read_recipe, with_source
from pam_opt.recipes.merging import Merged, merge_by_recipe
from pam_opt.recipes.writing import check_out, write_merged

__all__ = [
    "Merged",
    "Recipe",
    "check_out",
    "merge_by_recipe",
    "parse_recipe",
    "read_recipe",
    "with_source",
    "write_merged",
]
