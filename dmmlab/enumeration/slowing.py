"""Slowing: of a program that reads one step a tick, one that reads a step every few ticks.

Every link waits so many times as long; then the ticks between steps belong to streams of their own, in which nothing
comes. A neuron waits less before it and more after it, until it is as early as its distance from the input allows
(retiming: Leiserson and Saxe, Algorithmica 6, 1991). Relays do the waiting.
"""

from __future__ import annotations

from collections.abc import Iterable

from dmmlab.enumeration.assembly import INPUT, Assembly
from dmmlab.enumeration.steps import Steps
from dmmlab.machines import CLOCK_KINDS, Link, Machine
from dmmlab.neurons import find_kind


def slow_down(machine: Machine, latency: int, steps: Steps, due: int | None) -> Machine | None:
    """The program at the speed of `steps`: answers that were there `latency` ticks after their steps are there after
    `due` ticks, or as soon as can be where that is None. None where they cannot be there in time.
    """
    constants = {name for name, kind in machine.neurons.items() if find_kind(kind).inputs == {}}
    clock = {name for name, kind in machine.neurons.items() if kind in CLOCK_KINDS}
    links = {link: weight for link, weight in machine.soft_links.items() if weight}
    far = {**_distances(constants, links), **_distances([source.partition(".")[0] for source in INPUT], links)}
    earlier = {name: (steps.speed - 1) * distance for name, distance in far.items()}
    if due is not None and machine.output in far:
        if (too_early := earlier[machine.output] - steps.speed * latency + due) < 0:
            return None
        earlier[machine.output] -= too_early
    to = Assembly(steps)
    names = {name: to.new(kind) for name, kind in machine.neurons.items() if name in far.keys() - constants - clock}
    names[machine.output] = machine.output
    for link, weight in links.items():
        if {link.to_neuron, link.from_neuron} <= far.keys():  # what no source reaches is zero
            source = f"{names.get(link.from_neuron, link.from_neuron)}.{link.from_field}"
            ticks = steps.speed + earlier[link.from_neuron] - earlier[link.to_neuron]
            waited = to.wait({source: 1.0}, max(ticks, 1) - 1)  # a constant may come late
            to.link(f"{names[link.to_neuron]}.{link.to_field}", to.scaled(waited, weight))
    return to.machine({}, machine.dot_clip, "value_input" in machine.neurons.values())


def _distances(begin: Iterable[str], links: Iterable[Link]) -> dict[str, int]:
    """Neurons → the fewest links that lead there."""
    distances, last = dict.fromkeys(begin, 0), {*begin}
    while last:
        last = {link.to_neuron for link in links if link.from_neuron in last} - distances.keys()
        distances |= dict.fromkeys(last, max(distances.values()) + 1)
    return distances
