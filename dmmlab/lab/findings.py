"""A page about what a synthesis found: what was asked, the program, how sure it is, and what it does."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from dmmlab.files import DMMError, atomic_write
from dmmlab.inputs import Text, value_of
from dmmlab.lab.circuits import draw
from dmmlab.lab.stepper import step_through
from dmmlab.learn.objective import SOLVED
from dmmlab.learn.tasks import Task
from dmmlab.machines import Machine
from dmmlab.synthesis.export import is_readable, to_python
from dmmlab.synthesis.search import Synthesis
from dmmlab.trees import NUMBER

SHOWN = 8  # of the shortest inputs
STEPPED = 6  # steps of the input that the stepper shows, or nearly
PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>A program</title>
<meta name="color-scheme" content="light dark">
<style>body{{max-width:45rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 sans-serif}}
table{{border-collapse:collapse}}td,th{{border-bottom:1px solid #8888;padding:.2rem .8rem;text-align:left}}
td{{overflow-wrap:anywhere}}pre{{white-space:pre-wrap;background:#8882;padding:.6rem}}
img{{max-width:100%;background:white;border-radius:4px}}</style>
<body>{body}</body></html>
"""


LEGEND = (
    "`left` is the answer (`right` is a second one, if there are two), `t` is a tick; what has no bracket is of tick "
    "`t`, and the input's newest step is the one of that tick."
)
CONTROL = (
    "In brackets: how many of them a mere table would have answered, one that remembers the examples learned from. "
    "Where it has as many, the test says nothing about the program."
)
FILES = (
    "[program.py](program.py) needs nothing but Python, and reads lines: `python program.py`. "
    "[machine.json](machine.json) is for `dmmlab check`."
)
STEPPER = " [stepper.html](stepper.html) shows the machine at work."
ADVICE = (
    "no program that gives all answers was found, and this is the closest machine: more examples, shorter ones, or an "
    "answer for every step may help, or another --seed."
)


def save_findings(result: Synthesis, task: Task, folder: str | os.PathLike) -> list[str]:
    """Write what was found into a folder: the program as machine.json, as circuit.svg and, where it is not too large,
    as stepper.html; for a task of examples also as program.py, and report.md and report.html, which say all of it.
    Returns the names of the files. Raises DMMError if writing fails.
    """
    folder, speed = Path(folder), min(task.ticks_per_character)
    result.machine.save(folder / "machine.json")
    draw(result.machine).save(folder / "circuit.svg")
    files = ["machine.json", "circuit.svg", *_save_stepper(result.machine, task, folder)]
    if task.due is None:
        return files
    atomic_write(folder / "program.py", to_python(result.machine, speed, task.latency))
    text = describe(result, task, files)
    atomic_write(folder / "report.md", text)
    import mistune  # only here, for it takes a tenth of a second

    page = mistune.create_markdown(plugins=["table"])(text)
    atomic_write(folder / "report.html", PAGE.format(body=page))
    return [*files, "program.py", "report.md", "report.html"]


def _save_stepper(machine: Machine, task: Task, folder: Path) -> list[str]:
    """The stepper for an input of the task that is long enough to show something, and short enough to go through."""
    path = folder / "stepper.html"
    number = min(range(len(task.strings)), key=lambda i: (abs(len(task.strings[i]) - STEPPED), i))
    try:
        stepper = step_through(
            machine, task.strings[number], None, task.ticks_per_character[number], after_end=task.after_end
        )
    except DMMError:  # a machine that is no program yet may be too large, or explode
        path.unlink(missing_ok=True)  # that of another run
        return []
    stepper.save(path)
    return [path.name]


