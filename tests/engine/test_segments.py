"""Runs that are cut into segments: the same values bit by bit, the same gradients, and memory that does not grow."""

import autograd.numpy as np
import numpy as onp
import pytest
from conftest import refused
from hypothesis import given
from hypothesis import strategies as st
from test_engine import MACHINES, random_weights, wired_machines

from dmmlab.builders import recurrent
from dmmlab.engine import Engine
from dmmlab.engine.compiled_machine import divide
from dmmlab.inputs import Inputs
from dmmlab.learn.objective import Objective


def compiled(machine, *fed, **options):
    """The engine of a machine for some strings, ticks and speeds."""
    return Engine(machine, Inputs(*fed), **options)


MEMORIES = [0.02, 0.01, 0.004, 1e-6]  # MB: some segments and many


def both(engine, weights, memory_gradient):
    answers = engine.answers(weights)
    probe = onp.random.default_rng(0).normal(size=answers.shape)
    return answers, *(engine.pull(weights, probe, memory_gradient) for _ in range(2))


@pytest.mark.parametrize("memory_gradient", ["full", "truncated"])
@pytest.mark.parametrize("name", MACHINES)
def test_segments_change_no_bit_of_the_answers_and_nothing_of_the_gradient(name, memory_gradient):
    machine = random_weights(MACHINES[name], 1, scale=0.3)
    weights = machine.vector() * onp.array([[1.0], [0.5], [0.7]])
    fed = ["abca. b", "zz."], [34, 20], 4
    answers, gradient, _ = both(compiled(machine, *fed), weights, memory_gradient)
    counts = set()
    for memory in MEMORIES:
        engine = compiled(machine, *fed, memory=memory)
        counts.add(engine.segments(0))
        got, *gradients = both(engine, weights, memory_gradient)
        onp.testing.assert_array_equal(got, answers)
        onp.testing.assert_array_equal(engine.answers(weights), answers)
        for each in gradients:  # asked twice: the buffers hold other segments by then
            onp.testing.assert_allclose(each, gradient, rtol=1e-12, atol=1e-12 * onp.abs(gradient).max())
    assert max(counts) == 34
    assert min(counts) > 1


@given(
    machine=wired_machines(), memory=st.sampled_from(MEMORIES), memory_gradient=st.sampled_from(["full", "truncated"])
)
def test_any_wiring_can_be_cut_anywhere(machine, memory, memory_gradient):
    answers, gradient, _ = both(compiled(machine, "ab.b", 13, 3), machine.vector(), memory_gradient)
    got, once, twice = both(compiled(machine, "ab.b", 13, 3, memory=memory), machine.vector(), memory_gradient)
    onp.testing.assert_array_equal(got, answers)
    scale = max(1.0, onp.abs(gradient).max(initial=0.0))
    onp.testing.assert_allclose(once / scale, gradient / scale, rtol=1e-9, atol=1e-12)
    onp.testing.assert_array_equal(twice, once)


@pytest.mark.parametrize("name", ["feedforward", "recurrent"])
@pytest.mark.parametrize("memory", [0.2, 1.0, 3.0])
def test_a_gradient_keeps_within_its_memory_however_long_it_runs(name, memory):
    machine = random_weights(MACHINES[name], 2, scale=0.1)
    for ticks in (500, 2000, 20_000):
        engine = compiled(machine, "test string.", ticks, memory=memory)
        assert sum(engine.buffer_sizes) * 8 <= 1e6 * memory


def test_values_that_fit_are_kept_and_no_segment_is_run_twice():
    length, kept = divide(1000, 1400)
    assert kept == -(-1000 // length) > 1
    length, kept = divide(5000, 1400)
    assert -(-5000 // length) > kept > 1


def test_memory_may_be_without_end():
    engine = compiled(random_weights(recurrent(1), 3), "ab.", 5000, memory=float("inf"))
    assert engine.segments(0) == 1


def test_memory_is_a_positive_number():
    for memory in (0, -1, True, "100", float("nan")):
        with refused("memory (MB) is"):
            compiled(recurrent(1), "ab", memory=memory)


def test_an_objective_passes_its_memory_on():
    from dmmlab.learn.tasks import Task

    machine, task = random_weights(MACHINES["recurrent"], 4, scale=0.1), Task(["abab"], ticks=600)
    slow, quick = (Objective(machine, task, memory=memory) for memory in (0.1, 100.0))
    assert slow.engine.segments(0) > quick.engine.segments(0) == 1
    for a, b in zip(slow.value_and_grad(slow.weights), quick.value_and_grad(quick.weights), strict=True):
        onp.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert np.abs(b).max() > 0
