"""Assembly: what was found by enumeration and in tables, built as a machine, neuron by neuron.

Pulses wait in relays where they have to. Where something happens at the wrong tick all the same, for a level changes in
several ticks, the engine finds it, and the program is dropped.
"""

from __future__ import annotations

from dataclasses import replace

from dmmlab.builders import add_neuron, write_program
from dmmlab.enumeration.curves import Curve
from dmmlab.enumeration.steps import Lookup, Steps
from dmmlab.links import Link, nested
from dmmlab.machines import Machine
from dmmlab.trees import NUMBER

Terms = dict[str, float]  # sources, "neuron.field", with their weights
ONE, INPUT = "const_1.const_1", {"input.char": 1.0}


class Assembly:
    """Neurons and links of a program; what is asked for twice is built once."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.links: dict[Link, float] = {}
        self.built: dict[tuple, str] = {}
        self.counts: dict[str, int] = {}

    def machine(self, sides: dict[int, Terms], dot_clip: float, values: bool) -> Machine:
        """The machine that answers so; `values`: its steps are any V-values."""
        for side, terms in sides.items():
            self.link(f"output.dict-{side + 1}", terms)
        machine = write_program("", dot_clip)
        for link in self.links:
            for name in (link.to_neuron, link.from_neuron):
                machine = machine if name in machine.neurons else add_neuron(machine, name)
        machine = replace(machine, weights=nested(self.links.items()), links=[*self.links])
        return machine.reading_values() if values else machine

    def link(self, to: str, terms: Terms) -> None:
        """Let an input field read a sum of sources."""
        self.links |= {Link.parse(to, source): float(weight) for source, weight in terms.items() if weight}

    def new(self, kind: str) -> str:
        """The name of one more neuron of a kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind}-{self.counts[kind]}"

    def neuron(self, kind: str, output: str, **fields: Terms) -> Terms:
        """What a neuron of these inputs emits; input fields are given with _ for -."""
        key = (kind, *((field, *sorted(terms.items())) for field, terms in sorted(fields.items())))
        if key not in self.built:
            self.built[key] = name = self.new(kind)
            for field, terms in fields.items():
                self.link(f"{name}.{field.replace('_', '-')}", terms)
        return {f"{self.built[key]}.{output}": 1.0}

    @staticmethod
    def scaled(terms: Terms, factor: float) -> Terms:
        """A factor times a sum of sources."""
        return {source: factor * weight for source, weight in terms.items() if factor * weight}

    @staticmethod
    def add(*some: Terms) -> Terms:
        """The sum of sums of sources."""
        total: Terms = {}
        for terms in some:
            for source, weight in terms.items():
                total[source] = total.get(source, 0.0) + weight
        return total

    def wait(self, terms: Terms, ticks: int) -> Terms:
        """The same, so many ticks later, by relays."""
        for _ in range(ticks):
            terms = self.neuron("sum", "dict", dict_1=terms) if terms else terms
        return terms

    def dot(self, x: Terms, y: Terms) -> Terms:
        """What a dot neuron emits."""
        return self.neuron("dot", "dot", dict_1=x, dict_2=y)

    def above(self, x: Terms, y: Terms) -> Terms:
        """What a compare neuron emits as true: by how much x is above y."""
        return self.neuron("compare", "true", dict_1=x, dict_2=y)

    def sum(self, terms: Terms) -> Terms:
        """The running sum of pulses."""
        return self.neuron("accum", "dict", dict_2=terms)

    def look_up(self, lookup: Lookup, stream: Terms | None = None) -> tuple[Terms, int]:
        """A weighted sum of what a stream has, the input's if none is given, and after how many ticks it is there."""
        if stream is None and self.steps.numbers_alone:
            return self.scaled(INPUT, dict(lookup).get(NUMBER, 0.0)), 0
        names = {word: "eos.char" if word == "." else f"letter-{word}.char" for word, _ in lookup} | {NUMBER: ONE}
        return self.dot(stream or INPUT, {names[word]: weight for word, weight in lookup}), 1

    def curve(self, terms: Terms, curve: Curve, streams: bool) -> Terms:
        """A curve of a sum of sources, by a compare for each bend, one tick later; levels need not wait."""
        bent = []
        for at, change in curve.bends:
            x, y = (terms, {ONE: at}) if curve.sign > 0 else ({ONE: at}, terms)
            bent.append(self.scaled(self.above(x, y), change))
        straight = self.scaled(self.wait(terms, 1 if streams else 0), curve.slope) if curve.slope else {}
        return self.add(straight, {ONE: curve.constant}, *bent)
