"""Fitting: which of the enumerated parts give the answers that are due, alone, by sums of two, or past a constant."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from dmmlab.synthesis.enumeration import CONSTANTS, DIGITS, Parts

Array = np.ndarray


def look_further(parts: Parts, side: int, cost: int) -> None:
    """Add what levels of so many neurons are above or below a constant, where that gives all answers of a side."""
    pool, i = parts.levels, parts.levels.of_cost(cost)
    asked, wanted = parts.wanted(side)
    for constant, sign in product(CONSTANTS, (1, -1)):
        values = np.maximum(sign * (pool.values[i] - constant), 0.0)
        right = np.flatnonzero(_straight(values[:, asked], wanted)[1])
        pool.limit += len(right)
        j = i[right]
        made = ("above" if sign > 0 else "below", j, -1, constant)
        pool.offer(values[right], pool.begins[j] + 1, pool.settled[j] + 1, cost + 1, made)


def _straight(values: Array, wanted: Array) -> tuple[Array, Array]:
    """The slopes with which rows would give what is wanted, but for a constant; and which of them do."""
    changed = int(np.argmax(wanted != wanted[0]))
    with np.errstate(all="ignore"):
        slopes = (wanted[changed] - wanted[0]) / (values[:, changed] - values[:, 0])
        errors = np.abs(slopes[:, None] * (values - values[:, :1]) + wanted[0] - wanted)
    return slopes, errors.max(axis=1, initial=0.0) < 1e-9


class Fit(NamedTuple):
    """A sum of parts and a constant that is right for all answers due at a side."""

    cost: int
    constant: float
    terms: tuple[tuple[int, float], ...]  # numbers of levels, and behind them of pulses, with weights


def fits(parts: Parts, side: int) -> list[Fit]:
    """Sums of one part or two, and a constant, that are right for all answers due at a side; cheapest first."""
    asked, wanted = parts.wanted(side)
    if (wanted == wanted[0]).all():
        return [Fit(0, float(wanted[0]), ())]
    values = np.vstack([parts.levels.values[:, asked], parts.pulses.values[:, asked]])
    waits = np.maximum(parts.latency - 1 - parts.pulses.begins, 0)  # relays, for a pulse is read when it is due
    costs = np.append(parts.levels.costs, parts.pulses.costs + waits)
    found = []
    slopes, right = _straight(values, wanted)
    for i in np.flatnonzero(right):
        found.append(Fit(int(costs[i]), float(wanted[0] - slopes[i] * values[i, 0]), ((int(i), float(slopes[i])),)))
    rows = {row.tobytes(): i for i, row in reversed([*enumerate(_from_first(values))])}
    for a, b in product((1.0, -1.0, 2.0, -2.0), (1.0, -1.0)):
        for i, row in enumerate(_from_first((wanted - a * values) / b)):
            j = rows.get(row.tobytes())
            if j is not None and j != i:
                constant = float(wanted[0] - a * values[i, 0] - b * values[j, 0])
                found.append(Fit(int(costs[i] + costs[j]), constant, ((i, a), (j, b))))
    return sorted(found, key=lambda fit: fit.cost)


def _from_first(values: Array) -> Array:
    return np.round(values - values[:, :1], DIGITS) + 0.0
