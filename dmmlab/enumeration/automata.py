"""Automata: the smallest finite automaton that gives all answers due, each answer belonging to a state (Moore's).

States are looked for as needed: a step that is not known yet goes to a state that there is, or to a new one, and the
answers refute what is wrong; with one state more where no such automaton exists (Biermann and Feldman, 1972).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isnan, log2, nan

import numpy as np

from dmmlab.enumeration.steps import Steps

MOST_STATES = 8
TRIED = 20_000  # guesses for each number of states
EVIDENCE = 2.0  # steps of the examples for each move, at least

Answer = tuple[float, ...]
Moves = dict[tuple[int, int], int]


@dataclass(frozen=True)
class Automaton:
    """`moves[state, word]` is the state that follows, 0 the first; `answers[state]` what is due there."""

    words: tuple[str, ...]
    moves: Moves
    answers: tuple[Answer, ...]
    evidence: float = 0.0  # bits of the answers due for each bit of the moves

    @property
    def changes(self) -> int:
        """How many pairs of states there are of which one follows the other."""
        return len({(state, move) for (state, _), move in self.moves.items() if state != move})


def find_automaton(steps: Steps) -> Automaton | None:
    """The smallest automaton; of several the one that changes least; None where none of few states is the only one."""
    words = tuple(steps.words)
    if not steps.symbolic or len(words) < 2:
        return None
    letters = np.argmax([steps.read[word] for word in words], axis=0).tolist()
    rows = [*zip(letters, map(tuple, steps.answers.tolist()), strict=True)]
    ends = pairwise([*steps.begins.tolist(), len(steps)])
    strings = {(*letters[begin:end],): rows[begin:end] for begin, end in ends}  # each once, at whatever speeds
    told = [answer for string in strings.values() for _, answer in string]
    for states in range(2, MOST_STATES + 1):
        if states * len(words) * EVIDENCE > len(told):
            return None
        guesses = Guesses([*strings.values()], states)
        found = [Automaton(words, *each) for each in guesses.solutions({}, 1)]
        if guesses.tries > TRIED:
            return None
        if found:
            found = [each for each in found if len(each.moves) == states * len(words)]
            ranked = sorted(found, key=lambda each: each.changes)
            alone = len(ranked) == 1 or len(ranked) > 1 and ranked[0].changes < ranked[1].changes
            bits = states * len(words) * log2(states)
            return replace(ranked[0], evidence=_bits(told) / bits) if alone else None
    return None


class Guesses:
    """Guessing of moves, one after another; what is waited for most comes first."""

    def __init__(self, strings: list[list[tuple[int, Answer]]], states: int) -> None:
        self.strings, self.states, self.tries = strings, states, 0

    def solutions(self, moves: Moves, used: int) -> Iterator[tuple[Moves, tuple[Answer, ...]]]:
        """All ways to go on from some moves, between so many states, that give all answers."""
        due: list[Answer] = [(nan, nan)] * self.states
        waiting: Counter[tuple[int, int]] = Counter()
        for string in self.strings:
            state = 0
            for at, (letter, answer) in enumerate(string):
                if (state, letter) not in moves:
                    waiting[state, letter] += len(string) - at
                    break
                state = moves[state, letter]
                if due[state] != answer:
                    merged = _merged(due[state], answer)
                    if merged is None:
                        return
                    due[state] = merged
        if not waiting:
            yield dict(moves), tuple(due)
            return
        place = waiting.most_common(1)[0][0]
        for move in range(min(used + 1, self.states)):
            self.tries += 1
            if self.tries > TRIED:
                return
            yield from self.solutions(moves | {place: move}, max(used, move + 1))


def _bits(answers: list[Answer]) -> float:
    """How much the answers tell that one cannot know from how often each is due, in bits."""
    counts = np.array([*Counter(map(repr, answers)).values()])
    return float((counts * np.log2(len(answers) / counts)).sum())


def _merged(one: Answer, other: Answer) -> Answer | None:
    """Two answers in one, for a side may not be asked; None where they differ."""
    if any(x != y for x, y in zip(one, other, strict=True) if not (isnan(x) or isnan(y))):
        return None
    return tuple(y if isnan(x) else x for x, y in zip(one, other, strict=True))
