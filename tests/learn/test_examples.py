"""Tasks from examples: which answers are due when, files of them, and what is wrong with those that are refused."""

import csv
import json
import random

import numpy as np
import pytest
from conftest import refused

import dmmlab as dmm
from dmmlab.learn.due import load_examples

DETECTOR = dmm.handcrafted_detector()


def test_answers_are_due_their_latency_after_each_step():
    task = dmm.Task.from_examples(["ab", "c"], [[1, None], 5], ticks_per_step=[8, 11])
    assert task.strings == ("ab", "c", "ab", "c")
    assert task.latency == 7
    assert task.ticks == (16, 8, 19, 8)
    assert [np.argwhere(each).tolist() for each in task.asked] == [[[7, 0]], [[7, 0]], [[7, 0]], [[7, 0]]]
    assert task.targets[1, 7, 0] == 5


def test_pairs_ask_for_both_sides_and_none_for_one():
    task = dmm.Task.from_examples([(1.0, 2.0)], [[(0, 1), (None, 3)]], ticks_per_step=4, latency=2)
    assert np.argwhere(task.asked[0]).tolist() == [[2, 0], [2, 1], [6, 1]]
    assert task.has_values


def test_only_answers_due_count_in_the_loss_and_its_gradient():
    task = dmm.Task.from_examples(["aab.", "zz"], [[0, 1, 1, 1], [(0, 0), (1, 0)]], ticks_per_step=[7, 10])
    objective = dmm.Objective(DETECTOR, task)
    assert objective.data_loss(np.ones(8)) == 0
    weights = np.linspace(0.5, 1.2, 8)
    wrong = task.asked * (np.nan_to_num(task.targets) - objective.engine.answers(weights))
    assert objective.data_loss(weights) == pytest.approx((wrong**2).sum() / len(task.strings))
    residuals = objective.residuals(weights)
    assert len(residuals) == task.asked.sum()
    assert (residuals**2).sum() == pytest.approx(objective.data_loss(weights))
    gradient = objective.value_and_grad(weights)[1]
    assert gradient == pytest.approx(2 * objective.jacobian(weights) @ residuals)


def test_no_clip_unless_one_is_asked_for():
    assert dmm.Task.from_examples(["a"], [1]).dot_clip > 1e300
    assert dmm.Task.from_examples(["a"], [1], dot_clip=4).dot_clip == 4
    assert dmm.Task(["a"], teacher=dmm.handcrafted_detector(9.0)).dot_clip == 9


def test_predictions_are_the_answers_when_they_are_due():
    task = dmm.Task.from_examples(["ab"], [[0, 1]], ticks_per_step=[6, 9])
    for speed in (None, 9, 20):
        found = task.predict(DETECTOR, ["aab.", "b"], speed)
        assert [each.tolist() for each in found] == [[[0, 0], [1, 0], [1, 0], [1, 1]], [[0, 0]]]


@pytest.mark.parametrize(
    ("inputs", "targets", "words"),
    [
        (["ab"], [[1]], ("example 1", "1 targets for 2 steps")),
        (["ab", "c"], [1, "x"], ("example 2", "'x' is no finite number")),
        (["ab"], [[1, (1, 2, 3)]], ("example 1: step 2", "a pair")),
        (["ab"], [1, 2], ("1 inputs and 2 targets",)),
        (["ab"], [float("inf")], ("no finite number",)),
        ([], [], ("no strings",)),
    ],
)
def test_what_is_no_example_is_refused_by_its_number(inputs, targets, words):
    with refused(*words):
        dmm.Task.from_examples(inputs, targets)


# ---- files ----


def test_csv_and_json_hold_the_same(tmp_path):
    rows = [("aab", [0, 1, 1]), ([1.0, 2.5], 3.5), (["x", {"a": 2.0}], [[1, None], [2, 3]])]
    (tmp_path / "e.json").write_text(json.dumps([{"input": x, "target": y} for x, y in rows]))
    with (tmp_path / "e.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("target", "note", "input"), ("0 1 1", "", "aab"), (3.5, "", "[1, 2.5]")]
            + [("[[1, null], [2, 3]]", "x", '["x", {"a": 2}]')]
        )
    a, b = (dmm.Task.load(tmp_path / name, ticks_per_step=8) for name in ("e.json", "e.csv"))
    assert a.strings == b.strings
    assert str(a.due) == str(b.due)
    assert a.due[0] == ((0.0, pytest.approx(np.nan, nan_ok=True)),) + a.due[0][1:]


def test_gaps_are_asked_nothing(tmp_path):
    (tmp_path / "e.csv").write_text("input,target\nabc,1 - 3\n")
    assert load_examples(tmp_path / "e.csv")[1] == [[1.0, None, 3.0]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("input\nab", ("row 1", "name them input and target")),
        ("input,target\nab,1 2 3", ("row 2, column target", "3 targets for 2 steps")),
        ("input,target\nab,1\nab,x", ("row 3, column target", "'x' is no number")),
        ("input,target\n,1", ("row 2, column input", "no characters")),
        ('input,target\n"ab\n', ("unexpected end of data",)),
        ("input,target\n[()],1", ("row 2, column input: '[()]' is not JSON", 'as [1.5, "a", "["]')),
        ("input,target\nab,[1", ("row 2, column target", "not JSON")),
        ("input,target\nab,1,2", ("3 cells under 2 columns",)),
        ("input,target\n", ("no examples",)),
        ("", ("row 1", "none")),
    ],
)
def test_a_bad_file_is_refused_by_row_and_column(tmp_path, text, words):
    (tmp_path / "e.csv").write_text(text)
    with refused(str(tmp_path / "e.csv"), *words):
        dmm.Task.load(tmp_path / "e.csv")


@pytest.mark.parametrize("name", ["e.csv", "e.json"])
def test_two_thousand_damaged_files_give_a_task_or_one_line(tmp_path, name):
    good = {"e.csv": 'input,target\naab,0 1 1\n"[1, 2.5]",3.5\n', "e.json": '[{"input": "ab", "target": [1, null]}]'}
    data, rng, refusals = good[name].encode(), random.Random(0), 0
    for _ in range(1000):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(damaged))
            damaged[place : place + rng.randint(0, 2)] = rng.choice([b"", b'"', b"[", b",", b"\n", b"\xff", b"9", b"{"])
            damaged = damaged or bytearray(b" ")
        (tmp_path / name).write_bytes(bytes(damaged))
        try:
            dmm.Task.load(tmp_path / name)
        except dmm.DMMError as error:
            assert str(error).startswith(str(tmp_path / name))
            assert "\n" not in str(error)
            refusals += 1
    assert refusals > 100
