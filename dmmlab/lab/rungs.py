"""One task of the ladder with one seed: a program is looked for, and examined on strings it never saw."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import dmmlab
from dmmlab.builders import handcrafted_detector
from dmmlab.engine import Engine
from dmmlab.examples.ladder import find_rung, ladder_task
from dmmlab.examples.ladder_draws import Letters
from dmmlab.files import DMMError
from dmmlab.lab.findings import formula_text, show
from dmmlab.lab.programs import Best
from dmmlab.learn.due import read_due
from dmmlab.learn.objective import SOLVED
from dmmlab.learn.tasks import Task
from dmmlab.machines import Machine
from dmmlab.synthesis.examination import Examination, examine
from dmmlab.synthesis.export import is_readable
from dmmlab.synthesis.search import synthesize

ASKED, LONGEST = 1000, 200  # strings of the examination, and steps of the longest of them
STRESSED, STRESS = 4, 1000  # strings drawn that are longer still, and their steps
DEEP = 15_000  # n of the longest word of a counter, as BLISS asks for
UNSEEN = 13  # ticks a step of a third of the examination, where a program has to be right at every speed
LARGEST = 2.0**40  # of answers: sums of much larger ones are no longer exact
DEEPEST = {  # words of the counters whose every symbol comes n times over
    "a^n b^n": "ab",
    "a^n b^2n": "abb",
    "a^n b^n c^n": "abc",
    "a^n b^n c^n d^n": "abcd",
    "a^n b^m c^n+m": "abcc",
    "dyck-1": "()",
    "shuffle-2": "([)]",
}


class OutOfTimeError(Exception):
    """The time for a task is over; a search is left between two rounds."""


def climb(name: str, seed: int, strings: int, longest: int, seconds: float) -> dict[str, Any]:
    """Look for a program for a task of the ladder, and examine what fits the examples. After so many seconds the round
    that runs then is the last; all of the enumeration is one.

    Returns a row: exact (equal to the rule at every step of the examination), fits (gives all answers of the examples),
    links, neurons, seconds of the search, strings learned from and asked, how many of these failed and how many a table
    of the examples answers, the shortest counterexample, the formula. What is not found is a row too, with fewer facts.
    """
    task = ladder_task(name, strings, seed, longest)
    compile_engine()
    begin = time.perf_counter()
    machine, fits = search(task, seed, begin + seconds)
    row: dict[str, Any] = {"exact": False, "fits": fits, "links": None, "neurons": None}
    row |= {"seconds": round(time.perf_counter() - begin, 1), "strings": len({*task.strings})}
    row |= dict.fromkeys(("asked", "failed", "table", "counterexample", "formula"))
    if machine is None or not fits:
        return row
    found = examine_rung(machine, name, task, seed)
    row |= {"exact": found.passed, "links": len(machine.links), "neurons": len(machine.neurons)}
    row |= {"asked": found.strings, "failed": found.failed, "table": found.table}
    row["counterexample"] = None if found.passed else show(found.counterexample)
    if is_readable(machine):
        row["formula"] = "; ".join(" ".join(line.split()) for line in formula_text(machine).splitlines())
    return row


@cache
def compile_engine() -> None:
    """Use the engine's loops once, so that no search is charged for compiling them."""
    task = Task.from_examples(["a"], [0])
    machine = handcrafted_detector()
    engine, weights = Engine(machine, task), machine.vector()
    engine.squared_errors(weights, np.zeros((1, task.ticks[0], 2)), "full")
    engine.answers(weights)
    engine.tangents(weights, weights[None])


def search(task: Task, seed: int, end: float) -> tuple[Machine | None, bool]:
    """The program found until `end`, by the clock of `time.perf_counter`, and whether it fits the examples."""
    best = Best()

    def after_round(entry: dict, machine: Machine) -> None:
        best.keep(entry, machine)
        if time.perf_counter() > end:
            raise OutOfTimeError

    try:
        result = synthesize(task, seed, progress=False, on_round=after_round)
    except (OutOfTimeError, DMMError):
        return best.machine, not best.rank[0]
    return result.machine, result.data_loss < SOLVED


def examine_rung(machine: Machine, name: str, task: Task, seed: int) -> Examination:
    """A program on a thousand strings and some long ones, with the answers of the rule, at the speeds of its task; and
    a table of the task's examples on the same.
    """
    task = task.settled(machine)
    speeds = sorted({*task.ticks_per_character})
    speeds += [UNSEEN] if len(speeds) > 1 else []
    return examine(machine, ask(name, task, test_inputs(name, seed), speeds), task)


def test_inputs(name: str, seed: int) -> list:
    """Inputs of all lengths, drawn as the task draws them; of free letters every third in runs. Then some long ones."""
    rung, rng = find_rung(name), np.random.default_rng([seed, 1, *name.encode()])
    free = isinstance(rung.draw, Letters)
    inputs = []
    for i in range(ASKED):
        draw = rung.draw.runs if free and i % 3 == 0 else rung.draw
        inputs.append(draw(rng, 1 + i % LONGEST))
    inputs += [rung.draw(rng, STRESS) for _ in range(STRESSED)]
    inputs += [deep_word(name, STRESS // len(DEEPEST[name]))] if name in DEEPEST else []
    if free:
        alone = [rung.draw.join([step] * STRESS) for step in rung.draw.steps]
        inputs += [*alone[:STRESSED], rung.draw.runs(rng, STRESS)]
    return inputs


def ask(name: str, task: Task, inputs: Sequence, speeds: Sequence[int]) -> Task:
    """A task like another one, with these inputs of the ladder and the answers that are due, as far as they are exact;
    the speeds take turns.
    """
    rule, strings, due = find_rung(name).target, [], []
    for given in inputs:
        answers = read_due(len(given), rule(given))
        large = np.flatnonzero(np.nanmax(np.abs(np.array(answers)), axis=1, initial=0.0) > LARGEST)
        end = max(int(large[0]), 1) if len(large) else len(given)
        strings.append(given[:end])
        due.append(answers[:end])
    return task.on(strings, [speeds[i % len(speeds)] for i in range(len(strings))], due)


def deep_word(name: str, n: int) -> str:
    """A word of a counter, such as a^n b^n, for this n. Raises DMMError for what has no such words."""
    if name not in DEEPEST:
        raise DMMError(f"task {name!r} has no deep words; those that have are {', '.join(DEEPEST)}")
    return "".join(symbol * n for symbol in DEEPEST[name])


def stress(machine: Machine, name: str, task: Task, deepest: int = DEEP) -> Examination:
    """A program for a counter on words such as a^n b^n, up to this n, at the fastest speed of its task."""
    depths = sorted({max(1, deepest // share) for share in (100, 10, 1)})
    words, task = [deep_word(name, n) for n in depths], task.settled(machine)
    return examine(machine, ask(name, task, words, [min(task.ticks_per_character)]))


@cache
def code_hash() -> str:
    """All that decides about a result, in sixteen hexadecimal digits: this file, and the package below the lab."""
    folder, digest = Path(dmmlab.__file__).parent, hashlib.sha256()
    below = {path for path in folder.rglob("*.py") if path.relative_to(folder).parts[0] != "lab"}
    for path in sorted({*below, Path(__file__)}):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
