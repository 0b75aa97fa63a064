"""The two-stroke cycle: the detector against a plain count, the down movement against loops, derivatives."""

import autograd.numpy as np
import pytest
from autograd import grad
from autograd.test_util import check_grads
from conftest import check_directional, close, flatten, refused, trees
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dmmlab.builders import feedforward, handcrafted_detector, recurrent
from dmmlab.interpreter import answers, cycle, down, trace
from dmmlab.machines import Link, Machine
from dmmlab.vvalues import VValue, inner, max_norm

DETECTOR = handcrafted_detector()

# ---- the detector ----


def counted(string, ticks, speed, dot_clip=4):
    """What the detector must answer, by counting characters: emitted at c, in right at c+3, in left at c+4."""
    emitted = {1 + speed * k: string[min(k, len(string) - 1)] for k in range(ticks)}
    rows = []
    for tick in range(1, ticks + 1):
        for_left = [char for c, char in emitted.items() if c + 4 <= tick]
        for_right = [char for c, char in emitted.items() if c + 3 <= tick]
        most = max(map(for_left.count, for_left), default=0)
        rows.append([max(most - 1, 0), min(for_right.count("."), dot_clip)])
    return np.array(rows, dtype=float)


@pytest.mark.parametrize("ticks", [140, 150])
def test_the_detector_counts_the_journal_s_string(ticks):
    assert np.array_equal(answers(DETECTOR, "test string.", ticks), counted("test string.", ticks, 10))


@settings(max_examples=40)
@given(st.text("ab. é:", min_size=1, max_size=7), st.integers(1, 7), st.integers(1, 45))
def test_the_detector_counts_any_string_at_any_speed(string, speed, ticks):
    found = answers(DETECTOR, string, ticks, ticks_per_character=speed)
    assert np.array_equal(found, counted(string, ticks, speed))


@pytest.mark.parametrize("dot_clip", [1.0, 2.5, 100.0])
def test_the_detector_clips_where_it_says(dot_clip):
    found = answers(handcrafted_detector(dot_clip), "......", 15, ticks_per_character=1)
    assert np.array_equal(found, counted("......", 15, 1, dot_clip))
    assert found[:, 1].max() == min(dot_clip, 12.0)


def test_without_ticks_a_run_is_as_long_as_the_string_and_twenty_more():
    assert answers(DETECTOR, "abc").shape == (50, 2)
    assert answers(DETECTOR, "abc", ticks_per_character=2).shape == (26, 2)
    assert len(trace(DETECTOR, "abc", ticks=7)) == 7


def test_a_trace_shows_what_every_neuron_receives_and_emits():
    ticks = trace(DETECTOR, "aa.", ticks=9, ticks_per_character=2)
    assert [each.tick for each in ticks] == list(range(1, 10))
    assert ticks[0].inputs == VValue()
    assert ticks[0].outputs == VValue(
        {"timer": {"timer": 1}, "input": {"char": {"a": 1}}, "const_1": {"const_1": 1}, "eos": {"char": {".": 1}}}
    )
    assert ticks[1].inputs == VValue(
        {
            "timer": {"timer": 1},
            "input": {"timer": 1},
            "accum": {"dict-2": {"a": 1}},
            "compare": {"dict-2": 1},
            "dot": {"dict-2": {".": 1}},
        }
    )
    assert ticks[1].outputs["input"] == VValue()
    assert ticks[1].outputs["compare"] == {"false": 1}
    assert ticks[4].outputs["timer"] == {"timer": 5}
    assert ticks[4].outputs["input"] == {"char": {".": 1}}
    assert ticks[5].inputs["accum"] == {"dict-1": {"a": 2}, "dict-2": {".": 1}}
    assert ticks[5].outputs["accum"] == {"dict": {"a": 2, ".": 1}}
    assert ticks[6].outputs["dot"] == {"dot": 1}
    assert ticks[6].outputs["norm"] == {"norm": 2}
    assert ticks[7].inputs["output"] == {"dict-1": 1, "dict-2": 1}


def test_the_output_is_the_neuron_of_that_kind_whatever_its_name():
    renamed = Machine({"in": "input", "accum": "accum", "out": "output"}).link("out.dict-1", "accum.dict", 1.0)
    assert renamed.output == "out" and answers(renamed, "a", 3).shape == (3, 2)
    with refused("exactly one"):
        answers(Machine({"accum": "accum"}), "a", 3)


# ---- the down movement ----

