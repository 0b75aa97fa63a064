"""A new notebook runs as it is, and is as the house wants it."""

import nbformat
import test_notebooks
from conftest import refused

from dmmlab.lab.cli import main
from dmmlab.lab.skeleton import new_notebook_file


def test_it_runs_and_meets_the_rules_of_the_house(tmp_path, monkeypatch, capsys):
    for name in ("notebooks", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "pyproject.toml").touch()
    for name in ("12-one", "99-last"):
        nbformat.write(nbformat.v4.new_notebook(), tmp_path / f"notebooks/{name}.ipynb")
    monkeypatch.chdir(tmp_path)
    assert main(["new-notebook", "Can it {read} <b>words</b>, too?"]) == 0
    path = tmp_path / "notebooks/13-can-it-read-b-words.ipynb"
    assert main(["run", "13", "--in-place"]) == 0
    for rule in (
        "is_committed_executed_from_top_to_bottom",
        "tells_before_it_computes",
        "has_typed_and_commented_parameters",
    ):
        getattr(test_notebooks, f"test_{rule}")(path)
    assert (tmp_path / "figures/one-column/13-answers.pdf").exists()
    assert main(["run", "13"]) == 0
    assert "\nthe committed results, bit for bit: 13\n" in capsys.readouterr().out
    assert main(["list"]) == 0
    assert new_notebook_file("Can it {read} <b>words</b>, too?").name[:2] == "14"  # never over another one


def test_a_question_has_words(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    with refused("no notebook named"):
        new_notebook_file("Why?")
    for question in ("", "?!", "two\nlines"):
        with refused("ask in words"):
            new_notebook_file(question)
