"""Circuits: a machine as a graph (Graphviz) that shows itself in a notebook; the same bytes every time."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import graphviz
import matplotlib

from dmmlab.files import DMMError, atomic_write, check_int
from dmmlab.lab.layers import Wire, layers_of, parts_of, places_of
from dmmlab.machines import SOURCES, Machine
from dmmlab.neurons import find_kind

MANY, HAIRLINE = 60, 150  # soft links: beyond the first a picture has no labels, beyond the second mere hairlines
SVG_URI = "data:image/svg+xml,"
UNFOLD = (
    'document.querySelectorAll("img.dmm-drawing").forEach(function (image) '
    f'{{ image.outerHTML = decodeURIComponent(image.getAttribute("src").slice({len(SVG_URI)})); }});'
)
# Blue and vermilion stay apart in every kind of colour blindness; in grey print the dashes do it.
POSITIVE, NEGATIVE, QUIET = "#0072B2", "#D55E00", "#888888"
FILLS = {"accum": "#E6F0E3", "norm": "#FFF6DC", "dot": "#F4E9F2", "compare": "#E4F1F2"}
SHAPES = {"norm": {"style": "filled,rounded"}, "output": {"penwidth": "1.5"}}
SHAPES |= dict.fromkeys(SOURCES, {"shape": "ellipse", "fillcolor": "#EEEEEE"})
FONT = {"fontname": "DejaVu Sans,Verdana,sans-serif"}  # readers of an SVG may lack the first
GRAPH = FONT | {"rankdir": "BT", "nodesep": "0.2", "ranksep": "0.3", "outputorder": "edgesfirst", "fontsize": "10"}
# The default label stands in a line of its own: pygraphviz forgets it in the first graph of a process.
NODE = FONT | {"label": r"\N", "shape": "box", "style": "filled", "color": "#555555", "fontsize": "9"}
NODE |= {"margin": "0", "width": "0.4", "height": "0"}
EDGE = FONT | {"arrowsize": "0.6", "fontsize": "8"}
ROOMY = {"nodesep": "0.3", "ranksep": "0.25"}
TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">'
SLOT = f'{TABLE[:-1]} FIXEDSIZE="TRUE" WIDTH="48" HEIGHT="30"><TR><TD ALIGN="LEFT">'
PYGRAPHVIZ = """import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
drawn = graph.draw(None, sys.argv[1][2:], graph.graph_attr.get("layout", "dot"), " ".join(sys.argv[2:]))
sys.stdout.buffer.write(drawn)"""


@dataclass(frozen=True)
class Drawing:
    """A machine as a graph, which shows itself in a notebook; `source` is its DOT text.

    >>> dmm.draw(dmm.handcrafted_detector())
    Drawing(9 neurons, 8 soft links, 3 fixed)
    """

    source: str
    summary: str = ""

    def __repr__(self) -> str:
        return f"Drawing({self.summary})"

    def svg(self, width: float | None = None) -> str:
        """The picture as an `<svg>` element with tooltips, at most `width` inches wide. Raises DMMError."""
        text = layout(self.source, "svg", width).decode("utf-8").replace("\u200b", "")
        text = '<svg style="max-width:100%;height:auto"' + text[text.index("<svg") + 4 :]
        # Browsers show <title>: the tooltip instead of Graphviz's own name. Ids are equal in all drawings of a page.
        text = re.sub(r' id="(neuron|link)(\d+)"', r' data-\1="\2"', text)
        text = re.sub(r'<title>[^<]*</title>\n| id="[^"]*"', "", text)
        return re.sub(r'<g><a xlink:title="([^"]*)">', r"<title>\1</title>", text).replace("</a>\n</g>\n", "")

    def render(self, format: str, width: float | None = None) -> bytes:
        """The picture as svg, pdf, png (200 dots per inch) or dot, at most `width` inches wide. Raises DMMError."""
        if format == "dot":
            return self.source.encode()
        return self.svg(width).encode() if format == "svg" else layout(self.source, format, width)

    def save(self, path: str | os.PathLike) -> Path:
        """Write a file .svg, .pdf, .png or .dot. Raises DMMError for others, or if it fails."""
        format = Path(path).suffix.lower()[1:]
        if format not in ("svg", "pdf", "png", "dot"):
            raise DMMError(f"{path}: a drawing is written as .svg, .pdf, .png or .dot; change the suffix")
        return atomic_write(path, self.render(format))

    def image(self, name: str = "dmm-drawing") -> str:
        """The picture as an `<img>` of class `name`, which holds its data itself."""
        source = quote(self.svg(), safe=" !$'()*+,-./:;=?@_~")
        return f'<img class="{name}" alt="{html.escape(repr(self))}" src="{SVG_URI}{source}"/>'

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        # An <img> has no tooltips, but survives where HTML is not trusted (a fresh clone in JupyterLab, GitHub), which
        # would leave an inline <svg> as a heap of words. Where scripts may run, it unfolds into the inline picture.
        return {"text/html": f"<div>{self.image()}<script>{UNFOLD}</script></div>", "text/plain": repr(self)}


def layout(source: str, format: str, width: float | None = None) -> bytes:
    """What Graphviz makes of DOT text, without dates, at most `width` inches wide; raises DMMError where it fails."""
    # Where there is no `dot`, pygraphviz brings the library along; either as a process, which can be interrupted.
    command = [dot] if (dot := shutil.which("dot")) else [sys.executable, "-c", PYGRAPHVIZ]
    command += [f"-T{format}", "-Gdpi=200"] if format == "png" else [f"-T{format}"]
    command += ["-Gmargin=0"] if format == "pdf" else []  # else half an inch, as on a sheet of paper
    command += [f"-Gsize={width:g},99"] if width else []
    # Fontconfig looks into XDG_DATA_HOME/fonts: matplotlib's DejaVu Sans is there, even on a machine without fonts.
    environment = os.environ | {"XDG_DATA_HOME": matplotlib.get_data_path(), "SOURCE_DATE_EPOCH": "0"}
    done = subprocess.run(command, input=source.encode(), capture_output=True, env=environment)
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"it ended with {done.returncode}"]
        words = next((line for line in said if line.startswith("Error")), said[-1])
        raise DMMError(f"Graphviz: {words}; correct the DOT text, or install Graphviz anew")
    # Older cairo knows no SOURCE_DATE_EPOCH; a date of the same length keeps the offsets in the file right.
    return re.sub(rb"(?<=/CreationDate \(D:)\d{14}", b"19700101000000", done.stdout)


def draw(
    machine: Machine, live_only: bool = False, title: str | None = None, digits: int = 2, value_slots: bool = False
) -> Drawing:
    """A machine as a graph: input below, output above, a line for every link; always the same for the same machine.

    Soft links are blue, or vermilion and dashed for negative weights; wider for larger ones; labelled up to 60 links,
    and mere hairlines beyond 150. Fixed links are grey and dotted.

    Args:
        machine: what is drawn.
        live_only: leave out links of weight zero, and neurons that no source reaches or that reach no output.
        title: a line above the picture.
        digits: significant digits of the labels.
        value_slots: leave room beside every link for a value; in SVG, `data-neuron` and `data-link` number the parts.

    >>> dmm.draw(dmm.handcrafted_detector()).save("detector.svg").name
    'detector.svg'
    """
    digits = check_int("digits", digits)
    kinds, wires = parts_of(machine, live_only)
    layers = layers_of(kinds, wires)
    soft = [abs(weight) for _, weight, fixed in wires if not fixed]
    graph = graphviz.Digraph(graph_attr=_sheet(title, len(soft), value_slots), node_attr=NODE, edge_attr=EDGE)
    ports, cells = _ports(kinds, wires) if len(soft) <= HAIRLINE else ({}, {})
    looks = {name: _node(name, kind, cells) for name, kind in kinds.items()}
    ids = {name: f"n{number}" for number, name in enumerate(kinds)}
    if value_slots:
        looks = {name: look | {"id": ids[name].replace("n", "neuron")} for name, look in looks.items()}
    _add_layers(graph, layers, ids, looks, places_of(layers) if len(soft) > HAIRLINE else {})
    height = {name: rank for rank, row in enumerate(layers) for name in row}
    for number, (link, weight, fixed) in enumerate(wires):
        look = _line(weight, fixed, abs(weight) / (max(soft, default=0) or 1), len(soft), digits)
        look["constraint"] = "true" if height[link.from_neuron] < height[link.to_neuron] else "false"
        if value_slots:
            look |= {"id": f"link{number}", "label": f"<{SLOT}\u00a0×{weight:.{digits}g}</TD></TR></TABLE>>"}
        tail = ids[link.from_neuron] + ports.get((link.from_neuron, "outputs", link.from_field), "")
        head = ids[link.to_neuron] + ports.get((link.to_neuron, "inputs", link.to_field), "")
        graph.edge(tail, head, tooltip=_text(f"{link}  {weight:.6g}"), **look)
    return Drawing(graph.source, f"{len(kinds)} neurons, {len(soft)} soft links, {len(wires) - len(soft)} fixed")


def _add_layers(
    graph: graphviz.Digraph, layers: list[list[str]], ids: Mapping, looks: Mapping, places: Mapping
) -> None:
    for row in layers:
        level = "source" if row is layers[0] else "sink" if row is layers[-1] else "same"
        with graph.subgraph(graph_attr={"rank": level}) as layer:
            for name in row:
                place = {"pos": "{:.1f},{}".format(*places[name])} if name in places else {}
                layer.node(ids[name], **looks[name], **place)


def _sheet(title: str | None, links: int, value_slots: bool) -> dict[str, str]:
    sheet = GRAPH | ({"label": _text(str(title)), "labelloc": "t"} if title else {})
    if links > HAIRLINE:  # `dot` would make it metres wide, so each neuron has its place
        return sheet | {"layout": "nop", "splines": "line", "nodesep": "0.01"}
    return sheet | (ROOMY if value_slots else {})


def _ports(kinds: Mapping[str, str], wires: list[Wire]) -> tuple[dict, dict]:
    """Ports of the fields in use, where a neuron has several in that role, and as cells of the neuron's table."""
    used = {(link.to_neuron, "inputs", link.to_field) for link, _, _ in wires}
    used |= {(link.from_neuron, "outputs", link.from_field) for link, _, _ in wires}
    ports, cells = {}, {}
    for name, role, field in sorted(used):
        if set(getattr(find_kind(kinds[name]), role) or ()) != {field}:
            cell = f'<TD PORT="p{len(ports)}" CELLPADDING="3"><FONT POINT-SIZE="7">{_text(field)}</FONT></TD>'
            cells[name, role] = cells.get((name, role), "") + cell
            ports[name, role, field] = f":p{len(ports)}:{'s' if role == 'inputs' else 'n'}"
    return ports, cells


