"""Second moments of what a layer of the merged network reads, on each task's own data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pam_opt.data import checked
from pam_opt.errors import DataError
from pam_opt.macs import output_positions
from pam_opt.merging.rows import append_one, choose_positions, input_rows, rows_per_sample
from pam_opt.network import MultitaskNetwork
from pam_opt.training import Batches, evaluation_mode

RIDGE = 1e-6
"""Added to the diagonal of every second-moment matrix, relative to its inputs' mean square.

Inputs that never fire, inputs that repeat each other and fewer samples than inputs leave a matrix singular. In such
directions, where the data say nothing, the ridge lets the balance of the tasks decide.
"""

_RIDGE_OF_CONSTANT = 1e-9


@dataclass(frozen=True, eq=False)
class TaskData:
    """Hold the inputs and the weight of every task.

    Parameters
    ----------
    inputs : task -> batches of x; the same object for tasks that share their data
    balance : task -> weight a_t > 0 of its data
    seed : draws the output positions of convolutions
    """

    inputs: Mapping[str, Sequence[Tensor]]
    balance: Mapping[str, float]
    seed: int = 0

    @classmethod
    def of(
        cls,
        tasks: Sequence[str],
        calibration: Batches | Mapping[str, Batches],
        balance: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> "TaskData":
        """Read calibration data, one set for all tasks or one for each.

        Raises
        ------
        DataError : a task without data; and see `pam_opt.data.checked`
        """
        balance = dict.fromkeys(tasks, 1 / len(tasks)) if balance is None else balance
        if not isinstance(calibration, Mapping):
            return cls(dict.fromkeys(tasks, _inputs(calibration, "calibration")), balance, seed)
        missing = sorted(set(tasks) - set(calibration))
        if missing:
            raise DataError(f"calibration has no data of the tasks {missing}; give batches for every task")
        return cls({task: _inputs(calibration[task], f"calibration of {task!r}") for task in tasks}, balance, seed)

    def moments(self, networks: Mapping[str, MultitaskNetwork], index: int) -> dict[str, Tensor]:
        """Return ``H_t = a_t (E_t[x x'] + ridge)`` of a layer's inputs, all groups side by side, for every task.

        Parameters
        ----------
        networks : task -> network that its data run through; the same object for tasks of one network

        Returns
        -------
        moments : task -> (values + 1, values + 1) float64, the constant 1 last

        Raises
        ------
        DataError : moments that overflow
        """
        plain: dict[tuple[int, int], Tensor] = {}
        result = {}
        for task, inputs in self.inputs.items():
            key = id(inputs), id(networks[task])
            if key not in plain:
                plain[key] = _second_moments(networks[task], index, inputs, self.seed)
            result[task] = self.balance[task] * plain[key]
        return result


def _inputs(batches: Batches, what: str) -> list[Tensor]:
    return [x for x, _ in checked(batches, (), what=what)]


@torch.no_grad()
def _second_moments(network: MultitaskNetwork, index: int, inputs: Sequence[Tensor], seed: int) -> Tensor:
    layer, generator = network.structure.layers[index], torch.Generator().manual_seed(seed)
    shape = tuple(inputs[0].shape[1:])
    positions = 1 if layer.kind == "linear" else output_positions(network.structure, shape)[index]
    samples = sum(len(x) for x in inputs)
    total, rows = torch.zeros(()), 0
    with evaluation_mode(network):
        for x in inputs:
            read = _signals_before(network, index, x)
            wanted = rows_per_sample(read.shape[1] * layer.kernel_area, samples)
            values = append_one(input_rows(read, layer, choose_positions(positions, wanted, generator))).double()
            total, rows = total + values.T @ values, rows + len(values)
    moments = total / rows
    if not moments.isfinite().all():
        raise DataError(f"layer {layer.name!r}: second moments of its inputs overflow; scale the calibration inputs")
    power = float(moments.diagonal()[:-1].mean())
    ridge = torch.full((len(moments),), RIDGE * (power or 1.0), dtype=torch.float64)
    ridge[-1] = _RIDGE_OF_CONSTANT  # whatever the scale of the inputs, the constant is 1
    return moments + torch.diag(ridge)


def _signals_before(network: MultitaskNetwork, index: int, x: Tensor) -> Tensor:
    """Compute what layer `index` reads, all groups side by side in canonical order."""
    values = network.enter(x)
    for before in range(index):
        values = network.advance(before, values)
    return network.all_inputs(index, values)
