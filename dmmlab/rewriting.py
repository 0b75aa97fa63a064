"""Machines that rewrite themselves: the matrix is the output of a neuron, and neurons live as long as it names them.

A neuron of kind `self` holds the machine's matrix by a link of weight 1 from itself and adds what arrives at its
`delta` (arXiv:1706.00648, appendix B; arXiv:1712.07447, sections 4 and 7). There a matrix has rank 6, with the kinds of
both neurons among its indices. Names are unique here, so depth 4 is enough: the kind of a neuron stands in the
machine's table, and that of one born on the fly, which must be registered, in its name, up to the first hyphen.

A neuron that no link touches sleeps: it emits nothing, and so a link that would wake it has no derivative.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import NoReturn

from autograd.tracer import getval

from dmmlab.files import DMMError
from dmmlab.machines import Machine
from dmmlab.neurons import find_kind, kind_by_name
from dmmlab.vvalues import VValue, assemble, branch

MOST_LINKS = 100_000


class Keeper:
    """What holds the matrix of a machine that does not rewrite itself: nothing in it; all its neurons are awake."""

    def __init__(self, machine: Machine, first: VValue) -> None:
        self.machine, self.first = machine, first

    def begin(self, start: VValue) -> VValue:
        """The outputs before tick 1, from those that were given."""
        return start

    def matrix(self, outputs: VValue) -> VValue:
        """The matrix of the next down movement."""
        return self.first

    def awake(self, matrix: VValue) -> Mapping[str, str]:
        """The neurons that compute, name → kind."""
        return self.machine.neurons


class Self(Keeper):
    """The neuron that holds its machine's matrix; awake are those that a link touches, in the order of the matrix.

    Raises DMMError, naming neuron and field, for what is no matrix: another depth than 4, a weight that is not finite,
    a kind that is not known, a field that a kind has not, or more than `most_links` links.
    """

    def __init__(self, machine: Machine, first: VValue, name: str, most_links: int = MOST_LINKS) -> None:
        super().__init__(machine, first)
        self.name, self.most_links = name, most_links
        self._seen: tuple[object, dict[str, str]] = (None, {})

    def begin(self, start: VValue) -> VValue:
        if len(getval(self.matrix(start))):
            return start
        return start + assemble((self.name,), assemble(("matrix",), self.first))

    def matrix(self, outputs: VValue) -> VValue:
        return branch(branch(outputs, self.name), "matrix")

    def awake(self, matrix: VValue) -> Mapping[str, str]:
        plain = getval(matrix)
        if plain._tree is not self._seen[0]:
            self._seen = plain._tree, self._look(plain)
        return self._seen[1]

    def _look(self, matrix: VValue) -> dict[str, str]:
        kinds: dict[str, str] = {}
        for count, (path, weight) in enumerate(matrix.leaves(), start=1):
            if len(path) != 4 or ":number" in path:
                depth = len(path) - (path[-1] == ":number")
                self._refuse(f"{' / '.join(path)} has depth {depth}; a matrix has 4")
            if not abs(weight) <= sys.float_info.max:
                self._refuse(f"{path[0]}.{path[1]} <- {path[2]}.{path[3]} has weight {weight}, which is not finite")
            if count > self.most_links:
                self._refuse(f"more than {self.most_links} links; raise most_links, or find what grows")
            for name, field, role in ((path[0], path[1], "inputs"), (path[2], path[3], "outputs")):
                if name not in kinds:
                    kinds[name] = self._kind_of(name)
                fields = getattr(find_kind(kinds[name]), role)
                if fields is not None and field not in fields:
                    self._refuse(f"{name!r} ({kinds[name]}) has no field {field!r} among its {role}")
        return kinds

    def _kind_of(self, name: str) -> str:
        kind = self.machine.neurons.get(name) or kind_by_name(name)
        if kind == "self" and name != self.name:
            self._refuse(f"neuron {name!r}: a machine has one Self, and this is {self.name!r}")
        try:
            return find_kind(kind).name
        except DMMError as error:
            self._refuse(f"neuron {name!r}: {error}")

    def _refuse(self, why: str) -> NoReturn:
        raise DMMError(f"{self.name}.matrix: {why}")


def find_keeper(machine: Machine, matrix: VValue, most_links: int = MOST_LINKS) -> Keeper:
    """What keeps a machine's matrix, which is `matrix` at first. Raises DMMError for more than one Self."""
    names = [name for name, kind in machine.neurons.items() if kind == "self"]
    if len(names) > 1:
        raise DMMError(f"the machine has {len(names)} neurons of kind 'self' ({', '.join(names)}); keep one")
    return Self(machine, matrix, names[0], most_links) if names else Keeper(machine, matrix)
