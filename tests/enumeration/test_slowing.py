"""Programs for one step a tick, slowed down: the same answers, some ticks apart."""

import numpy as np
import pytest

import dmmlab as dmm
from dmmlab.enumeration.programs import find_programs
from dmmlab.enumeration.slowing import slow_down
from dmmlab.enumeration.steps import Steps
from dmmlab.examples.ladder import LADDER, ladder_task


def decayed(x):
    return sum(each / 2**age for age, each in enumerate(reversed(x)))


def switched(x):
    on = 0.0
    for each in x:
        on = 1.0 if each > 3 else 0.0 if each < -3 else on
    return on


FUNCTIONS = {
    "mean of the last 4": lambda x: sum(x[-4:]) / 4,
    "largest of the last 3": lambda x: max([0.0, 0.0, *x][-3:]),
    "smallest of the last 5": lambda x: min([0.0, 0.0, 0.0, 0.0, *x][-5:]),
    "jump": lambda x: float(abs(x[-1] - [0.0, *x][-2]) > 2),
    "decay": decayed,
    "switch": switched,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_streams_do_is_found_at_slow_speeds(name):
    rng, function = np.random.default_rng(0), FUNCTIONS[name]
    numbers = [rng.integers(-6, 7, n).astype(float).tolist() for n in rng.integers(1, 13, 20)]
    task = dmm.Task.from_examples(numbers, [[function(x[: i + 1]) for i in range(len(x))] for x in numbers])
    assert task.ticks_per_character[0] == 8
    found = dmm.verify(find_programs(task)[0], function, task=task, count=150, longest=60)
    assert found.passed, str(found)


@pytest.mark.parametrize(
    "name", ["sum last 5", "binary addition", "newton spring", "max seen", "previous equals current"]
)
@pytest.mark.parametrize("speed", [2, 5])
def test_slowed_programs_answer_as_before(name, speed):
    task, rung, rng = ladder_task(name, 20, 0, 12), LADDER[name], np.random.default_rng(1)
    program = find_programs(task)[0]
    inputs = [rung.draw(rng, int(n)) for n in rng.integers(1, 40, 20)]
    settled = task.settled(program)
    slow = dmm.Task.from_examples(inputs, [None] * len(inputs), speed, latency="any")
    for due in (None, speed * settled.latency + 3):
        slowed = slow_down(program, settled.latency, Steps(slow), due)
        before = settled.predict(program, inputs)
        latencies = range(1, speed * settled.latency + 1) if due is None else [due]
        assert any(
            all(
                np.allclose(x, y, atol=1e-9) for x, y in zip(slow.after(n).predict(slowed, inputs), before, strict=True)
            )
            for n in latencies
        )


def test_no_program_answers_before_its_neurons_can():
    task = dmm.Task.from_examples(["aab"], [[1, 2, 2]], 4)
    program = dmm.write_program(
        "dot-1.dict-1 <- input.char\ndot-1.dict-2 <- letter-a.char\n"
        "accum-1.dict-2 <- dot-1.dot\noutput.dict-1 <- accum-1.dict"
    )
    assert slow_down(program, 3, Steps(task), 2) is None
    slowed = slow_down(program, 3, Steps(task), 3)
    assert task.after(3).predict(slowed, ["aabaa"])[0][:, 0].tolist() == [1, 2, 2, 3, 4]
