"""Assembly of enumerated parts: each recipe as neurons and links."""

from __future__ import annotations

from dmmlab.enumeration.assembly import INPUT, ONE, Assembly, Terms
from dmmlab.enumeration.fitting import Fit
from dmmlab.enumeration.parts import Parts, Recipe
from dmmlab.enumeration.streams import Streams


class PartAssembly(Assembly):
    """Builds what the enumeration found: pulses and levels, or streams."""

    def __init__(self, parts: Parts | Streams) -> None:
        super().__init__(parts)
        self.parts, self.patient, self.streams = parts, False, isinstance(parts, Streams)

    def fit(self, fit: Fit, patient: bool = False) -> tuple[Terms, int]:
        """A fit, and the tick after a step at which it is there; of parts at slow speeds when it is due.

        `patient`: constants that streams are compared with come through relays, as the enumeration has them; most
        programs are right without.
        """
        self.patient = patient
        numbers = [number for number, _ in fit.terms] + ([fit.curve[0]] if fit.curve else [])
        ready = self.parts.latency - 1
        if self.streams:
            ready = max((int(self.parts.pulses.begins[~number]) for number in numbers), default=0)
        if fit.curve:
            number, curve = fit.curve
            pulse = number < 0
            at = ready - 1 if pulse and not self.streams else ready
            return self.curve(self.part(number, at), curve, pulse), ready + self.streams
        terms = [self.scaled(self.part(number, ready), weight) for number, weight in fit.terms]
        return self.add(*terms, {ONE: fit.constant}), ready

    def part(self, number: int, tick: int) -> Terms:
        """A level, or a pulse at a tick, by its number in a `Fit`."""
        return self.level(number) if number >= 0 else self.delayed(~number, tick)

    def first(self, recipe: Recipe) -> Terms | None:
        """Parts that read the input or its running sum, as streams."""
        match recipe.operation:
            case "one":
                return {ONE: 1.0}
            case "lookup":
                return self.look_up(recipe.extra)[0]
            case "norm of input":
                return self.neuron("norm", "norm", dict=INPUT)
            case "lookup of sum":
                return self.look_up(recipe.extra, self.sum(INPUT))[0]
            case "seen":
                return self.dot(INPUT, self.sum(INPUT))
            case "norm of sum":
                return self.neuron("norm", "norm", dict=self.sum(INPUT))
            case "square of sum":
                return self.dot(self.sum(INPUT), self.sum(INPUT))
        return None

    def level(self, number: int) -> Terms:
        """What a level's neuron emits, or the sum that it is."""
        recipe = self.parts.levels.recipes[number]
        operation, a, b, extra = recipe
        if (first := self.first(recipe)) is not None:
            return first
        match operation:
            case "sum":
                return self.sum(self.pulse(a))
            case "norm":
                return self.neuron("norm", "norm", dict=self.level(a))
            case "toggle" | "keep" | "largest" | "largest so far":
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
            reader, output = ("compare", "true") if operation.startswith("largest") else ("dot", "dot")
            state, name, tick = self.new("accum"), self.new(reader), int(self.parts.levels.begins[number]) - 2
            self.built[key] = state
            self.link(f"{name}.dict-1", self.level(a) if operation == "largest so far" else self.delayed(a, tick))
            self.link(f"{name}.dict-2", {f"{state}.dict": 1.0})
            added = {} if reader == "compare" else self.delayed(a if b < 0 else b, tick + 1)
            weight = {"toggle": -2.0, "keep": -1.0}.get(operation, 1.0)
            self.link(f"{state}.dict-2", self.add(added, {f"{name}.{output}": weight}))
        return {f"{self.built[key]}.dict": 1.0}

    def pulse(self, number: int) -> Terms:
        """What the neuron of a pulse or a stream emits, or the sum that it is."""
        recipe, times = self.parts.pulses.recipes[number], self.parts.pulses.begins
        operation, a, b, extra = recipe
        if (first := self.first(recipe)) is not None:
            return first
        match operation:
            case "before" | "earlier":
                return self.delayed(a, int(times[a]) + int(extra))
            case "sample":
                return self.dot(self.delayed(a, int(extra)), self.level(b))
            case "sum":
                return self.sum(self.pulse(a))
            case "window":
                total = self.sum(self.pulse(a))
                return self.add(total, self.scaled(self.wait(total, int(extra)), -1.0))
            case "largest" | "smallest":
                return self.extreme(self.pulse(a), int(extra), 1.0 if operation == "largest" else -1.0)
            case "norm":
                return self.neuron("norm", "norm", dict=self.pulse(a))
        if b < 0:
            x, y = self.pulse(a), self.wait({ONE: float(extra)}, int(times[a]) if self.patient else 0)
        else:
            wait = int(max(times[a], times[b]))
            x, y = self.delayed(a, wait), self.delayed(b, wait)
        match operation:
            case "add":
                return self.add(x, self.scaled(y, extra))
            case "product":
                return self.dot(x, y)
        return self.above(x, y) if operation == "above" else self.above(y, x)

    def extreme(self, terms: Terms, steps: int, sign: float) -> Terms:
        """The largest of a stream and of the steps before, or the smallest where the sign is -1, one tick later."""
        most = self.wait(terms, 1)  # of the step before, when the stream is there
        for _ in range(steps):
            x, y = (most, terms) if sign > 0 else (terms, most)
            most = self.add(self.wait(terms, 1), self.scaled(self.above(x, y), sign))
        return most

    def delayed(self, number: int, tick: int) -> Terms:
        """A pulse, so many ticks after the step, by relays."""
        return self.wait(self.pulse(number), tick - int(self.parts.pulses.begins[number]))
