"""A new notebook: a copy of `template.ipynb`, that runs as it is and waits for a question's answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

from dmmlab.files import DMMError, atomic_write
from dmmlab.lab.notebooks import find_notebooks


def new_notebook_file(question: str) -> Path:
    """Make `notebooks/NN-words-of-the-question.ipynb`; returns its path. NN is the first free number after those there
    are; the last page, 99, stays the last.

    Raises DMMError for a question without words, and where the project has no notebooks to go on from.
    """
    words = re.findall(r"\w+", question.lower())
    if not words or len(question.splitlines()) > 1:
        raise DMMError(f"question {question!r}: ask in words, in one line")
    there = find_notebooks()
    taken = {int(path.name[:2]) for path in there}
    number = f"{next(number for number in range(min(taken), 101) if number not in taken):02}"
    stem = "-".join([number, *words[:5]])
    text = (Path(__file__).parent / "template.ipynb").read_text(encoding="utf-8")
    told = {"number": number, "stem": stem, "title": question.rstrip("?").strip(), "question": question}
    for name, value in told.items():
        text = text.replace("{" + name + "}", json.dumps(value, ensure_ascii=False)[1:-1])
    return atomic_write(there[0].with_name(f"{stem}.ipynb"), text)
