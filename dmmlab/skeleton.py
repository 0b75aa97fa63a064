"""A new notebook with the house's skeleton, that runs as it is and waits for a question's answer."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from dmmlab.batch import find_notebooks
from dmmlab.files import DMMError, project_root, write_whole

CELLS = (
    "# {number} · {title}\n\n**Question.** {question}\n\n**What the journal did.** Say in a few sentences what "
    "is known already, with its source: a paper and its section, or a folder of the 2022 journal.",
    "## Parameters\n\nSay what the defaults stand for. They are the real thing, in minutes at most.",
    'string: str = "test string."  # what the machine reads\nticks: int = 140  # how long it runs, in ticks',
    "## Run\n\nShort cells, prose first: say what the next lines compute, and why that answers the question. Long code "
    "belongs into the package.",
    "import dmmlab as dmm\n\nmachine = dmm.handcrafted_detector()\nanswers = dmm.run(machine, string, ticks)",
    "## Look\n\nOne picture says it. `save_figure` writes it for papers, and keeps it in this notebook with its "
    "caption, so that `dmmlab figures {number}` draws it again at any width without computing.",
    "figure, axes = dmm.new_figure(columns=1)\nfor side, label in enumerate(('left', 'right')):\n"
    '    axes.step(range(1, ticks + 1), answers[:, side], where="post", label=label)\n'
    'axes.set(xlabel="tick", ylabel="answer")\naxes.legend()\n'
    'dmm.save_figure(figure, "{number}-answers", caption="Both answers of the detector.")\nfigure',
    "## Check\n\nWhat has to be true if the answer is right: assertions, which a rerun with other parameters should "
    "meet as well. What was measured goes to `data/results/` as a small JSON file, and from there into the tables of "
    "sweeps.",
    "final = {{'left': answers[-1, 0], 'right': answers[-1, 1]}}\n"
    'path = dmm.save_results("{stem}", final)\nassert answers.shape == (ticks, 2)',
    "## What we learned\n\nThe answer, in a few sentences; what falls short; what to ask next.",
)


def new_notebook_file(question: str, root: str | os.PathLike | None = None) -> Path:
    """Make `notebooks/NN-words-of-the-question.ipynb` with the next free number; returns its path.

    Raises DMMError for a question without words, and where the project has no notebooks to go on from.
    """
    words = re.findall(r"\w+", question.lower())
    if not words or len(question.splitlines()) > 1:
        raise DMMError(f"question {question!r}: ask in words, in one line")
    last = find_notebooks(root)[-1].name[:2]
    number = f"{int(last) + 1:02}"
    stem = "-".join([number, *words[:5]])
    title = question.rstrip("?").strip()
    told = {"number": number, "question": question, "title": title, "stem": stem}
    texts = [text.format(**told) for text in CELLS]
    cells = [new_code_cell(text) if _is_code(text) else new_markdown_cell(text) for text in texts]
    cells[2].metadata["tags"] = ["parameters"]
    for count, cell in enumerate(cells):
        cell["id"] = f"{number}-{count}"  # nbformat draws them at random
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    return write_whole(Path(root or project_root()) / "notebooks" / f"{stem}.ipynb", nbformat.writes(notebook) + "\n")


def _is_code(text: str) -> bool:
    return not text.startswith("#")
