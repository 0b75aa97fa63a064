"""Reruns: what is refused before anything runs, and what a run leaves behind."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat.sign
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from dmmlab.files import DMMError
from dmmlab.lab import kernels, notebooks
from dmmlab.lab.cli import _print_summary, main
from dmmlab.lab.notebooks import describe_notebooks, find_notebooks, run_notebooks
from dmmlab.lab.parameters import check_parameters, read_notebook

PARAMETERS = """\
steps: int = 25  # Adam steps
rate: float = 1e-2
quiet: bool = False
label: str = "#red"
sizes: list[int] = [1, 2]
seed: int | None = None
note: str | None = None
plain = 3
free = 2 * 3
"""


def parameters_cell(source=PARAMETERS):
    return new_code_cell(source, metadata={"tags": ["parameters"]})


def write_notebook(root, name, *cells, **metadata):
    cells = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    path = root / "notebooks" / name
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
    return path


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = tmp_path / "pro{ject}"
    root.mkdir()
    (root / "pyproject.toml").touch()
    for name in ("DATA", "CONFIG", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "to be restored")
    monkeypatch.delenv("OMP_NUM_THREADS")
    write_notebook(root, "02-fit.ipynb", parameters_cell())
    write_notebook(root, "05-plot.ipynb", parameters_cell("rate: float = 1.0"))
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def stub(monkeypatch):
    """Notebooks 'run' without a kernel, one after the other; the list holds what would have been run."""
    monkeypatch.setattr(notebooks, "usable_cores", lambda: 1)
    runs = []

    def execute(path, values, environment, on_cell=None):
        runs.append((path.name, values))
        return read_notebook(path), {}

    monkeypatch.setattr(kernels, "execute", execute)
    return runs


def read_summary(project):
    return json.loads((project / "run" / "summary.json").read_text(encoding="utf-8"))


def test_notebooks_are_found_in_the_order_of_their_numbers(project):
    for name in ("01-first.ipynb", "draft.ipynb", "1-x.ipynb", "10-last.ipynb"):
        write_notebook(project, name)
    expected = ["01-first.ipynb", "02-fit.ipynb", "05-plot.ipynb", "10-last.ipynb"]
    assert [path.name for path in find_notebooks()] == expected


def test_a_folder_without_notebooks_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DMMError, match="no notebook named NN-title.ipynb; .* clone it, and run this inside"):
        find_notebooks()


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("steps", "100", 100),
        ("steps", 7, 7),
        ("steps", "-1", -1),
        ("rate", "1e-3", 0.001),
        ("rate", ".5", 0.5),
        ("rate", 1, 1),
        ("rate", np.float64(0.5), 0.5),
        ("quiet", "true", True),
        ("label", "5", "5"),
        ("label", "null", "null"),
        ("label", '"5"', "5"),
        ("sizes", [1.5], [1.5]),
        ("plain", "word", "word"),
        ("sizes", "[1, 2]", [1, 2]),
        ("sizes", [], []),
        ("seed", "null", None),
        ("seed", None, None),
        ("seed", "3", 3),
        ("note", "null", None),
        ("note", "text", "text"),
        ("plain", "4", 4),
        ("free", "[1]", [1]),
        ("free", "word", "word"),
    ],
)
def test_a_value_is_read_as_the_annotated_type(project, name, given, expected):
    value = check_parameters("notebooks/02-fit.ipynb", {name: given})[name]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("steps", "many"),
        ("steps", "1.5"),
        ("steps", True),
        ("steps", None),
        ("steps", np.int64(3)),
        ("rate", "nan"),
        ("rate", float("inf")),
        ("rate", "1e999"),
        ("quiet", "1"),
        ("quiet", 0),
        ("label", 5),
        ("sizes", "1 2"),
        ("sizes", (1, 2)),
        ("seed", "none of it"),
        ("free", {1: 2}),
        ("free", {1, 2}),
        ("free", Path("here")),
        ("free", [float("nan")]),
        ("label", "half a character: \udcff"),
        ("free", ["\ud800"]),
    ],
)
def test_a_value_of_another_type_is_refused(project, name, given):
    with pytest.raises(DMMError, match=f"parameter {name}: .* does not read as"):
        check_parameters("notebooks/02-fit.ipynb", {name: given})


@pytest.mark.parametrize(
    ("annotation", "given", "expected"),
    [
        ("Optional[int]", "3", 3),
        ("typing.Optional[list[int]]", "null", None),
        ("Union[int, str]", "word", "word"),
        ("list[int | None]", "[1, null]", [1, None]),
        ("List[int]", "[1]", [1]),
        ("'int | None'", "null", "refused"),
        ("Optional[int]", "many", "refused"),
        ("list[int | None]", "null", "refused"),
        ("Union[int, list[str]]", "word", "refused"),
        ("tuple", "(1, 2)", "refused"),
        ("tuple[int, int]", "[1, 2]", "refused"),
        ("set[int] | None", "[1]", "refused"),
        ("Path", "here", "refused"),
        ("Any", "(1, 2)", "(1, 2)"),
    ],
)
def test_annotations_mean_what_they_say_and_what_cannot_be_given_is_refused(project, annotation, given, expected):
    path = write_notebook(project, "07-types.ipynb", parameters_cell(f"x: {annotation} = 0  # meaning"))
    try:
        assert check_parameters(path, {"x": given}) == {"x": expected}
    except DMMError as error:
        assert expected == "refused"
        assert str(error).startswith("parameter x: ")


def test_a_notebook_that_begins_with_the_mark_of_windows_is_read(project):
    path = project / "notebooks" / "02-fit.ipynb"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert describe_notebooks()[0]["parameters"]["steps"] == "25"
    assert read_notebook(path).cells[0].source == PARAMETERS


def test_older_notebooks_and_sources_as_lines_are_described(project):
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}}
    old["worksheets"] = [{"cells": [{"cell_type": "markdown", "metadata": {}, "source": ["# Old\n", "text"]}]}]
    (project / "notebooks" / "07-old.ipynb").write_text(json.dumps(old), encoding="utf-8")
    assert describe_notebooks()[-1]["question"] == "Old"


def test_the_refusal_names_parameter_type_and_value(project):
    message = "parameter seed: 'many' does not read as int | None; write it as JSON"
    with pytest.raises(DMMError) as caught:
        check_parameters("notebooks/02-fit.ipynb", {"seed": "many"})
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["stepz", 3])
def test_an_unknown_parameter_is_refused(project, stub, name):
    with pytest.raises(DMMError, match=f"no parameter {name}.*choose from steps, rate, quiet"):
        run_notebooks(parameters={name: 1})
    assert not stub
    assert not (project / "data").exists()


def test_a_close_name_is_suggested(project):
    with pytest.raises(DMMError, match=r"\(did you mean steps\?\)"):
        check_parameters("notebooks/02-fit.ipynb", {"stepz": 1})


def test_a_parameter_goes_to_the_notebooks_that_have_it(project, stub):
    run_notebooks(parameters={"steps": "3", "rate": "2"})
    assert stub == [("02-fit.ipynb", {"steps": 3, "rate": 2}), ("05-plot.ipynb", {"rate": 2})]


def test_a_notebook_without_parameters_runs_as_it_is(project, stub):
    write_notebook(project, "06-text.ipynb", "1")
    assert len(run_notebooks(parameters={"rate": 1.0})) == 3
    assert stub[-1] == ("06-text.ipynb", {})


@pytest.mark.parametrize("numbers", [["5", "02"], [2, 5], ["2", "2", "05"]])
def test_numbers_choose_notebooks(project, stub, numbers):
    write_notebook(project, "06-other.ipynb")
    assert [entry["number"] for entry in run_notebooks(numbers)] == ["02", "05"]


def test_an_unknown_number_is_refused(project, stub):
    with pytest.raises(DMMError, match="no notebook has the number 07; choose from 02, 05"):
        run_notebooks([2, 7])
    assert not stub


@pytest.mark.parametrize(
    ("name", "value"),
    [("metadata", 0.5), ("metadata", {"tags": True}), ("cell_type", None), ("source", [["x"]])],
    ids=str,
)
@pytest.mark.parametrize("command", [["list"], ["run", "2"]], ids=" ".join)
def test_a_cell_of_another_shape_is_refused_in_a_line(command, name, value, project, capsys):
    path = project / "notebooks" / "02-fit.ipynb"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["cells"][0][name] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    assert main(command) == 2
    assert capsys.readouterr().err.startswith(f"dmmlab: {path}: not a notebook (")


def test_a_damaged_notebook_is_refused_before_anything_runs(project, stub):
    (project / "notebooks" / "06-merge.ipynb").write_text("<<<<<<< HEAD\n", encoding="utf-8")
    with pytest.raises(DMMError, match="06-merge.ipynb: not a notebook"):
        run_notebooks()
    assert not stub
    assert not (project / "data").exists()


def test_two_runs_within_a_second_do_not_mix(project, stub, monkeypatch):
    monkeypatch.setattr(notebooks.time, "strftime", lambda form: "20250101-000000")
    folders = [Path(run_notebooks([2])[0]["output"]).parent.name for _ in range(2)]
    assert folders == ["20250101-000000", "20250101-000000-2"]


@pytest.mark.parametrize("output", ["notebooks", "pyproject.toml"])
def test_an_output_folder_that_would_lose_files_is_refused(project, stub, output):
    with pytest.raises(DMMError, match="choose another output folder"):
        run_notebooks([2], output=output)
    assert not stub


def test_in_place_is_refused_with_parameters(project, stub):
    with pytest.raises(DMMError, match="default parameters only"):
        run_notebooks([2], {"steps": 3}, in_place=True)


def test_a_notebook_edited_during_its_run_is_not_replaced(project, monkeypatch):
    def edit(path, values, environment, on_cell=None):
        executed = read_notebook(path)
        write_notebook(project, path.name, "edited = True")
        return executed, {}

    monkeypatch.setattr(kernels, "execute", edit)
    (entry,) = run_notebooks([2], in_place=True)
    assert entry["status"] == "failed"
    assert "edited = True" in (project / "notebooks" / "02-fit.ipynb").read_text(encoding="utf-8")


def test_cleaning_keeps_only_what_lasts():
    cell = new_code_cell("1", execution_count=1, metadata={"tags": ["keep"], "execution": {}, "papermill": {}})
    widget = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "bar"}
    cell.outputs = [
        new_output("stream", name="stdout", text="kept"),
        new_output("stream", name="stderr", text="100%"),
        new_output("display_data", data=widget),
        new_output("execute_result", data={"text/plain": "1"}, execution_count=1),
    ]
    bare = new_markdown_cell("text", metadata={"tags": [], "papermill": {}})
    metadata = {"papermill": {}, "widgets": {}, "language_info": {"name": "python", "version": "3"}, "title": "T"}
    notebook = notebooks.normalize_for_commit(
        notebooks.strip_run_metadata(new_notebook(cells=[cell, bare], metadata=metadata)), 1.5
    )
    assert [output.output_type for output in notebook.cells[0].outputs] == ["stream", "execute_result"]
    assert [cell.metadata for cell in notebook.cells] == [{"tags": ["keep"]}, {}]
    assert set(notebook.metadata) == {"dmmlab", "kernelspec", "language_info", "title"}
    assert notebook.metadata.language_info == {"name": "python"}
    assert notebook.metadata.dmmlab == {"seconds": 1.5}


def test_cells_that_papermill_adds_have_the_same_names_every_time():
    def executed():
        tags = (["injected-parameters"], ["papermill-error-cell-tag"], [])
        cells = [new_code_cell("1", metadata={"tags": each, "papermill": {"duration": 1}}) for each in tags]
        return [cell.id for cell in notebooks.strip_run_metadata(new_notebook(cells=cells)).cells]

    assert executed()[:2] == executed()[:2] == ["papermill-0", "papermill-1"]
    assert executed()[2] != executed()[2]


def test_a_run_keeps_done_and_failed_notebooks(project, monkeypatch, capsys):
    # A `python3` that was registered elsewhere must not win over the Python that runs dmmlab.
    foreign = project.parent / "jupyter" / "kernels" / "python3" / "kernel.json"
    monkeypatch.setenv("JUPYTER_PATH", str(foreign.parents[2]))
    foreign.parent.mkdir(parents=True)
    foreign.write_text(json.dumps({"argv": ["false"], "display_name": "other", "language": "python"}), encoding="utf-8")
    told = "import os, sys\nprint(sys.executable, *map(os.getenv, ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS')))"
    write_notebook(project, "02-fit.ipynb", parameters_cell("steps: int = 25"), told, "print(steps)")
    write_notebook(project, "03-wrong.ipynb", parameters_cell("steps: int = 25"), "1", "1 / 0", "2")
    die = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    write_notebook(project, "05-plot.ipynb", parameters_cell("steps: int = 25"), die)
    assert main(["run", "-p", "steps", "3"]) == 1

    (folder,) = (project / "data" / "runs").iterdir()
    names = ["02-fit.ipynb", "03-wrong.failed.ipynb", "05-plot.failed.ipynb", "summary.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert [entry["status"] for entry in summary] == ["done", "failed", "failed"]
    assert [entry.get("error") for entry in summary] == [None, "ZeroDivisionError", "DeadKernelError"]
    assert [entry.get("cell") for entry in summary] == [None, 4, 3]  # the injected parameters are cell 2
    assert {entry["parameters"]["steps"] for entry in summary} == {3}
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        "03-wrong.ipynb, cell 4: ZeroDivisionError: division by zero",
        "05-plot.ipynb, cell 3: DeadKernelError: Kernel died",
    ]
    done, wrong, dead = (nbformat.read(folder / name, as_version=4) for name in names[:3])
    assert [cell.outputs[0].text for cell in done.cells[2:]] == [f"{sys.executable} 1 2\n", "3\n"]
    for notebook, name in ((wrong, "ZeroDivisionError"), (dead, "DeadKernelError")):
        errors = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "ename" in output]
        assert [error.ename for error in errors] == [name]
    notary = nbformat.sign.NotebookNotary()
    assert notary.check_signature(done)
    notary.store.close()


def test_in_place_twice_changes_nothing_but_the_duration(project):
    source = "import sys\nprint('bar', file=sys.stderr)\nprint('kept')\n7"
    path = write_notebook(project, "02-fit.ipynb", parameters_cell("steps: int = 25"), source, "", "8", kept=1)
    before = nbformat.read(path, as_version=4)
    texts = []
    for _ in range(2):
        assert run_notebooks([2], in_place=True)[0]["status"] == "done"
        after = nbformat.read(path, as_version=4)
        assert after.metadata.pop("dmmlab")["seconds"] > 0
        texts.append(nbformat.writes(after))
    assert texts[0] == texts[1]
    assert [cell.id for cell in after.cells] == [cell.id for cell in before.cells]
    assert [cell.execution_count for cell in after.cells] == [1, 2, None, 3]
    assert [output.output_type for output in after.cells[1].outputs] == ["stream", "execute_result"]
    assert after.cells[0].metadata == {"tags": ["parameters"]}
    assert after.cells[1].metadata == {}
    assert sorted(after.metadata) == ["kept", "kernelspec", "language_info"]


def test_an_error_that_a_tag_expects_is_no_failure_and_the_failure_is_the_cell_that_failed(project):
    expected = new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]})
    write_notebook(project, "02-fit.ipynb", "print(1)", expected, "print(2)")
    write_notebook(project, "05-plot.ipynb", expected, "undefined", "print(2)")
    write_notebook(project, "06-last.ipynb", expected)
    entries = run_notebooks()
    assert [entry["status"] for entry in entries] == ["done", "failed", "done"]
    assert (entries[1]["cell"], entries[1]["error"]) == (2, "NameError")
    done = nbformat.read(entries[0]["output"], as_version=4)
    assert [cell.cell_type for cell in done.cells] == ["code"] * 3
    assert [cell.outputs[0].output_type for cell in done.cells] == ["stream", "error", "stream"]
    assert run_notebooks([2], in_place=True)[0]["status"] == "done"


def test_magics_among_the_parameters_do_no_harm(project):
    source = "%load_ext autoreload\nsteps: int = 25  # Adam steps\n%autoreload 2\nfiles = !ls\nplain = 1"
    write_notebook(project, "02-fit.ipynb", parameters_cell(source), "print(steps)")
    (entry,) = run_notebooks([2], {"steps": "3"})
    assert entry["status"] == "done", entry
    assert nbformat.read(entry["output"], as_version=4).cells[-1].outputs[0].text == "3\n"


def test_notebooks_run_where_the_home_cannot_be_written(project, monkeypatch):
    home = project / "home"
    home.touch()  # nobody can write into a file as if it were a folder, not even root
    monkeypatch.setenv("HOME", str(home))
    for name in ("IPYTHONDIR", "MPLCONFIGDIR"):
        monkeypatch.delenv(name)
    told = "import os, pathlib\nprint([pathlib.Path(os.environ[x]).is_dir() for x in ('IPYTHONDIR', 'MPLCONFIGDIR')])"
    write_notebook(project, "02-fit.ipynb", "import matplotlib.pyplot", told)
    (entry,) = run_notebooks([2])
    assert entry["status"] == "done", entry
    assert nbformat.read(entry["output"], as_version=4).cells[1].outputs[0].text == "[True, True]\n"


def test_who_has_a_home_keeps_it(tmp_path, monkeypatch):
    for name in ("IPYTHONDIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    assert kernels._homes("elsewhere") == {}


# ---- what cells print ----


@pytest.mark.parametrize(
    ("text", "kept"),
    [("x" * 3_000_000,) * 2, ("x\r" * 1_000_000, "x\r"), ("\r" * 2_000_000 + "\n", "\r\n"), ("\n" * 1_000_000,) * 2],
    ids=["a long line", "a progress bar", "nothing but returns", "many lines"],
)
def test_outputs_may_be_long(text, kept):
    outputs = [new_output("stream", name="stdout", text=text)]
    kernels.join_streams(outputs)  # with nbclient's regular expression this would not end
    assert outputs[0].text == kept


@given(st.text("ab\r\n", max_size=30))
def test_of_a_progress_bar_the_last_state_is_kept_as_nbclient_does(text):
    outputs = [new_output("stream", name="stdout", text=text)]
    kernels.join_streams(outputs)
    assert outputs[0].text == re.sub(r".*\r(?=[^\n])", "", text)


def test_streams_are_joined_and_what_is_printed_stands_before_errors():
    def stream(name, text):
        return new_output("stream", name=name, text=text)

    shown = new_output("display_data", data={"text/plain": "1"})
    outputs = [
        stream("stderr", " 1%\r"),
        stream("stdout", "a"),
        shown,
        stream("stderr", "99%\n"),
        stream("stdout", "b"),
    ]
    kernels.join_streams(outputs)
    assert outputs == [stream("stdout", "ab"), stream("stderr", "99%\n"), shown]


def test_a_cell_may_print_a_long_line_and_a_progress_bar(project):
    bar = "for i in range(3): print(i, end='\\r', flush=True)"
    write_notebook(project, "02-fit.ipynb", "print('x' * 2_000_000)", bar)
    (entry,) = run_notebooks([2])
    assert entry["status"] == "done"
    cells = nbformat.read(entry["output"], as_version=4).cells
    assert [len(output.text) for output in cells[0].outputs] == [2_000_001]
    assert [output.text for output in cells[1].outputs] == ["2\r"]


def test_a_failure_that_its_cell_does_not_show_is_told(project):
    expected = new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]})
    silent = "class E(Exception):\n    def __str__(self): raise E\nraise E"  # IPython's kernel has no reply for it
    write_notebook(project, "02-fit.ipynb", expected, silent, "print(2)")
    write_notebook(project, "05-plot.ipynb", expected, "%%nothing\n1")
    write_notebook(project, "06-last.ipynb", new_code_cell(silent, metadata=expected.metadata), "print(2)")
    entries = run_notebooks()
    assert [(entry["status"], entry.get("cell"), entry.get("error")) for entry in entries] == [
        ("failed", 2, "NoReply"),
        ("failed", 2, "UsageError"),
        ("done", None, None),
    ]
    assert "how this cell ended" in entries[0]["message"] and "%%nothing" in entries[1]["message"]
    kept = [nbformat.read(entry["output"], as_version=4).cells for entry in entries]
    second = [[cell for cell in cells if cell.cell_type == "code"][1] for cells in kept]
    assert [cell.outputs[-1].ename for cell in second[:2]] == ["NoReply", "UsageError"]
    assert kept[2][1].outputs[0].text == "2\n"


def test_a_kernel_that_fails_outside_of_cells_says_why_in_the_summary_and_not_on_the_terminal(
    project, monkeypatch, tmp_path, capfd
):
    (tmp_path / "ipykernel_launcher.py").write_text("raise ImportError('half of it is missing')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (entry,) = run_notebooks([2])
    assert (entry["status"], entry["cell"]) == ("failed", None)
    assert entry["message"].endswith(": ImportError: half of it is missing")
    assert "Traceback" not in capfd.readouterr().err
    kept = nbformat.read(entry["output"], as_version=4)
    assert "Traceback (most recent call last):" in kept.cells[0].outputs[0].traceback


def test_what_a_kernel_writes_past_its_cells_is_not_shown(project, monkeypatch, capfd):
    write_notebook(
        project, "02-fit.ipynb", "import os\nfor file in (1, 2): os.write(file, b'unseen \\xff')", "print(2)"
    )
    for watched in (False, True):
        if watched:
            monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)  # with it kernels do not catch what is so written
        (entry,) = run_notebooks([2])
        out, told = capfd.readouterr()
        assert entry["status"] == "done"
        assert "unseen" not in out + told


def test_a_kernel_that_does_not_start_is_a_failure(project, monkeypatch):
    monkeypatch.setattr("ipykernel.kernelspec.get_kernel_dict", lambda **_: {"argv": ["no-such-program"]})
    (entry,) = run_notebooks([2])
    assert (entry["status"], entry["cell"], entry["error"]) == ("failed", None, "FileNotFoundError")
    kept = nbformat.read(entry["output"], as_version=4)
    assert kept.cells[0].outputs[0].ename == "FileNotFoundError"


# ---- two at a time ----


@pytest.fixture(params=[1, 2], ids=["one core", "two cores"])
def cores(request, monkeypatch):
    monkeypatch.setattr(notebooks, "usable_cores", lambda: request.param)
    return request.param


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_two_notebooks_run_at_the_same_time_in_kernels(project, monkeypatch):
    monkeypatch.setattr(notebooks, "usable_cores", lambda: 2)
    for mine, other in (("02", "05"), ("05", "02")):
        wait = "while not Path('started-OTHER').exists() and time.monotonic() < deadline:\n    time.sleep(0.02)"
        source = f"import time\nfrom pathlib import Path\nPath('started-{mine}').touch()\n"
        source += f"deadline = time.monotonic() + 60\n{wait.replace('OTHER', other)}\n"
        (path,) = (project / "notebooks").glob(f"{mine}-*.ipynb")
        write_notebook(project, path.name, source + f"assert Path('started-{other}').exists()")
    assert [entry["status"] for entry in run_notebooks()] == ["done", "done"]
    assert Path.cwd() == project  # kernels work in notebooks/, and we do not
    assert sorted(path.name for path in (project / "notebooks").glob("started-*")) == ["started-02", "started-05"]


def test_a_notebook_with_workers_of_its_own_runs_alone(project, monkeypatch):
    monkeypatch.setattr(notebooks, "usable_cores", lambda: 2)
    write_notebook(project, "01-all.ipynb", parameters_cell("workers: int = 2"))
    write_notebook(project, "06-one.ipynb", parameters_cell("workers: int = 1"))
    write_notebook(project, "07-other.ipynb")
    running, neighbours, pairs = set(), {}, threading.Barrier(2)

    def execute(path, values, environment, on_cell=None):
        running.add(path.name[:2])
        if path.name == "01-all.ipynb":
            time.sleep(0.2)  # for others to begin, if they would
        else:
            pairs.wait(60)
        neighbours[path.name[:2]] = {*running}
        if path.name != "01-all.ipynb":
            pairs.wait(60)
        running.remove(path.name[:2])
        return read_notebook(path), {}

    monkeypatch.setattr(kernels, "execute", execute)
    assert [entry["number"] for entry in run_notebooks()] == ["01", "02", "05", "06", "07"]
    assert neighbours.pop("01") == {"01"}
    assert {len(each) for each in neighbours.values()} == {2}


@pytest.mark.parametrize(
    ("default", "given", "alone"),
    [("workers: int = 2", {}, True), ("workers: int = 2", {"workers": 1}, False), ("workers: int = 1", {}, False)]
    + [
        ("workers: int = 1", {"workers": 4}, True),
        ("workers = os.cpu_count()", {}, True),
        ("steps: int = 2", {}, False),
    ],
)
def test_workers_as_they_are_given_decide(project, default, given, alone):
    path = write_notebook(project, "07-last.ipynb", parameters_cell(default))
    assert notebooks._shares_out_cores(path, given) is alone


def test_one_or_two_at_a_time_leave_the_same(project, monkeypatch, capsys):
    write_notebook(project, "02-fit.ipynb", "import time\ntime.sleep(0.5)", "print('slow')")  # it ends after the next
    write_notebook(project, "03-wrong.ipynb", "1 / 0", "2")
    write_notebook(project, "05-plot.ipynb", "from pathlib import Path\nPath.cwd().name")
    left = []
    for count in (1, 2):
        monkeypatch.setattr(notebooks, "usable_cores", lambda count=count: count)
        assert main(["run", "--output", f"runs-{count}"]) == 1
        files = {path.name: path.read_text(encoding="utf-8") for path in (project / f"runs-{count}").iterdir()}
        summary = json.loads(files.pop("summary.json"))
        assert [Path(entry.pop("output")).parent.name for entry in summary] == [f"runs-{count}"] * 3
        assert [entry.pop("seconds") > 0 for entry in summary] == [True] * 3
        left.append((files, summary))
    assert left[0] == left[1]
    assert sorted(left[0][0]) == ["02-fit.ipynb", "03-wrong.failed.ipynb", "05-plot.ipynb"]
    assert [entry["status"] for entry in left[0][1]] == ["done", "failed", "done"]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 8
    assert told[0].startswith("notebooks to run: 3, 1 at a time; last time ")
    assert told[0].endswith(f"; kept in {project / 'runs-1'}")
    assert [re.sub(r"[\d.]+ s|, about [\d:]+ left", "", line) for line in told[1:4]] == [
        "02-fit.ipynb: done,  (1 of 3)",
        "03-wrong.ipynb: failed,  (2 of 3, 1 failed)",
        "05-plot.ipynb: done,  (3 of 3, 1 failed)",
    ]


# ---- Ctrl-C ----

PROGRAM = """\
import signal, sys
from dmmlab.lab import notebooks
from dmmlab.__main__ import main
signal.signal(signal.SIGINT, HANDLER)  # a test in the background has inherited another one
notebooks.usable_cores = lambda: 2
sys.exit(main(["run", "--output", "run"]))
"""
SLEEP = """\
import os, subprocess, time
from pathlib import Path
child = subprocess.Popen(["sleep", "600"])
Path("NAME.part").write_text(f"{os.getpid()} {child.pid}", encoding="utf-8")
Path("NAME.part").rename("NAME")
while not Path("go").exists():
    time.sleep(0.02)
