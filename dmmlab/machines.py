"""Machines: named neurons and two matrices, links by name, JSON, and the builders of the 2022 journal.

A matrix is a V-value of depth 4: to-neuron → to-field → from-neuron → from-field → weight (arXiv:1712.07447,
section 3.3); as JSON it is the interchange format of the journal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from dmmlab import trees
from dmmlab.files import DMMError, read_json, write_json
from dmmlab.neurons import find_kind
from dmmlab.trees import NUMBER
from dmmlab.vvalues import VValue, from_leaves

DOT_CLIP = 4.0
SOURCES = {"timer": "timer", "input": "input", "eos": "eos", "const_1": "const_1"}  # name → kind


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
        ends = [str(end).rpartition(".") for end in (to, source)]
        for text, (neuron, _, name) in zip((to, source), ends, strict=True):
            if not neuron or not name:
                raise DMMError(f"{text!r} is not of the form 'neuron.field'")
        return cls(ends[0][0], ends[0][2], ends[1][0], ends[1][2])


@dataclass(frozen=True)
class Machine:
    """Neurons (name → kind), trainable links with their weights, and a fixed matrix.
    `links` are the trainable places in link order, those of weight zero included; `weights` and `fixed` are V-values
    of depth 4. `dot_clip` bounds the output of dot neurons. `silent_fields` are names that every neuron but the
    sources also accepts and offers although its kind neither reads nor emits them: the recurrent machine links
    everything to everything. Raises DMMError that names a link whose neuron or field does not exist.

    >>> dmm.Machine({"one": "const_1", "output": "output"}).link("output.dict-1", "one.const_1", 0.5).weights
    VValue({'output': {'dict-1': {'one': {'const_1': 0.5}}}})
    """

    neurons: Mapping[str, str]
    weights: VValue = field(default_factory=VValue)
    fixed: VValue = field(default_factory=VValue)
    links: Sequence[Link] | None = None
    dot_clip: float = DOT_CLIP
    silent_fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        weights, fixed = check_matrix(self.weights, "weights"), check_matrix(self.fixed, "fixed")
        if not isinstance(self.neurons, Mapping):
            raise DMMError(f"neurons are a {type(self.neurons).__name__}; give a dict name → kind")
        if any(len(link) != 4 for link in self.links or ()):
            raise DMMError("a link has four parts: to-neuron, to-field, from-neuron, from-field")
        links = _in_tree_order((*(self.links or ()), *(Link(*path) for path, _ in weights.leaves())))
        for name, kind in self.neurons.items():
            if not isinstance(name, str) or name in ("", NUMBER):
                raise DMMError(f"neuron {name!r}: a name is a string of at least one character, not ':number'")
            try:
                find_kind(kind)
            except DMMError as error:
                raise DMMError(f"neuron {name!r}: {error}") from None
        number = isinstance(self.dot_clip, (int, float)) and not isinstance(self.dot_clip, bool)
        if not (number and 0 < self.dot_clip <= sys.float_info.max):
            raise DMMError(f"dot_clip is {self.dot_clip!r}; it is a positive number")
        kept = {"weights": weights, "fixed": fixed, "links": links, "silent_fields": tuple(self.silent_fields)}
        for key, value in {**kept, "neurons": MappingProxyType(dict(self.neurons))}.items():
            object.__setattr__(self, key, value)
        for link in (*links, *self.fixed_links):
            self._check(link)
        for link in set(links).intersection(self.fixed_links):
            raise DMMError(f"{link}: this link is both trainable and fixed; keep one")

    def __hash__(self) -> int:
        return hash((tuple(self.neurons.items()), self.links, self.weights, self.fixed, self.dot_clip))

    @property
    def soft_links(self) -> dict[Link, float]:
        """The trainable links with their weights, in link order, those of weight zero included."""
        return dict(zip(self.links, self.vector().tolist(), strict=True))

    @property
    def fixed_links(self) -> dict[Link, float]:
        """The fixed links with their weights."""
        return {Link(*path): weight for path, weight in self.fixed.leaves()}

    @property
    def output(self) -> str:
        """The name of the neuron where answers arrive. Raises DMMError where there is not exactly one."""
        names = [name for name, kind in self.neurons.items() if kind == "output"]
        if len(names) != 1:
            raise DMMError(f"the machine has {len(names)} neurons of kind 'output'; it needs exactly one")
        return names[0]

    def __reduce__(self) -> tuple:
        # Workers get machines as copies; a read-only view of a dict cannot be copied as it is.
        return Machine, (dict(self.neurons), *(getattr(self, each.name) for each in fields(self)[1:]))

    def _check(self, link: Link) -> None:
        for neuron, name, role in ((link[0], link[1], "input"), (link[2], link[3], "output")):
            if neuron not in self.neurons:
                raise DMMError(f"{link}: there is no neuron {neuron!r}; add it or correct the name")
            kind = find_kind(self.neurons[neuron])
            fields = kind.inputs if role == "input" else kind.outputs
            silent = () if kind.name in (*SOURCES.values(), "output") else self.silent_fields
            if fields is not None and name not in fields and name not in silent:
                known = ", ".join((*fields, *silent)) or "none"
                raise DMMError(f"{link}: {neuron!r} ({kind.name}) has no {role} field {name!r}; it has {known}")

    def link(self, to: str, source: str, weight: float, fixed: bool = False) -> Machine:
        """The same machine with one more link, `to` and `source` given as "neuron.field".

        A fixed link is not trained. Raises DMMError where that link exists already, soft or fixed.
        """
        link = Link.parse(to, source)
        if link in self.links or link in self.fixed_links:
            raise DMMError(f"{link}: this link exists already; change its weight with with_weights")
        leaf = check_matrix({link[0]: {link[1]: {link[2]: {link[3]: weight}}}}, "weight")
        if fixed and not leaf:
            raise DMMError(f"{link}: a fixed link of weight 0 carries nothing; leave it out")
        if fixed:
            return replace(self, fixed=self.fixed + leaf)
        return replace(self, weights=self.weights + leaf, links=(*self.links, link))

    def with_neuron(self, name: str, kind: str) -> Machine:
        """The same machine with one more neuron, that no link touches yet. Raises DMMError where it exists already."""
        if name in self.neurons:
            raise DMMError(f"neuron {name!r} exists already; choose another name")
        return replace(self, neurons={**self.neurons, name: kind})

    def with_weights(self, matrix: Mapping) -> Machine:
        """The same neurons and fixed links with another trainable matrix; its links become the trainable ones.

        Links that this machine has keep their order, others follow. Raises DMMError as `Machine` does.
        """
        matrix = check_matrix(matrix, "weights")
        given = dict.fromkeys(Link(*path) for path, _ in matrix.leaves())
        return replace(self, weights=matrix, links=tuple(link for link in self.links if link in given))

    def vector(self) -> np.ndarray:
        """The trainable weights as an array of shape (links,), in link order."""
        known = {Link(*path): leaf for path, leaf in self.weights.leaves()}
        return np.array([known.get(link, 0.0) for link in self.links])

    def with_vector(self, vector: np.ndarray) -> Machine:
        """The same machine and links with the weights of an array of shape (links,), in link order."""
        try:
            vector = np.asarray(vector, dtype=float)
        except (TypeError, ValueError) as error:
            raise DMMError(f"weights are no array of numbers ({error}); give one a link") from None
        if vector.shape != (len(self.links),):
            raise DMMError(f"weights have shape {vector.shape}; this machine has {len(self.links)} links")
        weights = from_leaves(zip(self.links, vector.tolist(), strict=True))
        if not np.isfinite(vector).all():
            check_matrix(weights, "weights")  # says which
        machine = object.__new__(Machine)  # the rest was checked when this machine was made
        machine.__dict__.update(self.__dict__ | {"weights": weights})
        return machine

    def save(self, path: str | os.PathLike) -> None:
        """Write the machine as JSON: neurons, both matrices (links of weight zero included) and settings."""
        weights: dict = {}
        for link, weight in zip(self.links, self.vector().tolist(), strict=True):
            _row(weights, link)[link.from_field] = weight
        content = {
            "format": "dmmlab machine 1",
            "dot_clip": self.dot_clip,
            "silent_fields": list(self.silent_fields),
            "neurons": dict(self.neurons),
            "weights": weights,
            "fixed": self.fixed.to_dict(),
        }
        write_json(path, content)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Machine:
        """Read what `save` wrote. Loading never runs code. Raises DMMError that begins with the path."""
        content = read_json(path, "machine file")
        try:
            return cls._from_json(content)
        except DMMError as error:
            raise DMMError(f"{path}: {error}") from None

    @classmethod
    def _from_json(cls, content: object) -> Machine:
        shapes = {"neurons": dict, "weights": dict, "fixed": dict, "dot_clip": (int, float), "silent_fields": list}
        if not isinstance(content, dict) or content.get("format") != "dmmlab machine 1":
            raise DMMError("this is no machine file (format 'dmmlab machine 1'); for a bare matrix use load_matrix")
        for key, shape in shapes.items():
            if not isinstance(content.get(key), shape) or isinstance(content[key], bool):
                raise DMMError(f"entry {key!r} is missing or of the wrong type; save the machine again")
        if not all(isinstance(name, str) for name in (*content["neurons"].values(), *content["silent_fields"])):
            raise DMMError("kinds and silent fields are strings; save the machine again")
        weights, fixed = check_matrix(content["weights"], "weights"), check_matrix(content["fixed"], "fixed")
        links = [path for path, _ in trees.leaves(content["weights"])]  # those of weight zero included
        if any(len(path) != 4 or NUMBER in path for path in links):
            raise DMMError("weights: a weight of zero is not at depth 4; save the machine again")
        settings = {"dot_clip": content["dot_clip"], "silent_fields": tuple(content["silent_fields"])}
        return cls(content["neurons"], weights, fixed, links, **settings)


def _row(tree: dict, link: Link) -> dict:
    return tree.setdefault(link[0], {}).setdefault(link[1], {}).setdefault(link[2], {})


def _in_tree_order(links: Iterable[Sequence[str]]) -> tuple[Link, ...]:
    """Links without repetition, in the order in which the tree that holds them is walked."""
    tree: dict = {}
    for link in links:
        _row(tree, link)[link[3]] = 0.0
    return tuple(Link(*path) for path, _ in trees.leaves(tree))


def check_matrix(matrix: Mapping, what: str = "matrix") -> VValue:
    """A matrix as a V-value. Raises DMMError, naming the path, where it is not of depth 4 or not finite."""
    if not isinstance(matrix, Mapping):
        raise DMMError(f"{what}: a {type(matrix).__name__} is no matrix; it is a tree of depth 4")
    try:
        value = matrix if isinstance(matrix, VValue) else VValue(matrix)
    except DMMError as error:
        raise DMMError(f"{what}: {error}") from None
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
    try:
        return check_matrix(content)
    except DMMError as error:
        raise DMMError(f"{path}: {error}") from None


def save_matrix(matrix: Mapping, path: str | os.PathLike) -> None:
    """Write a matrix as JSON in the journal's interchange format.

    >>> dmm.save_matrix({"norm": {"dict": {"accum": {"dict": 1.0}}}}, "matrix.json")
    """
    write_json(path, check_matrix(matrix).to_dict())


# ---- builders ----
