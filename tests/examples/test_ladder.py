"""The ladder: what is due, worked out by hand for every task; and how its examples are drawn."""

import numpy as np
import pytest

import dmmlab as dmm
from dmmlab.examples.ladder import LADDER, examples, find_rung

A, B, C, D, END = (None, 0), (1, 0), (2, 0), (3, 0), (0, 1)  # of blocks: not asked, b, c or d must come, the end
X = [{"x": x, "y": y} for x, y in ((1, 2), (2, 2), (0, 1))]
BY_HAND = {  # task → inputs, and the answers due
    "bitwise xor": [(("00", "01", "10", "11"), [0, 1, 1, 0]), (("11", "10"), [0, 1])],
    "bitwise and": [(("00", "01", "10", "11"), [0, 0, 0, 1]), (("11", "11"), [1, 1])],
    "bitwise or": [(("00", "01", "10", "11"), [0, 1, 1, 1]), (("00", "00"), [0, 0])],
    "bitwise not": [("0110", [1, 0, 0, 1]), ("1", [0])],
    "evens detector": [("0123456789", [1, 0, 1, 0, 1, 0, 1, 0, 1, 0]), ("77", [0, 0])],
    "evens counter": [("0123", [1, 1, 2, 2]), ("990", [0, 0, 1]), ("468", [1, 2, 3])],
    "perfect square": [(("0", "1", "2", "3", "4"), [1, 1, 0, 0, 1]), (("9", "10", "14", "16", "19"), [1, 0, 0, 1, 0])],
    "current number": [([3, 0, 99], [3, 0, 99]), ([7], [7])],
    "abs current": [([-3, 0, 3], [3, 0, 3]), ([-100, 99], [100, 99])],
    "sum all": [([1, 2, 3], [1, 3, 6]), ([99, 0, 99], [99, 99, 198])],
    "hist": [("aabab", [0, 1, 0, 2, 1]), ("fff", [0, 1, 2])],
    "distinct": [("aabca", [1, 1, 2, 3, 3]), ("fed", [1, 2, 3])],
    "tomita 1": [("1101", [1, 1, 0, 0]), ("0", [0]), ("111", [1, 1, 1])],
    "a^n b^n": [("ab", [A, END]), ("aabb", [A, A, B, END]), ("aaabbb", [A, A, A, B, B, END])],
    "a^n b^2n": [("abb", [A, B, END]), ("aabbbb", [A, A, B, B, B, END])],
    "a^n b^n c^n": [("abc", [A, C, END]), ("aabbcc", [A, A, B, C, C, END])],
    "a^n b^n c^n d^n": [("abcd", [A, C, D, END]), ("aabbccdd", [A, A, B, C, C, D, D, END])],
    "a^n b^m c^n+m": [("abcc", [A, A, B, END]), ("abbccc", [A, A, A, B, B, END])],
    "dyck-1": [("(())", [(1, 0), (1, 0), (1, 0), (0, 1)]), ("()(", [(1, 0), (0, 1), (1, 0)])],
    "shuffle-2": [("([)]", [(1, 0), (3, 0), (2, 0), (0, 1)]), ("[]((", [(2, 0), (0, 1), (1, 0), (1, 0)])],
    "balanced parenthesis": [("(())()", [0, 0, 0, 1, 0, 1]), (")(()", [0, 0, 0, 0]), ("())(", [0, 1, 0, 0])],
    "dyck-1 t/p/f": [("()(", [(0, 0), (1, 0), (0, 0)]), ("())(", [(0, 0), (1, 0), (0, 1), (0, 1)]), (")", [(0, 1)])],
    "majority 0-1": [("1001", [1, 0, 0, 0]), ("1101", [1, 1, 1, 1])],
    "majority 0-2": [("2112", [2, 1, 1, 1]), ("220", [2, 2, 2]), ("0212", [0, 0, 0, 2])],
    "majority 0-3": [("3123", [3, 1, 1, 3]), ("3032", [3, 0, 3, 3])],
    "prev 1": [([5, 6, 7], [0, 5, 6]), ([9], [0])],
    "prev 2": [([5, 6, 7, 8], [0, 0, 5, 6]), ([9, 9], [0, 0])],
    "prev 3": [([5, 6, 7, 8], [0, 0, 0, 5]), ([1, 2, 3, 4, 5], [0, 0, 0, 1, 2])],
    "prev 4": [([5, 6, 7, 8, 9], [0, 0, 0, 0, 5]), ([1, 2], [0, 0])],
    "prev 5": [([5, 6, 7, 8, 9, 1], [0, 0, 0, 0, 0, 5]), ([3], [0])],
    "sum last 2": [([1, 2, 3], [1, 3, 5]), ([9, 0, 0], [9, 9, 0])],
    "sum last 3": [([1, 2, 3, 4], [1, 3, 6, 9]), ([9, 0, 0, 0], [9, 9, 9, 0])],
    "sum last 4": [([1, 2, 3, 4, 5], [1, 3, 6, 10, 14]), ([9, 0, 0, 0, 0], [9, 9, 9, 9, 0])],
    "sum last 5": [([1, 1, 1, 1, 1, 1], [1, 2, 3, 4, 5, 5]), ([2, 3], [2, 5])],
    "sum last 6": [([1, 1, 1, 1, 1, 1, 1], [1, 2, 3, 4, 5, 6, 6]), ([2, 3], [2, 5])],
    "sum last 7": [([1, 1, 1, 1, 1, 1, 1, 2], [1, 2, 3, 4, 5, 6, 7, 8]), ([2, 3], [2, 5])],
    "parity last 2": [("1101", [1, 0, 1, 1]), ("0011", [0, 0, 1, 0])],
    "parity last 3": [("1101", [1, 0, 0, 0]), ("1111", [1, 0, 1, 1])],
    "parity last 4": [("11011", [1, 0, 0, 1, 1]), ("11111", [1, 0, 1, 0, 0])],
    "alternating last 3": [("1010", [0, 1, 1, 1]), ("0110", [0, 0, 0, 0]), ("01001", [0, 0, 1, 0, 0])],
    "alternating last 4": [("1010", [0, 0, 1, 1]), ("10110", [0, 0, 1, 0, 0]), ("0101", [0, 0, 0, 1])],
    "bit shift right": [("1011", [0, 1, 0, 1]), ("0", [0])],
    "diff last 2": [([5, 3, -2], [5, -2, -5]), ([-1, -1], [-1, 0])],
    "abs diff": [([5, 3, -2], [5, 2, 5]), ([-1, -1], [1, 0])],
    "diff abs values": [([5, -7, 2], [5, 2, -5]), ([-1, 1], [1, 0])],
    "previous equals current": [([3, 3, 2], [None, 1, 0]), ([0, 0], [None, 1])],
    "newton freebody": [([1, 0, -1, 0], [1, 2, 2, 2]), ([2, 2], [2, 6])],
    "newton gravity": [([1, 1, 1], [0, 0, 0]), ([2, 0, 1], [1, 1, 1]), ([0, 0], [-1, -3])],
    "tomita 4": [("1000", [1, 1, 1, 0]), ("00100", [1, 1, 1, 1, 1]), ("0001", [1, 1, 0, 0])],
    "tomita 7": [("0101", [1, 1, 1, 1]), ("10010", [1, 1, 1, 1, 0]), ("01010", [1, 1, 1, 1, 0])],
    "min seen": [("5372", [5, 3, 3, 2]), ("990", [9, 9, 0])],
    "parity all": [("1101", [1, 0, 0, 1]), ("00", [0, 0])],
    "parity zeros": [("1101", [0, 0, 1, 1]), ("00", [1, 0])],
    "parity of index": [("1101", [0, 1, 0, 1]), ("0", [0])],
    "bit dot product mod 2": [(("11", "10", "11", "11"), [1, 1, 0, 1]), (("01", "00"), [0, 0])],
    "add mod 3": [("2120", [2, 0, 2, 2]), ("111", [1, 2, 0])],
    "add mod 4": [("3213", [3, 1, 2, 1]), ("13", [1, 0])],
    "add mod 5": [("4321", [4, 2, 4, 0]), ("23", [2, 0])],
    "add mod 6": [("5432", [5, 3, 0, 2]), ("33", [3, 0])],
    "add mod 7": [("6543", [6, 4, 1, 4]), ("34", [3, 0])],
    "add mod 8": [("7654", [7, 5, 2, 6]), ("44", [4, 0])],
    "binary addition": [(("11", "01", "00"), [0, 0, 1]), (("10", "11", "11"), [1, 0, 1])],
    "base 3 addition": [(X, [0, 2, 2]), ([{"x": 2, "y": 2}, {"x": 2, "y": 2}], [1, 2])],
    "base 4 addition": [(X, [3, 0, 2]), ([{"x": 3, "y": 3}, {"x": 0, "y": 0}], [2, 1])],
    "base 5 addition": [(X, [3, 4, 1]), ([{"x": 4, "y": 3}, {"x": 0, "y": 0}], [2, 1])],
    "base 6 addition": [(X, [3, 4, 1]), ([{"x": 5, "y": 1}, {"x": 5, "y": 0}], [0, 0])],
    "base 7 addition": [(X, [3, 4, 1]), ([{"x": 6, "y": 6}, {"x": 6, "y": 6}], [5, 6])],
    "div 3": [("1000010", [0, 0, 1, 0, 1, 1, 0]), ("111", [0, 1, 0])],  # 66 = 3 · 22, 7 = 3 · 2 + 1
    "div 5": [("11001", [0, 0, 1, 0, 1]), ("1010", [0, 0, 1, 0])],  # 25 = 5 · 5, 10 = 5 · 2
    "div 7": [("11100", [0, 0, 1, 0, 0]), ("1000", [0, 0, 0, 1])],  # 28 = 7 · 4, 8 = 7 · 1 + 1
    "dithering": [([10, 10, 10], [0, 1, 1]), ([15, 15, 0, 14], [1, 1, 0, 0])],
    "max seen": [([3, 9, 5], [3, 9, 9]), ([0, 1], [0, 1])],
    "newton spring": [([1, 0, 0], [1, 1, 0]), ([0, 2, 0, 0, 0], [0, 2, 2, 0, -2])],
    "newton magnetic": [
        ([{"x": 1, "y": 0}, {"x": 0, "y": 0}, {"x": 0, "y": 0}], [(1, 0), (2, 1), (2, 3)]),
        ([{"x": 0, "y": 1}, {"x": 0, "y": 0}], [(0, 1), (-1, 2)]),
    ],
    "tomita 5": [("0011", [0, 1, 0, 1]), ("0110", [0, 0, 0, 1]), ("11", [0, 1])],
    "tomita 6": [("0001", [0, 0, 1, 0]), ("0110", [0, 1, 0, 1]), ("111", [0, 0, 1])],
    "cycle navigation": [("++-0+", [1, 2, 1, 1, 2]), ("--", [4, 3]), ("+++++", [1, 2, 3, 4, 0])],
    "run length": [("aabaaa", [1, 2, 0, 1, 2, 3]), ("ba", [0, 1])],
    "tomita 3": [
        ("1001", [1, 0, 1, 1]),
        ("10110", [1, 0, 0, 0, 0]),
        ("110", [1, 1, 1]),
        ("100111000", [1, 0, 1, 1, 1, 1, 0, 1, 0]),
    ],
    "tomita 2": [("1010", [0, 1, 0, 1]), ("1011", [0, 1, 0, 0]), ("0", [0])],
    "even pairs": [("abba", [1, 0, 0, 1]), ("bb", [1, 1])],
    "last symbol": [("-a-b-", [0, 1, 1, 0, 0]), ("ba", [0, 1])],
    "decimal addition": [
        ([{"x": 7, "y": 5}, {"x": 9, "y": 0}, {"x": 0, "y": 0}], [2, 0, 1]),
        ([{"x": 4, "y": 5}, {"x": 1, "y": 1}], [9, 2]),
    ],
    "modular arithmetic": [("2+3*4", [2, None, 0, None, 4]), ("1-3", [1, None, 3]), ("3*2*4", [3, None, 1, None, 4])],
}


