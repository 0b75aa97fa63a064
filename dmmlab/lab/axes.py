"""Axes of figures: several in rows and columns, and how their ticks are written."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation

NARROW = 4.5  # inches: below, what stands side by side gets half as many columns
TALLEST = 7.5  # inches: of panels above one another, so that a page of a paper has room for the caption too
PLAIN = 1e-4, 1e5  # within, ticks of a logarithmic axis are numbers: exponents are small print


def panels(figure: Figure, rows: int, columns: int, count: int | None = None, **options: object) -> np.ndarray:
    """Axes in rows and columns, as a flat array; a one-column figure has half as many columns, and is so much higher.

    There the last of an odd number gets the room that is left. `count` is how many axes are wanted, if not all: then
    that room stays empty. `options` are those of matplotlib's `figure.subplots`.

    >>> dmm.save_figure(lambda figure: dmm.panels(figure, 1, 2)[1].plot([1, 2]), "13-two", columns=2)
    figure 13-two:
    """
    wanted = count or rows * columns
    if figure.get_figwidth() < NARROW:
        columns = -(-columns // 2)
        more = -(-wanted // columns)
        figure.set_figheight(min(TALLEST, figure.get_figheight() * more / rows))
        rows = more
    grid = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    if count or len(grid) == wanted:
        return grid
    for axes in grid[wanted:]:
        axes.remove()
    last = grid[wanted - 1].get_subplotspec()
    grid[wanted - 1].set_subplotspec(last.get_gridspec()[-1, last.colspan.start :])
    return grid[:wanted]


class _PlainNumbers(LogFormatterSciNotation):
    """Writes 0.01, 1 and 400, at the ticks that would have a label anyway."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def write_ticks(axes: Axes) -> None:
    """Ticks of logarithmic axes as numbers where these are short, unless somebody has chosen how they are written."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        if axis.get_scale() == "log" and PLAIN[0] <= low and high <= PLAIN[1]:
            if type(axis.get_major_formatter()) is LogFormatterSciNotation:
                axis.set_major_formatter(_PlainNumbers())
            if type(axis.get_minor_formatter()) is LogFormatterSciNotation:
                axis.set_minor_formatter(_PlainNumbers())