child.kill()
"""


@pytest.fixture
def start_batch(project):
    """Starts a batch of a short notebook and two that wait; gives its process when both do, and theirs."""
    for name in ("05-plot", "06-more"):
        write_notebook(project, f"{name}.ipynb", SLEEP.replace("NAME", name))
    started, summary = [], project / "run" / "summary.json"

    def start(handler):
        program, pipes = PROGRAM.replace("HANDLER", f"signal.{handler}"), {"stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, "-c", program], **pipes, stderr=subprocess.STDOUT)
        started.append(process)
        files = [project / "notebooks" / name for name in ("05-plot", "06-more")]
        wait_until(lambda: process.poll() is not None or summary.exists() and all(path.exists() for path in files))
        assert process.poll() is None, process.stdout.read()
        started.extend(psutil.Process(int(pid)) for path in files for pid in path.read_text(encoding="utf-8").split())
        return process, started[1:]

    yield start
    for process in started:
        if isinstance(process, subprocess.Popen) or process.is_running():
            process.kill()
    started[0].communicate()


def has_ended(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_ctrl_c_ends_everything_and_reports_what_was_finished(project, start_batch):
    process, others = start_batch("default_int_handler")
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert re.search(r"^02-fit.ipynb  done ", text, re.MULTILINE), text
    assert text.splitlines()[3:] == [f"kept in {project / 'run'}", "dmmlab: stopped"]  # and no trace of what was killed
    assert len(others) == 4
    wait_until(lambda: all(map(has_ended, others)))
    assert sorted(path.name for path in (project / "run").iterdir()) == ["02-fit.ipynb", "summary.json"]
    assert [entry["number"] for entry in read_summary(project)] == ["02"]


def test_a_batch_in_the_background_is_not_stopped_by_ctrl_c(project, start_batch):
    process, _ = start_batch("SIG_IGN")
    process.send_signal(signal.SIGINT)
    (project / "notebooks" / "go").touch()
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    assert [entry["status"] for entry in read_summary(project)] == ["done"] * 3


def test_what_was_interrupted_is_told_as_the_summary_so_far(project, monkeypatch, cores, capsys):
    folder = project / "data" / "runs"

    def stop(path, values, environment, on_cell=None):
        if path.name == "05-plot.ipynb":
            wait_until(lambda: [*folder.glob("*/summary.json")])
            raise KeyboardInterrupt
        return read_notebook(path), {}

    monkeypatch.setattr(kernels, "execute", stop)
    assert main(["run"]) == 130
    assert "02-fit.ipynb  done" in capsys.readouterr().out
    (summary,) = folder.glob("*/summary.json")
    assert [entry["notebook"] for entry in json.loads(summary.read_text(encoding="utf-8"))] == ["02-fit.ipynb"]


# ---- the bits of results ----

ONE, TWO = "results of 02-fit: bits 0123456789abcdef\n", "results of 02-fit: bits 0123456789abcdee\n"


@pytest.mark.parametrize(
    ("committed", "printed", "bits"),
    [
        (ONE, ONE, "same"),
        (ONE, f"more\n{ONE}more\n", "same"),
        (ONE, TWO, "other"),
        (ONE, "", "other"),
        (ONE, ONE + ONE.replace("02-fit", "02-more"), "other"),
        ("", ONE, None),
        ("", "", None),
        (f"the {ONE}", ONE, None),
    ],
)
def test_bits_are_compared_with_those_of_the_committed_notebook(project, monkeypatch, committed, printed, bits):
    def notebook_of(text):
        return new_code_cell("1", outputs=[new_output("stream", text=text)] if text else [])

    def execute(path, values, environment, on_cell=None):
        executed = read_notebook(path)
        executed.cells = [notebook_of(printed)]
        return executed, failure

    write_notebook(project, "02-fit.ipynb", parameters_cell("steps: int = 1"), notebook_of(committed))
    monkeypatch.setattr(kernels, "execute", execute)
    failure = {}
    (entry,) = run_notebooks([2], output="default")
    assert entry["bits"] == bits
    assert json.loads((project / "default" / "summary.json").read_text(encoding="utf-8"))[0]["bits"] == bits
    assert run_notebooks([2], {"steps": 1}, output="changed")[0]["bits"] is None
    failure = {"cell": 1, "error": "Error", "message": "wrong"}
    assert run_notebooks([2], output="failed")[0]["bits"] is None


def test_the_summary_says_whose_results_are_the_committed_ones(capsys):
    def entry(number, bits):
        told = {"number": number, "notebook": f"{number}-a.ipynb", "status": "done", "seconds": 1.0, "parameters": {}}
        return {**told, "bits": bits, "output": "/runs/a.ipynb"}

    assert _print_summary([entry("01", "same"), entry("02", "other"), entry("03", None), entry("04", "same")]) == 0
    lines = capsys.readouterr().out.splitlines()[4:]
    assert lines == [
        "the committed results, bit for bit: 01, 04",
        "other results than the committed: 02",
        "kept in /runs",
    ]
    assert _print_summary([entry("03", None)]) == 0
    assert "results" not in capsys.readouterr().out


# ---- the command line ----


def test_a_refusal_is_one_line_and_exit_code_2(project, stub, capsys):
    assert main(["run", "2", "-p", "rat", "1"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("dmmlab: the chosen notebooks: no parameter rat (did you mean rate?);")
    assert captured.err.count("\n") == 1
    assert not (project / "data").exists()


def test_an_argument_that_is_no_text_is_refused_before_anything_runs(project, stub, capsys):
    assert main(["run", "2", "-p", "label", "\udcff"]) == 2
    assert capsys.readouterr().err == r"dmmlab: argument '\udcff' is no UTF-8 text; write it anew" + "\n"
    assert not stub


@pytest.mark.parametrize(
    ("cells", "question"),
    [
        ([new_markdown_cell("# Title\n\n**Question.** Does it fit?\nMore.")], "Does it fit?"),
        ([new_markdown_cell("text\n# Title"), new_markdown_cell("## Other")], "Title"),
        (["# Code is no title"], "far away"),
    ],
)
def test_the_list_gives_question_or_title(project, cells, question):
    write_notebook(project, "07-far-away.ipynb", *cells)
    assert describe_notebooks()[-1]["question"] == question


def test_the_list_gives_defaults_and_durations_in_80_columns(project, capsys):
    write_notebook(project, "07-kept.ipynb", new_markdown_cell(f"# {'long ' * 40}title"), dmmlab={"seconds": 4.25})
    table = describe_notebooks()
    assert [row["seconds"] for row in table] == [None, None, 4.25]
    assert table[0]["parameters"]["label"] == '"#red"'
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-2].endswith("title (4.2 s)")
