"""The engine against the interpreter: values and both gradients, single and batched; finite differences."""

import copy

import autograd.numpy as np
import numpy as onp
import pytest
from autograd import grad, make_vjp
from hypothesis import given
from hypothesis import strategies as st

from dmmlab.builders import feedforward, handcrafted_detector, recurrent, write_program
from dmmlab.engine import Engine, run
from dmmlab.files import DMMError
from dmmlab.inputs import Inputs
from dmmlab.interpreter import answers
from dmmlab.machines import Machine
from dmmlab.neurons import CHARS, KINDS, SCALAR, STREAM, kind
from dmmlab.synthesis.liveness import remove_dead
from dmmlab.vvalues import VValue


def compiled(machine, *fed, **options):
    """The engine of a machine for some strings, ticks and speeds."""
    return Engine(machine, Inputs(*fed), **options)


CLOSE = {"rtol": 1e-9, "atol": 1e-9}
MACHINES = {
    "handcrafted": handcrafted_detector(),
    "feedforward": feedforward(2, 2),
    "deep": feedforward(4, 1),
    "compare-free": feedforward(3, 1, ("accum", "norm", "dot")),
    "layers with id": feedforward(3, 1, ("accum", "norm", "dot", "compare", "id"), skip=False),
    "recurrent": recurrent(1),
    "recurrent two copies": recurrent(2),
}


def random_weights(machine, seed, scale=0.4):
    return machine.with_vector(np.random.RandomState(seed).normal(scale=scale, size=len(machine.links)))


def interpreted(machine, string, ticks, speed, probe, memory_gradient):
    """Answers, and the gradient of Σ probe · answers at the machine's links, by the interpreter."""

    def loss(weights):
        got = answers(
            machine, string, ticks, ticks_per_character=speed, weights=weights, memory_gradient=memory_gradient
        )
        return np.sum(probe * got)

    leaves = dict(grad(loss)(machine.weights).leaves())
    values = answers(machine, string, ticks, ticks_per_character=speed)
    return values, np.array([leaves.get(link, 0.0) for link in machine.links])


@pytest.mark.parametrize("memory_gradient", ["full", "truncated"])
@pytest.mark.parametrize("name", MACHINES)
def test_values_and_gradients_equal_the_interpreters(name, memory_gradient):
    machine = random_weights(MACHINES[name], 1)
    probe = np.random.RandomState(2).normal(size=(34, 2))
    values, gradient = interpreted(machine, "abca. b", 34, 4, probe, memory_gradient)
    engine = compiled(machine, "abca. b", 34, 4)
    engine_gradient = grad(lambda w: np.sum(probe * engine.answers(w, memory_gradient)[0]))(machine.vector())
    scale = max(1.0, np.abs(gradient).max())
    onp.testing.assert_allclose(
        engine.answers(machine.vector())[0], values, rtol=1e-9, atol=1e-9 * np.abs(values).max()
    )
    onp.testing.assert_allclose(engine_gradient / scale, gradient / scale, **CLOSE)
    assert np.abs(gradient).max() > 0


@st.composite
def wired_machines(draw):
    """A few neurons of any kind, wired at random: loops, several memories, soft memories, idle neurons, id."""
    kinds = draw(st.lists(st.sampled_from(["accum", "norm", "dot", "compare", "id"]), min_size=1, max_size=6))
    sources = {"timer": "timer", "input": "input", "eos": "eos", "const_1": "const_1", "output": "output"}
    neurons = sources | {f"{name}-{i}": name for i, name in enumerate(kinds)}
    machine = Machine(neurons).link("timer.timer", "timer.timer", 1.0, fixed=True)
    machine = machine.link("input.timer", "timer.timer", 1.0, fixed=True)
    fields = {name: ("inputs", "outputs") if kind == "id" else () for name, kind in neurons.items()}
    ins, outs = [], []
    for name, kind_name in neurons.items():
        if name in ("timer", "input"):
            outs += [f"{name}.{field}" for field in KINDS[kind_name].outputs]
            continue
        ins += [f"{name}.{field}" for field in (["x", "y"] if fields[name] else KINDS[kind_name].inputs)]
        outs += [f"{name}.{field}" for field in (["x", "y"] if fields[name] else KINDS[kind_name].outputs)]
    pairs = draw(st.lists(st.tuples(st.sampled_from(ins), st.sampled_from(outs)), min_size=4, max_size=20, unique=True))
    for to, source in pairs:
        own_memory = KINDS[neurons[to.split(".")[0]]].memory == to.split(".")[1] and to.split(".")[0] in source
        fixed = draw(st.booleans()) if not own_memory else draw(st.sampled_from([True, True, False]))
        weight = 1.0 if own_memory and fixed else draw(st.sampled_from([-0.7, -0.3, 0.4, 0.9, 1.0]))
        machine = machine.link(to, source, weight, fixed=fixed)
    return machine


