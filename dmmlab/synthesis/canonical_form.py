"""Canonical form: the same machine in its simplest weights, without repetitions, so that programs can be compared.

accum and norm are homogeneous, compare is for positive factors, dot is bilinear: a factor may be moved from the links
into a neuron to those out of it. Done from the sources to the output, with the commonest weight of each neuron made 1,
this leaves one form for all machines that differ in units alone. In a loop, a neuron's unit is that of what it reads
from before, or such a share of it that the loop's weights are binary fractions (see `in_exact_units`). Everything here
keeps the answers as they are.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from fractions import Fraction
from math import fsum, prod

import numpy as np

from dmmlab.machines import Link, Machine
from dmmlab.neurons import find_kind
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.synthesis.loop_units import in_exact_units
from dmmlab.synthesis.loops import walk
from dmmlab.synthesis.verification import largest_errors, random_strings
from dmmlab.vvalues import from_leaves

End = tuple[str, str]  # (neuron or its signature, field)
Sum = dict[End, float]  # what an input field reads → weight
Fields = dict[str, Sum]  # input field → what it reads
Names, Factors = dict[str, str], dict[str, float]  # neuron → its signature, or what its outputs have to be read with
OTHER = {"true": "false", "false": "true", "dict-1": "dict-2", "dict-2": "dict-1"}  # of a compare
NEAR, DENOMINATOR = 1e-6, 12  # weights this near to a fraction with so small a denominator may be that fraction
SAME = 1e-9


def canonical(machine: Machine, free_dots: Collection[str] = ()) -> Machine:
    """The machine in canonical form: no dead links, as many weights as possible 1, no copies, simple fractions.
    Its answers are those of `machine` to 1e-9 on random strings. A dot's clip is the one thing that has units; factors
    pass the dot neurons in `free_dots` nevertheless, and the answers are the same as long as those do not clip.
    Accumulators that keep what they had by a link of weight 1 have it as a fixed memory then.

    >>> dmm.canonical(dmm.write_program("norm.dict <- 2 input.char").link("output.dict-1", "norm.norm", 3)).vector()
    array([1., 6.])
    """
    form, before = remove_dead(fix_memories(machine)), -1
    while len(form.links) != before:
        before = len(form.links)
        form = remove_dead(simplify(form, free_dots))
    form = orient_compares(form)
    strings, speeds = zip(*random_strings(40, seed=1, longest=40), strict=True)
    form = round_weights(form, lambda other: largest_errors(other, form, strings, speeds).max() <= SAME)
    return in_exact_units(form)


def fix_memories(machine: Machine) -> Machine:
    """The machine with memories fixed where they are soft links of weight 1."""
    soft, fixed = dict(machine.soft_links), dict(machine.fixed_links)
    for link, weight in machine.soft_links.items():
        kind = find_kind(machine.neurons[link.to_neuron])
        itself = link.from_neuron == link.to_neuron and link.from_field in (kind.outputs or ())
        if itself and kind.memory == link.to_field and link not in fixed and abs(weight - 1.0) <= SAME:
            del soft[link]
            fixed[link] = 1.0
    return replace(machine, weights=from_leaves(soft.items()), fixed=from_leaves(fixed.items()), links=None)


def same_program(a: Machine, b: Machine) -> bool:
    """Whether two machines are the same program: equal graphs with equal weights once both are in canonical form.
    Neurons with equal signatures are one then, so equal signatures of the outputs mean isomorphic graphs. (Of programs
    whose loops have several inner products some may pass for different that are the same.)

    >>> dmm.same_program(dmm.load_machine("synthesized-four-strings"), dmm.handcrafted_detector())
    True
    """
    a, b = canonical(a), canonical(b)
    return a.dot_clip == b.dot_clip and signatures(a)[a.output] == signatures(b)[b.output]


def signatures(machine: Machine) -> dict[str, str]:
    """What each neuron computes, but for a factor, as the hash of a text in which names do not occur.

    Weights count to 9 digits. Those of the output are as they are, so equal hashes of outputs mean equal answers.
    """
    return _walk(machine, ())[0]


def rows_of(machine: Machine) -> dict[str, Fields]:
    """The soft links as neuron → field → source → weight."""
    rows: dict[str, Fields] = {}
    for link, weight in machine.soft_links.items():
        rows.setdefault(link.to_neuron, {}).setdefault(link.to_field, {})[link[2:]] = weight
    return rows


# ---- units and repetitions ----


def simplify(machine: Machine, free_dots: Collection[str] = ()) -> Machine:
    """The commonest weight into each neuron becomes 1, and of neurons that compute the same the first does the work.

    What is divided out goes to the links that read a neuron. Links may be dead afterwards; see `canonical`.
    """
    signed, simple = _walk(machine, free_dots)
    first = {signature: name for name, signature in reversed(signed.items())}
    leaves: dict[Link, float] = {}
    for name, inputs in simple.items():
        if first[signed[name]] == name:
            for field, sources in inputs.items():
                leaves |= {Link(name, field, first[source], output): w for (source, output), w in sources.items()}
    return replace(machine, weights=from_leaves(leaves.items()), links=None)


def _walk(machine: Machine, free_dots: Collection[str]) -> tuple[dict[str, str], dict[str, Fields]]:
    """Each neuron's signature, and its simplest inputs, where signatures stand for names; sources first.

    In a loop, names stand for themselves until all of its neurons have their factors. What a neuron reads back, `late`,
    has no part in its own factor.
    """
    rows, signed, factors = rows_of(machine), {}, {}
    simple: dict[str, Fields] = {}
    for group in walk(machine):
        late = {name: {other for other in group if group[other] >= depth} for name, depth in group.items()}
        for name in group:
            early = factors | dict.fromkeys(late[name], 1.0)
            inputs = {field: _read(sources, signed, early) for field, sources in rows.get(name, {}).items()}
            simple[name], factors[name] = _scale(machine.neurons[name], inputs, name in free_dots, late[name])
        known: dict[str, str] = dict.fromkeys(group, "")
        for _ in group:  # neurons that look alike after as many rounds as there are in the loop do so for ever
            named = {name: _settle(machine.neurons[name], simple[name], factors, late[name], known) for name in group}
            known = {name: _signature(machine, name, named[name]) for name in group}
        signed |= known
        for name in group:
            simple[name] = _settle(machine.neurons[name], simple[name], factors, late[name], known)
    return signed, simple


def _read(sources: Sum, signed: Names, factors: Factors) -> Sum:
    """What is read, by signatures, in the units that neurons have got; as it is where those are not known yet."""
    terms = []
    for (source, output), weight in sources.items():
        factor = factors.get(source, 1.0)
        if output in OTHER and factor < 0:  # b - a instead of a - b: its outputs are exchanged
            output, factor = OTHER[output], -factor
        terms.append(((signed.get(source, source), output), weight * factor))
    return _add_up(terms)


def _settle(kind: str, inputs: Fields, factors: Factors, late: Collection[str], signed: Names) -> Fields:
    """The inputs of a neuron when all of its loop have their factors, and signatures."""
    late = {name: factors[name] for name in late}
    inputs = {field: _read(_read(sources, {}, late), signed, {}) for field, sources in inputs.items()}
    if kind == "compare":  # both inputs have positive weights
        difference = inputs.get("dict-1", {}).items()
        left, right = ({end: w for end, w in difference if w > 0}, {end: -w for end, w in difference if w < 0})
        inputs = {"dict-1": left, "dict-2": right}
    return inputs


def _scale(kind: str, inputs: Fields, free: bool, late: Collection[str]) -> tuple[Fields, float]:
    """The inputs of a neuron in simplest weights, and the factor its outputs have to be read with."""
    if kind not in ("accum", "norm", "dot", "compare"):
        return inputs, 1.0
    if kind == "accum":  # its two inputs are added: what arrives at either may as well arrive at the second
        inputs = {"dict-2": _add_up(term for each in inputs.values() for term in each.items())}
    if kind == "compare":  # only the difference of its two inputs counts
        right = [(end, -weight) for end, weight in inputs.get("dict-2", {}).items()]
        inputs = {"dict-1": _add_up([*inputs.get("dict-1", {}).items(), *right])}
    ahead = {field: {end: w for end, w in sources.items() if end[0] not in late} for field, sources in inputs.items()}
    pivots = {field: _pivot(sources.values()) for field, sources in ahead.items()}
    factor = prod(pivots.values())
    inputs = {field: {end: w / pivots[field] for end, w in sources.items()} for field, sources in inputs.items()}
    if kind == "norm":
        factor = abs(factor)
    if kind == "dot" and inputs and not free:  # its clip has units: the size stays inside
        side = max(inputs, key=lambda field: _sum_text({end: inputs[field][end] for end in ahead[field]}))
        inputs[side] = {end: w * abs(factor) for end, w in inputs[side].items()}
        factor = float(np.sign(factor))
    return inputs, factor


def _pivot(weights: Iterable[float]) -> float:
    """The commonest weight, signs aside, then the largest, with its commonest sign, then its first; 1 for none."""
    pairs = [(weight, float(f"{weight:.9g}")) for weight in weights]
    counts, sizes = Counter(x for _, x in pairs), Counter(abs(x) for _, x in pairs)
    return max(pairs, key=lambda pair: (sizes[abs(pair[1])], abs(pair[1]), counts[pair[1]]), default=(1.0, 1.0))[0]


def _add_up(terms: Iterable[tuple[End, float]]) -> Sum:
    """Sources with their weights added, in an order that names have no part in; what cancels is left out."""
    weights: dict[End, list[float]] = {}
    for end, weight in sorted(terms):
        weights.setdefault(end, []).append(weight)
    return {end: fsum(some) for end, some in weights.items() if abs(fsum(some)) > 1e-12 * fsum(map(abs, some))}


def _signature(machine: Machine, name: str, inputs: Fields) -> str:
    kind, memory = machine.neurons[name], " memory" if name in machine.fixed else ""
    sums = {field: _sum_text(sources) for field, sources in inputs.items()}
    # The two inputs of a dot count alike.
    texts = sorted(sums.values()) if kind == "dot" else [f"{field}: {each}" for field, each in sorted(sums.items())]
    text = f"{kind}{memory}({'; '.join(texts)})"
    return hashlib.sha256(text.encode()).hexdigest()  # the text itself would double with every layer


def _sum_text(sources: Sum) -> str:
    return " + ".join(sorted(f"{weight:.9g} {signature}.{output}" for (signature, output), weight in sources.items()))


# ---- last touches ----


def orient_compares(machine: Machine) -> Machine:
    """The same machine, with compare neurons turned around that are read at `false` alone."""
    read: dict[str, set[str]] = {}
    for link in machine.links:
        read.setdefault(link.from_neuron, set()).add(link.from_field)
    turned = {name for name, fields in read.items() if machine.neurons[name] == "compare" and fields == {"false"}}
    leaves = {}
    for link, weight in machine.soft_links.items():
        if link.to_neuron in turned:
            link = link._replace(to_field=OTHER[link.to_field])
        if link.from_neuron in turned:
            link = link._replace(from_field="true")
        leaves[link] = weight
    return replace(machine, weights=from_leaves(leaves.items()), links=None)


def round_weights(machine: Machine, same: Callable[[Machine], bool]) -> Machine:
    """Replace weights by the simple fractions they are nearest to, all at once or one by one, where `same` agrees."""
    vector = machine.vector()
    fractions = np.array([float(Fraction(x).limit_denominator(DENOMINATOR)) for x in vector.tolist()])
    near = np.flatnonzero((fractions != vector) & (np.abs(fractions - vector) <= NEAR * np.abs(vector)))
    for some in (near, *near[:, None]):
        if (vector[near] == fractions[near]).all():
            break
        trial = vector.copy()
        trial[some] = fractions[some]
        if same(machine.with_vector(trial)):
            vector = trial
    return machine.with_vector(vector)
