"""Programs for a task of examples: small parts are enumerated, and loops are read off from the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from itertools import product
from math import nan
from operator import itemgetter

import numpy as np

from dmmlab.enumeration.assembly import Assembly, Terms
from dmmlab.enumeration.automata import find_automaton
from dmmlab.enumeration.fitting import Fit, find_curves, fits, rows_of
from dmmlab.enumeration.loop_assembly import build_automaton, build_filter, build_reading, build_recurrence
from dmmlab.enumeration.loops import find_recurrences
from dmmlab.enumeration.part_assembly import PartAssembly
from dmmlab.enumeration.parts import Parts
from dmmlab.enumeration.regression import find_filter, find_readings
from dmmlab.enumeration.slowing import slow_down
from dmmlab.enumeration.streams import Streams
from dmmlab.files import DMMError
from dmmlab.learn.objective import SOLVED, Objective
from dmmlab.learn.tasks import Task
from dmmlab.machines import Machine

COSTS = 8  # neurons of a part that is enumerated, at most
SUMS = 1.5  # times as many neurons, at most, in a sum of parts
SURE = 5.5  # bits of answers for each bit of an automaton, that make it as good as another program
MOST = 20  # answers of a side of which machines are built

Build = Callable[[PartAssembly], tuple[Terms, int] | None]  # what answers a side, and the tick at which it is there
Whole = Callable[[Assembly], tuple[dict[int, Terms], int]]  # what answers all sides


class Search:
    """The search of programs for a task, cost by cost; a cost is about a number of neurons."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.streams = {*task.ticks_per_character} == {1}
        self.parts = Streams(task) if self.streams else Parts(task)
        self.sides = [side for side in (0, 1) if np.isfinite(self.parts.answers[:, side]).any()]
        self.alone = {side: _only_side(task, side) for side in self.sides}
        self.curves: dict[int, list[Fit]] = {side: [] for side in self.sides}
        self.found: dict[int, list[tuple[float, Build]]] = {side: [*self._tables(side)] for side in self.sides}
        self.whole: list[tuple[float, Whole]] = [*self._joint()]

    def _tables(self, side: int) -> Iterator[tuple[float, Build]]:
        """What is read off from the answers of a side at once."""
        due = None if self.streams else self.parts.latency - 1
        for reading in find_readings(self.parts, side):
            yield reading.cost, lambda to, reading=reading: build_reading(to, reading, due)
        for found in find_recurrences(self.parts, side, held=not self.streams)[:MOST]:
            for two_sided in (True, False):
                yield found.cost, lambda to, found=found, two=two_sided: build_recurrence(to, found, two)

    def _joint(self) -> Iterator[tuple[float, Whole]]:
        """What is read off from the answers of all sides at once."""
        if self.streams and (found := find_filter(self.parts, self.sides)) is not None:
            yield found.cost, lambda to: build_filter(to, found)
        if (automaton := find_automaton(self.parts)) is not None:
            dear = 1 if automaton.evidence >= SURE else 1.5  # there are automata for many examples
            yield (
                dear * (1.5 * len(automaton.answers) + automaton.changes / 2),
                lambda to: build_automaton(to, automaton),
            )

    def programs(self, cost: int) -> list[Machine]:
        """Machines of about so many neurons a side, or fewer, that give all answers: the simplest first."""
        self.parts.grow(cost)
        machines = []
        for each in [*product(*(self._right(side, cost) for side in self.sides))][:MOST]:
            builds = dict(zip(self.sides, (build for _, build in each), strict=True))
            machines.append((sum(price for price, _ in each), self._built(builds)))
        whole = [(price, build) for price, build in self.whole if price <= cost or cost == COSTS]
        machines += [(len(self.sides) * price, self._built_whole(build)) for price, build in whole]
        right = [each for each in machines if each[1] is not None and self._solves(each[1], self.task)]
        return [machine for _, machine in sorted(right, key=lambda each: (each[0], len(each[1].links)))]

    def _right(self, side: int, cost: int) -> list[tuple[float, Build]]:
        """What gives all answers of a side, built as a machine: the cheapest, and of two sides a few each."""
        rows = rows_of(self.parts, side)
        self.curves[side] += find_curves(rows, cost)
        curves = [fit for fit in self.curves[side] if fit.cost <= cost]
        some = [each for each in self.found[side] if each[0] <= cost]
        dearest = SUMS * cost if cost < COSTS else np.inf
        for fit in [*curves, *(fit for fit in fits(rows) if fit.cost <= dearest)]:
            some += [(fit.cost, partial(PartAssembly.fit, fit=fit, patient=patient)) for patient in self._ways()]
        builds = sorted(some, key=itemgetter(0))[:MOST]
        return [(price, build) for price, build in builds if self._gives(side, build)]

    def _gives(self, side: int, build: Build) -> bool:
        """Whether a machine that has only one side gives the answers due there."""
        if len(self.sides) == 1:
            return True
        machine = self._built({side: build})
        return machine is not None and self._solves(machine, self.alone[side])

    def _ways(self) -> tuple[bool, ...]:
        return (False, True) if self.streams else (False,)

    def _built(self, builds: dict[int, Build]) -> Machine | None:
        to = PartAssembly(self.parts)
        made = {side: build(to) for side, build in builds.items()}
        if None in made.values():
            return None
        return self._machine(to, {side: each[0] for side, each in made.items()}, [at for _, at in made.values()])

    def _built_whole(self, build: Whole) -> Machine | None:
        to = Assembly(self.parts)
        sides, at = build(to)
        return self._machine(to, {side: sides[side] for side in self.sides}, [at] * len(self.sides))

    def _machine(self, to: Assembly, sides: dict[int, Terms], ready: list[int]) -> Machine | None:
        """The machine of sides that are there after some ticks; streams wait for the last of them, and until due."""
        if self.streams:
            due = max(ready) if self.task.any_latency else self.task.latency - 1
            if due < max(ready):
                return None
            sides = {side: to.wait(terms, due - at) for (side, terms), at in zip(sides.items(), ready, strict=True)}
        try:
            return to.machine(sides, self.task.dot_clip, self.task.has_values)
        except DMMError:
            return None  # a weight that is not finite

    @staticmethod
    def _solves(machine: Machine, task: Task) -> bool:
        task = task.settled(machine)
        return bool(Objective(machine, task).data_loss(machine.vector()) < SOLVED)


