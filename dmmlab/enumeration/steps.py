"""Steps: all steps of a task's strings, one after another, as arrays: what can be read, and what is due."""

from __future__ import annotations

import numpy as np

from dmmlab.engine.layout import Key, parts_of
from dmmlab.learn.tasks import Task
from dmmlab.trees import NUMBER

Array = np.ndarray
Lookup = tuple[tuple[str, float], ...]  # words, or ':number', with the weights with which a stream is read


class Steps:
    """The steps of a task of examples. `read` says for every key how much of it each step has, (steps,)."""

    def __init__(self, task: Task) -> None:
        lengths = [len(string) for string in task.strings]
        self.begins = np.cumsum([0, *lengths[:-1]])
        self.first_steps = {*self.begins.tolist()}
        self.string_of = np.repeat(np.arange(len(lengths)), lengths)
        self.answers = np.concatenate([np.array(each) for each in task.due])
        self.latency, self.dot_clip, speeds = task.latency, task.dot_clip, {*task.ticks_per_character}
        self.speed = speeds.pop() if len(speeds) == 1 else None  # of the only speed there is
        steps = [step for stream, n in zip(task.streams, lengths, strict=True) for step in stream[:n]]
        keys = sorted({key for step in steps for key, _ in parts_of(step)}, key=str)
        self.read: dict[Key, Array] = {
            key: np.array([dict(parts_of(step)).get(key, 0.0) for step in steps]) for key in keys
        }
        self.words = [key for key in keys if isinstance(key, str)]
        numbers = np.array([float(step) for step in steps])
        if numbers.any():
            self.read[NUMBER] = numbers
        self.stream = np.vstack([*self.read.values(), np.zeros(len(steps))])
        self.numbers_alone = {*self.read} == {NUMBER}  # then the input is read without a dot
        self.symbolic = bool(self.words) and all({*row} <= {0.0, 1.0} for row in self.read.values())

    def __len__(self) -> int:
        return len(self.string_of)

    def dot(self, values: Array) -> Array:
        """What dot neurons emit of such products."""
        return np.clip(values, -self.dot_clip, self.dot_clip)

    def look_up(self, lookup: Lookup) -> Array:
        """What a dot of the input with such weights emits, (steps,)."""
        return self.dot(sum((weight * self.read[word] for word, weight in lookup), np.zeros(len(self))))

    def wanted(self, side: int) -> tuple[Array, Array]:
        """The steps whose answers are due at a side, and these answers."""
        asked = np.flatnonzero(~np.isnan(self.answers[:, side]))
        return asked, self.answers[asked, side]

    def sums(self, values: Array) -> Array:
        """Running sums, which begin anew with each string, of the same shape."""
        total = np.cumsum(values, axis=1)
        before = total[:, self.begins] - values[:, self.begins]
        return total - before[:, self.string_of]

    def before(self, values: Array, starts: Array | float = 0.0) -> Array:
        """What was there one step earlier, and at first the start."""
        earlier = np.roll(values, 1, axis=1)
        earlier[:, self.begins] = starts
        return earlier