def _text(name: str) -> str:
    """A name as HTML that Graphviz shows letter by letter; what cannot be printed, as Python escapes it."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    # Graphviz would replace \N by the name of the node, even where the backslash is doubled: so a space of no width.
    return html.escape(shown).replace("\\", "\\\\\u200b")


def _node(name: str, kind: str, cells: Mapping[tuple[str, str], str]) -> dict[str, str]:
    words = [name] if name.startswith(kind) else [name, kind]
    rows = [f'<TD CELLPADDING="4">{_text(word)}</TD>' for word in words]
    sides = [f"<TD>{TABLE}<TR>{cells.get((name, role), '')}</TR></TABLE></TD>" for role in ("outputs", "inputs")]
    rows = [row for row in (sides[0], *rows, sides[1]) if "<TR></TR>" not in row]
    look = {"label": f"<{TABLE}<TR>{'</TR><TR>'.join(rows)}</TR></TABLE>>", "fillcolor": FILLS.get(kind, "white")}
    return look | {"tooltip": _text(f"{name} ({kind})")} | SHAPES.get(kind, {})


def _line(weight: float, fixed: bool, share: float, links: int, digits: int) -> dict[str, str]:
    color = QUIET if fixed else NEGATIVE if weight < 0 else POSITIVE
    if links > HAIRLINE and not fixed:
        return {"color": f"{color}50", "penwidth": f"{0.1 + 1.2 * share:.2f}", "dir": "none"}
    look = {"color": color, "penwidth": f"{0.4 + 1.4 * share:.2f}", "style": "dashed" if weight < 0 else "solid"}
    look |= {"style": "dotted", "penwidth": "1", "arrowsize": "0.4"} if fixed else {}
    # Rounded, then printed without an exponent where one can do without: 0.76, -1.3, 1, 120.
    label = {"fontcolor": color, "label": f" {float(f'{weight:.{digits}g}'):.15g}"}
    return look if links > MANY or (fixed and weight == 1) else look | label