@given(machine=wired_machines(), memory_gradient=st.sampled_from(["full", "truncated"]))
def test_any_wiring_gives_what_the_interpreter_gives(machine, memory_gradient):
    probe = np.random.RandomState(0).normal(size=(13, 2))
    values, gradient = interpreted(machine, "ab.b", 13, 3, probe, memory_gradient)
    engine = compiled(machine, "ab.b", 13, 3)
    pull, engine_values = make_vjp(lambda w: engine.answers(w, memory_gradient))(machine.vector())
    onp.testing.assert_allclose(engine_values[0], values, rtol=1e-9, atol=1e-9)
    scale = max(1.0, np.abs(gradient).max()) if len(gradient) else 1.0
    onp.testing.assert_allclose(pull(probe[None]) / scale, gradient / scale, **CLOSE)


@pytest.mark.parametrize("name", ["feedforward", "recurrent"])
def test_a_batch_is_its_members_one_by_one(name):
    machine = MACHINES[name]
    weights = np.random.RandomState(3).normal(scale=0.4, size=(19, len(machine.links)))
    engine = compiled(machine, ["ab.", "hello. all."], [20, 61], [6, 5])

    def loss(w):
        return np.sum(engine.answers(w, "truncated") ** 2)

    together, gradients = engine.answers(weights), grad(loss)(weights)
    assert together.shape == (len(weights), 2, 61, 2)
    for member, alone in enumerate(weights):
        onp.testing.assert_allclose(together[member], engine.answers(alone), **CLOSE)
        onp.testing.assert_allclose(gradients[member], grad(loss)(alone), **CLOSE)


def test_a_batch_of_strings_is_its_strings_one_by_one():
    machine = random_weights(MACHINES["feedforward"], 4)
    engine = compiled(machine, ["ab.", "hello. all.", "z"], [20, 61, 30], [6, 5, 1])
    together = engine.answers(machine.vector())
    for row, string, ticks, speed in zip(
        together, engine.strings, engine.ticks, engine.ticks_per_character, strict=True
    ):
        onp.testing.assert_allclose(row[:ticks], answers(machine, string, ticks, ticks_per_character=speed), **CLOSE)


def test_links_that_nothing_live_reaches_have_no_gradient_and_do_no_harm():
    machine = handcrafted_detector()
    idle = Machine({**machine.neurons, "idle": "norm"}, machine.weights, machine.fixed, machine.links)
    idle = idle.link("idle.dict", "accum.dict", 3.0)
    engine = compiled(idle, "aa.", 40)
    onp.testing.assert_array_equal(engine.answers(idle.vector())[0], run(machine, "aa.", 40))
    assert grad(lambda w: np.sum(engine.answers(w)))(idle.vector())[-1] == 0.0


def test_the_links_of_the_program_are_those_that_can_matter():
    machine = random_weights(recurrent(2), 1)
    engine = compiled(machine, "ab.", 30)
    alive = {str(link) for link in remove_dead(machine).links}
    used = {str(link) for link, used in zip(machine.links, engine.used, strict=True) if used}
    assert alive == used
    assert not engine.pull(machine.vector(), np.ones((1, 30, 2)))[~engine.used].any()


def kinks(loss, weights, steps):
    """For each weight: whether central differences at two step widths disagree, as they do across a kink."""
    slopes = []
    for step in steps:
        shifts = step * np.eye(len(weights))
        slopes.append((loss(weights + shifts) - loss(weights - shifts)) / (2 * step))
    return slopes[0], np.abs(slopes[0] - slopes[1]) > 1e-5 * np.maximum(1.0, np.abs(slopes[0]))


@pytest.mark.parametrize("name", ["feedforward", "recurrent"])
def test_the_gradient_is_that_of_finite_differences_away_from_kinks(name):
    machine = random_weights(MACHINES[name], 5, scale=0.3)
    engine = compiled(machine, "abca.", 40, 6)
    probe = np.random.RandomState(6).normal(size=(1, 40, 2))

    def loss(w):
        return np.sum(probe * engine.answers(w), axis=(-3, -2, -1))

    weights = machine.vector()
    slopes, kinked = kinks(loss, weights, (1e-5, 5e-6))
    assert kinked.mean() < 0.05
    gradient = grad(loss)(weights)
    onp.testing.assert_allclose(gradient[~kinked], slopes[~kinked], rtol=1e-4, atol=1e-5)


