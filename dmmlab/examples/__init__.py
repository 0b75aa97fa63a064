"""Examples: a registry of tasks with their teachers, and programs that rewrite themselves."""

from dmmlab.examples.programs import PROGRAMS, Program, automaton
from dmmlab.examples.tasks import TASKS, find_task, task

__all__ = ["PROGRAMS", "Program", "TASKS", "automaton", "find_task", "task"]
