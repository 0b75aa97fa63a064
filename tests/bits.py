"""What the engine computes, as hashes, step by step: `python tests/bits.py` prints them as JSON.

`tests/test_bits.py` runs this for several kinds of processors and compares with `expected-bits.json`. After a change
that is meant to change them: `python tests/bits.py > tests/expected-bits.json`.
"""

import hashlib
import json
import sys

import numpy as np

import dmmlab as dmm


def bits(*arrays):
    """Eight hexadecimal digits that follow from every bit of some arrays."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()[:8]


def training():
    """200 steps of run-3: the losses before each step, and the last weights."""
    machine = dmm.initialize(dmm.feedforward(5, 2), scale=0.01, seed=123)
    objective = dmm.Objective(machine, dmm.Task(["test string."], ticks=140), l1=0.001, memory_gradient="truncated")
    result = dmm.train(objective, steps=200, learning_rate=1e-3, progress=False)
    return [*(bits(np.array(row.tolist())) for row in result.history), bits(result.machine.vector())]


def synthesis():
    """One attempt from four strings: the machine after each round."""
    found = []

    def keep(entry, machine):
        found.append(bits(machine.vector()))

    dmm.synthesize(dmm.find_task("duplicates"), seed=2, attempts=1, progress=False, on_round=keep)
    return found


def evolution():
    """Ten steps with a population of 40: the losses before each step, and the last weights."""
    machine = dmm.initialize(dmm.feedforward(3, 2), scale=0.1, seed=1)
    objective = dmm.Objective(machine, dmm.Task(["test string.", "zz.zzz."], ticks_per_character=4), l1=0.001)
    result = dmm.evolve(objective, steps=10, population=40, progress=False)
    return [*(bits(np.array(row.tolist())) for row in result.history), bits(result.machine.vector())]


def windows():
    """A long run with loops, cut into windows: its answers and its gradient."""
    machine = dmm.initialize(dmm.recurrent(2), scale=0.05, seed=1)
    engine = dmm.Engine(machine, dmm.Inputs("test string.", 1500), memory=0.5)
    answers = engine.answers(machine.vector())
    assert engine.segments(0) > 2
    return [bits(answers), bits(engine.pull(machine.vector(), np.cos(np.arange(answers.size)).reshape(answers.shape)))]


RUNS = {"training": training, "synthesis": synthesis, "evolution": evolution, "windows": windows}

if __name__ == "__main__":
    json.dump({name: run() for name, run in RUNS.items()}, sys.stdout, indent=1)
    print()
