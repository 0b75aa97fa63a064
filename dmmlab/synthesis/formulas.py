"""Formulas: what a machine answers, written as one would write it by hand, with the delays its links make.

A stream is read as two expressions, its characters and its number; each neuron makes larger ones of those it reads.
Rules that make them shorter are few, and exact: a relu or a norm of what cannot be negative is a mere delay, an inner
product with the eos vector counts '.', a running sum a tick ago plus what comes now is the running sum now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from dmmlab.files import DMMError
from dmmlab.machines import Machine
from dmmlab.neurons import find_kind
from dmmlab.synthesis.canonical_form import rows_of, topological_order
from dmmlab.synthesis.liveness import remove_dead

MINUS = "−"


@dataclass(frozen=True)
class Expression:
    """One expression of a formula: an operation and its parts with their weights.

    `delay` (ticks) is how long after the input it arrives, None for what never changes; the delays of parts are counted
    from it. `positive`: never below zero.
    """

    operation: str
    parts: tuple[tuple[float, Expression], ...] = ()
    delay: int | None = None
    positive: bool = True
    letter: str = ""  # of a unit vector, or what is counted

    @property
    def text(self) -> str:
        """As plain text."""
        return _write(self, _TEXT)

    @property
    def latex(self) -> str:
        """As LaTeX, without the dollars."""
        return _write(self, _LATEX)


@dataclass(frozen=True, repr=False)
class Formula:
    """What arrives at the two fields of a machine's output. `str` gives both lines; notebooks show them as LaTeX.

    >>> dmm.formula(dmm.handcrafted_detector()).right.text
    "min(4, count of '.')"
    """

    left: Expression
    right: Expression

    def __str__(self) -> str:
        return "\n".join(f"{head:<10} = {each.text}" for head, each in self._sides())

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        lines = (rf"\mathrm{{{head[:-1].replace('[', '}[')}] &= {each.latex}" for head, each in self._sides())
        return "$$\\begin{aligned}" + r" \\ ".join(lines) + "\\end{aligned}$$"

    def _sides(self) -> list[tuple[str, Expression]]:
        sides = (("left", self.left), ("right", self.right))
        return [(f"{name}[t+{each.delay}]" if each.delay else f"{name}[t]", each) for name, each in sides]


def formula(machine: Machine) -> Formula:
    """Write a machine's two answers as formulas (arXiv:1606.09470, section 3, gives the detector's in words).
    `left[t+4]` arrives at output.dict-1 four ticks after what is read. Weights stand as they are; `dmm.canonical` makes
    them simple. At first, while constants are on their way, a machine may answer otherwise, and sums over time that
    contain constants miss what comes then. Raises DMMError for loops other than memories and for unknown kinds.

    >>> print(dmm.formula(dmm.handcrafted_detector()))
    left[t+4]  = relu(max-norm(Σ input) − 1)
    right[t+3] = min(4, count of '.')
    """
    machine = remove_dead(machine)
    rows, known = rows_of(machine), {}
    memories = {link.to_neuron for link in machine.fixed_links if link.to_neuron == link.from_neuron}
    for name in topological_order(machine):
        kind = machine.neurons[name]
        letters = find_kind(kind).characters
        if kind != "output" and kind not in _READ and not letters:
            raise DMMError(f"neuron {name!r}: there is no way to write kind {kind!r} as a formula")
        fields = {field: _stream(sources, known) for field, sources in rows.get(name, {}).items()}
        if kind == "output":
            sides = [fields.get(field, (ZERO, ZERO))[1] for field in ("dict-1", "dict-2")]
            return Formula(*(_later(each) for each in sides))
        read = _READ.get(kind, _source("char", Expression("unit", letter=letters), ZERO))
        for output, (chars, number) in read(fields, machine.dot_clip, name in memories).items():
            known[name, output] = _later(chars), _later(number)
    raise DMMError("the machine has no output neuron")


ZERO, ONE = Expression("zero"), Expression("one")
INPUT = Expression("input", delay=-1)  # read at once by what comes a tick later
Stream = tuple[Expression, Expression]  # characters, number


def _later(e: Expression, ticks: int = 1) -> Expression:
    return e if e.delay is None else replace(e, delay=e.delay + ticks)


def _stream(sources: Mapping, known: Mapping) -> Stream:
    terms = [(weight, known[end]) for end, weight in sources.items() if end in known]
    return _sum([(w, chars) for w, (chars, _) in terms]), _sum([(w, number) for w, (_, number) in terms])


def _sum(terms: list[tuple[float, Expression]]) -> Expression:
    """A weighted sum, flattened, with like terms added and the delays counted from the earliest."""
    weights: dict[Expression, float] = {}
    for weight, each in terms:
        for w, part in _terms(each):
            weights[part] = weights.get(part, 0.0) + weight * w
    for part in [each for each in weights if each.operation == "total" and each.delay]:
        _fold(weights, part)
    weights = {part: weight for part, weight in weights.items() if weight and part.operation != "zero"}
    if not weights:
        return ZERO
    if list(weights.values()) == [1.0]:
        return next(iter(weights))
    delay = min((part.delay for part in weights if part.delay is not None), default=None)
    parts = tuple((weight, _later(part, -(delay or 0))) for part, weight in weights.items())
    return Expression("sum", parts, delay, all(weight > 0 and part.positive for weight, part in parts))


def _fold(weights: dict[Expression, float], total: Expression) -> None:
    """Σ x a tick ago + x now is Σ x now."""
    ((scale, inner),) = total.parts
    now = _later(inner, total.delay - 1)
    if scale == 1.0 and total in weights and weights.get(now) == weights[total]:
        weight = weights.pop(now)
        del weights[total]
        sooner = _later(total, -1)
        weights[sooner] = weights.get(sooner, 0.0) + weight


def _wrap(operation: str, *parts: Expression, positive: bool = True) -> Expression:
    """An operation on expressions, with their delays counted from the earliest."""
    delay = min((each.delay for each in parts if each.delay is not None), default=None)
    return Expression(operation, tuple((1.0, _later(each, -(delay or 0))) for each in parts), delay, positive)


def _total(e: Expression) -> Expression:
    if e == ZERO:
        return ZERO
    if e.operation == "sum":
        return _sum([(w, _total(part)) for w, part in _terms(e)])
    if e.delay is None:  # a sum of what never changes counts ticks; constants are first emitted at tick 1
        return replace(_wrap("ramp", e, positive=e.positive), delay=0) if e != ONE else Expression("ticks", delay=0)
    return _wrap("total", e, positive=e.positive)


def _size(e: Expression) -> Expression:
    """|e| of a number."""
    if e.positive:
        return e
    constant = _constant(e)
    return _wrap("abs", e) if constant is None else _sum([(abs(constant), ONE)])


def _constant(e: Expression) -> float | None:
    if e.operation == "sum" and len(e.parts) == 1 and e.parts[0][1] == ONE:
        return e.parts[0][0]
    return {ZERO: 0.0, ONE: 1.0}.get(e)


def _factor(e: Expression) -> tuple[float, Expression]:
    """An expression as a weight and what it weighs."""
    return _terms(e)[0] if len(_terms(e)) == 1 else (1.0, e)


def _max_norm(stream: Stream) -> Expression:
    chars, number = stream
    parts = []
    if chars != ZERO:
        weight, bare = _factor(chars)
        parts.append(_sum([(abs(weight), ONE if bare.operation == "unit" else _wrap("max-norm", bare))]))
    if number != ZERO:
        parts.append(_size(number))
    return _wrap("max", *parts) if len(parts) == 2 else parts[0] if parts else ZERO


def _inner(a: Stream, b: Stream) -> Expression:
    terms = []
    for first, second in ((a[0], b[0]), (b[0], a[0])):
        if first != ZERO and all(part.operation == "unit" for _, part in _terms(second)):
            for weight, unit in _terms(second):
                terms += [(weight * w, _count(part, unit.letter)) for w, part in _terms(first)]
            break
    else:
        if ZERO not in (a[0], b[0]):
            terms.append((1.0, _wrap("inner", a[0], b[0], positive=a[0].positive and b[0].positive)))
    factors = (a[1], b[1])
    constants = [_constant(each) for each in factors]
    if constants[0] is not None or constants[1] is not None:
        terms.append((constants[0], b[1]) if constants[0] is not None else (constants[1], a[1]))
    else:
        (first, a), (second, b) = map(_factor, factors)
        terms.append((first * second, _wrap("product", a, b, positive=a == b or (a.positive and b.positive))))
    return _sum(terms)


def _terms(e: Expression) -> list[tuple[float, Expression]]:
    """The terms of a sum, each with its whole delay."""
    return [(w, _later(part, e.delay or 0)) for w, part in e.parts] if e.operation == "sum" else [(1.0, e)]


def _count(e: Expression, letter: str) -> Expression:
    if e.operation == "unit":
        return ONE if e.letter == letter else ZERO
    return replace(_wrap("count", e), letter=letter)


def _clip(e: Expression, bound: float) -> Expression:
    constant = _constant(e)
    if constant is not None:
        return _sum([(max(-bound, min(bound, constant)), ONE)])
    limit = _sum([(float(bound), ONE)])
    return _wrap("min", limit, e) if e.positive else _wrap("clip", e, limit, positive=False)


def _relu(e: Expression) -> Expression:
    constant = _constant(e)
    if constant is not None:
        return _sum([(max(constant, 0.0), ONE)])
    return e if e.positive else _wrap("relu", e)


def _number(fields: Mapping[str, Stream], name: str) -> Expression:
    return fields.get(name, (ZERO, ZERO))[1]


def _read_accum(fields: Mapping[str, Stream], clip: float, memory: bool) -> dict[str, Stream]:
    both = [_sum([(1.0, stream[i]) for stream in fields.values()]) for i in (0, 1)]
    return {"dict": tuple(map(_total, both)) if memory else tuple(both)}


def _read_norm(fields: Mapping[str, Stream], clip: float, memory: bool) -> dict[str, Stream]:
    return {"norm": (ZERO, _max_norm(fields.get("dict", (ZERO, ZERO))))}


def _read_dot(fields: Mapping[str, Stream], clip: float, memory: bool) -> dict[str, Stream]:
    both = (fields.get(name, (ZERO, ZERO)) for name in ("dict-1", "dict-2"))
    return {"dot": (ZERO, _clip(_inner(*both), clip))}


def _read_compare(fields: Mapping[str, Stream], clip: float, memory: bool) -> dict[str, Stream]:
    a, b = (_number(fields, name) for name in ("dict-1", "dict-2"))
    signs = (("true", 1.0), ("false", -1.0))
    return {output: (ZERO, _relu(_sum([(sign, a), (-sign, b)]))) for output, sign in signs}


def _source(output: str, chars: Expression, number: Expression) -> Callable:
    return lambda fields, clip, memory: {output: (chars, number)}


_READ: dict[str, Callable] = {
    "accum": _read_accum,
    "norm": _read_norm,
    "dot": _read_dot,
    "compare": _read_compare,
    "const_1": _source("const_1", ZERO, ONE),
    "input": _source("char", INPUT, ZERO),
    "timer": _source("timer", ZERO, Expression("ticks", delay=-1)),
}


# ---- writing ----

_TEXT = {
    "zero": "0", "one": "1", "input": "input", "unit": "'{letter}'", "ticks": "t", "total": "Σ {}",
    "max-norm": "max-norm({})",
    "abs": "|{}|", "max": "max({}, {})", "min": "min({}, {})", "clip": "clip({}, ±{})", "relu": "relu({})",
    "inner": "⟨{}, {}⟩", "product": "{}·{}", "count": "count of '{letter}' in {}", "ramp": "{}·t",
    "count total": "count of '{letter}'", "at": "{}[t−{}]", "times": "{}·{}", "minus": MINUS,
}  # fmt: skip
_LATEX = _TEXT | {
    "input": r"\mathrm{{input}}", "unit": r"\text{{'{letter}'}}", "total": r"\textstyle\sum {}",
    "max-norm": r"\lVert {} \rVert_\infty", "abs": r"\lvert {} \rvert", "max": r"\max({}, {})", "min": r"\min({}, {})",
    "clip": r"\operatorname{{clip}}({}, \pm {})", "relu": r"\operatorname{{relu}}({})",
    "inner": r"\langle {}, {} \rangle", "product": r"{} \cdot {}", "count": r"\#\text{{'{letter}'}}\,({})",
    "count total": r"\#\text{{'{letter}'}}", "ramp": r"{} \cdot t", "at": "{}[t-{}]", "times": r"{}\,{}", "minus": "-",
}  # fmt: skip
_CLOSED = {"zero", "one", "input", "unit", "ticks", "max-norm", "abs", "max", "min", "clip", "relu", "inner"}


_ESCAPES = {"\\": "∖", "^": "ˆ", "~": "˜"} | {letter: "\\" + letter for letter in "{}%#&_$"}


def _write(e: Expression, words: Mapping[str, str]) -> str:
    if e.operation == "sum":
        first, *rest = (_write_term(weight, part, words) for weight, part in _positive_first(e))
        head = f"{words['minus'] if first[0] < 0 else ''}{first[1]}"
        return head + "".join(f" {words['minus'] if sign < 0 else '+'} {text}" for sign, text in rest)
    parts = [part for _, part in e.parts]
    letter = _ESCAPES.get(e.letter, e.letter) if words is _LATEX else e.letter
    if e.operation == "count" and parts[0].operation == "total" and parts[0].parts[0][1].operation == "input":
        return words["count total"].format(letter=letter)
    factors = e.operation in ("total", "product", "ramp")
    texts = [_write_factor(x, words) if factors and not x.delay else _write_inside(x, words) for x in parts]
    return words[e.operation].format(*texts, letter=letter)


def _positive_first(e: Expression) -> list[tuple[float, Expression]]:
    return sorted(e.parts, key=lambda term: term[0] < 0)


def _write_inside(e: Expression, words: Mapping[str, str]) -> str:
    """An expression as it stands in another, with how much longer it has been on its way than that."""
    return words["at"].format(_write_factor(e, words), e.delay) if e.delay else _write(e, words)


def _write_factor(e: Expression, words: Mapping[str, str]) -> str:
    text = _write(e, words)
    return text if e.operation in _CLOSED or (e.operation == "sum" and len(e.parts) == 1) else f"({text})"


def _write_term(weight: float, part: Expression, words: Mapping[str, str]) -> tuple[float, str]:
    size, text = abs(weight), _write_inside(part, words)
    fraction = Fraction(size).limit_denominator(12)
    number = str(fraction) if abs(float(fraction) - size) < 1e-12 else f"{size:.6g}"
    if part == ONE:
        return weight, number
    return weight, text if number == "1" else words["times"].format(number, text)
