"""Memory layout of a compiled machine: from chunks to rows, for strings of some number of keys.

A chunk of `FREE` characters has a row for each character that only the string knows. Rows of frozen blocks come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from dmmlab.engine.compiler import Structure
from dmmlab.engine.keys import FREE
from dmmlab.engine.tape import Tape

Array = np.ndarray


def _spans(counts: Sequence[int], start: int = 0) -> tuple[Array, Array]:
    """Where neighbouring spans of so many begin and end."""
    ends = start + np.cumsum(counts)
    return ends - counts, ends


def _count_up(counts: Array) -> Array:
    """0, 1, … below each of the counts, one after another."""
    return np.arange(counts.sum()) - np.repeat(_spans(counts)[0], counts)


class Layout:
    """A structure with `keys` rows for the characters that only the string knows.

    `full` is the tape of all its strings, but for what a string says: steps, sizes, ranks, and rows that are frozen.
    """

    def __init__(self, structure: Structure, keys: int) -> None:
        self.structure = structure
        sizes = np.where(structure.chunks == FREE, keys, 1)
        self.starts = np.append(0, np.cumsum(sizes))
        self.rows = int(self.starts[-1])
        first_warm = next(block.first_chunk for block in structure.blocks if not block.frozen)
        self.frozen_rows = int(self.starts[first_warm])
        self._lay_jobs(sizes)
        back = [self._rows_of(() if block.frozen else block.emitted) for block in structure.blocks]
        self.back_rows = np.concatenate(back)
        self.blocks = self._lay_blocks([len(rows) for rows in back])
        self.full = self._lay_tape()

    def _rows_of(self, chunks: Iterable[int]) -> Array:
        """The rows of chunks, ascending."""
        spans = [np.arange(self.starts[chunk], self.starts[chunk + 1]) for chunk in sorted(chunks)]
        return np.concatenate(spans) if spans else np.zeros(0, int)

    def _lay_jobs(self, sizes: Array) -> None:
        """One job a row of a job's chunk, sorted by block, then class and key: what they read stays in the cache."""
        block, chunk, cut, count = self.structure.jobs.T
        kind, repeats = self.structure.chunks[chunk], sizes[chunk]
        job, key = np.repeat(np.arange(len(chunk)), repeats), _count_up(repeats)
        order = np.lexsort((job, key, kind[job], block[job]))
        job, key = job[order], key[order]
        self.job_rows, self.job_blocks, self.job_counts = self.starts[chunk[job]] + key, block[job], count[job]

        owner = np.repeat(np.arange(len(job)), self.job_counts)  # of every entry
        entry = np.repeat(_spans(count)[0][job], self.job_counts) + _count_up(self.job_counts)
        self.sources = self.starts[self.structure.sources[entry]] + key[owner]
        self.places, self.targets = self.structure.places[entry], self.job_rows[owner]
        self.passes = cut[job][owner] == 0
        self.by_key = np.lexsort((self.sources, key[owner], kind[job][owner]))

    def _lay_blocks(self, back: Sequence[int]) -> Array:
        """The blocks as in `Tape`."""
        blocks = self.structure.blocks
        code, jobs = [len(block.code) for block in blocks], np.bincount(self.job_blocks, minlength=len(blocks))
        looped = [block.looped for block in blocks]
        return np.column_stack([looped, *_spans(code), *_spans(jobs), *_spans(back, len(self.job_rows))])

    def _lay_tape(self) -> Tape:
        jobs, entries = self._tables(truncated=False)
        forward = len(self.job_rows)
        return Tape(
            code=self._lay_code(),
            blocks=self._blocks(frozen=False),
            jobs=jobs,
            entries=entries,
            states=self.back_rows,
            answers=self.starts[self.structure.answers],
            steps=np.zeros(0, int),
            sizes=np.array([self.rows, 0, 0, 0, 1, forward, forward + len(self.back_rows)]),
            constants=self.structure.constants,
            fixed=self.structure.fixed,
            ranks=np.ones(self.rows),
            frozen=np.zeros((0, 0)),
        )

    def _blocks(self, frozen: bool) -> Array:
        return self.blocks[[block.frozen == frozen for block in self.structure.blocks]]

    def _tables(self, truncated: bool) -> tuple[Array, Array]:
        """Jobs and entries as in `Tape`; the truncated gradient does not go through memories."""
        back, trained = self.sources >= self.frozen_rows, self.places < self.structure.links
        if truncated:
            back, trained = back & self.passes, trained & self.passes
        (back,) = np.nonzero(back)
        back = back[np.argsort(self.sources[back], kind="stable")]
        trained = self.by_key[trained[self.by_key]]

        forward = self.job_rows, *_spans(self.job_counts)
        spans = (np.searchsorted(self.sources[back], self.back_rows, side) for side in ("left", "right"))
        backward = self.back_rows, *(span + len(self.sources) for span in spans)
        read, count = self.sources[trained], len(self.sources) + len(back)
        first = np.flatnonzero(np.diff(read, prepend=-1))
        trained_jobs = read[first], count + first, count + np.append(first, len(read))[1:]
        entries = [(self.sources, self.places), *((self.targets[some], self.places[some]) for some in (back, trained))]
        return np.hstack([forward, backward, trained_jobs]), np.hstack(entries)

    def _lay_code(self) -> Array:
        """The instructions as in `Tape`."""
        code, first = [], [*self.starts.tolist(), 0]  # the last is that of no operand
        for block in self.structure.blocks:
            for each in block.code:
                rows = first[each.over.stop] - first[each.over.start]
                code.append((each.code, first[each.to], first[each.a], first[each.b], rows, each.extra))
        return np.array(code, int).reshape(-1, 6)

    # ---- tapes ----

    def tape(self, string: Sequence[str], ticks: int, speed: int, tie_order: str | None) -> Tape:
        """The tape of a string of these steps, but for the rows that are frozen; a run of one segment."""
        letters = self.structure.letters
        free = sorted({*string} - letters.keys())  # that no kind emits by itself
        places = {key: i for i, key in enumerate([*free, *sorted(letters, key=letters.get)])}
        steps, sizes = np.array([places[step] for step in string]), self.full.sizes.copy()
        sizes[1:4] = ticks, speed, ticks
        tape = self.full._replace(steps=steps, sizes=sizes)
        return tape if tie_order is None else tape._replace(ranks=self._ranks(free, tie_order))

    def _ranks(self, free: Sequence[str], tie_order: str) -> Array:
        """The places of all rows' keys in that order, from 2 on; 1 for those not in it and for numbers."""
        ranks, letters = np.ones(self.rows), {bit: key for key, bit in self.structure.letters.items()}
        for start, which in zip(self.starts, self.structure.chunks, strict=False):
            keys = free if which == FREE else [letters[which]] if which in letters else []
            ranks[start : start + len(keys)] = [2 + tie_order.rfind(key) for key in keys]
        return ranks

    def freezing(self, tape: Tape) -> Tape:
        """The same tape, but of the frozen blocks alone."""
        return tape._replace(blocks=self._blocks(frozen=True), frozen=np.zeros((0, tape.sizes[1] + 1)))

    @cached_property
    def _truncated(self) -> tuple[Array, Array]:
        return self._tables(truncated=True)

    def truncated(self, tape: Tape) -> Tape:
        """The same tape, through whose memories no gradient passes."""
        return tape._replace(jobs=self._truncated[0], entries=self._truncated[1])
