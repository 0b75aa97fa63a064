"""Formulas: what a machine answers, as SymPy expressions, with the delays its links make.

The kinds' own formulas are run once more, on streams of two expressions: the characters and the number at tick t.
SymPy knows which of them cannot be negative, so a relu or a norm of those is a mere delay. Two rules are ours: an inner
product with a letter counts that letter, and a running sum a tick ago plus what comes now is the running sum now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sympy import Abs, Add, Expr, Heaviside, ImmutableMatrix, Max, Min, Symbol, ordered

from dmmlab.engine.keys import fields_of
from dmmlab.files import DMMError
from dmmlab.machines import NO_CLIP, Machine
from dmmlab.neurons import find_kind
from dmmlab.synthesis.formula_text import (
    ANY,
    LATEX,
    TEXT,
    Amount,
    Channel,
    Clock,
    Inner,
    Input,
    MaxNorm,
    Printer,
    T,
    Total,
    delay_of,
    exact,
)
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.synthesis.loops import walk
from dmmlab.synthesis.recurrences import Recurrence, States
from dmmlab.trees import NUMBER

Stream = ImmutableMatrix  # a column: characters, number


@dataclass(frozen=True)
class Symbolic:
    """`dmmlab.neurons.Ops` on streams of expressions."""

    dot_clip: float
    input: type[Input] = Input

    def add(self, a: Stream, b: Stream) -> Stream:
        return (a + b).applyfunc(_fold)

    def difference(self, a: Stream, b: Stream) -> Stream:
        return self.add(a, -b)

    def number(self, a: Stream) -> Stream:
        return _number(a[1])

    def inner(self, a: Stream, b: Stream) -> Stream:
        (x_letters, x), (y_letters, y) = (stream[0].as_independent(ANY, as_Add=True) for stream in (a, b))
        product = a[1] * b[1] + (Inner(x, y) if x != 0 and y != 0 else 0)
        for letter in ordered((x_letters.free_symbols | y_letters.free_symbols) - {T}):
            weight, other = x_letters.coeff(letter), y_letters.coeff(letter)
            here = {ANY: letter}
            product += weight * other + weight * y.xreplace(here) + other * x.xreplace(here)
        return _number(product)

    def max_norm(self, a: Stream) -> Stream:
        factor, rest = a[0].as_independent(*a[0].free_symbols - {T}, as_Add=False)
        norm = MaxNorm(rest) if rest.is_Add or rest.has(ANY) else 1
        return _number(Max(Abs(factor) * norm, Abs(a[1])))

    def relu(self, a: Stream) -> Stream:
        return _number(Max(0, a[1]))

    def step(self, a: Stream) -> Stream:
        return _number(Heaviside(a[1], 0))

    def clip(self, a: Stream, bound: float) -> Stream:
        if bound == NO_CLIP:
            return a
        return _number(Max(-exact(bound), Min(exact(bound), a[1])))

    def constant(self, tree: Mapping[str, float]) -> Stream:
        letters = [exact(x) * Symbol(f"'{key}'") for key, x in tree.items() if key != NUMBER]
        return Stream([Add(*letters), exact(tree.get(NUMBER, 0.0))])

    def character(self, timer: Stream) -> Stream:
        return Stream([self.input(ANY, _next(timer)), 0])

    def amount(self, timer: Stream) -> Stream:
        return _number(Amount(_next(timer)))


def _next(timer: Stream) -> Expr:
    if not isinstance(timer[1], Clock):
        raise DMMError("the input reads something else than the clock; there is no formula for that")
    return timer[1].args[0] + 1


def _number(x: Expr) -> Stream:
    return Stream([0, x])


def _total(x: Expr) -> Expr:
    """The running sum; that of what never changes counts ticks."""
    if x.is_Add:
        return Add(*map(_total, x.args))
    factor, rest = x.as_independent(T, as_Add=False)
    return factor * (Clock(T) if rest.is_number else Total(rest))


def _fold(x: Expr) -> Expr:
    """Σ x a tick ago + x now is Σ x now; relu(x) + relu(−x) is |x|."""
    for total in ordered(x.atoms(Total)):
        now, weight = total.args[0].xreplace({T: T + 1}), x.coeff(total)
        if weight != 0 and x.coeff(now) == weight:
            x += weight * (Total(now) - total - now)
    for part in ordered(x.atoms(Max)):
        inside, weight = part.args[1], x.coeff(part)
        other = Max(0, -inside)
        if part.args[0] == 0 and len(part.args) == 2 and weight != 0 and x.coeff(other) == weight:
            x += weight * (Abs(inside) - part - other)
    return x


def formula(machine: Machine) -> Formula:
    """Write a machine's two answers as formulas (arXiv:1606.09470, section 3, gives the detector's in words).
    `left[t+4]` arrives at output.dict-1 four ticks after what is read. Weights stand as they are; `dmm.canonical` makes
    them simple. At first, while constants are on their way, a machine may answer otherwise, and sums over time that
    contain constants miss what comes then. What loops hold has a line each, `p[t] = …`, in ticks, where p[t−1] is what
    it was a tick before. Raises DMMError for kinds of trees.

    >>> print(dmm.formula(dmm.handcrafted_detector()))
    left[t+4]  = relu(max-norm(Σ input) − 1)
    right[t+3] = min(4, count of '.')
    """
    machine = remove_dead(machine)
    states = States(machine)
    weights = [*zip(machine.links, machine.vector().tolist(), strict=True), *machine.fixed_links.items()]
    memories = {link.to_neuron for link in machine.fixed_links if link.to_neuron == link.from_neuron}
    ops = Symbolic(machine.dot_clip, Channel if "value_input" in machine.neurons.values() else Input)
    known: dict[tuple[str, str], Stream] = {}
    for group in walk(machine):
        names = sorted(group, key=lambda name: (name in memories, group[name]))
        held = states.of(names)
        known |= {end: stream for name in held for end, stream in states.streams(name).items()}
        for name in names:
            kind = find_kind(machine.neurons[name])
            if name in memories and len(kind.outputs or ()) > 1:
                raise DMMError(f"neuron {name!r} ({kind.name}): there is no formula for a memory of several outputs")
            x = dict.fromkeys(fields_of(kind, name, machine.links), _number(0))
            for (to, field, *source), weight in weights:
                if to == name and tuple(source) in known:
                    x[field] = ops.add(x[field], exact(weight) * known[tuple(source)])
            shift = {} if {*x} <= {kind.memory} else {T: T - 1}
            emitted = x if name == machine.output else kind.up(x, ops)
            if name in memories and name not in held:
                emitted = {field: stream.applyfunc(_total) for field, stream in emitted.items()}
            emitted = {field: stream.xreplace(shift) for field, stream in emitted.items()}
            if name in held:
                states.hold(name, {field: stream.xreplace(shift) for field, stream in x.items()}, emitted)
            known |= {(name, field): stream for field, stream in emitted.items() if name not in held}
        states.settle(held, known)
    return Formula(*(known[machine.output, field][1] for field in ("dict-1", "dict-2")), states.lines)


@dataclass(frozen=True, repr=False)
class Formula:
    """What arrives at the two fields of a machine's output: SymPy expressions in t, to simplify, to compute with.
    `loops` say what the machine's loops hold. `str` gives a line each, with the delay on its left; notebooks LaTeX.

    >>> dmm.formula(dmm.handcrafted_detector()).right
    Min(4, Total(Input('.', t - 3)))
    """

    left: Expr
    right: Expr
    loops: tuple[Recurrence, ...] = ()

    def __str__(self) -> str:
        return "\n".join(f"{side + at:<10} = {text}" for side, at, text in self._lines(TEXT))

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        lines = [rf"\mathrm{{{side}}}{at} &= {text}" for side, at, text in self._lines(LATEX)]
        return r"$$\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}$$"

    def _lines(self, words: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
        for side, e in (("left", self.left), ("right", self.right)):
            delay = delay_of(e)
            yield side, f"[t+{delay}]" if delay else "[t]", Printer(words, delay).write(e)
        for each in self.loops:
            yield each.name, "[t]", Printer(words, 0).write(each.now)
            if each.start != 0:
                yield each.name, "[0]", Printer(words, 0).write(each.start)
