"""How venues want their figures: widths, the size of text, and the font."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from dmmlab.files import DMMError

if TYPE_CHECKING:
    from dmmlab.lab.circuits import Drawing

SANS, SERIF = "DejaVu Sans", "STIXGeneral"  # matplotlib brings both, so that bytes do not depend on a computer's fonts


class Venue(NamedTuple):
    """Widths of one column and of two in inches, points of the text (marks and legends have one less), and the font."""

    one: float
    two: float
    points: float
    family: str


# NeurIPS has one column of 5.5 inches: figures as wide, or two side by side. Nature: 89 and 183 mm, text of 5 to 7
# points without serifs. IEEE: 3.5 and 7.16 inches, 8 points or more, Times.
VENUES = {"neurips": Venue(2.65, 5.5, 8, SERIF), "nature": Venue(3.5, 7.2, 7, SANS), "ieee": Venue(3.5, 7.16, 8, SERIF)}
OURS = Venue(3.5, 7.16, 8, SANS)


def chosen_venue() -> tuple[str, Venue]:
    """The venue that DMMLAB_FOR names, or else ours, whose name is empty. Raises DMMError for another."""
    name = os.environ.get("DMMLAB_FOR", "")
    if name and name not in VENUES:
        raise DMMError(f"DMMLAB_FOR is {name!r}; known are {', '.join(VENUES)}")
    return name, VENUES.get(name, OURS)


def style_of(venue: Venue) -> dict[str, object]:
    """What matplotlib is told besides our style."""
    small = ("xtick.labelsize", "ytick.labelsize", "legend.fontsize")
    large = ("font.size", "axes.titlesize", "axes.labelsize", "figure.labelsize")
    sizes = dict.fromkeys(large, venue.points) | dict.fromkeys(small, venue.points - 1)
    return sizes | {"font.family": venue.family, "mathtext.fontset": "stix" if venue.family == SERIF else "dejavusans"}


def in_style(drawing: Drawing, venue: Venue) -> Drawing:
    """The circuit with its names in a venue's font and size, and all other text in proportion."""
    from dmmlab.lab.circuits import DEFAULTS, FONT  # here, for the command line reads the table and draws nothing

    share = venue.points / 9  # names have nine points
    fonts = re.sub(r"fontsize=(\d+)", lambda found: f"fontsize={int(found[1]) * share:.3g}", DEFAULTS)
    fields = f'POINT-SIZE="{8 * share:.3g}"'
    source = drawing.source.replace(DEFAULTS, fonts.replace(FONT, venue.family), 1)
    if venue.family == SERIF:  # its spaces are narrow: a weight would stand on its link
        source = source.replace(' label=" ', ' label="   ')
    return replace(drawing, source=source.replace('POINT-SIZE="8"', fields))
