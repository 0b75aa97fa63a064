"""No number is typed that nobody can check: what was measured is printed by a cell, and the rest has its source.

The numbers in the prose of a notebook are its parameters, or stand in `data/quoted/NN.csv` with what they are and
where they come from; likewise those of the README and of the other pages.
"""

import ast
import csv
import html
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = {"README": ["README.md"], "docs": ["docs/index.md", "docs/api.md"], "data": ["data/README.md"]}
QUOTED = ROOT / "data/quoted"

NUMBER = re.compile(r"(?<![\w.#/-])(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:e[-+]?\d+)?", re.ASCII)
LIST = r" \[?#?\d+\]?(?:(?:, | and |–| to | or )\[?#?\d+\]?)*"
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
APART = [
    r"(?s)```.*?```",  # code
    r"`[^`\n]*`",
    r"(?s)\$\$.*?\$\$",  # formulas
    r"\$[^$]*\$",
    r"(?<=\])\([^)]*\)",  # where links lead
    r"https?://\S+",
    r"<!--.*?-->|<[^>]+>",
    r"(?m)^#+ .*$",  # headings
    r"arXiv:\d+\.\d+",
    rf"(?i)\b(?:notebooks?|pages?|sections?|sec\.|entry|entries|issues?|PR){LIST}",
    r"\b(?:19|20)\d\d(?:-\d\d){0,2}\b",  # years and dates
    rf"\b(?:{MONTHS}) \d{{1,2}}(?:–\d{{1,2}})?\b",
    r"\b(?:Julia|Python|Zygote|NumPy|Numba|Enzyme|JAX|Flux) (?:≥ )?\d+(?:\.\d+)*",  # versions
]


def numbers(text):
    """The numbers of a text, as they are written, code and citations left out."""
    for pattern in APART:
        text = re.sub(pattern, " ", text)
    return [found for found in NUMBER.findall(text) if re.search(r"\d", found)]


def value(written):
    return float(written.replace(",", ""))


def typed(cell):
    """What a code cell says in words: the constant parts of sentences, captions, titles and labels."""
    texts = []
    for node in ast.walk(ast.parse(re.sub(r"(?m)^%.*$", "", cell.source))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("say", "save_figure"):
            texts += [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
        if isinstance(node, ast.Assign) and "caption" in [getattr(target, "id", "") for target in node.targets]:
            texts += [part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)]
    return "\n".join(text for text in texts if isinstance(text, str) and " " in text.strip())


def read_quoted(name):
    path = QUOTED / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def parameters(notebook):
    source = "".join(cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    return {value(found) for found in re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?|\.\d+", re.sub(r"#.*", "", source))}


def shown(notebook):
    """All that the cells of a notebook show as text."""
    texts = []
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        data = output.get("data", {})
        rich = data.get("text/markdown") or re.sub(r"<svg.*?</svg>|<[^>]+>", " ", data.get("text/html", ""), flags=re.S)
        texts += [
            output.get("text", ""),
            html.unescape(rich) if len(rich) < 100_000 else "",
            data.get("text/plain", ""),
        ]
    return "\n".join(texts)


def prose_of(name):
    if name in PAGES:
        return "\n".join((ROOT / path).read_text(encoding="utf-8") for path in PAGES[name])
    (path,) = (path for path in NOTEBOOKS if path.name[:2] == name)
    notebook = nbformat.read(path, as_version=4)
    return "\n".join(cell.source if cell.cell_type == "markdown" else typed(cell) for cell in notebook.cells)


def outputs_of(number):
    (path,) = (path for path in NOTEBOOKS if path.name[:2] == number)
    return {value(found) for found in numbers(shown(nbformat.read(path, as_version=4)))}


def unsupported(text, allowed):
    return [found for found in numbers(text) if value(found) not in allowed]


NAMES = [*(path.name[:2] for path in NOTEBOOKS), *PAGES]


@pytest.mark.parametrize("name", NAMES)
def test_every_number_in_prose_has_a_source(name):
    allowed = {value(row["number"]) for row in read_quoted(name)}
    if name not in PAGES:
        (path,) = (path for path in NOTEBOOKS if path.name[:2] == name)
        allowed |= parameters(nbformat.read(path, as_version=4))
    text = prose_of(name)
    if name == "README":
        text = re.sub(r"(?m)^\| \[\d\d\].*$", "", text)  # the rows of its index have a test of their own
    wrong = unsupported(text, allowed)
    assert not wrong, f"print them by a cell (dmm.say), or give their source in data/quoted/{name}.csv"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_quoted_is_used_and_has_a_source(name):
    written = [*map(value, numbers(prose_of(name)))]
    for row in read_quoted(name):
        assert value(row["number"]) in written, row
        assert len(row["what"]) > 2, row
        assert len(row["source"]) > 2, row
        for number in re.findall(r"^notebook (\d\d)$", row["source"]):
            assert value(row["number"]) in outputs_of(number), f"notebook {number} shows no {row['number']}"


def test_the_index_of_the_readme_agrees_with_the_notebooks():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| \[(\d\d)\]\(notebooks/(.+?)\) \| (.+?) \| (.+?) \| (.+?) s \|$", text)
    assert [name for _, name, *_ in rows] == [path.name for path in NOTEBOOKS]
    for number, name, question, outcome, seconds in rows:
        notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
        assert f"**Question.** {question}" in " ".join(notebook.cells[0].source.split())
        assert float(seconds) == notebook.metadata.dmmlab.seconds
        quoted = {value(row["number"]) for row in read_quoted(number)}
        assert not unsupported(outcome, outputs_of(number) | quoted | parameters(notebook)), name


def test_a_changed_digit_is_found():
    for name in NAMES:
        allowed = {value(row["number"]) for row in read_quoted(name)}
        for row in read_quoted(name)[:3]:
            changed = row["number"][:-1] + str((int(row["number"][-1]) + 1) % 10)
            if value(changed) not in allowed:
                assert unsupported(f"There are {changed} of them.", allowed) == [changed]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("run-3 has 1,486 links, sparse20 nineteen, at a loss of .0546; −0.46.", ["1,486", ".0546", "0.46"]),
        ("In 2022, on June 15, notebooks 05 and 12, `f(3)`, $x^2$, arXiv:1606.09470, section 3.", []),
        ("[the 19](a/b-3.md) of 1–6 in 3 s or 1e-5, Zygote #1113", ["19", "1", "6", "3", "1e-5"]),
    ],
)
def test_numbers_are_told_from_names(text, found):
    assert numbers(text) == found
