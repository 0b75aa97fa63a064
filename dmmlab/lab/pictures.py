"""Pictures of machines that change: cut out of one another, their links over ticks, their circuits at some ticks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from dmmlab.files import DMMError, check_int
from dmmlab.interpreter import Tick
from dmmlab.lab.axes import panels
from dmmlab.lab.circuits import FILLS, MANY, NEGATIVE, POSITIVE, QUIET, sign_color
from dmmlab.lab.figures import Picture, plain_text
from dmmlab.lab.layers import layers_of, parts_of, places_of
from dmmlab.lab.venues import OURS
from dmmlab.machines import Link, Machine
from dmmlab.neurons import find_kind
from dmmlab.vvalues import VValue

Places = Mapping[str, Sequence[float]]  # of neurons
COLOURS = LinearSegmentedColormap.from_list("weights", [NEGATIVE, "white", POSITIVE])
MARKS = {"input": "v", "eos": "<", "const_1": ">", "accum": "s", "norm": "o", "dot": "D", "compare": "^", "output": "*"}
ARROW = {"connectionstyle": "arc3,rad=0.12", "arrowstyle": "-|>", "mutation_scale": 6, "shrinkA": 5, "shrinkB": 7}


def draw_strip(machines: Mapping[str, Machine], columns: int = 4) -> Picture:
    """Machines cut out of the first one, `columns` in a row under their labels: every neuron keeps its place.

    Input below, output above; soft links in the colours of `draw`, and only what lies between a source and an output.
    A picture for `save_figure`, which also shows itself in a notebook. Raises DMMError for no machines, or a neuron the
    first has not.

    >>> dmm.draw_strip({"8 links": dmm.handcrafted_detector()})
    Picture(2 of 2 columns, 2.2 inches high)
    """
    if not machines:
        raise DMMError("no machines to draw; give at least one")
    cut = [*machines.values()]
    places = places_of(layers_of(*parts_of(cut[0], live_only=False)))
    for machine in cut:
        new = sorted(machine.neurons.keys() - places.keys())
        if new:
            raise DMMError(f"neuron {new[0]!r} has no place, for the first machine has none of that name")

    def draw_frame(axes: Axes, number: int) -> None:
        _draw_machine(axes, cut[number], places)

    strip = _frames([*machines], draw_frame, check_int("columns", columns), 1.9)

    def draw(figure: Figure) -> None:
        strip(figure)
        marks = [figure.axes[0].plot([], [], **_mark(kind))[0] for kind in MARKS]
        ncols = min(len(MARKS), int(figure.get_figwidth() / 0.85))
        figure.legend(marks, [*MARKS], loc="outside lower center", ncols=ncols)

    return Picture(draw, strip.columns, strip.height + 0.3)


def _frames(labels: Sequence[str], draw_frame: Callable[[Axes, int], None], columns: int, height: float) -> Picture:
    """Circuits in rows of `height` inches, each drawn by a function of axes and its number, under its label."""
    rows = -(-len(labels) // columns)

    def draw(figure: Figure) -> None:
        grid = panels(figure, rows, columns, len(labels), sharex=True, sharey=True)
        share = figure.get_figwidth() / grid[0].get_gridspec().ncols / (OURS.two / columns)
        figure.set_figheight(figure.get_figheight() * min(1.0, share))  # frames that are narrower are lower too
        for axes in grid:
            axes.set_axis_off()
        for number, label in enumerate(labels):
            grid[number].set_title(plain_text(label))
            draw_frame(grid[number], number)

    return Picture(draw, 2, height * rows)


def _draw_machine(axes: Axes, machine: Machine, places: Places) -> None:
    kinds, wires = parts_of(machine, live_only=True)
    soft = [wire for wire in wires if not wire.fixed]
    soft.sort(key=lambda wire: (abs(wire.weight), wire.weight, wire.link))  # the widest on top
    share = min(1.0, MANY / max(len(soft), 1))
    sizes = np.array([abs(wire.weight) / abs(soft[-1].weight) for wire in soft])
    lines = [_ends(wire.link, kinds, places) for wire in soft]
    colors = [sign_color(wire.weight) for wire in soft]
    widths = 0.1 + share**0.5 * (0.4 + sizes)
    axes.add_collection(LineCollection(lines, colors=colors, linewidths=widths, alpha=0.3 + 0.6 * share))
    linked = {wire.link.to_neuron for wire in soft} | {wire.link.from_neuron for wire in soft}
    for name in sorted(linked):
        axes.plot(*places[name], **_mark(kinds[name]))


def _ends(link: Link, kinds: Mapping, places: Places) -> list[tuple[float, float]]:
    """Where a line begins and ends: to the left or the right of its neuron, as in `draw`."""
    fields = [*(find_kind(kinds[link.to_neuron]).inputs or [link.to_field])]
    side = fields.index(link.to_field) - (len(fields) - 1) / 2
    x, y = places[link.to_neuron]
    return [places[link.from_neuron], (x + 14 * side, y)]


def _mark(kind: str) -> dict[str, object]:
    look = {"marker": MARKS.get(kind.removeprefix("value_"), "h"), "ms": 4, "ls": "", "zorder": 3}
    return look | {"mfc": FILLS.get(kind, "white"), "mec": "#555555", "mew": 0.6}


def matrices(ticks: Sequence[Tick], name: str = "self") -> dict[int, VValue]:
    """The matrix that the neuron `name` emitted at every tick, tick → matrix. Raises DMMError where it emitted none.

    >>> machine, start = dmm.PROGRAMS["oscillator"]()
    >>> dmm.matrices(dmm.trace(machine, "a", ticks=2, start=start))[2]["self"]
    VValue({'delta': {'accum': {'dict': 1.0}}, 'accum': {'self': {'matrix': 1.0}}})
    """
    found = {}
    for tick in ticks:
        if name in tick.outputs and "matrix" in tick.outputs[name]:
            found[tick.tick] = tick.outputs[name]["matrix"]
    if len(found) < len(ticks) or not ticks:
        raise DMMError(f"neuron {name!r} emitted no matrix at some tick; name the machine's Self")
    return found


def plot_matrix(history: Mapping[int, VValue], columns: int = 2) -> Picture:
    """The links that change, over ticks, as a heat map: blue for positive weights, vermilion for negative ones.

    `history` is what `matrices` gives. A picture for `save_figure`, which also shows itself in a notebook. Raises
    DMMError where no link ever changes, and where ticks are left out.

    >>> machine, start = dmm.PROGRAMS["wave"]()
    >>> dmm.plot_matrix(dmm.matrices(dmm.trace(machine, "a", start=start)))
    Picture(2 of 2 columns, 1.18 inches high)
    """
    first, last = min(history, default=1), max(history, default=0)
    if [*history] != [*range(first, last + 1)]:
        raise DMMError("these ticks do not follow one another; give all between the first and the last")
    weights = [dict(matrix.leaves()) for matrix in history.values()]
    top = max((abs(weight) for each in weights for weight in each.values()), default=0)
    moving = {}
    for path in dict.fromkeys(path for each in weights for path in each):
        row = [each.get(path, 0.0) for each in weights]
        if len({*row}) > 1:
            moving[str(Link(*path)).replace("<-", "←")] = row
    if not moving:
        raise DMMError("no link changes in these ticks; show more of them")

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        extent = (first - 0.5, last + 0.5, len(moving) - 0.5, -0.5)
        look = {"cmap": COLOURS, "vmin": -top, "vmax": top, "aspect": "auto", "interpolation": "nearest"}
        image = axes.imshow([*moving.values()], extent=extent, **look)
        axes.set(xlabel="tick", yticks=range(len(moving)), yticklabels=[*moving])
        axes.grid(visible=False)
        figure.colorbar(image, ax=axes, label="weight", pad=0.02)

    return Picture(draw, columns, 0.7 + 0.16 * len(moving))


def draw_changes(history: Mapping[int, VValue], ticks: Sequence[int], height: float = 2.1) -> Picture:
    """The circuit at some ticks, three in a row of `height` inches: every neuron keeps its place on a circle.

    Links are blue for positive weights and vermilion for negative ones; those that were not there in the picture
    before are thick, and those that were are left as grey dots. A picture for `save_figure`, which also shows itself in
    a notebook. Raises DMMError for a tick that is not in `history`.

    >>> machine, start = dmm.PROGRAMS["wave"]()
    >>> dmm.draw_changes(dmm.matrices(dmm.trace(machine, "a", start=start)), ticks=[1, 2, 3])
    Picture(2 of 2 columns, 2.1 inches high)
    """
    missing = [tick for tick in ticks if tick not in history]
    if missing or not ticks:
        there = f"{min(history)} to {max(history)}" if history else "none"
        raise DMMError(f"tick {missing[0] if missing else None} is not among those of this run, {there}")
    circuits = [_wires(history[tick]) for tick in ticks]
    places = _circle(dict.fromkeys(name for wires in circuits for wire in wires for name in wire))

    def draw_frame(axes: Axes, number: int) -> None:
        before = circuits[max(number - 1, 0)]  # in the first nothing is new
        _draw_change(axes, circuits[number], before, places)

    return _frames([f"tick {tick}" for tick in ticks], draw_frame, min(len(ticks), 3), height)


def _wires(matrix: VValue) -> dict[tuple[str, str], float]:
    """Weights from neuron to neuron; several links between the same two add up, and count even where they cancel."""
    wires = defaultdict(float)
    for path, weight in matrix.leaves():
        wires[path[2], path[0]] += weight
    return dict(wires)


def _circle(names: Iterable[str]) -> Places:
    """Names → places on a circle, every other one further in, so that names do not touch."""
    names = [*names]
    angles = np.linspace(0.5, -1.5, len(names), endpoint=False) * np.pi
    spots = np.array([1.3 * np.cos(angles), np.sin(angles)]).T
    spots[1::2] *= 0.68
    return dict(zip(names, spots.tolist(), strict=True))


def _draw_change(axes: Axes, wires: Mapping, before: Mapping, places: Places) -> None:
    axes.set(xlim=(-1.75, 1.75), ylim=(-1.3, 1.3), aspect="equal")
    for source, to in sorted(before.keys() - wires.keys()):
        _arrow(axes, places[source], places[to], color=QUIET, lw=0.7, linestyle=":")
    for (source, to), weight in wires.items():
        look = {"lw": 0.7, "alpha": 0.7} if (source, to) in before else {"lw": 1.8, "alpha": 1.0}
        _arrow(axes, places[source], places[to], color=sign_color(weight), linestyle="-", **look)
    linked = {name for wire in wires for name in wire}
    box = {"boxstyle": "round,pad=0.2", "fc": "white", "ec": QUIET, "lw": 0.5}
    for name, (x, y) in places.items():
        color = "black" if name in linked else QUIET
        axes.text(x, y, name, ha="center", va="center", fontsize=6, color=color, bbox=box)


def _arrow(axes: Axes, source: Sequence[float], to: Sequence[float], **look: object) -> None:
    if source != to:
        axes.annotate("", to, source, arrowprops=ARROW | look)
        return
    turn = np.linspace(0, 2 * np.pi, 50)  # a loop, half hidden by the name
    x, y = source
    axes.plot(x + 0.11 * np.cos(turn), y + (0.13 if y > 0 else -0.13) + 0.13 * np.sin(turn), zorder=1, **look)
