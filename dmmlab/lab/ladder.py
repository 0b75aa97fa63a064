"""The ladder climbed: every task with every seed, by Dask as in `sweeps`, and a table of what was found.

Each result is a file as soon as it is there, so a stopped run goes on where it was. The table has all results of its
folder, one row a task and seed, in the order of the ladder.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from dmmlab.engine.threads import usable_cores
from dmmlab.examples.ladder import LADDER, find_rung
from dmmlab.files import DMMError, check_int, check_positive, read_json, write_json
from dmmlab.lab.board import Board
from dmmlab.lab.clusters import connect
from dmmlab.lab.progress import Status
from dmmlab.lab.project import output_root
from dmmlab.lab.rungs import climb, code_hash
from dmmlab.lab.sweeps import check_runs
from dmmlab.lab.tables import write_table

TEXTS = ("task", "source", "counterexample", "formula", "peers", "code")
TRUTHS = ("exact", "fits")
MOST_STEPS = 1_000_000  # of the examples of a task
COLUMNS = [
    "task",
    "rung",
    "source",
    "seed",
    *TRUTHS,
    "links",
    "neurons",
    "seconds",
    "strings",
    "asked",
    "failed",
    "table",
]
COLUMNS += ["counterexample", "formula", "peers", "code"]


@dataclass(frozen=True)
class Settings:
    """How every task is tried: examples, steps of the longest, and seconds at most for one search."""

    strings: int = 20
    longest: int = 12
    seconds: float = 120.0

    def __post_init__(self) -> None:
        check_int("strings", self.strings)
        check_int("longest", self.longest)
        check_positive("seconds", self.seconds)
        if self.strings * self.longest > MOST_STEPS:
            told = f"{self.strings} strings of up to {self.longest} steps are too many"
            raise DMMError(f"{told}; {MOST_STEPS:,} steps in all fit")


def choose(names: Sequence[str] = (), rungs: Sequence[int] = ()) -> list[str]:
    """The tasks of these names or on these rungs, in the order of the ladder; all where none are given.
    Raises DMMError for a name or a rung that does not exist.
    """
    for name in names:
        find_rung(name)
    for rung in rungs:
        if rung not in {each.rung for each in LADDER.values()}:
            raise DMMError(f"rung is {rung}; the ladder has the rungs 1 to {max(r.rung for r in LADDER.values())}")
    return [n for n, each in LADDER.items() if n in names or each.rung in rungs or not (names or rungs)]


def climb_ladder(
    names: Sequence[str],
    seeds: int = 5,
    settings: Settings | None = None,
    workers: int | None = None,
    output: str | Path | None = None,
    scheduler: str | None = None,
) -> list[dict[str, Any]]:
    """Try tasks of the ladder with the seeds from 0; what is finished, by this code and these settings, is kept.

    Args:
        names: of the tasks.
        seeds: how many; a seed draws the examples too.
        settings: see `Settings`.
        workers: processes of this computer, one for each core that it may use unless given.
        output: a folder, for `results.csv` and a file of each result; else data/ladder.
        scheduler: the address of a Dask scheduler instead, whose workers see the folder under the same path.

    Returns the rows of these tasks and seeds. Raises DMMError. Ctrl-C stops the runs, writes the table of what is
    finished, and goes on as KeyboardInterrupt.
    """
    settings, folder = settings or Settings(), Path(output or output_root() / "data" / "ladder").resolve()
    workers = check_int("workers", usable_cores() if workers is None else workers)
    check_runs(check_int("seeds", seeds) * len(names))
    runs = [Run(*each, settings, folder) for each in product(names, range(seeds))]
    board = Board(names, seeds)
    collect(folder)  # refuses a table of something else now, not after hours
    try:
        with board:
            for run in runs:
                if (row := run.read()) is not None:
                    board.add(row)
            left = [run for run in runs if run.read() is None]
            with Status(board.summary):
                _run_all(left, workers, scheduler, board)
    finally:
        rows = collect(folder)
        if rows:
            write_table(folder / "results.csv", rows)
            print(f"table: {folder / 'results.csv'}")
    return [row for run in runs if (row := run.read()) is not None]


@dataclass(frozen=True)
class Run:
    """One task with one seed, and where its result lies."""

    name: str
    seed: int
    settings: Settings
    folder: Path

    @property
    def path(self) -> Path:
        """Its file, named by the task and the seed."""
        words = "-".join(re.findall(r"\w+|\+", self.name.replace("/", ""))).replace("+", "plus")
        return self.folder / "results" / f"{words}-{self.seed}.json"

    def read(self) -> dict[str, Any] | None:
        """The row of its result; None where there is none of this code and these settings."""
        if not self.path.exists():
            return None
        content = read_json(self.path, "result of the ladder")
        same = isinstance(content, dict) and content.get("settings") == asdict(self.settings)
        return content["row"] if same and content["row"].get("code") == code_hash() else None

    def do(self) -> dict[str, Any]:
        """Find out, on whichever computer, and keep the result; returns its row."""
        rung = LADDER[self.name]
        row = {"task": self.name, "rung": rung.rung, "source": rung.source, "seed": self.seed}
        row |= climb(self.name, self.seed, **asdict(self.settings)) | {"peers": rung.peers, "code": code_hash()}
        ordered = {column: row[column] for column in COLUMNS}
        write_json(self.path, {"settings": asdict(self.settings), "row": ordered})
        return ordered


def _run_all(runs: list[Run], workers: int, scheduler: str | None, board: Board) -> None:
    from distributed import as_completed

    if not runs:
        return
    failed = []
    where = f"{min(workers, len(runs))} at a time" if scheduler is None else f"by {scheduler}"
    limit = runs[0].settings.seconds
    print(f"runs to do: {len(runs)}, {where}, each for some {limit:g} s at most", file=sys.stderr, flush=True)
    with ExitStack() as stack:
        client = stack.enter_context(connect(min(workers, len(runs)), scheduler))
        futures = {client.submit(Run.do, run, pure=False): run for run in runs}
        for future in as_completed(futures, loop=client.loop):
            if error := future.exception():
                failed.append(f"{futures[future].name}, seed {futures[future].seed}: {error!r}")
            else:
                board.add(future.result())
    if failed:
        raise DMMError(f"{len(failed)} runs broke, the first with {failed[0]}; the same command tries them again")


def collect(folder: Path) -> list[dict[str, Any]]:
    """All rows of a folder: of its table, and newer ones of its results, in the order of the ladder."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for row in [*read_results(folder / "results.csv"), *(read_json(path)["row"] for path in _files(folder))]:
        rows[row["task"], row["seed"]] = row
    places = {name: place for place, name in enumerate(LADDER)}
    known = [key for key in rows if key[0] in places]
    return [rows[key] for key in sorted(known, key=lambda key: (places[key[0]], key[1]))]


def _files(folder: Path) -> list[Path]:
    return sorted((folder / "results").glob("[!.]*.json"))


def read_results(path: Path) -> list[dict[str, Any]]:
    """The rows of a table of results, with numbers and truths as such, and None for nothing. Raises DMMError."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    if rows and [*rows[0]] != COLUMNS:
        raise DMMError(f"{path}: its columns are not those of results of the ladder; move it, or give another folder")
    return [{column: _read(column, text) for column, text in row.items()} for row in rows]


def _read(column: str, text: str) -> Any:
    if column in TRUTHS:
        return text == "True"
    if column in TEXTS:
        return text or (None if column in ("counterexample", "formula") else "")
    return (float(text) if column == "seconds" else int(text)) if text else None
