"""Programs whose machines rewrite themselves, or work on streams that no fixed dimension holds.

Each is a machine and the outputs with which it starts: constants are what accumulators hold from the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dmmlab.builders import add_neuron, write_program
from dmmlab.files import DMMError
from dmmlab.machines import Link, Machine
from dmmlab.vvalues import VValue, from_leaves


class Program(NamedTuple):
    """A machine, and its outputs before the first tick: neuron → field → value.

    >>> dmm.PROGRAMS["oscillator"]().start
    VValue({'accum': {'dict': {'self': {'delta': {'accum': {'dict': -2.0}}}}}})
    """

    machine: Machine
    start: VValue


def holding(constants: Mapping[str, Mapping]) -> VValue:
    """The outputs with which accumulators of these names hold these values."""
    return VValue({name: {"dict": value} for name, value in constants.items()})


def links(weights: Mapping[str, float]) -> VValue:
    """A matrix from lines "to.field <- from.field" with their weights: what an update adds."""
    return from_leaves((Link.parse(*line.partition(" <- ")[::2]), weight) for line, weight in weights.items())


def wave(columns: Sequence[int] = (2, 3, 4)) -> Program:
    """A wave in the matrix: the one 1 in the row of Self's delta moves to the next of two or more columns every tick.

    Neuron accum-c holds the update that takes the 1 from column c onwards (arXiv:1706.00648, B.2). Raises DMMError.
    """
    if len({*columns}) < max(2, len(columns)):
        raise DMMError(f"columns are {columns!r}; a wave needs at least two different ones")
    names = [f"accum-{column}" for column in columns]
    row = {name: f"self.delta <- {name}.dict" for name in names}
    turns = zip(names, names[1:] + names[:1], strict=True)
    updates = {name: links({row[name]: -1.0, row[after]: 1.0}) for name, after in turns}
    machine = write_program("\n".join(row.values()))
    return Program(machine.with_weights(links({row[names[0]]: 1.0})), holding(updates))


def soliton() -> Program:
    """A wave that skips every other column: 1, 3, 5, 7, 9 and again."""
    return wave((1, 3, 5, 7, 9))


def oscillator() -> Program:
    """A weight that turns its sign at every tick: it scales the update that takes twice itself away."""
    row = "self.delta <- accum.dict"
    return Program(write_program(row), holding({"accum": links({row: -2.0})}))


SWITCH = """
    dot-a.dict-1 <- input.char
    dot-a.dict-2 <- letter-a.char
    dot-b.dict-1 <- input.char
    dot-b.dict-2 <- letter-b.char
    dot-mark.dict-1 <- input.char
    dot-mark.dict-2 <- letter-#.char
    accum-count.dict-2 <- dot-a.dot
    output.dict-1 <- accum-count.dict
    gate.factor <- dot-mark.dot
    gate.dict <- accum-edit.dict
    self.delta <- gate.dict
"""
COUNTS_A, COUNTS_B = (f"accum-count.dict-2 <- dot-{letter}.dot" for letter in "ab")


def switch(edit: Mapping | None = None) -> Program:
    """A machine that counts 'a' and, when it meets '#', adds an edit to itself: by default, it counts 'b' from then on.

    The edit is emitted once for every '#'; neither the input nor the count so far is touched.
    """
    edit = links({COUNTS_A: -1.0, COUNTS_B: 1.0}) if edit is None else edit
    return Program(write_program(SWITCH), holding({"accum-edit": edit}))


def word_counter() -> Program:
    """How often every word came, for a stream of words that may go on for ever."""
    return Program(write_program("accum.dict-2 <- input.char\noutput.dict-1 <- accum.dict"), VValue())


def duplicates() -> Program:
    """The list, as a tree, of all characters that came a second time, the last one first; one level deeper for each.

    How often a character came before it comes now is an inner product; when that is 1, the character is let through.
    """
    machine = write_program("""
        accum.dict-2 <- input.char
        inner.dict-1 <- input.char
        inner.dict-2 <- accum.dict
        hard_compare-1.dict-1 <- inner.inner
        hard_compare-1.dict-2 <- 0.5 const_1.const_1
        hard_compare-2.dict-1 <- 1.5 const_1.const_1
        hard_compare-2.dict-2 <- inner.inner
        id-1.char <- input.char
        id-2.char <- id-1.char
        id-3.number <- hard_compare-2.true
        gate-1.factor <- hard_compare-1.true
        gate-1.dict <- id-2.char
        gate-2.factor <- id-3.number
        gate-2.dict <- gate-1.dict
        cons.new <- gate-2.dict
        cons.rest <- cons.list
        output.dict-1 <- cons.list
    """)
    return Program(machine, VValue())


LETTER = """
    dot-{0}.dict-1 <- input.char
    dot-{0}.dict-2 <- letter-{0}.char
    gate-{0}.factor <- dot-{0}.dot
    self.delta <- gate-{0}.dict
"""


def _wires(state: int, row: Mapping[str, int]) -> VValue:
    """What there is in a state only: the updates that wait at the gates, and the answer."""
    gates = {f"gate-{letter}.dict <- accum-{state}{letter}.dict": 1.0 for letter in row}
    return links({**gates, "output.dict-1 <- const_1.const_1": float(state)})


def automaton(transitions: Sequence[Mapping[str, int]]) -> Program:
    """A finite automaton whose state is where the links of its gates begin: a character rewrites them.
    `transitions[state][character]` is the next state; where a character is missing the state stays. The machine answers
    with the number of the state, 0 at first; to its right it answers 1, which keeps the source of numbers active. A
    rewiring takes two ticks to be felt, so give a character at least that long. Raises DMMError for a next state that
    does not exist, and for what is no single visible character.

    >>> machine, start = dmm.automaton([{"a": 1}, {"b": 0}])
    >>> dmm.answers(machine, "abba", start=start)[9::10, 0]  # the states after 10, 20, … ticks
    array([1., 0., 0., 1., 1., 1.])
    """
    for state, row in enumerate(transitions):
        for letter, after in row.items():
            if len(letter) != 1 or letter.isspace():
                raise DMMError(f"{letter!r} is no single visible character; an automaton reads one at a time")
            if not 0 <= after < len(transitions):
                raise DMMError(f"state {state}, {letter!r}: there is no state {after}; there are {len(transitions)}")
    wires, updates = [_wires(state, row) for state, row in enumerate(transitions)], {}
    for state, row in enumerate(transitions):
        updates |= {f"accum-{state}{letter}": wires[after] - wires[state] for letter, after in row.items()}
    letters = sorted({letter for row in transitions for letter in row})
    machine = write_program("\n".join(map(LETTER.format, letters)) + "output.dict-2 <- const_1.const_1")
    for name in updates:
        machine = add_neuron(machine, name)
    first = wires[0] if wires else VValue()
    return Program(machine.with_weights(machine.weights + first), holding(updates))


PROGRAMS = {
    "wave": wave,
    "soliton": soliton,
    "oscillator": oscillator,
    "switch": switch,
    "word counter": word_counter,
    "duplicates": duplicates,
}
"""Name → function that builds the program.

>>> [*dmm.PROGRAMS]
['wave', 'soliton', 'oscillator', 'switch', 'word counter', 'duplicates']
"""
