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
from dmmlab.machines import Machine

EXACT = 1e-6  # largest error, at any tick of any string, of a machine that is called exact
LETTERS = alphabets.ascii_letters + alphabets.digits + alphabets.punctuation + " "
SPEEDS = (1, 2, 3, 5, 10, 13)
CHUNK = 4000  # ticks run together: more of them no longer fit the processor's cache


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
    every, plain = sorted(set(LETTERS) | set(letters)), all(len(letter) == 1 for letter in letters)
    for i in range(count):
        length, pool = int(rng.integers(1, longest + 1)), every
        if letters and rng.integers(2):
            pool = sorted(set(letters))
        if i % 4 == 0:
            runs = rng.geometric(1 / rng.integers(1, length + 1), size=length)
            text = np.repeat(rng.choice(pool, length), runs)[:length]
        elif i % 4 == 1:
            text = rng.choice(rng.choice(pool, 3), length)
        elif i % 4 == 2:
            text = rng.choice([*pool, *"." * (len(pool) // 3), *" " * (len(pool) // 5)], length)
        else:
            text = rng.choice(pool, length)
        yield "".join(text) if plain else tuple(text.tolist()), int(rng.choice(SPEEDS))


def verify(
    machine: Machine,
    teacher: Machine,
    count: int = 1000,
    seed: int = 0,
    letters: Collection[str] = "",
    longest: int = 200,
) -> Verification:
    """Compare a machine with its teacher at every tick of `count` random strings (see `random_strings`).
    The result names the largest error, and if that is no rounding error a counterexample, shortened.

    >>> dmm.verify(dmm.handcrafted_detector(dot_clip=3), dmm.handcrafted_detector(), count=20).counterexample
    '.'
    """
    fed = sorted(
        random_strings(check_int("count", count), seed, letters, longest), key=lambda run: len(run[0]) * run[1]
    )
    worst = (-1.0, "", 1)
    for some in _chunks(fed):
        errors = largest_errors(machine, teacher, [text for text, _ in some], [speed for _, speed in some])
        i = int(np.argmax(errors))
        worst = max(worst, (float(errors[i]), *some[i]), key=lambda found: found[0])
    error, text, speed = worst
    counterexample = None if error <= EXACT else _shrink(machine, teacher, text, speed)
    return Verification(error, text, speed, counterexample, count)


def largest_errors(machine: Machine, teacher: Machine, strings: Sequence[Text], speeds: Sequence[int]) -> np.ndarray:
    """The largest `|difference|` of the answers of two machines at any tick of each string, (strings,)."""
    fed = tuple(strings), tuple(speeds)
    with np.errstate(all="ignore"):
        apart = np.abs(_answers.__wrapped__(machine, *fed) - _answers(teacher, *fed)).max(axis=(-2, -1))
    return np.where(np.isfinite(apart), apart, np.inf)


@lru_cache(maxsize=256)  # one teacher is asked the same for every machine
def _answers(machine: Machine, strings: tuple[Text, ...], speeds: tuple[int, ...]) -> np.ndarray:
    return Engine(machine, Inputs(strings, ticks_per_character=speeds)).answers(machine.vector())


def _chunks(fed: Sequence[tuple[Text, int]]) -> Iterator[list[tuple[Text, int]]]:
    """Strings of similar length together, as many as make up CHUNK ticks."""
    some: list[tuple[Text, int]] = []
    for text, speed in fed:
        if some and (len(some) + 1) * len(text) * speed > CHUNK:
            yield some
            some = []
        some.append((text, speed))
    if not some:
        raise DMMError("there are no strings to examine; ask for at least one")
    yield some


def _shrink(machine: Machine, teacher: Machine, text: Text, speed: int) -> Text:
    """Take characters away, ever fewer at a time, as long as the error stays."""

    def wrong(shorter: Text) -> bool:
        answers = [_answers.__wrapped__(each, (shorter,), (speed,)) for each in (machine, teacher)]
        with np.errstate(all="ignore"):
            return not np.abs(answers[0] - answers[1]).max() <= EXACT

    size = len(text)
    while size:
        for start in range(0, len(text), size):
            shorter = text[:start] + text[start + size :]
            if shorter and wrong(shorter):
                text = shorter
                break
        else:
            size //= 2
    return text
