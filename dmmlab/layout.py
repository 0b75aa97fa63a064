"""Where everything lies in the flat engine's arrays, and in which order it is computed.

Neurons that can reach the output are grouped by kind into blocks. A block without loops is computed for all ticks at
once, a strongly connected one tick by tick. An accumulator whose only loop is its own fixed memory counts as without.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dmmlab.files import DMMError
from dmmlab.machines import Link, Machine
from dmmlab.neurons import CHARS, NUMBER, STREAM, Kind, find_kind

Place = tuple[int, slice]  # of a field: the part it is computed in (0 streams, 1 numbers), its rows or columns there


@dataclass
class Group:
    """Neurons of one kind; every field has a row (input) or column (output) a neuron, counted within the block."""

    kind: Kind
    neurons: list[str]
    memory: bool  # closed by its own fixed loop of weight 1
    inputs: dict[str, Place] = field(default_factory=dict)
    outputs: dict[str, Place] = field(default_factory=dict)


@dataclass
class Block:
    """Groups computed in one go, with their spans of rows and columns in the characters' and the numbers' part.

    The first `joined` rows and columns of both parts belong to the same fields, which carry characters and a number.
    """

    groups: list[Group]
    recurrent: bool
    frozen: bool  # no trainable link leads here: the same for all weights
    rows: tuple[slice, slice] = (slice(0), slice(0))
    columns: tuple[slice, slice] = (slice(0), slice(0))
    joined: tuple[int, int] = (0, 0)


@dataclass
class Part:
    """One of the two weight arrays (characters, numbers): its places, its fixed entries, where soft links go."""

    rows: dict[tuple[str, str], int] = field(default_factory=dict)
    columns: dict[tuple[str, str], int] = field(default_factory=dict)

    def connect(self, soft: list[tuple[int, Link]], fixed: list[tuple[Link, float]], links: int) -> None:
        """Say where every weight goes.

        `constants` are zero and the fixed weights; entry e of the flattened array (rows × columns) is entry `cells[e]`
        of the soft weights followed by the constants. Soft link i lies at the entry `places[i]`, or, if it has none in
        this part, at one past the end.
        """
        self.cells = np.full(len(self.rows) * len(self.columns), links)
        self.places = np.full(links, self.cells.size)
        for i, link in soft:
            place = self._place(link)
            if place is not None:
                self.cells[place], self.places[i] = i, place
        sums: dict[int, float] = {}
        for link, weight in fixed:
            place = self._place(link)
            if place is not None:
                sums[place] = sums.get(place, 0.0) + weight
        self.constants = np.array([0.0, *sums.values()])
        self.cells[list(sums)] = links + 1 + np.arange(len(sums))

    def _place(self, link: Link) -> int | None:
        row, column = self.rows.get(link[:2]), self.columns.get(link[2:])
        return None if row is None or column is None else row * len(self.columns) + column


@dataclass
class Layout:
    """The compiled structure of a machine: blocks in order, the output last; parts (characters, numbers)."""

    blocks: list[Block]
    parts: tuple[Part, Part]
    alphabet: frozenset[str]  # characters that kinds emit by themselves


def lay_out(machine: Machine) -> Layout:
    """Compile a machine's structure. Raises DMMError for kinds of trees, and for not exactly one output neuron."""
    refuse_trees(machine)
    soft = [(i, link) for i, link in enumerate(machine.links) if _carries(machine, link)]
    fixed = [(link, weight) for link, weight in machine.fixed_links.items() if _carries(machine, link)]
    loops = _memories(machine, fixed)
    live = _ancestors([*(link for _, link in soft), *(link for link, _ in fixed)], machine.output)
    soft = [(i, link) for i, link in soft if link.to_neuron in live]
    fixed = [(link, weight) for link, weight in fixed if link.to_neuron in live]
    blocks = _find_blocks(machine, live, [link for _, link in soft], [link for link, _ in fixed], loops)
    closed = {name for block in blocks for group in block.groups if group.memory for name in group.neurons}
    fixed = [(link, weight) for link, weight in fixed if link not in loops or link.to_neuron not in closed]
    parts, links = (Part(), Part()), [*(link for _, link in soft), *(link for link, _ in fixed)]
    for block in blocks:
        _place_block(block, parts, links)
    for part in parts:
        part.connect(soft, fixed, len(machine.links))
    alphabet = frozenset("".join(group.kind.characters for block in blocks for group in block.groups))
    return Layout(blocks, parts, alphabet)


def refuse_trees(machine: Machine) -> None:
    """Raises DMMError for a machine that computes with trees of any depth, which only the interpreter does."""
    for name, kind in machine.neurons.items():
        if find_kind(kind).trees:
            raise DMMError(f"neuron {name!r} ({kind}) computes with trees; use dmm.cycle, dmm.trace or dmm.answers")


def _carries(machine: Machine, link: Link) -> bool:
    """Whether anything can flow: the source's kind emits this field and the target's kind reads it."""
    to, source = find_kind(machine.neurons[link.to_neuron]), find_kind(machine.neurons[link.from_neuron])
    reads = to.inputs is None or link.to_field in to.inputs
    return reads and (source.outputs is None or link.from_field in source.outputs)


