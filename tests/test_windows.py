"""Runs gone through in windows: the same values bit by bit, the same gradients, and memory that does not grow."""

import tracemalloc

import autograd.numpy as np
import numpy as onp
import pytest
from conftest import refused
from hypothesis import given
from hypothesis import strategies as st
from test_flat import MACHINES, random_weights, wired_machines

from dmmlab.flat import Flat
from dmmlab.machines import recurrent
from dmmlab.objective import Objective
from dmmlab.windows import LONGEST, Run

MEMORIES = [0.2, 0.1, 0.03, 1e-6]  # MB: some windows and many, some of their arrays put aside and none


def both(flat, weights, memory_gradient):
    answers, pull = flat.vjp(weights, memory_gradient)
    probe = onp.random.default_rng(0).normal(size=answers.shape)
    return answers, pull(probe), pull(probe)


@pytest.mark.parametrize("memory_gradient", ["full", "truncated"])
@pytest.mark.parametrize("name", MACHINES)
def test_windows_change_no_bit_of_the_answers_and_nothing_of_the_gradient(name, memory_gradient):
    machine = random_weights(MACHINES[name], 1, scale=0.3)
    weights = machine.vector() * onp.array([[1.0], [0.5], [0.7]])
    fed = ["abca. b", "zz."], [34, 20], 4
    answers, gradient, _ = both(Flat(machine, *fed), weights, memory_gradient)
    counts = set()
    for memory in MEMORIES:
        flat = Flat(machine, *fed, memory=memory)
        counts.add(len(flat.stock.cut_up(3)))
        got, *gradients = both(flat, weights, memory_gradient)
        onp.testing.assert_array_equal(got, answers)
        onp.testing.assert_array_equal(flat.answers(weights), answers)
        for each in gradients:  # asked twice: the plans hold other windows by then
            onp.testing.assert_allclose(each, gradient, rtol=1e-12, atol=1e-12 * onp.abs(gradient).max())
    assert max(counts) == 34
    assert min(counts) > 1


@given(
    machine=wired_machines(), memory=st.sampled_from(MEMORIES), memory_gradient=st.sampled_from(["full", "truncated"])
)
def test_any_wiring_can_be_cut_anywhere(machine, memory, memory_gradient):
    answers, gradient, _ = both(Flat(machine, "ab.b", 13, 3), machine.vector(), memory_gradient)
    got, once, twice = both(Flat(machine, "ab.b", 13, 3, memory=memory), machine.vector(), memory_gradient)
    onp.testing.assert_array_equal(got, answers)
    scale = max(1.0, onp.abs(gradient).max(initial=0.0))
    onp.testing.assert_allclose(once / scale, gradient / scale, rtol=1e-9, atol=1e-12)
    onp.testing.assert_array_equal(twice, once)


@pytest.mark.parametrize("name", ["feedforward", "recurrent"])
def test_a_gradient_keeps_within_its_memory_however_long_it_runs(name):
    machine, memory = random_weights(MACHINES[name], 2, scale=0.1), 3.0
    peaks = []
    for ticks in (500, 2000):
        flat = Flat(machine, "test string.", ticks, memory=memory)
        ones = onp.ones((1, ticks, 2))
        tracemalloc.start()
        answers, pull = flat.vjp(machine.vector())
        pull(ones)
        peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
        assert peaks[-1] < memory + 3e-8 * answers.nbytes  # answers are copied once on the way
    assert peaks[1] < 1.5 * peaks[0]


def test_what_fits_is_put_aside_and_not_run_again():
    flat = Flat(random_weights(recurrent(1), 3), "ab.", 3 * LONGEST)
    run = Run(flat.stock, flat_weights := onp.zeros((1, flat.compiled.links)), "full")
    run.answer(onp.empty((1, 1, 3 * LONGEST, 2)))
    assert len(run.windows) == 3
    assert [*run.aside] == [0, 1]
    poor = Flat(random_weights(recurrent(1), 3), "ab.", 3 * LONGEST, memory=1.0)
    run = Run(poor.stock, flat_weights, "full")
    run.answer(onp.empty((1, 1, 3 * LONGEST, 2)))
    assert len(run.states) == len(run.windows) > len(run.aside) + 1


def test_memory_may_be_without_end():
    flat = Flat(random_weights(recurrent(1), 3), "ab.", 3 * LONGEST, memory=float("inf"))
    assert len(flat.stock.cut_up(1)) == 3  # loops are cut up all the same


def test_memory_is_a_positive_number():
    for memory in (0, -1, True, "100", float("nan")):
        with refused("memory is", "MB"):
            Flat(recurrent(1), "ab", memory=memory)


def test_an_objective_passes_its_memory_on():
    from dmmlab.tasks import Task

    machine, task = random_weights(MACHINES["recurrent"], 4, scale=0.1), Task(["abab"], ticks=600)
    slow, quick = (Objective(machine, task, memory=memory) for memory in (1.0, 100.0))
    assert len(slow.flat.stock.cut_up(1)) > len(quick.flat.stock.cut_up(1)) > 1
    for a, b in zip(slow.value_and_grad(slow.weights), quick.value_and_grad(quick.weights), strict=True):
        onp.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert np.abs(b).max() > 0
