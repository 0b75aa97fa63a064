"""Every public name has an example in its docstring, and the examples of docstrings run.

A constant has no docstring of its own: it is the string that follows its assignment, where editors and Sphinx look too.
"""

import ast
import doctest
import inspect
from functools import cache
from itertools import takewhile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import dmmlab as dmm

ROOT = Path(__file__).parents[1]


@cache
def documented_constants():
    """Constant → the string below its assignment, for all modules."""
    found = {}
    for path in sorted((ROOT / "dmmlab").rglob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for line, below in zip(body, body[1:], strict=False):
            targets = getattr(line, "targets", [getattr(line, "target", None)])
            text = getattr(below, "value", None) if isinstance(below, ast.Expr) else None
            if isinstance(targets[0], ast.Name) and isinstance(text, ast.Constant):
                found[targets[0].id] = text.value
    return found


def examples(name):
    """The examples of a public name, and of its methods if it is a class."""
    value, names = getattr(dmm, name), {"dmm": dmm, "np": np}
    if not (inspect.isroutine(value) or inspect.isclass(value)):
        return [doctest.DocTestParser().get_doctest(documented_constants().get(name, ""), names, name, None, 0)]
    return doctest.DocTestFinder().find(value, name, module=False, extraglobs=names)


def failures(test):
    """What doctest has to say about a docstring whose examples do not give what they show."""
    report = []
    doctest.DocTestRunner().run(test, out=report.append, clear_globs=False)
    return "".join(report)


@pytest.fixture
def empty_project(tmp_path, monkeypatch):
    """A project of machines and published files alone, as the current folder; what examples register is forgotten."""
    for folder in ("notebooks", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pyproject.toml").touch()
    for name in ("machines", "journal"):
        (tmp_path / "data" / name).symlink_to(ROOT / "data" / name)
    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(dmm.TASKS):
        yield


@pytest.mark.parametrize("name", dmm.__all__)
def test_examples_run(name, empty_project):
    found = examples(name)
    assert any(each.name == name and each.examples for each in found), f"{name} has no example in its docstring"
    for each in found:
        assert failures(each) == ""


@pytest.mark.parametrize("name", dmm.__all__)
def test_examples_are_blocks_of_their_own_and_short(name):
    """reStructuredText wants an empty line before the first `>>>`; three lines are enough for one idea."""
    for each in examples(name):
        lines = [line.strip() for line in each.docstring.splitlines()]
        first = next((i for i, line in enumerate(lines) if line.startswith(">>>")), None)
        if first is not None:
            assert not lines[first - 1], each.name
            assert len([*takewhile(bool, lines[first:])]) <= 3, each.name


def test_constants_are_found_by_the_string_below_them():
    assert documented_constants()["TASKS"].startswith("The registered tasks")
    assert "EXACT" not in documented_constants()


def test_a_wrong_example_is_reported():
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert "Got:\n    2\n" in failures(wrong)
