"""Streams: parts of programs that read one step a tick. A part emits one number a tick; later ones wait in relays.

What was there `k` steps before is the same stream, `k` ticks late; so windows are cheap here, and pulses and levels are
one. Constants come through relays, so that every part is zero until the first step reaches it.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from dmmlab.enumeration.parts import CONSTANTS, MOST, Pool
from dmmlab.enumeration.steps import Steps
from dmmlab.learn.tasks import Task
from dmmlab.trees import NUMBER

FURTHEST = 7  # steps that a part looks back at once
FIRST = 500  # parts of a cost of which what was before is looked at
FAR = 3  # cost of what looks back further than one step, at most


class Streams(Steps):
    """All parts of programs for a task at one step a tick, cost by cost; delays of any length cost as one neuron."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.pulses, self.levels = Pool(len(self)), Pool(len(self) + 1)  # there are no levels
        words = [*self.words[:9], *[NUMBER] * (NUMBER in self.read)]
        self.pulses.offer(np.ones((1, len(self))), 0, 0, 1, ("one", -1, -1, ""))
        for word in words:
            lookup = ((word, 1.0),)
            at = 0 if self.numbers_alone else 1
            self.pulses.offer(self.look_up(lookup)[None], at, at, 1, ("lookup", -1, -1, lookup))
        if not self.symbolic:
            for one, other in combinations(words, 2):
                lookup = ((one, 1.0), (other, 1.0))
                self.pulses.offer(self.look_up(lookup)[None], 1, 1, 1, ("lookup", -1, -1, lookup))

    def grow(self, cost: int) -> None:
        """Add the parts of so many neurons."""
        pool = self.pulses
        pool.limit = len(pool) + MOST
        self._look_back(cost)
        i = pool.of_cost(cost - 1)
        if len(i):
            values, now = pool.values[i], pool.begins[i]
            later = now + 1, now + 1, cost
            pool.offer(np.abs(values), *later, ("norm", i, -1, ""))
            pool.offer(self.sums(values), *later, ("sum", i, -1, ""))
        pool.combine(cost, self.dot, aligned=True, early=True)
        if len(i):
            for constant, sign in product(CONSTANTS, (1, -1)):
                above = np.maximum(sign * (values - constant), 0.0)
                pool.offer(above, *later, ("above" if sign > 0 else "below", i, -1, constant))
        pool.combine(cost, self.dot, aligned=True)
        self._extremes(cost)

    def _look_back(self, cost: int) -> None:
        """Parts as they were some steps before, and sums of their last steps; only cheap parts far back."""
        pool = self.pulses
        i = pool.of_cost(cost - 2)[:FIRST]
        sums, later = self.sums(pool.values[i]), pool.begins[i] + 1
        earlier = sums
        for steps in range(1, FURTHEST + 1) if len(i) else ():
            earlier = self.before(earlier)
            pool.offer(sums - earlier, later, later, cost, ("window", i, -1, steps))
        i = pool.of_cost(cost - 1)[:FIRST]
        earlier, now = pool.values[i], pool.begins[i]
        for steps in range(1, 1 + (FURTHEST if cost <= FAR else 1)) if len(i) else ():
            earlier = self.before(earlier)
            pool.offer(earlier, now, now, cost, ("before", i, -1, steps))

    def _extremes(self, cost: int) -> None:
        """The largest and the smallest of the last steps of cheap parts."""
        pool = self.pulses
        i = pool.of_cost(cost - 3) if cost <= FAR + 2 else ()
        for operation, sign in (("largest", 1.0), ("smallest", -1.0)) if len(i) else ():
            most = earlier = sign * pool.values[i]
            later = pool.begins[i] + 1
            for steps in range(1, FURTHEST + 1):
                earlier = self.before(earlier)
                most = np.maximum(most, earlier)
                pool.offer(sign * most, later, later, cost, (operation, i, -1, steps))
