"""Multi-Task Zipping (MTZ): merge networks layer by layer by the functional difference of their units."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar, overload

import torch
from torch import nn

from pam_opt.errors import PlanError
from pam_opt.merging.moments import TaskData
from pam_opt.network import MultitaskNetwork
from pam_opt.parents import convert_parents
from pam_opt.plans import LayerPlan, Plan
from pam_opt.structure import require_chain
from pam_opt.tasks import Task, check_tasks
from pam_opt.training import Batches, TrainOptions, train
from pam_opt.zipping.lattice import LatticeForm
from pam_opt.zipping.options import checked_balance, per_layer, steps_per_layer
from pam_opt.zipping.pairs import LayerInputs, PairOptions
from pam_opt.zipping.weight_form import WeightForm
from pam_opt.zipping.weight_sharing import WeightSharingNetwork

__all__ = ["WeightSharingNetwork", "WeightsZipped", "Zipped", "Zipper", "zip_networks"]


F = TypeVar("F", LatticeForm, WeightForm)


class Zipped(NamedTuple):
    """Hold the network, and the plan that says which units became one and what its solvers did."""

    network: MultitaskNetwork
    plan: Plan


class WeightsZipped(NamedTuple):
    """Hold the network that shares weights, and the plan that says which units share theirs."""

    network: WeightSharingNetwork
    plan: Plan


@dataclass(frozen=True)
class Zipper:
    """Zip parents layer by layer: inputs of each layer are those that are merged and, if asked for, retrained already.

    Parameters
    ----------
    data : inputs and weight of every task
    pairs : layer name -> which pairs are made
    retrain : called with the layer's name and the network after each layer; trains it in place
    progress : called with (layers done, layers)
    """

    data: TaskData
    pairs: Mapping[str, PairOptions]
    retrain: Callable[[str, nn.Module], None] | None = None
    progress: Callable[[int, int], None] | None = None

    def run(self, state: F) -> tuple[F, list[LayerPlan], list[dict[str, Any]]]:
        """Zip all layers but the heads; returns the last state, the plan of every layer and records."""
        plans, records = [], []
        for index, (name, options) in enumerate(self.pairs.items()):
            weights, moments = state.weight_rows(index), state.moments(index, self.data)
            inputs = LayerInputs(state.structure, index, weights, moments, self.data.balance)
            plan, made = inputs.pair(options)
            state = state.zip_layer(index, plan, weights, moments)
            if self.retrain:
                state = state.trained(partial(self.retrain, name))
            plans.append(plan)
            records += made
            if self.progress:
                self.progress(index + 1, len(self.pairs))
        return state, plans, records


@overload
def zip_networks(
    parents: Mapping[str, nn.Module],
    calibration: Batches | Mapping[str, Batches],
    *,
    tasks: Sequence[Task],
    form: Literal["lattice"] = "lattice",
    share: float | Mapping[str, float] = 1.0,
    eps: float | Mapping[str, float] | None = None,
    pairs: str = "greedy",
    balance: Mapping[str, float] | None = None,
    steps: int | Mapping[str, int] = 0,
    training: TrainOptions | None = None,
    train_batches: Batches | None = None,
    time_limit: float | None = None,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Zipped: ...


@overload
def zip_networks(
    parents: Mapping[str, nn.Module],
    calibration: Batches | Mapping[str, Batches],
    *,
    tasks: Sequence[Task],
    form: Literal["weights"],
    share: float | Mapping[str, float] = 1.0,
    eps: float | Mapping[str, float] | None = None,
    pairs: str = "greedy",
    balance: Mapping[str, float] | None = None,
    steps: int | Mapping[str, int] = 0,
    training: TrainOptions | None = None,
    train_batches: Batches | None = None,
    time_limit: float | None = None,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> WeightsZipped: ...


def zip_networks(
    parents: Mapping[str, nn.Module],
    calibration: Batches | Mapping[str, Batches],
    *,
    tasks: Sequence[Task],
    form: Literal["lattice", "weights"] = "lattice",
    share: float | Mapping[str, float] = 1.0,
    eps: float | Mapping[str, float] | None = None,
    pairs: str = "greedy",
    balance: Mapping[str, float] | None = None,
    steps: int | Mapping[str, int] = 0,
    training: TrainOptions | None = None,
    train_batches: Batches | None = None,
    time_limit: float | None = None,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Zipped | WeightsZipped:
    """Merge trained networks by Multi-Task Zipping [1]_.

    Layer by layer, on inputs x that are merged already (a constant is appended), with
    ``H_t = a_t E_t[x x']`` on task t's data: the cost of sharing units with incoming weights w_A, w_B is

        ``d = 1/2 (w_A - w_B)' (H_A^-1 + H_B^-1)^-1 (w_A - w_B)``,

    the pairs of least cost are shared, and their common weights are
    ``w_A + H_A^-1 (H_A^-1 + H_B^-1)^-1 (w_B - w_A)``. Then the next layer's inputs are put in order, and the network is
    retrained lightly. Heads are not merged. Of more than two networks one is added after the other.

    The two forms differ in what becomes of the weights by which shared units read exclusive ones. The *lattice* form
    (default) cuts them: shared units are computed once for all tasks, which saves computation and memory, and is what
    this project's costs count. The *weights* form keeps them for each task apart, as published: tasks share weights,
    not activations, which saves memory only. With everything shared (``share=1``, equal widths) the two are the same.

    Parameters
    ----------
    parents : task name -> trained module; as in `pam_opt.plan`. Widths may differ; what has no partner stays exclusive
    calibration : re-iterable batches for all tasks, or task name -> batches of its own; targets are not used
    tasks : one `Task` for each parent, in the order in which they are zipped
    form : ``lattice`` or ``weights``, see above
    share : fraction of the possible pairs that are shared, for all layers or per layer name
    eps : instead of `share`: all pairs that cost less, as long as both units are free; for all layers or per layer
    pairs : solver of the pairing: ``greedy``, smallest cost first, as published; ``hungarian`` for the least sum of
        costs; ``random`` as a control; or any of kind ``pairing``
    balance : task -> a_t, how much its pre-activations count; scaled to sum to 1, equal by default
    steps : training steps after each layer, for all layers or per layer name (the others get none)
    training, train_batches : for `steps`; see `pam_opt.train`
    time_limit, threads : for each problem handed to the solver
    progress : called with (layers done, layers)

    Returns
    -------
    network, plan : `MultitaskNetwork`, or `pam_opt.zipping.WeightSharingNetwork` of the form ``weights``, in evaluation
        mode, and the `Plan` with a record of every pairing

    Raises
    ------
    PlanError : options out of range, steps without train_batches, a layer that would share what it cannot read
    UnsupportedModel, DataError, TaskError : see `pam_opt.measure`
    SolverNotFound, SolverUnsuitable, SolverFailed : see `pam_opt_solvers.solve`

    Notes
    -----
    Beyond the paper: biases are shared as weights of the constant input. Batch norms are folded into the weights and
    written anew behind them. H_A and H_B may be singular (dead inputs, fewer samples than inputs): 1e-6 of the inputs'
    mean square is added to their diagonals, so that in directions that no sample shows the weights become the
    balance's mean; no matrix of one task alone is inverted. Of large convolution maps positions are drawn, as in
    ``merge(weights="refit")``.

    References
    ----------
    .. [1] He, Zhou, Thiele, Multi-Task Zipping via Layer-wise Neuron Sharing, NeurIPS 2018, arXiv 1805.09791

    Examples
    --------
    >>> import torch
    >>> import pam_opt as pam
    >>> from pam_opt.families import mlp
    >>> parents = {name: mlp((4,), 3, widths=(8, 6)) for name in "ab"}
    >>> tasks = [pam.Task(name, classes=range(2)) for name in "ab"]
    >>> network, plan = pam.zip_networks(parents, [(torch.randn(64, 4), {})], tasks=tasks, share=0.5)
    >>> [layer.widths[frozenset("ab")] for layer in plan.layers]
    [4, 3]
    """
    if form not in ("lattice", "weights"):
        raise PlanError(f"form={form!r} is unknown; choose from ['lattice', 'weights']")
    names = tuple(task.name for task in check_tasks(tasks, parents))
    started = time.perf_counter()
    data = TaskData.of(names, calibration, checked_balance(balance, names), seed)
    shape = tuple(data.inputs[names[0]][0].shape[1:])
    converted = convert_parents({name: parents[name] for name in names}, shape)
    require_chain(converted[names[0]].structure, "zip_networks", "use plan(problem='pairing') and merge")
    structure = converted[names[0]].structure
    shares = per_layer("share", share, structure, 1.0, 1.0)
    thresholds = {} if eps is None else per_layer("eps", eps, structure, math.inf, 0.0)
    options = {
        layer: PairOptions(shares[layer], thresholds.get(layer), pairs, time_limit, seed, threads) for layer in shares
    }
    retrain = _retraining(steps_per_layer(steps, structure), train_batches, tasks, training, seed)
    zipper = Zipper(data, options, retrain, progress)
    if form == "weights":
        shared, layers, records = zipper.run(WeightForm.of(converted))
        return WeightsZipped(shared.finish(), _plan(names, layers, shape, records, started))
    zipped, layers, records = zipper.run(LatticeForm.of(converted))
    return Zipped(zipped.finish(), _plan(names, layers, shape, records, started))


def _plan(
    tasks: tuple[str, ...],
    layers: Sequence[LayerPlan],
    shape: tuple[int, ...],
    records: Sequence[Mapping[str, Any]],
    started: float,
) -> Plan:
    return Plan(tasks, tuple(layers), shape, tuple(records), {"measure": 0.0, "solve": time.perf_counter() - started})


def _retraining(
    steps: Mapping[str, int],
    batches: Batches | None,
    tasks: Sequence[Task],
    options: TrainOptions | None,
    seed: int,
) -> Callable[[str, nn.Module], None] | None:
    if not any(steps.values()):
        return None
    if batches is None:
        raise PlanError("steps= needs train_batches=; pass batches with targets, or steps=0")

    def retrain(layer: str, network: nn.Module) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            train(network, batches, tasks, steps[layer], options)

    return retrain
