"""A new notebook with the house's skeleton (`skeleton.txt`), that runs as it is and waits for a question's answer."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from dmmlab.files import DMMError, atomic_write
from dmmlab.lab.notebooks import find_notebooks
from dmmlab.lab.project import project_root


def new_notebook_file(question: str, root: str | os.PathLike | None = None) -> Path:
    """Make `notebooks/NN-words-of-the-question.ipynb` with the next free number; returns its path.

    Raises DMMError for a question without words, and where the project has no notebooks to go on from.
    """
    words = re.findall(r"\w+", question.lower())
    if not words or len(question.splitlines()) > 1:
        raise DMMError(f"question {question!r}: ask in words, in one line")
    number = f"{int(find_notebooks(root)[-1].name[:2]) + 1:02}"
    stem = "-".join([number, *words[:5]])
    told = {"number": number, "question": question, "title": question.rstrip("?").strip(), "stem": stem}
    text, cells = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8"), []
    for count, part in enumerate(re.split(r"^%%", text, flags=re.MULTILINE)):
        kind, _, source = part.partition("\n") if count else ("", "", part)
        make = new_code_cell if kind else new_markdown_cell
        tags = {"tags": ["parameters"]} if kind.strip() == "parameters" else {}
        # nbformat draws ids at random.
        cells.append(make(source.strip().format(**told), id=f"{number}-{count}", metadata=tags))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    return atomic_write(Path(root or project_root()) / "notebooks" / f"{stem}.ipynb", nbformat.writes(notebook) + "\n")
