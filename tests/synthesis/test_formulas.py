"""Formulas: as text, as LaTeX, and computed at every tick, where they must agree with the machine."""

import math
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sympy
from conftest import refused
from hypothesis import given, settings
from hypothesis import strategies as st

from dmmlab.builders import feedforward, handcrafted_detector, write_program
from dmmlab.engine import run
from dmmlab.examples.tasks import TASKS, find_task
from dmmlab.files import DMMError
from dmmlab.machines import Machine
from dmmlab.neurons import KINDS, SCALAR, kind
from dmmlab.synthesis.formulas import ANY, MaxNorm, T, formula
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.vvalues import from_leaves

DETECTOR = handcrafted_detector()
EARLY = 12  # ticks while constants are on their way


# ---- the meaning of a formula, computed without the module that writes it ----


class Meaning:
    """What an expression is on a string, at a tick; where it is a function of a letter, for that letter."""

    def __init__(self, string, speed, loops=()):
        self.string, self.speed, self.known = string, speed, {}
        self.loops = {each.name: each for each in loops}
        self.letters = [sympy.Symbol(f"'{letter}'") for letter in sorted({*string, *".abc"})]

    def at(self, e, tick, letter=None):
        if (e, tick, letter) not in self.known:
            self.known[e, tick, letter] = self._at(e, tick, letter)
        return self.known[e, tick, letter]

    def _at(self, e, tick, letter):
        word = type(e).__name__
        if e.is_Symbol:
            return float(e == letter)
        if e.is_number:
            return float(e)
        if word == "Input":
            asked, when = letter if e.args[0] == ANY else e.args[0], tick - int(T - e.args[1])
            place, rest = divmod(when - 1, self.speed)
            return float(when >= 1 and not rest and f"'{self.string[min(place, len(self.string) - 1)]}'" == asked.name)
        if word == "Clock":
            return float(max(tick - int(T - e.args[0]), 0))
        if word in ("State", "Level"):
            loop, when = self.loops[str(e.args[0])], tick - int(T - e.args[-1])
            letter = e.args[1] if len(e.args) == 3 and e.args[1] != ANY else letter
            return self.at(loop.now, when, letter) if when >= 1 else float(loop.start) * (when == 0)
        if word == "Total":
            return self.at(e, tick - 1, letter) + self.at(e.args[0], tick, letter) if tick >= 1 else 0.0
        if word == "MaxNorm":
            return max(abs(self.at(e.args[0], tick, each)) for each in self.letters)
        if word == "Inner":
            return sum(self.at(e.args[0], tick, each) * self.at(e.args[1], tick, each) for each in self.letters)
        values = [self.at(x, tick, letter) for x in e.args]
        if word == "Heaviside":
            return float(values[0] > 0)
        computed = {"Add": sum, "Mul": math.prod, "Pow": lambda x: x[0] ** x[1], "Max": max, "Min": min}
        return abs(values[0]) if word == "Abs" else computed[word](values)


def assert_agrees(machine, string="ab.a.ccaa", speed=3, early=EARLY):
    """The formula's value is the machine's answer, at every tick after the first few."""
    read, answers = formula(machine), run(machine, string, ticks_per_character=speed)
    meaning = Meaning(string, speed, read.loops)
    for side, e in enumerate((read.left, read.right)):
        values = [meaning.at(e, tick) for tick in range(1, len(answers) + 1)]
        scale = max(1.0, np.abs(answers[:, side]).max())
        np.testing.assert_allclose(
            np.array(values[early:]) / scale, answers[early:, side] / scale, atol=1e-9, err_msg=str(read)
        )


# ---- text ----

TEXTS = {
    "duplicates": ("left[t+4]  = relu(max-norm(Σ input) − 1)", "right[t+3] = min(4, count of '.')"),
    "lead": ("left[t+4]  = relu(max-norm(Σ input) − min(4, count of '.'))", "right[t+3] = min(4, count of '.')"),
    "balance": (
        "left[t+4]  = relu(min(4, count of 'a' − count of 'b'))",
        "right[t+4] = relu(−clip(count of 'a' − count of 'b', ±4))",
    ),
    "letters": ("left[t+3]  = min(4, count of 'a')", "right[t+3] = min(4, count of '.')"),
    "length": ("left[t+3]  = Σ max-norm(input)", "right[t+3] = min(4, count of '.')"),
    "repeated word": (
        "left[t+4]  = relu(max-norm(Σ input) − 1) − relu(max-norm(Σ input) − 2)",
        "right[t+3] = min(4, count of '.')",
    ),
}


