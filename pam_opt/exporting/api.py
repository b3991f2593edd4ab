"""``export``: from a network to files for other runtimes."""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pam_opt.atomic import write_atomic
from pam_opt.errors import ExportFailed, PamOptError
from pam_opt.exporting.capture import capture, larger
from pam_opt.exporting.formats import FORMATS, Runner
from pam_opt.macs import all_combinations, output_positions
from pam_opt.network import MultitaskNetwork, require_multitask
from pam_opt.running import compile_combination, program_macs
from pam_opt.tasks import check_known, combination_key
from pam_opt.training import evaluation_mode

TOLERANCE = 1e-4
_BATCHES = (1, 3)


@dataclass(frozen=True)
class Exported:
    """Say what was written.

    Parameters
    ----------
    tasks : the combination, in the order of the outputs
    nodes : operations in the file's graph
    macs : multiply-accumulates of one sample, those of zeros that `call_macs` allowed included
    dynamic : names of the input's axes whose size is open
    difference : largest difference from the network's outputs, relative to the largest output where that is above 1
    """

    path: Path
    tasks: tuple[str, ...]
    nodes: int
    macs: int
    dynamic: tuple[str, ...]
    difference: float


def export(
    network: MultitaskNetwork,
    path: str | Path,
    tasks: Iterable[str] | None = None,
    *,
    format: str = "onnx",
    call_macs: float = 0.0,
    input_shape: Sequence[int] | None = None,
) -> Exported:
    """Write one combination of tasks as one file: evaluation mode, batch norms folded, only what the tasks need.

    The file is run on random inputs of two batch sizes, and on images of twice the size where their size is open, and
    compared with the network before it takes its name.

    Parameters
    ----------
    tasks : names; None = all, each an output under its name
    format : ``onnx`` (needs ``pam-opt[export]``) or ``torch-export``
    call_macs : MACs per sample that one operation less is worth: groups of units then share an operation that
        multiplies zeros, too, see `pam_opt.running.arrange`; inf = one operation for every layer
    input_shape : of one sample; default: the shape that the network remembers

    Raises
    ------
    ExportFailed : unknown format, missing packages, or a file that computes something else
    TaskError : unknown task names
    UnsupportedModel : no `MultitaskNetwork`; an input shape that is missing or does not fit
    StorageError : the file cannot be written
    """
    require_multitask(network, "export")
    if format not in FORMATS:
        raise ExportFailed(f"format {format!r} is unknown; choose from {', '.join(FORMATS)}")
    form = FORMATS[format]
    form.require()
    chosen = check_known((tasks,) if isinstance(tasks, str) else (tasks or network.tasks), network.tasks)
    names = tuple(task for task in network.tasks if task in chosen)
    shape = _shape(network, input_shape)
    weight = next(network.parameters())
    program = compile_combination(network, names, call_macs=call_macs, input_shape=shape).cpu()
    found: list[tuple[int, float]] = []
    with _quiet():
        graph, dynamic = capture(program, shape, weight.dtype)

        def write(temporary: Path) -> None:
            try:
                form.write(graph, names, dynamic, temporary)
                runner, nodes = form.read(temporary, names)
            except (PamOptError, OSError):
                raise
            except Exception as err:
                raise ExportFailed(f"{combination_key(names)!r} cannot be written as {format}: {err}") from err
            inputs = _inputs(shape, weight.dtype, images=len(dynamic) > 1)
            found.append((nodes, max(_difference(network, names, runner, x) for x in inputs)))

        write_atomic(Path(path), write)
    ((nodes, difference),) = found
    return Exported(Path(path), names, nodes, program_macs(program, shape), tuple(dynamic.values()), difference)


def export_combinations(
    network: MultitaskNetwork,
    path: str | Path,
    *,
    format: str = "onnx",
    call_macs: float = 0.0,
    input_shape: Sequence[int] | None = None,
) -> Iterator[Exported]:
    """Write every combination of tasks as a file of its own: ``net.onnx`` becomes ``net.a+b.onnx``; see `export`."""
    require_multitask(network, "export")
    whole = Path(path)
    for combination in all_combinations(network.structure):
        own = whole.with_name(f"{whole.stem}.{combination_key(combination)}{whole.suffix}")
        yield export(network, own, combination, format=format, call_macs=call_macs, input_shape=input_shape)


def _shape(network: MultitaskNetwork, input_shape: Sequence[int] | None) -> tuple[int, ...]:
    shape = input_shape if input_shape is not None else network.structure.input_shape
    output_positions(network.structure, shape)
    assert shape is not None
    return tuple(shape)


def _inputs(shape: Sequence[int], dtype: torch.dtype, *, images: bool) -> list[Tensor]:
    inputs = [torch.randn(batch, *shape, dtype=dtype) for batch in _BATCHES]
    return [*inputs, larger(inputs[-1])] if images else inputs


@torch.no_grad()
def _difference(network: MultitaskNetwork, names: Sequence[str], runner: Runner, x: Tensor) -> float:
    """Compare the file's outputs with the network's own.

    Raises
    ------
    ExportFailed : they differ, in shape or by more than `TOLERANCE`
    """
    with evaluation_mode(network):
        right = network(x.to(next(network.parameters()).device), names)
    given, worst = runner(x), 0.0
    for task in names:
        expected, found = right[task].cpu(), given[task].detach()
        scale = max(1.0, float(expected.abs().max()))
        same = expected.shape == found.shape
        difference = float((expected - found).abs().max()) / scale if same else float("inf")
        if not difference <= TOLERANCE:
            raise ExportFailed(
                f"the file gives other outputs for task {task!r} on inputs {tuple(x.shape)}: they differ by "
                f"{difference:.2g}, {TOLERANCE:g} is allowed; nothing was written"
            )
        worst = max(worst, difference)
    return worst


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter logs about packages that this project does not use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
