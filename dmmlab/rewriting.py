"""Machines that rewrite themselves: the matrix is the output of a neuron, and neurons live as long as it names them.

A neuron of kind `self` holds the machine's matrix by a link of weight 1 from itself and adds what arrives at its
`delta` (arXiv:1706.00648, appendix B; arXiv:1712.07447, sections 4 and 7). There a matrix has rank 6, with the kinds of
both neurons among its indices. Names are unique here, so depth 4 is enough: the kind of a neuron stands in the
machine's table, and that of one born on the fly, which must be registered, in its name, up to the first hyphen.

A neuron that no link touches is inactive: it emits nothing, and so a link that would activate it has no derivative.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from dmmlab import trees
from dmmlab.files import DMMError, errors_at
from dmmlab.machines import Machine
from dmmlab.neurons import find_kind, kind_by_name
from dmmlab.trees import NUMBER
from dmmlab.vvalues import VValue

MOST_LINKS = 100_000


def find_self(machine: Machine) -> str | None:
    """The name of the neuron that holds its machine's matrix, if there is one. Raises DMMError for more than one."""
    names = [name for name, kind in machine.neurons.items() if kind == "self"]
    if len(names) > 1:
        raise DMMError(f"the machine has {len(names)} neurons of kind 'self' ({', '.join(names)}); keep one")
    return names[0] if names else None


def first_outputs(machine: Machine, matrix: VValue, start: Mapping | None) -> VValue:
    """The outputs before tick 1: those given, and `matrix` as the output of a Self that `start` gives none."""
    outputs, name = VValue(start), find_self(machine)
    if name is None or outputs[name]["matrix"]:
        return outputs
    return outputs + VValue({name: {"matrix": matrix}})


def find_wiring(machine: Machine, matrix: VValue, outputs: VValue) -> tuple[VValue, Mapping[str, str]]:
    """The matrix of the next down movement, and the neurons that compute then, name → kind.

    Without a Self these are `matrix` and all neurons; with one, what it emitted, and those that a link of that touches,
    in the order of the matrix. Raises DMMError, naming neuron and field, for what is no matrix: another depth than 4, a
    weight that is not finite, a kind that is not known, a field that a kind has not, or more than `MOST_LINKS` links.
    """
    name = find_self(machine)
    if name is None:
        return matrix, machine.neurons
    matrix = outputs[name]["matrix"]
    with errors_at(f"{name}.matrix"):
        return matrix, _active_neurons(machine, matrix)


def _active_neurons(machine: Machine, matrix: VValue) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for count, (path, weight) in enumerate(trees.leaves(matrix.tree), start=1):
        if len(path) != 4 or NUMBER in path:
            depth = len(path) - (path[-1] == NUMBER)
            raise DMMError(f"{' / '.join(path)} has depth {depth}; a matrix has 4")
        if not math.isfinite(weight):
            raise DMMError(f"{path[0]}.{path[1]} <- {path[2]}.{path[3]} has weight {weight}, which is not finite")
        if count > MOST_LINKS:
            raise DMMError(f"more than {MOST_LINKS} links; find what grows, or raise dmmlab.rewriting.MOST_LINKS")
        for name, field, role in ((path[0], path[1], "inputs"), (path[2], path[3], "outputs")):
            if name not in kinds:
                kinds[name] = _kind_of(machine, name)
            fields = getattr(find_kind(kinds[name]), role)
            if fields is not None and field not in fields:
                raise DMMError(f"{name!r} ({kinds[name]}) has no field {field!r} among its {role}")
    return kinds


def _kind_of(machine: Machine, name: str) -> str:
    kind = machine.neurons.get(name) or kind_by_name(name)
    if kind == "self" and name not in machine.neurons:
        raise DMMError(f"neuron {name!r}: a machine has one Self, and this is {find_self(machine)!r}")
    with errors_at(f"neuron {name!r}"):
        return find_kind(kind).name
