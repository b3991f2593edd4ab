"""Make layers of steps: a unit-wise operation goes behind what it alone reads, or into a layer `pass`."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import NoReturn

from pam_opt.errors import UnsupportedModel
from pam_opt.operations import Operation
from pam_opt.structure import INPUT, Layer
from pam_opt.tracing.steps import UNIT_WISE, Step, Weights, reads_input
from pam_opt.tracing.ties import count_units, kept_reasons, tie_steps
from pam_opt.tracing.values import Segment


@dataclass
class Draft:
    """Hold one layer while operations are put behind it.

    Parameters
    ----------
    layer : so far
    units : that it writes
    weights : of its parts: ``"operation"``, ``"norm"``, or the index in ``post``
    shown : how messages name it
    """

    layer: Layer
    units: int
    shown: str
    weights: dict[str, Weights] = field(default_factory=dict)


@dataclass(frozen=True)
class Layers:
    """Hold what `build_layers` finds: prelude, number of input channels or features, layers in order."""

    prelude: tuple[Operation, ...]
    inputs: int
    drafts: list[Draft]


def build_layers(steps: list[Step], result: list[Segment], inputs: int | None, who: str) -> Layers:
    """Make layers of steps that are cut.

    Raises
    ------
    UnsupportedModel : no head, a head that is more than a dense layer, or an input that is prepared in two ways
    """
    return _Builder(steps, result, who).build(inputs)


class _Builder:
    def __init__(self, steps: list[Step], result: list[Segment], who: str) -> None:
        self.steps, self.result, self.who = steps, result, who
        self.ties = tie_steps(steps)
        self.units = count_units(steps, self.ties)
        self.kept = kept_reasons(steps, self.ties)
        self.readers = Counter(segment.step for step in steps for segment in step.inputs)
        self.readers.update(segment.step for segment in result)
        self.prelude: list[Operation] = []
        self.input_end = INPUT
        self.place = {INPUT: INPUT}
        self.drafts: list[Draft] = []
        self.first: dict[int, int] = {}
        self.names: Counter[str] = Counter()

    def build(self, inputs: int | None) -> Layers:
        for index, step in enumerate(self.steps):
            if step.on_input:
                self._prepare(index, step)
        for index, step in enumerate(self.steps):
            if step.on_input:
                continue
            self._check_input(step)
            (source,) = step.inputs if step.kind == UNIT_WISE else (Segment(INPUT),)
            if step.kind != UNIT_WISE:
                self._add(index, step)
            elif self.readers[source.step] > 1:
                self._add(index, replace(step, kind="pass", weights=None))
                self._append(index, step)
            else:
                self.place[index] = self.place[source.step]
                self._append(index, step)
        self._check_head()
        assert inputs is not None
        return Layers(tuple(self.prelude), inputs, self.drafts)

    def _prepare(self, index: int, step: Step) -> None:
        """Put an operation on the network's input into the prelude, which all layers read."""
        (source,) = step.inputs
        if source.step != self.input_end:
            self._refuse(step, "prepares the input in a second way; all layers must read it prepared alike")
        assert step.operation is not None
        self.prelude.append(step.operation)
        self.input_end, self.place[index] = index, INPUT

    def _check_input(self, step: Step) -> None:
        for segment in step.inputs:
            if reads_input(segment, self.steps) and segment.step != self.input_end:
                self._refuse(step, "reads the input prepared otherwise than others do; prepare it alike for all layers")

    def _add(self, index: int, step: Step) -> None:
        first = self.first.setdefault(self.ties[index], len(self.drafts))
        self.place[index] = len(self.drafts)
        units = self.units[index]
        layer = Layer(
            self._unique(step.name),
            step.kind,
            self._settings(step, units),
            step.bias,
            self._features(step),
            None,
            (),
            tuple(self.place[segment.step] for segment in step.inputs),
            first,
            step.channels // units,
            self.kept[index],
        )
        weights = {"operation": step.weights} if step.weights else {}
        self.drafts.append(Draft(layer, units, step.shown, weights))

    def _settings(self, step: Step, units: int) -> dict:
        groups = step.parts // units
        return {**step.settings, "groups": groups} if step.kind == "unit_conv2d" and groups > 1 else step.settings

    def _features(self, step: Step) -> int:
        """Count the values that every input unit contributes; of a `unit_conv2d`, those of one of its groups."""
        if step.kind == "unit_conv2d":
            return step.inputs[0].channels // step.parts
        if not step.is_dense:
            return 1
        values = {self._size(segment) * step.positions for segment in step.inputs}
        if len(values) > 1:
            self._refuse(
                step,
                f"reads units of {', '.join(map(str, sorted(values)))} values beside each other; "
                "use groups of the same size on what is concatenated",
            )
        return values.pop()

    def _size(self, segment: Segment) -> int:
        return 1 if reads_input(segment, self.steps) else segment.channels // self.units[segment.step]

    def _append(self, index: int, step: Step) -> None:
        """Put an operation behind its layer; a batch norm right behind weights becomes the layer's norm."""
        draft = self.drafts[self.place[index]]
        assert step.operation is not None
        size = step.channels // self.units[index]
        operation = replace(step.operation, features=step.operation.features * size)
        layer = draft.layer
        if operation.is_norm and layer.has_weights and layer.norm is None and not layer.post:
            draft.layer, place = replace(layer, norm=operation), "norm"
        else:
            draft.layer, place = replace(layer, post=(*layer.post, operation)), str(len(layer.post))
        if step.weights:
            draft.weights[place] = step.weights

    def _check_head(self) -> None:
        if not self.drafts:
            raise UnsupportedModel(f"{self.who}: it has no Linear or Conv2d module")
        head = self.drafts[-1]
        alone = len(self.result) == 1 and sum(draft.layer.ties == head.layer.ties for draft in self.drafts) == 1
        if not alone or not head.layer.is_dense or head.layer.norm is not None or head.layer.size > 1:
            raise UnsupportedModel(
                f"{self.who}: its last layer {head.layer.name!r} is no plain Linear head; end in one ({head.shown} is "
                f"a {head.layer.kind} layer{'' if alone else ' whose units other layers write or that is only a part'})"
            )

    def _unique(self, name: str) -> str:
        self.names[name] += 1
        return name if self.names[name] == 1 else f"{name} ({self.names[name]})"

    def _refuse(self, step: Step, why: str) -> NoReturn:
        raise UnsupportedModel(f"{self.who}: {step.shown} {why}")
