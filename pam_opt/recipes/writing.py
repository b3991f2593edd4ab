"""What a merge leaves on disk: the network, its plan, and the recipe to make it again."""

from pathlib import Path

import yaml

from pam_opt.atomic import write_text
from pam_opt.errors import ConfigError, StorageError
from pam_opt.recipes.config import Recipe
from pam_opt.recipes.merging import Merged
from pam_opt.storage import save


def check_out(out: Path, recipe: Recipe) -> None:
    """Check where the network is to be written, before hours of work.

    Raises
    ------
    StorageError : its folder is missing, or it is a folder itself
    ConfigError : it is one of the checkpoints
    """
    if not out.parent.is_dir():
        raise StorageError(f"{str(out)!r} cannot be written: there is no folder {str(out.parent)!r}; make it first")
    if out.is_dir():
        raise StorageError(f"{str(out)!r} is a folder; name a file in it, such as {str(out / 'merged.safetensors')!r}")
    for task in recipe.tasks:
        if out.resolve() == Path(task.checkpoint).resolve():
            raise ConfigError(f"{str(out)!r} is the checkpoint of task {task.name!r}; choose another --out")


def write_merged(merged: Merged, recipe: Recipe, out: Path) -> list[Path]:
    """Write network, plan and recipe beside each other and return their paths.

    Raises
    ------
    StorageError : a file cannot be written
    """
    plan, again = out.with_suffix(".plan.json"), out.with_suffix(".recipe.yaml")
    save(merged.network, out)
    merged.plan.save(plan)
    write_text(again, yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True), sort_keys=False))
    return [out, plan, again]
