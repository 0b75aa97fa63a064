"""Examination: a machine on examples that it was not made from, held out or drawn at random and answered by a function.

Beside it a negative control: a table that remembers the answers of the training's examples, on the same test. A test
that such a table passes says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from dmmlab.engine import Engine
from dmmlab.files import DMMError, check_int
from dmmlab.inputs import Step, Text
from dmmlab.learn.due import read_due
from dmmlab.learn.tasks import RIGHT, Task
from dmmlab.machines import Machine
from dmmlab.trees import NUMBER
from dmmlab.vvalues import VValue, from_leaves

ASKED = 20  # steps of a string for which a function is asked, at most; it may be slow on long strings
DRAWN = 200  # strings, to find one on which programs disagree
CHUNK = 20  # strings run together; all at once would take much memory

Function = Callable[[Text], Any]


@dataclass(frozen=True)
class Examination:
    """How many of the examples a machine answers, the shortest that it does not, and what a table would answer.

    >>> print(dmm.verify(dmm.handcrafted_detector(), dmm.Task.from_examples(["aa", "ab"], [1, 2])))
    wrong on 1 of 2 examples of up to 2 steps; the shortest: 'ab' at 8 ticks a step
    """

    strings: int
    failed: int
    longest: int
    largest_error: float
    counterexample: Text | None
    ticks_per_character: int
    table: int | None = None  # how many of the examples a table of the training's answers
    learned: bool = False  # whether these are the very examples that it was made from

    @property
    def passed(self) -> bool:
        """Whether all answers were right."""
        return self.failed == 0

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        where = f"{self.strings} examples of up to {self.longest} steps"
        if self.passed and self.learned:
            return f"gives the answers of the {where} it was made from; none was held out"
        table = "" if self.table is None else f" (a table of the training's: on {self.table})"
        if self.passed:
            return f"right on {where}{table}"
        text = self.counterexample if isinstance(self.counterexample, str) else [*(self.counterexample or ())]
        failure = f"the shortest: {text!r} at {self.ticks_per_character} ticks a step"
        return f"wrong on {self.failed} of {where}{table}; {failure}"

    def to_dict(self) -> dict:
        """Plain data, for tables and files."""
        text = self.counterexample
        plain = text if text is None or isinstance(text, str) else [_plain(step) for step in text]
        return asdict(replace(self, counterexample=None)) | {"counterexample": plain, "passed": self.passed}


def _plain(step: Step) -> Any:
    return step.to_dict() if isinstance(step, VValue) else step


def examine(machine: Machine, test: Task, training: Task | None = None) -> Examination:
    """A machine on the answers due in a test; `training` is what the table of the negative control remembers."""
    errors = largest_errors_due(machine, test)
    failed = np.flatnonzero(~(errors <= RIGHT))
    shortest = min(failed, key=lambda i: (len(test.strings[i]), i), default=None)
    table = None if training is None else _table_right(test, training)
    return Examination(
        strings=len(errors),
        failed=len(failed),
        longest=max(map(len, test.strings)),
        largest_error=float(errors.max()),
        counterexample=None if shortest is None else test.strings[shortest],
        ticks_per_character=test.ticks_per_character[shortest or 0],
        table=table,
    )


def largest_errors_due(machine: Machine, test: Task) -> np.ndarray:
    """The largest `|error|` of the answers due of each string, (strings,); infinite where one is not finite."""
    errors = np.zeros(len(test.strings))
    order = np.argsort(test.ticks, kind="stable")
    for start in range(0, len(order), CHUNK):
        chosen = order[start : start + CHUNK]
        part = test.only(chosen)
        with np.errstate(all="ignore"):
            answers = Engine(machine, part).answers(machine.vector())
            wrong = np.where(part.asked, np.abs(answers - part.targets), 0.0).max(axis=(1, 2))
        errors[chosen] = np.where(np.isfinite(wrong), wrong, np.inf)
    return errors


def _table_right(test: Task, training: Task) -> int:
    """How many strings a table answers that has the training's beginnings of strings, and else its commonest answer."""
    places: dict[tuple[int, Step], int] = {}  # beginnings by their numbers, for they share their beginnings; 0: nothing
    table: dict[int, tuple[float, float]] = {}
    for string, due in zip(training.strings, training.due or (), strict=False):
        at = 0
        for step, answer in zip(string, due, strict=True):
            at = places.setdefault((at, step), len(places) + 1)
            if not np.isnan(answer).all():
                table[at] = answer
    usual = Counter(table.values()).most_common(1)[0][0] if table else (0.0, 0.0)
    right = 0
    for string, due in zip(test.strings, test.due or (), strict=True):
        given, at = [], 0
        for step in string:
            at = places.get((at, step), -1)
            given.append(table.get(at, usual))
        errors = np.abs(np.subtract(given, due))
        right += bool((errors[~np.isnan(due)] <= RIGHT).all())
    return right


