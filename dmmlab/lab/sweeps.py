"""Sweeps: one notebook over a grid of parameters, by Dask: processes of this computer, or a cluster by its address.

Every run has a folder of its own, data/sweeps/NN/<hash>, named by all that decides about it: the notebook's code, the
parameters, the package. Its run.json is written last: where that file is, the run is finished and is not repeated.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from dmmlab.engine.threads import usable_cores
from dmmlab.files import DMMError, check_int, parse_json, read_json, write_json
from dmmlab.lab.clusters import connect
from dmmlab.lab.notebooks import describe_failure, plan_runs, read_seconds, run_one
from dmmlab.lab.parameters import read_notebook, read_parameters, read_value, refuse_unknown
from dmmlab.lab.progress import Progress
from dmmlab.lab.results import plot_results, save_plot, show_found, show_rows
from dmmlab.lab.tables import make_row, write_table

TRIES = 3  # of a run whose kernel dies
MOST_RUNS = 100_000


def read_vary(texts: Sequence[str]) -> dict[str, list]:
    """What varies, as the command line spells it: "seed=0..19", "rate=1e-3,1e-2", or a JSON list: 'sizes=[[1], [2]]'.

    The values by name; those that are text are read as the notebook's types later. Raises DMMError.
    """
    vary: dict[str, list] = {}
    for text in texts:
        name, _, values = (part.strip() for part in text.partition("="))
        if not name or not values or name in vary:
            raise DMMError(f"--vary {text!r:.60}: vary each parameter once, as in seed=0..19 or strings=1,2,4")
        if values.startswith("["):
            vary[name] = parse_json(values)
            continue
        vary[name] = []
        for part in values.split(","):
            ends = re.fullmatch(r"(-?\d{1,18})\.\.(-?\d{1,18})", part.strip())
            values = range(int(ends[1]), int(ends[2]) + 1) if ends else [part.strip()]
            check_runs(len(values))
            vary[name] += values
    return vary


def check_runs(number: int) -> None:
    """Raises DMMError where there are more runs than anybody waits for, before a list of them fills the memory."""
    if number > MOST_RUNS:
        raise DMMError(f"{number} runs are too many; {MOST_RUNS:,} at a time fit, so vary less")


def sweep(
    number: int | str,
    vary: Mapping[str, Sequence],
    parameters: Mapping[str, Any] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    retry: bool = False,
    dry_run: bool = False,
    table: str | os.PathLike | None = None,
    plot: str | None = None,
) -> list[dict]:
    """Run a notebook once for every combination of the varied values, the last name fastest; finished runs are kept.

    Args:
        number: of the notebook.
        vary: values by name (see `read_vary`).
        parameters: other values, the same for all runs.
        workers: processes of this computer, one for each core that it may use unless given.
        scheduler: the address of a Dask scheduler instead, whose workers see this folder under the same path.
        retry: repeat the runs that failed.
        dry_run: only show what there is to do.
        table: a path that ends in .csv, else data/sweeps/NN/table.csv.
        plot: a result to draw over the varied parameters, as PLOT.pdf, .svg and .png beside the table.

    Prints a `dmm.table` at the end. Returns the rows: parameters, status ("done" or "failed"), cell, error
    and message of failures, and what the run saved by `save_results`. Raises DMMError before anything is written, where
    notebook or package change meanwhile, and for a `plot` that is no result, when the runs are kept. Ctrl-C stops the
    runs, writes the table of those that are finished, and goes on as KeyboardInterrupt.
    """
    runs = _plan(number, vary, parameters or {})
    table = Path(table or runs[0].folder.parent / "table.csv")
    if table.suffix != ".csv":
        raise DMMError(f"{table}: a table is a .csv file; name one")
    workers = check_int("workers", usable_cores() if workers is None else workers)
    if dry_run:
        print(*(f"{run}: {run.status}" for run in runs), _count(runs), sep="\n")
        return [_row(run) for run in runs]
    wanted = ("waiting", "failed") if retry else ("waiting",)
    try:
        _run_all([run for run in runs if run.status in wanted], workers, scheduler)
    finally:
        _report(runs, table, [*vary], plot)
    rows = [_row(run) for run in runs]
    if plot:
        print("picture:", *save_plot(plot_results(rows, plot, [*vary]), table.parent, plot))
    return rows


@dataclass
class _Run:
    """One run of a sweep; `entry` is what its run.json holds, None until it is finished."""

    notebook: Path
    values: dict[str, Any]
    folder: Path
    status: str = "waiting"
    entry: dict | None = None

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.values.items())


def _plan(number: int | str, vary: Mapping[str, Sequence], given: Mapping[str, Any]) -> list[_Run]:
    (notebook,) = plan_runs([number], {})
    known = read_parameters(notebook)
    refuse_unknown({**vary, **given}, known, notebook.name)
    both = vary.keys() & given.keys()
    if both:
        raise DMMError(f"parameter {min(both)}: varied and set at once; leave out one of the two")
    grid = {}
    for name, values in {**vary, **{name: [value] for name, value in given.items()}}.items():
        grid[name] = [read_value(name, value, known[name][0]) for value in values]
        if not grid[name] or len(set(map(json.dumps, grid[name]))) < len(grid[name]):
            raise DMMError(f"parameter {name}: no value, or one twice; give each value once")
    check_runs(math.prod(map(len, grid.values())))
    code, folder, runs = _digest(notebook), notebook.parents[1] / "data" / "sweeps" / notebook.name[:2], []
    for combination in product(*grid.values()):
        values = dict(zip(grid, combination, strict=True))
        runs.append(_Run(notebook, values, folder / _key(code, values)))
    _look(runs, "kept")
    return runs


def _look(runs: list[_Run], done: str) -> None:
    """Read what is finished; `done` is the status of what has not failed."""
    for run in runs:
        path = run.folder / "run.json"
        run.entry = read_json(path) if path.exists() else None
        status = run.entry["status"] if run.entry else "waiting"
        run.status = done if status == "done" else status


def _digest(notebook: Path) -> str:
    """A hash of the notebook's code and of the package's files."""
    cells = [cell for cell in read_notebook(notebook).cells if cell.cell_type == "code"]
    digest = hashlib.sha256(repr([(cell.source, cell.metadata.get("tags", [])) for cell in cells]).encode())
    for path in sorted(Path(__file__).parents[1].rglob("[!.]*.*")):
        if path.is_file() and path.parent.name != "__pycache__":
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _key(code: str, values: dict[str, Any]) -> str:
    return hashlib.sha256((code + json.dumps(values, sort_keys=True)).encode()).hexdigest()[:16]


def _run_all(runs: list[_Run], workers: int, scheduler: str | None) -> None:
    from distributed import KilledWorker, as_completed

    if not runs:
        return
    where = f"{min(workers, len(runs))} at a time" if scheduler is None else f"by {scheduler}"
    last = f"one took {read_seconds(runs[0].notebook):.0f} s when the notebook was last kept"
    print(f"runs to do: {len(runs)}, {where}; {last}; starting", file=sys.stderr, flush=True)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress({str(run): 1.0 for run in runs}))
        client = stack.enter_context(connect(min(workers, len(runs)), scheduler))
        futures = {}
        for run in runs:
            if run.entry:
                (run.folder / "run.json").unlink()  # it failed, and is repeated
            future = client.submit(run_in_folder, run.notebook, run.values, run.folder, pure=False)
            futures[future] = run
        for future in as_completed(futures, loop=client.loop):
            run, error = futures[future], future.exception()
            if isinstance(error, KilledWorker):
                entry = {"status": "failed", "seconds": 0.0, "cell": None, "error": "KilledWorker"}
                entry["message"] = "its worker died every time"
                write_json(run.folder / "run.json", entry)
            else:
                entry = future.result()
            row = make_row(run.notebook.stem, run.values, entry, run.folder)
            progress.end(str(run), entry, show_found(row, run.values))


def run_in_folder(notebook: Path, values: dict[str, Any], folder: Path) -> dict:
    """One run, on whichever computer; what its run.json holds. A run whose kernel dies is tried again.
    Raises DMMError where notebook or package are not those that named the folder, and where it cannot be kept.
    """
    path = folder / "run.json"
    if path.exists():  # meanwhile, by another sweep, or by a worker that was lost before it could tell
        return read_json(path)
    if _key(_digest(notebook), values) != folder.name:
        raise DMMError(f"{notebook}: it or the package changed while the sweep ran; give the command again")
    for _ in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)  # what a killed try left
        write_json(folder / "parameters.json", values)
        entry = run_one(notebook, values, folder, output_root=folder)
        if entry.get("error") != "DeadKernelError":
            break
    del entry["output"]
    write_json(path, entry)
    return entry


def _count(runs: list[_Run]) -> str:
    counts = Counter(run.status for run in runs)
    return f"{len(runs)} runs: " + ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


def _report(runs: list[_Run], table: Path, varied: list[str], wanted: str | None) -> None:
    _look([run for run in runs if run.status != "kept"], "done")
    rows = [_row(run) for run in runs if run.entry]
    if rows:
        write_table(table, rows)
        print(_count(runs), f"table: {table}", sep="\n")
        for run in runs:
            if run.status == "failed":
                print(describe_failure(run, run.entry), "(--retry repeats it)")
        print(show_rows(rows, varied, wanted), end="")


def _row(run: _Run) -> dict[str, Any]:
    return make_row(run.notebook.stem, run.values, run.entry or {"status": run.status}, run.folder)
