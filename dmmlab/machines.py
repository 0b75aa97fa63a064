"""Machines: named neurons, trainable links with a vector of weights, and a fixed matrix; JSON files of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from dmmlab.files import DMMError, check_positive, errors_at, read_json, write_json
from dmmlab.links import Link, check_matrix, nested
from dmmlab.neurons import find_kind
from dmmlab.trees import NUMBER, leaves
from dmmlab.vvalues import VValue, from_leaves

DOT_CLIP = 4.0
NO_CLIP = sys.float_info.max
SOURCES = {"timer": "timer", "input": "input", "eos": "eos", "const_1": "const_1"}  # name → kind
SOURCE_KINDS = (*SOURCES.values(), "value_input")
CLOCK_KINDS = ("timer", "input", "value_input")  # those that the fixed links of the clock join
OUTER = (*SOURCE_KINDS, "output")  # the kinds at the border, of fixed fields
FORMAT = "dmmlab machine 1"


@dataclass(frozen=True)
class Machine:
    """Neurons (name → kind), trainable links with their weights, and a fixed matrix.
    A machine does not change; `dataclasses.replace` and the methods below give others. Raises DMMError that names a
    link whose neuron or field does not exist.

    Args:
        neurons: name → kind, in any order.
        weights: the trainable matrix, a V-value of depth 4 or nested dicts.
        fixed: the matrix that no training changes.
        links: trainable places; those that `weights` does not name have weight zero. They are kept in link order, the
            order in which the tree that holds them all is walked.
        dot_clip: the bound of what dot neurons emit.
        silent_fields: names that every neuron but the sources also accepts and offers although its kind neither reads
            nor emits them: the recurrent machine links everything to everything.

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
        neurons, silent, places = self.neurons, self.silent_fields, self.links or ()
        check_positive("dot_clip", self.dot_clip)
        if not isinstance(neurons, Mapping):
            raise DMMError(f"neurons are a {type(neurons).__name__}; give a dict name → kind")
        if not isinstance(silent, (list, tuple)) or not all(isinstance(name, str) for name in silent):
            raise DMMError(f"silent_fields are {silent!r}; give a list of names")
        if any(len(link) != 4 or NUMBER in link for link in places):
            raise DMMError("a link has four parts: to-neuron, to-field, from-neuron, from-field")
        for name, kind in neurons.items():
            if not isinstance(name, str) or name in ("", NUMBER):
                raise DMMError(f"neuron {name!r}: a name is a string of at least one character, not ':number'")
            with errors_at(f"neuron {name!r}"):
                find_kind(kind)
        soft = [*leaves(nested([*((link, 0.0) for link in places), *weights.leaves()]))]
        vars(self).update(
            neurons=MappingProxyType(dict(neurons)),
            weights=weights,
            fixed=fixed,
            links=tuple(Link(*path) for path, _ in soft),
            silent_fields=tuple(silent),
            _vector=np.array([weight for _, weight in soft], float),
        )
        for link in (*self.links, *self.fixed_links):
            self._check_link(link)
        if both := {*self.links} & {*self.fixed_links}:
            raise DMMError(f"{min(both)}: this link is both trainable and fixed; keep one")

    def _check_link(self, link: Link) -> None:
        for neuron, name, role in ((link[0], link[1], "inputs"), (link[2], link[3], "outputs")):
            if neuron not in self.neurons:
                raise DMMError(f"{link}: there is no neuron {neuron!r}; add it or correct the name")
            kind = find_kind(self.neurons[neuron])
            known = getattr(kind, role)
            if known is not None and kind.name not in OUTER:
                known = (*known, *self.silent_fields)
            if known is not None and name not in known:
                names = ", ".join(known) or "none"
                raise DMMError(f"{link}: {neuron!r} ({kind.name}) has no {name!r} among its {role}; it has {names}")

    def __getattr__(self, name: str) -> Any:
        # Only for what is not there: `with_vector` leaves the V-value to be made when somebody asks for it.
        if name != "weights":
            raise AttributeError(f"a machine has no attribute {name!r}")
        vars(self)["weights"] = weights = from_leaves(self.soft_links.items())
        return weights

    def __hash__(self) -> int:
        return hash((self.links, self._vector.tobytes(), self.fixed, self.dot_clip))

    def __reduce__(self) -> tuple:
        # Workers get machines as copies; a read-only view of a dict cannot be copied as it is.
        return Machine, (dict(self.neurons), *(getattr(self, each.name) for each in fields(self)[1:]))

    # ---- what it has ----

    @property
    def soft_links(self) -> dict[Link, float]:
        """The trainable links with their weights, in link order, those of weight zero included."""
        return dict(zip(self.links, self._vector.tolist(), strict=True))

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

    def vector(self) -> np.ndarray:
        """The trainable weights as a new array of shape (links,), in link order."""
        return self._vector.copy()

    # ---- others like it ----

    def reading_values(self) -> Machine:
        """The same machine with an input (of kind `value_input`) for steps that are any V-values."""
        kinds = {name: "value_input" if kind == "input" else kind for name, kind in self.neurons.items()}
        return replace(self, neurons=kinds)

    def with_vector(self, vector: np.ndarray) -> Machine:
        """The same machine and links with the weights of an array of shape (links,), in link order."""
        try:
            vector = np.asarray(vector, dtype=float) + 0.0  # a copy, in which -0.0 is 0.0
        except (TypeError, ValueError) as error:
            raise DMMError(f"weights are no array of numbers ({error}); give one a link") from None
        if vector.shape != self._vector.shape:
            raise DMMError(f"weights have shape {vector.shape}; this machine has {len(self.links)} links")
        if not np.isfinite(vector).all():
            bad = int(np.isfinite(vector).argmin())
            raise DMMError(f"{self.links[bad]}: weight {vector[bad]} is not finite; give finite weights")
        machine = object.__new__(Machine)  # the rest was checked when this machine was made
        vars(machine).update(vars(self), _vector=vector)
        vars(machine).pop("weights", None)
        return machine

    def with_weights(self, matrix: Mapping) -> Machine:
        """The same neurons and fixed links with another trainable matrix; its links become the trainable ones.

        Links that this machine has keep their order, others follow. Raises DMMError as `Machine` does.
        """
        matrix = check_matrix(matrix, "weights")
        given = {path for path, _ in matrix.leaves()}
        return replace(self, weights=matrix, links=[link for link in self.links if link in given])

    def with_neuron(self, name: str, kind: str) -> Machine:
        """The same machine with one more neuron, that no link touches yet. Raises DMMError where it exists already."""
        if name in self.neurons:
            raise DMMError(f"neuron {name!r} exists already; choose another name")
        return replace(self, neurons={**self.neurons, name: kind})

    def link(self, to: str, source: str, weight: float, fixed: bool = False) -> Machine:
        """The same machine with one more link, `to` and `source` given as "neuron.field".

        A fixed link is not trained. Raises DMMError where that link exists already, soft or fixed.
        """
        link = Link.parse(to, source)
        if link in self.links or link in self.fixed_links:
            raise DMMError(f"{link}: this link exists already; change its weight with with_weights")
        leaf = check_matrix(nested([(link, weight)]), "weight")
        if not fixed:
            return replace(self, weights=self.weights + leaf, links=(*self.links, link))
        if not leaf:
            raise DMMError(f"{link}: a fixed link of weight 0 carries nothing; leave it out")
        return replace(self, fixed=self.fixed + leaf)

    # ---- files ----

    def to_dict(self) -> dict:
        """The machine as plain data: neurons, both matrices (links of weight zero included) and settings."""
        return {
            "format": FORMAT,
            "dot_clip": self.dot_clip,
            "silent_fields": list(self.silent_fields),
            "neurons": dict(self.neurons),
            "weights": nested(self.soft_links.items()),
            "fixed": self.fixed.to_dict(),
        }

    def save(self, path: str | os.PathLike) -> None:
        """Write what `to_dict` gives as JSON. Raises DMMError that begins with the path."""
        write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike) -> Machine:
        """Read what `save` wrote. Loading never runs code. Raises DMMError that begins with the path."""
        content = read_json(path, "machine file")
        with errors_at(path):
            return cls.from_dict(content)

    @classmethod
    def from_dict(cls, content: Any) -> Machine:
        """The machine of which `to_dict` gave this. Raises DMMError."""
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DMMError(f"this is no machine file (format {FORMAT!r}); for a bare matrix use load_matrix")
        given = {each.name: content.get(each.name) for each in fields(cls) if each.name != "links"}
        check_matrix(given["weights"], "weights")
        return cls(**given, links=[path for path, _ in leaves(given["weights"])])