ENDS = [("p", "f"), ("p", "g"), ("q", "f"), ("q", ".")]
WEIGHTS = st.integers(-3, 3).map(float) | st.floats(-10, 10)
FIELDS = trees(WEIGHTS).map(VValue)
MATRICES = st.dictionaries(st.tuples(st.sampled_from(ENDS), st.sampled_from(ENDS)), WEIGHTS, max_size=6)
STREAMS = st.dictionaries(st.sampled_from(ENDS), FIELDS, max_size=4)


def matrix_of(links):
    return sum((VValue({a: {b: {c: {d: x}}}}) for ((a, b), (c, d)), x in links.items()), VValue())


def streams_of(fields):
    return sum((VValue({neuron: {field: x}}) for (neuron, field), x in fields.items()), VValue())


@given(MATRICES, STREAMS)
def test_every_field_gets_the_combination_that_its_row_asks_for(links, fields):
    expected = VValue()
    for (to, source), weight in links.items():
        expected = expected + streams_of({to: weight * fields.get(source, VValue())})
    assert close(down(matrix_of(links), streams_of(fields)), expected)


@given(MATRICES, MATRICES, STREAMS, WEIGHTS)
def test_down_is_linear_in_the_matrix(links, others, fields, s):
    m, n, x = matrix_of(links), matrix_of(others), streams_of(fields)
    assert close(down(s * m + n, x), s * down(m, x) + down(n, x))


@given(MATRICES, STREAMS, STREAMS, WEIGHTS)
def test_down_is_linear_in_the_outputs(links, fields, others, s):
    m, x, y = matrix_of(links), streams_of(fields), streams_of(others)
    assert close(down(m, s * x + y), s * down(m, x) + down(m, y))


@given(MATRICES, STREAMS, STREAMS)
def test_the_gradient_of_down_is_its_transpose(links, fields, others):
    m, x, y = matrix_of(links), streams_of(fields), streams_of(others)
    expected = {(to, source): inner(a, b) for to, a in others.items() for source, b in fields.items() if inner(a, b)}
    assert close(grad(lambda m: inner(down(m, x), y))(m), matrix_of(expected))
    turned = {(source, to): weight for (to, source), weight in links.items()}
    assert close(grad(lambda x: inner(down(m, x), y))(x), down(matrix_of(turned), y))


def test_derivatives_of_down_agree_with_numbers():
    m = VValue({"p": {"f": {"q": {"g": 0.7, "f": -1.1}}}, "q": {"f": {"q": {"g": 1.3}}}})
    x = VValue({"q": {"g": {"a": 0.4, "b": {"c": 1.6, ":number": 0.9}}, "f": 2.1}})
    check_grads(down, (0, 1), modes=["rev", "fwd"], order=2)(m, x)


@settings(max_examples=20)
@given(MATRICES, STREAMS, MATRICES, STREAMS, STREAMS)
def test_directional_derivatives_of_down_agree_with_differences_at_every_path(links, fields, others, more, probes):
    m, x, dm, dx, probe = matrix_of(links), streams_of(fields), matrix_of(others), streams_of(more), streams_of(probes)
    assume(all(max_norm(each) < 20 for each in (m, x, dm, dx, probe)))
    for f, v, direction in [(lambda m: down(m, x), m, dm), (lambda x: down(m, x), x, dx)]:
        check_directional(f, v, direction)
    for argument, v, direction in [(0, m, dm), (1, x, dx)]:
        slope = grad(lambda m, x: inner(down(m, x), probe), 1 - argument)
        check_directional(lambda v, a=argument, s=slope: s(v, x) if a == 0 else s(m, v), v, direction)
    check_directional(lambda probe: grad(lambda m: inner(down(m, x), probe))(m), probe, streams_of(more))
    check_directional(lambda probe: grad(lambda x: inner(down(m, x), probe))(x), probe, streams_of(more))


@pytest.mark.parametrize("probe", [{"p": 2.0}, 2.0, {"p": {"f": 3.0, ":number": 2.0}, ":number": 1.0}], ids=str)
def test_down_has_a_gradient_for_probes_that_are_no_streams(probe):
    m, x = VValue({"p": {"f": {"q": {"g": 1.0}}}}), VValue({"q": {"g": 5.0}})
    weight = VValue(probe)["p"]["f"] if isinstance(probe, dict) and isinstance(probe["p"], dict) else 0.0
    expected = VValue({"p": {"f": {"q": {"g": 5.0 * weight}}}})
    assert grad(lambda m: inner(down(m, x), VValue(probe)))(m) == expected
    expected = VValue({"q": {"g": weight}})
    assert grad(lambda x: inner(down(m, x), VValue(probe)))(x) == expected


