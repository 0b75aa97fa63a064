"""The project as a whole: dependencies declared once, no dangerous calls, public names documented."""

import ast
import inspect
import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import dmmlab as dmm

try:
    import tomllib
except ImportError:  # Python 3.10
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "dmmlab").rglob("*.py"))
CONDA_NAMES = {"graphviz": "python-graphviz"}
ROOMS = [
    *(
        "files",
        "graphs",
        "trees",
        "vvalues",
        "neurons",
        "streams",
        "machines",
        "selves",
        "interpreter",
        "programs",
        "engine",
    ),
    *("julia", "tasks", "objective", "training", "scheduler", "evolution"),
    *("exactness", "squares", "pruning", "reading", "formulas", "synthesis"),
    *(
        "drawing",
        "latex",
        "recipes",
        "figures",
        "rewiring",
        "stepper",
        "batch",
        "gallery",
        "skeleton",
        "sweeps",
        "__main__",
    ),
]


def test_conda_and_pip_users_get_the_same_versions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [Requirement(line) for line in (*project["dependencies"], *extras["test"], *extras["lint"])]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    lines = [line for line in environment["dependencies"] if isinstance(line, str)]
    given = {line.split()[0]: "".join(line.split()[1:]) for line in lines}
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert given.pop("python") == project["requires-python"]
    assert {"pip", "graphviz"} <= given.keys()
    for extra in ("pip", "graphviz"):
        given.pop(extra)
    bounds = {CONDA_NAMES.get(each.name, each.name): str(each.specifier) for each in wanted if not each.marker}
    assert given == bounds


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_pickle_no_eval(path):
    names = {
        getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert not names & {"eval", "exec", "pickle", "marshal", "shelve"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_module_imports_a_later_room(path):
    room = path.relative_to(ROOT / "dmmlab").parts[0].removesuffix(".py")
    if room == "__init__":
        return
    text = path.read_text(encoding="utf-8")
    imported = {*re.findall(r"^from dmmlab(?:\.| import )(\w+)", text, re.MULTILINE)}
    inside = {room} if path.parent.name == room else set()
    assert not [name for name in imported - inside if ROOMS.index(name) >= ROOMS.index(room)]


def test_every_public_name_is_documented_and_typed():
    for name in dmm.__all__:
        value = getattr(dmm, name)
        assert inspect.getdoc(value), name
        if inspect.isfunction(value):
            hints = inspect.signature(getattr(value, "fun", value))  # autograd wraps its primitives
            assert hints.return_annotation is not inspect.Signature.empty, name


def test_no_public_name_is_that_of_a_module():
    # An import of the module would put it where the name ought to be.
    assert not {path.stem for path in MODULES} & {*dmm.__all__}
