"""Find and read the finished seeds of a study's folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pam_opt.errors import ConfigError, StorageError
from pam_opt.report.cells import Results

SCHEMA = 1
_OF_SEEDS = ("seed", "seeds", "data_fingerprint")
"""What may differ between the seeds of one experiment."""


def read_results(path: Path) -> Results:
    """Read a ``results.json``.

    Raises
    ------
    StorageError : not readable, or of another schema
    """
    try:
        results = json.loads(path.read_text(encoding="utf8"))
        if results["schema"] != SCHEMA:
            raise ValueError(f"schema {results['schema']}, this version reads {SCHEMA}")
        if not results["methods"] or not all(cell["combinations"] for cell in results["methods"].values()):
            raise ValueError("it has no methods")
        if not all(isinstance(reason, str) for reason in results.get("does_not_apply", {}).values()):
            raise ValueError("a method that does not apply has no reason")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as err:
        raise StorageError(f"{str(path)!r} holds no results: {err}") from err
    return results


def read_finished(folder: Path) -> list[Results]:
    """Read the results of the seeds that are finished, whether or not others are still running; seeds ascending.

    Parameters
    ----------
    folder : what `pam_opt.study.runner.run_study` writes, or a folder of ``seed-<number>.json``

    Raises
    ------
    ConfigError : no seed is finished, a seed is there twice, or the seeds are of different experiments
    StorageError : results that cannot be read
    """
    found = [folder / "results.json", *folder.glob("seed-*/results.json"), *folder.glob("seed-*.json")]
    paths = [path for path in found if path.is_file()]
    if not paths:
        raise ConfigError(
            f"{str(folder)!r} holds no finished seed: there is neither a results.json nor a seed-*/results.json; "
            f"name the --out of 'pam-opt run', or wait for its first seed"
        )
    results = [read_results(path) for path in paths]
    _check_same(results, paths)
    return sorted(results, key=lambda result: result["experiment"]["seed"])


def _check_same(results: Sequence[Results], paths: Sequence[Path]) -> None:
    """Refuse seeds that are no seeds of one experiment."""
    seeds = [result["experiment"].get("seed") for result in results]
    if len(set(seeds)) < len(seeds):
        raise ConfigError(
            f"{', '.join(map(str, paths))}: seed {max(seeds, key=seeds.count)} is there twice; remove one"
        )
    first = _without_seed(results[0])
    for result, path in zip(results, paths, strict=True):
        other = _without_seed(result)
        differing = sorted(key for key in {*first, *other} if first.get(key) != other.get(key))
        if differing:
            raise ConfigError(f"{path} is of another experiment than {paths[0]}: they differ in {differing}")


def _without_seed(result: Results) -> dict[str, Any]:
    return {key: value for key, value in result["experiment"].items() if key not in _OF_SEEDS}


def missing_seeds(results: Sequence[Results]) -> list[int]:
    """List the seeds of the experiment that are not among the results."""
    wanted = {seed for result in results for seed in result["experiment"].get("seeds", ())}
    return sorted(wanted - {result["experiment"]["seed"] for result in results})
