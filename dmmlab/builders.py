"""Builders of machines: the handcrafted detector, programs written link by link, the journal's architectures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dmmlab.files import DMMError, check_int
from dmmlab.machines import DOT_CLIP, SOURCES, Link, Machine
from dmmlab.neurons import Kind, find_kind, kind_by_name
from dmmlab.vvalues import VValue, from_leaves

CLOCK = (("timer.timer", "timer.timer"), ("input.timer", "timer.timer"))


FIELDS = ("dict", "dict-1", "dict-2", "norm", "dot", "true", "false")  # of every neuron of the recurrent machine


def _fixed(links: Iterable[tuple[str, str]]) -> VValue:
    return from_leaves((Link.parse(*ends), 1.0) for ends in links)


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
    machine, memories = Machine({**SOURCES, "output": "output"}, fixed=_fixed(CLOCK), dot_clip=dot_clip), []
    for line in filter(str.strip, text.splitlines()):
        try:
            to, _, rest = line.partition(" <- ")
            *weight, source = rest.split(maxsplit=1) or [""]
            link, weight = Link.parse(to.strip(), source.strip()), float(weight[0] if weight else 1.0)
            for name in (link.to_neuron, link.from_neuron):
                kind = kind_by_name(name)
                if name not in machine.neurons:
                    machine = replace(machine, neurons={**machine.neurons, name: kind})
                    loop = find_kind(kind).memory
                    memories += [(f"{name}.{loop}", f"{name}.{out}") for out in find_kind(kind).outputs or () if loop]
            machine = machine.link(f"{link[0]}.{link[1]}", f"{link[2]}.{link[3]}", weight)
        except (DMMError, ValueError) as error:
            raise DMMError(f"line {line.strip()!r}: {error}; write 'to.field <- weight from.field'") from None
    return replace(machine, fixed=machine.fixed + _fixed(memories))


def feedforward(
    layers: int = 5,
    copies: int = 2,
    kinds: Sequence[str] = ("accum", "norm", "dot", "compare"),
    dot_clip: float = DOT_CLIP,
    letters: str = "",
) -> Machine:
    """Layers of neurons `kind-layer-copy` with every skip link from earlier layers; all weights zero.
    Accumulators remember by a fixed link. `letters` adds a source for each: "letter-a" emits {a: 1} at every tick.

    >>> len(dmm.feedforward().links), len(dmm.feedforward(layers=6, kinds=["accum", "norm", "dot"]).links)
    (1486, 942)
    """
    layers, copies = check_int("layers", layers), check_int("copies", copies)
    inner = _inner_kinds(kinds)
    if any(kind.inputs is None for kind in inner.values()):
        raise DMMError(f"kinds are {kinds!r}; one of any fields is none that layers are made of, add it by hand")
    neurons, fixed, links = dict(SOURCES), list(CLOCK), []
    neurons |= {f"letter-{letter}": f"letter {letter}" for letter in letters}
    earlier = [("input", "char"), ("eos", "char"), ("const_1", "const_1")]
    earlier += [(f"letter-{letter}", "char") for letter in letters]
    for layer in range(1, layers + 1):
        names = {f"{name}-{layer}-{copy}": inner[name] for copy in range(1, copies + 1) for name in inner}
        for name, kind in names.items():
            loops = [kind.memory] if kind.memory else []
            fixed += [(f"{name}.{loop}", f"{name}.{output}") for loop in loops for output in kind.outputs]
            links += [Link(name, to, *source) for to in kind.inputs if to not in loops for source in earlier]
        neurons |= {name: kind.name for name, kind in names.items()}
        earlier += [(name, output) for name, kind in names.items() for output in kind.outputs]
    neurons["output"] = "output"
    links += [Link("output", to, *source) for to in ("dict-1", "dict-2") for source in earlier]
    return Machine(neurons, fixed=_fixed(fixed), links=links, dot_clip=dot_clip)


def recurrent(
    copies: int = 1, dot_clip: float = DOT_CLIP, kinds: Sequence[str] = ("accum", "norm", "compare", "dot")
) -> Machine:
    """Everything connected to everything: `kind-copy` neurons with all seven fields each; all weights zero.
    (2 + 28·copies)·(3 + 28·copies) soft links. No fixed memory. The 2022 journal's recurrent run with `id`
    (v0-1/rec-with-id-4-instead-of-5) had four copies of five kinds, "id" the last of them.

    >>> [len(dmm.recurrent(copies).links) for copies in (1, 5)]
    [930, 20306]
    """
    copies, kinds = check_int("copies", copies), _inner_kinds(kinds)
    for kind in kinds.values():
        if not {*(kind.inputs or ()), *(kind.outputs or ())} <= {*FIELDS}:
            raise DMMError(f"kind {kind.name!r} has other fields than {', '.join(FIELDS)}; leave it out")
    inner = {f"{kind}-{copy}": kind for copy in range(1, copies + 1) for kind in kinds}
    fields = [(name, each) for name in inner for each in FIELDS]
    to = [("output", "dict-1"), ("output", "dict-2"), *fields]
    sources = [("input", "char"), ("eos", "char"), ("const_1", "const_1"), *fields]
    links = [Link(*end, *source) for end in to for source in sources]
    neurons = {**SOURCES, **inner, "output": "output"}
    return Machine(neurons, fixed=_fixed(CLOCK), links=links, dot_clip=dot_clip, silent_fields=FIELDS)


def _inner_kinds(names: Sequence[str]) -> dict[str, Kind]:
    if isinstance(names, str) or len(set(names)) < len(names):
        raise DMMError(f"kinds are {names!r}; give a list of different kinds")
    for name in {*names} & {*SOURCES.values(), "output"}:
        raise DMMError(f"kind {name!r} is none of the inner neurons; leave it out")
    return {name: find_kind(name) for name in names}
