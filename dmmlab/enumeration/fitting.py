"""Fitting: which of the enumerated parts give the answers that are due: sums of up to three, or a curve of one.

Two rows of values are alike where their products with one random row are: so thousands of sums are compared at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from dmmlab.enumeration.curves import ALIKE, Curve, curves_through
from dmmlab.enumeration.parts import Parts
from dmmlab.enumeration.steps import Array
from dmmlab.enumeration.streams import Streams

BENDS = 4  # of a curve, at most
CURVES = 4_000  # parts of a cost for which curves are looked for
FEW, CHEAP = 150, 4  # parts of which three are summed, and what each costs at most
TIMES = (1.0, -1.0, 2.0, -2.0)  # how often a part is taken in a sum
MOST = 50  # sums of one form that are looked at
NEAR = 1e-7

Numbered = tuple[int, float]  # a part, a level by its number, a pulse by -1 - its number; and its weight


class Fit(NamedTuple):
    """A sum of parts and a constant, or a curve of a part, that is right for all answers due at a side."""

    cost: int
    constant: float
    terms: tuple[Numbered, ...] = ()
    curve: tuple[int, Curve] | None = None


class Rows(NamedTuple):
    """What all parts have at the steps whose answers are due at a side, (parts, steps); costs when they are due."""

    values: Array
    costs: Array
    numbers: Array
    wanted: Array


def rows_of(parts: Parts | Streams, side: int) -> Rows:
    """The rows for a side: levels, and behind them pulses."""
    asked, wanted = parts.wanted(side)
    values = np.vstack([parts.levels.values[:, asked], parts.pulses.values[:, asked]])
    waits = np.maximum(parts.latency - 1 - parts.pulses.begins, 0) if isinstance(parts, Parts) else 0  # relays
    costs = np.append(parts.levels.costs, parts.pulses.costs + waits)
    return Rows(values, costs, np.append(np.arange(len(parts.levels)), ~np.arange(len(parts.pulses))), wanted)


def fits(rows: Rows) -> list[Fit]:
    """Sums of one part to three, and a constant, that are right for all answers due; cheapest first."""
    values, wanted = rows.values, rows.wanted
    if (wanted == wanted[0]).all():
        return [Fit(0, float(wanted[0]))]
    slopes, right = _straight(values, wanted)
    sums = [((int(i), float(slopes[i])),) for i in np.flatnonzero(right)]
    line = np.random.default_rng(0).normal(size=values.shape[1])
    goal, marks = float((wanted - wanted[0]) @ line), (values - values[:, :1]) @ line
    for a in TIMES:
        for i, (j, b) in _completions(goal - a * marks, marks):
            sums.append(((i, a), (j, b)))
    few = np.flatnonzero(rows.costs <= CHEAP)
    few = few[np.argsort(rows.costs[few], kind="stable")][:FEW]
    first, second = np.triu_indices(len(few), 1)
    for a, b in product((*TIMES, 3.0, -3.0), repeat=2):
        missing = goal - a * marks[few[first]] - b * marks[few[second]]
        for pair, (k, c) in _completions(missing, marks[few]):
            sums.append(((int(few[first[pair]]), a), (int(few[second[pair]]), b), (int(few[k]), c)))
    found = [_checked(rows, terms) for terms in sums]
    return sorted([fit for fit in found if fit is not None], key=lambda fit: fit.cost)


def _completions(missing: Array, marks: Array) -> Iterator[tuple[int, Numbered]]:
    """Of what is missing, that which a part gives, taken once or several times: its number, the part, and how often."""
    order = np.argsort(marks, kind="stable")
    ordered = marks[order]
    for times in (*TIMES, 3.0, -3.0):
        sought = missing / times
        at = np.minimum(np.searchsorted(ordered, sought - NEAR), len(ordered) - 1)
        for i in np.flatnonzero(np.abs(ordered[at] - sought) < NEAR)[:MOST]:
            yield int(i), (int(order[at[i]]), times)


def _checked(rows: Rows, terms: tuple[Numbered, ...]) -> Fit | None:
    """The fit of a sum of rows, where it is right and no part is in it twice."""
    total = sum(weight * rows.values[i] for i, weight in terms)
    constant = float(rows.wanted[0] - total[0])
    if len({i for i, _ in terms}) < len(terms) or np.abs(total + constant - rows.wanted).max() > ALIKE:
        return None
    cost = int(sum(rows.costs[i] for i, _ in terms))
    return Fit(cost, constant, tuple((int(rows.numbers[i]), weight) for i, weight in terms))


def find_curves(rows: Rows, cost: int) -> list[Fit]:
    """Curves of parts of so many neurons that are right for all answers due; each bend is a number and
    a neuron, and costs two but for the first.
    """
    chosen, most = np.flatnonzero(rows.costs == cost), min(BENDS, len(rows.wanted) // 5)
    numbers = rows.numbers[chosen].tolist()
    return [
        Fit(cost + 2 * len(curve.bends) - 1, curve.constant, curve=(numbers[i], curve))
        for i, curve in curves_through(rows.values[chosen], rows.wanted, most, CURVES)
        if curve.bends
    ]


def _straight(values: Array, wanted: Array) -> tuple[Array, Array]:
    """The slopes with which rows would give what is wanted, but for a constant; and which of them do."""
    changed = int(np.argmax(wanted != wanted[0]))
    with np.errstate(all="ignore"):
        slopes = (wanted[changed] - wanted[0]) / (values[:, changed] - values[:, 0])
        errors = np.abs(slopes[:, None] * (values - values[:, :1]) + wanted[0] - wanted)
    return slopes, errors.max(axis=1, initial=0.0) < ALIKE
