"""Sweeps: one notebook over a grid of parameters, by processes of this computer or through a Dask cluster.

Every run has a folder of its own, data/sweeps/NN/<hash>, named by all that decides about it: the notebook's code, the
parameters, the package. Its run.json is written last: where that file is, the run is finished and is not repeated.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dmmlab.engine.threads import engine_threads, usable_cores
from dmmlab.files import DMMError, atomic_write, check_int, parse_json, read_json, write_json
from dmmlab.lab.notebooks import plan_runs, read_notebook, read_parameters, read_value, refuse_unknown, run_one
from dmmlab.lab.project import project_root
from dmmlab.learn.scheduler import connect

TRIES = 3  # of a run whose process or kernel dies
STOPPED = 130  # exit code of a run whose sweep has ended
COMMAND = [sys.executable, "-c", "from dmmlab.lab.sweeps import work; work()"]
OUTCOME = ("status", "cell", "error", "message")
ALIVE: set[subprocess.Popen] = set()


def read_vary(texts: Sequence[str]) -> dict[str, list]:
    """What varies, as the command line spells it: "seed=0..19", "rate=1e-3,1e-2", or a JSON list: 'sizes=[[1], [2]]'.

    The values by name; those that are text are read as the notebook's types later. Raises DMMError.
    """
    vary = {}
    for text in texts:
        name, _, values = (part.strip() for part in text.partition("="))
        if not name or not values or name in vary:
            raise DMMError(f"--vary {text!r:.60}: vary each parameter once, as in seed=0..19 or strings=1,2,4")
        vary[name] = parse_json(values) if values[0] == "[" else []
        for part in [] if values[0] == "[" else values.split(","):
            ends = re.fullmatch(r"(-?\d+)\.\.(-?\d+)", part.strip())
            vary[name] += range(int(ends[1]), int(ends[2]) + 1) if ends else [part.strip()]
    return vary


def sweep(
    number: int | str,
    vary: Mapping[str, Sequence],
    parameters: Mapping[str, Any] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    retry: bool = False,
    dry_run: bool = False,
    table: str | os.PathLike | None = None,
    root: str | os.PathLike | None = None,
) -> list[dict]:
    """Run a notebook once for every combination of the varied values, the last name fastest.

    parameters: other values, the same for all runs. workers: processes of this computer, one for each core that it may
    use unless given. scheduler: the address of a Dask scheduler instead, whose workers see this folder under the same
    path. Finished runs are kept; with retry, those that failed are repeated. dry_run: only show what there is to do.
    table: a path that ends in .csv or .parquet, else data/sweeps/NN/table.csv. Returns its rows: parameters, status
    ("done" or "failed"), cell, error and message of failures, and what the run saved by `save_results`.
    Raises DMMError before anything is written, and where a file cannot be written, or notebook or package change
    meanwhile. Ctrl-C stops the runs, writes the table of those that are finished, and goes on as KeyboardInterrupt.
    """
    runs = _plan(Path(root or project_root()).resolve(), number, vary, parameters or {})
    table = Path(table or runs[0].folder.parent / "table.csv")
    if table.suffix != ".csv" and (table.suffix != ".parquet" or find_spec("pyarrow") is None):
        raise DMMError(f"{table}: a table is a .csv file, or with pyarrow installed a .parquet file; name one")
    workers = check_int("workers", usable_cores() if workers is None else workers)
    if dry_run:
        print(*(f"{run}: {run.status}" for run in runs), _count(runs), sep="\n")
        return [_row(run) for run in runs]
    for run in runs:
        if retry and run.status == "failed":
            (run.folder / "run.json").unlink(missing_ok=True)
            run.entry, run.status = None, "waiting"
    try:
        _run_all(runs, workers, scheduler)
    finally:
        for run in [run for run in runs if run.entry is None and (run.folder / "run.json").exists()]:
            run.entry = read_json(run.folder / "run.json")  # it was finished, but nobody had looked before the end
            run.status = run.entry["status"]
        rows = [_row(run) for run in runs if run.entry]
        if rows:
            _write_table(table, rows)
            print(_count(runs), f"table: {table}", *_list_failed(runs), sep="\n")
    return rows


@dataclass
class _Run:
    """One run of a sweep; `entry` is what its run.json holds, None until it is finished."""

    notebook: Path
    values: dict[str, Any]
    folder: Path
    entry: dict | None
    status: str

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.values.items())


def _plan(root: Path, number: int | str, vary: Mapping[str, Sequence], given: Mapping[str, Any]) -> list[_Run]:
    (notebook,) = plan_runs(root, [number], {})
    known = read_parameters(notebook)
    refuse_unknown({**vary, **given}, known, notebook.name)
    for name in vary.keys() & given.keys():
        raise DMMError(f"parameter {name}: varied and set at once; leave out one of the two")
    grid = {}
    for name, values in {**vary, **{name: [value] for name, value in given.items()}}.items():
        grid[name] = [read_value(name, value, known[name][0]) for value in values]
        if not grid[name] or len(set(map(json.dumps, grid[name]))) < len(grid[name]):
            raise DMMError(f"parameter {name}: no value, or one twice; give each value once")
    code, runs = _digest(notebook), []
    for combination in product(*grid.values()):
        values = dict(zip(grid, combination, strict=True))
        folder = root / "data" / "sweeps" / notebook.name[:2] / _key(code, values)
        entry = read_json(folder / "run.json") if (folder / "run.json").exists() else {"status": "waiting"}
        status = "kept" if entry["status"] == "done" else entry["status"]
        runs.append(_Run(notebook, values, folder, entry if status != "waiting" else None, status))
    return runs


def _digest(notebook: Path) -> str:
    """A hash of the notebook's code and of the package: of its files too, for a checkout changes under one version."""
    cells = [cell for cell in read_notebook(notebook).cells if cell.cell_type == "code"]
    parts = [repr([version("dmmlab"), *((cell.source, cell.metadata.get("tags", [])) for cell in cells)]).encode()]
    files = [path for path in sorted(Path(__file__).parents[1].rglob("[!.]*.*")) if path.is_file()]
    parts += [part for path in files for part in (path.name.encode(), path.read_bytes())]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _key(code: str, values: dict[str, Any]) -> str:
    return hashlib.sha256((code + json.dumps(values, sort_keys=True)).encode()).hexdigest()[:16]


