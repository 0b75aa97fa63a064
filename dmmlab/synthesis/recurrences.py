"""Recurrences: what loops hold, as variables with a line each that says what they are after what they were.

Of a loop only those neurons have a variable that others (or they themselves) read before their turn; the others are
written out. A variable's time is that of the input: what its neuron emits so many ticks after the input that it is the
first to depend on is called p[t]. All variables of a loop have one such delay, so that none depends on what is later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sympy import Abs, Expr, ImmutableMatrix, Max
from sympy.core.symbol import Str

from dmmlab.engine.keys import NUM, possible_keys
from dmmlab.interpreter import trace
from dmmlab.machines import Machine
from dmmlab.synthesis.formula_text import ANY, Amount, Clock, Input, Level, State, T, exact
from dmmlab.vvalues import number

End = tuple[str, str]  # neuron, output field
Stream = ImmutableMatrix  # a column: characters, number
NAMES = "pqrsuvwxyz"
BOTH, DIFFERENCE = "true + false", "true - false"  # of a compare: what may be held instead of an output


@dataclass(frozen=True)
class Recurrence:
    """What a loop holds at tick t, as an expression of what loops held before, and of the input; `start` at tick 0."""

    name: str
    now: Expr
    start: Expr


class States:
    """The variables of a machine's loops, as a walk through its groups finds them."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.lines = machine, ()
        self.keys = possible_keys(machine, machine.links)[1]
        self.symbols: dict[tuple[str, str, bool], State] = {}  # neuron, what of it, whether characters
        self.now: dict[tuple[str, str, bool], Expr] = {}

    def of(self, names: Sequence[str]) -> list[str]:
        """Those neurons of a group that are read before their turn."""
        place = {name: i for i, name in enumerate(names)}
        pairs = [(link.from_neuron, link.to_neuron) for link in self.machine.links if {link[0], link[2]} <= {*place}]
        read = {source for source, to in pairs if place[to] <= place[source]}
        return [name for name in names if name in read]

    def streams(self, name: str) -> dict[End, Stream]:
        """What a neuron's outputs are, in terms of variables."""
        held = self._held(name)
        if held == [BOTH]:  # all read both alike
            return {(name, "true"): _number(self._symbol(name, BOTH, Level)), (name, "false"): _number(0)}
        if held == [DIFFERENCE]:
            d = self._symbol(name, DIFFERENCE, State)
            return {(name, "true"): _number(Max(0, d)), (name, "false"): _number(Max(0, -d))}
        streams = {}
        for field in held:
            bits = self.keys.get((name, field), 0)
            kind = Level if self.machine.neurons[name] in ("compare", "hard_compare", "norm") else State
            x = self._symbol(name, field, State, True) if bits & ~NUM else 0
            streams[name, field] = Stream([x, self._symbol(name, field, kind) if bits & NUM else 0])
        return streams

    def hold(self, name: str, x: Mapping[str, Stream], emitted: Mapping[str, Stream]) -> None:
        """What a neuron receives and emits now."""
        for key in self.symbols:
            if key[0] == name and key[1] in (BOTH, DIFFERENCE):
                d = x["dict-1"][1] - x["dict-2"][1]
                self.now[key] = d if key[1] == DIFFERENCE else Abs(d)
            elif key[0] == name:
                self.now[key] = emitted[key[1]][0 if key[2] else 1]

    def settle(self, names: Sequence[str], known: dict[End, Stream]) -> None:
        """Count the time of a loop's variables from the input, here and in what is known of the machine."""
        chosen = {key: symbol for key, symbol in self.symbols.items() if key[0] in names}
        own = {symbol.args[0] for symbol in chosen.values()}
        leaves = [leaf for key in chosen for leaf in self.now[key].atoms(Input, Amount, Clock, State)]
        delay = min((int(T - leaf.args[-1]) for leaf in leaves if leaf.args[0] not in own), default=0)

        def later(e: Expr) -> Expr:
            states = [leaf for leaf in e.atoms(State) if leaf.args[0] in own]
            return e.xreplace({leaf: leaf.func(*leaf.args[:-1], leaf.args[-1] - delay) for leaf in states})

        for end, stream in known.items():
            known[end] = stream.applyfunc(later)
        for key, symbol in chosen.items():
            now = later(self.now[key]).xreplace({T: T + delay})
            self.lines += (Recurrence(str(symbol.args[0]), now, self._start(key, delay)),)

    def _held(self, name: str) -> list[str]:
        """The outputs of a neuron that are read, or what stands for both of a compare."""
        soft = self.machine.soft_links
        fields = sorted({link.from_field for link in soft if link.from_neuron == name})
        if self.machine.neurons[name] != "compare" or len(fields) < 2:
            return fields
        other = {"true": "false", "false": "true"}
        out = {link: x for link, x in soft.items() if link.from_neuron == name}
        alike = all(out.get(link._replace(from_field=other[link.from_field])) == x for link, x in out.items())
        return [BOTH if alike else DIFFERENCE]

    def _symbol(self, name: str, what: str, kind: type[State], characters: bool = False) -> State:
        key, count = (name, what, characters), len(self.symbols)
        if key not in self.symbols:
            text = NAMES[count] if count < len(NAMES) else f"p{count}"
            self.symbols[key] = kind(Str(text), *([ANY] if characters else []), T)
        return self.symbols[key]

    def _start(self, key: tuple[str, str, bool], delay: int) -> Expr:
        """What constants have made of a variable before anything of the input comes to it."""
        name, what, characters = key
        if characters or delay < 1:
            return exact(0.0)
        outputs = trace(self.machine, "a", ticks=delay)[-1].outputs
        signs = {BOTH: {"true": 1.0, "false": 1.0}, DIFFERENCE: {"true": 1.0, "false": -1.0}}.get(what, {what: 1.0})
        return exact(sum(sign * number(outputs[name][field]) for field, sign in signs.items()))


def _number(x: Expr | int) -> Stream:
    return Stream([0, x])
