"""Assembly of what was found in tables: readings, filters, and loops of one tick: recurrences and automata."""

from __future__ import annotations

from itertools import product
from math import isnan

from dmmlab.enumeration.assembly import ONE, Assembly, Terms
from dmmlab.enumeration.automata import Automaton
from dmmlab.enumeration.loops import Recurrence
from dmmlab.enumeration.regression import Filter, Reading

Move = tuple[int, int]  # a state, and the one that follows it


def build_reading(to: Assembly, reading: Reading, due: int | None) -> tuple[Terms, int]:
    """A reading, and the tick at which it is there; a pulse waits for the tick `due`, where one is given."""
    terms, at = to.look_up(reading.lookup)
    if reading.summed:
        terms, at = to.sum(terms), at + 1
    elif due is not None:
        terms, at = to.wait(terms, due - at), due
    return to.add(terms, {ONE: reading.constant}), at


def build_filter(to: Assembly, found: Filter) -> tuple[dict[int, Terms], int]:
    """A filter's sides, and the tick at which they are there: a sum for each that reads itself and the others."""
    names = {side: to.new("sum") for side in found.sides}
    at = max(to.look_up(lookup)[1] for reads in found.reads for lookup in reads if lookup)
    for row, side in enumerate(found.sides):
        terms: Terms = {}
        for k, feedback in enumerate(found.feedback):
            for column, other in enumerate(found.sides):
                if feedback[row, column]:
                    before = to.wait({f"{names[other]}.dict": 1.0}, k)
                    terms = to.add(terms, to.scaled(before, float(feedback[row, column])))
        for k, reads in enumerate(found.reads):
            if reads[row]:
                terms = to.add(terms, to.wait(to.look_up(reads[row])[0], k))
        if found.constants[row]:
            terms = to.add(terms, to.scaled(to.wait({ONE: 1.0}, at), float(found.constants[row])))
        to.link(f"{names[side]}.dict-1", terms)
    return {side: {f"{name}.dict": 1.0} for side, name in names.items()}, at + 1


def build_recurrence(to: Assembly, found: Recurrence, two_sided: bool) -> tuple[Terms, int] | None:
    """A recurrence, and the tick at which it is there; None where it cannot be built so.

    A compare for each bend reads u less the bend. The straight part of the curve comes from a sum of u, or,
    `two_sided`, from the first compare, which emits what u is above the bend and what it is below.
    """
    form, curve = found.form, found.curve
    bends = sorted(curve.bends)
    if not bends and two_sided:
        return None
    compares = [to.new("compare") for _ in bends]
    first = bends[0][0] if bends else 0.0
    slope = curve.slope - (sum(change for _, change in bends) if curve.sign < 0 else 0.0)  # left of all bends
    bent = {f"{name}.true": change for name, (_, change) in zip(compares, bends, strict=True)}
    rises = float(curve(first)) - slope * first  # of the straight part, at zero
    if two_sided:
        u = to.add(_once(to, first), {f"{compares[0]}.true": 1.0, f"{compares[0]}.false": -1.0})
    else:
        accumulates = form.a * (form.of_u + form.of_y * slope) == 1.0
        line = to.new("accum" if accumulates else "sum")
        u = {f"{line}.dict": 1.0}
    straight = to.add(_once(to, rises), to.scaled(u, slope))
    p, at = to.look_up(found.lookup)
    y = to.add(straight, bent, to.scaled(to.wait(p, 1), form.c) if form.c else {})
    read = to.add(to.scaled(to.add(to.scaled(u, form.of_u), to.scaled(y, form.of_y)), form.a), to.scaled(p, form.b))
    read = {source: weight for source, weight in read.items() if abs(weight) > 1e-12}
    for name, (bend, _) in zip(compares, bends, strict=True):
        to.link(f"{name}.dict-1", read)
        to.link(f"{name}.dict-2", {ONE: bend})
    if not two_sided:
        own = f"{line}.dict"
        rest = {source: weight for source, weight in read.items() if not (accumulates and source == own)}
        to.link(f"{line}.dict-2", rest)
    return to.add(y, {ONE: found.rest}), at + 1


def _once(to: Assembly, constant: float) -> Terms:
    """A constant that is there when compares first are, a tick after the start."""
    return to.scaled(to.wait({ONE: 1.0}, 1), constant) if constant else {}


def build_automaton(to: Assembly, found: Automaton) -> tuple[dict[int, Terms], int]:
    """The answers of an automaton's states, by side, and the tick at which they are there.

    A state but the first is 1 or 0: the sum of compares, of which one says that the state was there and no word came
    that leaves it, and one for each move to it, that the other state was there and such a word came. The first state is
    there when no other is.
    """
    words, states = _words_of_moves(found), range(1, len(found.answers))
    alone = len(found.answers) == 2 and words.get((0, 1)) == words[1, 1]  # then one compare says both
    output: dict[Move, str] = {}
    for move in words:
        shared = alone and move == (0, 1)
        output[move] = f"{output[1, 1][:-5]}.false" if shared else f"{to.new('compare')}.true"
    there = [{}, *({output[move]: 1.0 for move in words if move[1] == s} for s in states)]
    for move, some in words.items():
        name, _, field = output[move].rpartition(".")
        if field == "true":
            came = to.look_up(tuple((word, 1.0) for word in some))[0] if some else {}
            _build_move(to, name, move, came, there)
    sides = {}
    for side in (0, 1):
        due = [0.0 if isnan(answer[side]) else answer[side] for answer in found.answers]
        terms = [to.scaled(there[s], due[s] - due[0]) for s in states]
        sides[side] = to.add(*terms, {ONE: due[0]})
    return sides, 2


def _words_of_moves(found: Automaton) -> dict[Move, list[str]]:
    """The words of each move to a state but the first; for a state and itself those that leave it."""
    states, last = range(len(found.answers)), range(1, len(found.answers))
    words = {(s, s): [word for i, word in enumerate(found.words) if found.moves[s, i] != s] for s in last}
    for move in product(states, last):
        some = [word for i, word in enumerate(found.words) if found.moves[move[0], i] == move[1]]
        if some and move not in words:
            words[move] = some
    return words


def _build_move(to: Assembly, name: str, move: Move, came: Terms, there: list[Terms]) -> None:
    """What the compare of a move reads: that the state was there, and whether a word of the move came."""
    state, follower = move
    if state == follower:
        x, y = there[state], came
    elif state:
        x, y = to.add(there[state], came), {ONE: 1.0}
    else:
        x, y = came, to.add(*there)
    to.link(f"{name}.dict-1", x)
    to.link(f"{name}.dict-2", y)
