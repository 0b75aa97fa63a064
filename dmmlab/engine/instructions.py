"""The kinds' formulas as instructions: one more `Ops`, which writes down what is to be computed, row by row.

A stream is a span of chunks, one for each class of keys it may carry (see `keys`). A chunk has a row for each key of
its class, and a row holds one number a tick. What a stream cannot carry has no row: zero is a span without chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dmmlab.engine.keys import FREE, NUM
from dmmlab.trees import NUMBER

SUM, ADD, SUBTRACT, COPY, NEGATE, INNER, NORM, RELU, STEP, CLIP, FILL, CHARACTER, AMOUNT = range(13)


class Stream(NamedTuple):
    """A span of chunks, one for each class, in the order of the classes' bits but for the number, which is last."""

    first: int
    classes: tuple[int, ...]

    def part(self, which: int) -> Stream:
        """The chunk of one class alone; empty where the stream does not carry it."""
        if which not in self.classes:
            return EMPTY
        return Stream(self.first + self.classes.index(which), (which,))

    @property
    def chunks(self) -> range:
        return range(self.first, self.first + len(self.classes))


EMPTY = Stream(-1, ())


class Instruction(NamedTuple):
    """One step. Result and operands are first chunks (−1 for none); `over` is the span whose rows are gone through."""

    code: int
    to: int
    a: int
    b: int
    over: range
    extra: int  # CLIP, FILL: place among the constants; SUM: whether the truncated gradient stops here


class InstructionWriter:
    """`dmmlab.neurons.Ops` that write instructions; `chunks` are the classes of all chunks allotted so far."""

    def __init__(self, dot_clip: float, letters: Mapping[str, int]) -> None:
        self.dot_clip, self.letters = dot_clip, letters
        self.code: list[Instruction] = []
        self.chunks: list[int] = []
        self.constants = [0.0]  # the one that instructions without a constant name

    def allot(self, bits: int) -> Stream:
        """A stream of its own for what these classes carry."""
        if not bits:
            return EMPTY
        classes = [1 << place for place in range(1, bits.bit_length()) if bits >> place & 1]
        stream = Stream(len(self.chunks), (*classes, *([NUM] if bits & NUM else [])))
        self.chunks += stream.classes
        return stream

    def _write(self, code: int, to: Stream, a: Stream = EMPTY, b: Stream = EMPTY, extra: int = 0) -> Stream:
        """Add an instruction over the rows of `a` (of `to` where there is none); gives back `to`."""
        over = a if a.classes else to
        self.code.append(Instruction(code, to.first, a.first, b.first, over.chunks, extra))
        return to

    def _constant(self, value: float) -> int:
        """Where among the constants this one stands from now on."""
        self.constants.append(float(value))
        return len(self.constants) - 1

    def _fill(self, to: Stream, value: float) -> Stream:
        return self._write(FILL, to, extra=self._constant(value))

    # ---- the operations ----

    def _both(self, code: int, alone: int, a: Stream, b: Stream) -> Stream:
        """A ± b; `alone` is what is done to b where a carries nothing."""
        if not b.classes:
            return a
        if not a.classes and alone == COPY:
            return b
        to = self.allot(sum({*a.classes, *b.classes}))
        if a.classes == b.classes:
            return self._write(code, to, a, b)
        for which in to.classes:
            out, x, y = (each.part(which) for each in (to, a, b))
            if x.classes and y.classes:
                self._write(code, out, x, y)
            elif x.classes:
                self._write(COPY, out, x)
            else:
                self._write(alone, out, y)
        return to

    def add(self, a: Stream, b: Stream) -> Stream:
        return self._both(ADD, COPY, a, b)

    def difference(self, a: Stream, b: Stream) -> Stream:
        return self._both(SUBTRACT, NEGATE, a, b)

    def inner(self, a: Stream, b: Stream) -> Stream:
        common = [which for which in a.classes if which in b.classes]
        if not common:
            return EMPTY
        to = self._fill(self.allot(NUM), 0.0)  # inner products are added to what is there
        if a.classes == b.classes:
            return self._write(INNER, to, a, b)
        for which in common:
            self._write(INNER, to, a.part(which), b.part(which))
        return to

    def max_norm(self, a: Stream) -> Stream:
        return self._write(NORM, self.allot(NUM), a) if a.classes else EMPTY

    def number(self, a: Stream) -> Stream:
        return a.part(NUM)

    def _each(self, code: int, a: Stream, extra: int = 0) -> Stream:
        return self._write(code, self.allot(sum(a.classes)), a, extra=extra) if a.classes else EMPTY

    def relu(self, a: Stream) -> Stream:
        return self._each(RELU, a)

    def step(self, a: Stream) -> Stream:
        return self._each(STEP, a)

    def clip(self, a: Stream, bound: float) -> Stream:
        return self._each(CLIP, a, self._constant(bound))

    def running_sum(self, a: Stream, cut: bool) -> Stream:
        """The sum of a over the ticks so far: a memory closed by its own link of weight 1; `cut`: see `Instruction`."""
        return self._each(SUM, a, int(cut))

    def constant(self, tree: Mapping[str, float]) -> Stream:
        bits = {key: NUM if key == NUMBER else self.letters[key] for key, value in tree.items() if value}
        to = self.allot(sum(bits.values()))
        for key, which in bits.items():
            self._fill(to.part(which), tree[key])
        return to

    def character(self, timer: Stream) -> Stream:
        return self._due(CHARACTER, FREE | sum(self.letters.values()), timer)

    def amount(self, timer: Stream) -> Stream:
        return self._due(AMOUNT, NUM, timer)

    def _due(self, code: int, bits: int, timer: Stream) -> Stream:
        """What the step that is due has of these classes."""
        if not timer.classes:  # a clock that stands at zero
            timer = self._fill(self.allot(NUM), 0.0)
        to = self.allot(bits)
        self.code.append(Instruction(code, to.first, timer.first, -1, to.chunks, 0))
        return to
