"""What every field may carry: the kinds' formulas run once more, on sets of keys instead of streams.

A set is a whole number, one bit a class of keys: the number, the characters that only the string knows (`FREE`, all of
them together), and one bit for each character that a kind emits by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dmmlab.files import DMMError
from dmmlab.machines import Link, Machine
from dmmlab.neurons import SCALAR, Kind, find_kind
from dmmlab.trees import NUMBER

End = tuple[str, str]  # neuron, field
NUM, FREE = 1, 2


class KeySets:
    """`dmmlab.neurons.Ops` on sets of classes; `letters` are the characters met in constants, with their bits."""

    dot_clip = 1.0

    def __init__(self) -> None:
        self.letters: dict[str, int] = {}

    def add(self, a: int, b: int) -> int:
        return a | b

    difference = add

    def inner(self, a: int, b: int) -> int:
        return NUM if a & b else 0

    def max_norm(self, a: int) -> int:
        return NUM if a else 0

    def number(self, a: int) -> int:
        return a & NUM

    def relu(self, a: int, bound: float = 0.0) -> int:
        return a

    clip = step = relu

    def constant(self, tree: Mapping[str, float]) -> int:
        bits = 0
        for key in tree:
            bits |= NUM if key == NUMBER else self.letters.setdefault(key, 4 << len(self.letters))
        return bits

    def character(self, timer: int) -> int:
        return FREE | sum(self.letters.values())

    def amount(self, timer: int) -> int:
        return NUM


def refuse_trees(machine: Machine) -> None:
    """Raises DMMError for a machine that computes with trees of any depth, which only the interpreter does."""
    for name, kind in machine.neurons.items():
        if find_kind(kind).trees:
            raise DMMError(f"neuron {name!r} ({kind}) computes with trees; use dmm.cycle, dmm.trace or dmm.answers")


def fields_of(kind: Kind, name: str, links: Iterable[Link]) -> dict[str, str | None]:
    """The input fields of a neuron with what they carry; a kind of any fields has those that links touch."""
    if kind.inputs is not None:
        return dict(kind.inputs)
    ends = (((to, field), (source, output)) for to, field, source, output in links)
    return dict.fromkeys(sorted({field for pair in ends for neuron, field in pair if neuron == name}))


def arriving(sources: Iterable[End], outputs: Mapping[End, int], carries: str | None) -> int:
    """What may arrive at an input field that carries this, from output fields that may carry those sets."""
    bits = 0
    for source in sources:
        bits |= outputs.get(source, 0)
    return bits & NUM if carries == SCALAR else bits


def possible_keys(machine: Machine, links: Iterable[Link]) -> tuple[dict[End, int], dict[End, int], dict[str, int]]:
    """What every input field and every output field may carry if only these links (and the fixed ones) are there.

    Also the bits of characters that kinds emit by themselves. Fields that are not among the keys carry nothing.
    Raises DMMError for kinds of trees.
    """
    refuse_trees(machine)
    links, ops = [*links, *machine.fixed_links], KeySets()
    sources: dict[End, list[End]] = {}
    for link in links:
        sources.setdefault(link[:2], []).append(link[2:])
    kinds = {name: find_kind(kind) for name, kind in machine.neurons.items()}
    fields = {name: fields_of(kind, name, links) for name, kind in kinds.items()}
    inputs: dict[End, int] = {}
    outputs: dict[End, int] = {}
    before = None
    while outputs != before:
        before = dict(outputs)
        for name, kind in kinds.items():
            given = {}
            for field, carries in fields[name].items():
                given[field] = inputs[name, field] = arriving(sources.get((name, field), ()), outputs, carries)
            outputs |= {(name, field): bits for field, bits in kind.up(given, ops).items()}
    return inputs, outputs, ops.letters
