"""Verification: which strings are tried, and that what is found is true and as short as can be."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from conftest import refused

from dmmlab.builders import handcrafted_detector, write_program
from dmmlab.engine import run
from dmmlab.examples.tasks import find_task
from dmmlab.machines import Machine
from dmmlab.synthesis.verification import EXACT, LETTERS, SPEEDS, Verification, largest_errors, random_strings, verify

DETECTOR = handcrafted_detector()
PUBLISHED = Machine.load(Path(__file__).parents[2] / "data/machines/published-19.json")
WORDS = ("the", "cat", "a", ".")


# ---- the strings ----


def test_strings_are_the_same_for_the_same_seed_only():
    assert list(random_strings(60, seed=3)) == list(random_strings(60, seed=3))
    assert list(random_strings(60, seed=3)) != list(random_strings(60, seed=4))
    assert list(random_strings(20, seed=3)) == list(islice(random_strings(60, seed=3), 20))


@pytest.mark.parametrize(("letters", "longest"), [("", 200), ("ab.", 200), ("ab.", 7), ("", 1), (WORDS, 30)], ids=str)
def test_all_lengths_up_to_the_longest_and_all_speeds_occur(letters, longest):
    fed = list(random_strings(1500, letters=letters, longest=longest))
    lengths = {len(text) for text, _ in fed}
    assert len(fed) == 1500
    assert lengths <= set(range(1, longest + 1))
    assert len(lengths) > 0.98 * longest
    assert {1, longest} <= lengths
    assert {speed for _, speed in fed} == set(SPEEDS)
    assert all(type(speed) is int for _, speed in fed)


def test_runs_of_one_letter_few_letters_many_stops_and_anything_occur():
    texts = [text for text, _ in random_strings(400, letters="ab")]
    assert max(len(text) for text in texts if len(set(text)) == 1) > 40
    assert sum(len(set(text)) <= 3 < len(text) for text in texts) > 100
    assert max(text.count(".") for text in texts) > 40
    assert max(len(set(text)) for text in texts) > 60
    assert set(LETTERS) <= set().union(*texts)


def test_about_half_of_the_strings_have_letters_never_trained_on():
    letters = "abé."
    foreign = [bool(set(text) - set(letters)) for text, _ in random_strings(400, letters=letters)]
    assert 0.35 < np.mean(foreign) < 0.65
    assert any("é" in text for (text, _), other in zip(random_strings(400, letters=letters), foreign, strict=True))
    assert all(set(text) <= set(LETTERS) for text, _ in random_strings(100))


def test_words_make_tuples():
    texts = [text for text, _ in random_strings(200, letters=WORDS)]
    assert all(isinstance(text, tuple) and all(type(word) is str for word in text) for text in texts)
    assert any("the" in text for text in texts)
    assert 0.3 < np.mean([set(text) <= set(WORDS) for text in texts]) < 0.7
    assert all(isinstance(text, str) for text, _ in random_strings(50, letters=("a", "b")))


# ---- errors ----


@pytest.mark.parametrize("letters", ["ab.", WORDS], ids=["characters", "words"])
def test_largest_errors_are_those_of_one_string_at_a_time(letters):
    fed = list(random_strings(24, seed=5, letters=letters, longest=30))
    found = largest_errors(PUBLISHED, DETECTOR, [text for text, _ in fed], [speed for _, speed in fed])
    for error, (text, speed) in zip(found, fed, strict=True):
        runs = [run(each, text, None, speed) for each in (PUBLISHED, DETECTOR)]
        assert error == pytest.approx(np.abs(runs[0] - runs[1]).max(), rel=1e-9, abs=1e-9)
    assert len(set(found.round(6))) > 5


def test_only_a_strings_own_ticks_count():
    # The last character repeats, so counts go on: beyond its end a short string would be as wrong as a long one.
    texts = ["a", "b" * 60]
    errors = largest_errors(PUBLISHED, DETECTOR, texts, [1, 10])
    assert errors[0] == pytest.approx(largest_errors(PUBLISHED, DETECTOR, texts[:1], [1])[0])
    assert errors[0] < errors[1] / 2


# ---- examination ----


@pytest.mark.parametrize("name", ["duplicates", "balance", "length", "repeated word"])
def test_a_machine_is_exact_against_itself(name):
    task = find_task(name)
    found = verify(task.teacher, task.teacher, count=40, letters=set().union(*task.strings), longest=60)
    assert found.passed and bool(found)
    assert found.largest_error == 0.0
    assert found.counterexample is None
    assert found.strings == 40
    assert str(found) == "exact on 40 strings (largest error 0)"


@pytest.mark.parametrize("seed", [0, 1])
def test_the_published_machine_is_wrong_and_its_counterexample_minimal(seed):
    found = verify(PUBLISHED, DETECTOR, count=24, seed=seed, letters="tes ring.", longest=60)
    text, speed = found.counterexample, found.ticks_per_character
    assert not found.passed and not found
    assert isinstance(text, str)
    assert largest_errors(PUBLISHED, DETECTOR, [found.string], [speed])[0] == pytest.approx(found.largest_error)
    assert largest_errors(PUBLISHED, DETECTOR, [text], [speed])[0] > EXACT
    shorter = {text[:i] + text[i + 1 :] for i in range(len(text))} - {""}
    assert all(largest_errors(PUBLISHED, DETECTOR, [each], [speed])[0] <= EXACT for each in shorter)
    assert str(found).startswith("wrong: error") and repr(text) in str(found)


def exceeds(threshold):
    """Left: by how much the commonest character came more often than so."""
    return write_program(f"""
        accum.dict-2 <- input.char
        norm.dict <- accum.dict
        compare.dict-1 <- norm.norm
        compare.dict-2 <- {threshold} const_1.const_1
        output.dict-1 <- compare.true
    """)


@pytest.mark.parametrize("words", [False, True], ids=["characters", "words"])
def test_the_counterexample_is_one_that_a_person_would_give(words):
    letters = WORDS if words else "ab"
    for seed in range(3):
        found = verify(exceeds(40), exceeds(5), count=12, seed=seed, letters=letters, longest=90)
        text, speed = found.counterexample, found.ticks_per_character
        assert type(text) is (tuple if words else str)
        assert 1 <= len(text) <= 5 and len(set(text)) == 1
        assert text[0] in found.string
        assert largest_errors(exceeds(40), exceeds(5), [text], [speed])[0] > EXACT


def test_the_worst_string_is_found_whatever_it_is_run_together_with():
    options = {"count": 40, "seed": 2, "letters": "ab", "longest": 50}
    found = verify(PUBLISHED, DETECTOR, **options)
    fed = list(random_strings(**options))
    errors = [largest_errors(PUBLISHED, DETECTOR, [text], [speed])[0] for text, speed in fed]
    assert found.largest_error == pytest.approx(max(errors), rel=1e-9)
    assert (found.string, found.ticks_per_character) in fed


def test_answers_that_are_no_numbers_are_wrong():
    program = """
        accum-1.dict-2 <- 1e200 const_1.const_1
        accum-2.dict-2 <- 1e200 accum-1.dict
        output.dict-1 <- accum-2.dict
    """
    found = verify(write_program(program), DETECTOR, count=4, longest=10)
    assert found.largest_error == np.inf
    assert not found.passed
    assert len(found.counterexample) == 1


def test_results_become_plain_data():
    found = Verification(0.5, "abc", 3, "a", 7)
    assert found.to_dict() == {
        "largest_error": 0.5,
        "string": "abc",
        "ticks_per_character": 3,
        "counterexample": "a",
        "strings": 7,
        "passed": False,
    }
    assert json.loads(json.dumps(found.to_dict()))["counterexample"] == "a"
    assert str(found) == "wrong: error 0.5; counterexample 'a' at 3 ticks a character"
    assert Verification(EXACT, "abc", 3, None, 7).to_dict()["passed"]
    assert not Verification(2 * EXACT, "abc", 3, "a", 7)
    assert str(Verification(1.25e-9, "abc", 3, None, 7)) == "exact on 7 strings (largest error 1e-09)"


@pytest.mark.parametrize("options", [{"count": 0}, {"count": -1}, {"count": 1.5}, {"seed": -1}, {"seed": "a"}], ids=str)
def test_counts_and_seeds_that_are_none_are_refused(options):
    with refused(*options):
        verify(DETECTOR, DETECTOR, **options)
