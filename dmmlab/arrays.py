"""The operations of the kinds on arrays: a formula, run once on nodes, leaves a program of array instructions.

A stream is an array (members, neurons, keys + 1, strings, ticks): one key a character, the last for the number. What
carries a number alone is an array (members, neurons, strings, ticks). Members are machines with different weights
evaluated together. All arrays are allotted when the program is written: running it is nothing but calls of NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

Array = np.ndarray
KEYS = -3  # the axis of keys in a stream
PIECE = 1 << 16  # numbers in one of the large arrays from which small ones are cut


class Node:
    """A value on the way through a formula, and the gradient that comes back to it; a value of None never arrives."""

    __slots__ = ("value", "gradient", "begun", "cut")

    def __init__(self, value: Array | None = None, gradient: Array | None = None, cut: bool = False) -> None:
        self.value, self.gradient = value, gradient
        self.begun = False  # whether the backward program writes to the gradient already
        self.cut = cut  # no gradient is wanted here


class Program:
    """`dmmlab.neurons.Ops` that write instructions: `forward` to be run in order, then `backward`.

    `places[s]` maps the characters of string s to their places on the key axis; the same character may lie at other
    places for other strings, for nothing is ever combined across strings. `ticks` is the length of the tick axis at
    the place where the program is being written. Call `finish` when all is written.

    `values_only` means that there will be no backward program, so that arrays can be used again. `pieces` are the few
    large arrays from which those that the backward program reads are cut, where these may have to be put aside.
    """

    def __init__(
        self,
        strings: Sequence[str],
        ticks_per_character: Sequence[int],
        places: Sequence[Mapping[str, int]],
        dot_clip: float,
        dtype: type,
        tie_order: str | None = None,
        values_only: bool = False,
        in_pieces: bool = False,
    ) -> None:
        self.values_only, self.pieces, self._used = values_only, [] if in_pieces else None, 0
        self.strings, self.ticks_per_character, self.places = strings, ticks_per_character, places
        self.dot_clip, self.dtype, self.ticks = dot_clip, dtype, 1
        self.tie_ranks = None if tie_order is None else self._ranks(tie_order)
        self.forward: list[Callable[[], object]] = []
        self.backward: list[Callable[[], object]] = []
        self._pulls: list[tuple[Callable[[], None], Node | None]] = []
        self._scratch: dict[tuple, Array] = {}

    def scratch(self, like: Array, use: str = "") -> Array:
        """An array of that shape for values that are used up at once: the fewer arrays, the more stay in the cache."""
        return self._scratch.setdefault((like.shape, use), np.empty_like(like))

    def room(self, shape: tuple[int, ...]) -> Array:
        """An array of zeros for values that the backward program reads."""
        size = math.prod(shape)
        if self.pieces is None:
            return np.zeros(shape, self.dtype)
        if not self.pieces or self._used + size > self.pieces[-1].size:
            self.pieces.append(np.zeros(max(size, PIECE), self.dtype))
            self._used = 0
        start, self._used = self._used, self._used + -(-size // 8) * 8
        return self.pieces[-1][start : start + size].reshape(shape)

    def do(self, function: Callable, *arguments: object, **options: object) -> None:
        """Add an instruction to the forward program."""
        self.forward.append(partial(function, *arguments, **options))

    def undo(self, function: Callable, *arguments: object, **options: object) -> None:
        """Add an instruction to the backward program; to be called while it is being written, by a pull."""
        self.backward.append(partial(function, *arguments, **options))

    def later(self, pull: Callable[[], None], out: Node | None = None) -> None:
        """Have `pull` write its backward part, after those added later; never where no gradient came back to `out`."""
        self._pulls.append((pull, out))

    def finish(self) -> None:
        """Write the backward program, unless only values are wanted."""
        for pull, out in () if self.values_only else reversed(self._pulls):
            if out is None or out.gradient is not None:
                pull()
        self._pulls.clear()

    def give(self, node: Node, function: Callable, *arguments: object) -> None:
        """In the backward program, add `function(*arguments, out)` to the gradient of a node."""
        if node.value is None or node.cut:
            return
        if node.gradient is None:
            node.gradient = np.zeros_like(node.value)
        if not node.begun:
            node.begun = True
            self.undo(function, *arguments, node.gradient)
        else:
            extra = self.scratch(node.gradient)
            self.undo(function, *arguments, extra)
            self.undo(np.add, node.gradient, extra, node.gradient)

    # ---- the operations ----

    def add(self, a: Node, b: Node) -> Node:
        if a.value is None or b.value is None:
            return b if a.value is None else a
        out = Node(self.room(np.broadcast_shapes(a.value.shape, b.value.shape)))
        self.do(np.add, a.value, b.value, out.value)

        def pull() -> None:
            self.give(a, np.positive, out.gradient)
            self.give(b, np.positive, out.gradient)

        self.later(pull, out)
        return out

    def inner(self, a: Node, b: Node) -> Node:
        out, product = self._numbers(a), self.scratch(a.value)
        self.do(np.multiply, a.value, b.value, product)
        self.do(np.add.reduce, product, axis=KEYS, out=out.value)

        def pull() -> None:
            g = np.expand_dims(out.gradient, KEYS)
            self.give(a, np.multiply, g, b.value)
            self.give(b, np.multiply, g, a.value)

        self.later(pull, out)
        return out

    def max_norm(self, a: Node) -> Node:
        sizes = self.scratch(a.value) if self.values_only else self.room(a.value.shape)
        out = self._numbers(a)
        self.do(np.abs, a.value, sizes)
        self.do(np.maximum.reduce, sizes, axis=KEYS, out=out.value)

        def pull() -> None:
            # At a tie every tied leaf gets its share: the sign of the leaf where it is tied, over their count.
            tied, signs, share = (
                self.scratch(sizes, "tied"),
                self.scratch(sizes, "signs"),
                self.scratch(out.value, "share"),
            )
            self.undo(np.equal, sizes, np.expand_dims(out.value, KEYS), tied)
            if self.tie_ranks is not None:  # of the tied leaves only the last in that order
                self.undo(np.multiply, tied, self.tie_ranks, tied)
                self.undo(np.maximum.reduce, tied, axis=KEYS, out=share)
                self.undo(np.equal, tied, np.expand_dims(share, KEYS), tied)
            self.undo(np.add.reduce, tied, axis=KEYS, out=share)
            self.undo(np.divide, out.gradient, share, share)
            self.undo(np.sign, a.value, signs)
            self.undo(np.multiply, signs, tied, signs)
            self.give(a, np.multiply, signs, np.expand_dims(share, KEYS))

        self.later(pull, out)
        return out

    def number(self, a: Node) -> Node:
        if a.value is None or a.value.ndim == 4:
            return a
        out, spread = Node(a.value[:, :, -1], cut=a.cut), np.zeros_like(a.value)

        def pull() -> None:
            self.undo(np.copyto, spread[:, :, -1], out.gradient)
            self.give(a, np.positive, spread)

        self.later(pull, out)
        return out

    def difference(self, a: Node, b: Node) -> Node:
        out = self._numbers(a)
        self.do(np.subtract, a.value, b.value, out.value)

        def pull() -> None:
            self.give(a, np.positive, out.gradient)
            self.give(b, np.negative, out.gradient)

        self.later(pull, out)
        return out

    def relu(self, a: Node) -> Node:
        out, live = self._numbers(a), self.scratch(a.value, "live")
        self.do(np.maximum, a.value, 0.0, out=out.value)

        def pull() -> None:
            self.undo(np.heaviside, a.value, 0.0, live)
            self.give(a, np.multiply, out.gradient, live)

        self.later(pull, out)
        return out

    def step(self, a: Node) -> Node:
        out = self._numbers(a)
        out.cut = True
        self.do(np.heaviside, a.value, 0.0, out.value)
        return out

    def clip(self, a: Node, bound: float) -> Node:
        out, free = self._numbers(a), self.scratch(a.value, "live")
        self.do(np.minimum, a.value, bound, out=out.value)
        self.do(np.maximum, out.value, -bound, out=out.value)

        def pull() -> None:
            self.undo(np.abs, a.value, free)
            self.undo(np.less, free, bound, free)
            self.give(a, np.multiply, out.gradient, free)

        self.later(pull, out)
        return out

    def constant(self, tree: Mapping[str, float]) -> Node:
        out = self._stream(1, 1)
        for key, value in tree.items():
            for string, places in enumerate(self.places):
                out.value[:, :, -1 if key == ":number" else places[key], string] = value
        return out

    def character(self, timer: Node) -> Node:
        out = self._stream(*timer.value.shape[:2])
        self.do(self._read, timer.value, out.value)
        return out

    def _read(self, timer: Array, chars: Array) -> None:
        chars[:] = 0.0
        for s, (string, speed) in enumerate(zip(self.strings, self.ticks_per_character, strict=True)):
            places = np.array([self.places[s][c] for c in string])
            step, rest = np.divmod(timer[:, :, s], speed)
            member, neuron, tick = np.nonzero((rest == 0) & (step >= 0))
            step = np.minimum(step[member, neuron, tick].astype(int), len(string) - 1)
            chars[member, neuron, places[step], s, tick] = 1.0

    def emit(
        self,
        node: Node,
        columns: Array,
        gradient: Array,
        memory: bool,
        cut: bool,
        began: tuple[Array, Array] | None = None,
    ) -> None:
        """Write an output to its columns, as far as they go; `gradient` is where the gradient for them will be.

        `memory` sums over ticks: the kind's memory, closed by a loop of weight 1; `cut`: no gradient passes it.
        `began` is what a memory holds already when the columns begin, and where the gradient for that will be.
        """
        value = np.broadcast_to(node.value, (*columns.shape[:-1], node.value.shape[-1]))[..., : columns.shape[-1]]
        if not memory or began:
            self.do(np.copyto, columns, value)
        if began:
            self.do(np.add, columns[..., 0], began[0], columns[..., 0])
        if memory:
            self.do(np.add.accumulate, columns if began else value, axis=-1, out=columns)

        def pull() -> None:
            if began and not cut:
                self.undo(np.add.reduce, gradient, axis=-1, out=began[1])
            if node.gradient is None and node.value.shape == gradient.shape:
                node.gradient, node.begun = gradient, True
            else:
                self.give(node, _sum_back if memory and not cut else _take_back, gradient)

        self.later(pull)

    def _numbers(self, like: Node) -> Node:
        shape = like.value.shape if like.value.ndim == 4 else (*like.value.shape[:2], *like.value.shape[3:])
        return Node(self.room(shape))

    def _ranks(self, tie_order: str) -> Array:
        """The places of keys in that order, from 2 on, (keys + 1, strings, 1); 1 for those that are not in it."""
        ranks = np.ones((max(map(len, self.places)) + 1, len(self.places), 1), self.dtype)
        for string, places in enumerate(self.places):
            ranks[[*places.values()], string, 0] = [2 + tie_order.rfind(key) for key in places]
        return ranks

    def _stream(self, members: int, neurons: int) -> Node:
        keys = max(map(len, self.places)) + 1
        return Node(self.room((members, neurons, keys, len(self.strings), self.ticks)), cut=True)


def _take_back(gradient: Array, out: Array) -> None:
    out[..., : gradient.shape[-1]] = gradient
    out[..., gradient.shape[-1] :] = 0.0


def _sum_back(gradient: Array, out: Array) -> None:
    np.add.accumulate(gradient[..., ::-1], axis=-1, out=out[..., gradient.shape[-1] - 1 :: -1])
    out[..., gradient.shape[-1] :] = 0.0
