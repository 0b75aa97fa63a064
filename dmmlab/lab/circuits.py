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

from dmmlab.engine.graphs import reached
from dmmlab.files import DMMError, atomic_write, check_int
from dmmlab.machines import SOURCES, Machine
from dmmlab.neurons import find_kind

MANY, TEXTURE = 60, 150  # soft links: beyond the first a picture has no labels, beyond the second no ports
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
ROOM = f'{TABLE[:-1]} FIXEDSIZE="TRUE" WIDTH="48" HEIGHT="30"><TR><TD ALIGN="LEFT">'
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

    def save(self, path: str | os.PathLike) -> Path:
        """Write a file .svg, .pdf, .png (200 dots per inch) or .dot. Raises DMMError for others, or if it fails."""
        format = Path(path).suffix.lower()[1:]
        if format not in ("svg", "pdf", "png", "dot"):
            raise DMMError(f"{path}: a drawing is written as .svg, .pdf, .png or .dot; change the suffix")
        texts = {"svg": self.svg, "dot": lambda: self.source}
        return atomic_write(path, texts[format]() if format in texts else layout(self.source, format))

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
    machine: Machine, live_only: bool = False, title: str | None = None, digits: int = 2, room: bool = False
) -> Drawing:
    """A machine as a graph: input below, output above, a line for every link; always the same for the same machine.

    Soft links are blue, or vermilion and dashed for negative weights; wider for larger ones; labelled with `digits`
    significant digits up to 60 links, and mere hairlines beyond 150. Fixed links are grey and dotted. `live_only`
    leaves out links of weight zero, and neurons that no source reaches or that reach no output. `room` leaves some
    beside every link for a value above its weight; neurons and links then carry their numbers in `parts_of`, in SVG as
    `data-neuron` and `data-link`.

    >>> dmm.draw(dmm.handcrafted_detector()).save("detector.svg").name
    'detector.svg'
    """
    digits = check_int("digits", digits)
    kinds, wires = parts_of(machine, live_only)
    soft = [abs(weight) for _, weight, fixed in wires if not fixed]
    widest, texture = max(soft, default=0), len(soft) > TEXTURE
    ids = {name: f"n{number}" for number, name in enumerate(kinds)}
    marks = {name: {"id": f"neuron{number}"} for number, name in enumerate(kinds) if room}
    ports, cells = ({}, {}) if texture else _ports(kinds, wires)
    sheet = {"label": _text(str(title)), "labelloc": "t"} if title else {}
    sheet |= {"layout": "nop", "splines": "line", "nodesep": "0.01"} if texture else ROOMY if room else {}
    graph = graphviz.Digraph(graph_attr=GRAPH | sheet, node_attr=NODE, edge_attr=EDGE)
    layers = layers_of(kinds, wires)
    for rank, row in enumerate(layers):
        level = "source" if rank == 0 else "sink" if row is layers[-1] else "same"
        with graph.subgraph(graph_attr={"rank": level}) as layer:
            for number, name in enumerate(row):
                place = {"pos": place_of(layers, rank, number)} if texture else {}
                layer.node(ids[name], **_node(name, kinds[name], cells), **place, **marks.get(name, {}))
    height = {name: rank for rank, row in enumerate(layers) for name in row}
    for number, (link, weight, fixed) in enumerate(wires):
        tail = ids[link.from_neuron] + ports.get((link.from_neuron, "outputs", link.from_field), "")
        head = ids[link.to_neuron] + ports.get((link.to_neuron, "inputs", link.to_field), "")
        look = _line(weight, fixed, abs(weight) / (widest or 1), len(soft), digits)
        look["constraint"] = "true" if height[link.from_neuron] < height[link.to_neuron] else "false"
        if room:
            look |= {"id": f"link{number}", "label": f"<{ROOM}\u00a0×{weight:.{digits}g}</TD></TR></TABLE>>"}
        graph.edge(tail, head, tooltip=_text(f"{link}  {weight:.6g}"), **look)
    return Drawing(graph.source, f"{len(kinds)} neurons, {len(soft)} soft links, {len(wires) - len(soft)} fixed")


def parts_of(machine: Machine, live_only: bool) -> tuple[dict[str, str], list[tuple]]:
    """What is drawn, sorted: names of neurons with their kinds; links with their weights and whether they are fixed."""
    kinds = dict(sorted(machine.neurons.items()))
    wires = [(link, weight, False) for link, weight in machine.soft_links.items()]
    wires = sorted(wires + [(link, weight, True) for link, weight in machine.fixed_links.items()])
    if live_only:
        wires = [wire for wire in wires if wire[1] != 0]
        steps = [(link.from_neuron, link.to_neuron) for link, _, _ in wires]
        fed = reached([name for name, kind in kinds.items() if kind in SOURCES], steps)
        useful = reached([name for name, kind in kinds.items() if kind == "output"], [step[::-1] for step in steps])
        kinds = {name: kind for name, kind in kinds.items() if kind == "output" or name in fed & useful}
        wires = [wire for wire in wires if wire[0].to_neuron in kinds and wire[0].from_neuron in kinds]
    return kinds, wires


def layers_of(kinds: Mapping[str, str], wires: list[tuple]) -> list[list[str]]:
    """Neurons by their longest path from the sources, which are the first layer; outputs are the last.

    On the way back from the outputs, links that close a cycle do not count: their ends never share a layer.
    """
    before = {name: sorted({link.from_neuron for link, _, _ in wires if link.to_neuron == name}) for name in kinds}
    ranks = {name: 0 for name in kinds if kinds[name] in SOURCES}
    for start in sorted(kinds, key=lambda name: kinds[name] != "output"):
        way = [start]  # from an output down to the neuron in hand
        while way:
            waiting = [each for each in before[way[-1]] if each not in ranks and each not in way]
            if waiting:
                way.append(waiting[0])
                continue
            name = way.pop()
            known = (ranks[each] for each in before[name] if each in ranks)
            ranks.setdefault(name, 1 + max(known, default=0))
    top = max(ranks.values(), default=0) + 1
    rows = {name: top if kind == "output" else ranks[name] for name, kind in kinds.items()}
    return [[name for name in kinds if rows[name] == row] for row in sorted(set(rows.values()))]


def place_of(layers: list[list[str]], rank: int, number: int) -> str:
    """A position in points, for a texture, which `dot` would make metres wide: layers shifted to let lines pass."""
    width = max(360, (12 + 6 * max(len(name) for row in layers for name in row)) * max(map(len, layers)))
    shift = 0.5 if rank in (0, len(layers) - 1) else 0.25 + 0.5 * (rank % 2)
    return f"{width * (number + shift) / len(layers[rank]):.1f},{80 * rank}"


def _ports(kinds: Mapping[str, str], wires: list[tuple]) -> tuple[dict, dict]:
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
    if links > TEXTURE and not fixed:
        return {"color": f"{color}50", "penwidth": f"{0.1 + 1.2 * share:.2f}", "dir": "none"}
    look = {"color": color, "penwidth": f"{0.4 + 1.4 * share:.2f}", "style": "dashed" if weight < 0 else "solid"}
    look |= {"style": "dotted", "penwidth": "1", "arrowsize": "0.4"} if fixed else {}
    # Rounded, then printed without an exponent where one can do without: 0.76, -1.3, 1, 120.
    label = {"fontcolor": color, "label": f" {float(f'{weight:.{digits}g}'):.15g}"}
    return look if links > MANY or (fixed and weight == 1) else look | label