def test_every_task_is_worked_out_by_hand():
    assert [*BY_HAND] == [*LADDER]
    assert min(map(len, BY_HAND.values())) >= 2


@pytest.mark.parametrize("name", BY_HAND)
def test_what_is_due(name):
    for given, due in BY_HAND[name]:
        assert LADDER[name].target(given) == due


@pytest.mark.parametrize("name", LADDER)
def test_inputs_are_of_their_kind_and_have_an_answer_for_every_step(name):
    rung, kinds = LADDER[name], {"symbols": str, "words": tuple, "numbers": list, "channels": list}
    inputs, targets = examples(name, 12, seed=3, longest=8)
    assert [len(each) for each in inputs] == [len(each) for each in targets]
    assert [len(each) for each in inputs] == sorted(len(each) for each in inputs)
    assert {type(each) for each in inputs} == {kinds[rung.inputs]}
    steps = [step for each in inputs for step in each]
    if rung.inputs in ("numbers", "channels"):
        step = int if rung.inputs == "numbers" else dict
        assert {type(each) for each in steps} == {step}
    else:
        assert {type(each) for each in steps} == {str}
    assert examples(name, 12, seed=3, longest=8) == (inputs, targets)


def test_lengths_are_spread_and_inputs_differ():
    inputs, _ = examples("tomita 5", 12, longest=12)
    assert [*map(len, inputs)] == [*range(1, 13)]
    assert len({*examples("tomita 5", 20, longest=12)[0]}) == 20
    assert examples("tomita 5", 12, seed=1)[0] != inputs
    assert len(examples("a^n b^n c^n d^n", 9, longest=12)[0]) == 9  # though there are only three


