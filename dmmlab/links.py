"""Links by name, and matrices of them: V-values, and JSON, the interchange format of the 2022 journal.

A matrix is a V-value of depth 4: to-neuron → to-field → from-neuron → from-field → weight (arXiv:1712.07447,
section 3.3).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from dmmlab.files import DMMError, errors_at, read_json, write_json
from dmmlab.trees import NUMBER
from dmmlab.vvalues import VValue


class Link(NamedTuple):
    """One place of a matrix: an input field of a neuron that reads an output field of a neuron.

    >>> print(dmm.Link("norm", "dict", "accum", "dict"))
    norm.dict <- accum.dict
    """

    to_neuron: str
    to_field: str
    from_neuron: str
    from_field: str

    def __str__(self) -> str:
        return f"{self.to_neuron}.{self.to_field} <- {self.from_neuron}.{self.from_field}"

    @classmethod
    def parse(cls, to: str, source: str) -> Link:
        """The link from "neuron.field" to "neuron.field"; the field is what follows the last dot."""
        parts: list[str] = []
        for end in (to, source):
            neuron, _, name = str(end).rpartition(".")
            if not neuron or not name:
                raise DMMError(f"{end!r} is not of the form 'neuron.field'")
            parts += neuron, name
        return cls(*parts)


def nested(pairs: Iterable[tuple[Sequence[str], float]]) -> dict:
    """Links and weights as dicts in dicts, weights of zero included; of two at the same place the last one counts."""
    tree: dict = {}
    for (to_neuron, to_field, from_neuron, from_field), weight in pairs:
        row = tree.setdefault(to_neuron, {}).setdefault(to_field, {})
        row.setdefault(from_neuron, {})[from_field] = weight
    return tree


def check_matrix(matrix: Mapping, what: str = "matrix") -> VValue:
    """A matrix as a V-value. Raises DMMError, naming the path, where it is not of depth 4 or not finite."""
    if not isinstance(matrix, Mapping):
        raise DMMError(f"{what}: a {type(matrix).__name__} is no matrix; it is a tree of depth 4")
    with errors_at(what):
        value = matrix if isinstance(matrix, VValue) else VValue(matrix)
    for path, weight in value.leaves():
        place = " / ".join(path)
        if not abs(weight) <= sys.float_info.max:  # a sum may be larger than its terms
            raise DMMError(f"{what}: {place}: {weight} is not finite as a float")
        if len(path) != 4 or NUMBER in path:
            raise DMMError(f"{what}: {place} has depth {len(path)}; to-neuron, to-field, from-neuron, from-field: 4")
    return value


def load_matrix(path: str | os.PathLike) -> VValue:
    """Read a matrix (JSON: to-neuron → to-field → from-neuron → from-field → weight), as the journal wrote them.
    Raises DMMError that begins with the path for a file that is not JSON, not of depth 4, or not finite.

    >>> dmm.save_matrix(dmm.handcrafted_detector().weights, "detector.json")
    >>> dmm.load_matrix("detector.json")["norm"]
    VValue({'dict': {'accum': {'dict': 1.0}}})
    """
    content = read_json(path, "matrix file")
    with errors_at(path):
        return check_matrix(content)


def save_matrix(matrix: Mapping, path: str | os.PathLike) -> None:
    """Write a matrix as JSON in the journal's interchange format.

    >>> dmm.save_matrix({"norm": {"dict": {"accum": {"dict": 1.0}}}}, "matrix.json")
    """
    write_json(path, check_matrix(matrix).to_dict())
