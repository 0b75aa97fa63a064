"""The project as a whole: dependencies declared once, no dangerous calls, public names documented."""

import ast
import inspect
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import dmmlab as dmm
from dmmlab.lab.cli import main

try:
    import tomllib
except ImportError:  # Python 3.10
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "dmmlab").rglob("*.py"))
CONDA_NAMES = {"graphviz": "python-graphviz"}
CORE = ["files", "persistent", "trees", "vvalues", "differentiation", "flattening", "inputs", "neurons", "links"]
CORE += ["machines", "builders", "rewriting", "interpreter"]
ROOMS = [
    "engine",
    "learn",
    "enumeration",
    "synthesis",
    "examples",
    "lab",
]  # each looks down on those before it, and on the core


def test_conda_and_pip_users_get_the_same_versions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = (*project["dependencies"], *extras["lab"], *extras["test"], *extras["lint"])
    wanted = [Requirement(line) for line in declared]
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
    (last,) = [each["pip"] for each in environment["dependencies"] if isinstance(each, dict)]
    (tested,) = re.findall(r"test-ready:.*\n\t\$\(INSTALL\) '(.*)'", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert last == [f"--editable {tested}"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_pickle_no_eval(path):
    names = {
        getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert not names & {"eval", "exec", "pickle", "marshal", "shelve"}


def imports_of(path):
    """The modules of this package that a file imports, wherever in it: dotted names without "dmmlab."."""
    nodes = [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    whole = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    parts = [(node.module, alias.name) for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names]
    found = [*whole, *(module for module, _ in parts if module != "dmmlab"), *(f"{m}.{n}" for m, n in parts)]
    return {name.removeprefix("dmmlab.") for name in found if name.startswith("dmmlab.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_imports_a_later_room(path):
    floors = [*CORE, *ROOMS]
    here = path.relative_to(ROOT / "dmmlab").parts[0].removesuffix(".py")
    if here in ("__init__", "__main__"):
        return
    there = {name.split(".")[0] for name in imports_of(path)} - {here}
    assert not [name for name in there if floors.index(name) >= floors.index(here)]


def test_the_core_is_the_top_of_the_package_and_the_rooms_are_its_folders():
    assert {path.stem for path in (ROOT / "dmmlab").glob("*.py")} == {*CORE, "__init__", "__main__"}
    assert {path.parent.name for path in (ROOT / "dmmlab").glob("*/*.py")} == {*ROOMS}


@pytest.mark.parametrize("room", ROOMS)
def test_the_package_has_the_public_names_of_its_rooms(room):
    assert sorted(import_module(f"dmmlab.{room}").__all__) == sorted(dmm._ROOMS[room].split())


def test_the_core_does_not_wait_for_the_rooms_above_it():
    code = "import sys, dmmlab; print(*(name for name in sys.modules if name.startswith('dmmlab.')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {name.split(".")[1] for name in loaded} & {*ROOMS}


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


def test_who_draws_does_not_wait_for_what_runs_notebooks():
    slow = {"nbformat", "papermill", "sympy"}
    code = f"import sys, dmmlab; dmmlab.draw, dmmlab.save_figure; print(*{slow} & {{*sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not loaded


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["lisst"], ["--version"], ["list"]], ids=" ".join)
def test_who_asks_a_command_a_question_does_not_wait_for_what_works(command):
    slow = {"matplotlib", "nbformat", "jsonschema", "papermill", "numba", "scipy", "sympy", "pandas", "distributed"}
    code = f"import sys\nfrom dmmlab.lab.cli import main\ntry: main({command})\nexcept SystemExit: pass\n"
    code += f"print('loaded:', *{slow} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "loaded:"


def test_what_cites_the_project_agrees_with_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # those that the format demands
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == [{"name": "the dmmlab developers"}]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"]["text"])


def test_the_container_is_set_up_by_a_target_of_the_makefile():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    command, target = container["postCreateCommand"].split()
    assert command == "make"
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_machines_are_among_the_files_of_the_package():
    packing = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert "dmmlab.stored" in packing["packages"]
    assert packing["package-dir"] == {"dmmlab.stored": "data/machines"}
    assert packing["package-data"]["dmmlab.stored"] == ["*.json"]


@pytest.mark.parametrize("command", [[], ["help"], ["--help"]], ids=str)
def test_who_asks_for_help_gets_it(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 0
    assert "new-notebook" in capsys.readouterr().out


def test_the_version_is_that_of_the_package():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert dmm.__version__ == declared
    told = subprocess.run([sys.executable, "-m", "dmmlab", "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"dmmlab {declared}\n"


def test_what_one_adds_goes_into_one_file_that_is_there():
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| an? (.+?) \| (.+) \|$", told, re.MULTILINE)
    assert [what for what, _ in rows] == ["kind of neuron", "optimizer", "stage of synthesis", "figure", "command"]
    for _, where in rows:
        (path,) = re.findall(r"\]\((.+?)\)", where)
        assert (ROOT / path).is_file(), path


def test_the_python_of_the_readme_runs_as_it_stands(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "exact on 1000 strings" in done.stdout
    assert (tmp_path / "figures/two-columns/rewiring.pdf").exists()
    assert {"machine.json", "machine.pdf", "stepper.html"} <= {path.name for path in tmp_path.iterdir()}


def test_a_reader_that_has_enough_ends_a_command_in_silence():
    command = [sys.executable, "-m", "dmmlab", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