def run_apart(notebook: str, values: dict[str, Any], folder: str) -> dict:
    """One run in a process of its own, whose death harms no other; what its run.json holds.

    A run whose process is killed is tried again. Raises DMMError where it cannot be done or kept.
    """
    path = Path(folder) / "run.json"
    if path.exists():  # meanwhile, by another sweep, or by a Dask worker that was lost before it could tell
        return read_json(path)
    order, out = [*COMMAND, json.dumps([notebook, values, folder])], subprocess.DEVNULL
    for _ in range(TRIES):
        # In a session of its own, for Ctrl-C is the sweep's to handle; its input ends when the sweep does.
        started = {"stdin": subprocess.PIPE, "stdout": out, "start_new_session": True}
        with tempfile.TemporaryFile() as said, subprocess.Popen(order, stderr=said, **started) as process:
            ALIVE.add(process)
            code = process.wait()
            ALIVE.discard(process)
            said.seek(0)
            last = said.read().decode(errors="replace").splitlines()[-1:]
        if code == 0:
            return read_json(path)
        if code == STOPPED:
            raise CancelledError
        if code > 0:
            raise DMMError("".join(last))
    return read_json(write_json(path, _fail("ProcessDied", f"ended {TRIES} times, the last by signal {-code}")))


def _fail(error: str, message: str) -> dict:
    return {"status": "failed", "seconds": 0.0, "cell": None, "error": error, "message": message}


def work() -> None:
    """What the process of a run does: its notebook, values and folder are JSON in the last argument."""
    threading.Thread(target=_end_with_sweep, daemon=True).start()
    notebook, values, folder = json.loads(sys.argv[-1])
    try:
        if _key(_digest(Path(notebook)), values) != Path(folder).name:
            raise DMMError(f"{notebook}: it or the package changed while the sweep ran; give the command again")
        os.environ["DMMLAB_OUTPUT"] = folder
        for _ in range(TRIES):
            shutil.rmtree(folder, ignore_errors=True)  # what a killed try left
            write_json(Path(folder) / "parameters.json", values)
            entry = run_one(Path(notebook), values, Path(folder))
            if entry.get("error") != "DeadKernelError":
                break
        del entry["output"]
        write_json(Path(folder) / "run.json", entry)
    except DMMError as error:
        sys.exit(str(error))


def _end_with_sweep() -> None:
    os.read(0, 1)
    for child in psutil.Process().children(recursive=True):  # the kernel, and what the notebook started
        with suppress(psutil.Error):
            child.kill()
    os._exit(STOPPED)


