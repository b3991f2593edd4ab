"""The formats that networks are exported to. To add one: a subclass of `Format`, and an entry in `FORMATS`."""

import importlib.util
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.export import ExportedProgram

from pam_opt.errors import ExportFailed

Runner = Callable[[Tensor], dict[str, Tensor]]
"""(N, ...) -> task -> (N, outputs)."""


class Format(ABC):
    """Write an exported program to a file, and run such a file by the means of its readers."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()

    def require(self) -> None:
        """Refuse what cannot run here.

        Raises
        ------
        ExportFailed : packages that are not installed
        """
        missing = [package for package in self.packages if importlib.util.find_spec(package) is None]
        if missing:
            raise ExportFailed(
                f"format {self.name!r} needs the packages {', '.join(missing)}, which are not installed; install them "
                "with: pip install 'pam-opt[export]'"
            )

    @abstractmethod
    def write(self, program: ExportedProgram, tasks: Sequence[str], dynamic: dict[int, str], path: Path) -> None:
        """Write the program; `dynamic` names the axes of the input that are open."""

    @abstractmethod
    def read(self, path: Path, tasks: Sequence[str]) -> tuple[Runner, int]:
        """Load a file as its users would; return what runs it, and its number of nodes."""


class Onnx(Format):
    """ONNX by torch's exporter, read by onnxruntime; input ``x``, one output a task under the task's name."""

    name, suffix, packages = "onnx", ".onnx", ("onnx", "onnxruntime", "onnxscript")

    def write(self, program: ExportedProgram, tasks: Sequence[str], dynamic: dict[int, str], path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            written = torch.onnx.export(
                program,
                input_names=["x"],
                output_names=list(tasks),
                dynamic_shapes={"x": dynamic},
                dynamo=True,
                verbose=False,
            )
        assert written is not None
        written.save(str(path), external_data=False)

    def read(self, path: Path, tasks: Sequence[str]) -> tuple[Runner, int]:
        import onnx
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

        def run(x: Tensor) -> dict[str, Tensor]:
            outputs = session.run(list(tasks), {"x": x.numpy()})
            return {task: torch.from_numpy(output) for task, output in zip(tasks, outputs, strict=True)}

        return run, len(onnx.load(path).graph.node)


class TorchExport(Format):
    """The file of ``torch.export.save``; ``torch.export.load(path).module()(x)`` gives task -> outputs."""

    name, suffix = "torch-export", ".pt2"

    def write(self, program: ExportedProgram, tasks: Sequence[str], dynamic: dict[int, str], path: Path) -> None:
        with path.open("wb") as file:
            torch.export.save(program, file)

    def read(self, path: Path, tasks: Sequence[str]) -> tuple[Runner, int]:
        with path.open("rb") as file:
            program = torch.export.load(file)
        return program.module(), sum(node.op == "call_function" for node in program.graph.nodes)


FORMATS: dict[str, Format] = {form.name: form for form in (Onnx(), TorchExport())}
"""Name -> format."""
