"""The command line: rerun notebooks, sweep over their parameters, draw their figures, synthesize, begin a notebook."""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path

from dmmlab.files import DMMError, read_json
from dmmlab.lab.circuits import draw
from dmmlab.lab.figures import read_figures
from dmmlab.lab.notebooks import find_notebooks, read_notebook, read_parameters, run_notebooks
from dmmlab.lab.project import output_root, project_root
from dmmlab.lab.skeleton import new_notebook_file
from dmmlab.lab.stepper import step_through
from dmmlab.lab.sweeps import read_vary, sweep
from dmmlab.learn.tasks import Task
from dmmlab.synthesis.formulas import formula
from dmmlab.synthesis.search import synthesize


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0 when all is done, 1 when a notebook failed, 2 when refused, 130 on Ctrl-C.

    Example: `main(["run", "05", "-p", "steps", "100"])`.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a formula's Σ is no reason to end in an error after minutes
            stream.reconfigure(errors="backslashreplace")
    options = _make_parser().parse_args(argv)
    try:
        return options.do(options)
    except DMMError as error:
        print(f"dmmlab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        if stop.args and stop.args[0]:
            _print_summary(stop.args[0])
        print("dmmlab: stopped", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    given, numbers = dict(options.parameter), options.numbers or None
    return _print_summary(run_notebooks(numbers, given, options.output, options.in_place))


def _sweep(options: argparse.Namespace) -> int:
    vary, given = read_vary(options.vary), dict(options.parameter)
    how = {"workers": options.workers, "scheduler": options.scheduler, "table": options.table}
    rows = sweep(options.number, vary, given, retry=options.retry, dry_run=options.dry_run, **how)
    return int(not options.dry_run and any(row["status"] == "failed" for row in rows))


def _figures(options: argparse.Namespace) -> int:
    """List the figures, or draw some again, by running their notebooks as they are."""
    found, widths = read_figures(), options.width or ()
    if not options.chosen and not widths:
        rows = [(each["notebook"][:2], each["name"], each["caption"]) for each in found]
        print(_align([("no", "figure", "caption"), *rows], limit=80))
        return 0
    if bad := [width for width in widths if not 1 <= width <= 40]:
        raise DMMError(f"a figure {bad[0]:g} inches wide cannot be printed; give 1 to 40")
    names = {each["name"]: each["notebook"][:2] for each in found}
    if other := [each for each in options.chosen if not each.isdigit() and each not in names]:
        raise DMMError(f"no notebook saved a figure {other[0]!r}; figures: {', '.join(names) or 'none'}")
    numbers = sorted({names.get(each, each.zfill(2)) for each in options.chosen or names.values()})
    last = sum(row["seconds"] or 0 for row in describe_notebooks() if row["number"] in numbers)
    print(f"notebooks to run again: {', '.join(numbers)}; last time that took {last:.0f} s", flush=True)
    if widths:
        os.environ["DMMLAB_WIDTHS"] = " ".join(f"{width:g}" for width in widths)  # for the kernels
    try:
        return _print_summary(run_notebooks(numbers))
    finally:
        os.environ.pop("DMMLAB_WIDTHS", None)


def _new_notebook(options: argparse.Namespace) -> int:
    path = new_notebook_file(options.question)
    print(f"{path}: make lab opens it, dmmlab run {path.name[:2]} --in-place runs it")
    return 0


def _synthesize(options: argparse.Namespace) -> int:
    """A machine for the user's own strings: written at every round, so that a stopped command goes on."""
    strings = options.strings
    # One short string at one speed cannot tell a counter from a clock.
    speeds = (10, 7, 4, 13)[: max(1, 5 - len(strings))]
    runs = [(string, speed) for speed in speeds for string in strings]
    task = Task([string for string, _ in runs], ticks_per_character=[speed for _, speed in runs])
    name = "-".join(re.findall(r"\w+", " ".join(strings).lower()))[:40] or "strings"
    folder = Path(options.output or output_root() / "data" / "synthesized" / f"{name}-{options.seed}")
    result = synthesize(task, options.seed, checkpoint=folder / "checkpoint.json", progress=sys.stderr.isatty())
    result.machine.save(folder / "machine.json")
    draw(result.machine).save(folder / "circuit.svg")
    step_through(result.machine, strings[0]).save(folder / "stepper.html")
    print(f"{len(result.machine.links)} links, data loss {result.data_loss:.3g}; {result.verification}")
    print(formula(result.machine))
    print(f"kept in {folder}: machine.json, circuit.svg, and stepper.html, to open in a browser")
    return 0


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
    parser = argparse.ArgumentParser(prog="dmmlab", description="Work with the notebooks and machines of this project.")
    commands = parser.add_subparsers(dest="command", required=True)
    pair = {"nargs": 2, "action": "append", "default": [], "metavar": ("NAME", "VALUE")}
    pair["help"] = "set a parameter: 100, 1e-3, true, null, [1, 2]"

    def command(name: str, do: Callable[[argparse.Namespace], int], help: str) -> Callable[..., object]:
        added = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        added.set_defaults(do=do)
        return added.add_argument

    command("list", lambda _: _print_list(describe_notebooks()), "show each notebook's question and parameters")
    add = command("run", _run, "execute notebooks, all of them when no number is given")
    add("numbers", nargs="*", metavar="NUMBER", help="such as 02 or 2")
    add("-p", "--parameter", **pair)
    add("--output", metavar="DIR", help="folder for executed notebooks (else data/runs/<time>)")
    add("--in-place", action="store_true", help="replace the notebooks by their executed copies")
    add = command("sweep", _sweep, "run a notebook over a grid of parameters; what is finished is not repeated")
    add("number", help="such as 09")
    add(
        "--vary",
        action="append",
        required=True,
        metavar="NAME=VALUES",
        help="seed=0..19, rate=1e-3,1e-2 or a JSON list",
    )
    add("-p", "--parameter", **pair)
    add("--workers", type=int, help="how many at a time on this computer (else one for each core)")
    add("--scheduler", metavar="ADDRESS", help="of a Dask scheduler, instead of this computer")
    add("--table", metavar="FILE", help="a .csv or .parquet file (else data/sweeps/NN/table.csv)")
    add("--retry", action="store_true", help="repeat the runs that failed")
    add("--dry-run", action="store_true", help="only show what there is to do")
    add = command("figures", _figures, "list the figures, or draw those of some notebooks again, by running these")
    add("chosen", nargs="*", metavar="NUMBER|NAME", help="such as 06 or 06-strip; their notebooks are run")
    add("--width", action="append", type=float, metavar="INCHES", help="else one and two columns: 3.5 and 7.16")
    add = command("synthesize", _synthesize, "find a machine that answers as the detector does on your own strings")
    add("strings", nargs="+", metavar="STRING")
    add("--seed", type=int, default=0)
    add("--output", metavar="DIR", help="folder for the machine (else data/synthesized/<strings>)")
    command("new-notebook", _new_notebook, "begin a notebook with the house's skeleton")("question")
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
    for bits, told in (("same", "the committed results, bit for bit"), ("other", "other results than the committed")):
        numbers = ", ".join(entry["number"] for entry in summary if entry["bits"] == bits)
        if numbers:
            print(f"{told}: {numbers}")
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