def describe(result: Synthesis, task: Task, files: Collection[str] = ("stepper.html",)) -> str:
    """The report as Markdown; `files` stand beside it."""
    machine, speeds = result.machine, sorted({*task.ticks_per_character})
    stages = [entry["stage"] for entry in result.history]
    small = "train" not in stages
    method = "enumeration of small programs" if small else "training, and cutting link by link"
    sure, control = str(result.verification), getattr(result.verification, "table", None)
    fast = " and ".join(map(str, speeds))
    asked = f"{len({*task.strings})} inputs at {fast} ticks a step, answers due {task.latency} ticks after their step."
    parts = [
        "# A program from examples",
        f"## What was asked\n\n{asked}",
        f"## What was found\n\n{len(machine.links)} links, by {method}, in {result.seconds:.1f} s. Data loss, which is "
        f"the sum of an example's squared errors, on average: {result.data_loss:.3g}.{_advice(result)}",
        _formula(machine, task) + "\n\n![The circuit](circuit.svg)",
        f"## How sure it is\n\n{_plain(sure[0].upper() + sure[1:])}.{_question(result)}",
        f"## What it does\n\n{_table(machine_answers(result, task))}",
        f"## Files\n\n{FILES}{STEPPER * ('stepper.html' in files)}",
    ]
    if control is not None:
        parts[4] += f"\n\n{CONTROL}"
    return "\n\n".join(parts) + "\n"


def formula_text(machine: Machine, task: Task | None = None) -> str:
    """The formula of a machine, or why there is none; of an answer that a task never asks for nothing is said."""
    from dmmlab.synthesis.formulas import formula  # brings SymPy, which no other command needs

    if not is_readable(machine):
        return f"There is no formula that one could read: the machine has {len(machine.links)} links."
    try:
        lines = str(formula(machine)).splitlines()
    except DMMError as error:
        return f"There is no formula: {error}"
    asked = (True, True) if task is None else task.asked.any(axis=(0, 1))
    silent = tuple(f"{side}[" for side, wanted in zip(("left", "right"), asked, strict=True) if not wanted)
    return "\n".join(line for line in lines if not line.startswith(silent))


def _formula(machine: Machine, task: Task) -> str:
    """The formula with its legend, or the sentence that says why there is none."""
    text = formula_text(machine, task)
    return text if text.startswith("There is no") else f"```text\n{text}\n```\n\n{LEGEND}"


def _advice(result: Synthesis) -> str:
    """What to do where no program was found."""
    return "" if result.data_loss < SOLVED else f"\n\n{ADVICE[0].upper()}{ADVICE[1:]}"


def _question(result: Synthesis) -> str:
    if result.question is None:
        return ""
    return (
        f"\n\nAnother program of the same size gives all answers too. They differ on {_plain(show(result.question))}: "
        "if you know the answer there, add it to the examples."
    )


def machine_answers(result: Synthesis, task: Task) -> list[tuple[str, str, str]]:
    """The shortest inputs, the answers that were due at their ends, and those of the program."""
    different = sorted(
        {string: i for i, string in reversed([*enumerate(task.strings)])}.items(), key=lambda x: len(x[0])
    )
    chosen = different[:SHOWN]
    given = task.predict(result.machine, [string for string, _ in chosen])
    rows = []
    for (string, i), answers in zip(chosen, given, strict=True):
        wanted = np.array(task.due[i])[-1]
        rows.append((show(string), _pair(wanted), _pair(np.where(np.isnan(wanted), np.nan, answers[-1]))))
    return rows


def show(string: Text) -> str:
    """An input as one line of text."""
    if isinstance(string, str):
        return repr(string)
    plain = (step if isinstance(step, str) else _as_number(value_of(step).to_dict()) for step in string)
    return " ".join(map(str, plain))


def _as_number(tree: dict) -> Any:
    """The number that a dict stands for, or the dict."""
    return f"{tree.get(NUMBER, 0.0):g}" if {*tree} <= {NUMBER} else tree


def _pair(pair: np.ndarray) -> str:
    numbers = ["–" if np.isnan(x) else f"{round(float(x), 6):g}" for x in pair]
    return numbers[0] if numbers[1] == "–" else ", ".join(numbers)


def _table(rows: list[tuple[str, str, str]]) -> str:
    cells = [tuple(map(_plain, row)) for row in rows]
    return "\n".join(
        ["| input | due at its end | given |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in cells)]
    )


def _plain(text: str) -> str:
    """Text that is neither HTML nor the end of a cell."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
