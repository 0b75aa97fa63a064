"""Enumeration: parts of programs from small to large; of those that behave alike on the examples the first is kept.

A part computes one number a step. *Pulses* differ from zero at one tick after each step only, such as ⟨input, 'a'⟩;
*levels* stay until the next step changes them, such as running sums. Parts are known by their values at all steps, so
thousands are computed at once, and two with equal values are one (observational equivalence).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np

from dmmlab.enumeration.steps import Array, Steps
from dmmlab.learn.tasks import Task
from dmmlab.trees import NUMBER

MOST = 8_000  # pulses, and levels, that are kept of each cost
EARLY = 40  # parts of a cost that are combined before all others
LARGEST = 1e6  # of values: what grows faster is no answer
CONSTANTS = (1.0, 2.0, 3.0, 0.0)  # with which levels are compared
PAIRED = 8  # letters of which one count is taken from another's
LOOPED = 6  # neurons of a part with a loop, at most
DIGITS = 6  # after the point, in which values differ


class Recipe(NamedTuple):
    """How a part is made: by an operation, out of the parts numbered `a` and `b`, with a number or a name."""

    operation: str
    a: int = -1
    b: int = -1
    extra: Any = ""


class Pool:
    """Parts of one sort, in the order in which they were found.

    `values` are (parts, steps), and for levels in one more column what is there before the first step. A part begins to
    change `begins` ticks after a step, and has changed `settled` ticks after it; for a pulse both are its one tick.
    """

    def __init__(self, columns: int) -> None:
        self.values = np.empty((0, columns))
        self.begins, self.settled, self.costs = (np.empty(0, int) for _ in range(3))
        self.recipes: list[Recipe] = []
        self.known: set[bytes] = {np.zeros(columns).tobytes()}
        self.limit = MOST

    def __len__(self) -> int:
        return len(self.recipes)

    def of_cost(self, cost: int) -> Array:
        """The numbers of parts of so many neurons."""
        return np.flatnonzero(self.costs == cost)

    def offer(self, values: Array, begins: Array, settled: Array, cost: int, recipes: Sequence[tuple]) -> None:
        """Keep those whose values are new, up to `limit`; recipes are columns (operation, a, b, extra)."""
        rounded = np.round(values, DIGITS) + 0.0
        fitting = np.flatnonzero(np.abs(values).max(axis=1) < LARGEST)
        new = []
        for i in fitting[: 4 * MOST]:
            key = rounded[i].tobytes()
            if key not in self.known and len(self) + len(new) < self.limit:
                self.known.add(key)
                new.append(i)
        if new:
            columns = [_column(column, len(values))[new] for column in recipes]
            self.values = np.concatenate([self.values, values[new]])
            self.begins = np.append(self.begins, np.broadcast_to(begins, len(values))[new])
            self.settled = np.append(self.settled, np.broadcast_to(settled, len(values))[new])
            self.costs = np.append(self.costs, np.full(len(new), cost))
            self.recipes += [Recipe(str(o), int(a), int(b), extra) for o, a, b, extra in zip(*columns, strict=True)]

    def combine(self, cost: int, dot: Callable[[Array], Array], aligned: bool, early: bool = False) -> None:
        """Sums and differences of two, which take no neuron; what one is above the other; products.

        `aligned`: the earlier of two waits for the later one, and only then are they read. `early`: only the first
        parts of each cost.
        """
        ways = [(rest, a) for rest in (cost, cost - 1) for a in range(1, rest // 2 + 1)]
        for rest, a in ways:
            first, second = (self.of_cost(each)[: EARLY if early else None] for each in (a, rest - a))
            for i, j in self.pairs(first, second, same=2 * a == rest):
                x, y = self.values[i], self.values[j]
                settled = np.maximum(self.settled[i], self.settled[j])
                begins = settled if aligned else np.minimum(self.begins[i], self.begins[j])
                if rest == cost:
                    self.offer(x + y, begins, settled, cost, ("add", i, j, 1.0))
                    self.offer(x - y, begins, settled, cost, ("add", i, j, -1.0))
                    continue
                times = begins + 1, settled + 1, cost
                self.offer(np.maximum(x - y, 0.0), *times, ("above", i, j, ""))
                self.offer(np.maximum(y - x, 0.0), *times, ("above", j, i, ""))
                self.offer(dot(x * y), *times, ("product", i, j, ""))

    def pairs(self, some: Array, others: Array, same: bool = False) -> Iterator[tuple[Array, Array]]:
        """Pairs in portions, until the pool is full; each pair once, where both are of the same parts."""
        for i in some:
            j = others[others > i] if same else others
            if len(j) and len(self) < self.limit:
                yield np.full(len(j), i), j


def _column(one: Any, count: int) -> Array:
    """One a recipe of what is given once, or for each."""
    if isinstance(one, np.ndarray):
        return one
    column = np.empty(count, object)
    for i in range(count):
        column[i] = one
    return column


class Parts(Steps):
    """All parts of programs for a task, cost by cost; a cost is a number of neurons."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.pulses, self.levels = Pool(len(self)), Pool(len(self) + 1)
        self._read()

    def _held(self, values: Array) -> Array:
        """Running sums of pulses, and the start, zero."""
        return np.column_stack([self.sums(values), np.zeros(len(values))])

    def _read(self) -> None:
        """Parts that read the input and its running sum, as streams."""
        stream, held = self.stream, self._held(self.stream)
        self.pulses.offer(np.abs(stream).max(axis=0)[None], 1, 1, 1, ("norm of input", -1, -1, ""))
        for word in self.words:
            lookup = ((word, 1.0),)
            self.pulses.offer(self.look_up(lookup)[None], 1, 1, 1, ("lookup", -1, -1, lookup))
            sums = self._held(self.read[word][None])
            self.levels.offer(self.dot(sums), 2, 2, 2, ("lookup of sum", -1, -1, lookup))
        for one, other in permutations(self.words[:PAIRED], 2):
            more = self._held((self.read[one] - self.read[other])[None])
            self.levels.offer(self.dot(more), 2, 2, 2, ("lookup of sum", -1, -1, ((one, 1.0), (other, -1.0))))
        if NUMBER in self.read:
            lookup = ((NUMBER, 1.0),)
            at = 0 if self.numbers_alone else 1
            self.pulses.offer(self.look_up(lookup)[None], at, at, 1, ("lookup", -1, -1, lookup))
        seen = (stream * self.before(held[:, :-1])).sum(axis=0)
        self.pulses.offer(self.dot(seen[None]), 1, 1, 2, ("seen", -1, -1, ""))
        self.levels.offer(np.abs(held).max(axis=0)[None], 2, 2, 2, ("norm of sum", -1, -1, ""))
        self.levels.offer(self.dot((held * held).sum(axis=0)[None]), 2, 2, 2, ("square of sum", -1, -1, ""))

    def grow(self, cost: int) -> None:
        """Add the parts of so many neurons."""
        pulses, levels = self.pulses, self.levels
        for pool in (pulses, levels):
            pool.limit = len(pool) + MOST
        self._loop(cost)
        levels.combine(cost, self.dot, aligned=False, early=True)
        p = pulses.of_cost(cost - 1)
        if len(p):
            later = pulses.begins[p] + 1
            levels.offer(self._held(pulses.values[p]), later, later, cost, ("sum", p, -1, ""))
            for constant in (0.0, 1.0, 2.0):
                values = np.maximum(pulses.values[p] - constant, 0.0)
                pulses.offer(values, later, later, cost, ("above", p, -1, constant))
            if self.speed is not None:
                now = pulses.begins[p]
                pulses.offer(self.before(pulses.values[p]), now, now, cost, ("earlier", p, -1, self.speed))
        i = levels.of_cost(cost - 1)
        if len(i):
            times = levels.begins[i] + 1, levels.settled[i] + 1, cost
            levels.offer(np.abs(levels.values[i]), *times, ("norm", i, -1, ""))
            for constant, sign in product(CONSTANTS, (1, -1)):
                values = np.maximum(sign * (levels.values[i] - constant), 0.0)
                levels.offer(values, *times, ("above" if sign > 0 else "below", i, -1, constant))
        levels.combine(cost, self.dot, aligned=False)
        pulses.combine(cost, self.dot, aligned=True, early=True)
        self._sample(cost)
        pulses.combine(cost, self.dot, aligned=True)

    def _loop(self, cost: int) -> None:
        """Levels with a loop. *keep*: a gate of 1 clears what was there, and a pulse is added. *toggle*: each 1 turns 0
        into 1 and 1 into 0. *largest*: a pulse that is larger takes the place of what was there.
        """
        pool = self.pulses
        if cost > LOOPED:
            return
        zeros_and_ones = [{*np.unique(row)} <= {0.0, 1.0} for row in pool.values]
        gates = {a: np.array([i for i in pool.of_cost(a) if zeros_and_ones[i]], int) for a in range(1, cost)}
        chosen = gates.get(cost - 2, ())
        if len(chosen):
            x, at = pool.values[chosen], pool.begins[chosen] + 2
            self.levels.offer(self._run(x, 1.0 - 2.0 * x), at, at, cost, ("toggle", chosen, -1, ""))
        i = pool.of_cost(cost - 2)
        if len(i):
            x, at = pool.values[i], pool.begins[i] + 2
            self.levels.offer(self._run(x, None), at, at, cost, ("largest", i, -1, ""))
        i = self.levels.of_cost(cost - 2)
        if len(i):
            x, begins, settled = self.levels.values[i], self.levels.begins[i] + 2, self.levels.settled[i] + 2
            steady = x[:, -1] == 0.0  # those that begin at zero
            made = ("largest so far", i[steady], -1, "")
            self.levels.offer(self._run(x[steady, :-1], None), begins[steady], settled[steady], cost, made)
        for a in range(1, cost - 2):
            for i in gates[a]:
                j = pool.of_cost(cost - 2 - a)
                if len(j):
                    when = np.maximum(pool.begins[i] + 2, pool.begins[j] + 1)
                    kept = np.broadcast_to(1.0 - pool.values[i], (len(j), pool.values.shape[1]))
                    self.levels.offer(self._run(pool.values[j], kept), when, when, cost, ("keep", i, j, ""))

    def _run(self, added: Array, kept: Array | None) -> Array:
        """States, step by step, and the start, zero: what is kept of the last, and what is added; or the largest."""
        states, state = np.zeros((len(added), added.shape[1] + 1)), np.zeros(len(added))
        for step in range(added.shape[1]):
            state = np.where(step in self.first_steps, 0.0, state)
            state = np.maximum(state, added[:, step]) if kept is None else state * kept[:, step] + added[:, step]
            states[:, step] = state
        return states

    def _sample(self, cost: int) -> None:
        """Pulses times levels: as a level was before the step, or as it is after it, for which the pulse waits."""
        pulses, levels = self.pulses, self.levels
        for a in range(1, cost - 1):
            for i, j in pulses.pairs(pulses.of_cost(a), levels.of_cost(cost - 1 - a)):
                pulse, at = pulses.values[i], pulses.begins[i]
                early = levels.begins[j] > at
                if early.any():
                    p, q = i[early], j[early]
                    when = at[early] + 1
                    old = self.before(levels.values[q, :-1], levels.values[q, -1:])
                    pulses.offer(self.dot(pulse[early] * old), when, when, cost, ("sample", p, q, when - 1))
                wait = np.maximum(at, levels.settled[j])
                pulses.offer(
                    self.dot(pulse * levels.values[j][:, :-1]), wait + 1, wait + 1, cost, ("sample", i, j, wait)
                )
