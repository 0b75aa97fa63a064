"""Curriculum: how a machine that may read back learns.

In loops gradients explode, and what a long string asks for shows only to one who knows what short ones ask for. So all
strings are cut to three steps first; when these are learned, to four, six, nine, and so on. The gradient is clipped.
When a length is learned, links are pulled to zero as strongly as can be without forgetting: rounds after which the loss
is too high are taken back, and the pull is weaker after that. What is left for short strings in few links is likely to
be right for longer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

import numpy as np

from dmmlab.engine.sums import total
from dmmlab.files import DMMError
from dmmlab.learn.objective import Objective
from dmmlab.learn.tasks import Task
from dmmlab.learn.training import Adam
from dmmlab.machines import Machine
from dmmlab.synthesis.liveness import remove_dead

SCALE = 0.1  # deviation of the random weights
RATE, LONGEST_GRADIENT = 0.01, 1.0  # of Adam; a gradient is not longer than that
SHORTEST, LONGER = 3, 1.5  # steps of strings at first, and how much longer they become
ROUND, LEARN = 50, 500  # steps a round; steps a length may take to be learned, or twice as many for the last
LEARNED, KEPT, HOPELESS = 0.01, 0.03, 0.3  # shares of the loss of a machine that answers nothing
WEAK, FIRST, EARLY, STRONG = 0.01, 0.1, 0.15, 0.3  # shares of a step of Adam that pull to zero
ROUNDS, LAST_ROUNDS, IDLE = 10, 60, 15  # rounds of pulling, for a length, for the last; without a link less

Array = np.ndarray
Round = tuple[Machine, float]


@dataclass
class Pupil:
    """A machine that learns from a task, whose objective is made anew when links go."""

    machine: Machine
    make: Callable[[Machine, Task], Objective]
    keep: Collection[str]
    adam: Adam = field(default_factory=lambda: Adam(RATE))

    def study(self, task: Task) -> float:
        """Take a task to learn from. Returns the loss of a machine that answers nothing."""
        self.objective = self.make(self.machine, task)
        self.free = np.array([link not in self.keep for link in self.objective.links], float)
        return float(self.objective.data_loss(np.zeros(len(self.objective.links))))

    def train(self, pull: Callable[[float], float]) -> float:
        """A round of steps; `pull` says for a loss how strongly weights are pulled to zero. Returns the loss."""
        weights = self.machine.vector()
        for _ in range(ROUND):
            loss, _, gradient = self.objective.losses_and_grad(weights)
            length = float(np.sqrt(total(gradient * gradient)))
            if not np.isfinite(length):
                raise DMMError(f"step {self.adam.steps + 1}: the gradient is not finite")
            weights = self.adam.update(weights, gradient / max(1.0, length / LONGEST_GRADIENT))
            most = self.adam.learning_rate * pull(loss) * self.free
            weights = np.sign(weights) * np.maximum(np.abs(weights) - most, 0.0)
        self.machine = self.machine.with_vector(weights)
        return float(self.objective.data_loss(weights))

    def tidy(self) -> None:
        """Drop dead links."""
        before, self.machine = self.objective.links, remove_dead(self.machine)
        if len(self.machine.links) < len(before):
            kept = np.isin(before, [str(link) for link in self.machine.links])
            self.adam.mean, self.adam.variance = self.adam.mean[kept], self.adam.variance[kept]
            self.study(self.objective.task)


def lessons(task: Task) -> list[Task]:
    """The task on ever longer beginnings of its strings, each beginning once; the last is the task itself."""
    found, length, longest = [], float(SHORTEST), max(map(len, task.strings))
    while task.due is not None and int(length) < longest:
        rows = zip(task.strings, task.ticks_per_character, task.due, strict=True)
        cut = {(string[: int(length)], speed): due[: int(length)] for string, speed, due in rows}
        found.append(task.on([string for string, _ in cut], [speed for _, speed in cut], [*cut.values()]))
        length *= LONGER
    return [*found, task]


def learn(
    machine: Machine, task: Task, make: Callable[[Machine, Task], Objective], keep: Collection[str]
) -> Iterator[Round]:
    """The machine and its data loss after every round; an infinite loss, and the end, if it diverges or is hopeless.
    `make` gives the objective of a machine on a task; links named in `keep` are not pulled.
    """
    pupil = Pupil(machine, make, keep)
    plan = lessons(task)
    try:
        for number, lesson in enumerate(plan, 1):
            last = number == len(plan)
            nothing = pupil.study(lesson)
            for _ in range(LEARN * (1 + last) // ROUND):
                loss = pupil.train(lambda loss: WEAK * (loss < 0.5 * nothing))  # noqa: B023
                yield pupil.machine, loss
                if loss <= LEARNED * nothing:
                    break
            pupil.tidy()
            if loss > HOPELESS * nothing:
                break
            if loss <= KEPT * nothing:
                yield from press(pupil, KEPT * nothing, LAST_ROUNDS if last else ROUNDS, STRONG if last else EARLY)
    except DMMError:
        yield pupil.machine, np.inf


def press(pupil: Pupil, kept: float, rounds: int, strongest: float) -> Iterator[Round]:
    """Pull links to zero while the loss is at most `kept`; rounds after which it is more are taken back."""
    pull, rate, idle = FIRST, pupil.adam.learning_rate, 0
    for _ in range(rounds):
        adam, machine = pupil.adam, pupil.machine
        before = adam.mean, adam.variance, adam.steps
        loss = pupil.train(lambda _: pull)  # noqa: B023
        if loss <= kept:
            pupil.tidy()
            yield pupil.machine, loss
            pull = min(strongest, 1.5 * pull)
        else:
            (adam.mean, adam.variance, adam.steps), pupil.machine = before, machine
            pull, adam.learning_rate = pull / 2.0, 0.7 * adam.learning_rate
        idle = 0 if len(pupil.machine.links) < len(machine.links) else idle + 1
        if idle > IDLE or pull < 0.01 * FIRST:
            break
    pupil.adam.learning_rate = rate
