"""Loops of one tick, found by putting the answers due in the place of what the loop would remember.

With p what a step brings, and r what is remembered, u[t] = a·r[t−1] + b·p[t]; the answer is y[t] = c·p[t] + g(u[t]) for
a piecewise-linear g, and r is the answer, or what is left of u when the answer is taken away. Where all answers are
due, r and u are known of every step before g is: whether there is such a g can be read off.

Examples: parity g(u) = |u| with u = r − p; a sum modulo k; a carry, r = (u − y)/k; a remainder of a division,
u = 2r + p and r = u − k·y; the largest so far, u = r − p and y = p + relu(u); a switch that goes on above one number
and off below another, u = 7r + p.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import log2
from typing import NamedTuple

import numpy as np

from dmmlab.enumeration.curves import ALIKE, Curve, curves_through
from dmmlab.enumeration.steps import Array, Lookup, Steps
from dmmlab.trees import NUMBER

MOST_BENDS = 4
BASES = range(2, 17)  # of remainders and carries
SMALL_ALPHABET = 4  # letters, for which all small weights are tried


class Form(NamedTuple):
    """u = a·r + b·p, y = c·p + g(u), r = of_u·u + of_y·y."""

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0
    of_u: float = 0.0
    of_y: float = 1.0


HELD = (Form(), Form(b=-1.0), Form(b=-1.0, c=1.0))  # what they remember is the answer
OPEN = (
    *(Form(a, of_u=1.0, of_y=-float(k)) for k in BASES for a in (1.0, 2.0)),
    *(Form(of_u=1.0 / k, of_y=-1.0 / k) for k in BASES),
)
GAINS = tuple(Form(float(a)) for a in BASES)  # numbers may hold a switch where it is, until they are far from there


@dataclass(frozen=True)
class Recurrence:
    """A loop that gives all answers of a side: what it reads of a step, its form, its curve, the answer at rest."""

    lookup: Lookup
    form: Form
    curve: Curve
    rest: float
    learned: bool = False  # whether the weights of the lookup were read off from the answers

    @property
    def cost(self) -> float:
        """About how many neurons it takes, a link counting as a third of one; and weights that may be chance."""
        chance = sum(log2(abs(weight)) for _, weight in self.lookup if abs(weight) > 1) if self.learned else 0.0
        gain = log2(self.form.a) / 2 if self.form in GAINS else 0.0
        return 1.5 + len(self.curve.bends) + len(self.lookup) / 3 + gain + chance


def find_recurrences(steps: Steps, side: int, held: bool) -> list[Recurrence]:
    """All recurrences of a side, the shortest first. `held`: those that rest between steps, where nothing comes."""
    asked, wanted = steps.wanted(side)
    if len(asked) < len(steps) or len({*wanted.tolist()}) < 2:
        return []
    found = []
    numerals = [numeral for word in steps.words if (numeral := _numeral(word)) is not None]
    for rest in dict.fromkeys([0.0, wanted.min(), wanted.max(), max(numerals, default=0.0)]):
        y = wanted - rest
        lookups = [*dict.fromkeys(_lookups(steps, rest))]
        known = len(lookups)
        lookups += _learned(steps, y)
        p = np.array([steps.look_up(lookup) for lookup in lookups])
        for form in (*HELD, *(() if held else OPEN), *(GAINS if NUMBER in steps.read else ())):
            some = p[:1] if form in GAINS else p  # the first reads numbers
            u, target = _known(steps, form, y, some), y - form.c * some
            if held:  # between steps p is zero, and r stays as it is
                kept = np.tile(np.unique(y), (len(some), 1))
                u, target = np.hstack([u, form.a * kept]), np.hstack([target, kept])
            for i, curve in curves_through(u, target, min(MOST_BENDS, len(asked) // 8)):
                if abs(curve(np.zeros(1))[0]) < ALIKE:
                    found.append(Recurrence(lookups[i], form, curve, float(rest), i >= known))
    return sorted(found, key=lambda each: each.cost)


def _known(steps: Steps, form: Form, y: Array, p: Array) -> Array:
    """What u is at every step, for each row of p, with the answers in the place of what the curve would give."""
    if not form.of_u:
        return form.a * form.of_y * steps.before(y[None].copy()) + form.b * p
    u, r = np.zeros_like(p), np.zeros(len(p))
    for step in range(p.shape[1]):
        r = np.zeros(len(p)) if step in steps.first_steps else r
        u[:, step] = form.a * r + form.b * p[:, step]
        r = form.of_u * u[:, step] + form.of_y * y[step]
    return u


def _lookups(steps: Steps, rest: float) -> Iterator[Lookup]:
    """What a step may bring: its number, one for some words, what numerals name, sums of channels."""
    words = steps.words
    if NUMBER in steps.read:
        yield ((NUMBER, 1.0),)
    for word in words:
        yield ((word, 1.0),)
    if not steps.symbolic:
        for (one, x), (other, y) in combinations([(word, 1.0) for word in words[:4]], 2):
            yield (one, x), (other, y)
            yield (one, x), (other, -y)
        return
    if len(words) <= SMALL_ALPHABET:
        choices = (0.0, 1.0, 2.0) if len(words) == SMALL_ALPHABET else (0.0, 1.0, -1.0, 2.0)
        for weights in product(choices, repeat=len(words)):
            yield _lookup(words, weights)
    numerals = [_numeral(word) for word in words]
    if None not in numerals:
        yield _lookup(words, numerals)
        yield _lookup(words, [numeral - rest for numeral in numerals])


def _learned(steps: Steps, y: Array) -> list[Lookup]:
    """What words may add to the answer: the most they ever did, or the least, or what is left when k is taken away."""
    if not steps.symbolic:
        return []
    more = y - steps.before(y[None].copy())[0]
    k = y.max() - y.min() + 1
    seen = [more[steps.read[word] > 0] for word in steps.words]
    if not all(map(len, seen)):
        return []
    choices = [[f(each) for each in seen] for f in (np.max, np.min)]
    choices += [[each[0] % k for each in seen]]
    return [*dict.fromkeys(_lookup(steps.words, weights) for weights in choices)]


def _lookup(words: list[str], weights: Iterable[float]) -> Lookup:
    return tuple((word, float(weight)) for word, weight in zip(words, weights, strict=True) if weight)


def _numeral(word: str) -> float | None:
    return float(word) if word.isascii() and word.isdigit() else None