def test_a_hard_compare_has_no_derivative():
    machine = random_weights(feedforward(2, 1, ("accum", "norm", "hard_compare")), 5)
    probe = np.random.RandomState(2).normal(size=(34, 2))
    values, gradient = interpreted(machine, "abca. b", 34, 4, probe, "full")
    engine = compiled(machine, "abca. b", 34, 4)
    onp.testing.assert_allclose(engine.answers(machine.vector())[0], values, **CLOSE)
    got = grad(lambda w: np.sum(probe * engine.answers(w)[0]))(machine.vector())
    onp.testing.assert_allclose(got, gradient, **CLOSE)
    into = [link.to_neuron.startswith("hard_compare") for link in machine.links]
    assert not got[into].any()
    assert got[~np.array(into)].any()


def test_values_alone_are_those_that_come_with_a_gradient_for_fields_of_characters_too():
    @kind("letters", {"x": CHARS}, {"norm": SCALAR})
    def letters(x, ops):
        return {"norm": ops.max_norm(x["x"])}

    try:
        program = "accum.dict-2 <- input.char\naccum.dict-2 <- 5 const_1.const_1\nletters.x <- accum.dict\n"
        machine = write_program(program + "output.dict-1 <- letters.norm")
        engine = compiled(machine, "ab", 12, 2)
        onp.testing.assert_allclose(
            engine.answers(machine.vector())[0], answers(machine, "ab", 12, ticks_per_character=2), **CLOSE
        )
    finally:
        del KINDS["letters"]


def test_at_a_tie_of_the_norm_the_gradient_is_the_mean_of_both_sides():
    # 'ab' leaves both counts at 1: raising one weight alone is impossible, so two accumulators tie instead.
    machine = Machine({"const_1": "const_1", "norm": "norm", "input": "input", "eos": "eos", "output": "output"})
    machine = machine.link("norm.dict", "const_1.const_1", 2.0).link("norm.dict", "eos.char", -2.0)
    machine = machine.link("output.dict-1", "norm.norm", 1.0)
    engine = compiled(machine, "a", 3)
    gradient = grad(lambda w: engine.answers(w)[0, 2, 0])(machine.vector())
    onp.testing.assert_array_equal(gradient, [0.5, -0.5, 2.0])


def test_where_dot_clips_its_gradient_is_zero():
    machine = handcrafted_detector(dot_clip=1.5)
    engine = compiled(machine, "...", 60)
    last = grad(lambda w: engine.answers(w)[0, -1, 1])(machine.vector())
    assert engine.answers(machine.vector())[0, -1, 1] == 1.5
    assert last[[str(link).startswith("dot") for link in machine.links]].tolist() == [0.0, 0.0]


def test_single_precision_is_close_and_stays_single():
    machine = random_weights(MACHINES["feedforward"], 7, scale=0.1)
    single, double = (compiled(machine, "abca.", 40, 6, dtype=dtype) for dtype in (np.float32, np.float64))
    got = single.answers(machine.vector())
    assert got.dtype == np.float32
    onp.testing.assert_allclose(got, double.answers(machine.vector()), rtol=1e-4, atol=1e-4)


def test_an_old_gradient_survives_later_evaluations():
    machine = random_weights(MACHINES["feedforward"], 8)
    engine, weights = compiled(machine, "ab.", 30), machine.vector()
    probe = np.ones((1, 30, 2))
    pull, _ = make_vjp(engine.answers)(weights)
    before = pull(probe)
    make_vjp(engine.answers)(weights * 0.5)[0](probe)
    engine.answers(weights * 2.0)
    onp.testing.assert_array_equal(pull(probe), before)


def test_a_copy_of_a_used_engine_computes_what_the_original_does():
    machine = random_weights(MACHINES["feedforward"], 9)
    engine, weights = compiled(machine, "ab.", 30), machine.vector()
    before = engine.answers(weights * 0.5)
    twin = copy.deepcopy(engine)
    engine.answers(weights)
    onp.testing.assert_array_equal(twin.answers(weights * 0.5), before)


def test_a_renamed_output_answers_the_same_in_both_engines():
    machine = Machine({"eos": "eos", "norm": "norm", "out": "output"}).link("norm.dict", "eos.char", 2.0)
    machine = machine.link("out.dict-2", "norm.norm", 1.0)
    onp.testing.assert_array_equal(run(machine, "ab", 5), answers(machine, "ab", 5))
    assert run(machine, "ab", 5)[-1].tolist() == [0.0, 2.0]