def lines(machine):
    """What stands behind the signs of equality."""
    return [line.partition(" = ")[2] for line in str(formula(machine)).splitlines()]


def test_the_detector_reads_as_the_paper_has_it():
    expected = "left[t+4]  = relu(max-norm(Σ input) − 1)\nright[t+3] = min(4, count of '.')"
    assert str(formula(DETECTOR)) == expected


@pytest.mark.parametrize("name", TEXTS)
def test_every_task_has_its_formula(name):
    assert str(formula(find_task(name).teacher)) == "\n".join(TEXTS[name])


def test_no_task_is_without_a_formula_here():
    assert set(TEXTS) == set(TASKS)


MEMORY = "accum.dict-2 <- input.char\nnorm.dict <- accum.dict\n"


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("", "0"),
        (f"{MEMORY}output.dict-1 <- 2 norm.norm", "2·max-norm(Σ input)"),
        (f"{MEMORY}output.dict-1 <- -0.3333333333333333 norm.norm", "−max-norm(Σ input)/3"),
        (f"{MEMORY}output.dict-1 <- 0.123456 norm.norm", "0.123456·max-norm(Σ input)"),
        ("output.dict-1 <- 1.5 const_1.const_1", "3/2"),
        (f"{MEMORY}norm.dict <- const_1.const_1\noutput.dict-1 <- norm.norm", "max(1, max-norm(Σ input))"),
        ("output.dict-1 <- timer.timer", "t"),
        ("norm.dict <- -2 input.char\noutput.dict-1 <- norm.norm", "2·max-norm(input)"),
        (
            "norm.dict <- input.char\ncompare.dict-1 <- norm.norm\ncompare.dict-2 <- -1 const_1.const_1\n"
            "output.dict-1 <- compare.true",
            "max-norm(input) + 1",
        ),
        (
            "dot.dict-1 <- input.char\ndot.dict-2 <- -3 eos.char\noutput.dict-1 <- dot.dot",
            "max(−4, −3·count of '.' in input)",
        ),
    ],
)
def test_small_programs_are_written_as_one_would(program, text):
    assert lines(write_program(program))[0] == text


def test_what_comes_later_says_so():
    program = """
        accum.dict-2 <- input.char
        norm-1.dict <- input.char
        norm-2.dict <- accum.dict
        output.dict-1 <- norm-1.norm
        output.dict-1 <- 2 norm-2.norm
    """
    read = formula(write_program(program))
    assert str(read).splitlines()[0] == "left[t+2]  = max-norm(input) + 2·max-norm(Σ input)[t−1]"
    assert "[t-1]" in read._repr_latex_()
    assert str(read).splitlines()[1] == "right[t]   = 0"


def test_what_comes_later_says_so_in_products():
    program = """
        norm.dict <- input.char
        accum.dict-2 <- norm.norm
        norm-2.dict <- accum.dict
        dot.dict-1 <- norm.norm
        dot.dict-2 <- norm-2.norm
        output.dict-1 <- dot.dot
    """
    machine = write_program(program)
    assert lines(machine)[0] == "min(4, max-norm(input)·(Σ max-norm(input))[t−2])"
    assert "[t-2]" in formula(machine)._repr_latex_()


def test_powers_and_products_are_in_brackets():
    program = """
        accum.dict-2 <- input.char
        dot-1.dict-1 <- accum.dict
        dot-1.dict-2 <- letter-a.char
        accum-2.dict-2 <- dot-1.dot
        inner.dict-1 <- accum-2.dict
        inner.dict-2 <- 0.1 accum-2.dict
        output.dict-1 <- inner.inner
    """
    machine = write_program(program)
    assert lines(machine)[0] == "(Σ min(4, count of 'a'))^2/10"
    assert_agrees(machine)


def test_a_sum_a_tick_ago_and_what_comes_now_is_the_sum_now():
    program = """
        accum.dict-2 <- input.char
        norm.dict <- accum.dict
        norm.dict <- input.char
        output.dict-1 <- norm.norm
    """
    machine = write_program(program)
    assert str(formula(machine)).splitlines()[0] == "left[t+2]  = max-norm(Σ input)"
    assert_agrees(machine, early=0)
    assert_agrees(write_program(program.replace("<- input.char\n        output", "<- 2 input.char\n        output")))


# ---- LaTeX ----


