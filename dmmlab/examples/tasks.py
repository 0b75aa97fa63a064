"""A registry of tasks, and the six that come with the lab: strings to learn from, and a teacher."""

from __future__ import annotations

from collections.abc import Callable

from dmmlab.builders import handcrafted_detector, write_program
from dmmlab.files import DMMError
from dmmlab.learn.tasks import Task
from dmmlab.machines import Machine

TASKS: dict[str, Callable[[], Task]] = {}
"""The registered tasks: name → function that builds the task.

>>> [*dmm.TASKS][:3]
['duplicates', 'lead', 'balance']
"""


def task(name: str, *strings: str | tuple[str, ...]) -> Callable[[Callable[[], Machine]], Callable[[], Machine]]:
    """Decorator that registers a task: the strings to learn from, and a function that returns the teacher.
    A name that is registered already stands for the new task then. Raises DMMError for no strings.

    >>> @dmm.task("duplicates in short strings", "aa.", "..b", "abab")
    ... def teacher(): return dmm.handcrafted_detector()
    """
    if not strings:
        raise DMMError(f"task {name!r} has no strings; give at least one")

    def register(teacher: Callable[[], Machine]) -> Callable[[], Machine]:
        TASKS[name] = lambda: Task(strings, teacher=teacher())
        return teacher

    return register


def find_task(name: str) -> Task:
    """The registered task of that name. Raises DMMError that lists the names there are.

    >>> dmm.find_task("balance").strings
    ('abba', 'aabab', 'cab bac', 'bbbbbba')
    """
    if not isinstance(name, str) or name not in TASKS:
        raise DMMError(f"there is no task {name!r}; the tasks are {', '.join(TASKS)}")
    return TASKS[name]()


@task("duplicates", "test string.", "hello. all.", "abcab.", "zz.zzz.")
def _duplicates() -> Machine:
    """Left: how often the commonest character came beyond the first time; right: how many '.', at most 4."""
    return handcrafted_detector()


@task("lead", "a.b.c.ddd", "..xyxxx.", "hello. all.", "zz.zzz.")
def _lead() -> Machine:
    """Left: by how much the commonest character is ahead of the first four '.'; right: how many '.', at most 4."""
    return write_program("""
        accum.dict-2 <- input.char
        norm.dict <- accum.dict
        dot.dict-1 <- accum.dict
        dot.dict-2 <- eos.char
        compare.dict-1 <- norm.norm
        compare.dict-2 <- dot.dot
        output.dict-1 <- compare.true
        output.dict-2 <- dot.dot
    """)


@task("balance", "abba", "aabab", "cab bac", "bbbbbba")
def _balance() -> Machine:
    """Left: by how much 'a' is ahead of 'b'; right: by how much 'b' is ahead of 'a', at most 4. Both 0: as frequent."""
    return write_program("""
        accum.dict-2 <- input.char
        dot.dict-1 <- accum.dict
        dot.dict-2 <- letter-a.char
        dot.dict-2 <- -1 letter-b.char
        compare.dict-1 <- dot.dot
        output.dict-1 <- compare.true
        output.dict-2 <- compare.false
    """)


@task("letters", "banana.", "cat. a hat.", "xyz", "a.a.b")
def _letters() -> Machine:
    """Left: how many 'a'; right: how many '.'; both at most 4."""
    return write_program("""
        accum.dict-2 <- input.char
        dot-1.dict-1 <- accum.dict
        dot-1.dict-2 <- letter-a.char
        dot-2.dict-1 <- accum.dict
        dot-2.dict-2 <- eos.char
        output.dict-1 <- dot-1.dot
        output.dict-2 <- dot-2.dot
    """)


@task("length", "test string.", "hello. all.", "a", "zz.zzz.")
def _length() -> Machine:
    """Left: how many characters came; right: how many of them were '.', at most 4."""
    return write_program("""
        norm.dict <- input.char
        accum-1.dict-2 <- norm.norm
        accum-2.dict-2 <- input.char
        dot.dict-1 <- accum-2.dict
        dot.dict-2 <- eos.char
        output.dict-1 <- accum-1.dict
        output.dict-2 <- dot.dot
    """)


@task(
    "repeated word",
    ("the", "cat", "and", "the", "dog", "."),
    ("one", ".", "one", "one", "two", "two"),
    ("so", "it", "goes", "."),
    ("a", "b", "a", "b", "a", "b", "a"),
)
def _repeated_word() -> Machine:
    """On streams of words. Left: 1 as soon as any word came twice, else 0; right: how many '.', at most 4."""
    return write_program("""
        accum.dict-2 <- input.char
        norm.dict <- accum.dict
        compare-1.dict-1 <- norm.norm
        compare-1.dict-2 <- const_1.const_1
        compare-2.dict-1 <- norm.norm
        compare-2.dict-2 <- 2 const_1.const_1
        dot.dict-1 <- accum.dict
        dot.dict-2 <- eos.char
        output.dict-1 <- compare-1.true
        output.dict-1 <- -1 compare-2.true
        output.dict-2 <- dot.dot
    """)
