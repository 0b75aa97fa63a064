"""A tape: a compiled machine laid out for one string, as the arrays that the compiled loops read.

Row r holds one number a tick: what is emitted at tick t lies at index t, index 0 being the state before tick 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dmmlab.engine.jit import compiled

Array = np.ndarray
ROWS, TICKS, SPEED, LENGTH, KEPT, FORWARD, BACK, SLOPES, FROZEN, TRUNCATED = range(10)  # places in `Tape.sizes`


class Tape(NamedTuple):
    """What the loops read. Job j is a sum of products: `jobs[:, j]` are its row and the span of its entries.

    First come the jobs that compute rows of input fields out of rows that are read, one entry a link; then those that
    compute the gradient of rows of output fields; the last have the entries of all trained links that read a row.
    `sizes` are: rows, ticks, ticks a step, ticks of a segment, segments whose values are kept, entries of the first
    jobs, of the first and second, number of both, blocks that no gradient reaches, whether the gradient is truncated.
    """

    code: Array  # (instructions, 6): code, to, a, b, rows, extra
    blocks: Array  # (blocks, 7): whether it is looped, and its spans of instructions, of jobs, of jobs of the gradient
    jobs: Array  # (3, jobs)
    entries: Array  # (2, entries): the row that is multiplied, and the place of its weight
    states: Array  # rows of output fields: all that the next tick knows
    answers: Array  # the two rows of the output
    steps: Array  # where the parts of each step begin among all parts, and the end of the last
    parts: Array  # the row of the input's stream of each part
    sizes: Array
    heights: Array  # from here on, numbers: what the parts add
    amounts: Array  # the steps' own numbers
    constants: Array
    fixed: Array  # weights of the fixed links
    ranks: Array  # of every row, from 1 on: at a tie of a max-norm the highest gets the gradient


FIRST_FLOAT = Tape._fields.index("heights")
Packed = tuple[Array, Array, Array]


def pack(tapes: Sequence[Tape], dtype: type) -> Packed:
    """Tapes in three arrays, for compiled code is called the faster the fewer there are.

    They are: where each array of each tape begins and ends, (tapes, arrays, 2); all whole numbers; all others. What
    several tapes share is there once.
    """
    spans = np.zeros((len(tapes), len(Tape._fields), 2), int)
    pools, sizes, starts = ([], []), [0, 0], {}
    for i, tape in enumerate(tapes):
        for k, array in enumerate(tape):
            which = int(k >= FIRST_FLOAT)
            if id(array) not in starts:
                starts[id(array)] = sizes[which]
                pools[which].append(array.ravel())
                sizes[which] += array.size
            spans[i, k] = starts[id(array)], starts[id(array)] + array.size
    return spans, np.concatenate(pools[0]), np.concatenate(pools[1]).astype(dtype)


@compiled
def part(pool, spans, k):
    """Array k of a tape."""
    return pool[spans[k, 0] : spans[k, 1]]


@compiled
def unpack(packed, i):
    """Tape i of those that were packed."""
    spans, whole, floats = packed[0][i], packed[1], packed[2]
    return Tape(
        part(whole, spans, 0).reshape((-1, 6)),
        part(whole, spans, 1).reshape((-1, 7)),
        part(whole, spans, 2).reshape((3, -1)),
        part(whole, spans, 3).reshape((2, -1)),
        part(whole, spans, 4),
        part(whole, spans, 5),
        part(whole, spans, 6),
        part(whole, spans, 7),
        part(whole, spans, 8),
        part(floats, spans, 9),
        part(floats, spans, 10),
        part(floats, spans, 11),
        part(floats, spans, 12),
        part(floats, spans, 13),
    )