def test_second_derivatives_are_refused_not_wrong():
    machine = handcrafted_detector()
    engine = compiled(machine, "ab.", 30)
    first = grad(lambda w: np.sum(engine.answers(w) ** 2))
    with pytest.raises(DMMError, match="first derivatives only"):
        grad(lambda w: np.sum(first(w)))(machine.vector())


def test_a_new_kind_is_one_function_for_both_engines():
    @kind("halve", {"x": STREAM}, {"x": SCALAR})
    def halve(x, ops):
        size = ops.max_norm(x["x"])
        return {"x": ops.difference(size, ops.clip(size, 0.5))}

    try:
        machine = handcrafted_detector()
        machine = Machine({**machine.neurons, "new": "halve"}, machine.weights, machine.fixed, machine.links)
        machine = machine.link("new.x", "accum.dict", 0.9).link("output.dict-1", "new.x", 0.4)
        probe = np.random.RandomState(1).normal(size=(40, 2))
        values, gradient = interpreted(machine, "abab", 40, 5, probe, "full")
        engine = compiled(machine, "abab", 40, 5)
        onp.testing.assert_allclose(engine.answers(machine.vector())[0], values, **CLOSE)
        got = grad(lambda w: np.sum(probe * engine.answers(w)[0]))(machine.vector())
        onp.testing.assert_allclose(got, gradient, **CLOSE)
    finally:
        del KINDS["halve"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("",), "no characters"),
        (([],), "no strings"),
        (("ab", 0), "ticks is 0"),
        (("ab", 1.5), "ticks is 1.5"),
        (("ab", 10, 0), "ticks_per_character is 0"),
        ((["ab", "c"], [10, 20, 30]), "3 ticks"),
    ],
)
def test_bad_runs_are_refused(arguments, word):
    with pytest.raises(DMMError, match=word):
        compiled(handcrafted_detector(), *arguments)


def test_what_is_no_machine_string_or_type_is_refused():
    for arguments in ((None, "ab"), (handcrafted_detector(), 5)):
        with pytest.raises(DMMError):
            compiled(*arguments)
    with pytest.raises(DMMError, match="dtype"):
        compiled(handcrafted_detector(), "ab", dtype=int)
    with pytest.raises(DMMError, match="no inputs"):
        Engine(handcrafted_detector(), "ab")
    with pytest.raises(DMMError, match="no array of numbers"):
        compiled(handcrafted_detector(), "ab").answers("x")


def test_weights_of_the_wrong_length_are_refused():
    with pytest.raises(DMMError, match="8 links"):
        compiled(handcrafted_detector(), "ab").answers(np.zeros(9))


def test_a_machine_without_output_is_refused():
    with pytest.raises(DMMError, match="exactly one"):
        run(Machine({"eos": "eos"}), "ab")


def test_a_machine_without_links_answers_nothing():
    assert not run(Machine({"output": "output"}, VValue()), "ab", 5).any()


@given(machine=wired_machines())
def test_tangents_and_gradients_are_each_others_transposes(machine):
    engine, weights = compiled(machine, ["ab.b", "a"], [13, 9], [3, 2]), machine.vector()
    rng = onp.random.default_rng(0)
    directions, probe = rng.normal(size=(3, len(weights))), rng.normal(size=(2, 13, 2))
    forwards = (engine.tangents(weights, directions) * probe).sum(axis=(1, 2, 3))
    backwards = directions @ engine.pull(weights, probe)
    scale = max(1.0, onp.abs(backwards).max(initial=0.0))
    onp.testing.assert_allclose(forwards / scale, backwards / scale, **CLOSE)


def test_the_order_of_a_combination_is_that_of_the_links():
    # 1e16 swallows a one that comes before it is gone: only from left to right is the sum 1.
    weights = {"eos.char": 1.0, "letter-a.char": 1e16, "letter-b.char": -1e16}
    machine = write_program("\n".join(f"norm-{i}.dict <- {source}" for i, source in enumerate(weights)))
    for i, weight in enumerate(reversed(weights.values())):
        machine = machine.link("output.dict-1", f"norm-{2 - i}.norm", weight)
    for ticks in (5, 12, 60, 140):
        values = run(machine, "x", ticks)[2:, 0]
        assert values.tolist() == answers(machine, "x", ticks)[2:, 0].tolist() == [1.0] * (ticks - 2)


def test_ends_of_strings_are_zeros_not_what_another_string_does():
    machine = handcrafted_detector()
    both = compiled(machine, ["aaa", "b"], [50, 20]).answers(machine.vector())
    assert not both[1, 20:].any() and both[0, 20:].any()
