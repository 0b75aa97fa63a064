"""A page about what a synthesis found: what was asked, the program, how sure it is, and what it does."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dmmlab.files import DMMError, atomic_write
from dmmlab.inputs import Text, value_of
from dmmlab.lab.circuits import draw
from dmmlab.lab.stepper import step_through
from dmmlab.learn.tasks import Task
from dmmlab.machines import Machine
from dmmlab.synthesis.export import to_python
from dmmlab.synthesis.search import Synthesis

SHOWN = 8  # of the shortest inputs
PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>A program</title>
<style>body{{max-width:45rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 sans-serif}}
table{{border-collapse:collapse}}td,th{{border-bottom:1px solid #ccc;padding:.2rem .8rem;text-align:left}}
pre{{white-space:pre-wrap;background:#f4f4f4;padding:.6rem}}img{{max-width:100%}}</style>
<body>{body}</body></html>
"""


def save_findings(result: Synthesis, task: Task, folder: str | os.PathLike) -> list[str]:
    """Write what was found for a task of examples into a folder: the program as machine.json and program.py, as
    circuit.svg and stepper.html, and report.md and report.html, which say all of it. Returns the names of the files.
    Raises DMMError if writing fails.
    """
    folder, speed = Path(folder), min(task.ticks_per_character)
    result.machine.save(folder / "machine.json")
    draw(result.machine).save(folder / "circuit.svg")
    shortest = min(task.strings, key=len)
    step_through(result.machine, shortest, None, speed, after_end=task.after_end).save(folder / "stepper.html")
    atomic_write(folder / "program.py", to_python(result.machine, speed, task.latency))
    text = describe(result, task)
    atomic_write(folder / "report.md", text)
    import mistune  # only here, for it takes a tenth of a second

    page = mistune.create_markdown(plugins=["table"])(text)
    atomic_write(folder / "report.html", PAGE.format(body=page))
    return ["machine.json", "circuit.svg", "stepper.html", "program.py", "report.md", "report.html"]


def describe(result: Synthesis, task: Task) -> str:
    """The report as Markdown."""
    machine, speeds = result.machine, sorted({*task.ticks_per_character})
    lines = formula_text(machine)
    stages = [entry["stage"] for entry in result.history]
    small = "train" not in stages
    method = "enumeration of small programs" if small else "training, and cutting link by link"
    sure = str(result.verification)
    fast = ", ".join(map(str, speeds))
    asked = f"{len({*task.strings})} inputs at {fast} ticks a step, answers due {task.latency} ticks after their step."
    parts = [
        "# A program from examples",
        f"## What was asked\n\n{asked}",
        f"## What was found\n\n{len(machine.links)} links, by {method}, in {result.seconds:.1f} s. Left out of the "
        f"answers of the examples (data loss): {result.data_loss:.3g}.\n\n```text\n{lines}\n```\n\n"
        "![The circuit](circuit.svg)",
        f"## How sure it is\n\n{sure[0].upper()}{sure[1:]}.{_question(result)}",
        f"## What it does\n\n{_table(machine_answers(result, task))}",
        "## Files\n\n[program.py](program.py) needs nothing but Python; [stepper.html](stepper.html) shows the machine "
        "at work; [machine.json](machine.json) is for `dmmlab check`.",
    ]
    return "\n\n".join(parts) + "\n"


def formula_text(machine: Machine) -> str:
    """The formula of a machine, or why there is none."""
    from dmmlab.synthesis.formulas import formula  # brings SymPy, which no other command needs

    try:
        return str(formula(machine))
    except DMMError as error:
        return f"There is no formula: {error}"


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
    return " ".join(step if isinstance(step, str) else str(value_of(step).to_dict()) for step in string)


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
