"""Units of loops: those in which sums inside are exact, for what is rounded in a loop may grow at every tick.

With binary numbers sums are exact where all weights are short binary fractions. Of a neuron that reads thirds the unit
is made three times smaller; then those that read it may read thirds, and so on, until all is well, or never.
"""

from __future__ import annotations

from fractions import Fraction

from dmmlab.machines import Link, Machine
from dmmlab.synthesis.loops import has_loop, walk

HOMOGENEOUS = ("accum", "sum", "norm", "compare")  # kinds that have no units of their own
DENOMINATOR, SAME = 1000, 1e-12  # weights as near, relatively, to a fraction with so small a denominator are that


def in_exact_units(machine: Machine) -> Machine:
    """The machine with its loops in the largest units in which all weights into their neurons are binary fractions.
    Each unit is a whole share of what it was. Loops without such units, or with other weights than fractions, stay.

    >>> program = dmm.write_program("norm.dict <- 0.1 input.char").link("norm.dict", "norm.norm", 0.5)
    >>> in_exact_units(program.link("output.dict-1", "norm.norm", 1.0)).vector()
    array([0.5, 0.5, 0.2])
    """
    if not has_loop(machine):
        return machine
    weights = dict(zip(machine.links, map(_fraction, machine.vector().tolist()), strict=True))
    units: dict[str, int] = {}
    for group in walk(machine):
        into = {link: weight for link, weight in weights.items() if link.to_neuron in group}
        loops = any(link.from_neuron in group for link in into)
        if loops and None not in into.values() and {machine.neurons[name] for name in group} <= {*HOMOGENEOUS}:
            units |= _units([*group], into, units)
    vector = machine.vector()
    for i, link in enumerate(machine.links):
        if {link.to_neuron, link.from_neuron} & units.keys():  # of the same unit too, for it may be off by a bit
            weight = weights[link] or Fraction(vector[i])
            vector[i] = float(weight * units.get(link.to_neuron, 1) / units.get(link.from_neuron, 1))
    return machine.with_vector(vector)


def _units(group: list[str], into: dict[Link, Fraction], others: dict[str, int]) -> dict[str, int]:
    """How many times smaller each neuron's unit has to be; none where that would never end."""
    units = others | dict.fromkeys(group, 1)
    for _ in range(len(group) + 1):
        before = dict(units)
        for link, weight in into.items():
            rest = (weight * units[link.to_neuron] / units.get(link.from_neuron, 1)).denominator
            units[link.to_neuron] *= rest // (rest & -rest)  # without its factors of two
        if units == before:
            return units
    return {}


def _fraction(weight: float) -> Fraction | None:
    near = Fraction(weight).limit_denominator(DENOMINATOR)
    return near if abs(float(near) - weight) <= SAME * abs(weight) else None
