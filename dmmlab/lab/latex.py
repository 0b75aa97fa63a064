"""Circuits as TikZ source for LaTeX: places from Graphviz, a comment a neuron and link, to go on by hand."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any

from dmmlab.lab.circuits import Drawing, layout

HEAD = "% A circuit for LaTeX: \\usepackage{tikz} in the preamble, then \\input this file.\n"
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}"}
SPECIAL |= {"<": r"\textless{}", ">": r"\textgreater{}", "-": "-{}", '"': r"\textquotedbl{}", "`": "{}`", "'": "{}'"}
SPECIAL |= {c: f"\\{c}" for c in "{}$&#_%"} | {"−": "$-$", "\u200b": ""}
ANCHORS = {"l": "base west", "c": "base", "r": "base east"}


def tikz(drawing: Drawing, width: float | None = None) -> str:
    r"""A circuit as a `tikzpicture`, at its natural size or at most `width` inches wide, for `\input` in a paper.

    It needs the package tikz and nothing else. Raises DMMError with Graphviz's words where the layout fails.

    >>> print(dmm.tikz(dmm.draw(dmm.handcrafted_detector())).splitlines()[1])
    \begin{tikzpicture}[x=1.0000bp, y=1.0000bp]
    """
    graph = json.loads(layout(drawing.source, "json"))
    right = float(graph["bb"].split(",")[2])
    scale = min(1.0, 72 * width / right) if width and right else 1.0
    parts = [graph, *graph.get("edges", []), *[each for each in graph.get("objects", []) if "pos" in each]]
    lines = [line for part in parts for line in _shapes(part, scale)]
    begin = f"\\begin{{tikzpicture}}[x={scale:.4f}bp, y={scale:.4f}bp]"
    return HEAD + "\n".join([begin, *lines, "\\end{tikzpicture}"]) + "\n"


def _shapes(part: dict[str, Any], scale: float) -> Iterator[str]:
    """One neuron, link or title: a comment, then its outlines and its words."""
    if "tooltip" in part:
        yield "% " + html.unescape(part["tooltip"]).replace("\u200b", "")
    pen: dict[str, Any] = {"c": "#000000", "C": "#ffffff", "F": 9.0, "S": {}}
    steps = [step for key in ("_draw_", "_hdraw_", "_ldraw_") for step in part.get(key, [])]
    for step in steps if "tooltip" in part else [step for step in steps if step["op"] in "FT"]:
        match step["op"]:
            case "c" | "C":
                pen[step["op"]] = step["color"]
            case "F":
                pen["F"] = step["size"]
            case "S":
                name, _, value = step["style"].partition("(")
                pen["S"][name if value else "line"] = value.rstrip(")") or name
            case "T":
                size, where = scale * pen["F"], ANCHORS[step["align"]]
                look = f"anchor={where}, inner sep=0, font=\\sffamily\\fontsize{{{size:.2f}}}{{{size:.2f}}}\\selectfont"
                yield f"\\node[{look}, {_color('text', pen['c'])}] at {_at(step['pt'])} {{{escape(step['text'])}}};"
            case kind:
                yield f"\\path[{_look(pen, kind, scale)}] {_outline(step, kind)};"


def _look(pen: dict[str, Any], kind: str, scale: float) -> str:
    line = {"dashed": "dashed", "dotted": "dotted"}.get(pen["S"].get("line", ""), "solid")
    thick = scale * float(pen["S"].get("setlinewidth", 1))
    fill = [_color("fill", pen["C"])] if kind in "PE" else []
    corner = ["rounded corners=2bp"] if "rounded" in pen["S"].values() else []
    return ", ".join([_color("draw", pen["c"]), line, f"line width={thick:.2f}bp", *fill, *corner])


def _outline(step: dict[str, Any], kind: str) -> str:
    if kind in "eE":
        x, y, width, height = step["rect"]
        return f"{_at((x, y))} ellipse [x radius={width:.2f}, y radius={height:.2f}]"
    points = [_at(each) for each in step["points"]]
    if kind in "bB":
        curves = zip(points[1::3], points[2::3], points[3::3], strict=True)
        return points[0] + "".join(f" .. controls {a} and {b} .. {end}" for a, b, end in curves)
    return " -- ".join(points) + (" -- cycle" if kind in "pP" else "")


def _at(point: Any) -> str:
    return f"({point[0]:.2f},{point[1]:.2f})"


def _color(what: str, code: str) -> str:
    """An option such as draw={rgb,255:red,0;green,114;blue,178}, with its opacity where the colour has one."""
    red, green, blue, *alpha = bytes.fromhex(code[1:])
    opacity = "".join(f", {what} opacity={each / 255:.2f}" for each in alpha)
    return f"{what}={{rgb,255:red,{red};green,{green};blue,{blue}}}{opacity}"


def escape(text: str) -> str:
    """Text as LaTeX shows it letter by letter; letters that its usual fonts lack, by their numbers (U+65E5)."""
    letters = (
        SPECIAL.get(c, c if c.isascii() or 0xC0 <= ord(c) < 0x180 else f"\\texttt{{U+{ord(c):04X}}}") for c in text
    )
    return "".join(letters)
