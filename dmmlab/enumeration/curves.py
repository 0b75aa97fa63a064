"""Curves: piecewise-linear functions of one number, read off from points; each bend is one compare neuron."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dmmlab.enumeration.steps import Array

ALIKE = 1e-9  # numbers that differ by less are one


class Curve(NamedTuple):
    """constant + slope · x + Σ change · relu(sign · (x − at)), `bends` being pairs (at, change).

    >>> [*curves_through(np.array([[0.0, 1.0, 2.0]]), np.array([0.0, 1.0, 0.0]), 4)]
    [(0, Curve(constant=0.0, slope=1.0, sign=1.0, bends=((1.0, -2.0),)))]
    """

    constant: float
    slope: float
    sign: float
    bends: tuple[tuple[float, float], ...]

    def __call__(self, x: Array) -> Array:
        """Its values at x."""
        bent = (change * np.maximum(self.sign * (x - at), 0.0) for at, change in self.bends)
        return self.constant + self.slope * x + sum(bent)


def curves_through(x: Array, y: Array, most: int, tried: int | None = None) -> Iterator[tuple[int, Curve]]:
    """The curve of the fewest bends, at most so many, of each row of points, (rows, points), that has one; with the
    number of the row. Of the rows in which no x has two y only so many are tried.
    """
    order = np.argsort(x, axis=1, kind="stable")
    x, y = (np.take_along_axis(each, order, 1) for each in (x, np.broadcast_to(y, x.shape)))
    new = np.diff(x, prepend=-np.inf) > ALIKE
    two = (~new[:, 1:] & (np.abs(np.diff(y)) > ALIKE)).any(axis=1)
    for row in np.flatnonzero(~two)[:tried].tolist():
        curve = _curve(x[row, new[row]], y[row, new[row]], most)
        if curve is not None:
            yield row, curve


def _curve(x: Array, y: Array, most: int) -> Curve | None:
    """The curve through points whose x ascend, or None."""
    if len(x) < 2:
        return None
    slopes = np.diff(y) / np.diff(x)
    bends = _bends(x, y, slopes)
    if len(bends) > most:
        return None
    mirrored = abs(slopes[-1]) < ALIKE < abs(slopes[0])  # then the flat end needs nothing
    slope, sign, end = (0.0, -1.0, -1) if mirrored else (_plain(slopes[0]), 1.0, 0)
    return Curve(_plain(y[end] - slope * x[end]), slope, sign, tuple(bends))


def _bends(x: Array, y: Array, slopes: Array) -> list[tuple[float, float]]:
    """Where slopes change, and by how much: at points, or between two where the lines on both sides meet."""
    integers = bool((x == np.round(x)).all())
    bends, i = [], 1
    while i < len(slopes):
        change = slopes[i] - slopes[i - 1]
        if i + 1 < len(slopes) and abs(slopes[i + 1] - slopes[i]) > ALIKE < abs(change):
            turn = slopes[i + 1] - slopes[i - 1]
            if abs(turn) > ALIKE:
                meet = x[i] + (slopes[i + 1] - slopes[i]) * (x[i + 1] - x[i]) / turn
                if x[i] < meet < x[i + 1] and not (integers and abs(meet - round(meet)) > ALIKE):
                    bends.append((_plain(meet), _plain(turn)))
                    i += 2
                    continue
        if abs(change) > ALIKE:
            bends.append((_plain(x[i]), _plain(change)))
        i += 1
    return bends


def _plain(number: float) -> float:
    """A number; whole, where it is so but for rounding."""
    whole = float(round(number))
    return whole + 0.0 if abs(number - whole) < ALIKE else float(number)
