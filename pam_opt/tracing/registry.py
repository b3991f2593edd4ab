"""The rules by which nodes are read: one function for each module type, function or method."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from pam_opt.tracing.calls import Call

Rule = Callable[..., Any]
"""Of a module: (call, module, *arguments); of functions and methods: (call, *arguments), as torch names them."""

MODULES: dict[type[nn.Module], Rule] = {}
FUNCTIONS: dict[Any, Rule] = {}
"""Functions by themselves, methods of tensors by name."""
IN_PLACE: set[Any] = set()
"""Functions and methods that always write into their first argument."""


def module_rule(*types: type[nn.Module]) -> Callable[[Rule], Rule]:
    """Register the rule of module types, whose insides are not traced."""

    def register(rule: Rule) -> Rule:
        MODULES.update(dict.fromkeys(types, rule))
        return rule

    return register


def function_rule(*targets: Any, in_place: tuple[Any, ...] = ()) -> Callable[[Rule], Rule]:
    """Register the rule of functions and methods; those `in_place` write into their first argument."""

    def register(rule: Rule) -> Rule:
        FUNCTIONS.update(dict.fromkeys((*targets, *in_place), rule))
        IN_PLACE.update(in_place)
        return rule

    return register


def find_module_rule(module: nn.Module) -> Rule | None:
    """Find the rule of a module; of a subclass only if it computes what its base class does."""
    for base in type(module).__mro__:
        if base in MODULES:
            return MODULES[base] if type(module).forward is base.forward else None
    return None


def fits(rule: Rule, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a rule knows all arguments of a call."""
    try:
        inspect.signature(rule).bind(call, *args, **kwargs)
    except TypeError:
        return False
    return True
