"""Programs whose loops are read off from the answers, and programs at one step a tick."""

import numpy as np
import pytest

import dmmlab as dmm
from dmmlab.engine import Engine
from dmmlab.enumeration.assembly import Assembly
from dmmlab.enumeration.automata import Automaton, find_automaton
from dmmlab.enumeration.curves import curves_through
from dmmlab.enumeration.loop_assembly import build_automaton
from dmmlab.enumeration.programs import find_programs
from dmmlab.enumeration.steps import Steps
from dmmlab.examples.ladder import LADDER, ladder_task

FOUND = [
    "bitwise xor", "perfect square", "evens counter", "abs current", "a^n b^n c^n d^n", "balanced parenthesis",
    "sum last 5", "alternating last 3", "previous equals current", "newton gravity", "min seen", "parity of index",
    "add mod 5", "binary addition", "base 4 addition", "div 7", "dithering", "max seen", "newton spring",
    "newton magnetic", "cycle navigation",
]  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_programs_are_right_on_what_they_were_not_made_from(name):
    task, rung = ladder_task(name, 20, 0, 12), LADDER[name]
    program, rng = find_programs(task)[0], np.random.default_rng(1)
    inputs = [rung.draw(rng, int(n)) for n in rng.integers(1, 40, 40)]
    settled = task.settled(program)
    for given, answers in zip(inputs, task.predict(program, inputs), strict=True):
        wanted = np.array([each if isinstance(each, tuple) else (each, None) for each in rung.target(given)], float)
        asked = ~np.isnan(wanted)
        assert np.abs(answers - wanted)[asked].max(initial=0.0) < 1e-6, given
    assert settled.latency <= 12


@pytest.mark.parametrize("name", ["modular arithmetic", "majority 0-3"])
def test_what_is_beyond_small_programs_is_not_found(name):
    assert find_programs(ladder_task(name, 20, 0, 12)) == ()


def test_a_palindrome_is_not_found():
    rng = np.random.default_rng(0)
    strings = ["".join(rng.choice([*"ab"], n)) for n in rng.integers(1, 11, 20)]
    strings += [text + text[::-1] for text in strings[:6]]
    task = dmm.Task.from_examples(strings, [[int(s[: i + 1] == s[i::-1]) for i in range(len(s))] for s in strings])
    assert find_programs(task) == ()


def test_the_latency_is_the_smallest_at_which_a_machine_is_right():
    task = dmm.Task.from_examples([[1.0, 2.0, -3.0], [4.0]], [[2, 4, -6], [8]], ticks_per_step=1, latency="any")
    double = dmm.write_program("output.dict-1 <- 2 input.char").reading_values()
    late = dmm.write_program("sum-1.dict-1 <- input.char\nsum-2.dict-1 <- sum-1.dict\noutput.dict-1 <- 2 sum-2.dict")
    assert (task.settled(double).latency, task.settled(late.reading_values()).latency) == (1, 3)
    assert dmm.verify(double, task).passed
    assert dmm.verify(double, lambda x: 2 * x[-1], task=task, count=20).passed
    assert task.predict(double, [[7.0]])[0][0, 0] == 14


@pytest.mark.parametrize(
    ("function", "bends"),
    [(np.abs, 1), (lambda x: np.maximum(2 - x, 0), 1), (lambda x: np.clip(x, -1, 1), 2), (lambda x: 3 - 2 * x, 0)],
)
def test_a_curve_is_read_off_from_points_beside_its_bends(function, bends):
    x = np.random.default_rng(0).uniform(-4, 4, 60)
    ((row, curve),) = curves_through(x[None], function(x), 4)
    everywhere = np.linspace(-9, 9, 50)
    assert row == 0
    assert len(curve.bends) == bends
    assert np.abs(curve(everywhere) - function(everywhere)).max() < 1e-9


def test_a_curve_has_one_value_and_not_too_many_bends():
    assert [*curves_through(np.array([[1.0, 1.0, 2.0]]), np.array([0.0, 1.0, 1.0]), 4)] == []
    assert [*curves_through(np.arange(9.0)[None], np.arange(9.0) % 2, 4)] == []


def test_rows_that_are_no_functions_are_not_counted_among_those_tried():
    x, y = np.array([[1.0, 1.0, 2.0], [0.0, 1.0, 2.0], [2.0, 0.0, 1.0]]), np.array([0.0, 1.0, 2.0])
    assert [row for row, _ in curves_through(x, y, 1)] == [1, 2]
    assert [row for row, _ in curves_through(x, y, 1, tried=1)] == [1]
    assert [row for row, _ in curves_through(x, x**2, 1)] == [0, 1, 2]


def random_automaton(rng: np.random.Generator) -> Automaton:
    states = int(rng.integers(2, 6))
    moves = {(s, w): int(rng.integers(states)) for s in range(states) for w in range(2)}
    return Automaton(("a", "b"), moves, tuple((float(rng.integers(3)), float(rng.integers(2))) for _ in range(states)))


@pytest.mark.parametrize("seed", range(12))
def test_a_machine_of_an_automaton_does_what_it_does(seed):
    rng = np.random.default_rng(seed)
    automaton = random_automaton(rng)
    strings = ["".join(rng.choice([*"ab"], 12)) for _ in range(6)]
    wanted = []
    for string in strings:
        state, answers = 0, []
        for letter in string:
            state = automaton.moves[state, "ab".index(letter)]
            answers.append(automaton.answers[state])
        wanted.append(answers)
    for speeds in ([5, 7], 1):
        task = dmm.Task.from_examples(strings, wanted, ticks_per_step=speeds, latency=3)
        to = Assembly(Steps(task))
        sides, at = build_automaton(to, automaton)
        if speeds == 1:
            sides = {side: to.wait(terms, 2 - at) for side, terms in sides.items()}
        machine, latency = to.machine(sides, task.dot_clip, values=False), at + 1
        answers = Engine(machine, task.after(latency)).answers(machine.vector())
        settled = task.after(latency)
        assert np.abs(answers - settled.targets)[settled.asked].max() < 1e-9


def test_an_automaton_is_found_again():
    task = ladder_task("tomita 6", 20, 0, 12)
    found = find_automaton(Steps(task))
    assert len(found.answers) == 3
    state = 0
    for letter in "0010111010":
        state = found.moves[state, int(letter)]
    assert found.answers[state][0] == LADDER["tomita 6"].target("0010111010")[-1]


def test_too_few_examples_have_no_automaton():
    assert find_automaton(Steps(dmm.Task.from_examples(["ab", "ba"], [[1, 0], [0, 1]]))) is None


def test_programs_are_the_same_each_time():
    task = ladder_task("div 3", 20, 3, 12)
    first = [machine.to_dict() for machine in find_programs(task)]
    find_programs.cache_clear()
    assert [machine.to_dict() for machine in find_programs(task)] == first
