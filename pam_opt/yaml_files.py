"""Read a YAML file that is a mapping; a key that is there twice is an error, not a silent choice of the last."""

from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, ScalarNode

from pam_opt.errors import ConfigError


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a configuration as plain data.

    Raises
    ------
    ConfigError : no such file, no YAML, no mapping, a key twice; says where in the file
    """
    try:
        loader = _UniqueKeys(path.read_text(encoding="utf8"))
        try:
            raw = loader.get_single_data()
        finally:
            loader.dispose()
    except OSError as err:
        raise ConfigError(f"config {str(path)!r} cannot be read: {err.strerror}") from err
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        raise ConfigError(f"config {str(path)!r} is not valid YAML: {err}") from err
    if not isinstance(raw, dict):
        raise ConfigError(f"config {str(path)!r} must be a mapping of keys to values")
    return raw


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a key twice in one mapping."""

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node = super().compose_mapping_node(anchor)
        _refuse_twice(node)
        return node


def _refuse_twice(node: MappingNode) -> None:
    seen: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, ScalarNode):
            continue
        name, line = (key.tag, key.value), key.start_mark.line + 1
        if name in seen:
            raise ConstructorError(
                problem=f"key {key.value!r} is there twice, in line {seen[name]} and in line {line}; keep one of them"
            )
        seen[name] = line
