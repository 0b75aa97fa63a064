"""Examination: what a table of the training's answers gives, by its plain definition, and how long that takes."""

from collections import Counter

import numpy as np
import pytest

from dmmlab.learn.tasks import Task
from dmmlab.synthesis.examination import examine
from dmmlab.vvalues import VValue

STEPS = {
    "letters": "ab",
    "words": ("yes", "no"),
    "numbers": (0.0, -1.5, 2.0),
    "values": ({"a": 1.0, "b": {"c": 2.0}}, {"a": 1.0}, "a", 2.0),
}


def random_task(steps, seed, longest=4):
    """Strings of few steps, of which many begin alike, with few different answers, some on one side, some not asked."""
    rng = np.random.default_rng(seed)
    strings = [[steps[i] for i in rng.integers(len(steps), size=n)] for n in rng.integers(1, longest + 1, size=12)]
    strings = ["".join(string) for string in strings] if isinstance(steps, str) else strings
    answers = [0.0, 1.0, (1.0, 2.0), (None, 1.0), None]
    targets = [[answers[i] for i in rng.integers(len(answers), size=len(string))] for string in strings]
    return Task.from_examples(strings, targets, ticks_per_step=8)


def table_right(test, training):
    """How many strings are answered, by the definition."""
    table = {}
    for string, due in zip(training.strings, training.due, strict=True):
        for i, answer in enumerate(due):
            if not np.isnan(answer).all():
                table[(*string[: i + 1],)] = answer
    usual = Counter(table.values()).most_common(1)[0][0]
    right = 0
    for string, due in zip(test.strings, test.due, strict=True):
        wrong = [np.subtract(table.get((*string[: i + 1],), usual), answer) for i, answer in enumerate(due)]
        right += bool((np.nan_to_num(np.abs(wrong)[~np.isnan(due)], nan=np.inf) <= 1e-6).all())
    return right


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_table_remembers_beginnings_and_else_the_commonest_answer(steps, seed):
    training, test = random_task(steps, seed), random_task(steps, seed + 100)
    machine = Task(["a"]).teacher.reading_values()
    assert examine(machine, test, training).table == table_right(test, training)
    assert examine(machine, training, training).table == table_right(training, training)


def test_the_table_looks_at_each_step_a_few_times_only(monkeypatch):
    steps, hashed = 60, []
    task = Task.from_examples([[{"a": float(i)} for i in range(steps)]], [[1.0] * steps])
    plain = VValue.__hash__
    monkeypatch.setattr(VValue, "__hash__", lambda value: hashed.append(value) or plain(value))
    assert examine(Task(["a"]).teacher.reading_values(), task, task).table == 1
    assert len(hashed) < 10 * steps