def assert_balanced(latex):
    depth = 0
    for i, letter in enumerate(latex):
        if letter in "{}" and latex[i - 1] != "\\":
            depth += 1 if letter == "{" else -1
        assert depth >= 0, latex
    assert depth == 0, latex


@pytest.mark.parametrize("name", TEXTS)
def test_latex_has_no_stray_braces(name):
    latex = formula(find_task(name).teacher)._repr_latex_()
    assert latex.count("{") == latex.count("}")
    assert_balanced(latex)
    assert latex.startswith("$$\\begin{aligned}") and latex.endswith("\\end{aligned}$$")
    assert "{}" not in latex and "letter" not in latex


def test_the_detector_in_latex():
    latex = formula(DETECTOR)._repr_latex_()
    assert r"\mathrm{left}[t+4] &= \operatorname{relu}(\lVert \textstyle\sum \mathrm{input} \rVert_\infty - 1)" in latex
    assert r"\mathrm{right}[t+3] &= \operatorname{min}(4, \#\text{'.'})" in latex


@pytest.mark.parametrize("letter", list("{}%#&_$\\^~"))
def test_letters_that_latex_takes_for_its_own_are_escaped(letter):
    program = f"accum.dict-2 <- input.char\ndot.dict-1 <- accum.dict\ndot.dict-2 <- letter-{letter}.char\n"
    machine = write_program(f"{program}output.dict-1 <- dot.dot")
    assert lines(machine)[0] == f"min(4, count of '{letter}')"
    latex = formula(machine)._repr_latex_()
    inside = latex.split(r"\text{'")[1].partition("'})")[0]
    assert inside in ("∖", "ˆ", "˜", f"\\{letter}")
    assert_balanced(latex)


@pytest.mark.parametrize("letter", list("*-' t"))
def test_letters_that_are_signs_elsewhere_stay_letters(letter):
    machine = write_program("accum.dict-2 <- input.char\ndot.dict-1 <- accum.dict\noutput.dict-1 <- 2 dot.dot")
    machine = machine.with_neuron("a", f"letter {letter}").link("dot.dict-2", "a.char", 1.0)
    machine = machine.link("dot.dict-1", "const_1.const_1", -1.0).link("dot.dict-2", "const_1.const_1", 1.0)
    assert lines(machine)[0] == f"2·clip(count of '{letter}' − 1, ±4)"


# ---- meaning ----

PROGRAMS = {
    "sums and delays": """
        accum.dict-2 <- input.char
        norm-1.dict <- accum.dict
        norm-2.dict <- 0.5 input.char
        accum-2.dict-2 <- norm-2.norm
        output.dict-1 <- norm-1.norm
        output.dict-1 <- -2 norm-2.norm
        output.dict-2 <- accum-2.dict
        output.dict-2 <- 0.25 norm-1.norm
    """,
    "a product of numbers": """
        norm.dict <- input.char
        accum.dict-2 <- 0.25 norm.norm
        dot.dict-1 <- 2 accum.dict
        dot.dict-2 <- accum.dict
        output.dict-2 <- dot.dot
    """,
    "a product with a delay": """
        norm.dict <- input.char
        accum.dict-2 <- 0.25 norm.norm
        norm-2.dict <- accum.dict
        dot.dict-1 <- accum.dict
        dot.dict-2 <- -1 norm-2.norm
        output.dict-1 <- dot.dot
    """,
    "characters and number": """
        norm.dict <- input.char
        accum.dict-2 <- input.char
        accum.dict-2 <- 0.5 norm.norm
        norm-2.dict <- accum.dict
        dot.dict-1 <- accum.dict
        dot.dict-2 <- accum.dict
        output.dict-1 <- norm-2.norm
        output.dict-2 <- dot.dot
    """,
    "max of both": """
        norm.dict <- -2 input.char
        accum.dict-2 <- input.char
        norm-2.dict <- accum.dict
        norm-2.dict <- -1.5 norm.norm
        norm-2.dict <- 0.5 const_1.const_1
        output.dict-1 <- norm-2.norm
    """,
    "an inner product": """
        accum.dict-2 <- 0.25 input.char
        accum-2.dict-2 <- input.char
        accum-2.dict-2 <- -0.5 eos.char
        dot.dict-1 <- accum.dict
        dot.dict-1 <- input.char
        dot.dict-2 <- 0.5 input.char
        dot-2.dict-1 <- accum.dict
        dot-2.dict-2 <- accum.dict
        output.dict-1 <- dot.dot
        output.dict-2 <- dot-2.dot
    """,
    "letters": """
        accum.dict-2 <- input.char
        dot.dict-1 <- accum.dict
        dot.dict-1 <- 2 letter-a.char
        dot.dict-2 <- letter-a.char
        dot.dict-2 <- -0.5 letter-c.char
        dot.dict-2 <- 0.5 eos.char
        output.dict-1 <- dot.dot
    """,
    "both sides of a comparison": """
        norm.dict <- input.char
        accum.dict-2 <- norm.norm
        compare.dict-1 <- accum.dict
        compare.dict-2 <- 3.5 const_1.const_1
        output.dict-1 <- compare.true
        output.dict-2 <- compare.false
        output.dict-2 <- -2 norm.norm
    """,
    "a sum of sums": """
        norm.dict <- input.char
        accum-1.dict-2 <- norm.norm
        accum-2.dict-2 <- accum-1.dict
        accum-2.dict-2 <- -1 norm.norm
        output.dict-1 <- accum-2.dict
    """,
    "the clock": """
        accum.dict-2 <- 0.5 const_1.const_1
        output.dict-1 <- timer.timer
        output.dict-2 <- accum.dict
    """,
    "a sum of eos": """
        accum.dict-2 <- eos.char
        norm.dict <- accum.dict
        output.dict-1 <- norm.norm
    """,
    "an eos for every tick": """
        accum.dict-2 <- 0.125 eos.char
        accum-2.dict-2 <- input.char
        dot.dict-1 <- accum.dict
        dot.dict-2 <- accum-2.dict
        output.dict-1 <- dot.dot
    """,
    "a sum of sums of eos": """
        accum.dict-2 <- eos.char
        accum-2.dict-2 <- accum.dict
        norm.dict <- accum-2.dict
        output.dict-1 <- norm.norm
    """,
    "a sum without memory of its own": """
        accum.dict-1 <- input.char
        accum.dict-2 <- eos.char
        norm.dict <- accum.dict
        norm-2.dict <- input.char
        norm-2.dict <- -1 eos.char
        output.dict-2 <- norm-2.norm
    """,
}


