"""Tasks: strings fed at some speed, and a teacher machine whose answers are the targets; a registry of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from dmmlab.builders import handcrafted_detector
from dmmlab.engine import Engine
from dmmlab.machines import Machine


@dataclass(frozen=True)
class Task:
    """Answer on these strings as the teacher does.
    `ticks` (None: characters × speed + 20) and `ticks_per_character` are one number or one a string, kept as tuples. A
    string may be a tuple of words. Raises DMMError for no strings, one without characters, ticks or speeds below 1.

    >>> dmm.Task(["aa.", "b"]).ticks
    (50, 30)
    """

    strings: Sequence[str]
    ticks: int | Sequence[int] | None = None
    ticks_per_character: int | Sequence[int] = 10
    teacher: Machine = field(default_factory=handcrafted_detector)

    def __post_init__(self) -> None:
        compiled = self.compile(self.teacher)
        for name in ("strings", "ticks", "ticks_per_character"):
            object.__setattr__(self, name, getattr(compiled, name))

    def compile(self, machine: Machine, dtype: type = np.float64) -> Engine:
        """A machine compiled for the strings of this task."""
        return Engine(machine, self.strings, self.ticks, self.ticks_per_character, dtype)

    @cached_property
    def targets(self) -> np.ndarray:
        """The teacher's answers, (strings, ticks of the longest, 2)."""
        return self.compile(self.teacher).answers(self.teacher.vector())

    @cached_property
    def counted(self) -> np.ndarray:
        """1 for the ticks that belong to a string, 0 after its end, (strings, ticks of the longest, 1)."""
        ticks = np.arange(max(self.ticks))
        return (ticks < np.array(self.ticks)[:, None])[..., None].astype(float)


# ---- the registry ----
