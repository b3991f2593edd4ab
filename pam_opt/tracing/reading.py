"""Read the nodes of a module that ``torch.fx`` traced, one after the other, by their rules."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from pam_opt.errors import UnsupportedModel
from pam_opt.tracing import rules_joins, rules_layers, rules_norms, rules_shapes, rules_tokens, rules_units  # noqa: F401
from pam_opt.tracing.calls import Call
from pam_opt.tracing.registry import FUNCTIONS, IN_PLACE, Rule, find_module_rule, fits
from pam_opt.tracing.rules_units import SUPPORTED
from pam_opt.tracing.steps import Tape
from pam_opt.tracing.values import Opaque, Size, Value, raw_input


class _Tracer(fx.Tracer):
    """Keep modules that have a rule whole, whatever library they come from."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return find_module_rule(m) is not None or super().is_leaf_module(m, module_qualified_name)


def read(module: nn.Module, who: str, dimensions: int | None = None) -> tuple[Tape, Value]:
    """Trace a module and read its nodes: its steps, and what it returns.

    Where nobody says how many axes a sample has and its first layer is linear, samples are vectors; if the module
    cannot be read so, they are tokens.

    Parameters
    ----------
    dimensions : number of axes of a sample, if it is known

    Raises
    ------
    UnsupportedModel : ``torch.fx`` cannot trace it, or a node has no rule; names the node and its module
    """
    try:
        graph = _Tracer().trace(module)
    except Exception as err:
        raise UnsupportedModel(
            f"{who}: torch.fx cannot trace it ({err}); control flow that depends on values must go"
        ) from err
    try:
        return _read_nodes(graph, module, who, dimensions)
    except UnsupportedModel as err:
        if dimensions is not None:
            raise
        try:
            return _read_nodes(graph, module, who, 2)
        except UnsupportedModel:
            raise err from None


def _read_nodes(graph: fx.Graph, module: nn.Module, who: str, dimensions: int | None) -> tuple[Tape, Value]:
    reader = _Reader(module, who, raw_input(dimensions), Tape(), {})
    for node in graph.nodes:
        reader.read(node)
    return reader.tape, reader.result()


@dataclass
class _Reader:
    """Hold what every node stands for while the graph is read."""

    root: nn.Module
    who: str
    input: Value
    tape: Tape
    found: dict[fx.Node, Any]
    output: Any = None

    def read(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            self._read_input(node)
        elif node.op == "output":
            self.output = node
        elif node.op == "get_attr":
            self.found[node] = _attribute(self.root, str(node.target))
        else:
            self._read_call(node)

    def result(self) -> Value:
        """Return what the module returns."""
        (shown,) = self.output.args
        value = self.found.get(shown) if isinstance(shown, fx.Node) else None
        if not isinstance(value, Value):
            raise UnsupportedModel(f"{self.who}: its output is {shown!r}, not the one tensor at its end")
        return value

    def _read_input(self, node: fx.Node) -> None:
        if any(isinstance(value, Value) for value in self.found.values()):
            if node.args:
                self.found[node] = node.args[0]
                return
            raise UnsupportedModel(f"{self.who}: a second input {node.name!r}; networks take one input tensor")
        self.found[node] = self.input

    def _read_call(self, node: fx.Node) -> None:
        args, kwargs = (fx.map_arg(part, self.found.__getitem__) for part in (node.args, node.kwargs))
        args, kwargs = _sliced(args), _sliced(kwargs)
        call = Call(self.who, _name(node), _shown(node, self.root), self.tape)
        if node.op == "call_module":
            module = self.root.get_submodule(str(node.target))
            rule, args = find_module_rule(module), (module, *args)
            in_place = bool(getattr(module, "inplace", False))
        else:
            rule, in_place = FUNCTIONS.get(node.target), node.target in IN_PLACE or kwargs.get("inplace") is True
        if in_place and any(isinstance(value, torch.Tensor) for value in args[:1]):
            call.refuse("writes into a parameter; compute another tensor instead")
        if node.op != "call_module" and _is_constant((args, kwargs)):
            self.found[node] = _fold_constant(node, args, kwargs)
            return
        if rule is None and not _has_signal((args, kwargs)):
            self.found[node] = Opaque(call.shown)
            return
        self.found[node] = _apply(rule, call, args, kwargs)
        if in_place:
            self._write_back(node)

    def _write_back(self, node: fx.Node) -> None:
        """Let later nodes read what an in-place operation wrote into its argument."""
        old, new = self.found[node.all_input_nodes[0]], self.found[node]
        self.found = {key: new if value is old else value for key, value in self.found.items()}


def _apply(rule: Rule | None, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if rule is None and args and isinstance(args[0], nn.Module):
        call.refuse(f"is not supported; supported: {SUPPORTED}")
    given = dict(kwargs)
    if rule is None or not fits(rule, call, args, given):
        rest = tuple(value for value in args if not isinstance(value, Value | nn.Module))
        call.refuse(f"with arguments {rest} {given or ''} is not supported; supported: {SUPPORTED}")
    return rule(call, *args, **given)


def _has_signal(argument: Any) -> bool:
    if isinstance(argument, dict):
        return _has_signal(tuple(argument.values()))
    if isinstance(argument, tuple | list):
        return any(_has_signal(part) for part in argument)
    return isinstance(argument, Value | nn.Module | Opaque) and not isinstance(argument, Size)


def _is_constant(argument: Any) -> bool:
    """Whether a call computes with parameters and numbers only."""
    flat = _flat(argument)
    known = torch.Tensor | int | float | bool | str | slice | torch.dtype | None
    return any(isinstance(part, torch.Tensor) for part in flat) and all(isinstance(part, known) for part in flat)


def _flat(argument: Any) -> list[Any]:
    if isinstance(argument, dict):
        return _flat(tuple(argument.values()))
    if isinstance(argument, tuple | list):
        return [part for inner in argument for part in _flat(inner)]
    return [argument]


@torch.no_grad()
def _fold_constant(node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    assert callable(node.target)
    return node.target(*args, **kwargs)


def _attribute(root: nn.Module, path: str) -> Any:
    value: Any = root
    for name in path.split("."):
        value = getattr(value, name)
    return value.detach() if isinstance(value, torch.Tensor) else value


def _sliced(argument: Any) -> Any:
    """Turn fx's own lists and dictionaries into plain ones."""
    if isinstance(argument, dict):
        return {key: _sliced(value) for key, value in argument.items()}
    if isinstance(argument, tuple):
        return tuple(_sliced(part) for part in argument)
    return [_sliced(part) for part in argument] if isinstance(argument, list) else argument


def _name(node: fx.Node) -> str:
    return str(node.target) if node.op == "call_module" else node.name


def _shown(node: fx.Node, root: nn.Module) -> str:
    if node.op == "call_module":
        module = root.get_submodule(str(node.target))
        again = "" if node.name.lstrip("_") == str(node.target).replace(".", "_") else f", fx node {node.name!r}"
        return f"node {str(node.target)!r} ({type(module).__name__}{again})"
    label = getattr(node.target, "__name__", str(node.target))
    stack = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values() if path]
    inside = f" in module {stack[-1]!r}" if stack else ""
    return f"node {node.name!r} ({label}){inside}"
