"""What is due on the ladder: rules that read an input once, from left to right, and have an answer for every step.

A rule maps an input, a string or a list of steps, to a list with an answer a step: a number, a pair (left, right), or
None where nothing is asked. Most are a state, how a step changes it, and what is said of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

Rule = Callable[[Sequence], list]


def running(start: Any, change: Callable[[Any, Any], Any], say: Callable[[Any], Any] = lambda state: state) -> Rule:
    """The rule of a state: where it starts, what a step makes of it, and what is answered then."""
    return lambda steps: [say(state) for state in [*accumulate(steps, change, initial=start)][1:]]


def each(answer: Callable[[Any], Any]) -> Rule:
    """The rule that looks at the step itself only."""
    return lambda steps: [answer(step) for step in steps]


def window(length: int, say: Callable[[list], Any], before: Any = 0) -> Rule:
    """The rule of the last steps, whole numbers or digits, oldest first; `before` stands for those before the first."""

    def rule(steps: Sequence) -> list:
        last, answers = deque([before] * length, length), []
        for step in steps:
            last.append(int(step))
            answers.append(say([*last]))
        return answers

    return rule


def same_as_previous(steps: Sequence) -> list[int | None]:
    """Whether a step is the one before it; not asked of the first."""
    return [None, *(int(a == b) for a, b in zip(steps, steps[1:], strict=False))]


def count(wanted: str, say: Callable[[int], Any] = lambda number: number) -> Rule:
    """The rule of how often one of some symbols came."""
    return running(0, lambda number, symbol: number + (symbol in wanted), say)


def count_modulo(wanted: Any, modulus: int) -> Rule:
    """How often a symbol or word came, but for multiples."""
    return running(0, lambda number, step: (number + (step == wanted)) % modulus)


def walk(directions: dict[str, int], say: Callable[[int], Any]) -> Rule:
    """The rule of a place: each symbol moves it by a whole number, from 0."""
    return running(0, lambda place, symbol: place + directions.get(symbol, 0), say)


def sum_modulo(modulus: int) -> Rule:
    """The sum of the digits so far, but for multiples."""
    return running(0, lambda total, digit: (total + int(digit)) % modulus)


# ---- counts of each symbol ----


def counts(say: Callable[[dict, Any], Any]) -> Rule:
    """The rule of how often each symbol came, and of the one that came last."""

    def rule(symbols: Sequence) -> list:
        seen: dict[Any, int] = {}
        answers = []
        for symbol in symbols:
            seen[symbol] = seen.get(symbol, 0) + 1
            answers.append(say(seen, symbol))
        return answers

    return rule


def commonest(seen: dict, _: Any) -> int:
    """The digit that came most often; of several the smallest."""
    return int(min(seen, key=lambda digit: (-seen[digit], digit)))


def blocks(**multiples: int) -> Rule:
    """Words of blocks, such as a^n b^2n, beginning to end. Left: the place in the alphabet of the symbol that has to
    come, not asked while the first block may go on, 0 at the end; right: whether the word may end.
    """
    first, *others = multiples

    def say(seen: dict, symbol: str) -> tuple:
        if symbol == first:
            return None, 0
        n = seen[first]
        open_ones = (i for i, each in enumerate(others, 1) if seen.get(each, 0) < multiples[each] * n)
        place = next(open_ones, 0)
        return place, int(place == 0)

    return counts(say)


def sum_of_blocks(seen: dict, symbol: str) -> tuple:
    """a^n b^m c^n+m. Left: whether c has to come, not asked before the first; right: whether the word may end."""
    if symbol != "c":
        return None, 0
    wanted = seen.get("a", 0) + seen.get("b", 0)
    return int(seen["c"] < wanted), int(seen["c"] == wanted)


# ---- brackets ----

ROUND = {"(": 1, ")": -1}


def dyck(depth: int) -> tuple:
    """Left: whether ')' may come; right: whether the word may end."""
    return int(depth > 0), int(depth == 0)


def shuffled(seen: dict, _: str) -> tuple:
    """Round and square brackets, each for itself. Left: 1 if ')' may come, and 2 if ']'; right: whether it may end."""
    depth = [seen.get(left, 0) - seen.get(right, 0) for left, right in ("()", "[]")]
    return int(depth[0] > 0) + 2 * int(depth[1] > 0), int(depth == [0, 0])


def brackets(say: Callable[[int, bool], Any]) -> Rule:
    """Any round brackets: the depth, and whether it never was below 0."""

    def change(state: tuple[int, bool], symbol: str) -> tuple[int, bool]:
        depth = state[0] + ROUND[symbol]
        return depth, state[1] and depth >= 0

    return running((0, True), change, lambda state: say(*state))


# ---- sums, carries, bodies that move ----


def with_carry(base: int) -> Rule:
    """Addition, lowest digits first: the digit of the sum. Steps are pairs of digits: words, or x and y of a dict."""

    def change(state: tuple[int, int], pair: Any) -> tuple[int, int]:
        digits = map(int, pair) if isinstance(pair, str) else (pair["x"], pair["y"])
        return divmod(sum(digits) + state[0], base)

    return running((0, 0), change, lambda state: state[1])


def division(divisor: int) -> Rule:
    """Long division of a binary number, highest digit first: the digit of the quotient."""
    return running((0, 0), lambda state, bit: divmod(2 * state[1] + int(bit), divisor), lambda state: state[0])


def dithering(levels: int) -> Rule:
    """How many whole units of so many levels the sum of the steps passes with this one."""
    return running((0, 0), lambda state, step: divmod(state[1] + step, levels), lambda state: state[0])


def body(force: Callable[[int, int], int]) -> Rule:
    """Where a body is that starts at 0 and at rest: `force` of the step and the place before changes its velocity."""

    def change(state: tuple[int, int], step: int) -> tuple[int, int]:
        place, velocity = state
        velocity += force(step, place)
        return place + velocity, velocity

    return running((0, 0), change, lambda state: state[0])


def in_magnetic_field(steps: Sequence[dict]) -> list[tuple[int, int]]:
    """Where a charge is, x and y; the field turns its velocity by the velocity itself."""
    x, y, fast_x, fast_y, places = 0, 0, 0, 0, []
    for force in steps:
        fast_x, fast_y = fast_x - fast_y + force["x"], fast_y + fast_x + force["y"]
        x, y = x + fast_x, y + fast_y
        places.append((x, y))
    return places


# ---- regular languages: is the input so far in it ----


def accepts(table: dict[str, tuple[str, str]]) -> Rule:
    """A finite automaton: for each state the next after 0 and after 1. It begins in s; 1 in states of small letters."""
    return running("s", lambda state, bit: table[state][int(bit)], lambda state: int(state.islower()))


ONLY_1 = {"s": ("X", "s"), "X": ("X", "X")}
NO_000 = {"s": ("t", "s"), "t": ("u", "s"), "u": ("X", "s"), "X": ("X", "X")}
ONE_10 = {"s": ("s", "t"), "t": ("u", "t"), "u": ("u", "v"), "v": ("X", "v"), "X": ("X", "X")}
PAIRS_10 = {"s": ("X", "T"), "T": ("s", "X"), "X": ("X", "X")}
# After an odd run of 1 that ended (in o) no odd run of 0 may follow; P is such a run, which another 0 mends.
ODD_RUNS = {"s": ("s", "o"), "o": ("P", "s"), "P": ("q", "X"), "q": ("P", "q"), "X": ("X", "X")}
BOTH_EVEN = {"s": ("A", "B"), "A": ("s", "C"), "B": ("C", "s"), "C": ("B", "A")}


def remembers(wanted: str, ignored: str = "") -> Rule:
    """Whether the last symbol, but for some that are ignored, is the one that is wanted."""
    return running(0, lambda state, symbol: state if symbol in ignored else int(symbol == wanted))


def same_as_first(symbols: Sequence) -> list[int]:
    """Whether the symbol is that with which the input began."""
    return [int(symbol == symbols[0]) for symbol in symbols]


# ---- arithmetic ----


def arithmetic(symbols: Sequence[str], modulus: int = 5) -> list[int | None]:
    """Digits with + - * between them, products first: the value so far after each digit, but for multiples."""
    done, term, operation, answers = 0, 0, "+", []
    for symbol in symbols:
        if not symbol.isdigit():
            operation = symbol
            answers.append(None)
            continue
        digit = int(symbol)
        if operation == "*":
            term *= digit
        else:
            done, term = done + term, digit if operation == "+" else -digit
        answers.append((done + term) % modulus)
    return answers