def test_counters_have_words_that_end_well():
    for name in ("a^n b^n", "a^n b^2n", "a^n b^n c^n", "a^n b^n c^n d^n", "a^n b^m c^n+m"):
        _, targets = examples(name, 10, longest=15)
        assert {each[-1] for each in targets} == {END}
        assert all(END not in each[:-1] for each in targets)


def test_brackets_close_nothing_that_is_not_open():
    rng = np.random.default_rng(0)
    for name, pairs in (("dyck-1", ["()"]), ("shuffle-2", ["()", "[]"])):
        word = LADDER[name].draw(rng, 300)
        for left, right in pairs:
            assert min(word[:i].count(left) - word[:i].count(right) for i in range(301)) == 0


def test_runs_are_of_the_same_steps():
    draw = LADDER["tomita 1"].draw
    longest = max(len(max(draw.runs(np.random.default_rng(i), 60).split("0"), key=len)) for i in range(10))
    assert longest > 20
    assert set(draw.runs(np.random.default_rng(0), 60)) <= set("01")
    assert isinstance(LADDER["bitwise or"].draw.runs(np.random.default_rng(0), 5), tuple)


def test_a_task_of_any_speed_has_two_and_each_input_once():
    task = dmm.ladder_task("a^n b^n c^n", 12, longest=9)
    assert task.strings == ("abc", "aabbcc", "aaabbbccc") * 2
    assert task.ticks_per_character == (8, 8, 8, 11, 11, 11)
    assert np.isnan(task.due[0][0][0])
    assert task.due[0][2] == (0.0, 1.0)


def test_rungs_sources_and_modes():
    rungs = [rung.rung for rung in LADDER.values()]
    assert rungs == sorted(rungs)
    assert [rungs.count(rung) for rung in range(1, 6)] == [13, 12, 26, 27, 6]
    assert sum("MIPS" in rung.source for rung in LADDER.values()) == 61
    assert {rung.mode for rung in LADDER.values()} == {"any", "sync"}


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(dmm.DMMError, match="no task 'paritty'.*parity all"):
        find_rung("paritty")
    with pytest.raises(dmm.DMMError, match="longest is 0"):
        examples("parity all", 3, longest=0)
