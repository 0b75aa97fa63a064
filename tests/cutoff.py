"""What of a picture's text lies beyond its edge, and how small it is."""

import re
import xml.etree.ElementTree as ET
from unittest.mock import patch

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import TextToPath

TRANSFORM = re.compile(r"scale\(([\d.]+) [\d.]+\) rotate\(0\) translate\(([-\d.]+) ([-\d.]+)\)")
ROOM = 1.0  # pixels or points: letters have soft edges


def cut_off(figure):
    """The texts of a matplotlib figure that are drawn beyond its edge, with where they are."""
    drawn, draw = [], Text.draw

    def note(text, renderer, *rest, **options):
        draw(text, renderer, *rest, **options)
        if text.get_visible() and text.get_text().strip():
            drawn.append((text.get_text(), text.get_window_extent(renderer)))

    with patch.object(Text, "draw", note):
        FigureCanvasAgg(figure).draw()
    edge = figure.bbox
    assert drawn, "the figure has no text at all"
    return [
        (text, box.extents.round().tolist())
        for text, box in drawn
        if box.x0 < -ROOM or box.y0 < -ROOM or box.x1 > edge.x1 + ROOM or box.y1 > edge.y1 + ROOM
    ]


def cut_off_svg(svg, family):
    """The texts of a Graphviz SVG that leave its canvas, in a font of matplotlib, with where they are."""
    root, found = ET.fromstring(svg), []
    left, top, width, height = map(float, root.get("viewBox").split())
    scale, dx, dy = map(float, TRANSFORM.search(svg).groups())
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        words, font = "".join(text.itertext()).strip(), FontProperties(family=family, size=float(text.get("font-size")))
        wide, high, below = (scale * each for each in TextToPath().get_text_width_height_descent(words, font, False))
        x, y = scale * (float(text.get("x")) + dx) - left, scale * (float(text.get("y")) + dy) - top
        x -= {"middle": wide / 2, "end": wide}.get(text.get("text-anchor"), 0)
        if min(x, y - high + below) < -ROOM or x + wide > width + ROOM or y + below > height + ROOM:
            found.append((words, [round(each) for each in (x, y, x + wide, width, height)]))
    return found


def smallest_text(svg):
    """Points of the smallest text of a Graphviz SVG as it is printed."""
    sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)"', svg)]
    return float(TRANSFORM.search(svg)[1]) * min(sizes)
