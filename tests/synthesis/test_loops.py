"""Loops: the order of a walk, the lessons of a curriculum, and programs that gradients find."""

import numpy as np
import pytest

import dmmlab as dmm
from dmmlab.builders import feedforward, write_program
from dmmlab.learn.objective import Objective
from dmmlab.learn.training import Adam
from dmmlab.synthesis import curriculum
from dmmlab.synthesis.loops import has_loop, walk

PARITY = """
    dot.dict-1 <- input.char
    dot.dict-2 <- letter-1.char
    compare.dict-1 <- compare.true
    compare.dict-1 <- compare.false
    compare.dict-2 <- dot.dot
    output.dict-1 <- compare.true
    output.dict-1 <- compare.false
"""
MACHINE = write_program(PARITY, dot_clip=1000)


def parity(x):
    return x.count("1") % 2


def parity_task(count=18, longest=9):
    rng = np.random.default_rng(0)
    strings = ["".join(rng.choice([*"01"], n)) for n in rng.integers(1, longest + 1, count)]
    due = [[parity(x[: i + 1]) for i in range(len(x))] for x in strings]
    return dmm.Task.from_examples(strings, due, 6, 5, dot_clip=1000)


def test_a_walk_meets_loops_as_groups_with_the_way_in_first():
    text = "norm.dict <- input.char\ncompare.dict-1 <- norm.norm\naccum.dict-2 <- compare.true\n"
    machine = write_program(f"{text}norm.dict <- accum.dict\noutput.dict-1 <- accum.dict")
    assert {"norm": 0, "compare": 1, "accum": 2} in walk(machine)
    assert walk(machine)[-1] == {"output": 0}
    assert has_loop(machine) and has_loop(MACHINE)
    assert not has_loop(dmm.handcrafted_detector())


def test_only_the_kinds_named_read_back_and_only_in_their_layer():
    plain, looped = feedforward(2, 2), feedforward(2, 2, loops=["compare"])
    more = {str(link) for link in looped.links} - {str(link) for link in plain.links}
    names = {(link.to_neuron, link.from_neuron) for link in looped.links if str(link) in more}
    assert names == {(f"compare-{i}-{j}", f"compare-{i}-{k}") for i in (1, 2) for j in (1, 2) for k in (1, 2)}
    assert not has_loop(plain) and has_loop(looped)
    with pytest.raises(dmm.DMMError, match="loops"):
        feedforward(2, 2, ["norm"], loops=["compare"])


def test_lessons_are_beginnings_of_the_strings_each_once_with_their_answers():
    task = parity_task()
    plan = curriculum.lessons(task)
    assert [max(map(len, lesson.strings)) for lesson in plan] == [3, 4, 6, 9]
    assert plan[-1] is task
    for lesson in plan:
        assert len({*lesson.strings}) == len(lesson.strings) or lesson is task
        for string, due in zip(lesson.strings, lesson.due, strict=True):
            assert [left for left, _ in due] == [parity(string[: i + 1]) for i in range(len(string))]
            assert any(each.startswith(string) for each in task.strings)


def test_a_teacher_has_no_lessons_but_the_task():
    task = dmm.Task(["test string."])
    assert curriculum.lessons(task) == [task]


def test_a_step_is_never_longer_than_the_clipped_gradient_allows():
    """Without moments, the weights would move by the learning rate at most, in every one of the steps."""

    class Plain(Adam):
        def update(self, weights, gradient):
            self.steps += 1
            lengths.append(float(np.sqrt((gradient**2).sum())))
            return weights - 1e-3 * gradient

    lengths = []
    pupil = curriculum.Pupil(MACHINE.with_vector(MACHINE.vector() * 1.4), Objective, (), Plain())
    pupil.study(parity_task())
    pupil.train(lambda loss: 0.0)
    assert max(lengths) <= 1.0 + 1e-9 and max(lengths) > 0.5


def test_pressing_takes_back_what_costs_too_much():
    pupil = curriculum.Pupil(MACHINE.with_vector(MACHINE.vector() * 0.99), Objective, ())
    nothing = pupil.study(parity_task())
    losses = [loss for _, loss in curriculum.press(pupil, 0.03 * nothing, 20, 0.3)]
    assert all(loss <= 0.03 * nothing for loss in losses)
    assert Objective(pupil.machine, parity_task()).data_loss(pupil.machine.vector()) <= 0.03 * nothing
    assert pupil.adam.learning_rate == curriculum.RATE


def test_a_gradient_finds_the_weights_of_a_loop():
    blank = MACHINE.with_vector(np.zeros(len(MACHINE.links)))
    result = dmm.synthesize(parity_task(), seed=0, architecture=blank, attempts=1, progress=False)
    assert dmm.verify(result.machine, parity, task=parity_task(), count=100, longest=60).passed
    assert has_loop(result.machine) and dmm.formula(result.machine).loops
    assert "p[t]" in dmm.to_python(result.machine).splitlines()[2]
    assert len(result.machine.links) <= len(MACHINE.links)


def test_the_last_attempts_of_a_search_have_loops():
    from dmmlab.synthesis.attempts import UNLOOPED, Attempts

    layers, looped = feedforward(1, 1, ["norm"]), feedforward(1, 1, ["compare"], loops=["compare"])
    search = Attempts(parity_task(4, 3), 0, layers, "full", frozenset(), "magnitude", False, looped)
    for number, kinds in ((UNLOOPED - 1, "norm"), (UNLOOPED, "compare")):
        _, machine, _, _ = next(search.rounds(number))
        assert {*machine.neurons.values()} <= {*dmm.machines.SOURCES.values(), "output", kinds}
