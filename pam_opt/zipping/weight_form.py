"""The weight-sharing form of MTZ, as published: shared units also read exclusive ones, by each task's own weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pam_opt.folding import Folded, NormState, fold, norm_state, unfold
from pam_opt.merging.closed_form import folded_rows, merged_rows
from pam_opt.merging.least_squares import moments_of_outputs
from pam_opt.merging.moments import TaskData
from pam_opt.merging.rows import readable_values
from pam_opt.merging.statistics import observed_norm
from pam_opt.merging.weights import Mix, mixed_norms, mixed_state
from pam_opt.network import MultitaskNetwork
from pam_opt.plans import LayerPlan
from pam_opt.structure import Structure, canonical
from pam_opt.tasks import Group
from pam_opt.zipping.views import all_values, embedded_rows, reorder_inputs, values_of
from pam_opt.zipping.weight_sharing import WeightSharingNetwork


@dataclass(frozen=True)
class WeightForm:
    """Hold one network for each task, whose zipped layers have equal weights where the tasks share them.

    Parameters
    ----------
    structure : layers and widths so far, as of `WeightSharingNetwork`
    views : task -> network of one task; its units stand in canonical order of the groups they belong to
    """

    structure: Structure
    views: Mapping[str, MultitaskNetwork]

    @classmethod
    def of(cls, parents: Mapping[str, MultitaskNetwork]) -> "WeightForm":
        """Start with nothing shared."""
        first = next(iter(parents.values())).structure
        widths = tuple(
            {frozenset({task}): parent.structure.widths[index][frozenset({task})] for task, parent in parents.items()}
            for index in range(len(first.layers))
        )
        views = {task: _copy(parent) for task, parent in parents.items()}
        return cls(replace(first, tasks=tuple(parents), widths=widths), views)

    def weight_rows(self, index: int) -> dict[str, Tensor]:
        """Read the weights of a layer that is not zipped yet, on all inputs: task -> (units, values + 1)."""
        layer = self.structure.layers[index]
        return {
            task: embedded_rows(fold(view.block(index, frozenset({task})), layer), self.structure, index, task)
            for task, view in self.views.items()
        }

    def moments(self, index: int, data: TaskData) -> dict[str, Tensor]:
        """Return the second moments of all inputs of a layer, 0 for those that the task does not read."""
        size, result = all_values(self.structure, index) + 1, {}
        for task, own in data.moments(self.views, index).items():
            columns = torch.cat([readable_values(self.structure, index, frozenset({task})), torch.tensor([size - 1])])
            result[task] = torch.zeros(size, size, dtype=torch.float64)
            result[task][columns[:, None], columns] = own
        return result

    @torch.no_grad()
    def zip_layer(
        self, index: int, plan: LayerPlan, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor]
    ) -> "WeightForm":
        """Give the shared units of one more layer their common weights; arguments as of `LatticeForm.zip_layer`."""
        states = {group: self._group_state(index, plan, group, weights, moments) for group in plan.widths}
        views = {task: _copy(view) for task, view in self.views.items()}
        layer, behind = self.structure.layers[index : index + 2]
        for column, (task, view) in enumerate(views.items()):
            own = frozenset({task})
            parts = [states[group] for group in canonical(plan.widths) if task in group]
            rows = torch.cat([part.rows[task] for part in parts])
            block, columns = view.block(index, own), readable_values(self.structure, index, own)
            unfold(block, folded_rows(rows, columns, layer), _joined_norms([part.norm for part in parts]))
            for number in parts[0].post:
                block.post[number].load_state_dict(_joined_states([part.post[number] for part in parts]))
            reorder_inputs(view.block(index + 1, own), behind, plan, column)
        widths = list(self.structure.widths)
        widths[index] = plan.widths
        return WeightForm(replace(self.structure, widths=tuple(widths)), views)

    def _group_state(
        self, index: int, plan: LayerPlan, group: Group, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor]
    ) -> "_GroupState":
        rows = self._task_rows(index, plan, group, weights, moments)
        mix = Mix.of(plan, plan.rows(group))
        blocks = [view.block(index, frozenset({task})) for task, view in self.views.items()]
        norms = mixed_norms([norm_state(block) for block in blocks], mix)
        observed = [
            _observed(rows[task], moments[task], norms) for task in self.structure.tasks if norms and task in group
        ]
        post = {
            number: mixed_state([block.post[number].state_dict() for block in blocks], mix, operation.features)
            for number, operation in enumerate(self.structure.layers[index].post)
            if operation.is_norm
        }
        return _GroupState(rows, _mean_norm(observed), post)

    def _task_rows(
        self, index: int, plan: LayerPlan, group: Group, weights: Mapping[str, Tensor], moments: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the weights of a group's units for each of its tasks, on all inputs.

        What units of ``group`` read from units of group h serves the tasks in both, and is their closed form.
        """

        def part(tasks: Group) -> Tensor:
            return merged_rows(self.structure, index, plan, group, tasks, weights, moments)

        whole = part(group)
        if index == 0:
            return dict.fromkeys(group, whole)
        rows = {task: whole.clone() for task in group}
        for source in canonical(self.structure.widths[index - 1]):
            both = group & source
            if both and both != group:
                columns = values_of(self.structure, index, source)
                found = part(both)[:, columns]
                for task in both:
                    rows[task][:, columns] = found
        return rows

    def trained(self, train: Callable[[nn.Module], None]) -> "WeightForm":
        """Train the weights, those that are shared as one."""
        network = self.finish()
        train(network)
        views = {task: _copy(view) for task, view in self.views.items()}
        network.write_views(views)
        return replace(self, views=views)

    def finish(self) -> WeightSharingNetwork:
        """Return the network that stores shared weights once, in evaluation mode."""
        network = WeightSharingNetwork(self.structure)
        network.read_views(self.views)
        return network.eval()


@dataclass(frozen=True)
class _GroupState:
    """Weights of a group's units for each of its tasks, and how their batch norms are written, alike for all tasks."""

    rows: Mapping[str, Tensor]
    norm: NormState | None
    post: Mapping[int, Mapping[str, Tensor]]


@torch.no_grad()
def _copy(network: MultitaskNetwork) -> MultitaskNetwork:
    copy = MultitaskNetwork.blank(network.structure)
    copy.load_state_dict(network.state_dict())
    return copy.eval()


def _observed(rows: Tensor, moments: Tensor, norm: NormState) -> NormState:
    everything = torch.arange(rows.shape[1] - 1)
    outputs = moments_of_outputs(moments / moments[-1, -1], everything, rows[:, :-1])
    found = observed_norm(outputs, Folded(rows[:, :-1, None], rows[:, -1]), norm)
    assert found is not None
    return found


def _mean_norm(norms: Sequence[NormState]) -> NormState | None:
    """Average over tasks: equal norms keep the weights behind them equal."""
    return _combined_norms(norms, lambda values: torch.stack(values).mean(0)) if norms else None


def _joined_norms(norms: Sequence[NormState | None]) -> NormState | None:
    known = [norm for norm in norms if norm is not None]
    return _combined_norms(known, torch.cat) if known else None


def _combined_norms(norms: Sequence[NormState], combine: Callable[[list[Tensor]], Tensor]) -> NormState:
    return NormState(*(combine([getattr(norm, name) for norm in norms]) for name in ("variance", "scale", "centre")))


def _joined_states(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Lay the states of batch norms of several groups beside each other."""
    first = states[0]
    return {
        name: value if value.ndim == 0 else torch.cat([state[name] for state in states])
        for name, value in first.items()
    }
