"""Crashes: whatever is killed, and whenever, a rerun ends with the bytes of an undisturbed run; full disks are told."""

import errno
import json
import os
import resource
import signal
import threading
import time
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest
from conftest import refused
from nbformat.v4 import new_code_cell, new_notebook, new_output

import dmmlab as dmm
from dmmlab import files
from dmmlab.files import atomic_write, write_json
from dmmlab.lab.cli import main
from dmmlab.lab.sweeps import sweep

PARAMETERS = new_code_cell("seed: int = 0", metadata={"tags": ["parameters"]}, id="parameters")
SOURCE = """\
import dmmlab as dmm
dmm.save_figure(lambda figure: figure.subplots().plot([seed, 1, 2]), "09-curve")
dmm.save_results("09-fit", {"third": seed / 3, "curve": list(range(5000))})
print("seed", seed)
"""


# ---- what is killed; each leaves all that it makes in the current folder ----


def train():
    task = dmm.Task(["ab.a", "aab."], teacher=dmm.handcrafted_detector())
    objective = dmm.Objective(dmm.initialize(dmm.feedforward(layers=2, copies=1), seed=1), task, l1=1e-3)
    result = dmm.train(objective, 600, checkpoint="checkpoint.json", checkpoint_every=5, progress=False)
    result.machine.save("machine.json")
    write_json("losses.json", result.history.loss)


def synthesize():
    task = dmm.Task(["ab.a.", "aab.b"], teacher=dmm.handcrafted_detector())
    small = dmm.feedforward(layers=3, copies=1)
    result = dmm.synthesize(task, 2, small, attempts=1, checkpoint="checkpoint.json", progress=False)
    result.machine.save("machine.json")
    write_json("result.json", [result.to_dict(), result.history])


def batch():
    # Executed notebooks of a killed batch stay as they are: the next one has a folder of its own.
    runs = next(f"run-{count}" for count in range(99) if not Path(f"run-{count}").exists())
    assert main(["run", "--output", runs]) == 0


def sweeping():
    sweep(9, {"seed": [1, 2]}, workers=2)


def work(job, folder):
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    os.chdir(folder)
    job()


# ---- how it is killed ----


def make_project(root, source):
    (root / "notebooks").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    cells = [PARAMETERS, new_code_cell(source, id="only")]
    nbformat.write(new_notebook(cells=cells), root / "notebooks" / "09-fit.ipynb")


def start(job, folder):
    """The job in a process of its own, which has imported everything already."""
    if not folder.exists():
        make_project(folder, SOURCE)
    context = get_context("forkserver")
    context.set_forkserver_preload(["dmmlab.lab.sweeps", "dmmlab.lab.kernels", "distributed", __name__])
    process = context.Process(target=work, args=(job, folder))
    process.start()
    return process


def finish(job, folder):
    begin = time.monotonic()
    process = start(job, folder)
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - begin


def kill(process, whole):
    """Kill the process, with all that it started or alone; whether it was alive."""
    victims = [psutil.Process(process.pid)] if process.is_alive() else []
    with suppress(psutil.Error):
        victims += victims[0].children(recursive=True) if victims and whole else []
    for victim in victims:
        with suppress(psutil.Error):
            victim.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


class Reader:
    """Reads whatever is there, again and again, and remembers what was no whole file."""

    ENDS = {".json": b"\n", ".csv": b"\n", ".ipynb": b"}\n", ".svg": b"</svg>\n", ".pdf": b"%%EOF\n"}

    def __init__(self, folder):
        self.folder, self.reads, self.halves, self.going = folder, 0, [], True
        self.thread = threading.Thread(target=self.read)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.going = False
        self.thread.join()

    def read(self):
        while self.going:
            time.sleep(0.005)
            for path in find_files(self.folder):
                with suppress(FileNotFoundError):  # a rerun has cleared it away
                    content = path.read_bytes()
                    self.reads += 1
                    try:
                        assert content.endswith(self.ENDS.get(path.suffix, b""))
                        if path.suffix in (".json", ".ipynb"):
                            json.loads(content)
                    except (AssertionError, ValueError):
                        self.halves.append((path, content))


def find_files(folder):
    """All that may be taken for a result: names that begin with a dot are not."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "."]
        found += [Path(place) / name for name in names if name[0] != "."]
    return found


def contents(folder):
    """Bytes by path, without what tells durations and folders; of several batches the last one."""
    last = max((path.name for path in folder.glob("run-*")), default="")
    found = {}
    for path in find_files(folder):
        place = path.relative_to(folder).parts
        if place[0].startswith("run-") and place[0] != last:
            continue
        content = path.read_bytes()
        if path.suffix == ".json":
            content = json.dumps(without(json.loads(content), {"seconds", "output"}))
        found["/".join(("run" if part == last else part) for part in place)] = content
    return found


def without(tree, names):
    if isinstance(tree, dict):
        return {name: without(part, names) for name, part in tree.items() if name not in names}
    return [without(part, names) for part in tree] if isinstance(tree, list) else tree


EXPECTED = {
    train: {"checkpoint.json", "machine.json", "losses.json"},
    synthesize: {"checkpoint.json", "machine.json", "result.json"},
    batch: {
        "run/summary.json",
        "run/09-fit.ipynb",
        *(f"figures/{place}/09-curve.{x}" for place in ("one-column", "two-columns") for x in ("pdf", "svg", "png")),
        "data/results/09-fit.json",
    },
    sweeping: {"data/sweeps/09/table.csv"},
}


@pytest.mark.parametrize(
    ("job", "kills", "in_a_row"), [(train, 18, 2), (synthesize, 12, 3), (batch, 8, 4), (sweeping, 6, 3)]
)
def test_what_was_killed_ends_with_the_same_bytes_when_it_is_run_again(job, kills, in_a_row, tmp_path):
    finish(train, tmp_path / "warm")  # the first process waits for all imports
    duration = finish(job, tmp_path / "undisturbed")
    expected = contents(tmp_path / "undisturbed")
    assert expected.keys() >= EXPECTED[job]
    rng, hits, count = np.random.default_rng(kills), 0, 0
    while hits < kills:
        folder = tmp_path / f"killed-{count}"
        make_project(folder, SOURCE)  # nbformat does not write whole, so nobody reads yet
        with Reader(folder) as reader:
            for _ in range(min(in_a_row, kills - hits)):
                process = start(job, folder)
                time.sleep(rng.uniform(0, 0.9 * duration))
                hits += kill(process, whole=rng.random() < 0.5)
            finish(job, folder)
        assert contents(folder) == expected
        assert reader.reads
        assert not reader.halves
        count += 1
    assert hits == kills


WAITING = """import time
from pathlib import Path
if Path(f'began-{seed}').exists():
    Path(f'again-{seed}').touch()
