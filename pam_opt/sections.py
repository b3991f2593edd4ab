"""Parts of configuration files, checked key by key."""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pam_opt.errors import ConfigError


class Section(BaseModel):
    """A part of a configuration; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_Kind = TypeVar("_Kind", bound=Section)


def check_section(kind: type[_Kind], raw: Any, where: str) -> _Kind:
    """Check plain data and return it as a section; `where` names it in messages.

    Raises
    ------
    ConfigError : unknown keys, impossible values; says which
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as err:
        raise ConfigError(f"{where}: " + "; ".join(_explain(error) for error in err.errors())) from err


def _explain(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"]) or "top level"
    if error["type"] == "extra_forbidden":
        return f"unknown key {place!r}; remove it or correct its spelling"
    return f"{place}: {error['msg'].removeprefix('Value error, ')}"
