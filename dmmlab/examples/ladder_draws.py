"""How inputs of the ladder are drawn: `draw(rng, length)` gives a string or a list of steps, of about that length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Draw = Callable[[np.random.Generator, int], str | list | tuple]


@dataclass(frozen=True)
class Letters:
    """Symbols, or whole words, drawn one by one, each as likely as the others."""

    steps: tuple[str, ...]
    joined: bool = True  # to a string; words stay apart

    def __call__(self, rng: np.random.Generator, length: int) -> str | tuple[str, ...]:
        """So many steps."""
        return self.join(rng.choice(self.steps, length).tolist())

    def runs(self, rng: np.random.Generator, length: int) -> str | tuple[str, ...]:
        """The same steps, but in runs of one of them, short ones or long ones."""
        sizes = rng.geometric(1 / rng.integers(1, length + 1), length)
        return self.join(np.repeat(rng.choice(self.steps, length), sizes)[:length].tolist())

    def join(self, steps: list[str]) -> str | tuple[str, ...]:
        """Steps as an input."""
        return "".join(steps) if self.joined else tuple(steps)


def letters(symbols: str) -> Letters:
    """Strings of these symbols."""
    return Letters(tuple(symbols))


def words(*choices: object) -> Letters:
    """Streams of these words."""
    return Letters(tuple(map(str, choices)), joined=False)


def integers(low: int, high: int) -> Draw:
    """Whole numbers, both ends included."""
    return lambda rng, length: rng.integers(low, high, length, endpoint=True).tolist()


def channels(low: int, high: int) -> Draw:
    """Dicts with two whole numbers, x and y."""

    def draw(rng: np.random.Generator, length: int) -> list[dict[str, int]]:
        return [{"x": x, "y": y} for x, y in rng.integers(low, high, (length, 2), endpoint=True).tolist()]

    return draw


def power(**multiples: int) -> Draw:
    """The word of blocks, such as a^n b^2n, whose n is the length by the number of blocks."""

    def draw(_: np.random.Generator, length: int) -> str:
        n = max(1, length // len(multiples))
        return "".join(symbol * (n * multiple) for symbol, multiple in multiples.items())

    return draw


def sum_word(rng: np.random.Generator, length: int) -> str:
    """A word of a^n b^m c^n+m; n and m are at most half the length."""
    n, m = rng.integers(1, max(1, length // 2), 2, endpoint=True).tolist()
    return "a" * n + "b" * m + "c" * (n + m)


def dyck_word(rng: np.random.Generator, length: int) -> str:
    """A beginning of a word of balanced brackets, at most half the length deep."""
    depth, symbols = 0, ""
    for _ in range(length):
        close = depth > length // 2 or (depth > 0 and rng.random() < 0.5)
        depth += -1 if close else 1
        symbols += ")" if close else "("
    return symbols


def shuffled_brackets(rng: np.random.Generator, length: int) -> str:
    """A beginning of two balanced words, one of round and one of square brackets, shuffled."""
    depth, symbols = [0, 0], ""
    for _ in range(length):
        sort = int(rng.integers(2))
        close = depth[sort] > 0 and rng.random() < 0.5
        depth[sort] += -1 if close else 1
        symbols += ("()", "[]")[sort][close]
    return symbols


def sums_and_products(rng: np.random.Generator, length: int) -> str:
    """Digits up to 4 with + - * between them, of odd length."""
    return "".join(str(rng.choice(list("+-*" if i % 2 else "01234"))) for i in range(length | 1))
