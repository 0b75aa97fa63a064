"""Long runs in windows: what was emitted at a tick is all that the next one reads, so a run can be cut anywhere.

The forward pass keeps the state at every cut, and, as far as memory allows, what the gradient will need of a window;
the gradient comes back window by window and runs those again of which only the state was kept. This is checkpointing
with one level (Griewank & Walther 2000): memory hardly grows with the run, time by less than one more forward pass.
What is the same for all weights, the input above all, is kept for all ticks, in some hundred bytes each.
"""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np

from dmmlab.layout import Block
from dmmlab.plans import Array, Arrays, Compiled, Plan

MEMORY = 100.0  # MB that one run may take
LONGEST = 144  # ticks of a window that has loops: long programs are slow to write, and leave the processor's cache
# Bytes at a tick: of arrays for a place, and of instructions for a group of neurons in a loop.
PLACE, LOOPED = 40, 16_000
SPARE = 4  # plans kept for later runs


class Stock:
    """The plans of a compiled machine: made when asked for, and kept for the next who asks when nobody uses them.

    `memory` is what the plans of one run may take, in MB: it decides how long windows are, and how many are kept.
    """

    def __init__(self, compiled: Compiled, blocks: list[Block], memory: float) -> None:
        self.compiled, self.blocks, self.memory = compiled, blocks, memory
        streams, numbers = (len(part.rows) + len(part.columns) for part in compiled.parts)
        self.places = compiled.shape[0] * (streams * (compiled.shape[1] + 1) + numbers)
        self.looped = sum(len(block.groups) for block in blocks if block.recurrent)
        self._spare: list[Plan] = []

    def __getstate__(self) -> dict:
        # The instructions of a plan are bound to its arrays; a copy would have both, but no longer together.
        return vars(self) | {"_spare": []}

    def at_a_tick(self, members: int) -> int:
        """The bytes that a plan of so many members takes for a tick, as far as one can tell before it is made."""
        return PLACE * members * self.places + LOOPED * self.looped

    def cut_up(self, members: int) -> list[tuple[int, int]]:
        """The windows of a run of so many members: first tick (from 0) and the one after the last."""
        ticks = self.compiled.shape[2]
        fitting = int(min(1e6 * self.memory / max(self.at_a_tick(members), 1), 3 * ticks))
        if fitting < ticks or self.looped:
            # A third each for a plan, for that of a shorter last window, and for what is put aside.
            fitting = min(max(fitting // 3, 1), LONGEST if self.looped else ticks)
        length = math.ceil(ticks / math.ceil(ticks / fitting))
        return [(start, min(start + length, ticks)) for start in range(0, ticks, length)]

    def freeze(self) -> None:
        """Run the plans once and for all, and have their columns known to whoever runs the same compiled machine."""
        counts = [max((block.columns[part].stop for block in self.blocks), default=0) for part in (0, 1)]
        run, ticks = Run(self, np.zeros((1, self.compiled.links)), None), self.compiled.shape[2]
        frozen: Arrays = []
        for i, (start, stop) in enumerate(run.windows):
            columns = [x[:, :count] for x, count in zip(run.go(i).ends.columns, counts, strict=True)]
            frozen = frozen or [np.zeros((*x.shape[:-1], ticks + 1), x.dtype) for x in columns]
            for whole, column in zip(frozen, columns, strict=True):
                whole[..., start : stop + 1] = column
        self.compiled.frozen = frozen


class Lease:
    """A plan in use; when nothing refers to the lease any more, the plan is free to be run again."""

    def __init__(self, stock: Stock, *need: object) -> None:  # members, gradient, ticks
        self.stock, self.window = stock, -1
        for plan in tuple(stock._spare):
            if (plan.members, plan.gradient, plan.ticks) == need:
                with suppress(ValueError):  # another thread was faster
                    stock._spare.remove(plan)
                    self.plan = plan
                    return
        self.plan = Plan(stock.compiled, stock.blocks, *need)

    def __del__(self) -> None:
        if hasattr(self, "plan"):
            self.stock._spare = [self.plan, *self.stock._spare][:SPARE]


class Run:
    """Some members run over all ticks: `weights` (members, links), `gradient` as in a plan."""

    def __init__(self, stock: Stock, weights: Array, gradient: str | None) -> None:
        self.stock, self.gradient, self.windows = stock, gradient, stock.cut_up(len(weights))
        self.weights = weights if len(self.windows) == 1 else weights.copy()  # they will be needed again
        self.states: list[Arrays | None] = [None]
        self.leases: dict[int, Lease] = {}
        self.aside: dict[int, int] = {}  # of which windows the arrays were put aside, and where
        longest = self.windows[0][1]
        self.free = 0.9e6 * stock.memory - 2 * longest * stock.at_a_tick(len(weights))  # bytes for that

    def go(self, window: int) -> Plan:
        """The plan of a window, run there unless that is what its arrays hold. The one before must have been run."""
        start, stop = self.windows[window]
        if stop - start not in self.leases:
            self.leases[stop - start] = Lease(self.stock, len(self.weights), self.gradient, stop - start)
        lease = self.leases[stop - start]
        if window in self.aside and lease.window != window:
            lease.plan.bring_back(self.aside[window])
        elif lease.window != window:
            if len(self.windows) > 1:
                lease.plan.begin(start, self.states[window])
            lease.plan.run(self.weights)
            if window == len(self.states) - 1 < len(self.windows) - 1:
                self._keep(window, lease.plan)
        lease.window = window
        return lease.plan

    def _keep(self, window: int, plan: Plan) -> None:
        self.states.append(plan.state())
        if not self.gradient:
            self.states[window] = None  # nobody comes back here
        size = sum(piece.nbytes for piece in plan.program.pieces)
        if self.gradient and size <= self.free:
            self.aside[window] = len(self.aside)
            plan.put_aside(self.aside[window])
            self.free -= size

    def answer(self, answers: Array) -> None:
        """Write the answers, (members, strings, ticks, 2)."""
        for i, (start, stop) in enumerate(self.windows):
            answers[:, :, start:stop] = self.go(i).answers

    def pull(self, gradient: Array) -> Array:
        """The gradient for the weights, (members, links), from that for the answers."""
        total, after = np.zeros_like(self.weights), None
        for i, (start, stop) in reversed([*enumerate(self.windows)]):
            plan = self.go(i)
            total += plan.pull(gradient[:, :, start:stop], after)
            after = plan.before() if i else None
        return total