def _only_side(task: Task, side: int) -> Task:
    """A task that asks for the answers of one side."""
    due = [tuple((x, nan) if side == 0 else (nan, y) for x, y in answers) for answers in task.due or ()]
    return replace(task, due=tuple(due))


@lru_cache(maxsize=4)
def find_programs(task: Task) -> tuple[Machine, ...]:
    """Machines that give all answers of a task of examples: the simplest first, or none.

    Looked for are those of the fewest neurons, up to `COSTS` a part, and up to `MOST` of them; where there are none for
    the only speed of a task, those for one step a tick are slowed down. Nothing is drawn at random: the same examples,
    the same programs.

    >>> task = dmm.Task.from_examples(["1101", "0111", "10"], [[1, 0, 0, 1], [0, 1, 0, 1], [1, 1]], [8, 11])
    >>> task.predict(dmm.find_programs(task)[0], ["111111"])[0][:, 0].tolist()
    [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    """
    search = Search(task)
    for cost in range(1, COSTS + 1):
        if right := search.programs(cost):
            return tuple(right)
    return tuple(_slowed(search))


def _slowed(search: Search) -> Iterator[Machine]:
    """Programs for one step a tick, slowed down to the speed that the task asks for, where it asks for one."""
    task, steps = search.task, search.parts
    if search.streams or steps.speed is None:
        return
    every_tick = replace(task, ticks_per_character=1, ticks=None, any_latency=True).after(0)
    every_tick = replace(every_tick, any_latency=True)
    due = None if task.any_latency else task.latency
    for machine in find_programs(every_tick):
        slowed = slow_down(machine, every_tick.settled(machine).latency, steps, due)
        if slowed is not None and search._solves(slowed, task):
            yield slowed
