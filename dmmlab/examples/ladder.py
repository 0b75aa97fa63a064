"""The ladder: tasks that others published, from single steps to what nobody has a small exact machine for.

Each has a rung, a source, a rule that says what is due (`ladder_rules`), and what its peers found. The definitions are
facts of the sources. MIPS: Michaud et al. 2024, arXiv:2402.05110. BLISS: Lan, Chemla, Katzir 2023. MDLRNN: Lan et al.,
TACL 2022. Tomita: Tomita 1982, as in Weiss et al. 2018. Chomsky: Delétang et al. 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmmlab.examples import ladder_draws as draws
from dmmlab.examples import ladder_rules as rules
from dmmlab.examples.ladder_draws import Draw, channels, integers, letters, power, words
from dmmlab.files import DMMError, check_int
from dmmlab.learn.tasks import Task

MODES: dict[str, dict[str, Any]] = {  # how `Task.from_examples` is asked
    "any": {"ticks_per_step": [8, 11]},
    "sync": {"ticks_per_step": 1, "latency": "any"},
}
REDRAWN = 20  # times at most that an input is drawn which is there already


@dataclass(frozen=True)
class Rung:
    """A task of the ladder.

    `inputs` are "symbols" (a string), "words", "numbers" or "channels" (dicts). `mode` is "any", for programs that are
    right at every speed, or "sync", at one step a tick. `draw(rng, length)` gives a random input, `target(input)` the
    answers due: for every step a number, a pair (left, right), or None. `peers` is what others published.

    >>> dmm.LADDER["tomita 4"].target("1000")
    [1, 1, 1, 0]
    """

    rung: int
    source: str
    inputs: str
    mode: str
    draw: Draw
    target: Callable[[Sequence], list]
    peers: str = ""


LADDER: dict[str, Rung] = {}
"""The tasks of the ladder by name, from the lowest rung to the highest.