@pytest.mark.parametrize("speed", [1, 3])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_formula_says_what_the_machine_does(name, speed):
    assert_agrees(write_program(PROGRAMS[name]), speed=speed)


@pytest.mark.parametrize("name", TEXTS)
def test_the_tasks_formulas_say_what_their_teachers_do(name):
    assert_agrees(find_task(name).teacher, "abba.b.bbb.a...aaaa", 2)


@pytest.mark.parametrize("name", ["published-19", "published-16"])
def test_the_published_machines_formulas_say_what_they_do(name):
    machine = Machine.load(Path(__file__).parents[2] / f"data/machines/{name}.json")
    assert_agrees(machine, "test string.", 10)


def sub_machine(rng, allowed):
    """A feedforward machine with some of the links that are allowed."""
    machine = feedforward(*((3, 1), (2, 2), (3, 2))[rng.integers(3)])
    allowed = [link for link in machine.links if allowed(link)]
    odds = np.array([5.0 if link.to_neuron == "output" or link.from_neuron == "input" else 1.0 for link in allowed])
    size = min(len(allowed), rng.integers(15, 80))
    chosen = rng.choice(len(allowed), size, replace=False, p=odds / odds.sum())
    weights = rng.choice([-1, -0.5, 0.5, 1, 1, 2, 0.3], len(chosen))
    links = {allowed[i]: weight for i, weight in zip(chosen, weights, strict=True)}
    return replace(machine, weights=from_leaves(links.items()), links=tuple(links))


def without_constants(link):
    return link.from_neuron != "const_1" and (link.from_neuron != "eos" or link[:2] in (("dot-1-1", "dict-2"),))


def with_simple_memories(link):
    return not link.to_neuron.startswith("accum") or link.from_neuron == "input"


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from([without_constants, with_simple_memories]))
def test_formulas_of_random_machines_say_what_they_do(seed, allowed):
    machine = sub_machine(np.random.default_rng(seed), allowed)
    assert_agrees(machine, "ab.a.b", 2, early=0 if allowed is without_constants else EARLY)
    assert_balanced(formula(machine)._repr_latex_())


def test_random_machines_have_long_formulas():
    machines = [sub_machine(np.random.default_rng(seed), without_constants) for seed in range(30)]
    assert np.median([len(remove_dead(machine).links) for machine in machines]) > 4
    assert max(len(str(formula(machine))) for machine in machines) > 200


# ---- what is fixed, and what is refused ----


