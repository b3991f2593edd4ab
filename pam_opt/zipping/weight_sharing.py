"""A network whose tasks share weights, not activations: MTZ as published. It saves memory, no computation."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pam_opt.errors import PamOptError, StorageError
from pam_opt.macs import output_positions
from pam_opt.network import GroupLayer, MultitaskNetwork, run_prelude
from pam_opt.storage import SCHEMA, load_tensors, save_tensors
from pam_opt.structure import Structure, canonical
from pam_opt.tasks import Group, check_known, combination_key, combinations

_KEY = "pam_opt_weight_sharing"


class WeightSharingNetwork(nn.Module):
    """Run every task by itself, on weights of which the shared ones are stored once.

    The weights by which units of group g read units of group h are one tensor for all tasks in both groups: shared
    units that read shared units share them, and what a shared unit reads from a task's exclusive units is that task's
    own. So a shared unit has another value for every task, and is computed for each: the MACs of a combination
    are the sum of its parents' (`macs`). `MultitaskNetwork` is the form that computes shared units once.

    Biases are stored once for each group, batch norms once for each task, whose signals they normalise.

    Parameters
    ----------
    sharing : layers and widths; here the widths of group g count units whose weights the tasks of g share
    """

    def __init__(self, sharing: Structure) -> None:
        super().__init__()
        self.sharing = sharing
        self.prelude = nn.Sequential(*(operation.build(sharing.inputs) for operation in sharing.prelude))
        self.weights, self.biases = nn.ParameterDict(), nn.ParameterDict()
        for index, layer in enumerate(sharing.layers):
            for group, units in sharing.widths[index].items():
                for source, inputs in self._inputs(index, group):
                    weight = GroupLayer(layer, inputs, units).operation.weight
                    self.weights[_name(index, group, source)] = nn.Parameter(torch.zeros_like(weight))
                if layer.bias:
                    self.biases[_name(index, group)] = nn.Parameter(torch.zeros(units))
        self.behind = nn.ModuleDict(
            {
                task: nn.ModuleList(self._behind(index, task) for index in range(len(sharing.layers)))
                for task in sharing.tasks
            }
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return self.sharing.tasks

    def forward(self, x: Tensor, tasks: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Run tasks one after the other; arguments, outputs and errors as of `MultitaskNetwork.forward`."""
        asked = (tasks,) if isinstance(tasks, str) else tasks
        active = frozenset(self.tasks) if asked is None else check_known(asked, self.tasks)
        x = run_prelude(self.sharing, self.prelude, x)
        return {task: self._run(task, x) for task in self.tasks if task in active}

    def _run(self, task: str, x: Tensor) -> Tensor:
        for index, layer in enumerate(self.sharing.layers):
            weight, bias = self.task_weight(index, task), self.task_bias(index, task)
            if layer.kind == "linear":
                x = functional.linear(x, weight, bias)
            else:
                settings = {name: value for name, value in layer.settings.items() if name != "kernel_size"}
                x = functional.conv2d(x, weight, bias, **settings)
            x = self._modules_behind(task, index)(x)
        return x

    def task_weight(self, index: int, task: str) -> Tensor:
        """Put the weights of a layer together as one task reads them."""
        rows = [
            torch.cat([self.weights[_name(index, g, h)] for h, _ in self._inputs(index, g) if _serves(h, task)], dim=1)
            for g in self._groups(index, task)
        ]
        return torch.cat(rows)

    def task_bias(self, index: int, task: str) -> Tensor | None:
        """Put the biases of a layer together; None without."""
        if not self.sharing.layers[index].bias:
            return None
        return torch.cat([self.biases[_name(index, group)] for group in self._groups(index, task)])

    def macs(self, input_shape: Sequence[int] | None = None) -> dict[Group, int]:
        """Count the MACs of every combination: the sum of its tasks', as with the parents apart.

        Parameters
        ----------
        input_shape : as in `pam_opt.costs`

        Raises
        ------
        UnsupportedModel : an input shape that is missing or does not fit the network
        """
        positions = output_positions(self.sharing, input_shape)
        macs = {
            task: sum(
                self.task_weight(index, task).numel() * positions[index] for index in range(len(self.sharing.layers))
            )
            for task in self.tasks
        }
        return {combination: sum(macs[task] for task in combination) for combination in combinations(self.tasks)}

    @torch.no_grad()
    def read_views(self, views: Mapping[str, MultitaskNetwork]) -> None:
        """Take the weights of networks of one task whose units stand in canonical order of their groups."""
        for task, view in views.items():
            for index, block in self._blocks(view, task):
                self._store(index, task, block)
                self._modules_behind(task, index).load_state_dict(_behind(block).state_dict())

    @torch.no_grad()
    def write_views(self, views: Mapping[str, MultitaskNetwork]) -> None:
        """Give every task's network its weights; the inverse of `read_views`."""
        for task, view in views.items():
            for index, block in self._blocks(view, task):
                block.operation.weight.copy_(self.task_weight(index, task))
                bias = self.task_bias(index, task)
                if bias is not None and block.operation.bias is not None:
                    block.operation.bias.copy_(bias)
                _behind(block).load_state_dict(self._modules_behind(task, index).state_dict())

    def save(self, path: str | Path) -> None:
        """Write the network to one safetensors file: whole, or not at all.

        Raises
        ------
        StorageError : the file cannot be written
        """
        header = {_KEY: json.dumps({"schema": SCHEMA, "structure": self.sharing.to_json()})}
        save_tensors(self.state_dict(), Path(path), header)

    @classmethod
    def load(cls, path: str | Path) -> "WeightSharingNetwork":
        """Read a network that `save` wrote, in evaluation mode.

        Raises
        ------
        StorageError : not such a file, a damaged one, or weights that do not fit the structure it claims
        """
        tensors, header = load_tensors(path)
        if _KEY not in header:
            raise StorageError(f"{str(path)!r} holds no weight-sharing network; write it with its save method")
        try:
            data = json.loads(header[_KEY])
            if data["schema"] != SCHEMA:
                raise ValueError(f"schema {data['schema']}, this version reads {SCHEMA}")
            # Built without memory, so that a header that claims billions of units cannot take it.
            with torch.device("meta"):
                network = cls(Structure.from_json(data["structure"]))
            network.load_state_dict(tensors, assign=True)
        except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RuntimeError, PamOptError) as err:
            what = f"{type(err).__name__}: {err}"
            raise StorageError(f"{str(path)!r} holds no weight-sharing network ({what}); save it again") from err
        return network.requires_grad_(True).eval()

    def _groups(self, index: int, task: str) -> list[Group]:
        return [group for group in canonical(self.sharing.widths[index]) if task in group]

    def _inputs(self, index: int, group: Group) -> Iterator[tuple[Group | None, int]]:
        """Iterate over what units of a group read: groups of the layer before and their units; None for the input."""
        if index == 0:
            yield None, self.sharing.inputs
            return
        for source in canonical(self.sharing.widths[index - 1]):
            if source & group:
                yield source, self.sharing.widths[index - 1][source]

    def _behind(self, index: int, task: str) -> nn.Sequential:
        layer = self.sharing.layers[index]
        units = sum(self.sharing.widths[index][group] for group in self._groups(index, task))
        return _behind(GroupLayer(layer, 1, units))

    def _modules_behind(self, task: str, index: int) -> nn.Module:
        modules = self.behind[task]
        assert isinstance(modules, nn.ModuleList)
        return modules[index]

    def _blocks(self, view: MultitaskNetwork, task: str) -> Iterator[tuple[int, GroupLayer]]:
        for index in range(len(self.sharing.layers)):
            yield index, view.block(index, frozenset({task}))

    def _store(self, index: int, task: str, block: GroupLayer) -> None:
        groups, features = self._groups(index, task), self.sharing.layers[index].features
        rows = block.operation.weight.split([self.sharing.widths[index][group] for group in groups])
        for group, part in zip(groups, rows, strict=True):
            sources = [(h, units) for h, units in self._inputs(index, group) if _serves(h, task)]
            columns = part.split([units * features for _, units in sources], dim=1)
            for (source, _), piece in zip(sources, columns, strict=True):
                self.weights[_name(index, group, source)].copy_(piece)
        if block.operation.bias is not None:
            biases = block.operation.bias.split([self.sharing.widths[index][group] for group in groups])
            for group, bias in zip(groups, biases, strict=True):
                self.biases[_name(index, group)].copy_(bias)


def _behind(block: GroupLayer) -> nn.Sequential:
    """List what follows a block's operation: its batch norm, if there is one, and the operations behind."""
    return nn.Sequential(*list(block.pre)[1:], *block.post)


def _serves(source: Group | None, task: str) -> bool:
    return source is None or task in source


def _name(index: int, group: Group, source: Group | None = frozenset()) -> str:
    """Name the weights of a layer and group; of the biases without a source."""
    reads = "" if source is not None and not source else f" reads {combination_key(source) if source else 'input'}"
    return f"{index} {combination_key(group)}{reads}"
