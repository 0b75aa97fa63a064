"""Enumeration: parts of programs from small to large; of those that behave alike on the examples the first is kept.

A part computes one number a step. *Pulses* differ from zero at one tick after each step only, such as ⟨input, 'a'⟩;
*levels* stay until the next step changes them, such as running sums. Parts are known by their values at all steps, so
thousands are computed at once, and two with equal values are one (observational equivalence).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np

from dmmlab.engine.layout import parts_of
from dmmlab.learn.tasks import Task

MOST = 8_000  # pulses, and levels, that are kept of each cost
LARGEST = 1e6  # of values: what grows faster is no answer
CONSTANTS = (1.0, 2.0, 3.0, 0.0)  # with which levels are compared
PAIRED = 8  # letters of which one count is taken from another's
LOOPED = 6  # neurons of a part with a loop, at most
DIGITS = 6  # after the point, in which values differ

Array = np.ndarray


class Recipe(NamedTuple):
    """How a part is made: by an operation, out of the parts numbered `a` and `b`, with a number or a name."""

    operation: str
    a: int = -1
    b: int = -1
    extra: float | str = 0.0


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
            columns = [np.broadcast_to(column, len(values))[new] for column in recipes]
            self.values = np.concatenate([self.values, values[new]])
            self.begins = np.append(self.begins, np.broadcast_to(begins, len(values))[new])
            self.settled = np.append(self.settled, np.broadcast_to(settled, len(values))[new])
            self.costs = np.append(self.costs, np.full(len(new), cost))
            self.recipes += [Recipe(str(o), int(a), int(b), extra) for o, a, b, extra in zip(*columns, strict=True)]


class Parts:
    """All parts of programs for a task, cost by cost; a cost is a number of neurons."""

    def __init__(self, task: Task) -> None:
        lengths = [len(string) for string in task.strings]
        self.begins = np.cumsum([0, *lengths[:-1]])
        self.first_steps = {*self.begins.tolist()}
        self.string_of = np.repeat(np.arange(len(lengths)), lengths)
        self.answers = np.concatenate([np.array(each) for each in task.due])
        self.latency, speeds = task.latency, {*task.ticks_per_character}
        self.speed = speeds.pop() if len(speeds) == 1 else None  # of the only speed there is
        steps = [step for stream, n in zip(task.streams, lengths, strict=True) for step in stream[:n]]
        self.dot_clip = task.dot_clip
        self.pulses, self.levels = Pool(len(steps)), Pool(len(steps) + 1)
        self._read(steps)

    def dot(self, values: Array) -> Array:
        """What dot neurons emit of such products."""
        return np.clip(values, -self.dot_clip, self.dot_clip)

    def wanted(self, side: int) -> tuple[Array, Array]:
        """The steps whose answers are due at a side, and these answers."""
        asked = np.flatnonzero(~np.isnan(self.answers[:, side]))
        return asked, self.answers[asked, side]

    def sums(self, values: Array) -> Array:
        """Running sums of pulses, which begin anew with each string, and the start, zero."""
        total = np.cumsum(values, axis=1)
        before = total[:, self.begins] - values[:, self.begins]
        return np.column_stack([total - before[:, self.string_of], np.zeros(len(values))])

    def before(self, values: Array, starts: Array | float) -> Array:
        """What was there one step earlier, and at first the start."""
        earlier = np.roll(values, 1, axis=1)
        earlier[:, self.begins] = starts
        return earlier

    def _read(self, steps: Sequence) -> None:
        """Parts that read the input and its running sum, as streams."""
        keys = sorted({key for step in steps for key, _ in parts_of(step)}, key=str)
        stream = np.array([[dict(parts_of(step)).get(key, 0.0) for step in steps] for key in keys]).reshape(
            -1, len(steps)
        )
        stream = np.vstack([stream, [float(step) for step in steps]])
        held = self.sums(stream)
        self.pulses.offer(np.abs(stream).max(axis=0)[None], 1, 1, 1, ("norm of input", -1, -1, ""))
        for key, values, sums in zip(keys, stream, held, strict=False):
            if len(key) == 1:
                self.pulses.offer(self.dot(values[None]), 1, 1, 1, ("letter", -1, -1, key))
                self.levels.offer(self.dot(sums[None]), 2, 2, 2, ("letter of sum", -1, -1, key))
        letters = [i for i, key in enumerate(keys) if len(key) == 1][:PAIRED]
        for i, j in combinations(letters, 2):
            more = self.dot(held[i][None] - held[j][None])
            self.levels.offer(more, 2, 2, 2, ("letters of sum", -1, -1, keys[i] + keys[j]))
        self.pulses.offer(self.dot(stream[-1:]), 1, 1, 1, ("number", -1, -1, ""))
        seen = (stream * self.before(held[:, :-1], 0.0)).sum(axis=0)
        self.pulses.offer(self.dot(seen[None]), 1, 1, 2, ("seen", -1, -1, ""))
        self.levels.offer(np.abs(held).max(axis=0)[None], 2, 2, 2, ("norm of sum", -1, -1, ""))
        self.levels.offer(self.dot((held * held).sum(axis=0)[None]), 2, 2, 2, ("square of sum", -1, -1, ""))

    def grow(self, cost: int) -> None:
        """Add the parts of so many neurons."""
        pulses, levels = self.pulses, self.levels
        for pool in (pulses, levels):
            pool.limit = len(pool) + MOST
        p = pulses.of_cost(cost - 1)
        if len(p):
            later = pulses.begins[p] + 1
            levels.offer(self.sums(pulses.values[p]), later, later, cost, ("sum", p, -1, ""))
            for constant in (0.0, 1.0, 2.0):
                values = np.maximum(pulses.values[p] - constant, 0.0)
                pulses.offer(values, later, later, cost, ("above", p, -1, constant))
            if self.speed is not None:
                now = pulses.begins[p]
                pulses.offer(self.before(pulses.values[p], 0.0), now, now, cost, ("earlier", p, -1, self.speed))
        i = levels.of_cost(cost - 1)
        if len(i):
            times = levels.begins[i] + 1, levels.settled[i] + 1, cost
            levels.offer(np.abs(levels.values[i]), *times, ("norm", i, -1, ""))
            for constant, sign in product(CONSTANTS, (1, -1)):
                values = np.maximum(sign * (levels.values[i] - constant), 0.0)
                levels.offer(values, *times, ("above" if sign > 0 else "below", i, -1, constant))
        self._loop(cost)
        self._combine(levels, cost)
        self._sample(cost)
        self._combine(pulses, cost)

    def _loop(self, cost: int) -> None:
        """Levels with a loop. *keep*: a gate of 1 clears what was there, and a pulse is added. *toggle*: each 1 turns 0
        into 1 and 1 into 0. *largest*: a pulse that is larger takes the place of what was there.
        """
        pool = self.pulses
        if cost > LOOPED:
            return
        gates = {a: [i for i in pool.of_cost(a) if {*np.unique(pool.values[i])} <= {0.0, 1.0}] for a in range(1, cost)}
        if chosen := gates[cost - 2] if cost > 2 else []:
            x, at = pool.values[chosen], pool.begins[chosen] + 2
            self.levels.offer(self._run(x, 1.0 - 2.0 * x), at, at, cost, ("toggle", chosen, -1, ""))
        i = pool.of_cost(cost - 2)
        if len(i):
            x, at = pool.values[i], pool.begins[i] + 2
            self.levels.offer(self._run(x, None), at, at, cost, ("largest", i, -1, ""))
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

    def _combine(self, pool: Pool, cost: int) -> None:
        """Sums and differences of two, which take no neuron; what one is above the other; products of levels."""
        for rest in (cost, cost - 1):
            for a in range(1, rest // 2 + 1):
                for i, j in self._pairs(pool, pool.of_cost(a), pool.of_cost(rest - a)):
                    x, y = pool.values[i], pool.values[j]
                    begins = np.minimum(pool.begins[i], pool.begins[j])
                    settled = np.maximum(pool.settled[i], pool.settled[j])
                    begins = settled if pool is self.pulses else begins
                    if rest == cost:
                        pool.offer(x + y, begins, settled, cost, ("add", i, j, 1.0))
                        pool.offer(x - y, begins, settled, cost, ("add", i, j, -1.0))
                        continue
                    times = begins + 1, settled + 1, cost
                    pool.offer(np.maximum(x - y, 0.0), *times, ("above", i, j, ""))
                    pool.offer(np.maximum(y - x, 0.0), *times, ("above", j, i, ""))
                    if pool is self.levels:
                        pool.offer(self.dot(x * y), *times, ("product", i, j, ""))

    def _sample(self, cost: int) -> None:
        """Pulses times levels: as a level was before the step, or as it is after it, for which the pulse waits."""
        pulses, levels = self.pulses, self.levels
        for a in range(1, cost - 1):
            for i, j in self._pairs(pulses, pulses.of_cost(a), levels.of_cost(cost - 1 - a), cut=False):
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

    @staticmethod
    def _pairs(pool: Pool, some: Array, others: Array, cut: bool = True) -> Iterator[tuple[Array, Array]]:
        """Pairs in portions, until the pool is full; each pair once where both are of the same parts."""
        for i in some:
            j = others[others > i] if cut and np.array_equal(some, others) else others
            if len(j) and len(pool) < pool.limit:
                yield np.full(len(j), i), j
