"""From everything to everything: memories that are learned, and teachers that are asked at several speeds."""

from dataclasses import replace

import numpy as np

from dmmlab.builders import FIELDS, feedforward, recurrent, write_program
from dmmlab.learn.tasks import Task
from dmmlab.synthesis.attempts import Attempts
from dmmlab.synthesis.canonical_form import same_program
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.synthesis.memories import at_several_speeds, memory_links
from dmmlab.synthesis.rewiring import rewire
from dmmlab.synthesis.search import synthesize

COUNTER = write_program(
    """
    accum.dict-2 <- input.char
    dot.dict-1 <- accum.dict
    dot.dict-2 <- eos.char
    output.dict-2 <- dot.dot
    """
)
TASK = Task(["a.b.", "..."], ticks_per_character=4, teacher=COUNTER)


def test_only_links_from_an_accumulator_to_its_own_memory_are_memories():
    assert memory_links(recurrent(2)) == {f"accum-{n}.dict-1 <- accum-{n}.dict" for n in (1, 2)}
    assert not memory_links(feedforward())


def test_a_teacher_is_asked_at_more_speeds_and_examples_are_left_alone():
    wide = at_several_speeds(Task(["ab", "c"], ticks=[30, 9], ticks_per_character=[3, 7], teacher=COUNTER))
    assert wide.strings == ("ab", "c", "ab", "c", "ab", "c")
    assert wide.ticks_per_character == (1, 1, 3, 3, 3, 7)
    assert wide.ticks == (22, 21, 26, 23, 30, 9)
    assert at_several_speeds(wide) == wide
    examples = Task.from_examples(["ab"], [[0, 1]])
    assert at_several_speeds(examples) is examples


def test_an_attempt_begins_with_memories_of_one_and_nothing_dead():
    machine = recurrent(2)
    begin = Attempts(TASK, 0, machine, "full", frozenset(), "leave-one-out")._random_machine(0)
    assert begin.links == remove_dead(machine.with_vector(np.ones(len(machine.links)))).links
    memories = [str(link) in memory_links(machine) for link in begin.links]
    assert set(begin.vector()[memories]) == {1.0}
    assert np.abs(np.delete(begin.vector(), np.flatnonzero(memories))).max() < 0.1


def test_everything_connected_to_everything_becomes_the_teacher():
    found = synthesize(TASK, architecture=recurrent(1), progress=False)
    assert found.verification
    assert same_program(found.machine, COUNTER)
    assert found.machine.fixed["accum-1"]  # what was learned to be a memory


def test_rewiring_leaves_memories_alone_that_were_learned():
    detour = write_program(
        """
        accum-1.dict-2 <- input.char
        norm-1.dict <- input.char
        norm-2.dict <- input.char
        dot-1.dict-1 <- accum-1.dict
        dot-1.dict-2 <- eos.char
        output.dict-2 <- dot-1.dot
        output.dict-1 <- norm-1.norm
        output.dict-1 <- -1 norm-2.norm
        """
    )
    shorter = rewire(replace(detour, silent_fields=FIELDS), TASK, recurrent(2))
    assert same_program(shorter, COUNTER)
