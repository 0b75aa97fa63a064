"""The command line: rerun notebooks, sweep over their parameters, draw their figures, synthesize, begin a notebook.

What a command needs is imported when it is run: nobody waits for matplotlib to read a line of help.
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import dmmlab
from dmmlab.files import DMMError
from dmmlab.lab.venues import VENUES


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns 0 when all is done, 1 when a notebook failed, 2 when refused, 130 on Ctrl-C.

    Example: `main(["run", "05", "-p", "steps", "100"])`.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a formula's Σ is no reason to end in an error after minutes
            stream.reconfigure(errors="backslashreplace")
    argv = sys.argv[1:] if argv is None else argv
    options = _make_parser().parse_args(["--help"] if argv in ([], ["help"]) else argv)
    try:
        _check_text(argv)
        code = options.do(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever reads has enough, as in `dmmlab list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except DMMError as error:
        return _refuse(str(error))
    except MemoryError as error:
        return _refuse(f"this computer has not enough memory for that; ask for less ({error})")
    except KeyboardInterrupt as stop:
        if stop.args and stop.args[0]:
            _print_summary(stop.args[0])
        print("dmmlab: stopped", file=sys.stderr)
        return 130


def _refuse(message: str) -> int:
    print("dmmlab:", _one_line(message), file=sys.stderr)
    return 2


def _one_line(message: str) -> str:
    """What was given may have line ends."""
    return " ".join(message.splitlines())


def _check_text(arguments: list[str]) -> None:
    """What is no text could be neither run with nor written into summaries: refused before anything runs."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise DMMError(f"argument {argument!r} is no UTF-8 text; write it anew") from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(_one_line(message))


