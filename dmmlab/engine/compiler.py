"""A machine compiled: which instructions run in which order, and where their rows lie.

Neurons that can reach the output are grouped into blocks: all those of a depth whose links run forwards, or one
strongly connected component. A block's instructions run for all ticks at once, those of a component for a tick at a
time. An accumulator whose only loop is its own fixed memory is no loop: it is a running sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from dmmlab.engine.carried import NUM, End, fields_of, possible_keys
from dmmlab.engine.graphs import components, reached
from dmmlab.engine.instructions import EMPTY, GATHER, LINK, Emitter, Instruction, Stream
from dmmlab.machines import Link, Machine
from dmmlab.neurons import SCALAR, find_kind

Array = np.ndarray


@dataclass
class Block:
    """Neurons whose instructions run together: `code` is their span; `frozen` where no trainable link leads."""

    neurons: list[str]
    looped: bool
    frozen: bool
    code: tuple[int, int] = (0, 0)
    first_chunk: int = 0


class Job(NamedTuple):
    """What arrives at one chunk of an input field: output ends and places of weights, in link order."""

    chunk: int
    sources: list[tuple[End, int]]
    cut: bool  # the truncated gradient does not pass


@dataclass
class Structure:
    """A machine's blocks, instructions and links, in chunks: the same for all strings.

    `weights` are the values of the fixed links; soft link i is weight i, fixed link j is weight `links` + j.
    """

    links: int
    weights: Array
    blocks: list[Block] = field(default_factory=list)
    jobs: list[list[Job]] = field(default_factory=list)  # of every block
    streams: dict[End, Stream] = field(default_factory=dict)  # what output fields emit
    answers: tuple[int, int] = (0, 0)  # chunks of the two fields of the output


# ---- which neurons, in which order ----


def _memories(machine: Machine) -> set[Link]:
    """Fixed links of weight 1 from a neuron's output to the field that its kind merely adds to that output."""
    own = [link for link, weight in machine.fixed_links.items() if weight == 1.0 and link[0] == link[2]]
    return {link for link in own if link.to_field == find_kind(machine.neurons[link[0]]).memory}


def _find_blocks(machine: Machine, soft: Iterable[Link], links: Iterable[Link], memories: set[Link]) -> list[Block]:
    """The live neurons in blocks, in an order in which each reads only from itself and those before; frozen first."""
    live = reached([machine.output], [(link.to_neuron, link.from_neuron) for link in links])
    sources: dict[str, list[str]] = {name: [] for name in machine.neurons if name in live}
    for link in links:
        if link.to_neuron in live and link not in memories:
            sources[link.to_neuron].append(link.from_neuron)
    trained = {link.to_neuron for link in soft}
    depth: dict[str, int] = {}
    frozen: dict[str, bool] = {}
    chosen: dict[tuple, Block] = {}
    place = {name: i for i, name in enumerate(sources)}
    for part in components(sources):
        looped = len(part) > 1 or part[0] in sources[part[0]]
        before = {source for name in part for source in sources[name]} - {*part}
        level = 1 + max((depth[each] for each in before), default=-1)
        cold = not trained & {*part} and all(frozen[each] for each in before) and machine.output not in part
        depth |= dict.fromkeys(part, level)
        frozen |= dict.fromkeys(part, cold)
        key = (not cold, level, min(place[name] for name in part) if looped else -1)
        chosen.setdefault(key, Block([], looped, cold)).neurons.extend(part)
    for block in chosen.values():
        block.neurons.sort(key=place.__getitem__)
    return [chosen[key] for key in sorted(chosen)]


# ---- what they do ----


def compile_machine(machine: Machine) -> tuple[Structure, Emitter]:
    """The structure and the instructions. Raises DMMError for kinds of trees, and for not exactly one output."""
    inputs, outputs, letters = possible_keys(machine, machine.links)
    place = {link: i for i, link in enumerate((*machine.links, *machine.fixed_links))}
    flowing = [link for link in place if inputs.get(link[:2], 0) & outputs.get(link[2:], 0)]
    soft, memories = [link for link in flowing if place[link] < len(machine.links)], _memories(machine)
    fixed = np.array([*machine.fixed_links.values()], float)
    structure = Structure(len(machine.links), fixed, _find_blocks(machine, soft, flowing, memories))
    emitter, writer = Emitter(machine.dot_clip, letters), _Writer(machine, structure, place, flowing, outputs)
    for number, block in enumerate(structure.blocks):
        start, block.first_chunk = len(emitter.code), len(emitter.chunks)
        emitter.code.append(Instruction(LINK, number))
        writer.write(emitter, block, set() if block.looped else memories)
        emitter.code.append(Instruction(GATHER, number))
        block.code = start, len(emitter.code)
    return structure, emitter


class _Writer:
    """Writes the blocks of a machine one after another into its structure."""

    def __init__(
        self,
        machine: Machine,
        structure: Structure,
        place: dict[Link, int],
        flowing: list[Link],
        outputs: dict[End, int],
    ) -> None:
        self.machine, self.structure, self.place, self.outputs = machine, structure, place, outputs
        self.into: dict[End, list[Link]] = {}
        for link in flowing:
            self.into.setdefault(link[:2], []).append(link)

    def write(self, emitter: Emitter, block: Block, closed: set[Link]) -> None:
        """The instructions and jobs of a block; memories in `closed` are running sums."""
        self.structure.jobs.append([])
        inputs = {name: self._inputs(emitter, name, closed) for name in block.neurons}
        for name, given in inputs.items():
            kind = find_kind(self.machine.neurons[name])
            remembers = any(link.to_neuron == name for link in closed)
            cut = remembers and not kind.passes_gradient(kind.memory)
            for output, stream in kind.up(given, emitter).items():
                self.structure.streams[name, output] = emitter.running_sum(stream, cut) if remembers else stream
            if name == self.machine.output:
                self.structure.answers = tuple(given[side].first for side in ("dict-1", "dict-2"))

    def _inputs(self, emitter: Emitter, name: str, closed: set[Link]) -> dict[str, Stream]:
        kind = find_kind(self.machine.neurons[name])
        given = {}
        for port, carries in fields_of(kind, name, self.place).items():
            some = [link for link in self.into.get((name, port), ()) if link not in closed]
            bits = 0
            for link in some:
                bits |= self.outputs.get(link[2:], 0)
            bits = NUM if name == self.machine.output else bits & NUM if carries == SCALAR else bits
            given[port] = emitter.allot(bits) if bits else EMPTY
            cut = not kind.passes_gradient(port)
            sources = [(link[2:], self.place[link]) for link in some]
            self.structure.jobs[-1] += [Job(chunk, sources, cut) for chunk in given[port].chunks]
        return given
