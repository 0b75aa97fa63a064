"""Curves: piecewise-linear functions of one number, read off from points; each bend is one compare neuron."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dmmlab.synthesis.steps import Array

ALIKE = 1e-9  # numbers that differ by less are one


class Curve(NamedTuple):
    """constant + slope · x + Σ change · relu(sign · (x − at)), `bends` being pairs (at, change).

    >>> curve_through(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 0.0]), 4)
    Curve(constant=0.0, slope=1.0, sign=1.0, bends=((1.0, -2.0),))
    """

    constant: float
    slope: float
    sign: float
    bends: tuple[tuple[float, float], ...]

    def __call__(self, x: Array) -> Array:
        """Its values at x."""
        bent = (change * np.maximum(self.sign * (x - at), 0.0) for at, change in self.bends)
        return self.constant + self.slope * x + sum(bent)


def curve_through(x: Array, y: Array, most: int) -> Curve | None:
    """The curve of the fewest bends through all points, at most so many; None where there is none."""
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    new = np.append(True, np.diff(x) > ALIKE)
    first = np.flatnonzero(new)[np.cumsum(new) - 1]
    if (np.abs(y - y[first]) > ALIKE).any():
        return None
    x, y = x[new], y[new]
    if len(x) < 2:
        return None
    slopes = np.diff(y) / np.diff(x)
    bent = 1 + np.flatnonzero(np.abs(np.diff(slopes)) > ALIKE)
    if len(bent) > most:
        return None
    mirrored = abs(slopes[-1]) < ALIKE < abs(slopes[0])  # then the flat end needs nothing
    slope, sign = (0.0, -1.0) if mirrored else (_plain(slopes[0]), 1.0)
    bends = tuple((_plain(x[i]), _plain(slopes[i] - slopes[i - 1])) for i in bent)
    end = -1 if mirrored else 0
    return Curve(_plain(y[end] - slope * x[end]), slope, sign, bends)


def _plain(number: float) -> float:
    """A number; whole, where it is so but for rounding."""
    whole = float(round(number))
    return whole + 0.0 if abs(number - whole) < ALIKE else float(number)
