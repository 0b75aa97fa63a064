"""Embedding: a machine inside an architecture, where synthesis may go on from it."""

from __future__ import annotations

import numpy as np

from dmmlab.files import DMMError
from dmmlab.machines import Link, Machine
from dmmlab.synthesis.canonical_form import rows_of
from dmmlab.synthesis.loops import topological_order


def embed(machine: Machine, architecture: Machine) -> Machine:
    """The architecture with a machine's weights in it: each neuron takes the first place that may read what it reads.
    The answers are those of the machine. Raises DMMError where something finds no place, and for another `dot_clip`.

    >>> int(dmm.embed(dmm.handcrafted_detector(), dmm.feedforward()).vector().sum())  # of 1,486 weights, 8 are 1
    8
    """
    if machine.dot_clip != architecture.dot_clip:
        raise DMMError(f"dot_clip is {machine.dot_clip} here and {architecture.dot_clip} there; make them equal")
    places = {name: name for name in machine.neurons if name in architecture.neurons}
    rows, weights, known = rows_of(machine), {}, set(architecture.links)
    for name in topological_order(machine):
        remembers = name in machine.fixed
        free = [name] if name in places else [each for each in architecture.neurons if each not in places.values()]
        for place in free:
            if (architecture.neurons[place], place in architecture.fixed) != (machine.neurons[name], remembers):
                continue
            links = {
                Link(place, field, places[source], output): weight
                for field, sources in rows.get(name, {}).items()
                for (source, output), weight in sources.items()
            }
            if links.keys() <= known:
                places[name] = place
                weights |= links
                break
        else:
            raise DMMError(f"neuron {name!r}: the architecture has no free place for it; give it more layers or copies")
    return architecture.with_vector(np.array([weights.get(link, 0.0) for link in architecture.links]))