def _memories(machine: Machine, fixed: list[tuple[Link, float]]) -> set[Link]:
    """Fixed links of weight 1 from a neuron's output to the field that its kind merely adds to that output."""
    own = [link for link, weight in fixed if weight == 1.0 and link.to_neuron == link.from_neuron]
    memory = {name: find_kind(kind).memory for name, kind in machine.neurons.items()}
    return {link for link in own if link.to_field == memory[link.to_neuron]}


def _ancestors(links: Iterable[Link], output: str) -> set[str]:
    sources: dict[str, set[str]] = {}
    for link in links:
        sources.setdefault(link.to_neuron, set()).add(link.from_neuron)
    live, waiting = {output}, [output]
    while waiting:
        new = sources.get(waiting.pop(), set()) - live
        live |= new
        waiting += new
    return live


def _find_blocks(
    machine: Machine, live: set[str], soft: list[Link], fixed: list[Link], loops: set[Link]
) -> list[Block]:
    names = [name for name in machine.neurons if name in live]
    edges = [(link.from_neuron, link.to_neuron) for link in (*soft, *fixed) if link not in loops]
    component = _components(names, edges)
    recurrent = {component[a] for a, b in edges if component[a] == component[b]}
    depth, frozen = _depths(component, edges, {link.to_neuron for link in soft})
    chosen: dict[tuple, dict[tuple, Group]] = {}
    for name in names:
        part = component[name]
        memory = part not in recurrent and any(link.to_neuron == name for link in loops)
        kind = find_kind(machine.neurons[name])
        frozen_block = frozen[part] and kind.name != "output"  # the output is always computed, and last
        key = (not frozen_block, depth[part], part if part in recurrent else -1)
        # A neuron of any fields (inputs None) has fields of its own, so it makes a group of its own.
        group = (kind.name, memory, name if kind.inputs is None else "")
        chosen.setdefault(key, {}).setdefault(group, Group(kind, [], memory)).neurons.append(name)
    return [Block(list(chosen[key].values()), key[2] >= 0, not key[0]) for key in sorted(chosen)]


def _components(names: list[str], edges: list[tuple[str, str]]) -> dict[str, int]:
    """The strongly connected component of every neuron."""
    index = {name: i for i, name in enumerate(names)}
    ends = np.array([(index[a], index[b]) for a, b in edges], dtype=np.int32).reshape(-1, 2).T
    graph = coo_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(len(names), len(names)))
    labels = connected_components(graph.tocsr(), directed=True, connection="strong")[1]
    return dict(zip(names, labels.tolist(), strict=True))


def _depths(
    component: dict[str, int], edges: list[tuple[str, str]], trained: set[str]
) -> tuple[dict[int, int], dict[int, bool]]:
    """Per component: the longest way from a source, and whether no trainable link leads to it."""
    before: dict[int, set[int]] = {part: set() for part in component.values()}
    for a, b in edges:
        if component[a] != component[b]:
            before[component[b]].add(component[a])
    warm = {component[name] for name in trained}
    depth, frozen = {}, {}
    for part in TopologicalSorter(before).static_order():
        depth[part] = 1 + max((depth[each] for each in before[part]), default=-1)
        frozen[part] = part not in warm and all(frozen[each] for each in before[part])
    return depth, frozen


def _place_block(block: Block, parts: tuple[Part, Part], links: list[Link]) -> None:
    """Give every field of the block its rows and columns."""
    inputs, outputs = [], []
    for group in block.groups:
        names = _fields(group, links)
        inputs += [(group, name, carries) for name, carries in names[0].items()]
        outputs += [(group, name, carries) for name, carries in names[1].items()]
    rows, joined_rows = _claim([part.rows for part in parts], inputs, "inputs")
    columns, joined_columns = _claim([part.columns for part in parts], outputs, "outputs")
    block.rows, block.columns, block.joined = rows, columns, (joined_rows, joined_columns)


def _fields(group: Group, links: list[Link]) -> tuple[dict[str, str], dict[str, str]]:
    """The input and output fields of a group, with what they carry."""
    inputs, outputs = group.kind.inputs, group.kind.outputs
    to = {link.to_field for link in links if link.to_neuron in group.neurons}
    if inputs is None:
        names = to | {link.from_field for link in links if link.from_neuron in group.neurons}
        inputs = outputs = dict.fromkeys(sorted(names), STREAM)
    if group.memory and group.kind.memory not in to:
        inputs = {name: carries for name, carries in inputs.items() if name != group.kind.memory}
    return dict(inputs), dict(outputs)


def _claim(tables: list[dict], fields: list[tuple], ends: str) -> tuple[tuple[slice, slice], int]:
    """Enter fields in the tables of both parts, those that carry both first. Returns their spans, and how many do."""
    starts, joined = [len(table) for table in tables], 0
    for carried in (STREAM, CHARS, NUMBER):
        for group, name, _ in (each for each in fields if each[2] == carried):
            part = 1 if carried == NUMBER else 0
            first = len(tables[part]) - starts[part]
            getattr(group, ends)[name] = part, slice(first, first + len(group.neurons))
            joined += len(group.neurons) if carried == STREAM else 0
            for table, other in zip(tables, (NUMBER, CHARS), strict=True):
                if carried != other:
                    table.update({(neuron, name): len(table) + i for i, neuron in enumerate(group.neurons)})
    return tuple(slice(start, len(table)) for start, table in zip(starts, tables, strict=True)), joined
