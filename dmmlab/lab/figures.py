"""Figures for papers: matplotlib in the house style, one or two columns wide; the same data give the same bytes."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from IPython import get_ipython
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.style import context

from dmmlab.files import DMMError, atomic_write, check_int, parse_json
from dmmlab.lab.circuits import FILLS, MANY, NEGATIVE, POSITIVE, Drawing, layers_of, layout, parts_of, place_of
from dmmlab.lab.latex import tikz
from dmmlab.lab.project import output_root
from dmmlab.lab.recipes import STYLE, Sheet, replay
from dmmlab.machines import Machine
from dmmlab.neurons import find_kind

MIME = "application/vnd.dmmlab.figure+json"
ONE_COLUMN, TWO_COLUMNS = 3.5, 7.16  # widths in inches, at print size
MARKS = {"input": "v", "eos": "<", "const_1": ">", "accum": "s", "norm": "o", "dot": "D", "compare": "^", "output": "*"}


def new_figure(columns: int = 1, height: float = 2.3) -> tuple[Figure, Axes]:
    """An empty figure in the house style, one or two columns of a paper wide (3.5 or 7.16 in) and `height` inches high.

    It shows itself in a notebook and belongs to no pyplot state. Raises DMMError for another number of columns.

    >>> float(dmm.new_figure(columns=2)[0].get_figwidth())
    7.16
    """
    if columns not in (1, 2):
        raise DMMError(f"{columns!r} columns are no width of a figure; give 1 or 2")
    with context(STYLE):
        figure = Sheet((ONE_COLUMN, TWO_COLUMNS)[columns - 1], height)
        return figure, figure.add_subplot()


def draw_strip(machines: Mapping[str, Machine], columns: int = 4) -> Figure:
    """Machines cut out of the first one, side by side under their labels: every neuron keeps its place.

    Input below, output above; soft links in the colours of `draw`, and only what lies between a source and an output.
    A matplotlib figure, two columns of a paper wide. Raises DMMError for no machines, or a neuron the first has not.

    >>> len(dmm.draw_strip({"8 links": dmm.handcrafted_detector()}).axes)
    1
    """
    columns = check_int("columns", columns)
    if not machines:
        raise DMMError("no machines to draw; give at least one")
    layers = layers_of(*parts_of(next(iter(machines.values())), live_only=False))
    at = {name: place_of(layers, rank, i).split(",") for rank, row in enumerate(layers) for i, name in enumerate(row)}
    places = {name: np.array(place, dtype=float) for name, place in at.items()}
    if new := sorted({name for machine in machines.values() for name in machine.neurons} - set(places)):
        raise DMMError(f"neuron {new[0]!r} has no place, for the first machine has none of that name")
    rows = -(-len(machines) // columns)
    with context(STYLE):
        figure = Sheet(TWO_COLUMNS, 1.9 * rows + 0.3)
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
    axes.add_lines(lines, colors=colors, **look)
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

    >>> dmm.plot_losses({"ours": [3.0, 1.0, 0.5], "published": {1: 3.0}}).axes[0].get_yscale()
    'log'
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


def save_figure(
    figure: Sheet | Drawing, name: str, folder: str | os.PathLike | None = None, caption: str = ""
) -> list[Path]:
    """Write `name`.svg and `name`.pdf into the project's `figures` folder, or another; returns their paths.

    In a notebook the figure is also kept in the cell's output, as data and with its caption, so that `dmmlab figures`
    draws it again without computing. The same picture gives the same bytes. Raises DMMError for a name that is empty or
    a path, for a figure that was not made by this package or is not drawn by plain data, and if writing fails.

    >>> [path.name for path in dmm.save_figure(dmm.draw(dmm.handcrafted_detector()), "02-detector")]
    ['02-detector.svg', '02-detector.pdf']
    """
    if not isinstance(name, str) or not name.strip() or set(name) & set("/\\\0"):
        raise DMMError(f"figure name {name!r} is empty or a path; give a plain name, and the folder with folder=")
    kept = {"name": name, "caption": caption, "recipe": pack(figure)}
    if get_ipython():
        display({MIME: kept, "text/plain": f"figures/{name}.svg, figures/{name}.pdf"}, raw=True)
    place = output_root() / "figures" if folder is None else Path(folder)
    return [atomic_write(place / f"{name}.{format}", render(figure, format)) for format in ("svg", "pdf")]


def pack(figure: Sheet | Drawing) -> str:
    """A figure as text that a notebook can hold: its recipe as JSON, compressed. Raises DMMError as `save_figure`."""
    if not isinstance(figure, Sheet | Drawing):
        raise DMMError(f"a {type(figure).__name__} is not kept; begin figures with dmm.new_figure, circuits with draw")
    drawn = isinstance(figure, Drawing)
    recipe = {"dot": figure.source, "summary": figure.summary} if drawn else figure.recipe()
    return base64.b64encode(zlib.compress(json.dumps(recipe).encode(), 9)).decode()


def unpack(text: str, width: float | None = None) -> Sheet | Drawing:
    """The figure of what `pack` made, a Sheet at the width asked for. Raises DMMError where it is damaged."""
    try:
        recipe = parse_json(zlib.decompress(base64.b64decode(text)).decode())
        return Drawing(recipe["dot"], recipe["summary"]) if "dot" in recipe else replay(recipe, width)
    except (ValueError, TypeError, KeyError, zlib.error) as error:
        raise DMMError(f"this figure is damaged ({error}); run its notebook again") from None


def render(figure: Sheet | Drawing, format: str, width: float | None = None) -> bytes:
    """The bytes of a figure as svg, pdf or png; a circuit also as tex (TikZ), and at most `width` inches wide."""
    if isinstance(figure, Sheet):
        return figure.print(format)
    if format == "tex":
        return tikz(figure, width).encode()
    return figure.svg(width).encode() if format == "svg" else layout(figure.source, format, width)