def test_a_fixed_link_is_read_like_a_trained_one_or_refused():
    weights = [(link, 1.0) for link in DETECTOR.links if link.to_neuron != "norm"]
    machine = replace(DETECTOR, weights=from_leaves(weights), links=[link for link, _ in weights])
    with suppress(DMMError):
        assert_agrees(machine.link("norm.dict", "accum.dict", 1.0, fixed=True))


def test_a_memory_that_leaks_is_no_sum():
    fixed = {link: 0.5 if link.to_neuron == "accum" else 1.0 for link in DETECTOR.fixed_links}
    with refused("accum"):
        formula(replace(DETECTOR, fixed=from_leaves(fixed.items())))


def test_every_kind_that_is_a_formula_over_operations_has_a_formula():
    @kind("twice", {"x": SCALAR}, {"y": SCALAR})
    def twice(x, ops):
        return {"y": ops.add(ops.number(x["x"]), ops.number(x["x"]))}

    program = """
        accum.dict-2 <- input.char
        norm.dict <- accum.dict
        twice-1.x <- norm.norm
        hard_compare.dict-1 <- twice-1.y
        hard_compare.dict-2 <- 3 const_1.const_1
        sum.dict-1 <- accum.dict
        sum.dict-2 <- norm.norm
        inner.dict-1 <- sum.dict
        inner.dict-2 <- input.char
        output.dict-1 <- hard_compare.true
        output.dict-2 <- inner.inner
    """
    try:
        machine = write_program(program)
        assert lines(machine) == ["step(2·max-norm(Σ input) − 3)", "⟨(Σ input)[t−2], input⟩"]
        assert_agrees(machine)
        machine = replace(machine, neurons={**machine.neurons, "it": "id"}).link("it.x", "norm.norm", 1.0)
        machine = machine.link("it.x", "accum.dict", 1.0).link("output.dict-1", "it.x", 0.5)
        assert lines(machine)[0] == "max-norm(Σ input)/2 + step(2·max-norm(Σ input) − 3)[t−1]"
        assert_agrees(machine)
    finally:
        del KINDS["twice"]


def test_kinds_of_trees_are_refused():
    program = "norm.dict <- input.char\ngate.factor <- norm.norm\ngate.dict <- input.char\n"
    with refused("'gate'", "trees"):
        formula(write_program(f"{program}norm-2.dict <- gate.dict\noutput.dict-1 <- norm-2.norm"))


def test_a_memory_of_several_outputs_is_refused():
    @kind("fork", {"old": SCALAR, "new": SCALAR}, {"y": SCALAR, "z": SCALAR}, memory="old")
    def fork(x, ops):
        total = ops.add(ops.number(x["old"]), ops.number(x["new"]))
        return {"y": total, "z": total}

    try:
        with refused("'fork-1'", "memory"):
            program = "norm.dict <- input.char\nfork-1.new <- norm.norm\noutput.dict-1 <- fork-1.y\n"
            formula(write_program(f"{program}output.dict-2 <- fork-1.z"))
    finally:
        del KINDS["fork"]


def test_an_input_with_another_clock_is_refused():
    machine = write_program("norm.dict <- input.char\noutput.dict-1 <- norm.norm")
    with refused("clock"):
        formula(machine.link("input.timer", "const_1.const_1", 1.0))


def test_formulas_are_live():
    left = formula(DETECTOR).left
    (count,) = left.atoms(MaxNorm)
    assert [sympy.lambdify(count, left)(x) for x in (0, 1, 5)] == [0, 0, 4]
    assert left.subs(count, 3) == 2


SHOWN = """
from dmmlab.builders import feedforward
from dmmlab.synthesis.formulas import formula
import numpy as np
machine = feedforward(4, 1)
print(formula(machine.with_vector(np.random.default_rng(3).choice([0, 0, 0, 0, 0.3, -0.7, 1], len(machine.links)))))
"""


def test_the_same_machine_has_the_same_text_in_every_process():
    texts = [
        subprocess.run([sys.executable, "-c", SHOWN], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True)
        for seed in ("1", "2")
    ]
    assert len(texts[0].stdout) > 200 and texts[0].stdout == texts[1].stdout


def test_sympy_is_imported_for_formulas_alone():
    code = "import sys, dmmlab.synthesis, dmmlab.lab.cli; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


