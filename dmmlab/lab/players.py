"""The player: answers of machines over ticks, with a field and sliders to try other strings where a kernel runs."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dmmlab.engine import run
from dmmlab.files import DMMError
from dmmlab.inputs import Inputs, Text, read_list
from dmmlab.lab.figures import Picture, plain_text
from dmmlab.machines import Machine
from dmmlab.vvalues import VValue

LARGEST = 1e300  # of what matplotlib can draw: it adds to it, and subtracts


@dataclass(frozen=True)
class Player:
    """Machines by their titles, and what they read: a picture of both answers of each, and `controls` in a notebook."""

    machines: Mapping[str, Machine]
    inputs: Inputs

    def picture(self, inputs: Inputs | None = None) -> Picture:
        """Both answers of each machine, perhaps to other inputs; the steps stand where they are emitted."""
        inputs = inputs or self.inputs
        (string,), (ticks,), (speed,) = inputs.strings, inputs.ticks, inputs.ticks_per_character
        with np.errstate(all="ignore"):  # machines may explode, which is seen
            curves = {title: run(each, string, ticks, speed, inputs.after_end) for title, each in self.machines.items()}
        curves = {title: np.where(np.abs(each) < LARGEST, each, np.nan) for title, each in curves.items()}
        gaps = " (gaps: too large to draw)" * any(np.isnan(each).any() for each in curves.values())
        names = [step if isinstance(step, str) else json.dumps(step, default=VValue.to_dict) for step in string]

        def draw(figure: Figure) -> None:
            both = figure.subplots(2, 1, sharex=True)
            for side, axes in enumerate(both):
                for title, answers in curves.items():
                    axes.step(range(1, ticks + 1), answers[:, side], where="post", label=plain_text(title))
                axes.set_ylabel(("left", "right")[side])
            every = 1 + int((0.2 + 0.07 * min(8, max(map(len, names)))) * ticks / speed / figure.get_figwidth())
            for place in range(0, min(len(names), -(-ticks // speed)), every):
                name = names[place][:8].encode("utf-8", "replace").decode()  # half a character cannot be drawn
                name = plain_text(name).replace(" ", "␣").replace("\n", "⏎")
                both[0].text(place * speed + 1, 1.04, name, transform=both[0].get_xaxis_transform())
            both[1].set_xlabel(f"tick{gaps}")
            if len(curves) > 1:
                both[0].legend()

        return Picture(draw, 2, 2.6)

    def controls(self) -> Any:
        """A box of ipywidgets: string, ticks a step, ticks; the picture; and what is wrong with the string."""
        import ipywidgets as widgets  # takes a while, for which those who draw should not wait

        (string,), (ticks,), (speed,) = self.inputs.strings, self.inputs.ticks, self.inputs.ticks_per_character
        plain, at_end = isinstance(string, str), {"continuous_update": False}
        field = widgets.Text(
            string if plain else json.dumps(string, default=VValue.to_dict), description="string", **at_end
        )
        speeds = widgets.IntSlider(speed, 1, max(speed, 20), description="ticks a step", **at_end)
        length = widgets.IntSlider(ticks, 1, max(4 * ticks, 400), description="ticks", **at_end)
        image, wrong = widgets.Image(value=self.picture().render("png")), widgets.HTML()

        def show(_: object) -> None:
            try:
                given = field.value if plain else read_list(field.value)
                inputs = Inputs([given], length.value, speeds.value, after_end=self.inputs.after_end)
                image.value, wrong.value = self.picture(inputs).render("png"), ""
            except DMMError as error:
                wrong.value = html.escape(str(error), quote=False)

        for each in (field, speeds, length):
            each.observe(show, "value")
        row = widgets.HBox([field, speeds, length], layout=widgets.Layout(flex_flow="row wrap"))
        return widgets.VBox([row, image, wrong])

    def __repr__(self) -> str:
        return f"Player({', '.join(self.machines)}: {self.inputs.strings[0]!r:.60})"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        from IPython import get_ipython

        live = self.controls()._repr_mimebundle_() if hasattr(get_ipython(), "kernel") else {}
        return live | {"image/png": self.picture()._repr_png_(), "text/plain": repr(self)}


def play(
    machines: Machine | Mapping[str, Machine],
    string: Text,
    ticks: int | None = None,
    ticks_per_character: int = 10,
    after_end: str = "repeat",
) -> Player:
    """Both answers of a machine, or of several by their titles, to a string that one can change in a notebook.

    Where a kernel runs there are a field for the string and sliders for speed and ticks; where none does, the picture
    stands alone. Steps that are numbers or V-values make the field a JSON list. Raises DMMError as `run` does.

    >>> dmm.play(dmm.handcrafted_detector(), "banana.")
    Player(machine: 'banana.')
    """
    machines = {"machine": machines} if isinstance(machines, Machine) else machines
    if not machines:
        raise DMMError("no machines to play with; give at least one")
    return Player(machines, Inputs([string], ticks, ticks_per_character, after_end=after_end))
