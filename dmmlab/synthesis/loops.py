"""Loops: in which order neurons are walked where they read themselves or each other, other than as memories do.

A machine falls into groups: single neurons, and loops, that is sets of neurons each of which reads all others, over
however many links. Groups have an order, from the sources to the output. Inside a loop neurons have a *depth*: 0 for
those that read something from outside, 1 for others that read those, and so on. What is not of less depth is read back.
"""

from __future__ import annotations

from dmmlab.engine.graphs import components
from dmmlab.files import DMMError
from dmmlab.machines import CLOCK_KINDS, Machine
from dmmlab.neurons import find_kind


def check_fixed(machine: Machine) -> None:
    """Raises DMMError for a fixed link that is neither of the clock nor a memory of weight 1."""
    for link, weight in machine.fixed_links.items():
        kind, source = machine.neurons[link.to_neuron], machine.neurons[link.from_neuron]
        memory = (link.from_neuron, find_kind(kind).memory) == link[:2]
        if weight != 1.0 or not (memory or {kind, source} <= {*CLOCK_KINDS}):
            raise DMMError(
                f"{link}: a fixed link of weight {weight}; only the clock and memories are fixed in a program"
            )


def read_by(machine: Machine) -> dict[str, list[str]]:
    """Neuron → the neurons it reads, each once, in the order of the links; memories left out."""
    sources: dict[str, dict[str, None]] = {name: {} for name in machine.neurons}
    for link in machine.links:
        sources[link.to_neuron][link.from_neuron] = None
    for link in machine.fixed_links:
        if link.to_neuron != link.from_neuron:
            sources[link.to_neuron][link.from_neuron] = None
    return {name: [*each] for name, each in sources.items()}


def walk(machine: Machine) -> list[dict[str, int]]:
    r"""The groups of a machine from the sources to the output: neurons with their depths, ascending; one, or a loop.
    Raises DMMError for fixed links that are no memories.

    >>> walk(dmm.write_program("output.dict-1 <- compare.true\ncompare.dict-1 <- compare.true"))[-2:]
    [{'compare': 0}, {'output': 0}]
    """
    check_fixed(machine)
    sources = read_by(machine)
    return [_depths(group, sources) for group in components(sources)]


def has_loop(machine: Machine) -> bool:
    """Whether neurons read themselves or each other in circles, memories aside."""
    sources = read_by(machine)
    return any(len(group) > 1 or group[0] in sources[group[0]] for group in components(sources))


def topological_order(machine: Machine) -> list[str]:
    """The neurons from the sources to the output. Raises DMMError where a loop other than a memory is."""
    sources, order = read_by(machine), []
    for group in walk(machine):
        names = [*group]
        if len(names) > 1 or names[0] in sources[names[0]]:
            raise DMMError(f"{', '.join(names)}: a loop of links; only memories may loop here")
        order += names
    return order


def _depths(group: list[str], sources: dict[str, list[str]]) -> dict[str, int]:
    depths, rest = {}, sorted(group)
    while rest:
        known = {name for name in rest if any(each in depths or each not in group for each in sources[name])}
        depths |= {name: len({*depths.values()}) for name in rest if name in (known or rest)}
        rest = [name for name in rest if name not in depths]
    return depths
