"""MTZ's weights for the units of any plan, layer by layer on the merged network's own activations."""

from collections.abc import Callable, Mapping, Sequence

import torch

from pam_opt.folding import fold
from pam_opt.merging.closed_form import weight_rows, write_closed_form
from pam_opt.merging.moments import TaskData
from pam_opt.merging.weights import Mix
from pam_opt.network import MultitaskNetwork
from pam_opt.plans import LayerPlan


@torch.no_grad()
def write_mtz(
    network: MultitaskNetwork,
    parents: Mapping[str, MultitaskNetwork],
    layers: Sequence[LayerPlan],
    data: TaskData,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write MTZ's closed-form weights in place; the heads, which are not merged, keep theirs.

    Parameters
    ----------
    network : merged, with averaged weights
    parents : task -> network of one task, in the order of the plan's tasks
    layers : the plan of every layer, heads included
    """
    for index, plan in enumerate(layers[:-1]):
        moments = data.moments(dict.fromkeys(parents, network), index)
        inputs = Mix.of(layers[index - 1]) if index else None
        blocks = [parent.block(index, frozenset({task})) for task, parent in parents.items()]
        layer = network.structure.layers[index]
        weights = {
            task: weight_rows(fold(block, layer), inputs, column)
            for column, (task, block) in enumerate(zip(parents, blocks, strict=True))
        }
        for group, block in network.blocks(index):
            write_closed_form(block, network.structure, (index, group), plan, blocks, weights, moments)
        if progress:
            progress(index + 1, len(layers) - 1)