# ---- derivatives of a run ----


def generic(machine, scale=0.7):
    """Weights far from each other and from zero."""
    rng = np.random.default_rng(5)
    n = len(machine.links)
    return machine.with_vector(rng.choice([-1, 1], n) * rng.uniform(0.5, 1.5, n) * scale)


LOOPS = {
    "accum-1.dict-2 <- input.char": 0.7,
    "accum-1.dict-1 <- accum-1.dict": 0.6,
    "accum-1.dict-1 <- compare-1.true": 0.35,
    "dot-1.dict-1 <- accum-1.dict": 1.2,
    "dot-1.dict-2 <- eos.char": 0.9,
    "compare-1.dict-1 <- const_1.const_1": 1.1,
    "compare-1.dict-2 <- dot-1.dot": 0.55,
    "norm-1.dict <- accum-1.dict": 0.8,
    "norm-1.dot <- compare-1.dict": 5.0,
    "output.dict-1 <- norm-1.norm": 1.3,
    "output.dict-2 <- compare-1.true": -0.45,
}
RECURRENT = recurrent().with_weights(
    matrix_of({tuple(tuple(end.rsplit(".", 1)) for end in link.split(" <- ")): x for link, x in LOOPS.items()})
)
TINY = {
    "detector": (DETECTOR.with_vector([0.8, 1.1, 0.9, 0.45, 1.2, 0.7, 1.3, 0.6]), "aab.", 11),
    "feedforward": (generic(feedforward(1, 1)), "ab.", 8),
    "two layers": (generic(feedforward(2, 1), 0.3), "a.b", 7),
    "recurrent": (RECURRENT, ".a", 9),
    "id": (
        Machine({"input": "input", "id": "id", "norm": "norm", "output": "output"})
        .link("id.x", "input.char", 0.7)
        .link("id.y", "id.x", 0.6)
        .link("id.y", "id.y", 0.9)
        .link("norm.dict", "id.y", 1.1)
        .link("output.dict-1", "norm.norm", 1.3)
        .link("output.dict-2", "norm.norm", -0.4),
        "ab",
        8,
    ),
}


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("mode", ["rev", "fwd"])
def test_derivatives_of_answers_agree_with_numbers_to_second_order(name, mode):
    machine, string, ticks = TINY[name]

    def run(weights):
        return answers(machine, string, ticks, ticks_per_character=1, weights=weights)

    assert run(machine.weights).any()
    check_grads(run, modes=[mode], order=2)(machine.weights)


@pytest.mark.parametrize("name", ["detector", "feedforward"])
def test_the_gradient_reaches_every_link_that_is_not_there(name):
    machine, string, ticks = TINY[name]
    probe = np.random.default_rng(1).normal(size=(ticks, 2))

    def loss(weights):
        return np.sum(probe * answers(machine, string, ticks, ticks_per_character=1, weights=weights))

    gradient = grad(loss)(machine.weights)
    ends = [("norm", "dict"), ("output", "dict-2")] if name == "detector" else [("norm-1-1", "dict")]
    sources = [("eos", "char"), ("const_1", "const_1"), ("input", "char")]
    for to in ends:
        for source in sources:
            link = Link(*to, *source)
            step = 1e-6 * matrix_of({(to, source): 1.0})
            slope = (loss(machine.weights + step) - loss(machine.weights - step)) / 2e-6
            found = flatten(gradient).get(tuple(link), 0.0)
            assert found == pytest.approx(slope, rel=1e-5, abs=1e-6), str(link)


MEMORY = Machine(
    {"const_1": "const_1", "accum": "accum", "output": "output"},
    {"accum": {"dict-2": {"const_1": {"const_1": 0.5}}}, "output": {"dict-1": {"accum": {"dict": 3.0}}}},
    {"accum": {"dict-1": {"accum": {"dict": 1.0}}}},
)


def slopes(machine, tick, gradient, side=0):
    """The derivatives of an answer with respect to the links that the machine has."""

    def answer(weights):
        return answers(machine, "x", tick, weights=weights, memory_gradient=gradient)[-1, side]

    gradient = flatten(grad(answer)(machine.weights))
    return {str(link): gradient[link] for link in machine.links if link in gradient}