class _Version(argparse.Action):
    """Looked up only where it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"dmmlab {dmmlab.__version__}")
        parser.exit()


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="dmmlab", description="Work with the notebooks and machines of this project.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, do: Callable[[argparse.Namespace], int], help: str) -> Callable[..., object]:
        added = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        added.set_defaults(do=do)
        return added.add_argument

    programs = (_add_synthesize, _add_check, _add_ladder)
    for add_command in (_add_list, _add_run, _add_sweep, _add_figures, *programs, _add_new_notebook):
        add_command(command)
    return parser


# ---- each command with its options ----


def _add_list(command: Callable) -> None:
    command("list", _list, "show each notebook's question and parameters")


def _list(_: argparse.Namespace) -> int:
    from dmmlab.lab.notebooks import describe_notebooks

    for row in describe_notebooks():
        seconds = "" if row["seconds"] is None else f" ({row['seconds']:.1f} s)"
        defaults = "  ".join(f"{name}={value}" for name, value in row["parameters"].items())
        _print_indented(f"{row['number']}  {row['question']}{seconds}")
        _print_indented(f"    {defaults}")
    return 0


def _print_indented(line: str) -> None:
    print(*textwrap.wrap(line, 80, subsequent_indent="    ", break_on_hyphens=False), sep="\n")


def _add_run(command: Callable) -> None:
    add = command("run", _run, "execute notebooks, all of them when no number is given")
    add("numbers", nargs="*", metavar="NUMBER", help="such as 02 or 2")
    _add_parameter(add)
    add("--output", metavar="DIR", help="folder for executed notebooks (else data/runs/<time>)")
    add("--in-place", action="store_true", help="replace the notebooks by their executed copies")


def _add_parameter(add: Callable) -> None:
    told = "set a parameter: 100, 1e-3, true, null, [1, 2]"
    add("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help=told)


def _run(options: argparse.Namespace) -> int:
    from dmmlab.lab.notebooks import run_notebooks

    given, numbers = dict(options.parameter), options.numbers or None
    return _print_summary(run_notebooks(numbers, given, options.output, options.in_place))


def _print_summary(summary: list[dict]) -> int:
    from dmmlab.lab.notebooks import describe_failure

    for entry in summary:
        values = " ".join(f"{name}={value}" for name, value in entry["parameters"].items())
        print(f"{entry['notebook']}  {entry['status']}  {entry['seconds']:.1f} s  {values}".rstrip())
    for bits, told in (("same", "the committed results, bit for bit"), ("other", "other results than the committed")):
        numbers = ", ".join(entry["number"] for entry in summary if entry["bits"] == bits)
        if numbers:
            print(f"{told}: {numbers}")
    if summary:
        print(f"kept in {Path(summary[0]['output']).parent}")
    failed = [entry for entry in summary if entry["status"] == "failed"]
    for entry in failed:
        print(describe_failure(entry["notebook"], entry))
    return 1 if failed else 0


def _add_sweep(command: Callable) -> None:
    add = command("sweep", _sweep, "run a notebook over a grid of parameters; what is finished is not repeated")
    add("number", help="such as 09")
    told = "seed=0..19, rate=1e-3,1e-2 or a JSON list"
    add("--vary", action="append", required=True, metavar="NAME=VALUES", help=told)
    _add_parameter(add)
    add("--workers", type=int, help="how many at a time on this computer (else one for each core)")
    add("--scheduler", metavar="ADDRESS", help="of a Dask scheduler, instead of this computer")
    add("--table", metavar="FILE", help="a .csv file (else data/sweeps/NN/table.csv)")
    add("--plot", metavar="NAME", help="draw this result over the varied parameters, beside the table")
    add("--retry", action="store_true", help="repeat the runs that failed")
    add("--dry-run", action="store_true", help="only show what there is to do")


def _sweep(options: argparse.Namespace) -> int:
    from dmmlab.lab.sweeps import read_vary, sweep

    rows = sweep(
        options.number,
        read_vary(options.vary),
        dict(options.parameter),
        workers=options.workers,
        scheduler=options.scheduler,
        retry=options.retry,
        dry_run=options.dry_run,
        table=options.table,
        plot=options.plot,
    )
    return int(not options.dry_run and any(row["status"] == "failed" for row in rows))


def _add_figures(command: Callable) -> None:
    add = command("figures", _figures, "list the figures, or draw those of some notebooks again, by running these")
    add("chosen", nargs="*", metavar="NUMBER|NAME", help="such as 06 or 06-strip; their notebooks are run")
    add("--for", dest="venue", choices=[*VENUES], help="in the widths and fonts of a venue, below figures/VENUE")
    add("--width", action="append", type=float, metavar="INCHES", help="else one and two columns: 3.5 and 7.16")


def _figures(options: argparse.Namespace) -> int:
    """List the figures, or draw some again, by running their notebooks as they are."""
    from dmmlab.lab.figures import read_figures
    from dmmlab.lab.notebooks import run_notebooks
    from dmmlab.lab.project import project_root

    found, widths = read_figures(), options.width or ()
    if not (options.chosen or widths or options.venue):
        for each in found:
            _print_indented(f"{each['name']}: {each['caption']}")
        return 0
    names = {each["name"]: each["notebook"][:2] for each in found}
    for width in widths:
        if not 1 <= width <= 40:
            raise DMMError(f"a figure {width:g} inches wide cannot be printed; give 1 to 40")
    for chosen in options.chosen:
        if not chosen.isdigit() and chosen not in names:
            raise DMMError(f"no notebook saved a figure {chosen!r}; figures: {', '.join(names) or 'none'}")
    numbers = sorted({names.get(each, each.zfill(2)) for each in options.chosen or names.values()})
    print(f"notebooks to run again: {', '.join(numbers)}", flush=True)
    told = {"DMMLAB_WIDTHS": " ".join(f"{width:g}" for width in widths), "DMMLAB_FOR": options.venue or ""}
    os.environ.update(told)  # for the kernels
    try:
        code = _print_summary(run_notebooks(numbers))
        print(f"figures are below {project_root() / 'figures' / (options.venue or '')}")
        return code
    finally:
        for name in told:
            del os.environ[name]


def _add_synthesize(command: Callable) -> None:
    add = command("synthesize", _synthesize, "find a program: for strings of your own the detector's, or from examples")
    add("strings", nargs="+", metavar="STRING", help="strings; or one file of examples, .csv or .json")
    add("--seed", type=int, default=0)
    add("--output", metavar="DIR", help="folder for what is found (else one of its own in data/synthesized)")
    _add_times(add)
    add("--holdout", type=float, default=0.0, metavar="SHARE", help="of the examples, asked at the end only")


def _synthesize(options: argparse.Namespace) -> int:
    from dmmlab.lab.programs import synthesize_program

    return synthesize_program(options)


def _add_times(add: Callable) -> None:
    """How a file of examples is read."""
    add("--speed", type=int, nargs="+", metavar="TICKS", help="ticks a step; several: any speed (8 11 unless given)")
    add("--latency", type=int, metavar="TICKS", help="after which an answer is due (else before the next step)")


def _add_check(command: Callable) -> None:
    add = command("check", _check, "ask an old program for the answers of new examples")
    add("machine", metavar="PROGRAM", help="a machine.json")
    add("examples", metavar="FILE", help=".csv or .json")
    _add_times(add)


def _check(options: argparse.Namespace) -> int:
    from dmmlab.lab.programs import check_program

    return check_program(options)


def _add_ladder(command: Callable) -> None:
    add = command("ladder", _climb, "find programs for tasks that others published; what is finished is not repeated")
    add("--rung", type=int, nargs="+", default=[], metavar="RUNG", help="1 to 5 (else all)")
    add("--task", nargs="+", default=[], metavar="NAME", help="such as 'parity all'")
    add("--seeds", type=int, default=5, help="how many, from 0")
    add("--workers", type=int, help="how many at a time on this computer (else one for each core)")
    add("--strings", type=int, default=20, help="examples of a task")
    add("--longest", type=int, default=12, metavar="STEPS", help="of the longest example")
    add("--seconds", type=float, default=120.0, help="of a search at most; it is left between two rounds")
    add("--output", metavar="FOLDER", help="for results.csv (else data/ladder)")
    add("--scheduler", metavar="ADDRESS", help="of a Dask scheduler, instead of this computer")


def _climb(options: argparse.Namespace) -> int:
    from dmmlab.lab.programs import climb_rungs

    return climb_rungs(options)


def _add_new_notebook(command: Callable) -> None:
    command("new-notebook", _new_notebook, "begin a notebook with our headings")("question")


def _new_notebook(options: argparse.Namespace) -> int:
    from dmmlab.lab.skeleton import new_notebook_file

    path = new_notebook_file(options.question)
    print(f"{path}: make lab opens it, dmmlab run {path.name[:2]} --in-place runs it")
    return 0
