"""Verification: a machine against its teacher at every tick, on strings neither was made for."""

from __future__ import annotations

import string as alphabets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from dmmlab.engine import Engine
from dmmlab.files import DMMError, check_int
from dmmlab.inputs import Inputs, Text
from dmmlab.learn.tasks import RIGHT, Task
from dmmlab.machines import Machine
from dmmlab.synthesis.examination import CHUNK, Examination, Function, draw_test, examine

EXACT = RIGHT  # largest error, at any tick of any string, of a machine that is called exact
LETTERS = alphabets.ascii_letters + alphabets.digits + alphabets.punctuation + " "
SPEEDS = (1, 2, 3, 5, 10, 13)


@dataclass(frozen=True)
class Verification:
    """The largest error found, the string and speed that cause it, and a shortened string that still does.

    >>> print(dmm.Verification(1.0, "ab..a..", ticks_per_character=10, counterexample=".", strings=1000))
    wrong: error 1; counterexample '.' at 10 ticks a character
    """

    largest_error: float
    string: Text
    ticks_per_character: int
    counterexample: Text | None
    strings: int

    @property
    def passed(self) -> bool:
        """Whether nothing beyond rounding was found."""
        return self.largest_error <= EXACT

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        if self.passed:
            return f"exact on {self.strings} strings (largest error {self.largest_error:.1g})"
        found = f"{self.counterexample!r} at {self.ticks_per_character} ticks a character"
        return f"wrong: error {self.largest_error:.3g}; counterexample {found}"

    def to_dict(self) -> dict:
        """Plain data, for tables and files."""
        return asdict(self) | {"passed": self.passed}


def random_strings(
    count: int = 1000, seed: int = 0, letters: Collection[str] = "", longest: int = 200
) -> Iterator[tuple[Text, int]]:
    """Random strings with the ticks a character takes: all lengths from 1 to `longest`, four manners in turn.
    Runs of one letter; two or three letters; sentences with many '.'; anything printable. `letters` are those a task
    was trained on, or its words; half of the strings prefer those, the others have mostly some it never saw.

    >>> list(dmm.random_strings(2, longest=8, letters="ab"))
    [('abbbaaa', 3), ('baababa', 2)]
    """
    longest = check_int("longest", longest)
    rng = np.random.default_rng(check_int("seed", seed, 0))
    words = any(len(letter) > 1 for letter in letters)
    for i in range(count):
        length = int(rng.integers(1, longest + 1))
        known = letters and rng.integers(2)
        pool = sorted(set(letters) if known else {*LETTERS, *letters})
        if i % 4 == 0:
            runs = rng.geometric(1 / rng.integers(1, length + 1), size=length)
            text = np.repeat(rng.choice(pool, length), runs)[:length]
        elif i % 4 == 1:
            text = rng.choice(rng.choice(pool, 3), length)
        elif i % 4 == 2:
            text = rng.choice([*pool, *"." * (len(pool) // 3), *" " * (len(pool) // 5)], length)
        else:
            text = rng.choice(pool, length)
        yield tuple(text.tolist()) if words else "".join(text), int(rng.choice(SPEEDS))


def verify(
    machine: Machine,
    reference: Machine | Task | Function,
    count: int = 1000,
    seed: int = 0,
    letters: Collection[str] = "",
    longest: int = 200,
    task: Task | None = None,
) -> Verification | Examination:
    """Compare a machine with what is right: a teacher, at every tick of random strings; examples, where an answer is
    due; or a function, likewise, on random strings. The result says on what, and names a string that fails.

    Args:
        machine: the one to look at.
        reference: a teacher; a task of examples; or a function of the steps so far, a string or a tuple, whose value is
            a number, a pair (left, right), or None where nothing is asked.
        count: how many random strings.
        seed: of the random strings.
        letters: characters, or words, that the strings for a teacher should have; see `random_strings`.
        longest: steps of the longest string.
        task: what the machine was made from: for a function it says which steps there are, at which speeds, and when
            answers are due; its examples are what the negative control remembers.

    >>> dmm.verify(dmm.handcrafted_detector(dot_clip=3), dmm.handcrafted_detector(), count=20).counterexample
    '.'
    """
    if isinstance(reference, Task):
        if reference.any_latency:
            reference = reference.after((task or reference).settled(machine).latency)
        return examine(machine, reference, task)
    if not isinstance(reference, Machine):
        if not callable(reference) or task is None or task.due is None:
            raise DMMError("a reference is a Machine, a task of examples, or a function together with such a task")
        test = draw_test(reference, task.settled(machine), count, seed, longest)
        return examine(machine, test, task)
    teacher = reference
    runs = list(random_strings(check_int("count", count), seed, letters, longest))
    runs.sort(key=lambda run: len(run[0]) * run[1])
    errors: list[float] = []
    for start in range(0, count, CHUNK):
        strings, speeds = zip(*runs[start : start + CHUNK], strict=True)
        errors.extend(largest_errors(machine, teacher, strings, speeds).tolist())
    error, (text, speed) = max(zip(errors, runs, strict=True), key=lambda found: found[0])
    counterexample = None if error <= EXACT else _shortened(machine, teacher, text, speed)
    return Verification(error, text, speed, counterexample, count)


def largest_errors(machine: Machine, teacher: Machine, strings: Sequence[Text], speeds: Sequence[int]) -> np.ndarray:
    """The largest `|difference|` of the answers of two machines at any tick of each string, (strings,).
    It is infinite where an answer is not finite.
    """
    runs = tuple(strings), tuple(speeds)
    with np.errstate(all="ignore"):
        errors = np.abs(_answers(machine, *runs) - _remembered_answers(teacher, *runs)).max(axis=(1, 2))
    return np.where(np.isfinite(errors), errors, np.inf)


def _answers(machine: Machine, strings: tuple[Text, ...], speeds: tuple[int, ...]) -> np.ndarray:
    return Engine(machine, Inputs(strings, ticks_per_character=speeds)).answers(machine.vector())


_remembered_answers = lru_cache(maxsize=256)(_answers)  # one teacher is asked the same for many machines


def _shortened(machine: Machine, teacher: Machine, text: Text, speed: int) -> Text:
    """Take characters away, ever fewer at a time, as long as the error stays."""
    size = len(text)
    while size:
        for start in range(0, len(text), size):
            shorter = text[:start] + text[start + size :]
            if shorter and largest_errors(machine, teacher, [shorter], [speed])[0] > EXACT:
                text = shorter
                break
        else:
            size //= 2
    return text
