"""Sweeps: what is refused, what is run and what is kept, whoever dies; one tidy table of it all."""

import csv
import json
import os
import shutil
import signal
import threading
import time
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from statistics import median

import distributed
import nbformat
import pytest
from conftest import refused
from cutoff import cut_off
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from dmmlab.files import DMMError, parse_json, write_json
from dmmlab.lab import kernels, sweeps
from dmmlab.lab.cli import main
from dmmlab.lab.results import plot_results, show_rows
from dmmlab.lab.sweeps import read_vary, sweep
from dmmlab.lab.tables import OUTCOME

PARAMETERS = (
    "seed: int = 0\nrate: float = 0.1\nname: str = 'a'\nsizes: list[int] = [1]\nstatus: str = ''\npause: float = 0"
)


def write_notebook(root, *cells, name="09-fit.ipynb"):
    parameters = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}, id="parameters")
    cells = [new_code_cell(cell, id=f"c{i}") for i, cell in enumerate(cells)]
    path = root / "notebooks" / name
    nbformat.write(new_notebook(cells=[parameters, *cells]), path)
    return path


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = tmp_path / "pro{ject}"
    (root / "notebooks").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    monkeypatch.chdir(root)
    write_notebook(root, "print(seed)")
    return root


class Stub:
    """Stands for `run_one`: it needs no kernel, and does what the seed says."""

    def __init__(self, project):
        self.project, self.started = project, []

    def run_one(self, notebook, values, folder, output_root):
        seed = values.get("seed", 0)
        self.started.append(seed)
        while (self.project / f"hold {seed}").exists() and not kernels.stopping.is_set():
            time.sleep(0.01)
        if kernels.stopping.is_set():
            raise CancelledError
        if seed == 507:
            raise DMMError(f"{folder}: cannot write (No space left on device); free the disk")
        entry = {"status": "done", "seconds": 0.1, "output": ""}
        if seed == 666:
            entry |= {"status": "failed", "cell": 2, "error": "DeadKernelError", "message": "Kernel died"}
        if seed == 13 and not (self.project / "mended").exists():
            entry |= {"status": "failed", "cell": 4, "error": "ValueError", "message": "unlucky, [red]\nand so on"}
        given = self.project / "result"
        content = parse_json(given.read_text(encoding="utf-8")) if given.exists() else {"square": seed**2}
        write_json(output_root / "data" / "results" / "09-fit.json", content)
        return entry

    def seeds(self):
        """Those that were run since this was asked last."""
        found, self.started = sorted(self.started), []
        return found


@pytest.fixture
def stub(project, monkeypatch):
    """Runs take milliseconds, in threads of this process instead of Dask's."""
    stub = Stub(project)
    monkeypatch.setattr(sweeps, "run_one", stub.run_one)
    local = distributed.LocalCluster

    def cluster(preload, **options):
        return local(**options, processes=False)

    monkeypatch.setattr(distributed, "LocalCluster", cluster)
    return stub


def table_of(root):
    return (root / "data" / "sweeps" / "09" / "table.csv").read_text(encoding="utf-8")


def statuses(rows):
    return [row["status"] for row in rows]


# ---- what is asked ----


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed=0..3", [0, 1, 2, 3]),
        ("seed=-1..1", [-1, 0, 1]),
        ("seed=1,2,4", ["1", "2", "4"]),
        ("seed=0..1, 7", [0, 1, "7"]),
        ("rate = 1e-3,1e-2", ["1e-3", "1e-2"]),
        ("name=lead,balance", ["lead", "balance"]),
        ('name=["a, b", "c=d"]', ["a, b", "c=d"]),
        ("sizes=[[1, 2], [3]]", [[1, 2], [3]]),
        ("name=c=d", ["c=d"]),
    ],
)
def test_values_to_vary_are_read(text, expected):
    assert read_vary([text]) == {text.split("=")[0].strip(): expected}


