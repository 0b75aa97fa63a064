"""Pictures of a matrix that changes: all its links over time, and the circuit at some ticks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.style import context

from dmmlab.files import DMMError
from dmmlab.interpreter import Tick
from dmmlab.lab.circuits import NEGATIVE, POSITIVE, QUIET
from dmmlab.lab.figures import new_figure
from dmmlab.lab.recipes import STYLE
from dmmlab.machines import Link
from dmmlab.vvalues import VValue

COLOURS = LinearSegmentedColormap.from_list("weights", [NEGATIVE, "white", POSITIVE])


def matrices(ticks: Sequence[Tick], name: str = "self") -> dict[int, VValue]:
    """The matrix that the neuron `name` emitted at every tick, tick → matrix. Raises DMMError where it emitted none.

    >>> machine, start = dmm.PROGRAMS["oscillator"]()
    >>> dmm.matrices(dmm.trace(machine, "a", ticks=2, start=start))[2]["self"]
    VValue({'delta': {'accum': {'dict': 1.0}}, 'accum': {'self': {'matrix': 1.0}}})
    """
    emitted = {tick.tick: tick.outputs[name] for tick in ticks if name in tick.outputs}
    found = {tick: fields["matrix"] for tick, fields in emitted.items() if "matrix" in fields}
    if len(found) < len(ticks) or not ticks:
        raise DMMError(f"neuron {name!r} emitted no matrix at some tick; name the machine's Self")
    return found


def plot_matrix(history: Mapping[int, VValue], columns: int = 2) -> Figure:
    """The links that change, over ticks, as a heat map: blue for positive weights, vermilion for negative ones.
    `history` is what `matrices` gives. Raises DMMError where no link ever changes, and where ticks are left out.

    >>> machine, start = dmm.PROGRAMS["wave"]()
    >>> dmm.plot_matrix(dmm.matrices(dmm.trace(machine, "a", start=start))).savefig("wave.pdf")
    """
    if [*history] != [*range(min(history, default=1), max(history, default=0) + 1)]:
        raise DMMError("these ticks do not follow one another; give all between the first and the last")
    weights = {tick: dict(matrix.leaves()) for tick, matrix in history.items()}
    links = dict.fromkeys(path for each in weights.values() for path in each)
    table = np.array([[each.get(path, 0.0) for each in weights.values()] for path in links])
    moving = np.ptp(table, axis=1) > 0 if table.size else np.zeros(0, dtype=bool)
    if not moving.any():
        raise DMMError("no link changes in these ticks; show more of them")
    names = [str(Link(*path)).replace("<-", "←") for path, moves in zip(links, moving, strict=True) if moves]
    with context(STYLE):
        figure, axes = new_figure(columns, 0.7 + 0.16 * len(names))
        top, first, last = np.abs(table).max(), min(weights), max(weights)
        image = axes.imshow(
            table[moving], cmap=COLOURS, vmin=-top, vmax=top, aspect="auto", interpolation="nearest",
            extent=(first - 0.5, last + 0.5, len(names) - 0.5, -0.5),
        )  # fmt: skip
        axes.set(xlabel="tick", yticks=range(len(names)), yticklabels=names)
        axes.grid(visible=False)
        figure.colorbar(image, ax=axes, label="weight", pad=0.02)
    return figure


def draw_changes(history: Mapping[int, VValue], ticks: Sequence[int], height: float = 2.1) -> Figure:
    """The circuit at some ticks, three in a row of `height` inches: every neuron keeps its place on a circle.
    Links are blue for positive weights and vermilion for negative ones; those that were not there in the picture
    before are thick, and those that were are left as grey dots. Raises DMMError for a tick that is not in `history`.

    >>> machine, start = dmm.PROGRAMS["wave"]()
    >>> dmm.draw_changes(dmm.matrices(dmm.trace(machine, "a", start=start)), ticks=[1, 2, 3]).savefig("wave.pdf")
    """
    if missing := [tick for tick in ticks if tick not in history] or ([] if ticks else ["none"]):
        there = f"{min(history)} to {max(history)}" if history else "none"
        raise DMMError(f"tick {missing[0]} is not among those of this run, {there}")
    names = dict.fromkeys(name for tick in ticks for path, _ in history[tick].leaves() for name in (path[2], path[0]))
    angles = np.linspace(0.5, -1.5, len(names), endpoint=False) * np.pi
    spots = np.array([1.3 * np.cos(angles), np.sin(angles)]).T * np.where(np.arange(len(names)) % 2, 0.68, 1.0)[:, None]
    places = dict(zip(names, spots, strict=True))  # every other one further in, so that names do not touch
    with context(STYLE):
        rows = -(-len(ticks) // 3)
        figure, whole = new_figure(2, height * rows)
        whole.remove()
        before: dict[tuple, float] | None = None
        for number, tick in enumerate(ticks, start=1):
            axes = figure.add_subplot(rows, min(len(ticks), 3), number, title=f"tick {tick}", aspect="equal")
            axes.set(xlim=(-1.75, 1.75), ylim=(-1.3, 1.3))
            axes.set_axis_off()
            before = _draw_circuit(axes, _wires(history[tick]), before, places)
    return figure


def _wires(matrix: VValue) -> dict[tuple[str, str], float]:
    """Weights from neuron to neuron; several links between the same two add up, and count even where they cancel."""
    wires: dict[tuple[str, str], float] = {}
    for path, weight in matrix.leaves():
        wires[path[2], path[0]] = wires.get((path[2], path[0]), 0.0) + weight
    return wires


def _draw_circuit(axes: Axes, wires: Mapping, before: Mapping | None, places: Mapping[str, np.ndarray]) -> Mapping:
    for source, to in (before or {}).keys() - wires.keys():
        _arrow(axes, places[source], places[to], color=QUIET, lw=0.7, linestyle=":")
    for (source, to), weight in wires.items():
        new = before is not None and (source, to) not in before
        color = NEGATIVE if weight < 0 else POSITIVE
        _arrow(axes, places[source], places[to], color=color, lw=1.8 if new else 0.7, alpha=1.0 if new else 0.7)
    active = {name for wire in wires for name in wire}
    for name, place in places.items():
        axes.text(
            *place, name, ha="center", va="center", fontsize=6, color="black" if name in active else QUIET,
            bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": QUIET, "lw": 0.5},
        )  # fmt: skip
    return wires


def _arrow(axes: Axes, source: np.ndarray, to: np.ndarray, **look: object) -> None:
    if np.array_equal(source, to):  # a loop, half hidden by the name
        turn = np.linspace(0, 2 * np.pi, 50)
        center = source + 0.13 * np.array([0.0, 1.0 if source[1] > 0 else -1.0])
        axes.plot(center[0] + 0.11 * np.cos(turn), center[1] + 0.13 * np.sin(turn), zorder=1, **{"ls": "-", **look})
        return
    shape = {"connectionstyle": "arc3,rad=0.12", "arrowstyle": "-|>", "mutation_scale": 6, "shrinkA": 5, "shrinkB": 7}
    axes.annotate("", to, source, arrowprops=shape | look)
