"""Figures for papers: a function draws them, anew for each width and format; the same data give the same bytes."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.style import context
from PIL import Image

from dmmlab.files import DMMError, atomic_write
from dmmlab.lab.axes import write_ticks
from dmmlab.lab.circuits import Drawing
from dmmlab.lab.project import output_root
from dmmlab.lab.reports import Sentence
from dmmlab.lab.venues import OURS, Venue, chosen_venue, in_style, style_of

STYLE = ["default", Path(__file__).with_name("dmmlab.mplstyle")]
"""Our style of figures, for `matplotlib.style.use`.

>>> dmm.STYLE[0]
'default'
"""
FORMATS = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": None}  # and how they go without dates
POINTS = {"ls": "", "marker": "o", "mfc": "none", "ms": 4, "color": "black"}  # of a curve that is a dict
PUBLISHED = {"ls": "-", "color": "black", "lw": 0.7}
PRINTED = re.compile(r"^figure (.+?): ?(.*)$", re.MULTILINE)  # in pages that ran before captions stood below figures


@dataclass(frozen=True)
class Picture:
    """A function that draws on a matplotlib figure, with the size at which it shows itself in a notebook.

    `columns` of a paper (1 or 2: 3.5 or 7.16 inches) are its width, `height` is in inches.
    """

    draw: Callable[[Figure], object]
    columns: int = 1
    height: float = 2.3

    def __post_init__(self) -> None:
        if self.columns not in (1, 2):
            raise DMMError(f"{self.columns!r} columns are no width of a figure; give 1 or 2")
        if not callable(self.draw):
            raise DMMError(f"a {type(self.draw).__name__} draws nothing; give a function of a figure, or a drawing")

    def __call__(self, figure: Figure) -> None:
        """Draw on another figure."""
        self.draw(figure)

    def __repr__(self) -> str:
        return f"Picture({self.columns} of 2 columns, {self.height:.3g} inches high)"

    def figure(self, width: float | None = None, venue: Venue = OURS) -> Figure:
        """A new figure, `width` inches wide, with the picture on it; pyplot does not know it."""
        with context([*STYLE, style_of(venue)]):
            figure = Figure(figsize=(width or venue[self.columns - 1], self.height))
            self.draw(figure)
            for axes in figure.axes:  # what is too wide goes on in another line, not beyond the edge
                axes.title.set_wrap(True)
                axes.xaxis.label.set_wrap(True)
                write_ticks(axes)
        return figure

    def render(self, format: str, width: float | None = None, venue: Venue = OURS) -> bytes:
        """The picture as pdf, svg or png, without dates, `width` inches wide, in the fonts of a venue."""
        figure, file = self.figure(width, venue), io.BytesIO()
        with context([*STYLE, style_of(venue)]):
            figure.savefig(file, format=format, metadata=FORMATS[format])
        return file.getvalue()

    def _repr_png_(self) -> bytes:
        # A page keeps it: 256 colours look the same, and have a third of the bytes.
        image, file = Image.open(io.BytesIO(self.render("png"))), io.BytesIO()
        image.convert("RGB").quantize().save(file, "png", optimize=True)
        return file.getvalue()


@dataclass(frozen=True)
class SavedFigure:
    """A figure that was written; in a notebook it shows itself, and its caption below."""

    picture: Picture | Drawing
    name: str
    caption: str

    def __repr__(self) -> str:
        return f"figure {self.name}: {self.caption}".rstrip()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        # `read_figures` finds this; who reads the page has no use for a file's name.
        display(self.picture, metadata={"dmmlab": {"figure": self.name, "caption": self.caption}})
        if self.caption:
            display(Sentence(f"*Figure.* {self.caption}"))


def save_figure(
    draw: Callable[[Figure], object] | Drawing, name: str, caption: str = "", columns: int = 1, height: float = 2.3
) -> SavedFigure:
    """Write a figure as NAME.pdf, NAME.svg and NAME.png into `figures/one-column/` and `figures/two-columns/`.

    It is drawn anew for each width (3.5 and 7.16 inches) and format, in our style, and outside pyplot: so the same data
    give the same bytes. Returns what shows the figure at the end of a notebook's cell, its caption below; there
    `dmmlab figures` finds it. Where DMMLAB_WIDTHS lists other widths in inches, it is drawn at these; where DMMLAB_FOR
    names a venue, in its widths and fonts, below `figures/VENUE/`. Raises DMMError for a name that is empty or a path,
    for what does not draw, and if writing fails.

    Args:
        draw: a function of a matplotlib figure, what `plot_losses` and its like return, or a circuit from `draw`.
        name: of the files, such as "05-run-3".
        caption: one sentence or two.
        columns: how wide a function's figure is shown, 1 or 2 columns of a paper; others know it themselves.
        height: of a function's figure, in inches; it may ask for another with `figure.set_figheight`.

    >>> dmm.save_figure(dmm.draw(dmm.handcrafted_detector()), "02-detector", caption="Nine neurons.")
    figure 02-detector: Nine neurons.
    """
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or set(name) & set("/\\:"):
        raise DMMError(f"figure name {name!r} is empty or a path; give a plain name, such as 05-run-3")
    picture = draw if isinstance(draw, Picture | Drawing) else Picture(draw, columns, height)
    place, venue = chosen_venue()
    places = {venue.one: "one-column", venue.two: "two-columns"}
    for width in [float(width) for width in os.environ.get("DMMLAB_WIDTHS", "").split()] or places:
        folder = output_root() / "figures" / place / places.get(width, f"{width:g}-inches")
        for format in FORMATS:
            atomic_write(folder / f"{name}.{format}", _render(picture, format, width, venue))
    return SavedFigure(picture, name, " ".join(caption.split()))


def _render(picture: Picture | Drawing, format: str, width: float, venue: Venue) -> bytes:
    if isinstance(picture, Picture):
        return picture.render(format, width, venue)
    return (picture if venue == OURS else in_style(picture, venue)).render(format, width)


def read_figures() -> list[dict[str, str]]:
    """The figures that the notebooks saved when they last ran: dicts with notebook (its file), name and caption."""
    # Imported here, for it brings nbformat: a second, for which those who draw should not wait.
    from dmmlab.lab.notebooks import find_notebooks, read_notebook, read_printed

    found = []
    for path in find_notebooks():
        notebook = read_notebook(path)
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        told = [each.metadata["dmmlab"] for each in outputs if "dmmlab" in each.get("metadata", {})]
        told += [{"figure": name, "caption": text} for name, text in PRINTED.findall(read_printed(notebook))]
        found += [{"notebook": path.name, "name": each["figure"], "caption": each["caption"]} for each in told]
    return found


def plot_losses(
    curves: Mapping[str, Sequence[float] | Mapping[int, float]],
    title: str | None = None,
    columns: int = 1,
    ylabel: str = "loss",
) -> Picture:
    """Losses per step over a logarithmic axis: a picture for `save_figure`, which also shows itself in a notebook.

    `curves` maps labels to arrays of shape (steps,), the first being step 1, or to dicts step → loss, which are drawn
    as single points; what is labelled `published` is black. It is one or two columns of a paper wide. Raises DMMError
    for other shapes.

    >>> dmm.plot_losses({"ours": [3.0, 1.0, 0.5], "published": {1: 3.0}})
    Picture(1 of 2 columns, 2.3 inches high)
    """
    if not curves:
        raise DMMError("no curves to plot; give at least one")
    data = {label: _losses(label, losses) for label, losses in curves.items()}
    single = {label for label, losses in curves.items() if isinstance(losses, Mapping)}

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        lines = []
        for label, losses in data.items():
            look = POINTS if label in single else PUBLISHED if label == "published" else {}
            lines += axes.plot([*losses], [*losses.values()], label=plain_text(label), **look)
        axes.set(xlabel="step", ylabel=ylabel, yscale="log", title=title)
        lines.sort(key=lambda line: -line.get_ydata()[-1])  # so labels stand in the order of the ends
        axes.legend(handles=lines, loc="upper right", labelcolor="linecolor")

    return Picture(draw, columns)


def _losses(label: str, losses: Sequence[float] | Mapping[int, float]) -> dict[int, float]:
    """Step → loss."""
    single = isinstance(losses, Mapping)
    values = np.array([*losses.values()] if single else losses, dtype=float)
    if values.ndim != 1 or not np.any(values > 0):
        raise DMMError(f"curve {label!r} is no array of shape (steps,) with a positive loss; give one")
    steps = losses if single else range(1, len(values) + 1)
    return dict(zip(steps, values, strict=True))


def plain_text(label: object) -> str:
    """A label in which matplotlib sees no formula."""
    return str(label).replace("$", r"\$")
