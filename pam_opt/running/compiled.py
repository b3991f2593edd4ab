"""A network to be run: the program of every combination of tasks, built when it is first asked for and kept."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from pam_opt.errors import UnsupportedModel
from pam_opt.network import MultitaskNetwork, require_multitask
from pam_opt.running.program import compile_combination
from pam_opt.structure import INPUT
from pam_opt.tasks import Group, check_known, combination_key


class CompiledNetwork(nn.Module):
    """Run any combination of tasks by its program, in evaluation mode only; built by `pam_opt.compiled`.

    It holds a copy of the network, and every program that was built holds copies of the weights it needs, with batch
    norms folded in. Nothing is shared with the network that it was made from: train and prune that one, then compile it
    again.
    """

    def __init__(
        self, network: MultitaskNetwork, *, channels_last: bool, call_macs: float, torch_compile: bool
    ) -> None:
        super().__init__()
        require_multitask(network, "compiled")
        self.channels_last, self.call_macs, self.torch_compile = channels_last, call_macs, torch_compile
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.programs = nn.ModuleDict()
        super().train(False)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return self.network.tasks

    def program(self, tasks: Iterable[str] | None = None) -> nn.Module:
        """Return the program of a combination, which takes what `MultitaskNetwork.enter` gives the first layers.

        Raises
        ------
        TaskError : unknown or no task names
        UnsupportedModel : `call_macs` is asked for, and the network does not remember its input shape
        """
        asked = (tasks,) if isinstance(tasks, str) else tasks
        active = frozenset(self.tasks) if asked is None else check_known(asked, self.tasks)
        key = "for_" + combination_key(active)
        if key not in self.programs:
            self.programs[key] = self._build(active)
        return self.programs[key]

    def forward(self, x: Tensor, tasks: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Run a combination of tasks, as `MultitaskNetwork` does.

        Parameters
        ----------
        x : (N, C, H, W) or (N, D)
        tasks : names; None runs all of them

        Returns
        -------
        outputs : task name -> (N, outputs of the task)

        Raises
        ------
        TaskError : unknown or no task names
        UnsupportedModel : an input of the wrong shape, type or device
        """
        program = self.program(tasks)
        (entered,) = self.network.enter(x)[INPUT].values()
        if self.channels_last and entered.ndim == 4:
            entered = entered.contiguous(memory_format=torch.channels_last)
        return program(entered)

    def train(self, mode: bool = True) -> "CompiledNetwork":
        """Stay in evaluation mode.

        Raises
        ------
        UnsupportedModel : `mode` is true
        """
        if mode:
            raise UnsupportedModel(
                "a compiled network holds copies of the weights with batch norms folded in, and is not trained: train "
                "or prune the network that it was made from, then compile that again"
            )
        return super().train(False)

    def _build(self, active: Group) -> nn.Module:
        program = compile_combination(self.network, active, call_macs=self.call_macs)
        program.prelude = nn.Sequential()  # `forward` enters the input, which checks it
        if self.channels_last:
            program.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if not self.torch_compile:
            return program
        faster = torch.compile(program)
        assert isinstance(faster, nn.Module)
        return faster


def compiled(
    network: MultitaskNetwork, *, channels_last: bool = True, call_macs: float = 0.0, torch_compile: bool = False
) -> CompiledNetwork:
    """Make a network ready to run: ``compiled(network)(x, tasks)`` equals ``network.eval()(x, tasks)``, sooner.

    The program of a combination has only the groups that it needs, in few and large operations with batch norms folded
    in. It is built when the combination is first run, and kept.

    Parameters
    ----------
    network : stays as it is, and shares nothing with the result: train and prune it, then compile it again
    channels_last : lay out the weights and inputs of convolutions with channels last, which most processors prefer
    call_macs : MACs per sample that one call less is worth, see `pam_opt.running.arrange`; inf = one call a layer
    torch_compile : hand every program to `torch.compile`, which takes its time at the first run of each input shape

    Raises
    ------
    UnsupportedModel : no `MultitaskNetwork`

    >>> fast = pam.compiled(network)  # doctest: +SKIP
    >>> fast(x, tasks=["a"])["a"]  # doctest: +SKIP
    """
    return CompiledNetwork(network, channels_last=channels_last, call_macs=call_macs, torch_compile=torch_compile)
