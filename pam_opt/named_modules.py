"""Networks that a text names: ``module:callable``, or a built-in family."""

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from pam_opt.errors import ConfigError
from pam_opt.families import FAMILIES


def build_module(
    text: str,
    input_shape: Sequence[int] | None = None,
    outputs: int = 10,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build the network that a text names, in evaluation mode.

    Parameters
    ----------
    text : ``package.module:callable``, looked up in the current folder too; or a family
    input_shape, outputs : of a family
    options : keyword arguments of the callable or the family

    Raises
    ------
    ConfigError : nothing of this name, or it cannot be called so, or it returns no module
    """
    options = dict(options or {})
    if ":" in text:
        return _call(_find(text), text, options)
    if text not in FAMILIES:
        raise ConfigError(
            f"{text!r} is neither module:callable, such as torchvision.models:resnet18, nor a family; the families are "
            f"{', '.join(FAMILIES)}"
        )
    if input_shape is None:
        raise ConfigError(f"family {text!r} needs the shape of one sample; give --input-shape, such as 1,28,28")
    try:
        return FAMILIES[text](tuple(input_shape), outputs, **options).eval()
    except TypeError as err:
        raise ConfigError(f"family {text!r} does not take the options {options}: {err}") from err


def _find(text: str) -> Callable[..., object]:
    path, _, name = text.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(path)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as err:
        raise ConfigError(f"{text!r} cannot be imported: {type(err).__name__}: {err}") from err
    if not callable(found):
        raise ConfigError(f"{text!r} is a {type(found).__name__}; name a function or class that builds the network")
    return found


def _call(make: Callable[..., object], text: str, options: Mapping[str, Any]) -> nn.Module:
    given = f"with {options}" if options else "without arguments"
    try:
        module = make(**options)
    except Exception as err:
        raise ConfigError(
            f"{text!r} failed when called {given}: {type(err).__name__}: {err}; write a function that builds the "
            "network when it is called so"
        ) from err
    if not isinstance(module, nn.Module):
        raise ConfigError(f"{text!r} returned a {type(module).__name__}; it must return a torch.nn.Module")
    return module.eval()
