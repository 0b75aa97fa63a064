"""A program: a compiled machine laid out for one string, as arrays that the loops go through.

Row r holds one number a tick: what is emitted at tick t lies at index t, index 0 being the state before tick 1. A chunk
of `FREE` characters has a row for each character that only the string knows. Rows of frozen blocks come first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dmmlab.engine.carried import FREE
from dmmlab.engine.compiler import Structure
from dmmlab.engine.instructions import CHARACTER, FILL, GATHER, INNER, INNER_MORE, LINK, NORM, Emitter, Instruction

Array = np.ndarray


class Program(NamedTuple):
    """What the loops read. Jobs are combinations: job j adds up `job_first[j]` to `job_first[j + 1]` of its table.

    code: instructions (code, to, a, b, rows, extra, fresh: 1, 2 where the gradient of a, b begins); of LINK and GATHER
    the code and their span of jobs. blocks: first, last, looped, their span of jobs. jobs: rows of input fields, with
    the sources and places of weights of what arrives; back: rows of output fields, with where they are read; slope: the
    same for all rows that are read, but only along the links that are trained.
    """

    code: Array
    blocks: Array
    job_rows: Array
    job_first: Array
    job_sources: Array
    job_links: Array
    back_rows: Array
    back_first: Array
    back_last: Array
    back_targets: Array
    back_links: Array
    slope_rows: Array
    slope_first: Array
    slope_targets: Array
    slope_links: Array
    states: Array  # rows of output fields: all that the next tick knows
    cleared: Array  # rows whose gradient must begin as zero
    answers: Array  # the two rows of the output
    steps: Array  # at which row of the input's stream each step of the string lies
    sizes: Array  # rows, ticks, ticks a step, ticks of a window, windows whose values are kept
    constants: Array  # from here on, numbers
    fixed: Array  # weights of the fixed links
    ranks: Array  # of every row, at a tie of a max-norm
    frozen: Array  # the first rows, the same for all weights, (rows, ticks + 1)


WHOLE = Program._fields.index("constants")  # so many arrays hold whole numbers
Packed = tuple[Array, Array, Array]


def pack(programs: Sequence[Program], dtype: type) -> Packed:
    """Programs in three arrays, for compiled code is called the faster the fewer there are; see `runs.unpack`.

    They are: where each array of each program begins and ends, (programs, 2 · arrays); all whole numbers; all others.
    What several programs share is there once.
    """
    spans = np.zeros((len(programs), 2 * len(Program._fields)), int)
    pools, sizes, placed = ([], []), [0, 0], {}
    for program, row in zip(programs, spans, strict=True):
        for k, array in enumerate(program):
            which = int(k >= WHOLE)
            if id(array) not in placed:
                placed[id(array)] = sizes[which]
                pools[which].append(array.ravel())
                sizes[which] += array.size
            row[2 * k : 2 * k + 2] = placed[id(array)], placed[id(array)] + array.size
    return spans, np.concatenate(pools[0]), np.concatenate(pools[1]).astype(dtype)


@dataclass
class Tables:
    """The jobs of a structure as arrays, in chunks."""

    chunk: Array
    block: Array
    order: Array  # of its class: jobs of the same keys stand together, so that sources stay in the cache
    cut: Array
    first: Array
    count: Array
    source: Array
    link: Array


def tabulate(structure: Structure, emitter: Emitter) -> Tables:
    """The jobs of a structure in arrays; sources that do not carry a job's class are left out."""
    jobs = [(number, job) for number, some in enumerate(structure.jobs) for job in some]
    sources: list[int] = []
    links: list[int] = []
    first = [0]
    for _, job in jobs:
        which = emitter.chunks[job.chunk]
        for end, place in job.sources:
            stream = structure.streams[end]
            if which in stream.classes:
                sources.append(stream.first + stream.classes.index(which))
                links.append(place)
        first.append(len(sources))
    chunk, cut = (np.array([getattr(job, name) for _, job in jobs], int) for name in ("chunk", "cut"))
    order = np.array([emitter.chunks[job.chunk] for _, job in jobs], int)
    first = np.array(first)
    block = np.array([number for number, _ in jobs], int)
    return Tables(chunk, block, order, cut, first[:-1], np.diff(first), np.array(sources, int), np.array(links, int))


