"""Which links can matter: those along which something flows from a source to the output."""

from __future__ import annotations

from dataclasses import replace

from dmmlab.engine.graphs import reached
from dmmlab.engine.keys import possible_keys
from dmmlab.machines import CLOCK_KINDS, Machine
from dmmlab.vvalues import from_leaves


def remove_dead(machine: Machine) -> Machine:
    """The machine without dead links, and without neurons that none of the others needs.
    A link is alive if its weight is not zero, something can flow along it, and what it feeds reaches the output.
    The answers stay the same, exactly. Timer and input are kept.

    >>> len(dmm.remove_dead(dmm.embed(dmm.handcrafted_detector(), dmm.feedforward())).links)
    8
    """
    alive, before = {link: weight for link, weight in machine.soft_links.items() if weight}, -1
    while len(alive) != before:
        before = len(alive)
        inputs, outputs, _ = possible_keys(machine, alive)
        links = [*alive, *machine.fixed_links]
        flowing = [link for link in links if inputs.get(link[:2], 0) & outputs.get(link[2:], 0)]
        useful = reached([machine.output], [(link.to_neuron, link.from_neuron) for link in flowing])
        alive = {link: alive[link] for link in flowing if link in alive and link.to_neuron in useful}
    needed = useful | {name for name, kind in machine.neurons.items() if kind in CLOCK_KINDS}
    neurons = {name: kind for name, kind in machine.neurons.items() if name in needed}
    fixed = {link: x for link, x in machine.fixed_links.items() if {link.to_neuron, link.from_neuron} <= needed}
    weights, fixed = from_leaves(alive.items()), from_leaves(fixed.items())
    return replace(machine, neurons=neurons, weights=weights, fixed=fixed, links=tuple(alive))
