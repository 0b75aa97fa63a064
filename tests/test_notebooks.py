"""The notebooks: committed as the house wants them, and running clean, also with other parameters."""

import json
import re
import shutil
from pathlib import Path

import nbformat
import papermill
import pytest

from dmmlab.lab.notebooks import read_bits, run_one
from dmmlab.lab.parameters import check_parameters

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SMALL = {  # parameters with which a notebook takes a few seconds
    "00": {"string": "aa.", "unseen": "abab"},
    "01": {"trees": 5},
    "02": {"string": "aa.", "ticks": 50},
    "03": {"steps": 3, "longer": 5, "seeds": [123]},
    "04": {"one_copy_steps": 3, "five_copy_steps": 2, "rows_steps": 1, "id_steps": 1, "other": ".ab"},
    "05": {"steps": 700, "long_steps": 30, "window": 50},
    "06": {"steps": 20, "compared": 10, "layers": 2},
    "07": {"steps": 20},
    "08": {"steps": 20, "rounds": 2, "more": 5, "copies": 1},
    "09": {"longest": 6, "most": 4, "strings": 2, "steps": 20, "ours": "published-16"},
    "10": {"steps": 20, "blind_steps": 5, "between": 1, "seeds": 1},
    "11": {"silence": 60, "letter": "t"},
    "12": {"seeds": 1},
    "13": {"population": 20, "steps": 3, "gradient_steps": 20, "seeds": 1, "estimates": 2, "largest": 10},
    "14": {"population": 20, "steps": 6, "gradient_steps": 20, "seeds": 1},
    "15": {"ticks": 24, "words": 600},
    "16": {"steps": 3, "unseen": 2, "compared": 3, "starts": 1},
    "17": {"steps": 80, "after": 20},
    "18": {"longest": 35, "copies": 2, "strings": 2, "repeats": 1},
    "19": {"examples": 8, "longest": 5},
    "20": {"cards": "hist", "strings": 12, "longest": 6},
    "21": {"strings": 8, "longest": 4, "seeds": 1, "wide_seeds": [0]},
    "22": {"copies": 1, "attempts": 2},
    "23": {"tasks": "letters", "seeds": 1},
    "99": {},
}

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # papermill, jupyter_client and their kin
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def named(path):
    return path.stem


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_is_committed_executed_from_top_to_bottom(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert outputs
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_tells_before_it_computes(path):
    notebook = nbformat.read(path, as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for heading in (rf"# {path.stem[:2]} · ", "**Question.**", "**Read before.**", "**What the journal did.**"):
        assert heading in text
    assert "**Exercise.**" in [cell for cell in notebook.cells if cell.cell_type == "markdown"][-1].source
    assert len(notebook.cells) <= 25
    for heading in ("Parameters", "Check", "What we learned"):
        assert re.search(rf"^## {heading}", text, re.MULTILINE)
    lines = [[line for line in cell.source.splitlines() if line.strip()] for cell in code_cells(path)]
    assert max(map(len, lines)) <= 15
    assert len(text.split()) >= 4 * sum(map(len, lines))
    assert any(line.lstrip().startswith("assert") for cell in lines for line in cell)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_has_typed_and_commented_parameters(path):
    (cell,) = (cell for cell in code_cells(path) if "parameters" in cell.metadata.get("tags", []))
    for line in cell.source.splitlines():
        assert re.fullmatch(r"\w+: \w+ = .+  # .+", line), line


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_holds_no_paths_of_a_machine(path):
    assert str(ROOT.parent) + "/" not in path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|Users)/", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_runs_with_other_parameters(path, tmp_path):
    # A project of its own, so that the test leaves the real figures and results alone.
    (tmp_path / "pyproject.toml").touch()
    for name in ("data/examples", "data/from-everything", "data/journal", "data/ladder", "data/machines"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("results"))
    for table in (ROOT / "data").glob("*.csv"):
        shutil.copy(table, tmp_path / "data")
    (tmp_path / "notebooks").mkdir()
    copy = shutil.copy(path, tmp_path / "notebooks")
    number = path.stem[:2]
    entry = run_one(Path(copy), check_parameters(copy, SMALL[number]), tmp_path)
    assert entry["status"] == "done", entry
    assert [*read_bits(nbformat.read(entry["output"], as_version=4))] == [path.stem]
    results = json.loads((tmp_path / f"data/results/{path.stem}.json").read_text(encoding="utf-8"))
    results.pop("measured", None)
    assert not re.search(r"second|\bms\b|\bMB\b", json.dumps(results)), "times and memory are given as `measured`"
    assert list((tmp_path / "figures/one-column").glob(f"{number}-*.pdf"))


def test_plain_papermill_runs_one_too(tmp_path):
    parameters, first = {"trees": 3}, ROOT / "notebooks/01-v-values.ipynb"
    papermill.execute_notebook(first, tmp_path / "out.ipynb", parameters, cwd=tmp_path, progress_bar=False)
    results = json.loads((tmp_path / "data/results/01-v-values.json").read_text(encoding="utf-8"))
    assert results["trees"] == 3