@pytest.mark.parametrize("texts", [["seed"], ["seed="], ["=1"], ["seed=1", "seed=2"], ["seed=[1, 2"], ["seed=[NaN]"]])
def test_what_is_no_list_of_values_is_refused(texts):
    with refused():
        read_vary(texts)


@pytest.mark.parametrize(
    ("vary", "options", "words"),
    [
        (["sead=0..3"], {}, ["no parameter sead", "did you mean seed?"]),
        (["seed=0..3"], {"parameters": {"rat": 1}}, ["no parameter rat", "did you mean rate?"]),
        (["seed=1,x"], {}, ["parameter seed: 'x' does not read as int"]),
        (["seed=1"], {"parameters": {"rate": "fast"}}, ["parameter rate: 'fast'"]),
        (["seed=1,1"], {}, ["parameter seed", "one twice"]),
        (["seed=3..1"], {}, ["parameter seed", "no value"]),
        (["seed=1"], {"parameters": {"seed": 1}}, ["parameter seed: varied and set"]),
        (["seed=1"], {"number": 7}, ["no notebook has the number 07"]),
        (["seed=1"], {"table": "table.parquet"}, ["table.parquet", ".csv"]),
        (["seed=1"], {"workers": 0}, ["workers is 0"]),
        (["seed=1"], {"scheduler": "tcp://127.0.0.1:1"}, ["tcp://127.0.0.1:1", "no answer"]),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_written(project, stub, vary, options, words):
    with refused(*words):
        sweep(options.pop("number", 9), read_vary(vary), **options)
    assert not stub.seeds()
    assert not (project / "data").exists()


def test_a_notebook_without_such_parameters_is_refused(project, stub):
    nbformat.write(new_notebook(cells=[new_code_cell("1")]), project / "notebooks" / "10-bare.ipynb")
    with refused("10-bare.ipynb: no parameter seed"):
        sweep(10, {"seed": [1]})


def test_the_last_name_varies_fastest_and_values_are_the_notebooks_types(project, stub):
    rows = sweep("09", read_vary(["seed=2,1", "sizes=[[1], [2]]", "rate=1e-3"]), {"name": "5"})
    found = [(row["seed"], row["sizes"], row["rate"], row["name"]) for row in rows]
    assert found == [(seed, sizes, 0.001, "5") for seed in (2, 1) for sizes in ("[1]", "[2]")]
    assert [row["square"] for row in rows] == [4, 4, 1, 1]
    assert table_of(project).splitlines()[0] == "seed,sizes,rate,name,status,cell,error,message,square"


def test_a_dry_run_tells_what_is_there_and_changes_nothing(project, stub, capsys):
    sweep(9, {"seed": [0, 13]})
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    capsys.readouterr()
    rows = sweep(9, {"seed": range(12, 14), "rate": ["0.1"]}, dry_run=True)
    assert statuses(rows) == ["waiting", "waiting"]
    rows = sweep(9, {"seed": [12, 13, 0]}, dry_run=True, retry=True)
    assert statuses(rows) == ["waiting", "failed", "done"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[3:] == ["seed=12: waiting", "seed=13: failed", "seed=0: kept", "3 runs: 1 failed, 1 kept, 1 waiting"]
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before


# ---- what is kept ----


def test_what_is_finished_is_not_repeated(project, stub):
    sweep(9, {"seed": [3, 1]}, workers=1)
    assert stub.seeds() == [1, 3]
    sweep(9, {"seed": [3, 1]})
    assert stub.seeds() == []
    rows = sweep(9, {"seed": ["1", "2", "3"]})
    assert stub.seeds() == [2]
    assert [row["square"] for row in rows] == [1, 4, 9]


def test_failures_are_listed_kept_and_repeated_on_request(project, stub, capsys):
    rows = sweep(9, {"seed": [12, 13]})
    assert rows[1] == {
        "seed": 13,
        "status": "failed",
        "cell": 4,
        "error": "ValueError",
        "message": "unlucky, [red]\nand so on",
    }
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 runs: 1 done, 1 failed"
    assert lines[2] == "seed=13, cell 4: ValueError: unlucky, [red] and so on (--retry repeats it)"
    (project / "mended").touch()
    stub.seeds()
    assert statuses(sweep(9, {"seed": [12, 13]})) == ["done", "failed"]
    assert stub.seeds() == []
    assert statuses(sweep(9, {"seed": [12, 13]}, retry=True)) == ["done", "done"]
    assert stub.seeds() == [13]


def test_another_notebook_or_package_is_another_run_but_other_outputs_are_not(project, stub, monkeypatch, tmp_path):
    package = tmp_path / "package" / "lab"
    package.mkdir(parents=True)
    (package / "sweeps.py").write_text("1", encoding="utf-8")
    monkeypatch.setattr(sweeps, "__file__", str(package / "sweeps.py"))

    def waiting():
        return statuses(sweep(9, {"seed": [1]}, dry_run=True)) == ["waiting"]

    sweep(9, {"seed": [1]})
    assert not waiting()
    path = project / "notebooks" / "09-fit.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="1")]
    notebook.cells[1].execution_count = 3
    notebook.cells.append(new_markdown_cell("words"))
    nbformat.write(notebook, path)
    assert not waiting()
    notebook.cells[1].source += "\n1"
    nbformat.write(notebook, path)
    assert waiting()
    sweep(9, {"seed": [1]})
    (package / "sweeps.py").write_text("2", encoding="utf-8")
    assert waiting()


# ---- who dies ----


@contextmanager
def meanwhile(act, *arguments):
    """The act goes on in a thread, which has ended after the block."""
    thread = threading.Thread(target=act, args=arguments, daemon=True)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive()


def test_one_and_two_workers_write_the_same_table(project, stub):
    grid = read_vary(["seed=0..9", "name=a,b"])
    rows = sweep(9, grid, workers=1)
    serial = table_of(project)
    assert statuses(rows) == ["done"] * 20
    shutil.rmtree(project / "data")
    sweep(9, grid, workers=2)
    assert table_of(project) == serial


def test_a_run_whose_kernel_dies_every_time_fails_alone(project, stub):
    rows = sweep(9, {"seed": [1, 666, 2]}, workers=2)
    assert stub.seeds() == [1, 2, 666, 666, 666]
    assert statuses(rows) == ["done", "failed", "done"]
    assert rows[1]["error"] == "DeadKernelError"
    sweep(9, {"seed": [1, 666, 2]})
    assert stub.seeds() == []


@pytest.fixture
def interruptible():
    """Ctrl-C as in a terminal: shells let what runs in the background ignore it, tests too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_stops_all_keeps_what_is_finished_and_goes_on(project, stub, capsys, interruptible):
    for seed in (3, 4):
        (project / f"hold {seed}").touch()

    def press_ctrl_c():
        while len([*project.glob("data/sweeps/*/*/run.json")]) < 2 or {3, 4} - {*stub.started}:
            time.sleep(0.005)
        kernels.stopping.set()  # as the end of a worker does, which is a thread here
        os.kill(os.getpid(), signal.SIGINT)

    with meanwhile(press_ctrl_c), pytest.raises(KeyboardInterrupt):
        sweep(9, {"seed": [1, 2, 3, 4]}, workers=2)
    assert "4 runs: 2 done, 2 waiting" in capsys.readouterr().out
    assert len(table_of(project).splitlines()) == 3
    for seed in (3, 4):
        (project / f"hold {seed}").unlink()
    kernels.stopping.clear()
    stub.seeds()
    assert statuses(sweep(9, {"seed": [4, 3, 2, 1]})) == ["done"] * 4
    assert stub.seeds() == [3, 4]


def test_a_full_disk_stops_the_sweep_and_what_is_finished_stays(project, stub):
    with refused("cannot write (No space left on device)"):
        sweep(9, {"seed": [1, 507]}, workers=1)
    assert len(table_of(project).splitlines()) == 2


def test_what_is_finished_is_in_the_table_though_ctrl_c_came_before_anybody_looked(project, stub, monkeypatch, capsys):
    def finish_one(runs, workers, scheduler):
        write_json(runs[1].folder / "run.json", {"status": "done", "seconds": 1.0})
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "_run_all", finish_one)
    with pytest.raises(KeyboardInterrupt):
        sweep(9, {"seed": [1, 2, 3]})
    assert "3 runs: 1 done, 2 waiting" in capsys.readouterr().out
    assert table_of(project).splitlines()[1:] == ["2,done,,,"]


def test_there_is_a_worker_for_each_core_that_may_be_used(project, stub, monkeypatch):
    asked, connect = [], sweeps.connect
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    monkeypatch.setattr(sweeps, "connect", lambda workers, scheduler: asked.append(workers) or connect(1, None))
    sweep(9, {"seed": range(5)})
    sweep(9, {"seed": [5, 6]})
    assert asked == [3, 2]


def test_a_run_that_another_sweep_finished_meanwhile_is_taken_over(project, stub):
    folder = project / "run"
    write_json(folder / "run.json", {"status": "done", "seconds": 1.0})
    assert sweeps.run_in_folder(Path("notebook"), {}, folder) == {"status": "done", "seconds": 1.0}
    assert stub.seeds() == []


# ---- the table ----


def test_results_become_columns(project, stub):
    content = {
        "seed": 7,
        "status": "fine",
        "exact": True,
        "none": None,
        "text": 'a, "b"\nc',
        "curve": [1, 2.5],
        "deep": {"a": {"b": 1}, "rows": [{"links": 8}, {"links": 9, "loss": 0.5}]},
    }
    (project / "result").write_text(json.dumps(content), encoding="utf-8")
    (row,) = sweep(9, {"seed": [1]}, {"status": "asked"})
    assert list(row.items()) == [
        *(("seed", 1), ("status", "asked"), ("run.status", "done")),
        *(("cell", None), ("error", None), ("message", None)),
        *(("results.seed", 7), ("results.status", "fine"), ("exact", True), ("none", None), ("text", 'a, "b"\nc')),
        *(("curve", "[1, 2.5]"), ("deep.a.b", 1), ("deep.rows.0.links", 8)),
        *(("deep.rows.1.links", 9), ("deep.rows.1.loss", 0.5)),
    ]
    with (project / "data" / "sweeps" / "09" / "table.csv").open(newline="", encoding="utf-8") as file:
        (read,) = csv.DictReader(file)
    assert read["text"] == row["text"]
    assert (read["exact"], read["none"], read["deep.rows.1.loss"]) == ("True", "", "0.5")


def test_a_result_that_is_a_list_has_the_name_of_its_file(project, stub):
    (project / "result").write_text("[1, 2]", encoding="utf-8")
    (row,) = sweep(9, {"seed": [1]})
    assert row["09-fit"] == "[1, 2]"


def test_the_table_is_written_where_it_is_asked_for(project, stub):
    sweep(9, {"seed": [1, 13]}, table="new/all.csv")
    assert Path("new/all.csv").read_text(encoding="utf-8").startswith("seed,status")
    assert not (project / "data" / "sweeps" / "09" / "table.csv").exists()


# ---- the screen ----


def test_a_log_gets_a_line_for_every_run(project, stub, capsys):
    sweep(9, {"seed": [13]})
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("runs to do: 1, 1 at a time; one took ")
    assert told[1:] == ["seed=13: failed, 0.1 s (1 of 1, 1 failed)"]


# ---- with kernels ----

FULL = """\
import os, signal
from pathlib import Path
import dmmlab as dmm
dmm.save_figure(lambda figure: figure.subplots().plot([seed, 1]), "09-curve")
dmm.save_results("09-fit", {"third": seed / 3})
print("seed", seed)
"""
DYING = """\
if seed == 2 and not Path("died").exists():
    Path("died").touch()
    os.kill(os.getpid(), signal.SIGKILL)
1 / (seed - 1)
"""


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without_seconds(files):
    return {
        name: {**json.loads(text), "seconds": 0} if name.endswith("run.json") else text for name, text in files.items()
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_runs_in_kernels_keep_their_notebooks_figures_and_results(project):
    write_notebook(project, FULL, DYING)
    rows = sweep(9, {"seed": [0, 1, 2]}, workers=2)
    assert [(row["status"], row["error"], row["cell"], row.get("third")) for row in rows] == [
        ("done", None, None, 0.0),
        ("failed", "ZeroDivisionError", 4, None),
        ("done", None, None, 2 / 3),  # its kernel was killed once
    ]
    before = without_seconds(files_below(project / "data"))
    folders = {name.split("/")[2] for name in before} - {"table.csv"}
    places = [f"figures/{place}/09-curve" for place in ("one-column", "two-columns")]
    names = {"run.json", "parameters.json", "data/results/09-fit.json"}
    names |= {f"{place}.{format}" for place in places for format in ("pdf", "svg", "png")}
    for folder in folders:
        prefix = f"sweeps/09/{folder}/"
        found = {name.removeprefix(prefix) for name in before if name.startswith(prefix)}
        failed = before[prefix + "run.json"]["status"] == "failed"
        assert found == {*names, "09-fit.failed.ipynb" if failed else "09-fit.ipynb"}
        assert "output" not in before[prefix + "run.json"]
    assert not (project / "figures").exists()
    shutil.rmtree(project / "data" / "sweeps")
    sweep(9, {"seed": [1, 2]}, workers=2)
    again = without_seconds(files_below(project / "data"))
    del again["sweeps/09/table.csv"]
    assert len({name.split("/")[2] for name in again}) == 2
    assert {name: before[name] for name in again} == again  # executed notebooks too


def test_a_notebook_that_changes_while_the_sweep_runs_ends_it(project):
    runs = sweeps._plan(9, {"seed": [1]}, {})
    write_notebook(project, "print(seed + 1)")
    with refused("changed while the sweep ran", start=project / "notebooks" / "09-fit.ipynb"):
        sweeps.run_in_folder(runs[0].notebook, runs[0].values, runs[0].folder)
    assert not runs[0].folder.exists()


def test_a_dask_cluster_by_its_address_survives_a_killed_worker(project):
    from distributed import LocalCluster

    write_notebook(project, "1", "1 / seed")
    quiet = {"dashboard_address": None, "silence_logs": 50}
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **quiet) as cluster:
        victims = [worker.pid for worker in cluster.workers.values()]

        def kill():
            while not list(project.glob("data/sweeps/09/*/parameters.json")):
                time.sleep(0.05)
            os.kill(victims[0], signal.SIGKILL)

        with meanwhile(kill):
            rows = sweep(9, {"seed": [0, 1, 2]}, scheduler=cluster.scheduler_address)
    assert statuses(rows) == ["failed", "done", "done"]
    assert (rows[0]["error"], rows[0]["cell"]) == ("ZeroDivisionError", 4)
    assert len(list(project.glob("data/sweeps/09/*/run.json"))) == 3


def test_machines_among_the_results_are_no_columns(project, stub):
    (project / "result").write_text(
        json.dumps({"format": "dmmlab machine 1", "neurons": {"input": "input"}}), encoding="utf-8"
    )
    (row,) = sweep(9, {"seed": [1]})
    assert list(row) == ["seed", *OUTCOME]


# ---- what one sees ----


def made(**varied):
    """Rows of a sweep whose result is the sum of the parameters."""
    names = [*varied]
    return [
        {
            **dict(zip(names, values, strict=True)),
            "status": "done",
            "cell": None,
            "total": float(sum(values)),
            "exact": True,
        }
        for values in product(*varied.values())
    ]


def test_a_sweep_ends_with_a_table_of_parameters_and_results(project, stub, capsys):
    sweep(9, {"seed": [1, 13], "rate": [0.5]})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 runs: 1 done, 1 failed"
    assert [line.split() for line in lines[-3:]] == [
        ["seed", "rate", "status", "square"],
        ["1", "0.5", "done", "1"],
        ["13", "0.5", "failed"],
    ]


def test_the_table_has_what_differs_first_and_says_what_it_leaves_out():
    rows = [row | {f"same {i}": 1 for i in range(9)} | {"text": "x"} for row in made(seed=range(50))]
    lines = show_rows(rows, ["seed"]).splitlines()
    assert lines[0].split()[:3] == ["seed", "total", "exact"] and "text" not in lines[0]
    assert len(lines) == 42 and lines[-1] == "and 10 more runs, 5 more results: in the file"
    assert show_rows(rows, ["seed"], "same 8").split()[:4] == ["seed", "same", "8", "total"]


def test_a_result_is_drawn_over_the_varied_parameters(project, stub, capsys):
    folder = project / "data/sweeps/09"
    sweep(9, {"seed": [1, 2, 3], "rate": [0.1, 0.2]}, plot="square")
    assert sorted(path.name for path in folder.glob("square.*")) == ["square.pdf", "square.png", "square.svg"]
    assert "square.png" in capsys.readouterr().out.splitlines()[-1]
    with refused("no run has a number 'loss'", "there are: square"):
        sweep(9, {"seed": [1, 2, 3], "rate": [0.1, 0.2]}, plot="loss")
    assert (folder / "table.csv").exists()
    assert main(["sweep", "09", "--vary", "seed=1..3", "--plot", "square", "--table", "new/t.csv"]) == 0
    assert (project / "new/square.svg").exists()


@pytest.mark.parametrize(
    ("varied", "along", "labels"),
    [
        ({"seed": (0, 1, 5), "rate": (1, 2)}, "rate", []),
        ({"rate": (1, 2), "size": (3, 4), "seed": (0, 1, 2)}, "rate", ["size 3", "size 4"]),
        ({"seed": (0, 1, 2), "rate": (1,)}, "seed", []),
        ({"rate": (7,)}, "rate", []),
    ],
)
def test_runs_are_points_and_lines_go_through_the_medians(varied, along, labels):
    rows = made(**varied)
    (axes,) = plot_results(rows, "total", [*varied]).figure().axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == (along, "total")
    points = [tuple(point) for line in axes.lines if line.get_marker() == "o" for point in line.get_xydata()]
    assert sorted(points) == sorted((row[along], row["total"]) for row in rows)
    lines = [line for line in axes.lines if line.get_marker() != "o"]
    assert not labels or [line.get_label() for line in lines] == labels
    for line, label in zip(lines, labels or [""], strict=True):
        for x, y in line.get_xydata():
            of_curve = [row for row in rows if row[along] == x and (not label or label == f"size {row['size']}")]
            assert y == median(row["total"] for row in of_curve)


def test_words_stand_along_the_axis_and_wide_ranges_are_logarithmic():
    rows = [row | {"total": row["total"] * 1000 ** row["rate"]} for row in made(rate=(1, 2, 300 / 100))]
    rows = [row | {"name": name} for row, name in zip(rows, ("lead", "balance", "$x$"), strict=True)]
    (axes,) = plot_results(rows, "total", ["name"]).figure().axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["lead", "balance", r"\$x\$"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")


def test_failed_runs_are_no_points_and_text_is_no_result():
    rows = [*made(seed=(1, 2)), {"seed": 3, "status": "failed", "cell": 4}]
    (axes,) = plot_results(rows, "total", ["seed"]).figure().axes
    assert max(axes.lines[0].get_xdata()) == 2
    for name in ("status", "cell", "seed"):
        with refused(f"no run has a number {name!r}", "total, exact"):
            plot_results(rows, name, ["seed"])


@pytest.mark.parametrize("width", [2.65, 3.5, 7.16])
def test_no_label_of_a_sweep_lies_beyond_the_edge(width):
    rows = [row | {"name of a result": row["total"] * 1e7} for row in made(rate=(1, 2, 9), size=range(5))]
    assert cut_off(plot_results(rows, "name of a result", ["rate", "size"]).figure(width)) == []
    assert cut_off(plot_results(rows, "name of a result", ["size"]).figure(width)) == []
