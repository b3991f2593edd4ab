"""A compact program as a graph of ``torch.export``, whose batch size, and image size where it can be, stay open."""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from pam_opt.errors import ExportFailed
from pam_opt.running import Program

_AXES = {0: "batch", 2: "height", 3: "width"}


def capture(program: Program, shape: Sequence[int], dtype: torch.dtype) -> tuple[ExportedProgram, dict[int, str]]:
    """Export a program for inputs (batch, *shape).

    Returns
    -------
    exported : the graph
    dynamic : axis of the input -> its name, for those that stay open: ``batch``, and ``height`` and ``width`` where the
        network takes images of other sizes and torch finds no reason against it

    Raises
    ------
    ExportFailed : torch cannot export the program, or not for any batch size
    """
    example = torch.randn(2, *shape, dtype=dtype)
    axes = [0, 2, 3] if takes_larger(program, example) else [0]
    try:
        exported = _export(program, example, axes)
        dynamic = _open_axes(exported)
        # Sizes that the graph takes in some pairs only would surprise: image sizes are open both, or neither is.
        if len(axes) == 3 and not {2, 3} <= dynamic.keys():
            exported = _export(program, example, [0])
            dynamic = _open_axes(exported)
    except Exception as err:
        raise ExportFailed(f"torch.export cannot take the network on inputs {tuple(example.shape)}: {err}") from err
    if 0 not in dynamic:
        raise ExportFailed("torch.export holds the batch size fixed; some operation depends on it")
    return exported, dynamic


@torch.no_grad()
def takes_larger(program: Program, example: Tensor) -> bool:
    """Whether a program runs on images of twice the size, found by running one."""
    if example.ndim != 4:
        return False
    try:
        program(larger(example))
    except RuntimeError:
        return False
    return True


def larger(example: Tensor) -> Tensor:
    """Draw an input like `example` with images of twice the size."""
    batch, channels, height, width = example.shape
    return torch.randn(batch, channels, 2 * height, 2 * width, dtype=example.dtype)


def _export(program: Program, example: Tensor, axes: Sequence[int]) -> ExportedProgram:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(program, (example,), dynamic_shapes={"x": dict.fromkeys(axes, Dim.AUTO)})


def _open_axes(exported: ExportedProgram) -> dict[int, str]:
    (name,) = exported.graph_signature.user_inputs
    (node,) = [node for node in exported.graph.nodes if node.name == name]
    return {axis: _AXES[axis] for axis, size in enumerate(node.meta["val"].shape) if isinstance(size, torch.SymInt)}