LETTER_A = "dot.dict-1 <- input.char\ndot.dict-2 <- letter-a.char\n"
READS_BACK = {
    "parity": f"""{LETTER_A}
        compare.dict-1 <- compare.true
        compare.dict-1 <- compare.false
        compare.dict-2 <- dot.dot
        output.dict-1 <- compare.true
        output.dict-1 <- compare.false
    """,
    "one output of a compare": f"""{LETTER_A}
        compare.dict-1 <- 0.5 compare.true
        compare.dict-1 <- dot.dot
        output.dict-1 <- compare.true
    """,
    "both outputs, of different weights": f"""{LETTER_A}
        compare.dict-1 <- compare.true
        compare.dict-1 <- 0.5 compare.false
        compare.dict-2 <- dot.dot
        compare.dict-1 <- 0.25 const_1.const_1
        output.dict-1 <- compare.true
        output.dict-2 <- compare.false
    """,
    "over an accumulator": f"""{LETTER_A}
        accum.dict-2 <- dot.dot
        accum.dict-2 <- -2 dot-2.dot
        dot-2.dict-1 <- dot.dot
        dot-2.dict-2 <- accum.dict
        output.dict-1 <- accum.dict
    """,
    "characters go round": """
        accum.dict-2 <- input.char
        accum.dict-2 <- -0.5 norm.norm
        norm.dict <- accum.dict
        dot.dict-1 <- accum.dict
        dot.dict-2 <- letter-a.char
        output.dict-1 <- norm.norm
        output.dict-2 <- dot.dot
    """,
    "one loop after another": f"""{LETTER_A}
        compare.dict-1 <- compare.true
        compare.dict-1 <- compare.false
        compare.dict-2 <- dot.dot
        compare-2.dict-1 <- 0.5 compare-2.true
        compare-2.dict-1 <- compare.true
        compare-2.dict-2 <- 0.5 dot.dot
        output.dict-1 <- compare-2.true
        accum.dict-2 <- compare-2.true
        output.dict-2 <- accum.dict
    """,
    "neurons that read each other": f"""{LETTER_A}
        compare.dict-1 <- dot.dot
        compare.dict-1 <- compare.true
        compare.dict-2 <- 2 compare-2.true
        compare-2.dict-1 <- compare.true
        compare-2.dict-2 <- 0.5 const_1.const_1
        output.dict-1 <- compare.true
        output.dict-2 <- compare-2.false
    """,
}


@pytest.mark.parametrize("speed", [1, 3])
@pytest.mark.parametrize("name", READS_BACK)
def test_recurrences_say_what_loops_do(name, speed):
    rng = np.random.default_rng(0)
    for length in (3, 9, 14):
        string = "".join(rng.choice([*"ab."], length))
        assert_agrees(write_program(READS_BACK[name]), string, speed, early=0 if "const" not in name else 4)


def test_parity_reads_as_one_would_say_it():
    text = str(formula(write_program(READS_BACK["parity"])))
    expected = ["left[t+3]  = p", "right[t]   = 0", "p[t]       = |p[t−1] − min(4, count of 'a' in input)|"]
    assert text.splitlines() == expected


def test_what_constants_make_of_a_loop_before_the_input_comes_is_said():
    text = str(formula(write_program(READS_BACK["both outputs, of different weights"])))
    assert text.splitlines()[-1] == "p[0]       = 1/4"


@settings(max_examples=6)
@given(st.integers(0, 10**6))
def test_any_machine_with_loops_of_comparisons_has_its_recurrences(seed):
    rng = np.random.default_rng(seed)
    machine = feedforward(2, 2, ("norm", "compare"), loops=("compare",))
    machine = replace(machine, links=[link for link in machine.links if link.from_neuron not in ("const_1", "eos")])
    size = len(machine.links)
    weights = rng.choice([-1, -0.5, 0.5, 0.3], size) * (rng.random(size) < 0.25)
    fed = [link[0] == link[2] or link[0] == "output" for link in machine.links]
    weights[fed] = rng.choice([0.5, -0.5, 0.25], sum(fed))
    assert_agrees(machine.with_vector(weights), "ab.a", early=0)


def test_a_sum_and_a_sum_of_sums_are_told_apart():
    program = "accum-1.dict-2 <- input.char\naccum-2.dict-2 <- accum-1.dict\nnorm.dict <- accum-2.dict\n"
    read = formula(write_program(f"{program}norm.dict <- accum-1.dict\noutput.dict-1 <- norm.norm"))
    assert str(read).splitlines()[0] == "left[t+3]  = max-norm(Σ (Σ input))"
    assert repr(read) == str(read)
