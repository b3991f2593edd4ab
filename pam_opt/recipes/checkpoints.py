"""Weights of parents from files that other programs wrote: safetensors, or torch's without unpickling."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pam_opt.errors import StorageError
from pam_opt.storage import load_tensors

_COUNTER = "num_batches_tracked"
"""Of batch norms; old checkpoints lack it, and nothing that is computed depends on it."""


def load_checkpoint(module: nn.Module, path: str | Path, entry: str | None = None) -> None:
    """Load a state dict from a file into a module, in place.

    Parameters
    ----------
    path : ``.safetensors``, or any other name for a file of ``torch.save``
    entry : key of the state dict in a torch file that holds more than that, such as ``"model"``

    Raises
    ------
    StorageError : no such file, a damaged one, one that needs pickle; no state dict in it; missing or unexpected keys,
        or the first tensor of another shape
    """
    tensors = _select(read_checkpoint(path), path, entry)
    own = module.state_dict()
    problem = _difference(own, tensors)
    if problem:
        raise StorageError(f"checkpoint {str(path)!r} does not fit its network: {problem}")
    module.load_state_dict(tensors, strict=False)


def read_checkpoint(path: str | Path) -> Any:
    """Read what a file holds, on the CPU; nothing is unpickled.

    Raises
    ------
    StorageError : no such file, a damaged one, or one that needs pickle
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return load_tensors(path)[0]
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as err:
        raise StorageError(f"checkpoint {str(path)!r} cannot be read: {err.strerror or err}") from err
    except Exception as err:  # torch raises whatever a damaged or hostile file leads to
        raise StorageError(
            f"checkpoint {str(path)!r} is no torch file of plain tensors, and files are never unpickled, because that "
            f"can run code ({_first_line(err)}); where you trust it, load it in Python and save its weights: "
            "torch.save(network.state_dict(), 'weights.pt')"
        ) from err


def _select(held: Any, path: str | Path, entry: str | None) -> Mapping[str, Tensor]:
    """Return the state dict in what a file holds."""
    if entry is not None:
        if not isinstance(held, Mapping) or entry not in held:
            raise StorageError(f"checkpoint {str(path)!r} has no entry {entry!r}; it holds {_contents(held)}")
        held = held[entry]
    if not isinstance(held, Mapping) or not held or not all(isinstance(value, Tensor) for value in held.values()):
        where = f"entry {entry!r} of checkpoint" if entry is not None else "checkpoint"
        raise StorageError(
            f"{where} {str(path)!r} is no state dict, names with a tensor each: it holds {_contents(held)}; name the "
            "entry that is one by 'entry:', or save network.state_dict() alone"
        )
    return held


def _difference(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Say how a state dict differs from the module's own; empty if it fits."""
    # A tensor that the module has under two names is in some files only once.
    there = {own[name].data_ptr() for name in given if name in own}
    missing = [n for n in own if n not in given and own[n].data_ptr() not in there and not n.endswith(_COUNTER)]
    unexpected = [name for name in given if name not in own]
    parts = [f"it lacks {_some(missing)}"] if missing else []
    parts += [f"it has {_some(unexpected)}, which the network has not"] if unexpected else []
    if parts:
        return "; ".join(parts)
    for name, tensor in given.items():
        if tensor.shape != own[name].shape:
            return f"{name!r} has shape {tuple(tensor.shape)}, the network's has {tuple(own[name].shape)}"
    return ""


def _contents(held: Any) -> str:
    if not isinstance(held, Mapping):
        return f"a {type(held).__name__}"
    return _some([f"{name} ({type(value).__name__})" for name, value in held.items()]) if held else "nothing"


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _first_line(err: Exception) -> str:
    return f"{type(err).__name__}: {(str(err).strip() or 'damaged').splitlines()[0]}"
