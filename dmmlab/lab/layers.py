"""What is drawn of a machine, and where: its live part, and its neurons in layers from the sources to the outputs."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import accumulate, chain
from typing import NamedTuple

from dmmlab.engine.graphs import reached
from dmmlab.machines import SOURCE_KINDS, Link, Machine
from dmmlab.neurons import find_kind


class Wire(NamedTuple):
    """A link that is drawn."""

    link: Link
    weight: float
    fixed: bool


def parts_of(machine: Machine, live_only: bool) -> tuple[dict[str, str], list[Wire]]:
    """What is drawn, sorted: names of neurons with their kinds; links with their weights and whether they are fixed."""
    kinds = dict(sorted(machine.neurons.items()))
    wires = [Wire(link, weight, False) for link, weight in machine.soft_links.items()]
    wires += [Wire(link, weight, True) for link, weight in machine.fixed_links.items()]
    wires.sort()
    if not live_only:
        return kinds, wires
    wires = [wire for wire in wires if wire.weight != 0]
    live = _live(kinds, wires)
    kinds = {name: kind for name, kind in kinds.items() if name in live}
    return kinds, [wire for wire in wires if wire.link.from_neuron in live and wire.link.to_neuron in live]


def is_source(kind: str) -> bool:
    """Whether a kind emits by itself: those at the border, and every kind without inputs, such as "letter a"."""
    return kind in SOURCE_KINDS or find_kind(kind).inputs == {}


def _live(kinds: Mapping[str, str], wires: list[Wire]) -> set[str]:
    """Outputs, and neurons that lie on a way from a source to an output."""
    sources = [name for name, kind in kinds.items() if is_source(kind)]
    outputs = [name for name, kind in kinds.items() if kind == "output"]
    fed = reached(sources, [(link.from_neuron, link.to_neuron) for link, _, _ in wires])
    used = reached(outputs, [(link.to_neuron, link.from_neuron) for link, _, _ in wires])
    return fed & used | {*outputs}


def short_names(kinds: Mapping[str, str]) -> dict[str, str]:
    """Neurons named kind-layer-copy or kind-copy → as much of it as no other name begins with, such as `compare-3`."""
    ways = {name: [*accumulate(name.split("-"), "{}-{}".format)] for name in kinds}
    begun = Counter(chain.from_iterable(ways.values()))
    return {
        name: next((way for way in ways[name] if way.startswith(kind) and begun[way] == 1), name)
        for name, kind in kinds.items()
        if re.fullmatch(rf"{re.escape(kind)}(-\d+){{1,2}}", name)
    }


def layers_of(kinds: Mapping[str, str], wires: list[Wire]) -> list[list[str]]:
    """Neurons by their longest path from the sources, which are the first layer; outputs are the last."""
    ranks = _ranks(kinds, wires)
    top = 1 + max(ranks.values(), default=0)
    layers = defaultdict(list)
    for name, kind in kinds.items():
        rank = top if kind == "output" else ranks[name]
        layers[rank].append(name)
    return [layers[rank] for rank in sorted(layers)]


def _ranks(kinds: Mapping[str, str], wires: list[Wire]) -> dict[str, int]:
    """Neurons → the lengths of their longest paths from the sources.

    On the way back from the outputs, links that close a cycle do not count: their ends never share a layer.
    """
    before = defaultdict(set)
    for link, _, _ in wires:
        before[link.to_neuron].add(link.from_neuron)
    ranks = {name: 0 for name, kind in kinds.items() if is_source(kind)}
    for start in sorted(kinds, key=lambda name: kinds[name] != "output"):
        way = [start]  # from an output down to the neuron in hand
        while way:
            name = way[-1]
            deeper = before[name] - ranks.keys() - {*way}
            if deeper:
                way.append(min(deeper))
                continue
            way.pop()
            below = [ranks[source] for source in before[name] & ranks.keys()]
            ranks.setdefault(name, 1 + max(below, default=0))
    return ranks


def in_lines(name: str) -> list[str]:
    """A name in one line or two, kind above layer and copy, where there is little room."""
    return name.split("-", 1)


def places_of(layers: list[list[str]]) -> dict[str, tuple[float, int]]:
    """Neurons → their places in points, where there is no room for tables; layers are shifted to let lines pass."""
    longest = max(len(line) for row in layers for name in row for line in in_lines(name))
    width = max(360, (12 + 6 * longest) * max(map(len, layers)))
    places = {}
    for rank, row in enumerate(layers):
        shift = 0.75 if rank % 2 else 0.25
        if row in (layers[0], layers[-1]):
            shift = 0.5
        for number, name in enumerate(row):
            places[name] = width * (number + shift) / len(row), 80 * rank
    return places
