"""The command line: `dmmlab run` reruns the notebooks, `dmmlab list` shows what there is."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import textwrap
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path

from dmmlab.batch import find_notebooks, read_notebook, read_parameters, run_notebooks
from dmmlab.files import DMMError, project_root, read_json


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0 when all is done, 1 when a notebook failed, 2 when refused, 130 on Ctrl-C.

    Example: `main(["run", "05", "-p", "steps", "100"])`.
    """
    options = _make_parser().parse_args(argv)
    try:
        if options.command == "list":
            return _print_list(describe_notebooks())
        given, numbers = dict(options.parameter), options.numbers or None
        return _print_summary(run_notebooks(numbers, given, options.output, options.in_place))
    except DMMError as error:
        print(f"dmmlab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        # The cell that was cut short would otherwise report itself when Python ends.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        if stop.args and stop.args[0]:
            _print_summary(stop.args[0])
        print("dmmlab: stopped", file=sys.stderr)
        return 130


def describe_notebooks(root: str | os.PathLike | None = None) -> list[dict]:
    """For each notebook a dict with number, notebook, question, parameters (defaults by name, as written) and
    seconds, the duration of its last run without error (None when unknown).

    Raises DMMError for a damaged notebook. Example: `describe_notebooks()[0]["question"]`.
    """
    table, durations = [], _read_durations(Path(root or project_root()))
    for path in find_notebooks(root):
        notebook = read_notebook(path)
        text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        found = [re.search(mark, text, re.MULTILINE) for mark in (r"^\*\*Question\.\*\*(.*)", "^# (.*)")]
        question = next((match[1].strip() for match in found if match), path.stem[3:].replace("-", " "))
        defaults = {name: default for name, (_, default) in read_parameters(path).items()}
        seconds = durations.get(path.name, notebook.metadata.get("dmmlab", {}).get("seconds"))
        row = {"number": path.name[:2], "notebook": path.name, "question": question}
        table.append({**row, "parameters": defaults, "seconds": seconds})
    return table


def _read_durations(root: Path) -> dict[str, float]:
    durations: dict[str, float] = {}
    for path in sorted(root.glob("data/runs/*/summary.json")):
        # A damaged summary, or another program's, must not hide the list.
        with suppress(DMMError, TypeError, KeyError):
            done = [entry for entry in read_json(path) if entry["status"] == "done"]
            durations.update({entry["notebook"]: float(entry["seconds"]) for entry in done})
    return durations


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dmmlab", description="Rerun and list the notebooks of this project.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="show each notebook's question, parameters and last duration")
    run = commands.add_parser("run", help="execute notebooks, all of them when no number is given")
    run.add_argument("numbers", nargs="*", metavar="NUMBER", help="such as 02 or 2")
    pair = {"nargs": 2, "action": "append", "default": [], "metavar": ("NAME", "VALUE")}
    run.add_argument("-p", "--parameter", **pair, help="set a parameter: 100, 1e-3, true, null, [1, 2]")
    run.add_argument("--output", metavar="DIR", help="folder for executed notebooks (else data/runs/<time>)")
    run.add_argument("--in-place", action="store_true", help="replace the notebooks by their executed copies")
    return parser


def _print_list(table: list[dict]) -> int:
    rows = [("no", "question", "parameters", "last run")]
    for row in table:
        defaults = " ".join(f"{name}={' '.join(value.split())}" for name, value in row["parameters"].items())
        seconds = "–" if row["seconds"] is None else f"{row['seconds']:.1f} s"
        rows.append((row["number"], row["question"], defaults, seconds))
    print(_align(rows))
    return 0


def _print_summary(summary: list[dict]) -> int:
    rows = [("notebook", "status", "seconds", "parameters")]
    for entry in summary:
        values = " ".join(f"{name}={value}" for name, value in entry["parameters"].items())
        rows.append((entry["notebook"], entry["status"], f"{entry['seconds']:.1f}", values))
    print(_align(rows))
    failed = [entry for entry in summary if entry["status"] == "failed"]
    for folder in {str(Path(entry["output"]).parent) for entry in summary}:
        print(f"kept in {folder}")
    for entry in failed:
        where = f"cell {entry['cell']}" if entry["cell"] else "before its first cell"
        message = textwrap.shorten(f"{entry['error']}: {entry['message']}", 200, placeholder="...")
        print(f"{entry['notebook']}, {where}: {message}")
    return 1 if failed else 0


def _align(rows: list[tuple[str, ...]], limit: int = 48) -> str:
    """Rows as columns of plain text; a cell longer than `limit` goes on in the next line."""
    cells = [[textwrap.wrap(cell, limit, break_on_hyphens=False) for cell in row] for row in rows]
    widths = [max(len(line) for row in column for line in row or [""]) for column in zip(*cells, strict=True)]
    lines = [parts for row in cells for parts in zip_longest(*row, fillvalue="")]
    return "\n".join("  ".join(map(str.ljust, parts, widths)).rstrip() for parts in lines)


if __name__ == "__main__":
    sys.exit(main())
