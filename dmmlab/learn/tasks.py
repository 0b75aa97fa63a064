"""Tasks: streams fed at some speed, and the answers that are due: a teacher machine's, or those of examples."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from dmmlab.builders import handcrafted_detector
from dmmlab.engine import Engine
from dmmlab.files import DMMError, check_int, errors_at
from dmmlab.inputs import Inputs, Text, value_of
from dmmlab.learn.due import Due, load_examples, read_due
from dmmlab.machines import DOT_CLIP, NO_CLIP, Machine

MOST_LATENCY = 40  # ticks, where any latency is right
RIGHT = 1e-6  # largest error of an answer that is called right


@dataclass(frozen=True)
class Task(Inputs):
    """Answer on these strings as the teacher does, at every tick; or as examples say, where an answer is due.
    See `Inputs` for strings, ticks and speeds, and `from_examples` for tasks without a teacher, which have in `due` the
    answers to each step of each string and in `latency` how many ticks after the step they are due.

    >>> dmm.Task(["aa.", "b"]).ticks
    (50, 30)
    """

    teacher: Machine | None = field(default_factory=handcrafted_detector)
    due: tuple[Due, ...] | None = field(default=None, kw_only=True)
    latency: int = field(default=0, kw_only=True)
    any_latency: bool = field(default=False, kw_only=True)
    dot_clip: float = field(default=DOT_CLIP, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.teacher, Machine):
            vars(self).update(dot_clip=self.teacher.dot_clip)
        elif self.due is None:
            raise DMMError(f"teacher is {self.teacher!r}; give a Machine, or use Task.from_examples")

    @classmethod
    def from_examples(
        cls,
        inputs: Sequence,
        targets: Sequence,
        ticks_per_step: int | Sequence[int] = 8,
        latency: int | str | None = None,
        dot_clip: float | None = None,
    ) -> Task:
        """A task without a teacher: inputs, and the answers that are due. Nothing comes after the end of an input.
        Raises DMMError that names the example and what is wrong with it.

        Args:
            inputs: streams: strings, or lists of words, numbers, dicts (see `Inputs`).
            targets: for each input a list with an answer for each step, or one answer for the end. An answer is a
                number (left), a pair (left, right), or None where none is asked, alone or in a pair.
            ticks_per_step: the speed; of several each input is run at each.
            latency: an answer is due so many ticks after its step was emitted; None: the tick before the next step at
                the fastest speed, but five at least; "any": whatever a machine takes, the same for all steps.
            dot_clip: the bound of what dot neurons emit; None for none.

        >>> task = dmm.Task.from_examples(["aab", "b"], [[1, 2, 2], 0])
        >>> task.latency, [int(tick) for tick in np.flatnonzero(task.asked[1, :, 0])]
        (7, [7])
        """
        speeds = [ticks_per_step] if isinstance(ticks_per_step, int) else [*ticks_per_step]
        speeds = [check_int("ticks_per_step", speed) for speed in speeds]
        any_latency = latency == "any"
        latency = max(min(speeds) - 1, 5) if latency is None or any_latency else check_int("latency", latency, 0)
        if len(inputs) != len(targets):
            raise DMMError(f"{len(inputs)} inputs and {len(targets)} targets; give as many of one as of the other")
        strings = Inputs([*inputs]).strings
        due = []
        for number, (string, target) in enumerate(zip(strings, targets, strict=True), 1):
            with errors_at(f"example {number}"):
                due.append(read_due(len(string), target))
        each = [speed for speed in speeds for _ in strings]
        strings = [*strings] * len(speeds)
        clip = NO_CLIP if dot_clip is None else dot_clip
        every = {"after_end": "nothing", "latency": latency, "any_latency": any_latency, "dot_clip": clip}
        return cls(strings, ticks_until_due(strings, each, latency), each, None, due=tuple(due * len(speeds)), **every)

    @classmethod
    def load(cls, path: str | os.PathLike, **options: Any) -> Task:
        """A task from a file of examples, CSV or JSON (see `load_examples`); options as for `from_examples`.
        Raises DMMError that names file, row and column.

        >>> _ = dmm.write_json("examples.json", [{"input": "aab", "target": [1, 2, 2]}])
        >>> dmm.Task.load("examples.json", ticks_per_step=[8, 11]).strings
        ('aab', 'aab')
        """
        return cls.from_examples(*load_examples(path), **options)

    @cached_property
    def targets(self) -> np.ndarray:
        """The answers wanted, (strings, ticks of the longest, 2): the teacher's, or not a number where none is due."""
        if self.due is None:
            return Engine(self.teacher, self).answers(self.teacher.vector())
        targets = np.full((len(self.strings), max(self.ticks), 2), np.nan)
        for i, (answers, speed) in enumerate(zip(self.due, self.ticks_per_character, strict=True)):
            targets[i, self.latency : self.latency + len(answers) * speed : speed] = answers
        return targets

    @cached_property
    def asked(self) -> np.ndarray:
        """Where an answer is wanted, (strings, ticks of the longest, 2)."""
        return (self.valid_ticks > 0) & ~np.isnan(self.targets)

    def predict(self, machine: Machine, inputs: Sequence[Text], ticks_per_step: int | None = None) -> list[np.ndarray]:
        """A machine's answers when they are due: for each input an array (steps, 2) of left and right.

        >>> task = dmm.Task.from_examples(["ab"], [[0, 1]])
        >>> task.predict(dmm.handcrafted_detector(), ["aab."])[0].tolist()
        [[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]
        """
        if self.any_latency:
            return self.settled(machine).predict(machine, inputs, ticks_per_step)
        speed = min(self.ticks_per_character) if ticks_per_step is None else check_int("ticks_per_step", ticks_per_step)
        strings = Inputs([*inputs]).strings
        ticks = ticks_until_due(strings, [speed] * len(strings), self.latency)
        answers = Engine(machine, Inputs(strings, ticks, speed, after_end=self.after_end)).answers(machine.vector())
        return [
            row[self.latency : self.latency + len(string) * speed : speed]
            for row, string in zip(answers, strings, strict=True)
        ]

    def settled(self, machine: Machine) -> Task:
        """The task with the latency that a machine has, where any is right: the smallest at which its answers to the
        strings are, or else the one at which they are the least wrong.

        >>> task = dmm.Task.from_examples([[1.0, 2.0]], [[1, 2]], ticks_per_step=1, latency="any")
        >>> task.settled(dmm.write_program("output.dict-1 <- input.char").reading_values()).latency
        1
        """
        if not self.any_latency:
            return self
        last = MOST_LATENCY + 1
        ticks = ticks_until_due(self.strings, self.ticks_per_character, last)
        with np.errstate(all="ignore"):
            answers = Engine(machine, replace(self, ticks=ticks)).answers(machine.vector())
        wrong = np.zeros(last)
        for row, due, speed in zip(answers, self.due or (), self.ticks_per_character, strict=True):
            for latency in range(last):
                errors = np.abs(row[latency : latency + len(due) * speed : speed] - due)
                wrong[latency] = max(wrong[latency], np.nanmax(np.nan_to_num(errors, posinf=np.inf), initial=0.0))
        right = np.flatnonzero(wrong < RIGHT)
        return self.after(int(right[0] if len(right) else np.argmin(wrong)))

    def after(self, latency: int) -> Task:
        """The same task, with answers due so many ticks after their steps."""
        ticks = ticks_until_due(self.strings, self.ticks_per_character, latency)
        return replace(self, latency=latency, any_latency=False, ticks=ticks)

    def describe(self) -> list:
        """Everything that tells it from another task, as plain data."""
        steps = [
            [step if isinstance(step, str) else value_of(step).to_dict() for step in string] for string in self.strings
        ]
        answers = self.teacher.to_dict() if self.due is None else [repr(self.due), self.latency, self.dot_clip]
        return [answers, steps, self.ticks, self.ticks_per_character, self.after_end]

    def with_example(self, string: Text, function: Callable[[Text], Any]) -> Task:
        """The same task and one string more, at all its speeds, with a function's answers to the steps so far."""
        answers = read_due(len(string), [function(string[: i + 1]) for i in range(len(string))])
        speeds = sorted({*self.ticks_per_character})
        strings = [*self.strings, *[string] * len(speeds)]
        return self.on(strings, [*self.ticks_per_character, *speeds], (*self.due, *[answers] * len(speeds)))

    def on(self, strings: Sequence[Text], speeds: Sequence[int], due: Sequence[Due]) -> Task:
        """The same kind of task on other strings, each at its speed, with the answers to their steps."""
        ticks = ticks_until_due(strings, speeds, self.latency)
        return replace(self, strings=strings, ticks=ticks, ticks_per_character=speeds, teacher=None, due=tuple(due))

    def only(self, chosen: Sequence[int]) -> Task:
        """The same task on some of its strings, by their numbers from 0."""
        parts = {name: [getattr(self, name)[i] for i in chosen] for name in ("strings", "ticks", "ticks_per_character")}
        return replace(self, **parts, due=self.due and tuple(self.due[i] for i in chosen))


def ticks_until_due(strings: Sequence[Text], speeds: Sequence[int], latency: int) -> list[int]:
    """How many ticks each string runs, at its speed, until the answer to its last step is due."""
    return [(len(string) - 1) * speed + 1 + latency for string, speed in zip(strings, speeds, strict=True)]
