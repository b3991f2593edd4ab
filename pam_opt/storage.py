"""Networks on disk: one safetensors file with the structure in its header. Nothing is unpickled."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pam_opt.atomic import write_atomic
from pam_opt.errors import PamOptError, StorageError
from pam_opt.macs import output_positions
from pam_opt.network import MultitaskNetwork, require_multitask
from pam_opt.structure import Structure

SCHEMA = 2
_KEY = "pam_opt"


def save(network: MultitaskNetwork, path: str | Path) -> None:
    """Write a network to one file: whole, or not at all.

    Raises
    ------
    StorageError : the file cannot be written
    UnsupportedModel : no `MultitaskNetwork`
    """
    require_multitask(network, "save")
    header = {_KEY: json.dumps({"schema": SCHEMA, "structure": network.structure.to_json()})}
    save_tensors(network.state_dict(), Path(path), header)


def load(path: str | Path) -> MultitaskNetwork:
    """Read a network that `save` wrote, in evaluation mode.

    Raises
    ------
    StorageError : not such a file, a damaged one, or weights that do not fit the structure it claims
    """
    tensors, header = load_tensors(path)
    if _KEY not in header:
        raise StorageError(f"{str(path)!r} holds no network of pam-opt, only tensors; write it with pam_opt.save")
    try:
        data = json.loads(header[_KEY])
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']}, this version reads {SCHEMA}; merge again")
        structure = Structure.from_json(data["structure"])
        # Built without memory, so that a header that claims billions of units cannot take it.
        with torch.device("meta"):
            network = MultitaskNetwork(structure)
        network.load_state_dict(tensors, assign=True)
        if len({parameter.dtype for parameter in network.parameters()}) > 1:
            raise ValueError("its weights are of different types")
        if structure.input_shape is not None:
            output_positions(structure)
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RuntimeError, PamOptError) as err:
        what = f"{type(err).__name__}: {err}"
        raise StorageError(
            f"{str(path)!r} holds no network of pam-opt that fits itself ({what}); save it again"
        ) from err
    return network.requires_grad_(True).eval()


def save_tensors(tensors: dict[str, Tensor], path: Path, header: dict[str, str] | None = None) -> None:
    """Write tensors to a safetensors file: whole, or not at all.

    Raises
    ------
    StorageError : the file cannot be written
    """
    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}

    def write(temporary: Path) -> None:
        try:
            save_file(plain, temporary, header)
        except SafetensorError as err:
            raise OSError(str(err)) from err

    write_atomic(path, write)


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read all tensors of a safetensors file, and its header's metadata.

    Raises
    ------
    StorageError : no such file, or not a whole safetensors file
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as err:
        raise StorageError(f"{str(path)!r} is not a whole safetensors file: {err}; save it again") from err
