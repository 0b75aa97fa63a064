"""From examples to programs: enumeration, what verification says, and the program to take away."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import refused

import dmmlab as dmm
from dmmlab.enumeration.fitting import fits, rows_of
from dmmlab.enumeration.parts import Parts
from dmmlab.enumeration.programs import find_programs
from dmmlab.synthesis.examination import split
from dmmlab.synthesis.export import to_python


def sign(x):
    return float(x > 0)


FUNCTIONS = {
    "depth": ("()", lambda x: x.count("(") - x.count(")")),
    "difference": ("ab", lambda x: abs(x.count("a") - x.count("b"))),
    "max": ("ab", lambda x: max(x.count("a"), x.count("b"))),
    "min": ("ab", lambda x: min(x.count("a"), x.count("b"))),
    "pairs": ("ab", lambda x: sum(x[:i].count("a") for i, c in enumerate(x) if c == "b")),
    "majority": ("ab", lambda x: sign(x.count("a") - x.count("b"))),
    "three": ("ab", lambda x: sign(x.count("a") - 2.5)),
    "product": ("ab", lambda x: x.count("a") * x.count("b")),
    "distinct": ("abcd", lambda x: len({*x})),
    "duplicates": ("abc.", lambda x: (max(map(x.count, x)) - 1, x.count("."))),
    "lead": ("abc", lambda x: x.count("a") - 2 * x.count("c")),
    "unbalanced": ("()", lambda x: sign(any(x[:i].count(")") > x[:i].count("(") for i in range(len(x) + 1)))),
    "parity": ("ab", lambda x: x.count("a") % 2),
    "latch": ("abc", lambda x: sign(x.rfind("a") - x.rfind("b"))),
    "run": ("ab", lambda x: len(x) - len(x.rstrip("a"))),
    "after b": ("abc", lambda x: x[x.find("b") :].count("a") if "b" in x else 0),
    "double": ("ab", lambda x: 2.5 * x.count("a") + 1),
}


def examples(name, count=20, longest=12, seed=0):
    letters, function = FUNCTIONS[name]
    rng = np.random.default_rng(seed)
    strings = ["".join(rng.choice([*letters], int(n))) for n in rng.integers(1, longest + 1, count)]
    return strings, [[function(string[: i + 1]) for i in range(len(string))] for string in strings]


def task_of(name, **options):
    return dmm.Task.from_examples(*examples(name), **{"ticks_per_step": [8, 11], **options})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_program_is_enumerated_that_is_right_on_long_strings(name):
    task = task_of(name)
    program = find_programs(task)[0]
    found = dmm.verify(program, FUNCTIONS[name][1], task=task, count=150, longest=120)
    assert found.passed, str(found)
    assert (found.strings, found.longest) == (150, 120)
    assert found.table < 150


@pytest.mark.parametrize(
    "function",
    [sum, lambda x: abs(sum(x)), lambda x: max(0.0, *x), lambda x: sum(y > 0 for y in x), lambda x: sign(sum(x) - 3)],
    ids=["sum", "size", "largest", "positive", "threshold"],
)
def test_streams_of_numbers_have_programs_too(function):
    rng = np.random.default_rng(0)
    numbers = [rng.integers(-3, 4, n).astype(float).tolist() for n in rng.integers(1, 9, 20)]
    answers = [[float(function(x[: i + 1])) for i in range(len(x))] for x in numbers]
    task = dmm.Task.from_examples(numbers, answers, ticks_per_step=[8, 11])
    found = dmm.verify(find_programs(task)[0], lambda x: float(function(x)), task=task, count=150, longest=60)
    assert found.passed, str(found)


def test_channels_have_programs_too():
    rng = np.random.default_rng(0)
    channels = [[{"a": float(rng.integers(3)), "b": float(rng.integers(3))} for _ in range(5)] for _ in range(20)]
    wanted = [np.cumsum([step["a"] * step["b"] for step in x]).tolist() for x in channels]
    found = find_programs(dmm.Task.from_examples(channels, wanted))
    assert found


def test_windows_are_found_at_one_speed():
    task = dmm.Task.from_examples(*windows(), ticks_per_step=3, latency=5)
    program = find_programs(task)[0]
    reference = lambda x: sum(x[-2:])  # noqa: E731
    assert dmm.verify(program, reference, task=task, longest=50).passed


def windows():
    rng = np.random.default_rng(1)
    numbers = [rng.integers(-3, 4, n).astype(float).tolist() for n in rng.integers(1, 9, 20)]
    return numbers, [[sum(x[max(i - 1, 0) : i + 1]) for i in range(len(x))] for x in numbers]


def test_equal_values_are_one_part():
    parts = Parts(task_of("max"))
    for cost in range(1, 5):
        parts.grow(cost)
    for pool in (parts.pulses, parts.levels):
        rows = {row.tobytes() for row in np.round(pool.values, 6) + 0.0}
        assert len(rows) == len(pool) == len(pool.values)
    assert fits(rows_of(parts, 0))[0].constant == 0.0


def test_what_no_small_program_does_is_not_found_by_enumeration():
    strings, _ = examples("max")
    noise = np.random.default_rng(0)
    task = dmm.Task.from_examples(strings, [noise.normal(size=len(x)).tolist() for x in strings])
    assert find_programs(task) == ()


# ---- synthesis ----


def test_synthesis_of_examples_says_what_it_was_asked():
    task = task_of("min")
    plain = dmm.synthesize(task, progress=False)
    assert str(plain.verification).startswith("gives the answers of the 40 examples")
    held = dmm.synthesize(task, holdout=0.25, progress=False)
    assert str(held.verification).startswith("right on ")
    assert held.verification.table is not None
    asked = dmm.synthesize(task, reference=FUNCTIONS["min"][1], progress=False)
    assert str(asked.verification).startswith("right on 1000 examples of up to 200 steps")
    assert {entry["stage"] for entry in asked.history} == {"enumerate", "cut"}
    json.dumps(asked.to_dict())


def test_a_reference_is_asked_for_the_string_where_the_program_is_wrong():
    few = dmm.Task.from_examples(["a", "ab", "b"], [[1], [1, 1], [0]], ticks_per_step=[8, 11])
    result = dmm.synthesize(few, reference=FUNCTIONS["pairs"][1], progress=False, attempts=1)
    assert result.verification.passed or "wrong on" in str(result.verification)
    wrong = dmm.synthesize(few, progress=False)
    assert wrong.verification.learned
    assert not dmm.verify(wrong.machine, FUNCTIONS["pairs"][1], task=few).passed


def test_two_programs_that_fit_are_told_apart_by_a_question():
    few = dmm.Task.from_examples(["a", "aa", "aaa"], [1, 2, 3])
    result = dmm.synthesize(few, progress=False)
    assert result.question is None or len(result.question) > 0
    both = dmm.Task.from_examples(["ab", "ba", "aabb"], [1, 1, 2])
    question = dmm.synthesize(both, progress=False).question
    assert question is not None
    answers = {tuple(both.predict(machine, [question])[0][-1].round(6)) for machine in find_programs(both)}
    assert len(answers) > 1


def test_the_held_out_are_whole_inputs_and_never_learned_from():
    task = task_of("max")
    learned, test = split(task, 0.3, seed=3)
    assert not {*learned.strings} & {*test.strings}
    assert {*learned.strings} | {*test.strings} == {*task.strings}
    assert split(task, 0.0, seed=3) == (task, None)
    for share in (1.0, -0.1):
        with refused("holdout is"):
            split(task, share, seed=0)


def test_references_are_for_examples():
    with refused("for tasks of examples"):
        dmm.synthesize(dmm.Task(["ab"]), holdout=0.5)
    with refused("a function together with such a task"):
        dmm.verify(dmm.handcrafted_detector(), len)


def test_a_wrong_program_is_said_to_be_wrong_with_its_shortest_failure():
    task = task_of("min")
    found = dmm.verify(dmm.handcrafted_detector(), FUNCTIONS["min"][1], task=task, count=100, longest=20)
    assert not found
    assert found.failed > 50
    answers = task.predict(dmm.handcrafted_detector(), [found.counterexample], found.ticks_per_character)[0]
    assert abs(answers[-1, 0] - FUNCTIONS["min"][1](found.counterexample)) > 0.5 or len(answers) > 1
    assert f"wrong on {found.failed} of 100 examples" in str(found)


# ---- the program to take away ----

RNG = np.random.default_rng(5)
LAYERS = dmm.feedforward(2, 2, letters="a")
LAYERS = LAYERS.with_vector(RNG.normal(size=len(LAYERS.links)) * 0.3)
LOOPS = dmm.recurrent(1)
LOOPS = LOOPS.with_vector(RNG.normal(size=len(LOOPS.links)) * 0.12)
STREAMS = ["ab.a", "b", ("x", "yy", "x"), (1.0, -2.5, 0.0, 3.0)]
STREAMS += [({"a": 1.5, "b": -1.0, ":number": 0.5}, "a", 2.0, {"c": {"d": 2.0, ":number": -1.0}})]


@pytest.mark.parametrize("machine", [LAYERS, LOOPS, dmm.handcrafted_detector()], ids=["layers", "loops", "detector"])
@pytest.mark.parametrize(("speed", "latency"), [(8, 7), (3, 1), (1, 4), (2, 5)])
def test_the_python_program_computes_what_the_interpreter_computes(machine, speed, latency):
    names = {}
    exec(to_python(machine, speed, latency), names)
    for stream in STREAMS:
        program = names["Program"]()
        given = [program.step(step) for step in stream]
        ticks = len(stream) * speed
        answers = dmm.answers(machine, stream, ticks, ticks_per_character=speed, after_end="nothing")
        for i, pair in enumerate(given):
            due = [t for t in range(i * speed, (i + 1) * speed) if t >= latency and (t - latency) % speed == 0]
            assert (pair is None) == (not due)
            if due:
                np.testing.assert_allclose(pair, answers[due[-1]], rtol=1e-9, atol=1e-10)


SECOND = dmm.write_program("output.dict-2 <- accum.dict\naccum.dict-2 <- input.char").reading_values()


@pytest.mark.parametrize(
    ("machine", "lines", "printed"),
    [
        (dmm.handcrafted_detector(), "aab.\nb\n", "(0, 0) (1, 0) (1, 0) (1, 1)\n(0, 0)\n"),
        (
            dmm.handcrafted_detector(),
            '110\r\n["ab", "ab"]\n[]\n',
            "(0, 0) (1, 0) (1, 0)\n(0, 0) (1, 0)\n" + "(0, 0) (0, 0)\n",
        ),
        (SECOND, '3 -0.5\n[3, {":number": 0.1}]\n-0\n', "3 2.5\n3 3.1\n0\n"),
    ],
    ids=["letters", "digits are letters", "numbers"],
)
def test_the_python_program_needs_nothing_and_reads_lines(tmp_path, machine, lines, printed):
    source = to_python(machine)
    (tmp_path / "program.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-I", str(tmp_path / "program.py")]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    assert done.stdout == printed
    assert re.findall("import .*", source) == ["import json", "import sys"]


def test_the_python_program_says_what_it_cannot_read(tmp_path):
    (tmp_path / "program.py").write_text(to_python(SECOND), encoding="utf-8")
    command = [sys.executable, "-I", str(tmp_path / "program.py")]
    for line in ("1 b", "[1", "[null]"):
        done = subprocess.run(command, input=line, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.startswith(f"cannot read '{line}'")
        assert done.stderr.count("\n") == 1


def test_machines_that_rewrite_themselves_have_no_python_program():
    with refused("computes with trees"):
        to_python(dmm.PROGRAMS["switch"]().machine)


def test_a_program_with_a_loop_ends_the_search_too():
    result = dmm.synthesize(task_of("parity"), progress=False)
    assert [entry["stage"] for entry in result.history] == ["enumerate"]
    assert dmm.verify(result.machine, FUNCTIONS["parity"][1], task=task_of("parity"), count=100, longest=60).passed
