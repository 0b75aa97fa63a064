"""Regression: answers that are linear in what was read, in sums of it, or in the answers before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmmlab.enumeration.steps import Array, Lookup, Steps

ORDERS = (0, 1, 2, 3)  # answers before, and steps before, that a filter reads
EVIDENCE = 2.0  # answers due for each weight, at least
WHOLE = 60.0  # weights are multiples of one by this, where that is right


@dataclass(frozen=True)
class Reading:
    """An answer that is a weighted sum of what a step has, or of the running sum of the steps, and a constant."""

    lookup: Lookup
    constant: float
    summed: bool

    @property
    def cost(self) -> float:
        """About how many neurons it takes, a link counting as a third of one."""
        return 1 + self.summed + len(self.lookup) / 3


def find_readings(steps: Steps, side: int) -> list[Reading]:
    """The weighted sums that give all answers of a side."""
    asked, wanted = steps.wanted(side)
    keys = [*steps.read]
    if len(asked) < EVIDENCE * (len(keys) + 1) or not all(isinstance(key, str) for key in keys):
        return []
    found = []
    for summed in (False, True):
        rows = np.array([steps.read[key] for key in keys])
        columns = (steps.sums(rows) if summed else rows)[:, asked].T
        if not summed and steps.symbolic:  # then the columns give one together, and a constant is theirs
            weights, constant = _solve(columns, wanted), 0.0
        else:
            weights = _solve(np.column_stack([columns, np.ones(len(asked))]), wanted)
            constant = 0.0 if weights is None else float(weights[-1])
        if weights is not None:
            lookup = tuple((key, float(w)) for key, w in zip(keys, weights, strict=False) if w)
            found.append(Reading(lookup, constant, summed))
    return found


@dataclass(frozen=True)
class Filter:
    """Answers that are linear in answers before, in this step and steps before, and a constant, all sides at once.

    `feedback[k]` is (sides, sides), of the answers k + 1 steps before; `reads[k]` has for each side the weights of
    what the step k steps before has; `constants` are added at every step.
    """

    sides: tuple[int, ...]
    feedback: tuple[Array, ...]
    reads: tuple[tuple[Lookup, ...], ...]
    constants: Array

    @property
    def cost(self) -> float:
        """About how many neurons it takes, a link counting as a third of one."""
        links = sum(np.count_nonzero(each) for each in self.feedback) + sum(map(len, sum(self.reads, ())))
        return len(self.feedback) + len(self.reads) + links / 3


def find_filter(steps: Steps, sides: list[int]) -> Filter | None:
    """The filter of the fewest steps that gives all answers, where they are due at every step; or None."""
    y = steps.answers[:, sides].T
    keys = [key for key in steps.read if isinstance(key, str)]
    if np.isnan(y).any() or steps.symbolic or len(keys) < len(steps.read):
        return None
    x = np.array([steps.read[key] for key in keys])
    for total in range(2 * len(ORDERS)):
        for before in ORDERS:
            if total - before in ORDERS:
                found = _filter(steps, y, x, keys, sides, before, total - before)
                if found is not None:
                    return found
    return None


def _filter(steps: Steps, y: Array, x: Array, keys: list, sides: list, before: int, back: int) -> Filter | None:
    """A filter of so many answers before, and steps back, or None."""
    past, answers, reads, inputs = [], y, [x], x
    for _ in range(before):
        answers = steps.before(answers)
        past.append(answers)
    for _ in range(back):
        inputs = steps.before(inputs)
        reads.append(inputs)
    columns = np.vstack([*past, *reads, np.ones((1, len(steps)))]).T
    if len(steps) < EVIDENCE * columns.shape[1]:
        return None
    weights = _solve(columns, y.T)
    if weights is None:
        return None
    parts = np.split(weights, np.cumsum([len(y)] * before + [len(x)] * (back + 1)))
    lookups = tuple(
        tuple(tuple((key, float(w)) for key, w in zip(keys, column, strict=True) if w) for column in part.T)
        for part in parts[before:-1]
    )
    return Filter((*sides,), (*(part.T for part in parts[:before]),), lookups, parts[-1][0])


def _solve(columns: Array, wanted: Array) -> Array | None:
    """Weights with which columns give what is wanted, simple fractions; None where they do not."""
    weights = np.linalg.lstsq(columns, wanted, rcond=None)[0]
    weights = np.round(weights * WHOLE) / WHOLE + 0.0
    return weights if np.abs(columns @ weights - wanted).max() < 1e-9 else None
