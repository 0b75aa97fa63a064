"""Reading: the same machine in its simplest weights, with every repetition taken out, so that programs can be compared.

accum and norm are homogeneous, compare is for positive factors, dot is bilinear: a factor may be moved from the links
into a neuron to those out of it. Done from the sources to the output, with the commonest weight of each neuron made 1,
this leaves one form for all machines that differ in units alone. Everything here keeps the answers as they are.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from fractions import Fraction
from graphlib import CycleError, TopologicalSorter

import numpy as np

from dmmlab.files import DMMError
from dmmlab.machines import Machine
from dmmlab.neurons import find_kind
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.synthesis.verification import largest_errors, random_strings
from dmmlab.vvalues import VValue

End = tuple[str, str]  # (neuron, field)
Rows = dict[str, dict[str, dict[End, float]]]  # neuron → input field → what it reads → weight
SNAP, DENOMINATOR = 1e-6, 12  # weights this near to a fraction with so small a denominator may be that fraction
SAME = 1e-9


def canonical(machine: Machine, free_dots: Collection[str] = ()) -> Machine:
    """The machine in canonical form: no idle links, as many weights as possible 1, no copies, simple fractions.
    Its answers are those of `machine` to 1e-9 on random strings. A dot's clip is the one thing that has units; factors
    pass the dot neurons in `free_dots` nevertheless, and the answers are the same as long as those do not clip.
    Raises DMMError for machines with loops other than memories.

    >>> dmm.canonical(dmm.write_program("norm.dict <- 2 input.char").link("output.dict-1", "norm.norm", 3)).vector()
    array([1., 6.])
    """
    while True:
        form = merge(rescale(remove_dead(machine), free_dots))
        if len(form.links) == len(machine.links):
            break
        machine = form
    form = favour(form)
    probe = list(random_strings(40, seed=1, longest=40))

    def same(other: Machine) -> bool:
        return largest_errors(other, form, *map(list, zip(*probe, strict=True))).max() <= SAME

    return snap(form, same)


def order(machine: Machine) -> list[str]:
    """The neurons from the sources to the output. Raises DMMError where a loop other than a memory is."""
    for link, weight in machine.fixed_links.items():
        kind = machine.neurons[link.to_neuron]
        memory = link.to_neuron == link.from_neuron and link.to_field == find_kind(kind).memory
        if weight != 1.0 or not (memory or kind in ("timer", "input")):
            raise DMMError(
                f"{link}: a fixed link of weight {weight}; only the clock and memories are fixed in a program"
            )
    before: dict[str, dict[str, None]] = {name: {} for name in machine.neurons}  # not sets: in the same order always
    for link in (*machine.links, *machine.fixed_links):
        if link.to_neuron != link.from_neuron or link in machine.links:
            before[link.to_neuron][link.from_neuron] = None
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError as error:
        raise DMMError(f"{' <- '.join(error.args[1])}: a loop of links; only memories may loop in a program") from None


def rows_of(machine: Machine) -> Rows:
    """The soft links as neuron → field → source → weight."""
    rows: Rows = {}
    for link, weight in zip(machine.links, machine.vector().tolist(), strict=True):
        rows.setdefault(link.to_neuron, {}).setdefault(link.to_field, {})[link[2:]] = weight
    return rows


def _with_rows(machine: Machine, rows: Rows) -> Machine:
    tree: dict = {}
    for name, fields in rows.items():
        for field, sources in fields.items():
            for (source, output), weight in sources.items():
                tree.setdefault(name, {}).setdefault(field, {}).setdefault(source, {})[output] = weight
    return replace(machine, weights=VValue(tree), links=None)


# ---- units ----


def rescale(machine: Machine, free_dots: Collection[str] = ()) -> Machine:
    """Move factors along the graph until the commonest weight into each neuron is 1; see `canonical`."""
    rows, texts, memories = rows_of(machine), {}, _memories(machine)
    bound = {name for link in machine.fixed_links if link[0] != link[2] for name in (link[0], link[2])}
    for name in order(machine):
        kind, fields = machine.neurons[name], rows.setdefault(name, {})
        for field, sources in fields.items():  # in an order that names have no part in
            fields[field] = dict(sorted(sources.items(), key=lambda item: (texts[item[0][0]], item[0][1])))
        if name not in bound and kind in _UNITS:
            for field, factor in _UNITS[kind](name, rows, name in free_dots, texts).items():
                _multiply(rows, (name, field), factor)
        texts[name] = _text(kind, name in memories, rows[name], texts)
    return _with_rows(machine, rows)


def _multiply(rows: Rows, source: End, factor: float) -> None:
    for fields in rows.values():
        for sources in fields.values():
            if source in sources:
                sources[source] *= factor


def _pivot(weights: Iterable[float]) -> float:
    """The commonest weight, signs aside, then the largest, with its commonest sign, then its first; 1 for none."""
    pairs = [(weight, float(f"{weight:.9g}")) for weight in weights]
    counts, sizes = Counter(x for _, x in pairs), Counter(abs(x) for _, x in pairs)
    return max(pairs, key=lambda pair: (sizes[abs(pair[1])], abs(pair[1]), counts[pair[1]]), default=(1.0, 1.0))[0]


def _add_up(terms: Iterable[tuple[End, float]]) -> dict[End, float]:
    """Sources with their weights added; those that cancel, up to rounding, are left out."""
    sums, sizes = {}, {}
    for source, weight in terms:
        sums[source] = sums.get(source, 0.0) + weight
        sizes[source] = sizes.get(source, 0.0) + abs(weight)
    return {source: weight for source, weight in sums.items() if abs(weight) > 1e-12 * sizes[source]}


def _divide(sources: dict[End, float], factor: float) -> None:
    for source in sources:
        sources[source] /= factor


def _accum(name: str, rows: Rows, free: bool, texts: dict) -> dict[str, float]:
    """Its two inputs are added: what arrives at either may as well arrive at the second."""
    terms = [term for sources in rows[name].values() for term in sources.items()]
    sources = _add_up(sorted(terms, key=lambda term: (texts[term[0][0]], term[0][1])))
    pivot = _pivot(sources.values())
    _divide(sources, pivot)
    rows[name] = {"dict-2": sources} if sources else {}
    return {"dict": pivot}


def _norm(name: str, rows: Rows, free: bool, texts: dict) -> dict[str, float]:
    sources = rows[name].get("dict", {})
    pivot = _pivot(sources.values())
    _divide(sources, pivot)
    return {"norm": abs(pivot)}


def _dot(name: str, rows: Rows, free: bool, texts: dict) -> dict[str, float]:
    both = [rows[name].get("dict-1", {}), rows[name].get("dict-2", {})]
    pivots = [_pivot(sources.values()) for sources in both]
    for sources, pivot in zip(both, pivots, strict=True):
        _divide(sources, pivot)
    factor = pivots[0] * pivots[1]
    if not free:  # its clip has units: the size stays inside
        side = max(both, key=lambda sources: _sum_text(sources, texts))
        _divide(side, 1.0 / abs(factor))
        factor = float(np.sign(factor))
    return {"dot": factor}


def _compare(name: str, rows: Rows, free: bool, texts: dict) -> dict[str, float]:
    """Only the difference of the two inputs counts: twins become one link, positive ones on the side they favour."""
    terms = list(rows[name].get("dict-1", {}).items())
    terms += [(source, -weight) for source, weight in rows[name].get("dict-2", {}).items()]
    difference = _add_up(sorted(terms, key=lambda term: (texts[term[0][0]], term[0][1])))
    pivot = _pivot(difference.values())
    if pivot < 0:
        difference = {source: -weight for source, weight in difference.items()}
        _swap(rows, name)
    _divide(difference, abs(pivot))
    sides = {
        "dict-1": {source: weight for source, weight in difference.items() if weight > 0},
        "dict-2": {source: -weight for source, weight in difference.items() if weight < 0},
    }
    rows[name] = {field: sources for field, sources in sides.items() if sources}
    return {"true": abs(pivot), "false": abs(pivot)}


_UNITS: dict[str, Callable] = {"accum": _accum, "norm": _norm, "dot": _dot, "compare": _compare}


def _swap(rows: Rows, name: str) -> None:
    other = {(name, "true"): (name, "false"), (name, "false"): (name, "true")}
    for fields in rows.values():
        for field, sources in fields.items():
            fields[field] = {other.get(end, end): weight for end, weight in sources.items()}


# ---- repetitions ----


def signatures(machine: Machine) -> dict[str, str]:
    """What each neuron computes, as the hash of a text in which names do not occur: equal hashes, equal streams.

    Meant for machines in canonical units; weights count to 9 digits.
    """
    rows, texts, memories = rows_of(machine), {}, _memories(machine)
    for name in order(machine):
        texts[name] = _text(machine.neurons[name], name in memories, rows.get(name, {}), texts)
    return texts


def _memories(machine: Machine) -> set[str]:
    return {link.to_neuron for link in machine.fixed_links if link.to_neuron == link.from_neuron}


def _text(kind: str, memory: bool, fields: dict, texts: dict[str, str]) -> str:
    sums = {field: _sum_text(sources, texts) for field, sources in fields.items()}
    # The two inputs of a dot count alike.
    inputs = sorted(sums.values()) if kind == "dot" else [f"{field}: {each}" for field, each in sorted(sums.items())]
    text = f"{kind}{' memory' if memory else ''}({'; '.join(inputs)})"
    return hashlib.sha256(text.encode()).hexdigest()  # the text itself would double with every layer


def _sum_text(sources: dict, texts: dict) -> str:
    return " + ".join(sorted(f"{w:.9g} {texts[source]}.{output}" for (source, output), w in sources.items()))


def favour(machine: Machine) -> Machine:
    """The same machine, with compare neurons turned around that are read at `false` alone."""
    rows = rows_of(machine)
    for name in [name for name, kind in machine.neurons.items() if kind == "compare"]:
        used = {end[1] for each in rows.values() for sources in each.values() for end in sources if end[0] == name}
        if used == {"false"}:
            other = {"dict-1": "dict-2", "dict-2": "dict-1"}
            rows[name] = {other[field]: sources for field, sources in rows[name].items()}
            _swap(rows, name)
    return _with_rows(machine, rows)


def merge(machine: Machine) -> Machine:
    """Let one neuron do the work of all that compute the same; what a link carries twice is added up."""
    first: dict[str, str] = {}
    stands = {name: first.setdefault(text, name) for name, text in signatures(machine).items()}
    rows: Rows = {}
    for name, fields in rows_of(machine).items():
        if stands[name] == name:
            for field, sources in fields.items():
                terms = [((stands[source], output), weight) for (source, output), weight in sources.items()]
                rows.setdefault(name, {})[field] = _add_up(terms)
    return remove_dead(_with_rows(machine, rows))


def same_program(a: Machine, b: Machine) -> bool:
    """Whether two machines are the same program: equal graphs with equal weights once both are in canonical form.
    After merging, neurons with equal signatures are one, so equal signatures of the outputs mean isomorphic graphs.

    >>> dmm.same_program(dmm.load_machine("synthesized-four-strings"), dmm.handcrafted_detector())
    True
    """
    forms = [canonical(each) for each in (a, b)]
    return len({(signatures(each)[each.output], each.dot_clip) for each in forms}) == 1


def snap(machine: Machine, same: Callable[[Machine], bool]) -> Machine:
    """Replace weights by the simple fractions they are nearest to, all at once or one by one, where `same` agrees."""
    vector = machine.vector()
    fractions = np.array([float(Fraction(x).limit_denominator(DENOMINATOR)) for x in vector.tolist()])
    near = np.flatnonzero((np.abs(fractions - vector) <= SNAP * np.abs(vector)) & (fractions != vector))
    for some in ([near] if len(near) else []) + ([[i] for i in near] if len(near) > 1 else []):
        trial = vector.copy()
        trial[some] = fractions[some]
        if same(machine.with_vector(trial)):
            vector = trial
            if len(some) == len(near):
                break
    return machine.with_vector(vector)
