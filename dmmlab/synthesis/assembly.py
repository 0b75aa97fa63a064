"""Assembly: the parts that enumeration found, built as a machine, neuron by neuron; and the programs for a task.

Pulses wait in relays where they have to; where something happens at the wrong tick all the same, for a level changes in
several ticks, the engine finds it, and the program is dropped.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice, product

import numpy as np

from dmmlab.builders import write_program
from dmmlab.learn.objective import Objective
from dmmlab.learn.tasks import Task
from dmmlab.machines import Machine
from dmmlab.synthesis.enumeration import Parts, Recipe
from dmmlab.synthesis.fitting import Fit, fits, look_further
from dmmlab.synthesis.pruning import SOLVED

COSTS, MOST = 8, 20
Terms = dict[str, float]  # sources, "neuron.field", with their weights
ONE = "const_1.const_1"


class Assembly:
    """Lines of a program; what is asked for twice is built once."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.lines: list[str] = []
        self.built: dict[tuple, str] = {}
        self.counts: dict[str, int] = {}

    def machine(self, sides: list[Fit | None], dot_clip: float, values: bool) -> Machine:
        """The machine that answers as the fits of left and right say; `values`: its steps are any V-values."""
        for fit, side in zip(sides, ("dict-1", "dict-2"), strict=True):
            if fit is not None:
                terms = [self.scaled(self.part(number), weight) for number, weight in fit.terms]
                self.link(f"output.{side}", self.add(*terms, {ONE: fit.constant}))
        machine = write_program("\n".join(self.lines), dot_clip)
        return machine.reading_values() if values else machine

    def link(self, to: str, terms: Terms) -> None:
        """Let an input field read a sum of sources."""
        self.lines += [f"{to} <- {float(weight)!r} {source}" for source, weight in terms.items() if weight]

    def neuron(self, kind: str, output: str, **fields: Terms) -> Terms:
        """What a neuron of these inputs emits; input fields are given with _ for -."""
        key = (kind, *((field, *sorted(terms.items())) for field, terms in sorted(fields.items())))
        if key not in self.built:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.built[key] = name = f"{kind}-{self.counts[kind]}"
            for field, terms in fields.items():
                self.link(f"{name}.{field.replace('_', '-')}", terms)
        return {f"{self.built[key]}.{output}": 1.0}

    @staticmethod
    def scaled(terms: Terms, factor: float) -> Terms:
        """A factor times a sum of sources."""
        return {source: factor * weight for source, weight in terms.items()}

    @staticmethod
    def add(*some: Terms) -> Terms:
        """The sum of sums of sources."""
        total: Terms = {}
        for terms in some:
            for source, weight in terms.items():
                total[source] = total.get(source, 0.0) + weight
        return total

    # ---- the parts ----

    def part(self, number: int) -> Terms:
        """A level, or a pulse at the tick at which answers are due, by its number in a `Fit`."""
        pulse = number - len(self.parts.levels)
        return self.level(number) if pulse < 0 else self.delayed(pulse, self.parts.latency - 1)

    def dot(self, x: Terms, y: Terms) -> Terms:
        """What a dot neuron emits."""
        return self.neuron("dot", "dot", dict_1=x, dict_2=y)

    def above(self, x: Terms, y: Terms) -> Terms:
        """What a compare neuron emits as true: by how much x is above y."""
        return self.neuron("compare", "true", dict_1=x, dict_2=y)

    def first(self, recipe: Recipe) -> Terms | None:
        """Parts that read the input or its running sum, as streams."""
        stream, held = {"input.char": 1.0}, lambda: self.neuron("accum", "dict", dict_2={"input.char": 1.0})
        match recipe.operation:
            case "norm of input":
                return self.neuron("norm", "norm", dict=stream)
            case "letter" | "letter of sum" | "letters of sum":
                letters = ["eos" if letter == "." else f"letter-{letter}" for letter in recipe.extra]
                terms = {f"{letter}.char": sign for letter, sign in zip(letters, (1.0, -1.0), strict=False)}
                return self.dot(stream if recipe.operation == "letter" else held(), terms)
            case "number":
                return self.dot(stream, {ONE: 1.0})
            case "seen":
                return self.dot(stream, held())
            case "norm of sum":
                return self.neuron("norm", "norm", dict=held())
            case "square of sum":
                return self.dot(held(), held())
        return None

    def level(self, number: int) -> Terms:
        """What a level's neuron emits, or the sum that it is."""
        recipe = self.parts.levels.recipes[number]
        operation, a, b, extra = recipe
        if (first := self.first(recipe)) is not None:
            return first
        match operation:
            case "sum":
                return self.neuron("accum", "dict", dict_2=self.pulse(a))
            case "norm":
                return self.neuron("norm", "norm", dict=self.level(a))
            case "toggle" | "keep" | "largest":
                return self.looped(number)
            case "product":
                return self.dot(self.level(a), self.level(b))
            case "add":
                return self.add(self.level(a), self.scaled(self.level(b), extra))
        other = {ONE: float(extra)} if b < 0 else self.level(b)
        return self.above(self.level(a), other) if operation == "above" else self.above(other, self.level(a))

    def looped(self, number: int) -> Terms:
        """An accumulator, and what reads it: a dot that takes what a gate clears, or a compare for what is more."""
        operation, a, b, _ = self.parts.levels.recipes[number]
        key = ("looped", number)
        if key not in self.built:
            reader, output = ("compare", "true") if operation == "largest" else ("dot", "dot")
            for kind in ("accum", reader):
                self.counts[kind] = self.counts.get(kind, 0) + 1
            self.built[key] = state = f"accum-{self.counts['accum']}"
            name, tick = f"{reader}-{self.counts[reader]}", int(self.parts.levels.begins[number]) - 2
            self.link(f"{name}.dict-1", self.delayed(a, tick))
            self.link(f"{name}.dict-2", {f"{state}.dict": 1.0})
            added = {} if operation == "largest" else self.delayed(a if b < 0 else b, tick + 1)
            weight = {"largest": 1.0, "toggle": -2.0, "keep": -1.0}[operation]
            self.link(f"{state}.dict-2", self.add(added, {f"{name}.{output}": weight}))
        return {f"{self.built[key]}.dict": 1.0}

    def pulse(self, number: int) -> Terms:
        """What a pulse's neuron emits, or the sum that it is."""
        recipe = self.parts.pulses.recipes[number]
        operation, a, b, extra = recipe
        if (first := self.first(recipe)) is not None:
            return first
        if operation == "earlier":
            return self.delayed(a, int(self.parts.pulses.begins[a]) + int(extra))
        if operation == "sample":
            return self.dot(self.delayed(a, int(extra)), self.level(b))
        times = self.parts.pulses.begins
        if b < 0:
            return self.above(self.pulse(a), {ONE: float(extra)})
        wait = max(times[a], times[b])
        x, y = self.delayed(a, wait), self.delayed(b, wait)
        return self.add(x, self.scaled(y, extra)) if operation == "add" else self.above(x, y)

    def delayed(self, number: int, tick: int) -> Terms:
        """A pulse, so many ticks after the step, by relays."""
        terms = self.pulse(number)
        for _ in range(tick - int(self.parts.pulses.begins[number])):
            terms = self.neuron("sum", "dict", dict_1=terms)
        return terms


@lru_cache(maxsize=4)
def find_programs(task: Task) -> tuple[Machine, ...]:
    """Machines of enumerated parts that give all answers of a task of examples: the shortest first, or none.

    Looked for are those of the fewest neurons, up to `COSTS` a part, and up to `MOST` of them.
    """
    parts = Parts(task)
    sides = [bool(np.isfinite(parts.answers[:, side]).any()) for side in (0, 1)]
    for cost in range(1, COSTS + 1):
        parts.grow(cost)
        for side in np.flatnonzero(sides):
            look_further(parts, side, cost)
        found = [fits(parts, side)[:MOST] if asked else [None] for side, asked in enumerate(sides)]
        machines = [
            Assembly(parts).machine([*pair], task.dot_clip, task.has_values) for pair in islice(product(*found), MOST)
        ]
        right = [machine for machine in machines if Objective(machine, task).data_loss(machine.vector()) < SOLVED]
        if right:
            return tuple(sorted(right, key=lambda machine: len(machine.links)))
    return ()
