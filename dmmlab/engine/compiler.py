"""A machine compiled: which instructions run in which order, and what arrives where along the links.

Neurons that can reach the output are grouped into blocks: all those of a depth whose links run forwards, or one
strongly connected component. A block's instructions run for all ticks at once, those of a component for a tick at a
time. An accumulator whose only loop is its own fixed memory is no loop: it is a running sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from dmmlab.engine.graphs import components, reached
from dmmlab.engine.instructions import Instruction, InstructionWriter, Stream
from dmmlab.engine.keys import NUM, End, arriving, fields_of, possible_keys
from dmmlab.machines import Link, Machine
from dmmlab.neurons import find_kind

Array = np.ndarray
TARGET, SOURCE, PLACE, CUT = range(4)  # columns of `Structure.entries`


@dataclass
class Block:
    """Neurons whose instructions run together.

    `frozen` where no trainable link leads; `fed` are the chunks of input fields, `emitted` those of output fields.
    """

    neurons: list[str]
    looped: bool
    frozen: bool
    code: list[Instruction] = field(default_factory=list)
    fed: list[int] = field(default_factory=list)
    emitted: list[int] = field(default_factory=list)


class Structure(NamedTuple):
    """A compiled machine in chunks, the same for all strings.

    An entry is what one link brings of one class, entries in the order of links. Soft link i has its weight at place
    i, fixed link j at `links` + j.
    """

    links: int
    blocks: list[Block]
    chunks: Array  # their classes
    entries: Array  # (entries, 4): to which chunk, from which, place of the weight, whether truncated gradients stop
    constants: Array
    fixed: Array  # weights of the fixed links
    letters: dict[str, int]  # classes of the characters that kinds emit by themselves
    answers: list[int]  # chunks of the two fields of the output


# ---- which neurons, in which order ----


def _memories(machine: Machine) -> set[Link]:
    """Fixed links of weight 1 from a neuron's output to the field that its kind merely adds to that output."""
    own = [link for link, weight in machine.fixed_links.items() if weight == 1.0 and link[0] == link[2]]
    return {link for link in own if link.to_field == find_kind(machine.neurons[link[0]]).memory}


def _find_blocks(machine: Machine, links: Iterable[Link], memories: set[Link]) -> list[Block]:
    """The live neurons in blocks, in an order in which each reads only from itself and those before; frozen first."""
    live = reached([machine.output], [(link.to_neuron, link.from_neuron) for link in links])
    sources: dict[str, list[str]] = {name: [] for name in machine.neurons if name in live}
    for link in links:
        if link.to_neuron in live and link not in memories:
            sources[link.to_neuron].append(link.from_neuron)
    fixed = machine.fixed_links
    warm = {machine.output, *(link.to_neuron for link in links if link not in fixed)}
    place = {name: i for i, name in enumerate(sources)}
    depth: dict[str, int] = {}
    frozen: dict[str, bool] = {}
    blocks: dict[tuple, Block] = {}
    for part in components(sources):
        looped = len(part) > 1 or part[0] in sources[part[0]]
        before = {source for name in part for source in sources[name]} - {*part}
        level = 1 + max((depth[each] for each in before), default=-1)
        cold = warm.isdisjoint(part) and all(frozen[each] for each in before)
        depth |= dict.fromkeys(part, level)
        frozen |= dict.fromkeys(part, cold)
        key = (not cold, level, min(place[name] for name in part) if looped else -1)
        blocks.setdefault(key, Block([], looped, cold)).neurons.extend(part)
    for block in blocks.values():
        block.neurons.sort(key=place.__getitem__)
    return [blocks[key] for key in sorted(blocks)]


# ---- what they do ----


def compile_machine(machine: Machine) -> Structure:
    """A machine in blocks of instructions. Raises DMMError for kinds of trees, and for not exactly one output."""
    compiler = _Compiler(machine)
    for block in compiler.blocks:
        compiler.compile_block(block)
    writer = compiler.writer
    return Structure(
        links=len(machine.links),
        blocks=compiler.blocks,
        chunks=np.array(writer.chunks, int),
        entries=np.array(compiler.entries, int).reshape(-1, 4),
        constants=np.array(writer.constants),
        fixed=np.array([*machine.fixed_links.values()], float),
        letters=writer.letters,
        answers=[compiler.given[compiler.output, side].first for side in ("dict-1", "dict-2")],
    )


class _Compiler:
    """Compiles the blocks of a machine one after another."""

    def __init__(self, machine: Machine) -> None:
        inputs, self.outputs, letters = possible_keys(machine, machine.links)
        self.place = {link: i for i, link in enumerate((*machine.links, *machine.fixed_links))}
        flowing = [link for link in self.place if inputs.get(link[:2], 0) & self.outputs.get(link[2:], 0)]
        self.output, self.memories = machine.output, _memories(machine)
        self.blocks = _find_blocks(machine, flowing, self.memories)
        self.kinds = {name: find_kind(kind) for name, kind in machine.neurons.items()}
        self.writer = InstructionWriter(machine.dot_clip, letters)
        self.given: dict[End, Stream] = {}  # what arrives at input fields
        self.emitted: dict[End, Stream] = {}
        self.into: dict[End, list[Link]] = {}
        for link in flowing:
            self.into.setdefault(link[:2], []).append(link)
        self.entries: list[tuple[int, int, int, bool]] = []

    def compile_block(self, block: Block) -> None:
        """The instructions of a block, and its entries."""
        closed = set() if block.looped else self.memories  # these are running sums
        start, links = len(self.writer.code), {}
        for name in block.neurons:
            for port, carries in fields_of(self.kinds[name], name, self.place).items():
                some = [link for link in self.into.get((name, port), ()) if link not in closed]
                links[name, port] = some
                self.given[name, port] = stream = self.writer.allot(self._bits(name, carries, some))
                block.fed += stream.chunks
        remember = {link.to_neuron for link in closed}
        for name in block.neurons:
            block.emitted += self._emit(name, links, name in remember)
        block.code = self.writer.code[start:]
        for end, some in links.items():
            self._add_entries(end, some)

    def _bits(self, name: str, carries: str, links: list[Link]) -> int:
        """What may arrive at an input field; the output has its two numbers always."""
        if name == self.output:
            return NUM
        return arriving((link[2:] for link in links), self.outputs, carries)

    def _emit(self, name: str, fields: Iterable[End], remembers: bool) -> Iterator[int]:
        """Write what a neuron does; gives the chunks of its output fields."""
        kind = self.kinds[name]
        given = {port: self.given[owner, port] for owner, port in fields if owner == name}
        for output, stream in kind.up(given, self.writer).items():
            if remembers:
                stream = self.writer.running_sum(stream, not kind.passes_gradient(kind.memory))
            self.emitted[name, output] = stream
            yield from stream.chunks

    def _add_entries(self, end: End, links: list[Link]) -> None:
        """What arrives at an input field, chunk by chunk; sources that do not carry its class are left out."""
        stream, cut = self.given[end], not self.kinds[end[0]].passes_gradient(end[1])
        read = [(self.emitted[link[2:]], self.place[link]) for link in links]
        for chunk, which in zip(stream.chunks, stream.classes, strict=True):
            parts = [(source.part(which), place) for source, place in read]
            self.entries += [(chunk, part.first, place, cut) for part, place in parts if part.classes]