def split(task: Task, holdout: float, seed: int) -> tuple[Task, Task | None]:
    """A task of the examples to learn from, and one of the share that is held out; None where none is.
    Raises DMMError for a share that leaves none to learn from.
    """
    if not 0 <= holdout < 1:
        raise DMMError(f"holdout is {holdout!r}; it is a share of the examples, at least 0 and below 1")
    different = [*dict.fromkeys(task.strings)]
    count = int(round(holdout * len(different)))
    if not count:
        return task, None
    chosen = np.random.default_rng([seed, 1]).choice(len(different), count, replace=False)
    held = {different[i] for i in chosen}
    learned = [i for i, string in enumerate(task.strings) if string not in held]
    if not learned:
        raise DMMError(f"holdout is {holdout!r}; it leaves none of {len(different)} examples to learn from")
    return task.only(learned), task.only([i for i, string in enumerate(task.strings) if string in held])


def draw_strings(task: Task, count: int, rng: np.random.Generator, longest: int) -> list[Text]:
    """Random strings of the steps that a task's have, of all lengths up to the longest."""
    words = all(isinstance(string, str) for string in task.strings)
    steps = [step for string in task.strings for step in string]
    strings: list[Text] = []
    for i in range(check_int("count", count)):
        drawn = _draw_steps(rng, steps, 1 + i % check_int("longest", longest))
        strings.append("".join(drawn) if words else tuple(drawn))
    return strings


def disagreement(machine: Machine, others: Sequence[Machine], task: Task) -> Text | None:
    """The shortest of some random strings on which another machine gives other answers than this one, or none."""
    sides = ~np.isnan(task.targets).all(axis=(0, 1))
    strings = draw_strings(task, DRAWN, np.random.default_rng(0), 2 * max(map(len, task.strings)))
    wanted = task.predict(machine, strings)
    found = []
    for other in others:
        pairs = zip(wanted, task.predict(other, strings), strings, strict=True)
        found += [text for x, y, text in pairs if not (np.abs(x - y)[:, sides] <= RIGHT).all()]
    return min(found, key=len, default=None)


def draw_test(function: Function, task: Task, count: int, seed: int, longest: int) -> Task:
    """Random strings of the steps that a task's have, at its speeds, with a function's answers to the steps so far."""
    rng = np.random.default_rng(check_int("seed", seed, 0))
    strings = draw_strings(task, count, rng, longest)
    targets = [_ask(function, string, rng) for string in strings]
    speeds = sorted({*task.ticks_per_character})
    each = [speeds[i % len(speeds)] for i in range(len(strings))]
    due = [read_due(len(string), target) for string, target in zip(strings, targets, strict=True)]
    return task.on(strings, each, due)


def _ask(function: Function, string: Text, rng: np.random.Generator) -> list:
    """The answers to the whole string and to some of its beginnings; None for the others."""
    answers = [None] * len(string)
    for i in {len(string) - 1, *rng.integers(len(string), size=ASKED).tolist()}:
        answer = function(string[: i + 1])
        answers[i] = answer.item() if getattr(answer, "shape", None) == () else answer
    return answers


def _draw_steps(rng: np.random.Generator, steps: Sequence[Step], length: int) -> list[Step]:
    """Words as often as the task has them, in runs now and then; numbers and channels from their ranges."""
    if not any(isinstance(step, str) for step in steps):
        return [_draw_value(rng, steps) for _ in range(length)]
    pool = sorted({step for step in steps if isinstance(step, str)})
    if rng.integers(3) == 0 and length > 2:
        runs = rng.geometric(1 / rng.integers(1, length + 1), size=length)
        return np.repeat(rng.choice(pool, length), runs)[:length].tolist()
    return rng.choice(pool, length).tolist()


def _draw_value(rng: np.random.Generator, steps: Sequence[Step]) -> Step:
    """A number, or a V-value of numbers, each from the range that the steps have there; whole where they are whole."""
    parts = [VValue(step) for step in steps]
    paths = sorted({path for part in parts for path, _ in part.leaves()})
    values = {path: [dict(part.leaves()).get(path, 0.0) for part in parts] for path in paths}
    drawn = {}
    for path, seen in values.items():
        whole = all(value == int(value) for value in seen)
        low, high = min(seen), max(seen)
        drawn[path] = float(rng.integers(int(low), int(high) + 1)) if whole else float(rng.uniform(low, high))
    only_number = all(not isinstance(step, VValue) for step in steps)
    return drawn.get((NUMBER,), 0.0) if only_number else from_leaves(drawn.items())