@pytest.mark.parametrize(("tick", "kept"), [(2, 0), (3, 1), (4, 2), (5, 3)])
def test_the_truncated_gradient_forgets_what_an_accumulator_remembers(tick, kept):
    # The answer at tick t is 3 · (t − 2) · 0.5: the accumulator has added its input t − 2 times.
    assert answers(MEMORY, "x", tick)[-1, 0] == 3.0 * kept * 0.5
    into, out = "accum.dict-2 <- const_1.const_1", "output.dict-1 <- accum.dict"
    full, truncated = slopes(MEMORY, tick, "full"), slopes(MEMORY, tick, "truncated")
    assert full.get(into, 0.0) == 3.0 * kept
    assert truncated.get(into, 0.0) == 3.0 * min(kept, 1)
    assert full.get(out, 0.0) == truncated.get(out, 0.0) == 0.5 * kept


def test_the_truncated_gradient_does_not_change_the_answers():
    machine, string, ticks = TINY["detector"]
    full, truncated = (answers(machine, string, ticks, memory_gradient=each) for each in ("full", "truncated"))
    assert np.array_equal(full, truncated)


def test_the_truncated_gradient_does_not_pass_through_id():
    machine = TINY["id"][0]
    assert set(slopes(machine, 8, "truncated")) == {"output.dict-1 <- norm.norm", "norm.dict <- id.y"}
    assert len(slopes(machine, 8, "full")) == 5


def test_where_dot_clips_its_gradient_is_zero():
    def run(weights):
        return answers(DETECTOR, "......", 12, ticks_per_character=1, weights=weights)[:, 1]

    assert run(DETECTOR.weights).tolist() == [0, 0, 0, 1, 2, 3, 4, 4, 4, 4, 4, 4]
    for tick, dots in [(5, 2.0), (6, 3.0), (7, 0.0), (9, 0.0)]:
        gradient = grad(lambda weights, at=tick - 1: run(weights)[at])(DETECTOR.weights)
        assert gradient["accum"]["dict-2"]["input"] == VValue({"char": dots})


def test_a_tie_of_the_norm_shares_its_gradient_evenly():
    machine = Machine({"input": "input", "eos": "eos", "norm": "norm", "output": "output"})
    machine = machine.link("norm.dict", "input.char", 2.0).link("norm.dict", "eos.char", 2.0)
    machine = machine.link("output.dict-1", "norm.norm", 1.0)
    gradient = grad(lambda w: answers(machine, "a", 3, ticks_per_character=1, weights=w)[-1, 0])(machine.weights)
    assert gradient["norm"]["dict"] == VValue({"input": {"char": 0.5}, "eos": {"char": 0.5}})


def test_weights_may_be_assembled_from_traced_numbers():
    def loss(x):
        row = VValue({"const_1": {"const_1": x}})
        return answers(MEMORY, "x", 4, weights=VValue({"output": {"dict-1": row}}))[-1, 0] ** 2

    assert grad(loss)(2.0) == 4.0


# ---- what is refused ----


@pytest.mark.parametrize(
    "run", [trace, answers, lambda *a, **k: list(cycle(*a, **k))], ids=["trace", "answers", "cycle"]
)
@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"string": ""}, "string"),
        ({"string": None}, "string"),
        ({"string": [None]}, "string"),
        ({"ticks": 0}, "ticks"),
        ({"ticks": -1}, "ticks"),
        ({"ticks": 1.5}, "ticks"),
        ({"ticks": True}, "ticks"),
        ({"ticks": "9"}, "ticks"),
        ({"ticks_per_character": 0}, "ticks_per_character"),
        ({"ticks_per_character": 2.0, "ticks": None}, "ticks_per_character"),
        ({"ticks_per_character": True, "ticks": None}, "ticks_per_character"),
    ],
    ids=str,
)
def test_a_run_of_nonsense_is_refused(run, options, word):
    with refused(word):
        run(DETECTOR, **{"string": "ab", "ticks": 3, **options})


@pytest.mark.parametrize("word", ["half", None, True])
def test_an_unknown_gradient_is_refused(word):
    with refused("memory_gradient", "'full'", "'truncated'"):
        answers(DETECTOR, "ab", 3, memory_gradient=word)


def test_numpy_whole_numbers_are_whole_numbers():
    assert answers(DETECTOR, "ab", np.int64(3), ticks_per_character=np.int32(2)).shape == (3, 2)
