"""What is drawn of a machine, and where: its live part, and its neurons in layers from the sources to the outputs."""

from __future__ import annotations

from collections.abc import Mapping

from dmmlab.engine.graphs import reached
from dmmlab.machines import SOURCES, Link, Machine

Wire = tuple[Link, float, bool]  # a link, its weight, and whether it is fixed


def parts_of(machine: Machine, live_only: bool) -> tuple[dict[str, str], list[Wire]]:
    """What is drawn, sorted: names of neurons with their kinds; links with their weights and whether they are fixed."""
    kinds = dict(sorted(machine.neurons.items()))
    wires = [(link, weight, False) for link, weight in machine.soft_links.items()]
    wires = sorted(wires + [(link, weight, True) for link, weight in machine.fixed_links.items()])
    if not live_only:
        return kinds, wires
    wires = [wire for wire in wires if wire[1] != 0]
    forth = [(link.from_neuron, link.to_neuron) for link, _, _ in wires]
    back = [(to, source) for source, to in forth]
    outputs = [name for name, kind in kinds.items() if kind == "output"]
    fed = reached([name for name, kind in kinds.items() if kind in SOURCES], forth)
    live = {*outputs, *(fed & reached(outputs, back))}
    kinds = {name: kind for name, kind in kinds.items() if name in live}
    return kinds, [wire for wire in wires if {wire[0].to_neuron, wire[0].from_neuron} <= live]


def layers_of(kinds: Mapping[str, str], wires: list[Wire]) -> list[list[str]]:
    """Neurons by their longest path from the sources, which are the first layer; outputs are the last.

    On the way back from the outputs, links that close a cycle do not count: their ends never share a layer.
    """
    before = {name: sorted({link.from_neuron for link, _, _ in wires if link.to_neuron == name}) for name in kinds}
    ranks = {name: 0 for name, kind in kinds.items() if kind in SOURCES}
    for start in sorted(kinds, key=lambda name: kinds[name] != "output"):
        way = [start]  # from an output down to the neuron in hand
        while way:
            deeper = [name for name in before[way[-1]] if name not in ranks and name not in way]
            if deeper:
                way.append(deeper[0])
                continue
            name = way.pop()
            below = [ranks[source] for source in before[name] if source in ranks]
            ranks.setdefault(name, 1 + max(below, default=0))
    top = 1 + max(ranks.values(), default=0)
    layers: dict[int, list[str]] = {}
    for name, kind in kinds.items():
        layers.setdefault(top if kind == "output" else ranks[name], []).append(name)
    return [layers[rank] for rank in sorted(layers)]


def places_of(layers: list[list[str]]) -> dict[str, tuple[float, int]]:
    """Neurons → their places in points, where there is no room for tables; layers are shifted to let lines pass."""
    longest = max(len(name) for row in layers for name in row)
    width = max(360, (12 + 6 * longest) * max(map(len, layers)))
    places = {}
    for rank, row in enumerate(layers):
        shift = 0.5 if rank in (0, len(layers) - 1) else 0.25 + 0.5 * (rank % 2)
        for number, name in enumerate(row):
            places[name] = width * (number + shift) / len(row), 80 * rank
    return places
