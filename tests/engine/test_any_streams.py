"""Streams of any V-values: words, numbers and trees, the same in both engines."""

import json
import re

import numpy as np
import pytest
from conftest import refused
from hypothesis import given, settings
from hypothesis import strategies as st

import dmmlab as dmm
from dmmlab.inputs import value_of

RNG = np.random.default_rng(0)
LAYERS = dmm.feedforward(3, 2, letters="a")
LAYERS = LAYERS.with_vector(RNG.normal(size=len(LAYERS.links)) * 0.3)
LOOPS = dmm.recurrent(1)
LOOPS = LOOPS.with_vector(RNG.normal(size=len(LOOPS.links)) * 0.15)
HALVES = st.integers(-6, 6).map(lambda x: x / 2)
TREES = st.recursive(HALVES, lambda parts: st.dictionaries(st.sampled_from("abc"), parts, max_size=3), max_leaves=5)
STEPS = st.one_of(
    st.sampled_from(["a", "b", "word"]), HALVES, st.dictionaries(st.sampled_from("abc"), TREES, max_size=3)
)


@pytest.mark.parametrize("machine", [LAYERS, LOOPS], ids=["layers", "loops"])
@pytest.mark.parametrize("after_end", ["repeat", "nothing"])
@settings(max_examples=20, deadline=None)
@given(stream=st.lists(STEPS, min_size=1, max_size=4), speed=st.sampled_from([1, 3]))
def test_both_engines_read_any_stream(machine, after_end, stream, speed):
    fast = dmm.run(machine, stream, 16, speed, after_end)
    slow = dmm.answers(machine, stream, 16, ticks_per_character=speed, after_end=after_end)
    np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("gradient", ["full", "truncated"])
def test_gradients_go_through_numbers_and_channels(gradient):
    inputs = dmm.Inputs([({"a": 1.5, ":number": -0.5}, 2.0, "b"), (1.0, -1.0)], 20, 3, after_end="nothing")
    engine, weights = dmm.Engine(LAYERS, inputs), LAYERS.vector()
    seeds = np.random.default_rng(1).normal(size=engine.answers(weights).shape)
    slope = engine.pull(weights, seeds, gradient)
    if gradient == "full":
        for i in (0, 40, 200, len(slope) - 1):
            step = 1e-6 * (np.arange(len(slope)) == i)
            change = (engine.answers(weights + step) - engine.answers(weights - step)) / 2e-6
            assert slope[i] == pytest.approx((change * seeds).sum(), rel=1e-5, abs=1e-6)
    assert np.isfinite(slope).all()


def test_a_step_is_its_v_value():
    assert value_of("word") == dmm.VValue({"word": 1.0})
    assert value_of(2.5) == dmm.VValue(2.5)
    program = dmm.write_program("output.dict-1 <- input.char").reading_values()
    answers = dmm.run(program, [1.0, "a", {"a": 3.0, ":number": 4.0}], 10, 2, "nothing")[:, 0]
    assert answers.tolist() == [0, 1, 0, 0, 0, 4, 0, 0, 0, 0]


def test_a_path_and_a_number_at_its_end_are_the_same():
    program = dmm.write_program("dot-1.dict-1 <- input.char\ndot-1.dict-2 <- letter-a.char\noutput.dict-1 <- dot-1.dot")
    for step in ({"a": 2.0}, {"a": {":number": 2.0}}, {"a": {":number": 2.0, "b": 7.0}}):
        assert dmm.run(program, [step], 4)[2, 0] == dmm.answers(program, [step], 4)[2, 0] == 2.0


def test_the_last_step_comes_again_or_nothing_comes():
    program = dmm.write_program("output.dict-1 <- accum.dict\naccum.dict-2 <- input.char").reading_values()
    assert dmm.run(program, [1.0, 5.0], 10, 2)[-1, 0] == 1 + 5 * 3
    assert dmm.run(program, [1.0, 5.0], 10, 2, "nothing")[-1, 0] == 6


@pytest.mark.parametrize(("after_end", "last"), [("repeat", [2, 0]), ("nothing", [1, 0])])
def test_whoever_runs_a_machine_may_say_what_comes_after_the_end(after_end, last):
    machine, string = dmm.handcrafted_detector(), "🙂🙂a"  # the a comes twice again in the last 20 ticks
    assert dmm.run(machine, string, after_end=after_end)[-1].tolist() == last
    assert dmm.answers(machine, string, after_end=after_end)[-1].tolist() == last
    fields = dmm.trace(machine, string, after_end=after_end)[-1].inputs["output"]
    assert [fields["dict-1"], fields["dict-2"]] == last
    assert (
        dmm.Engine(machine, dmm.Inputs([string], after_end=after_end)).answers(machine.vector())[0, -1].tolist() == last
    )
    for function in (dmm.run, dmm.cycle, dmm.step_through, dmm.Inputs):
        assert '"nothing"' in function.__doc__


def test_a_character_is_a_code_point_and_words_are_the_way_out():
    machine = dmm.handcrafted_detector()

    def repeated(string):
        return dmm.run(machine, string, after_end="nothing")[-1, 0]

    flags = ["🇫🇷", "🇩🇷"]  # F R, D R
    assert (repeated("".join(flags)), repeated(flags)) == (1, 0)
    assert (repeated("e\u0301e\u0302"), repeated(["e\u0301", "e\u0302"])) == (1, 0)
    assert (repeated("\u00e9e\u0301"), repeated(["\u00e9", "\u00e9"])) == (0, 1)
    assert "code points" in dmm.Inputs.__doc__


@pytest.mark.parametrize(
    ("string", "words"),
    [
        ((1.0, float("nan")), ("step 2", "not finite")),
        (({"a": "b"},), ("step 1", "a")),
        ((1.0, ""), ("no characters at step 2",)),
        ((), ("has no characters",)),
        ((True,), ("step 1",)),
        (3.0, ("has no characters",)),
    ],
)
def test_what_is_no_step_is_refused_by_its_place(string, words):
    with refused(*words):
        dmm.Inputs([string])


def test_formulas_tell_numbers_from_channels():
    program = dmm.write_program("accum.dict-2 <- input.char\noutput.dict-1 <- accum.dict").reading_values()
    assert str(dmm.formula(program)).startswith("left[t+2]  = Σ number")


def test_the_stepper_shows_numbers_and_ends(tmp_path):
    program = dmm.write_program("accum.dict-2 <- input.char\noutput.dict-1 <- accum.dict").reading_values()
    dmm.step_through(program, [1.5, {"a": 2.0}], 8, 3, after_end="nothing").save(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1])["words"][1] == {"a": 2.0}
    assert "value_input" in page


def test_squares_of_errors_are_taken_in_the_precision_of_the_run():
    engine, weights = dmm.Engine(LAYERS, dmm.Inputs(["ab.a"], 30, 3), np.float32), LAYERS.vector()
    wanted = np.random.default_rng(2).normal(size=engine.answers(weights).shape).astype(np.float32)
    errors, total = (engine.answers(weights) - wanted).ravel(), 0.0
    for error in errors:
        total += float(np.float32(error * error))
    assert engine.squared_errors(weights, wanted)[0] == np.float32(total)
