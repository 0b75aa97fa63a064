"""Builders of machines: the handcrafted detector, programs written link by link, the journal's architectures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product

from dmmlab.files import DMMError, check_int
from dmmlab.links import Link
from dmmlab.machines import DOT_CLIP, OUTER, SOURCES, Machine
from dmmlab.neurons import Kind, find_kind, kind_by_name
from dmmlab.vvalues import VValue, from_leaves

CLOCK = (Link("timer", "timer", "timer", "timer"), Link("input", "timer", "timer", "timer"))
STREAMS = (("input", "char"), ("eos", "char"), ("const_1", "const_1"))  # what there is to read
ANSWERS = (("output", "dict-1"), ("output", "dict-2"))
FIELDS = ("dict", "dict-1", "dict-2", "norm", "dot", "true", "false")  # of every neuron of the recurrent machine
COPIED = ("dict-1", "dict-2", "dict", "norm", "dot", "true", "false")  # the order of an `id` in layers


def handcrafted_detector(dot_clip: float = DOT_CLIP) -> Machine:
    """The duplicate-character detector written by hand: 9 neurons, 8 soft links of weight 1 (arXiv:1606.09470, sec. 3).
    Left: relu(count of the most frequent character − 1); right: the number of '.', clipped.

    >>> dmm.run(dmm.handcrafted_detector(), "banana.", ticks=70)[-1]
    array([2., 1.])
    """
    program = """
        accum.dict-2 <- input.char
        norm.dict <- accum.dict
        compare.dict-1 <- norm.norm
        compare.dict-2 <- const_1.const_1
        dot.dict-1 <- accum.dict
        dot.dict-2 <- eos.char
        output.dict-1 <- compare.true
        output.dict-2 <- dot.dot
    """
    return write_program(program, dot_clip)


def write_program(text: str, dot_clip: float = DOT_CLIP) -> Machine:
    """A machine from lines "to.field <- weight from.field"; a weight of 1 may be left out.
    A neuron's name says its kind, up to the first hyphen (`compare-2`; `letter-a` is the source of that letter).
    Accumulators remember. Raises DMMError that names the line it cannot read.

    >>> dmm.write_program("output.dict-1 <- 2 const_1.const_1").weights
    VValue({'output': {'dict-1': {'const_1': {'const_1': 2.0}}}})
    """
    machine = Machine({**SOURCES, "output": "output"}, fixed=_ones(CLOCK), dot_clip=dot_clip)
    for line in filter(str.strip, text.splitlines()):
        try:
            to, _, rest = line.partition(" <- ")
            *weight, source = rest.split(maxsplit=1) or [""]
            link = Link.parse(to.strip(), source.strip())
            for name in (link.to_neuron, link.from_neuron):
                if name not in machine.neurons:
                    machine = add_neuron(machine, name)
            machine = machine.link(to.strip(), source.strip(), float(*weight or [1.0]))
        except (DMMError, ValueError) as error:
            raise DMMError(f"line {line.strip()!r}: {error}; write 'to.field <- weight from.field'") from None
    return machine


def add_neuron(machine: Machine, name: str) -> Machine:
    """The machine with a neuron whose name says its kind, and with its memory. Raises DMMError."""
    kind = find_kind(kind_by_name(name))
    machine = machine.with_neuron(name, kind.name)
    return replace(machine, fixed=machine.fixed + _ones(_memory(name, kind)))


def _memory(name: str, kind: Kind) -> list[Link]:
    """The fixed link by which a neuron adds to what it has, if its kind does so."""
    return [Link(name, kind.memory, name, output) for output in kind.outputs or () if kind.memory]


def _ones(links: Iterable[Link]) -> VValue:
    return from_leaves((link, 1.0) for link in links)


def feedforward(
    layers: int = 5,
    copies: int = 2,
    kinds: Sequence[str] = ("accum", "norm", "dot", "compare"),
    dot_clip: float = DOT_CLIP,
    letters: str = "",
    skip: bool = True,
    loops: Sequence[str] = (),
) -> Machine:
    """Layers of neurons `kind-layer-copy`; all weights zero. Accumulators remember by a fixed link.

    Args:
        layers: how many; all neurons of a layer read the same, that is all layers before it.
        copies: neurons of each kind in a layer.
        kinds: different kinds; one of any fields, as "id", reads and offers seven: dict-1, dict-2, dict, norm, dot,
            true, false.
        dot_clip: the bound of what dot neurons emit.
        letters: characters, or words, that get a source each: "letter-a" emits {a: 1} at every tick.
        skip: whether links skip layers. If not, the first layer reads the input only, the others read the constant
            sources and the layer before, and the output reads the last layer only (as the 2022 journal's
            v0-1/first-feedforward-run and v0-1/feedforward-run-1.1).
        loops: those of the kinds whose neurons also read what neurons of these kinds in their own layer emit, their own
            outputs included, a tick later: loops of one tick, as states that are reset or wrap around need them.

    >>> len(dmm.feedforward().links), len(dmm.feedforward(layers=6, kinds=["accum", "norm", "dot"]).links)
    (1486, 942)
    """
    if {*loops} - {*kinds} or isinstance(loops, str):
        raise DMMError(f"loops are {loops!r}; give a list of some of the kinds {', '.join(kinds)}")
    layers, copies, inner = check_int("layers", layers), check_int("copies", copies), _inner_kinds(kinds)
    neurons = SOURCES | {f"letter-{letter}": f"letter {letter}" for letter in letters}
    constants = [*STREAMS[1:], *((name, "char") for name in neurons if name not in SOURCES)]
    fixed, links, before = [*CLOCK], [], [STREAMS[0]]
    sources = [*before, *constants] if skip else before
    for layer in range(1, layers + 1):
        group = {f"{kind.name}-{layer}-{copy}": kind for copy, kind in product(range(1, copies + 1), inner)}
        before = [(name, output) for name, kind in group.items() for output in _fields(kind.outputs)]
        neurons |= {name: kind.name for name, kind in group.items()}
        fixed += [link for name, kind in group.items() for link in _memory(name, kind)]
        back = [(name, output) for name, output in before if group[name].name in loops]
        for name, kind in group.items():
            links += _links_into(name, kind, [*sources, *(back if kind.name in loops else ())])
        sources = [*(sources if skip else constants), *before]
    links += [Link(*end, *source) for end in ANSWERS for source in (sources if skip else before)]
    return Machine({**neurons, "output": "output"}, fixed=_ones(fixed), links=links, dot_clip=dot_clip)


def _links_into(name: str, kind: Kind, sources: Iterable[tuple[str, str]]) -> list[Link]:
    """The links from all sources to all inputs of a neuron in a layer, but for its memory."""
    ends = [(name, to) for to in _fields(kind.inputs) if to != kind.memory]
    return [Link(*end, *source) for end in ends for source in sources]


def _fields(of_kind: Mapping[str, str] | None) -> Iterable[str]:
    """The fields of a kind in a layer."""
    return COPIED if of_kind is None else of_kind


def recurrent(
    copies: int = 1, dot_clip: float = DOT_CLIP, kinds: Sequence[str] = ("accum", "norm", "compare", "dot")
) -> Machine:
    """Everything connected to everything: `kind-copy` neurons with all seven fields each; all weights zero.
    (2 + 28·copies)·(3 + 28·copies) soft links. No fixed memory. The 2022 journal's recurrent run with `id`
    (v0-1/rec-with-id-4-instead-of-5) had four copies of five kinds, "id" the last of them.

    >>> [len(dmm.recurrent(copies).links) for copies in (1, 5)]
    [930, 20306]
    """
    copies, inner = check_int("copies", copies), _inner_kinds(kinds)
    for kind in inner:
        if not {*(kind.inputs or ()), *(kind.outputs or ())} <= {*FIELDS}:
            raise DMMError(f"kind {kind.name!r} has other fields than {', '.join(FIELDS)}; leave it out")
    neurons = {f"{kind.name}-{copy}": kind.name for copy in range(1, copies + 1) for kind in inner}
    fields = [*product(neurons, FIELDS)]
    links = [Link(*end, *source) for end in (*ANSWERS, *fields) for source in (*STREAMS, *fields)]
    neurons = {**SOURCES, **neurons, "output": "output"}
    return Machine(neurons, fixed=_ones(CLOCK), links=links, dot_clip=dot_clip, silent_fields=FIELDS)


def _inner_kinds(names: Sequence[str]) -> list[Kind]:
    if isinstance(names, str) or len({*names}) < len(names):
        raise DMMError(f"kinds are {names!r}; give a list of different kinds")
    if outer := [name for name in names if name in OUTER]:
        raise DMMError(f"kind {outer[0]!r} is none of the inner neurons; leave it out")
    return [find_kind(name) for name in names]