>>> len(dmm.LADDER), dmm.LADDER["parity all"].target("1101")
(84, [1, 0, 0, 1])
"""


def _add(rung: int, source: str, name: str, inputs: str, mode: str, draw: Draw, rule: rules.Rule, peers: str) -> None:
    LADDER[name] = Rung(rung, source, inputs, mode, draw, rule, peers)


def _mips(rung: int, name: str, inputs: str, mode: str, draw: Draw, rule: rules.Rule, peers: str) -> None:
    _add(rung, "MIPS", name, inputs, mode, draw, rule, peers)


BOTH, ONLY_MIPS = "MIPS and GPT-4 solved", "MIPS solved, GPT-4 not"
NEITHER = "neither MIPS nor PySR on its states solved it"
LSTM, WEISS = "LSTM best of 10 seeds", "about 2,700 strings"
BITS, DIGITS, PAIRS = letters("01"), letters("0123456789"), words("00", "01", "10", "11")
HUNDRED, SIGNED, SMALL = integers(0, 99), integers(-100, 99), integers(-10, 10)


def _first_rung() -> None:
    """One step, or plain counts."""
    each, counted = rules.each, rules.count
    _mips(1, "bitwise xor", "words", "any", PAIRS, each(lambda x: int(x[0] != x[1])), BOTH)
    _mips(1, "bitwise and", "words", "any", PAIRS, each(lambda x: int(x == "11")), BOTH)
    _mips(1, "bitwise or", "words", "any", PAIRS, each(lambda x: int("1" in x)), BOTH)
    _mips(1, "bitwise not", "symbols", "any", BITS, each(lambda x: 1 - int(x)), BOTH)
    even = each(lambda x: 1 - int(x) % 2)
    _mips(1, "evens detector", "symbols", "any", DIGITS, even, "GPT-4 only (peers read numbers)")
    _mips(1, "evens counter", "symbols", "any", DIGITS, counted("02468"), NEITHER)
    _mips(1, "perfect square", "words", "any", words(*range(20)), each(lambda x: int(int(x) ** 0.5 % 1 == 0)), NEITHER)
    _mips(1, "current number", "numbers", "sync", HUNDRED, each(int), BOTH)
    _mips(1, "abs current", "numbers", "sync", SIGNED, each(abs), BOTH)
    _mips(1, "sum all", "numbers", "sync", HUNDRED, rules.running(0, int.__add__), BOTH)
    hist, six = rules.counts(lambda seen, x: seen[x] - 1), letters("abcdef")
    told = "195 lines, length up to 8, 20,000 examples"
    _add(1, "Transformer Programs", "hist", "symbols", "any", six, hist, told)
    _add(1, "ours", "distinct", "symbols", "any", six, rules.counts(lambda seen, _: len(seen)), "")
    _add(1, "Tomita", "tomita 1", "symbols", "any", BITS, rules.accepts(rules.ONLY_1), WEISS)


def _second_rung() -> None:
    """Counters. Of languages only beginnings of words come; what may come next is due."""

    def language(source: str, name: str, draw: Draw, rule: rules.Rule, peers: str) -> None:
        _add(2, source, name, "symbols", "any", draw, rule, peers)

    for source, name, multiples, peers in (
        ("BLISS", "a^n b^n", (1, 1), "MDLRNN from 13 distinct strings, proved; best LSTM fails at n = 73"),
        ("MDLRNN", "a^n b^2n", (1, 2), "MDLRNN proved"),
        ("BLISS", "a^n b^n c^n", (1, 1, 1), "MDLRNN 0 of 3 runs at 100 strings, 1 of 3 at 500"),
        ("BLISS", "a^n b^n c^n d^n", (1, 1, 1, 1), "MDLRNN never (best 99.94 %)"),
    ):
        block = dict(zip("abcd", multiples, strict=False))
        language(source, name, power(**block), rules.blocks(**block), peers)
    sums = rules.counts(rules.sum_of_blocks)
    language("BLISS", "a^n b^m c^n+m", draws.sum_word, sums, "MDLRNN 98.9 % at 100 strings, proved at 500")
    depth = rules.walk(rules.ROUND, rules.dyck)
    language("BLISS", "dyck-1", draws.dyck_word, depth, "MDLRNN fails at 100 strings, proved at 500")
    both = rules.counts(rules.shuffled)
    language("Suzgun 2019", "shuffle-2", draws.shuffled_brackets, both, "LSTM of 10 units, not proved")
    balanced = rules.brackets(lambda depth, never_below: int(depth == 0 and never_below))
    language("MIPS", "balanced parenthesis", letters("()"), balanced, NEITHER)
    judged = rules.brackets(lambda depth, never_below: (int(depth == 0 and never_below), int(not never_below)))
    language("Transformer Programs", "dyck-1 t/p/f", letters("()"), judged, "99.30 % at length 16")
    for last, peers in ((1, "GPT-4 only"), (2, NEITHER), (3, NEITHER)):
        language("MIPS", f"majority 0-{last}", letters("0123"[: last + 1]), rules.counts(rules.commonest), peers)


def _third_rung() -> None:
    """Windows, one step a tick."""

    def numbers(name: str, draw: Draw, rule: rules.Rule, peers: str = ONLY_MIPS) -> None:
        _mips(3, name, "numbers", "sync", draw, rule, peers)

    def bits(name: str, rule: rules.Rule, peers: str) -> None:
        _mips(3, name, "symbols", "sync", BITS, rule, peers)

    def first(last: list) -> int:
        return last[0]

    def alternates(last: list) -> int:
        return int(all(a != b for a, b in zip(last, last[1:], strict=False)))

    window = rules.window
    for k in range(1, 6):
        numbers(f"prev {k}", HUNDRED, window(k + 1, first), BOTH)
    for k in range(2, 8):
        numbers(f"sum last {k}", HUNDRED, window(k, sum), ONLY_MIPS if k < 4 else BOTH)
    for k in (2, 3, 4):
        peers = "MIPS solved" if k < 4 else "PySR on MIPS's states"
        bits(f"parity last {k}", window(k, lambda last: sum(last) % 2), peers)
    for k, peers in ((3, NEITHER), (4, "GPT-4, PySR")):
        bits(f"alternating last {k}", window(k, alternates), peers)
    bits("bit shift right", window(2, first), BOTH)
    numbers("diff last 2", SIGNED, window(2, lambda last: last[1] - last[0]))
    numbers("abs diff", SIGNED, window(2, lambda last: abs(last[1] - last[0])))
    numbers("diff abs values", SIGNED, window(2, lambda last: abs(last[1]) - abs(last[0])), "GPT-4 only")
    numbers("previous equals current", integers(0, 7), rules.same_as_previous)
    numbers("newton freebody", SMALL, rules.body(lambda force, _: force))
    numbers("newton gravity", SMALL, rules.body(lambda force, _: force - 1))
    _add(3, "Tomita", "tomita 4", "symbols", "sync", BITS, rules.accepts(rules.NO_000), WEISS)
    _add(3, "Tomita", "tomita 7", "symbols", "sync", BITS, rules.accepts(rules.ONE_10), WEISS)
    smallest = rules.running(9, lambda least, digit: min(least, int(digit)))
    _mips(3, "min seen", "symbols", "any", DIGITS, smallest, "GPT-4, PySR")


def _fourth_rung() -> None:
    """Loops."""

    def loop(name: str, draw: Draw, rule: rules.Rule, peers: str, source: str = "MIPS") -> None:
        _add(4, source, name, "symbols", "any", draw, rule, peers)

    odd = rules.count_modulo
    loop("parity all", BITS, odd("1", 2), "MIPS; LSTM best of 10 seeds; transformer 52 %")
    loop("parity zeros", BITS, odd("0", 2), ONLY_MIPS)
    loop("parity of index", BITS, rules.running(1, lambda index, _: 1 - index), "GPT-4")
    _mips(4, "bit dot product mod 2", "words", "any", PAIRS, odd("11", 2), ONLY_MIPS)
    for k in range(3, 9):
        loop(f"add mod {k}", letters("01234567"[:k]), rules.sum_modulo(k), BOTH if k == 3 else NEITHER)
    told = "MIPS; MDLRNN from 100 pairs, proved"
    _add(4, "MIPS, MDLRNN", "binary addition", "words", "sync", PAIRS, rules.with_carry(2), told)
    for base in range(3, 8):
        digits, rule = channels(0, base - 1), rules.with_carry(base)
        _mips(4, f"base {base} addition", "channels", "sync", digits, rule, "PySR on MIPS's states")
    for k in (3, 5, 7):
        _mips(4, f"div {k}", "symbols", "sync", BITS, rules.division(k), NEITHER)
    _mips(4, "dithering", "numbers", "sync", integers(0, 15), rules.dithering(15), NEITHER)
    _mips(4, "max seen", "numbers", "sync", HUNDRED, rules.running(0, max), "GPT-4, PySR")
    _mips(4, "newton spring", "numbers", "sync", SMALL, rules.body(lambda force, place: force - place), ONLY_MIPS)
    _mips(4, "newton magnetic", "channels", "sync", channels(-10, 10), rules.in_magnetic_field, NEITHER)
    loop("tomita 5", BITS, rules.accepts(rules.BOTH_EVEN), WEISS, "Tomita")
    loop("tomita 6", BITS, rules.walk({"0": 1, "1": -1}, lambda place: int(place % 3 == 0)), WEISS, "Tomita")
    circle = rules.walk({"+": 1, "-": -1}, lambda place: place % 5)
    loop("cycle navigation", letters("-0+"), circle, LSTM, "Chomsky")
    run = rules.running(0, lambda length, symbol: length + 1 if symbol == "a" else 0)
    loop("run length", letters("ab"), run, "", "ours")


def _fifth_rung() -> None:
    """Where nobody has a small exact machine."""

    def hard(source: str, name: str, draw: Draw, rule: rules.Rule, peers: str) -> None:
        _add(5, source, name, "symbols", "any", draw, rule, peers)

    told = "5-state automaton from about 2,700 strings"
    hard("Tomita", "tomita 3", BITS, rules.accepts(rules.ODD_RUNS), told)
    hard("Tomita", "tomita 2", BITS, rules.accepts(rules.PAIRS_10), WEISS)
    hard("Chomsky", "even pairs", letters("ab"), rules.same_as_first, LSTM)
    hard("ours", "last symbol", letters("ab-"), rules.remembers("a", ignored="-"), "")
    told = "4 of 5 seeds from 1,000 examples"
    digits, rule = channels(0, 9), rules.with_carry(10)
    _add(5, "EV-LLM, AdderBoard", "decimal addition", "channels", "sync", digits, rule, told)
    hard("Chomsky", "modular arithmetic", draws.sums_and_products, rules.arithmetic, LSTM)


for _rung in (_first_rung, _second_rung, _third_rung, _fourth_rung, _fifth_rung):
    _rung()


def find_rung(name: str) -> Rung:
    """The task of the ladder of that name. Raises DMMError that lists the names there are."""
    if name not in LADDER:
        raise DMMError(f"the ladder has no task {name!r}; its tasks are {', '.join(LADDER)}")
    return LADDER[name]


def examples(name: str, count: int, seed: int = 0, longest: int = 12) -> tuple[list, list]:
    """Random inputs of a task of the ladder, short ones first, and for each the answers due at its steps.

    Their lengths are spread evenly from 1 to `longest`, so that few still have many; one that is there already is
    drawn again, some times. Raises DMMError.
    """
    rung = find_rung(name)
    check_int("longest", longest)
    rng = np.random.default_rng([check_int("seed", seed, 0), *name.encode()])
    inputs: list = []
    for length in np.linspace(1, longest, check_int("count", count)).round().astype(int).tolist():
        drawn = (rung.draw(rng, length) for _ in range(REDRAWN))
        inputs.append(next((each for each in drawn if each not in inputs), None) or rung.draw(rng, length))
    inputs.sort(key=len)
    return inputs, [rung.target(each) for each in inputs]


def ladder_task(name: str, count: int = 20, seed: int = 0, longest: int = 12) -> Task:
    """A task of the ladder as examples to learn from, at the speeds of its mode; each input once. Raises DMMError.

    >>> dmm.ladder_task("parity all", 4, longest=2).ticks_per_character
    (8, 8, 8, 8, 11, 11, 11, 11)
    """
    inputs, targets = examples(name, count, seed, longest)
    different = [i for i, each in enumerate(inputs) if each not in inputs[:i]]
    return task_of(name, [inputs[i] for i in different], [targets[i] for i in different])


def task_of(name: str, inputs: Sequence, targets: Sequence) -> Task:
    """A task of the ladder with these inputs and answers due."""
    return Task.from_examples(inputs, targets, **MODES[find_rung(name).mode])
