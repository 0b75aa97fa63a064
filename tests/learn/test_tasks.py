"""Tasks: what strings, ticks and speeds mean, the teacher's targets, and a registry whose teachers do what they say."""

import numpy as np
import pytest
from conftest import refused

from dmmlab.builders import handcrafted_detector, write_program
from dmmlab.engine import run
from dmmlab.examples.tasks import TASKS, find_task, task
from dmmlab.files import DMMError
from dmmlab.interpreter import answers
from dmmlab.learn.tasks import Task


def test_ticks_and_speeds_are_one_a_string():
    task = Task(["test string.", "ab"], ticks_per_character=[10, 7])
    assert task.ticks == (140, 34)
    assert task.ticks_per_character == (10, 7)
    assert Task("ab").strings == ("ab",)
    assert Task(("ab", "c"), ticks=[5, 6]).ticks == (5, 6)


def test_targets_are_the_teachers_answers_and_only_a_strings_own_ticks_count():
    teacher = handcrafted_detector(dot_clip=1.0)
    task = Task(["aa..", "ab"], ticks=[70, 30], teacher=teacher)
    np.testing.assert_array_equal(task.targets[0], answers(teacher, "aa..", 70))
    np.testing.assert_array_equal(task.targets[1, :30], answers(teacher, "ab", 30))
    assert task.valid_ticks[..., 0].sum(axis=1).tolist() == [70, 30]


@pytest.mark.parametrize(
    ("strings", "options"),
    [
        ([], {}),
        (["ab", ""], {}),
        (["ab"], {"ticks": 0}),
        (["ab"], {"ticks": [3, 4]}),
        (["ab"], {"ticks_per_character": 0.5}),
        (7, {}),
        ([7], {}),
    ],
)
def test_bad_tasks_are_refused(strings, options):
    with pytest.raises(DMMError):
        Task(strings, **options)


# ---- the registry ----


def clip(x):
    return max(-4, min(4, x))


def commonest(seen):
    return max(map(seen.count, seen))


STATEMENTS = {  # what the teachers' docstrings say, of the characters or words that came so far
    "duplicates": lambda seen: (commonest(seen) - 1, clip(seen.count("."))),
    "lead": lambda seen: (commonest(seen) - clip(seen.count(".")), clip(seen.count("."))),
    "balance": lambda seen: (
        max(clip(seen.count("a") - seen.count("b")), 0),
        max(clip(seen.count("b") - seen.count("a")), 0),
    ),
    "letters": lambda seen: (clip(seen.count("a")), clip(seen.count("."))),
    "length": lambda seen: (len(seen), clip(seen.count("."))),
    "repeated word": lambda seen: (float(commonest(seen) >= 2), clip(seen.count("."))),
}


def assert_taught(name, text, speed):
    answers = run(find_task(name).teacher, text, None, speed)
    for i in range(1, len(text) + 1):
        assert tuple(answers[i * speed - 1]) == STATEMENTS[name](list(text[:i])), (text[:i], name)


def test_every_task_is_stated_here():
    assert set(STATEMENTS) == set(TASKS)


@pytest.mark.parametrize("name", STATEMENTS)
def test_teachers_do_what_their_docstrings_say(name):
    letters = ("a", "cat", "the", ".") if name == "repeated word" else "abab..c "
    for seed in range(20):
        rng = np.random.default_rng(seed)
        text = rng.choice(list(letters), rng.integers(1, 25)).tolist()
        assert_taught(name, tuple(text) if name == "repeated word" else "".join(text), int(rng.integers(6, 11)))


@pytest.mark.parametrize("name", STATEMENTS)
def test_teachers_do_so_on_their_own_strings(name):
    task = find_task(name)
    for text, speed in zip(task.strings, task.ticks_per_character, strict=True):
        assert_taught(name, text, speed)
    assert task.targets[..., 0].any() and task.targets[..., 1].any()


def test_tasks_are_found_by_name_and_made_anew():
    found = find_task("duplicates")
    assert found.strings == ("test string.", "hello. all.", "abcab.", "zz.zzz.")
    assert found.teacher == handcrafted_detector()
    assert found.ticks == (140, 130, 80, 90)
    assert find_task("duplicates") is not found
    assert find_task("repeated word").strings[0] == ("the", "cat", "and", "the", "dog", ".")


@pytest.mark.parametrize("name", ["", "duplicate", "Duplicates", "a\nb", None, 3], ids=str)
def test_a_task_that_there_is_not_is_refused_with_those_there_are(name):
    with refused(*TASKS):
        find_task(name)


def test_a_new_task_is_registered_in_a_few_lines():
    @task("any stop", "a.b", ("one", "."))
    def teacher():
        """Left: 1 while a '.' is read."""
        return write_program("dot.dict-1 <- input.char\ndot.dict-2 <- eos.char\noutput.dict-1 <- dot.dot")

    try:
        found = find_task("any stop")
        assert found.strings == ("a.b", ("one", "."))
        assert found.targets[0, :, 0].tolist() == [float(i == 12) for i in range(50)]
        assert teacher() == found.teacher
    finally:
        del TASKS["any stop"]
    with refused("any stop"):
        find_task("any stop")


# ---- words ----


def test_words_are_characters_of_any_length():
    words, teacher = ("to", "be", "or", "not", "to", "be", "."), handcrafted_detector()
    task = Task([words, "ab"], ticks_per_character=[5, 3], teacher=teacher)
    assert task.strings == (words, "ab")
    assert task.ticks == (55, 26)
    np.testing.assert_array_equal(task.targets[0], answers(teacher, words, 55, ticks_per_character=5))
    letters = "xyzuxy."  # one for each word
    np.testing.assert_array_equal(task.targets[0], answers(teacher, letters, 55, ticks_per_character=5))
    np.testing.assert_array_equal(Task([tuple("ab.a")]).targets, Task(["ab.a"]).targets)


@pytest.mark.parametrize("words", [(), ("a", ""), ("a", ":number"), ("a", None), (("a",),)], ids=str)
def test_tuples_that_are_no_steps_are_refused(words):
    with refused(repr(words)):
        Task([words])


def test_a_string_is_read_by_its_characters_even_if_it_spells_the_reserved_key():
    assert Task([":number"]).targets.tolist() == Task([tuple(":number")]).targets.tolist()
