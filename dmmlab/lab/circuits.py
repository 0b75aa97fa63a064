"""Circuits: a machine as a graph (Graphviz) that shows itself in a notebook; the same bytes every time."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import graphviz
import matplotlib

from dmmlab.files import DMMError, atomic_write, check_int
from dmmlab.lab.layers import Wire, in_lines, is_source, layers_of, parts_of, places_of, short_names
from dmmlab.machines import Machine
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
SOURCE = {"shape": "ellipse", "fillcolor": "#EEEEEE"}
SHAPES = {"norm": {"style": "filled,rounded"}, "output": {"penwidth": "1.5"}}
# Readers of an SVG may lack the first font. The label is Graphviz's own, but pygraphviz forgets that in the first graph
# of a process.
FONT = "DejaVu Sans,Verdana,sans-serif"
DEFAULTS = rf"""	fontname="{FONT}"
	graph [fontsize=10 nodesep=0.08 outputorder=edgesfirst rankdir=BT ranksep=0.3]
	node [fontname="{FONT}" fontsize=9 label="\N"]
	node [color="#555555" height=0 margin=0 shape=box style=filled width=0.4]
	edge [fontname="{FONT}" fontsize=8 arrowsize=0.6]
"""
OPTIONS = {"png": ["-Gdpi=200"], "pdf": ["-Gmargin=0"]}  # a margin would be half an inch, as on a sheet of paper
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
        if format == "svg":
            return self.svg(width).encode()
        return layout(self.source, format, width)

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
    dot = shutil.which("dot")
    command = [dot] if dot else [sys.executable, "-c", PYGRAPHVIZ]
    command += [f"-T{format}", *OPTIONS.get(format, [])]
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
    machine: Machine,
    live_only: bool = False,
    title: str | None = None,
    digits: int = 2,
    value_slots: bool = False,
    full_names: bool = False,
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
        full_names: write `compare-3-1` also where `compare-3` or `compare` tells it from all others in the picture.

    >>> dmm.draw(dmm.handcrafted_detector()).save("detector.svg").name
    'detector.svg'
    """
    digits = check_int("digits", digits)
    kinds, wires = parts_of(machine, live_only)
    layers = layers_of(kinds, wires)
    soft = [abs(wire.weight) for wire in wires if not wire.fixed]
    links, largest = len(soft), max(soft, default=0) or 1
    crowded = links > HAIRLINE  # then no tables, and each neuron has its place: `dot` would make it metres wide
    ports, cells = ({}, {}) if crowded else _ports(kinds, wires)
    shown = {} if full_names else short_names(kinds)
    nodes = {name: _node(name, kind, cells, shown.get(name, name), crowded) for name, kind in kinds.items()}
    edges = [_line(wire, abs(wire.weight) / largest, links, digits) for wire in wires]
    if value_slots:
        _make_room(nodes, edges, wires, digits)
    graph = graphviz.Digraph(body=[DEFAULTS])
    if title:
        graph.attr(label=_text(str(title)), labelloc="t")
    if crowded:
        graph.attr(layout="nop", splines="line", nodesep="0.01")
        for name, (x, y) in places_of(layers).items():
            nodes[name]["pos"] = f"{x:.1f},{y}"
    elif value_slots:
        graph.attr(nodesep="0.3", ranksep="0.25")
    _fill(graph, layers, nodes, zip(wires, edges, strict=True), ports)
    return Drawing(graph.source, f"{len(kinds)} neurons, {links} soft links, {len(wires) - links} fixed")


def _make_room(nodes: Mapping, edges: list[dict], wires: list[Wire], digits: int) -> None:
    """Number the parts, and give every link a label that leaves room for a value."""
    for number, node in enumerate(nodes.values()):
        node["id"] = f"neuron{number}"
    for number, (edge, wire) in enumerate(zip(edges, wires, strict=True)):
        edge["id"] = f"link{number}"
        edge["label"] = f"<{SLOT}\u00a0×{wire.weight:.{digits}g}</TD></TR></TABLE>>"