def _run_all(runs: list[_Run], workers: int, scheduler: str | None) -> None:
    console = Console(stderr=True)
    # rich takes a log for a terminal where FORCE_COLOR is set, as on many build servers.
    live = console.file.isatty() and console.is_terminal and not console.is_dumb_terminal
    with ExitStack() as stack:
        if scheduler is None:
            stack.enter_context(engine_threads(1 if workers > 1 else None))
            pool = stack.enter_context(ThreadPoolExecutor(workers))
        else:
            pool = stack.enter_context(connect(scheduler)).get_executor(pure=False)
        if live:
            stack.enter_context(Live(get_renderable=lambda: _picture(runs, console.height), console=console))
        futures = {}
        try:
            for run in [run for run in runs if run.entry is None]:
                (run.folder / "parameters.json").unlink(missing_ok=True)  # or what was killed would seem to run
                futures[pool.submit(run_apart, str(run.notebook), run.values, str(run.folder))] = run
            for future in as_completed(futures):
                run, error = futures[future], future.exception()
                if isinstance(error, DMMError):
                    raise error
                # Dask gives up what several lost workers had in hand: it is listed, but not kept.
                run.entry = _fail(type(error).__name__, str(error)) if error else future.result()
                run.status = run.entry["status"]
                if not live:
                    print(f"{run}: {run.status}, {run.entry['seconds']} s", file=sys.stderr)
        finally:
            for future in futures:
                future.cancel()
            while any(future.running() for future in futures):  # a cluster's never say so: they end, and are kept
                for process in list(ALIVE):
                    process.stdin.close()
                time.sleep(0.05)


def _picture(runs: list[_Run], height: int) -> Table:
    table = Table(*runs[0].values, "status", "seconds", title=_count(runs))
    for run in runs:
        status, seconds = run.status, run.entry["seconds"] if run.entry else 0.0
        with suppress(OSError):  # wherever it runs, this file is the first
            if status == "waiting":
                seconds, status = time.time() - (run.folder / "parameters.json").stat().st_mtime, "running"
        if len(runs) + 5 < height or status in ("running", "failed"):
            table.add_row(*(Text(str(value)) for value in run.values.values()), status, f"{seconds:.0f}")
    return table


def _count(runs: list[_Run]) -> str:
    counts = Counter(run.status for run in runs)
    return f"{len(runs)} runs: " + ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


def _list_failed(runs: list[_Run]) -> Iterator[str]:
    for run in [run for run in runs if run.status == "failed"]:
        where = f"cell {run.entry['cell']}" if run.entry["cell"] else "before its first cell"
        text = f"{run}, {where}: {run.entry['error']}: {run.entry['message']}"
        yield textwrap.shorten(text, 200, placeholder="...") + " (--retry repeats it)"


def _row(run: _Run) -> dict[str, Any]:
    entry = run.entry or {"status": run.status}
    parts = [("", run.values), ("run", {name: entry.get(name) for name in OUTCOME})]
    for path in sorted((run.folder / "data" / "results").glob("*.json")) if entry["status"] == "done" else ():
        content = read_json(path)
        if isinstance(content, dict) and str(content.get("format")).startswith("dmmlab "):
            continue  # a machine or a checkpoint: no row of a table
        own = isinstance(content, dict) and path.stem == run.notebook.stem
        parts.append(("results", content if own else {path.stem: content}))
    row: dict[str, Any] = {}
    for prefix, part in parts:
        row |= {f"{prefix}.{name}" if name in row else name: value for name, value in _flatten(part, "")}
    return row


def _flatten(content: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(content, list) and any(isinstance(each, dict) for each in content):
        content = dict(enumerate(content))
    if isinstance(content, dict):
        for key, part in content.items():
            yield from _flatten(part, f"{name}.{key}" if name else key)
    else:
        yield name, json.dumps(content, ensure_ascii=False) if isinstance(content, list) else content


def _write_table(path: Path, rows: list[dict]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    if path.suffix == ".parquet":
        from pyarrow import csv as arrow
        from pyarrow import parquet

        at_once, lines = arrow.ReadOptions(block_size=len(content)), arrow.ParseOptions(newlines_in_values=True)
        columns, sink = arrow.read_csv(io.BytesIO(content), at_once, lines), io.BytesIO()
        parquet.write_table(columns, sink)
        content = sink.getvalue()
    atomic_write(path, content)
