"""Merge parents by a plan into one multitask network."""

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn

from pam_opt.errors import PlanError
from pam_opt.folding import fold, norm_state, unfold
from pam_opt.merging.layout import merged_structure, plan_of_every_layer
from pam_opt.merging.moments import TaskData
from pam_opt.merging.mtz import write_mtz
from pam_opt.merging.refit import RefitOptions, refit
from pam_opt.merging.repair import rescale as rescale_units
from pam_opt.merging.statistics import reestimate_batch_norms
from pam_opt.merging.weights import Mix, mixed_norms, mixed_state, mixed_weights
from pam_opt.network import GroupLayer, MultitaskNetwork
from pam_opt.parents import convert_parents
from pam_opt.plans import LayerPlan, Plan
from pam_opt.structure import INPUT, require_chain
from pam_opt.tasks import Group, Task, check_tasks
from pam_opt.training import Batches

Weights = Literal["refit", "average", "mtz", "side_by_side"]


def merge(
    parents: Mapping[str, nn.Module],
    plan: Plan,
    *,
    weights: Weights = "refit",
    calibration: Batches | None = None,
    target: Literal["mean", "keep"] = "mean",
    ridge: float | None = None,
    reestimate: bool = False,
    rescale: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> MultitaskNetwork:
    """Build the multitask network that a plan describes.

    Parameters
    ----------
    parents : task name -> module, those that the plan was made from
    plan : see `pam_opt.plan`
    weights : ``side_by_side`` lays parents beside each other and refuses a plan that merges units;
        ``average`` takes the share-weighted mean of the members' weights, and reads a unit that is only
        represented from the unit that stands for it;
        ``mtz`` gives the members of a unit the common weights that change their pre-activations least, in closed
        form on the merged network's own activations [2]_, for any plan; see `pam_opt.zip_networks` for all of MTZ;
        ``refit`` (default) starts there and fits every layer by least squares to the parents' pre-activations,
        on the merged network's own activations, which makes up for what merging and cut edges changed
    calibration : re-iterable batches for ``refit``, ``mtz`` and `reestimate`; targets are not used
    target : ``mean`` fits a merged unit to the share-weighted mean of its members, ``keep`` to the largest one
    ridge : pull of ``refit`` towards the average, relative to the inputs' mean square; None chooses it for each
        group of each layer on a held-out fifth of the calibration samples
    reestimate : run the calibration data through afterwards to set the batch norms' running statistics anew,
        which changes the function; ``refit`` needs no such repair
    rescale : scale and shift every merged unit so that it has its members' mean and standard deviation on the
        calibration data (REPAIR [1]_), before `reestimate`; works without batch norms, too
    progress : called with (layers done, layers)

    Raises
    ------
    PlanError : a plan that does not fit, options out of range, or ``refit`` or ``mtz`` without calibration data
    UnsupportedModel, DataError : see `pam_opt.plan`

    References
    ----------
    .. [1] Jordan et al., REPAIR, ICLR 2023, arXiv 2211.08403
    .. [2] He, Zhou, Thiele, Multi-Task Zipping via Layer-wise Neuron Sharing, NeurIPS 2018
    """
    if weights not in get_args(Weights):
        raise PlanError(f"weights={weights!r} is unknown; choose from {list(get_args(Weights))}")
    if target not in ("mean", "keep"):
        raise PlanError(f"target={target!r} is unknown; choose from ['mean', 'keep']")
    if ridge is not None and not (isinstance(ridge, Real) and 0 <= ridge < math.inf):
        raise PlanError(f"ridge {ridge!r} must be a number of at least 0, or None to have it chosen")
    if calibration is None and (weights in ("refit", "mtz") or reestimate or rescale):
        raise PlanError(
            "weights='refit', weights='mtz', reestimate=True and rescale=True need calibration=; pass batches or "
            "weights='average'"
        )
    converted = convert_parents(parents, plan.input_shape)
    if set(parents) != set(plan.tasks):
        raise PlanError(
            f"the plan is for tasks {sorted(plan.tasks)}, the parents are {sorted(parents)}; make the plan from these"
        )
    converted = {task: converted[task] for task in plan.tasks}
    layers = plan_of_every_layer(converted, plan)
    network = MultitaskNetwork.blank(merged_structure(converted, plan, layers)).eval()
    if weights == "side_by_side":
        _refuse_merged_units(plan)
    if weights == "mtz":
        require_chain(network.structure, "weights='mtz'", "use weights='refit' or 'average'")
    for index, layer in enumerate(layers):
        for group in layer.widths:
            _write_average(network.block(index, group), converted, layers, index, group)
    if weights == "refit":
        assert calibration is not None
        refit(network, converted, layers, calibration, RefitOptions(target, ridge, seed), progress)
    if weights == "mtz":
        assert calibration is not None
        write_mtz(network, converted, layers, TaskData.of(plan.tasks, calibration, seed=seed), progress)
    if rescale:
        assert calibration is not None
        rescale_units(network, converted, layers, calibration)
    if reestimate:
        assert calibration is not None
        reestimate_batch_norms(network, calibration)
    return network


def single(module: nn.Module, task: Task, input_shape: tuple[int, ...] | None = None) -> MultitaskNetwork:
    """Convert one parent into a network of one task, to be pruned and costed by itself.

    Raises
    ------
    UnsupportedModel : see `pam_opt.tracing.trace`
    """
    from pam_opt.tracing import network_of

    check_tasks([task])
    return network_of(module, task.name, input_shape)


def _refuse_merged_units(plan: Plan) -> None:
    for layer in plan.layers:
        places = np.concatenate(layer.places)
        if np.bincount(places[places >= 0]).max() > 1:
            raise PlanError(f"layer {layer.name!r} merges units; weights='side_by_side' cannot, 'average' can")


@torch.no_grad()
def _write_average(
    block: GroupLayer,
    parents: Mapping[str, MultitaskNetwork],
    layers: list[LayerPlan],
    index: int,
    group: Group,
) -> None:
    plan = layers[index]
    mix = Mix.of(plan, plan.rows(group))
    structure = next(iter(parents.values())).structure
    layer = structure.layers[index]
    blocks = [parent.block(index, frozenset({task})) for task, parent in parents.items()]
    if layer.has_weights:
        inputs = [_readable(layers[source], group) if source != INPUT else None for source in layer.inputs]
        folded = mixed_weights(
            [fold(own, layer) for own in blocks], mix, inputs if layer.is_dense else [None], layer.size
        )
        unfold(block, folded, mixed_norms([norm_state(own) for own in blocks], mix, layer.size))
    else:
        _write_state(block.pre, [own.pre for own in blocks], mix, layer.size)
    for place, operation in enumerate(layer.post):
        _write_state(block.post[place], [own.post[place] for own in blocks], mix, operation.features)


def _readable(plan: LayerPlan, group: Group) -> Mix:
    """Describe the merged units that a group may read, in the plan's canonical order: that of concatenation."""
    return Mix.of(plan, np.flatnonzero([group <= source for source in plan.groups]))


def _write_state(target: nn.Module, sources: Sequence[nn.Module], mix: Mix, features: int) -> None:
    """Average the state of modules that act unit by unit; most have none."""
    target.load_state_dict(mixed_state([source.state_dict() for source in sources], mix, features))
