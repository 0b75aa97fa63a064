"""What a sweep found, to be seen: a table of what differs, and a picture of a result over the varied parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from dmmlab.files import DMMError, atomic_write
from dmmlab.lab.figures import FORMATS, Picture, plain_text
from dmmlab.lab.reports import table

SHOWN, ROWS = 6, 40  # columns of results, and rows, that are printed
FIRST = 3  # results of a run that are told when it ends
FEW = 8  # values along the axis: then each is written there
WIDE = 100  # times as large as the smallest: then an axis is logarithmic


def show_rows(rows: Sequence[Mapping[str, Any]], varied: Sequence[str], wanted: str | None = None) -> str:
    """The runs as text: what was varied, how they ended unless all are done, and the results that differ first."""
    status = "run.status" if "run.status" in rows[0] else "status"
    named = [*varied, *([status] if {row[status] for row in rows} != {"done"} else [])]
    found = sorted(_numbers(rows, varied), key=lambda name: (name != wanted, len({row.get(name) for row in rows}) == 1))
    shown = table([{name: row.get(name) for name in (*named, *found[:SHOWN])} for row in rows[:ROWS]])
    more = {"runs": len(rows) - ROWS, "results": len(found) - SHOWN}
    left = [f"{count} more {what}" for what, count in more.items() if count > 0]
    return f"{shown}\n" + (f"and {', '.join(left)}: in the file\n" if left else "")


def show_found(row: Mapping[str, Any], varied: Collection[str]) -> str:
    """The first results of one run, in a line."""
    numbers = [(name, row[name]) for name in _numbers([row], [*varied]) if not isinstance(row[name], bool)]
    return ", ".join(f"{name} {value:.5g}" for name, value in numbers[:FIRST])


def _numbers(rows: Sequence[Mapping[str, Any]], varied: Sequence[str]) -> list[str]:
    """The columns, other than parameters, that hold numbers."""
    names = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, int | float))
    return [name for name in names if name not in (*varied, "cell", "run.cell")]


def plot_results(rows: Sequence[Mapping[str, Any]], result: str, varied: Sequence[str]) -> Picture:
    """A result of a sweep over the varied parameters: every run is a point, lines go through the medians.

    The first parameter that has several values lies along the axis (`seed` only where there is no other), and the
    others, but for seeds, are curves. `rows` are those of `sweep`. Raises DMMError where no run has such a number.
    """
    known = _numbers(rows, varied)
    points = [row for row in rows if isinstance(row.get(result), int | float)]
    if result not in known:
        raise DMMError(f"no run has a number {result!r} among its results; there are: {', '.join(known) or 'none'}")
    several = [name for name in varied if len({row[name] for row in points}) > 1] or [*varied[:1]]
    along, *others = sorted(several, key=lambda name: name == "seed")
    curves: dict[str, dict[Any, list[float]]] = {}
    for row in points:
        label = ", ".join(f"{name} {row[name]}" for name in others if name != "seed")
        curves.setdefault(label, {}).setdefault(row[along], []).append(float(row[result]))
    return _picture(curves, along, result)


def _picture(curves: Mapping[str, Mapping[Any, list[float]]], along: str, result: str) -> Picture:
    marks = [*dict.fromkeys(mark for curve in curves.values() for mark in curve)]
    scaled = all(type(mark) in (int, float) for mark in marks)
    place = {mark: mark if scaled else number for number, mark in enumerate(marks)}

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for label, curve in curves.items():
            ends = sorted((place[mark], values) for mark, values in curve.items())
            (line,) = axes.plot([x for x, _ in ends], [median(values) for _, values in ends], label=plain_text(label))
            xs, ys = zip(*((x, y) for x, values in ends for y in values), strict=True)
            axes.plot(xs, ys, ls="", marker="o", ms=3, mfc="none", color=line.get_color())
        axes.set(xlabel=along, ylabel=plain_text(result))
        heights = [y for curve in curves.values() for values in curve.values() for y in values]
        for axis, values in (("x", marks if scaled else ()), ("y", heights)):
            if values and min(values) > 0 and max(values) >= WIDE * min(values):
                axes.set(**{f"{axis}scale": "log"})
        if len(marks) <= FEW or not scaled:
            axes.set_xticks([*place.values()], [plain_text(mark) for mark in place])
            axes.set_xticks([], minor=True)
        if len(curves) > 1:
            figure.legend(loc="outside right upper" if figure.get_figwidth() > 4.5 else "outside lower center")

    return Picture(draw, 2, 2.6)


def save_plot(picture: Picture, folder: Path, name: str) -> list[str]:
    """Write a picture as .pdf, .svg and .png, named by its result; the paths. Raises DMMError if writing fails."""
    paths = [folder / f"{name.replace('/', '-')}.{format}" for format in FORMATS]
    for path in paths:
        atomic_write(path, picture.render(path.suffix[1:]))
    return [*map(str, paths)]
