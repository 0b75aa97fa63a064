"""The notebooks' figures again, at the widths of a paper, from the data kept in their outputs: nothing is computed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from dmmlab.files import DMMError, atomic_write
from dmmlab.lab.circuits import Drawing
from dmmlab.lab.figures import MIME, ONE_COLUMN, TWO_COLUMNS, render, unpack
from dmmlab.lab.notebooks import read_notebook
from dmmlab.lab.project import output_root, project_root

FORMATS = ("pdf", "svg", "png", "tex")
PLACES = {ONE_COLUMN: "one-column", TWO_COLUMNS: "two-columns"}
HEAD = """# Figures

Drawn from what the notebooks keep in their outputs; `dmmlab figures` draws all of them again, to the same bytes, and
`dmmlab run NN` computes them anew. Circuits are also TikZ source (`.tex`).
"""


def read_figures(chosen: Iterable[str] = (), folder: str | os.PathLike | None = None) -> list[dict]:
    """The figures kept in executed notebooks: dicts with name, caption, recipe (see `dmmlab.figures.pack`), notebook.

    chosen: numbers of notebooks or names of figures; none means all. folder: where the notebooks are, the project's
    unless given; a folder of `dmmlab run` is one too. Raises DMMError where one of the chosen is not found.
    """
    folder, found = Path(folder or project_root() / "notebooks"), []
    for path in sorted(folder.glob("[0-9][0-9]-*.ipynb")):
        outputs = [output for cell in read_notebook(path).cells for output in cell.get("outputs", ())]
        kept = {each["name"]: each for output in outputs if (each := output.get("data", {}).get(MIME))}
        found += [{**each, "notebook": path.name} for each in kept.values()]
    return _choose(found, chosen, folder)


def _choose(found: list[dict], chosen: Iterable[str], folder: Path) -> list[dict]:
    wanted = [each.zfill(2) if each.isdigit() else each for each in map(str, chosen)]
    for each in wanted:
        if not any(each in (figure["name"], figure["notebook"][:2]) for figure in found):
            names = ", ".join(figure["name"] for figure in found) or "none; run the notebooks first"
            raise DMMError(f"{folder}: no figure or notebook {each!r}; figures: {names}")
    return [each for each in found if not wanted or {each["name"], each["notebook"][:2]} & {*wanted}]


def draw_figures(
    chosen: Iterable[str] = (),
    formats: Sequence[str] = FORMATS,
    widths: Sequence[float] = (ONE_COLUMN, TWO_COLUMNS),
    folder: str | os.PathLike | None = None,
) -> list[Path]:
    """Draw kept figures into `figures/`, a folder for each width in inches, and write its index; returns the paths.

    `chosen` and `folder` as for `read_figures`; "tex" is written for circuits only. Same notebooks, same bytes.
    Raises DMMError for other formats or widths, before anything is written.
    """
    if bad := [each for each in formats if each not in FORMATS]:
        raise DMMError(f"{bad[0]!r} is no format of a figure; choose from {', '.join(FORMATS)}")
    if bad := [each for each in widths if not 1 <= each <= 40]:
        raise DMMError(f"a figure {bad[0]:g} inches wide cannot be printed; give 1 to 40")
    folder = Path(folder or project_root() / "notebooks")
    found, root, paths = read_figures((), folder), output_root() / "figures", []
    for kept in _choose(found, chosen, folder):
        for width in widths:
            figure = unpack(kept["recipe"], width)
            for format in formats if isinstance(figure, Drawing) else [each for each in formats if each != "tex"]:
                path = root / PLACES.get(width, f"{width:g}-inches") / f"{kept['name']}.{format}"
                paths.append(atomic_write(path, render(figure, format, width)))
    atomic_write(root / "index.md", _index(found, root))
    return paths


def _index(figures: list[dict], root: Path) -> str:
    """Every figure with its picture, caption, files, and the commands that made it."""
    lines = [HEAD]
    for each in figures:
        name, number = each["name"], each["notebook"][:2]
        paths = [path for place in PLACES.values() for path in sorted(root.glob(f"{place}/{name}.*"))]
        files = [path for path in paths if path.suffix[1:] in FORMATS]
        links = ", ".join(f"[{path.parent.name} {path.suffix[1:]}]({path.parent.name}/{path.name})" for path in files)
        shown = [path for path in files if path.suffix == ".svg"][-1:]
        lines += [f"## {name}\n", *(f"![{each['caption'] or name}]({p.parent.name}/{p.name})\n" for p in shown)]
        lines += [f"{each['caption']}\n"] * bool(each["caption"]) + [f"{links}\n"] * bool(links)
        lines += [f"Computed by `dmmlab run {number}`, drawn by `dmmlab figures {name} --format pdf --width 3.5`.\n"]
    return "\n".join(lines)
