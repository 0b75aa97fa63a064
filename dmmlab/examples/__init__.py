"""Examples: tasks with their teachers, the ladder of tasks that others published, programs that rewrite themselves."""

from dmmlab.examples.ladder import LADDER, Rung, ladder_task
from dmmlab.examples.programs import PROGRAMS, Program, automaton
from dmmlab.examples.tasks import TASKS, find_task, task

__all__ = ["LADDER", "PROGRAMS", "Program", "Rung", "TASKS", "automaton", "find_task", "ladder_task", "task"]