def _fill(graph: graphviz.Digraph, layers: list, nodes: Mapping, edges: Iterable, ports: Mapping) -> None:
    """Add the neurons, layer by layer, and the links, which push a layer up unless they lead back."""
    ids = {name: f"n{number}" for number, name in enumerate(nodes)}
    height = {}
    for rank, row in enumerate(layers):
        level = "source" if rank == 0 else "sink" if row is layers[-1] else "same"
        with graph.subgraph(graph_attr={"rank": level}) as layer:
            for name in row:
                height[name] = rank
                layer.node(ids[name], **nodes[name])
    for ((to, to_field, source, from_field), _, _), edge in edges:
        tail = ids[source] + ports.get((source, "outputs", from_field), "")
        head = ids[to] + ports.get((to, "inputs", to_field), "")
        up = height[source] < height[to]
        graph.edge(tail, head, constraint="true" if up else "false", **edge)


def _ports(kinds: Mapping[str, str], wires: list[Wire]) -> tuple[dict, dict]:
    """Ports of the fields in use, where a neuron has several in that role, and as cells of the neuron's table."""
    used = set()
    for link, _, _ in wires:
        used.add((link.to_neuron, "inputs", link.to_field))
        used.add((link.from_neuron, "outputs", link.from_field))
    ports, cells = {}, defaultdict(str)
    for name, role, field in sorted(used):
        if set(getattr(find_kind(kinds[name]), role) or ()) == {field}:
            continue
        port = f"p{len(ports)}"
        cells[name, role] += f'<TD PORT="{port}" CELLPADDING="3"><FONT POINT-SIZE="8">{_text(field)}</FONT></TD>'
        ports[name, role, field] = f":{port}:s" if role == "inputs" else f":{port}:n"
    return ports, cells


def _text(name: str) -> str:
    """A name as HTML that Graphviz shows letter by letter; what cannot be printed, as Python escapes it."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    # Graphviz would replace \N by the name of the node, even where the backslash is doubled: so a space of no width.
    return html.escape(shown).replace("\\", "\\\\\u200b")


def _node(name: str, kind: str, cells: Mapping, shown: str, crowded: bool) -> dict[str, str]:
    """The look of a neuron: a table of its outputs, the name that is shown (in two lines if crowded), kind, inputs."""
    words, padding = [shown] if name.startswith(kind) else [name, kind], 4
    if name.startswith("letter-") and kind.startswith("letter "):
        words, padding = [kind.replace(" ", "-", 1)], 0
    if crowded or not padding:  # machines read many letters, which stand beside one another
        words = ["<BR/>".join(map(_text, in_lines(word))) for word in words]
    else:
        words = [*map(_text, words)]
    rows = [f'<TD CELLPADDING="{padding}">{word}</TD>' for word in words]
    if (name, "outputs") in cells:
        rows.insert(0, f"<TD>{TABLE}<TR>{cells[name, 'outputs']}</TR></TABLE></TD>")
    if (name, "inputs") in cells:
        rows.append(f"<TD>{TABLE}<TR>{cells[name, 'inputs']}</TR></TABLE></TD>")
    table = f"<{TABLE}<TR>{'</TR><TR>'.join(rows)}</TR></TABLE>>"
    look = {"label": table, "tooltip": _text(f"{name} ({kind})"), "fillcolor": FILLS.get(kind, "white")}
    return look | (SOURCE if is_source(kind) else SHAPES.get(kind, {}))


def sign_color(weight: float) -> str:
    """Blue, or vermilion for a negative weight."""
    return NEGATIVE if weight < 0 else POSITIVE


def _line(wire: Wire, share: float, links: int, digits: int) -> dict[str, str]:
    """The look of a link that has this share of the largest weight, among so many soft links."""
    color = QUIET if wire.fixed else sign_color(wire.weight)
    look = {"color": color, "tooltip": _text(f"{wire.link}  {wire.weight:.6g}")}
    if wire.fixed:
        look |= {"style": "dotted", "penwidth": "1", "arrowsize": "0.4"}
        if links > HAIRLINE and wire.link.to_neuron == wire.link.from_neuron:
            look["dir"] = "none"  # there is no room for such a loop, and its head alone would be a speck
    elif links > HAIRLINE:
        look |= {"color": f"{color}50", "penwidth": f"{0.1 + 1.2 * share:.2f}", "dir": "none"}
    else:
        look |= {"style": "dashed" if wire.weight < 0 else "solid", "penwidth": f"{0.4 + 1.4 * share:.2f}"}
    if links > MANY or (wire.fixed and wire.weight == 1):
        return look
    # Rounded, then printed without an exponent where one can do without: 0.76, -1.3, 1, 120.
    return look | {"fontcolor": color, "label": f" {float(f'{wire.weight:.{digits}g}'):.15g}"}
