"""Tasks: strings fed at some speed, and a teacher machine whose answers are the targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from dmmlab.builders import handcrafted_detector
from dmmlab.engine import Engine
from dmmlab.inputs import Inputs
from dmmlab.machines import Machine


@dataclass(frozen=True)
class Task(Inputs):
    """Answer on these strings as the teacher does; see `Inputs` for strings, ticks and speeds.

    >>> dmm.Task(["aa.", "b"]).ticks
    (50, 30)
    """

    teacher: Machine = field(default_factory=handcrafted_detector)

    @cached_property
    def targets(self) -> np.ndarray:
        """The teacher's answers, (strings, ticks of the longest, 2)."""
        return Engine(self.teacher, self).answers(self.teacher.vector())
