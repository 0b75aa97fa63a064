"""A plan: all arrays of a compiled machine for a number of members, and the program that runs on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from dmmlab.arrays import Array, Node, Program
from dmmlab.layout import Block, Part

Arrays = list[Array]  # two of them: of the streams, of the numbers


@dataclass
class Compiled:
    """What all plans of a machine compiled for some strings have in common; `shape` is (strings, keys, ticks)."""

    parts: tuple[Part, Part]
    links: int
    strings: Sequence[str]
    ticks_per_character: Sequence[int]
    places: Sequence[Mapping[str, int]]  # of the characters of each string on the key axis
    shape: tuple[int, int, int]
    dot_clip: float
    dtype: type
    tie_order: str | None = None
    frozen: Arrays = field(default_factory=list)  # the first columns, the same for all weights, at all ticks


@dataclass
class Ends:
    """A block's inputs (rows) and outputs (columns), each with the arrays of its gradients."""

    rows: Arrays
    row_gradients: Arrays
    columns: Arrays
    column_gradients: Arrays

    def pick(self, rows: object, columns: object) -> Ends:
        """The inputs at one index of their arrays with the outputs at another."""
        return Ends(*([each[index] for each in arrays] for arrays, index in self._paired(rows, columns)))

    def within(self, rows: tuple[slice, slice], columns: tuple[slice, slice]) -> Ends:
        """Only some rows and some columns, given for both parts."""
        both = self._paired(rows, columns)
        return Ends(*([x[:, span] for x, span in zip(arrays, spans, strict=True)] for arrays, spans in both))

    def ticks_first(self, program: Program) -> Ends:
        """Zeros of the same shapes, but with the ticks on the first axis and 1 on the last."""
        rows, columns = ([(x.shape[-1], *x.shape[:-1], 1) for x in arrays] for arrays in (self.rows, self.columns))
        return _make_ends(program, rows, columns)

    def _paired(self, row: object, column: object) -> list[tuple]:
        return [(self.rows, row), (self.row_gradients, row), (self.columns, column), (self.column_gradients, column)]


def _make_ends(program: Program, rows: list[tuple], columns: list[tuple]) -> Ends:
    """Zeros of these shapes, and as many for the gradients if there will be any."""
    values = [[program.room(shape) for shape in shapes] for shapes in (rows, columns)]
    gradients = values if program.values_only else [[np.zeros_like(x) for x in arrays] for arrays in values]
    return Ends(values[0], gradients[0], values[1], gradients[1])


