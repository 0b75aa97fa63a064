"""Tasks: what strings, ticks and speeds mean, and the teacher's targets."""

import numpy as np
import pytest

from dmmlab.engine import answers
from dmmlab.files import DMMError
from dmmlab.machines import handcrafted_detector
from dmmlab.tasks import Task


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
    assert task.counted[..., 0].sum(axis=1).tolist() == [70, 30]


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
