"""Figures for papers: matplotlib in the house style, one or two columns wide; the same data give the same bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.style import context

from dmmlab.drawing import FILLS, MANY, NEGATIVE, POSITIVE, Drawing, layers_of, parts_of, place_of
from dmmlab.files import DMMError, output_root, whole, write_whole
from dmmlab.machines import Machine
from dmmlab.neurons import find_kind

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.16  # widths in inches, at print size
STYLE = ["default", Path(__file__).with_name("dmmlab.mplstyle")]
MARKS = {"input": "v", "eos": "<", "const_1": ">", "accum": "s", "norm": "o", "dot": "D", "compare": "^", "output": "*"}


class _Shown(Figure):  # by itself in a notebook, even where pyplot was never imported
    def _repr_mimebundle_(self, **_: object) -> dict[str, bytes]:
        return {"image/png": _print(self, "png")}


def _print(figure: Figure, format: str) -> bytes:
    file, dates = io.BytesIO(), {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    with context(STYLE):
        figure.savefig(file, format=format, metadata=dates.get(format))
    return file.getvalue()


def new_figure(columns: int = 1, height: float = 2.3) -> tuple[Figure, Axes]:
    """An empty figure in the house style, one or two columns of a paper wide (3.5 or 7.16 in) and `height` inches high.

    It shows itself in a notebook and belongs to no pyplot state. Raises DMMError for another number of columns.
    """
    if columns not in (1, 2):
        raise DMMError(f"{columns!r} columns are no width of a figure; give 1 or 2")
    with context(STYLE):
        figure = _Shown(figsize=((ONE_COLUMN, TWO_COLUMNS)[columns - 1], height))
        return figure, figure.add_subplot()


def draw_strip(machines: Mapping[str, Machine], columns: int = 4) -> Figure:
    """Machines cut out of the first one, side by side under their labels: every neuron keeps its place.

    Input below, output above; soft links in the colours of `draw`, and only what lies between a source and an output.
    A matplotlib figure, two columns of a paper wide. Raises DMMError for no machines, or a neuron the first has not.
    """
    columns = whole("columns", columns)
    if not machines:
        raise DMMError("no machines to draw; give at least one")
    layers = layers_of(*parts_of(next(iter(machines.values())), live_only=False))
    at = {name: place_of(layers, rank, i).split(",") for rank, row in enumerate(layers) for i, name in enumerate(row)}
    places = {name: np.array(place, dtype=float) for name, place in at.items()}
    if new := sorted({name for machine in machines.values() for name in machine.neurons} - set(places)):
        raise DMMError(f"neuron {new[0]!r} has no place, for the first machine has none of that name")
    rows = -(-len(machines) // columns)
    with context(STYLE):
        figure = _Shown(figsize=(TWO_COLUMNS, 1.9 * rows + 0.3))
        for number, (label, machine) in enumerate(machines.items(), start=1):
            axes = figure.add_subplot(rows, columns, number, title=str(label).replace("$", r"\$"))
            axes.plot(*zip(*places.values(), strict=True), ls="")  # so that all have the same limits
            axes.set_axis_off()
            _draw_frame(axes, machine, places)
        marks = [axes.plot([], [], **_mark(kind))[0] for kind in MARKS]
        figure.legend(marks, [*MARKS], loc="outside lower center", ncols=len(MARKS))
    return figure


def _draw_frame(axes: Axes, machine: Machine, places: Mapping[str, np.ndarray]) -> None:
    kinds, wires = parts_of(machine, live_only=True)
    wires = sorted(((weight, link) for link, weight, fixed in wires if not fixed), key=lambda wire: abs(wire[0]))
    lines = []
    for _, (to, field, source, _) in wires:  # to the left or the right of the neuron, as in `draw`
        fields = [*(find_kind(kinds[to]).inputs or ())]
        side = fields.index(field) - (len(fields) - 1) / 2 if field in fields else 0
        lines.append((places[source], places[to] + (14 * side, 0)))
    sizes, share = np.abs([weight for weight, _ in wires]), min(1.0, MANY / max(len(wires), 1))
    look = {"lw": 0.1 + share**0.5 * (0.4 + sizes / sizes.max(initial=1e-300)), "alpha": 0.3 + 0.6 * share}
    colors = [NEGATIVE if weight < 0 else POSITIVE for weight, _ in wires]
    axes.add_collection(LineCollection(lines, colors=colors, **look))
    for name in sorted({name for _, link in wires for name in (link.to_neuron, link.from_neuron)}):
        axes.plot(*places[name], **_mark(kinds[name]))


def _mark(kind: str) -> dict[str, object]:
    look = {"marker": MARKS.get(kind, "h"), "mfc": FILLS.get(kind, "white"), "mec": "#555555"}
    return look | {"ms": 4, "mew": 0.6, "ls": "", "zorder": 3}


def plot_losses(
    curves: Mapping[str, Sequence[float] | Mapping[int, float]], title: str | None = None, columns: int = 1
) -> Figure:
    """Losses per step over a logarithmic axis: a matplotlib figure that shows itself in a notebook.

    `curves` maps labels to arrays of shape (steps,), the first being step 1, or to dicts step → loss, which are drawn
    as single points. The figure is one or two columns of a paper wide. Raises DMMError for other shapes.
    """
    figure, axes = new_figure(columns)
    with context(STYLE):
        lines = []
        for label, losses in curves.items():
            points = isinstance(losses, Mapping)
            steps = list(losses) if points else np.arange(1, np.size(losses) + 1)
            values = np.array(list(losses.values()) if points else losses, dtype=float)
            if values.ndim != 1 or not np.any(values > 0):
                raise DMMError(f"curve {label!r} is no array of shape (steps,) with a positive loss; give one")
            look = {"ls": "", "marker": "o", "mfc": "none", "ms": 4, "color": "black"} if points else {}
            lines += axes.plot(steps, values, label=str(label).replace("$", r"\$"), **look)
        if not lines:
            raise DMMError("no curves to plot; give at least one")
        axes.set(xlabel="step", ylabel="loss", yscale="log", title=title)
        lines.sort(key=lambda line: -line.get_ydata()[-1])  # so labels stand in the order of the ends
        axes.legend(handles=lines, loc="upper right", labelcolor="linecolor")
    return figure


def save_figure(figure: Figure | Drawing, name: str, folder: str | os.PathLike | None = None) -> list[Path]:
    """Write `name`.svg and `name`.pdf into the project's `figures` folder, or another; returns their paths.

    The same picture gives the same bytes. Raises DMMError for a name that is empty or a path, and if writing fails.
    """
    if not isinstance(name, str) or not name.strip() or set(name) & set("/\\\0"):
        raise DMMError(f"figure name {name!r} is empty or a path; give a plain name, and the folder with folder=")
    paths = [(output_root() / "figures" if folder is None else Path(folder)) / f"{name}.{e}" for e in ("svg", "pdf")]
    drawn = isinstance(figure, Drawing)
    return [figure.save(p) if drawn else write_whole(p, _print(figure, p.suffix[1:])) for p in paths]
