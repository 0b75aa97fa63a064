"""From everything to everything: what learning needs where nothing remembers by itself, and all may read all.

Of the thousand links of such a machine that can matter, those by which accumulators keep what they have begin at 1, as
the identity does in the recurrent networks of Le, Jaitly & Hinton (arXiv:1504.00941). They are trained as others are,
but not pulled to zero. And a teacher can be asked at any speed. The faster a string is fed, the fewer ticks there are
for loops to explode in, and the more it costs to be a tick late: at ten ticks a character that is a small loss, at
which learning may rest.
"""

from __future__ import annotations

from dataclasses import replace

from dmmlab.learn.tasks import Task
from dmmlab.machines import Machine
from dmmlab.neurons import find_kind

FAST = (1, 3)  # ticks a character


def memory_links(machine: Machine) -> frozenset[str]:
    """The names of the trainable links by which neurons whose kind remembers keep what they have.

    >>> len(memory_links(dmm.recurrent(5))), len(memory_links(dmm.feedforward()))
    (5, 0)
    """
    return frozenset(
        str(link)
        for link in machine.links
        if link.from_neuron == link.to_neuron
        and link.to_field == find_kind(machine.neurons[link.to_neuron]).memory
        and link.from_field in (find_kind(machine.neurons[link.to_neuron]).outputs or ())
    )


def at_several_speeds(task: Task) -> Task:
    """A teacher's task with its strings at their own speeds and at one and three ticks a character too; a task of
    examples as it is, for nobody knows its answers at other speeds.

    >>> at_several_speeds(dmm.Task(["aa", "b"], ticks_per_character=10)).ticks_per_character
    (1, 1, 3, 3, 10, 10)
    """
    if task.teacher is None:
        return task
    own = zip(task.strings, task.ticks, task.ticks_per_character, strict=True)
    fast = [(string, len(string) * speed + 20, speed) for speed in FAST for string in task.strings]
    strings, ticks, speeds = zip(*dict.fromkeys([*fast, *own]), strict=True)  # each once, in this order
    return replace(task, strings=strings, ticks=ticks, ticks_per_character=speeds)
