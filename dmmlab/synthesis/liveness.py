"""Which links can matter: those along which something flows from a source to the output."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from dmmlab.engine.graphs import reached
from dmmlab.engine.keys import possible_keys
from dmmlab.machines import Link, Machine
from dmmlab.vvalues import from_leaves


def remove_dead(machine: Machine) -> Machine:
    """The machine without links that cannot matter, and without neurons that none of the others needs.
    A link matters if its weight is not zero, something can flow along it, and what it feeds reaches the output.
    The answers stay the same, exactly. Timer and input are kept.

    >>> len(dmm.remove_dead(dmm.embed(dmm.handcrafted_detector(), dmm.feedforward())).links)
    8
    """
    weights = {link: weight for link, weight in zip(machine.links, machine.vector().tolist(), strict=True) if weight}
    while True:
        inputs, outputs, _ = possible_keys(machine, weights)
        links = [*weights, *machine.fixed_links]
        flowing = [link for link in links if inputs.get(link[:2], 0) & outputs.get(link[2:], 0)]
        useful = reached([machine.output], [(link.to_neuron, link.from_neuron) for link in flowing])
        kept = {link: weights[link] for link in flowing if link in weights and link.to_neuron in useful}
        if len(kept) == len(weights):
            break
        weights = kept
    needed = useful | {name for name, kind in machine.neurons.items() if kind in ("timer", "input")}
    fixed = from_leaves((link, x) for link, x in machine.fixed_links.items() if {link[0], link[2]} <= needed)
    neurons = {name: kind for name, kind in machine.neurons.items() if name in needed}
    links = [link for link in machine.links if link in weights]
    return replace(machine, neurons=neurons, weights=from_leaves(weights.items()), fixed=fixed, links=links)


def without(machine: Machine, links: Collection[Link]) -> Machine:
    """The machine without these soft links and without what cannot matter then."""
    leaves = zip(machine.links, machine.vector().tolist(), strict=True)
    kept = {link: weight for link, weight in leaves if link not in links}
    return remove_dead(replace(machine, weights=from_leaves(kept.items()), links=tuple(kept)))