Path(f'began-{seed}').touch()
while not Path('go').exists():
    time.sleep(0.1)"""


def start_sweep_that_waits(folder):
    """A sweep of two runs that wait until they may go on; gives it and its kernels."""
    make_project(folder, WAITING)
    process = start(sweeping, folder)
    while len([*folder.glob("notebooks/began-*")]) < 2:
        assert process.is_alive()
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    return process, [child for child in children if "ipykernel_launcher" in child.cmdline()]


def test_all_that_a_killed_sweep_started_ends_too(tmp_path):
    process, kernels = start_sweep_that_waits(tmp_path / "sweep")
    workers = [kernel.parent() for kernel in kernels]
    kill(process, whole=False)
    assert psutil.wait_procs(kernels + workers, timeout=120)[1] == []


def test_a_killed_worker_takes_its_kernel_along_and_the_run_is_tried_again(tmp_path):
    process, kernels = start_sweep_that_waits(tmp_path / "sweep")
    assert len(kernels) == 2
    kernels[0].parent().kill()
    assert psutil.wait_procs(kernels[:1], timeout=120)[1] == []
    (tmp_path / "sweep/notebooks/go").touch()
    process.join()
    assert process.exitcode == 0
    found = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("sweep/data/sweeps/09/*/run.json")]
    assert [entry["status"] for entry in found] == ["done", "done"]
    assert len([*tmp_path.glob("sweep/notebooks/again-*")]) == 1


# ---- full disks ----


@contextmanager
def files_of_at_most(size):
    """No file may become longer, here and in all processes that are started here: the nearest to a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def is_told_in_one_line(capsys, path):
    text = capsys.readouterr().err.splitlines()[-1]
    return text.startswith(f"dmmlab: {path}: cannot write ([Errno 27] File too large); free the disk")


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = tmp_path / "project"
    make_project(root, "print('x' * 5000)")
    monkeypatch.chdir(root)
    return root


def test_a_disk_that_is_full_at_the_last_moment_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = atomic_write(tmp_path / "file", "old")

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with refused("No space left on device", "free the disk", start=path):
        atomic_write(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.json"
    task = dmm.Task(["ab."], teacher=dmm.handcrafted_detector())
    objective = dmm.Objective(dmm.initialize(dmm.feedforward(layers=2, copies=1), seed=1), task)
    dmm.train(objective, 2, checkpoint=path, progress=False)
    before = path.read_bytes()
    with files_of_at_most(len(before)), refused("cannot write", "free the disk", start=path):
        dmm.train(objective, 200, checkpoint=path, progress=False)
    assert path.read_bytes() == before
    assert len(dmm.train(objective, 4, checkpoint=path, progress=False).history) == 4


def test_a_full_disk_keeps_results_and_figures(project):
    dmm.save_figure(lambda figure: figure.subplots().plot([1, 2]), "09-curve")
    dmm.save_results("09-fit", {"a": 1})
    before = contents(project)
    with files_of_at_most(2000):
        with refused("cannot write", start=project / "figures" / "one-column" / "09-curve"):
            dmm.save_figure(lambda figure: figure.subplots().plot(range(500)), "09-curve")
        with refused("cannot write", start=project / "data" / "results" / "09-fit.json"):
            dmm.save_results("09-fit", list(range(5000)))
    assert contents(project) == before


def test_a_full_disk_ends_a_batch_with_a_line(project, capsys, monkeypatch):
    def execute(path, values, environment, on_cell=None):
        notebook = nbformat.read(path, as_version=4)
        notebook.cells[1].outputs = [new_output("stream", text="x" * 5000)]
        return notebook, {}

    monkeypatch.setattr("dmmlab.lab.kernels.execute", execute)
    before = contents(project)
    with files_of_at_most(2000):
        assert main(["run", "--output", "runs"]) == 2
    assert is_told_in_one_line(capsys, project / "runs" / "09-fit.ipynb")
    assert contents(project) == before


def test_a_full_disk_ends_a_sweep_with_a_line_and_it_goes_on_later(project, capsys):
    with files_of_at_most(2000):
        assert main(["sweep", "09", "--vary", "seed=1", "--workers", "1"]) == 2
    (folder,) = (project / "data" / "sweeps" / "09").iterdir()
    assert is_told_in_one_line(capsys, folder / "09-fit.ipynb")
    assert not (folder / "run.json").exists()
    assert main(["sweep", "09", "--vary", "seed=1"]) == 0