class Layout:
    """A structure with `keys` rows for the characters that only the string knows."""

    def __init__(self, structure: Structure, emitter: Emitter, tables: Tables, keys: int) -> None:
        self.structure, self.emitter, self.tables = structure, emitter, tables
        self._common: dict[bool, Program] = {}
        sizes = np.where(np.array(emitter.chunks, int) == FREE, keys, 1)
        self.starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self.rows = int(self.starts[-1])
        warm = [block.first_chunk for block in structure.blocks if not block.frozen]
        self.frozen_rows = int(self.starts[warm[0]])  # the output is always warm
        self._lay_jobs(sizes)
        emitted = [(end[0], stream) for end, stream in structure.streams.items()]
        owner = {name: number for number, block in enumerate(structure.blocks) for name in block.neurons}
        self.emitted = [{chunk for name, stream in emitted if owner[name] == number for chunk in stream.chunks}
                        for number in range(len(structure.blocks))]  # fmt: skip
        self.code, self.cleared = self._lay_code()

    def rows_of(self, chunks: Sequence[int]) -> Array:
        """The rows of chunks, ascending."""
        spans = [np.arange(self.starts[chunk], self.starts[chunk + 1]) for chunk in sorted(chunks)]
        return np.concatenate([*spans, np.zeros(0, int)]).astype(int)

    def _lay_jobs(self, sizes: Array) -> None:
        """One job a row of a job's chunk, sorted by block, then class and key."""
        tables, repeats = self.tables, sizes[self.tables.chunk]
        job = np.repeat(np.arange(len(repeats)), repeats)
        offset = np.arange(len(job)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        order = np.lexsort((job, offset, tables.order[job], tables.block[job]))
        job, offset = job[order], offset[order]
        self.job_rows, self.job_block = self.starts[tables.chunk[job]] + offset, tables.block[job]
        count = tables.count[job]
        self.job_first = np.concatenate([[0], np.cumsum(count)]).astype(int)
        entry = np.repeat(tables.first[job] - self.job_first[:-1], count) + np.arange(self.job_first[-1])
        self.job_sources = self.starts[tables.source[entry]] + np.repeat(offset, count)
        self.job_links, self.entry_cut = tables.link[entry], np.repeat(tables.cut[job], count)
        keys = np.repeat(offset, count), np.repeat(tables.order[job], count)
        self.by_key = np.lexsort((self.job_sources, *keys))
        self.job_targets = np.repeat(self.job_rows, count)
        self.spans = np.searchsorted(self.job_block, np.arange(len(self.structure.blocks) + 1))  # of jobs, by block

    def _lay_code(self) -> tuple[Array, Array]:
        """The instructions in rows, and the rows whose gradient nobody begins."""
        code = np.zeros((len(self.emitter.code), 7), int)
        touched = np.zeros(len(self.emitter.chunks), bool)
        touched[list(self.structure.answers)] = True
        cleared: set[int] = set()
        read = [[job.chunk for job in jobs] for jobs in self.structure.jobs]
        for line, each in zip(code[::-1], reversed(self.emitter.code), strict=True):
            if each.code in (LINK, GATHER):
                line[:2] = each.code, each.to
                chunks = read[each.to] if each.code == LINK else self.emitted[each.to]
                cleared.update(chunk for chunk in chunks if each.code == LINK and not touched[chunk])
                touched[list(chunks)] = True
                continue
            starts = [self.starts[chunk] if chunk >= 0 else -1 for chunk in (each.to, each.a, each.b)]
            rows = self.starts[each.over[1]] - self.starts[each.over[0]]
            line[:] = each.code, *starts, rows, each.extra, self._fresh(each, touched, cleared)
        return code, self.rows_of(cleared)

    def _fresh(self, each: Instruction, touched: Array, cleared: set[int]) -> int:
        """Which operands get the first share of their gradient from this instruction: 1 for a, 2 for b, 3 for both."""
        count, fresh = each.over[1] - each.over[0], 0
        result = range(each.to, each.to + (1 if each.code in (INNER, INNER_MORE, NORM) else count))
        cleared.update(chunk for chunk in result if not touched[chunk])
        for flag, first in ((1, each.a), (2, each.b)):
            if first < 0 or each.code in (FILL, CHARACTER):
                continue
            span = touched[first : first + count]
            if not span.any():
                fresh |= flag
            elif not span.all():
                cleared.update(first + int(i) for i in np.flatnonzero(~span))
            span[:] = True
        return fresh

    def common(self, truncated: bool) -> Program:
        """The program but for what a string says: its steps, sizes, ranks, and the rows that are frozen."""
        if truncated not in self._common:
            self._common[truncated] = self._write_common(truncated)
        return self._common[truncated]

    def _write_common(self, truncated: bool) -> Program:
        blocks, code = self.structure.blocks, self.code.copy()
        keep, slope = self.job_sources >= self.frozen_rows, self.job_links < self.structure.links
        if truncated:
            keep, slope = keep & (self.entry_cut == 0), slope & (self.entry_cut == 0)
        order = np.argsort(self.job_sources[keep], kind="stable")
        sources = self.job_sources[keep][order]
        emitted = [self.rows_of(() if b.frozen else each) for b, each in zip(blocks, self.emitted, strict=True)]
        back_rows, back_ends = np.concatenate(emitted), np.cumsum([0, *map(len, emitted)])
        for number, block in enumerate(blocks):
            code[block.code[0], 1:3] = self.spans[number : number + 2]
            code[block.code[1] - 1, 1:3] = back_ends[number : number + 2]
        first, last = (np.searchsorted(sources, back_rows, side) for side in ("left", "right"))
        return Program(
            code, self._runs(frozen=False), self.job_rows, self.job_first, self.job_sources, self.job_links,
            back_rows, first, last,
            self.job_targets[keep][order], self.job_links[keep][order],
            *self._slopes(slope),
            np.unique(back_rows), self.cleared, self.starts[list(self.structure.answers)],
            np.zeros(0, int), np.zeros(5, int),
            np.array(self.emitter.constants, float), self.structure.weights, np.zeros(0), np.zeros((0, 0)),
        )  # fmt: skip

    def _slopes(self, mask: Array) -> tuple[Array, Array, Array, Array]:
        """The trained links by the rows they read: keys together, so that what is read with them stays in the cache."""
        order = self.by_key[mask[self.by_key]]
        sources = self.job_sources[order]
        starts = np.flatnonzero(np.diff(sources, prepend=-1))
        return sources[starts], np.append(starts, len(order)), self.job_targets[order], self.job_links[order]

    def _runs(self, frozen: bool) -> Array:
        """The blocks to be run, with their spans of jobs."""
        blocks = [(number, block) for number, block in enumerate(self.structure.blocks) if block.frozen == frozen]
        return np.array([(*b.code, b.looped, *self.spans[i : i + 2]) for i, b in blocks], int).reshape(-1, 5)

    def program(
        self, places: Mapping[str, int], steps: Sequence[str], ticks: int, speed: int, tie_order: str | None = None
    ) -> Program:
        """The program of a string of these steps, but for the rows that are frozen."""
        where, sizes = np.array([places[step] for step in steps], int), np.array([self.rows, ticks, speed, ticks, 1])
        return self.common(False)._replace(steps=where, sizes=sizes, ranks=self._ranks(places, tie_order))

    def freezing(self, program: Program) -> Program:
        """The same program, but of the frozen blocks alone."""
        return program._replace(blocks=self._runs(frozen=True), frozen=np.zeros((0, program.sizes[1] + 1)))

    def truncated(self, program: Program) -> Program:
        """The same program, through whose memories no gradient passes."""
        names = ("back_rows", "back_first", "back_last", "back_targets", "back_links")
        names += ("slope_rows", "slope_first", "slope_targets", "slope_links")
        tables = self.common(True)
        return program._replace(**{name: getattr(tables, name) for name in names})

    def _ranks(self, places: Mapping[str, int], tie_order: str | None) -> Array:
        """The places of all rows' keys in that order, from 2 on; 1 for those not in it. Empty without order."""
        if tie_order is None:
            return np.zeros(0)
        ranks, letters = np.ones(self.rows), {bit: key for key, bit in self.emitter.letters.items()}
        free = [key for key in places if key not in self.emitter.letters]
        for chunk, which in enumerate(self.emitter.chunks):
            keys = free if which == FREE else [letters[which]] if which in letters else []
            start = self.starts[chunk]
            ranks[start : start + len(keys)] = [2 + tie_order.rfind(key) for key in keys]
        return ranks
