"""Memory layout of a compiled machine: from chunks to rows, for strings of some number of keys.

A chunk of `FREE` characters has a row for each character that only the string knows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np

from dmmlab.engine.compiler import CUT, PLACE, SOURCE, TARGET, Structure
from dmmlab.engine.keys import FREE
from dmmlab.engine.tape import KEPT, TICKS, Tape
from dmmlab.trees import NUMBER
from dmmlab.vvalues import VValue

Array = np.ndarray
Key = str | tuple[str, ...]
Stream = Sequence[VValue]


def _spans(counts: Sequence[int]) -> tuple[Array, Array]:
    """Where neighbouring spans of so many begin and end."""
    ends = np.cumsum(counts)
    return ends - counts, ends


def parts_of(step: VValue) -> Iterator[tuple[Key, float]]:
    """What a step has beside its own number: keys and numbers. The key of a path of one is that string."""
    for path, height in step.leaves():
        path = path[:-1] if path[-1] == NUMBER else path
        if path:
            yield (path[0] if len(path) == 1 else path), height


def free_keys(stream: Stream, letters: Collection[str]) -> list[Key]:
    """The keys of a stream that no kind emits by itself, in their order."""
    keys = {key for step in {*stream} for key, _ in parts_of(step)} - {*letters}
    return sorted(keys, key=lambda key: (key,) if isinstance(key, str) else key)


class Layout:
    """A structure with `keys` rows for the characters that only the string knows."""

    def __init__(self, structure: Structure, keys: int) -> None:
        self.structure = structure
        sizes = np.where(structure.chunks == FREE, keys, 1)
        self.starts = np.append(0, np.cumsum(sizes))
        self.rows = int(self.starts[-1])
        # Rows of a key stand together in jobs, for they read the same rows: these stay in the cache.
        chunk = np.repeat(np.arange(len(sizes)), sizes)
        key = np.arange(self.rows) - self.starts[chunk]
        self.order = np.lexsort((key, structure.chunks[chunk]))
        self.chunk_in_order = chunk[self.order]
        self.fed = [self._rows_of(block.fed) for block in structure.blocks]
        self.emitted = [self._rows_of(block.emitted) for block in structure.blocks]
        self.frozen = sum(block.frozen for block in structure.blocks)
        self.entries = self._entries(sizes)

    def _rows_of(self, chunks: Iterable[int]) -> Array:
        """The rows of chunks, by class and key."""
        return self.order[np.isin(self.chunk_in_order, [*chunks])]

    def _entries(self, sizes: Array) -> Array:
        """The entries of the structure once for every key of their chunks, with rows in the place of chunks."""
        entries = self.structure.entries.copy()
        keys = sizes[entries[:, TARGET]]
        entries[:, [TARGET, SOURCE]] = self.starts[entries[:, [TARGET, SOURCE]]]
        step = np.array([1, 1, 0, 0])  # from the rows of one key to those of the next
        return np.concatenate([entries[keys > key] + key * step for key in range(max(sizes))])

    # ---- what all strings share ----

    def _tape(self, truncated: bool) -> Tape:
        """A tape without what a string says; the truncated gradient does not go through memories."""
        warm, entries = np.concatenate(self.emitted[self.frozen :]), self.entries
        passing = entries[entries[:, CUT] == 0] if truncated else entries
        back = passing[np.isin(passing[:, SOURCE], warm)]
        trained = passing[passing[:, PLACE] < self.structure.links]
        read = self.order[np.isin(self.order, trained[:, SOURCE])]
        fed = np.concatenate(self.fed)
        tables = _table(entries, TARGET, SOURCE, fed), _table(back, SOURCE, TARGET, warm)
        tables = *tables, _table(trained, SOURCE, TARGET, read)
        counts = [len(entries), len(entries) + len(back)]
        for (jobs, _), start in zip(tables[1:], counts, strict=True):
            jobs[1:] += start
        return Tape(
            code=self._code(),
            blocks=self._blocks(len(fed)),
            jobs=np.hstack([jobs for jobs, _ in tables]),
            entries=np.hstack([entries for _, entries in tables]),
            states=np.concatenate(self.emitted),
            answers=self.starts[self.structure.answers],
            steps=np.zeros(0, int),
            parts=np.zeros(0, int),
            sizes=np.array([self.rows, 0, 0, 0, 1, *counts, len(fed) + len(warm), self.frozen, truncated]),
            heights=np.zeros(0),
            amounts=np.zeros(0),
            constants=self.structure.constants,
            fixed=self.structure.fixed,
            ranks=np.ones(self.rows),
        )

    def _code(self) -> Array:
        """The instructions as in `Tape`."""
        code, first = [], [*self.starts.tolist(), 0]  # the last is that of no operand
        for block in self.structure.blocks:
            for each in block.code:
                rows = first[each.over.stop] - first[each.over.start]
                code.append((each.code, first[each.to], first[each.a], first[each.b], rows, each.extra))
        return np.array(code, int).reshape(-1, 6)

    def _blocks(self, forward: int) -> Array:
        """The blocks as in `Tape`, where so many jobs run forward."""
        blocks = self.structure.blocks
        instructions, jobs = (_spans([len(each) for each in some]) for some in ([b.code for b in blocks], self.fed))
        first, last = _spans(
            [0 if block.frozen else len(rows) for block, rows in zip(blocks, self.emitted, strict=True)]
        )
        return np.column_stack([[b.looped for b in blocks], *instructions, *jobs, forward + first, forward + last])

    @cached_property
    def full(self) -> Tape:
        return self._tape(truncated=False)

    @cached_property
    def truncated(self) -> Tape:
        return self._tape(truncated=True)

    # ---- what a string says ----

    def tape(self, stream: Stream, run: Sequence[int], tie_order: str | None, truncated: bool) -> Tape:
        """The tape of a stream of these steps; `run` are its sizes from `TICKS` to `KEPT`."""
        shared, letters = self.truncated if truncated else self.full, self.structure.letters
        free = free_keys(stream, letters)
        places = {key: i for i, key in enumerate([*free, *sorted(letters, key=letters.get)])}
        sizes = shared.sizes.copy()
        sizes[TICKS : KEPT + 1] = run
        parts = [[*parts_of(step)] for step in stream]
        tape = shared._replace(
            steps=np.append(0, np.cumsum([len(step) for step in parts])),
            parts=np.array([places[key] for step in parts for key, _ in step], int),
            heights=np.array([height for step in parts for _, height in step], float),
            amounts=np.array([float(step) for step in stream]),
            sizes=sizes,
        )
        return tape if tie_order is None else tape._replace(ranks=self._ranks(free, tie_order))

    def _ranks(self, free: Sequence[str], tie_order: str) -> Array:
        """The places of all rows' keys in that order, from 2 on; 1 for those not in it and for numbers."""
        ranks, letters = np.ones(self.rows), {bit: key for key, bit in self.structure.letters.items()}
        for start, which in zip(self.starts, self.structure.chunks, strict=False):
            keys = [*map(str, free)] if which == FREE else [letters[which]] if which in letters else []
            ranks[start : start + len(keys)] = [2 + tie_order.rfind(key) for key in keys]
        return ranks


def _table(entries: Array, of: int, other: int, rows: Array) -> tuple[Array, Array]:
    """A job for each of these rows, of the entries with that row in column `of`; these come with the other row."""
    entries = entries[np.argsort(entries[:, of], kind="stable")]
    spans = [np.searchsorted(entries[:, of], rows, side) for side in ("left", "right")]
    return np.array([rows, *spans]), entries[:, [other, PLACE]].T