class Plan:
    """The arrays of a compiled machine for `members` weight vectors, and the program that runs on them.

    Of each there are two, for streams and for numbers. `matrices` (members, rows, columns) hold the weights between
    characters and between numbers; `ends` what arrives at input fields (rows) and what output fields emitted (columns),
    (members, rows or columns, [keys + 1,] strings, ticks + 1), with their gradients. Index t of a column is what is
    read at tick t + 1, index t of a row what arrives then; the last row, of a tick that is never run, is ignored and
    its gradient stays zero. The numbers of streams stand in both parts.

    A plan of fewer ticks than the whole run is a window of it. The state in which a window ends, its last columns, is
    where the next one begins; the gradient for that state (`after`) comes back from there.

    `gradient` is "full", "truncated", or None for values only: then all blocks use the same rows, one after another.
    """

    def __init__(self, compiled: Compiled, blocks: list[Block], members: int, gradient: str | None, ticks: int) -> None:
        self.compiled, self.blocks, self.members, self.gradient, self.ticks = compiled, blocks, members, gradient, ticks
        self.cut, self.window = gradient == "truncated", ticks < compiled.shape[2]
        self.aside: list[Arrays] = []
        fed = compiled.strings, compiled.ticks_per_character, compiled.places
        settings = compiled.dot_clip, compiled.dtype, compiled.tie_order
        self.program = Program(*fed, *settings, values_only=gradient is None, in_pieces=self.window)
        self.matrices = [np.zeros((members, len(x.rows), len(x.columns)), compiled.dtype) for x in compiled.parts]
        # Soft weights followed by constants, from which the matrices are filled.
        self.known = [np.zeros((members, compiled.links + len(x.constants)), compiled.dtype) for x in compiled.parts]
        for known, part in zip(self.known, compiled.parts, strict=True):
            known[:, compiled.links :] = part.constants
        columns = [len(part.columns) for part in compiled.parts]
        rows = [max((self._rows(block)[i].stop for block in blocks), default=0) for i in (0, 1)]
        self.ends = _make_ends(self.program, self._shapes(rows), self._shapes(columns))
        # The gradients for the last state, and what memories pass on of it to the first.
        self.after, self.kept = ([np.zeros_like(x[..., 0]) for x in self.ends.columns] for _ in range(2))
        # The gradients of the matrices, and behind them a zero for links that have no place in this part.
        self.slopes = [np.zeros((members, part.cells.size + 1), compiled.dtype) for part in compiled.parts]
        both = zip(self.slopes, self.matrices, strict=True)
        self.matrix_gradients = [slopes[:, :-1].reshape(matrix.shape) for slopes, matrix in both]
        output = self._rows(blocks[-1])[1] if blocks else slice(0)  # the last block is the output
        self.answers = np.moveaxis(self.ends.rows[1][:, output, :, :-1], 1, -1)
        self.answer_gradients = np.moveaxis(self.ends.row_gradients[1][:, output, :, :-1], 1, -1)
        for block in blocks:
            self._write_block(block)
        self.program.finish()
        self.begin()

    def _rows(self, block: Block) -> tuple[slice, ...]:
        """Where the inputs of a block are computed, in both parts."""
        return tuple(slice(to.stop - to.start) for to in block.rows) if self.gradient is None else block.rows

    def _shapes(self, counts: list[int]) -> list[tuple[int, ...]]:
        strings, keys, _ = self.compiled.shape
        both = (counts[0], keys + 1, strings), (counts[1], strings)
        return [(self.members, *each, self.ticks + 1) for each in both]

    # ---- running ----

    def begin(self, start: int = 0, state: Arrays | None = None) -> None:
        """Take the place of the ticks after tick `start`, with the state that the window before was left in."""
        for column, own in zip(self.ends.columns, state or (0.0, 0.0), strict=True):
            column[..., 0] = own
        for column, frozen in zip(self.ends.columns, self.compiled.frozen, strict=False):
            column[:, : frozen.shape[1]] = frozen[..., start : start + self.ticks + 1]

    def put_aside(self, place: int) -> None:
        """Keep what the backward program reads of the last run; places are used from 0 on, and used again."""
        if place == len(self.aside):
            self.aside.append([np.empty_like(piece) for piece in self.program.pieces])
        self._copy_pieces(self.program.pieces, self.aside[place])

    def bring_back(self, place: int) -> None:
        """Be again as after the run that was put aside at that place."""
        self._copy_pieces(self.aside[place], self.program.pieces)

    @staticmethod
    def _copy_pieces(pieces: Arrays, out: Arrays) -> None:
        for piece, other in zip(pieces, out, strict=True):
            other[:] = piece

    def state(self) -> Arrays:
        """All that the next window has to know of this one: what was emitted at the last tick."""
        return [column[..., -1].copy() for column in self.ends.columns]

    def run(self, weights: Array) -> Array:
        """The answers, (members, strings, ticks, 2), for weights (members, links). Overwritten by the next run."""
        for known in self.known:
            known[:, : self.compiled.links] = weights
        self.run_program()
        return self.answers

    def run_program(self) -> None:
        """Fill the matrices and run the forward program."""
        for part, known, matrix in zip(self.compiled.parts, self.known, self.matrices, strict=True):
            np.take(known, part.cells, axis=1, out=matrix.reshape(self.members, part.cells.size), mode="clip")
        for instruction in self.program.forward:
            instruction()

    def pull(self, gradient: Array, after: Arrays | None = None) -> Array:
        """The gradient for the weights, (members, links), from those for the answers and the state of the last run."""
        self.answer_gradients[:] = gradient
        for own, given in zip(self.after, after or (0.0, 0.0), strict=True):
            own[:] = given
        for instruction in self.program.backward:
            instruction()
        rows, columns = self._carried(self.ends.row_gradients), self._carried(self.ends.columns)
        for block in self.blocks:
            for part, (to, own) in enumerate(zip(block.rows, block.columns, strict=True)):
                reach = own.stop if block.recurrent else own.start
                out = self.matrix_gradients[part][:, to, :reach]
                if out.size:
                    np.matmul(rows[part][:, to], columns[part][:, :reach].swapaxes(1, 2), out=out)
        both = zip(self.slopes, self.compiled.parts, strict=True)
        return sum(np.take(slopes, part.places, axis=1) for slopes, part in both)

    def before(self) -> Arrays:
        """The gradient for the state in which the window began, after a pull."""
        for block in self.blocks:  # the numbers of streams come back with their characters, and belong to the numbers
            numbers = self.kept[1][:, block.columns[1]][:, : block.joined[1]]
            numbers[:] = self.kept[0][:, block.columns[0]][:, : block.joined[1], -1]
        return [x[..., 0] + kept for x, kept in zip(self.ends.column_gradients, self.kept, strict=True)]

    # ---- writing the program ----

    def _carried(self, arrays: Arrays) -> Arrays:
        """What weights multiply, (members, rows or columns, positions): the characters of streams, and the numbers."""
        streams, numbers = (each.reshape(*each.shape[:2], math.prod(each.shape[2:])) for each in arrays)
        return [streams[..., : streams.shape[-1] // (self.compiled.shape[1] + 1) * self.compiled.shape[1]], numbers]

    def _write_block(self, block: Block) -> None:
        rows, columns = self._carried(self.ends.rows), self._carried(self.ends.columns)
        spans = zip(self.matrices, block.rows, self._rows(block), block.columns, strict=True)
        for part, (matrix, to, there, own) in enumerate(spans):
            _multiply(self.program.do, matrix[:, to, : own.start], columns[part][:, : own.start], rows[part][:, there])
            if self.gradient is None and not matrix[:, to, : own.start].size:
                self.program.do(np.copyto, rows[part][:, there], 0.0)
        ends = self.ends.within(self._rows(block), block.columns)
        if self.gradient is None and ends.rows[0].shape[1] > block.joined[0]:  # no number comes with these characters
            self.program.do(np.copyto, ends.rows[0][:, block.joined[0] :, -1], 0.0)
        if block.recurrent:
            self._write_ticks(block, ends)
        else:
            # Rows are taken whole, the tick that is never run included: NumPy is fastest without gaps.
            self.program.ticks = self.ticks + 1
            self._write_groups(block, ends.pick(..., (..., slice(1, None))))
        self.program.later(partial(self._write_return, block))

    def _write_return(self, block: Block) -> None:
        """The gradient of a block's outputs, from the rows of all later blocks, and from the window that follows."""
        rows, columns = self._carried(self.ends.row_gradients), self._carried(self.ends.column_gradients)
        for part, (matrix, to, own) in enumerate(zip(self.matrices, block.rows, block.columns, strict=True)):
            later = matrix[:, to.stop :, own].swapaxes(1, 2)
            _multiply(self.program.undo, later, rows[part][:, to.stop :], columns[part][:, own])
            if self.window:
                gradients = self.ends.column_gradients[part][:, own]
                if not later.size:  # what loops and the next window left there the last time
                    self.program.undo(np.copyto, gradients, 0.0)
                last = gradients[..., -1]
                self.program.undo(np.add, last, self.after[part][:, own], last)

    def _write_groups(self, block: Block, ends: Ends) -> None:
        """The kinds' formulas, from a block's rows to its columns."""
        rows, columns = block.joined
        if rows:
            self.program.do(np.copyto, ends.rows[0][:, :rows, -1], ends.rows[1][:, :rows])
            back = ends.row_gradients[1][:, :rows], ends.row_gradients[0][:, :rows, -1]
            self.program.later(partial(self.program.undo, np.copyto, *back))
        for group in block.groups:
            kind, inputs = group.kind, {}
            for name in group.inputs if kind.inputs is None else kind.inputs:
                cut = self.cut and not kind.passes_gradient(name)
                part, span = group.inputs.get(name, (0, None))
                arrays = (ends.rows[part][:, span], ends.row_gradients[part][:, span]) if span else ()
                inputs[name] = Node(*arrays, cut=cut)
            cut = self.cut and group.memory and not kind.passes_gradient(kind.memory)
            for name, node in kind.up(inputs, self.program).items():
                part, span = group.outputs[name]
                arrays = ends.columns[part][:, span], ends.column_gradients[part][:, span]
                edges = [x[part][:, block.columns[part]][:, span] for x in (self.ends.columns, self.kept)]
                began = (edges[0][..., 0], edges[1]) if self.window and group.memory else None
                self.program.emit(node, *arrays, group.memory, cut, began)
        if columns:
            self.program.do(np.copyto, ends.columns[1][:, :columns], ends.columns[0][:, :columns, -1])
            back = ends.column_gradients[0][:, :columns, -1], ends.column_gradients[1][:, :columns]
            self.program.later(partial(self.program.undo, np.copyto, *back))

    def _write_ticks(self, block: Block, ends: Ends) -> None:
        """A block with loops, tick by tick, on arrays of its own with the ticks first."""
        program, local = self.program, ends.ticks_first(self.program)
        if self.window:
            first = [x[:1] for x in local.columns], [x[..., :1] for x in ends.columns]
            _copy(program.do, *first, inwards=True)
            first = [x[:1] for x in local.column_gradients], [x[..., :1] for x in ends.column_gradients]
            program.later(partial(_copy, program.undo, *first, inwards=False))
        _copy(program.do, local.rows, ends.rows, inwards=True)
        program.later(partial(_copy, program.undo, local.row_gradients, ends.row_gradients, inwards=False))
        program.ticks = 1
        for tick in range(self.ticks):
            now = local.pick(tick, tick + 1)  # what is emitted now is read at the next tick
            read, read_gradients = ([x[tick] for x in arrays] for arrays in (local.columns, local.column_gradients))
            self._write_within(program.do, block, now.rows, read, transposed=False)
            back = partial(self._write_within, program.undo, block, read_gradients, now.row_gradients)
            program.later(partial(back, transposed=True))
            self._write_groups(block, now)
        _copy(program.do, local.columns, ends.columns, inwards=False)
        program.later(partial(_copy, program.undo, local.column_gradients, ends.column_gradients, inwards=True))

    def _write_within(self, write: Callable, block: Block, to: Arrays, source: Arrays, transposed: bool) -> None:
        """Add what the block's own links carry at one tick, or, transposed, what comes back along them."""
        to, source = self._carried(to), self._carried(source)
        for matrix, rows, columns, a, b in zip(self.matrices, block.rows, block.columns, to, source, strict=True):
            own = matrix[:, rows, columns]
            if own.size:
                product = self.program.scratch(a, "within")
                write(np.matmul, own.swapaxes(1, 2) if transposed else own, b, product)
                write(np.add, a, product, a)


def _multiply(write: Callable, matrix: Array, streams: Array, out: Array) -> None:
    """Write the instruction out = matrix @ streams; where there is nothing to multiply, out keeps its zeros."""
    if matrix.size:
        write(np.matmul, matrix, streams, out)


def _copy(write: Callable, local: Arrays, outer: Arrays, inwards: bool) -> None:
    """Write the copying between arrays with the ticks first and those with the ticks last."""
    for own, each in zip(local, outer, strict=True):
        pair = own[..., 0], np.moveaxis(each, -1, 0)
        write(np.copyto, *(pair if inwards else pair[::-1]))
