"""autograd's tools that want vectors, on functions of V-values: flatten, its optimizers, jacobian, hessian."""

import autograd.numpy as np
import pytest
from autograd import elementwise_grad, grad, hessian, hessian_vector_product, jacobian, make_hvp, value_and_grad
from autograd.misc import flatten
from autograd.misc.optimizers import adam, rmsprop, sgd
from autograd.test_util import check_grads
from hypothesis import given
from test_vvalues import VALUES

from dmmlab.vvalues import VValue, inner, number

V = VValue({"a": 1.0, "b": {"c": -4.0, ":number": 2.0}})
ALONG = VValue({"a": 0.5, "b": {"c": 1.0}, "elsewhere": 3.0})


def cubic(v):
    """(a² + c² + n²) a, and what v has elsewhere."""
    return inner(v, v) * number(v["a"])


@given(VALUES)
def test_a_value_is_the_vector_of_its_leaves(v):
    flat, unflatten = flatten(v)
    assert flat.tolist() == [leaf for _, leaf in v.leaves()]
    assert unflatten(flat) == v
    assert unflatten(2 * flat) == 2 * v
    assert unflatten(0 * flat) == VValue()
    assert flatten(unflatten(0 * flat))[0].tolist() == [0.0] * len(flat)  # it keeps its length


def test_values_within_containers_are_vectors_too():
    held = {"w": np.ones((2, 2)), "v": V, "more": [V, 5.0]}
    flat, unflatten = flatten(held)
    assert flat.tolist() == [1.0, -4.0, 2.0, 5.0, 1.0, -4.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    assert unflatten(flat)["v"] == unflatten(flat)["more"][0] == V


def test_a_flattened_value_has_derivatives():
    flat, unflatten = flatten(V)
    check_grads(lambda v: flatten(v)[0], modes=["rev", "fwd"], order=2)(V)
    check_grads(lambda x: cubic(unflatten(x)), modes=["rev"], order=2)(flat)


ALIKE = [lambda g: g, lambda g: -(-2 * g) / 2, lambda g: V + (g - V), lambda g: V - (V - g), lambda g: 3.0 * g - 2 * g]


@pytest.mark.parametrize("operate", ALIKE)
def test_a_gradient_is_as_long_as_its_point(operate):
    flat, unflatten = flatten(V)

    def f(v):
        return inner(v - {"new": 1.0, "a": 1.0}, v)  # zero at a new path, and a path that V has not

    gradient = grad(f)(unflatten(flat))
    assert flatten(operate(gradient))[0].tolist() == [1.0, -8.0, 4.0]
    assert flatten(grad(lambda v: 1.0 * number(v["a"]))(unflatten(flat)))[0].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.filterwarnings("ignore:Output seems independent")
def test_a_gradient_of_what_does_not_depend_on_its_point_is_as_long():
    flat, unflatten = flatten(V)
    assert flatten(grad(lambda v: 1.0)(unflatten(flat)))[0].tolist() == [0.0, 0.0, 0.0]


TARGET = VValue({"a": 3.0, "b": {"c": 0.0, ":number": 2.0}})  # one leaf goes to zero, one is there already


@pytest.mark.parametrize(("optimizer", "rate"), [(adam, 0.05), (rmsprop, 0.05), (sgd, 0.1)])
def test_the_optimizers_of_autograd_work_on_values(optimizer, rate):
    def distance(v, i):
        return inner(v - TARGET, v - TARGET)

    seen = []
    end = optimizer(grad(distance), V, lambda v, i, g: seen.append((v, g)), num_iters=400, step_size=rate)
    assert distance(end, 0) < 0.01
    assert len(seen) == 400
    assert seen[0] == (V, 2 * (V - TARGET))
    both = optimizer(
        grad(lambda x, i: distance(x["v"], i) + (x["s"] - 1.0) ** 2), {"v": V, "s": 0.0}, num_iters=400, step_size=rate
    )
    assert distance(both["v"], 0) + (both["s"] - 1.0) ** 2 < 0.01


def test_jacobians_have_a_column_a_leaf():
    assert jacobian(cubic)(V).tolist() == flatten(grad(cubic)(V))[0].tolist() == [23.0, -8.0, 4.0]
    vector = jacobian(lambda v: np.array([inner(v, v), number(v["a"])]))(V)
    assert vector.tolist() == [[2.0, -8.0, 4.0], [1.0, 0.0, 0.0]]
    matrix = jacobian(lambda v: np.outer(np.array([1.0, 2.0]), np.array([number(v["a"]), 0.0])))(V)
    assert matrix.shape == (2, 2, 3)


def test_jacobians_have_a_row_a_leaf_of_what_is_a_value():
    assert jacobian(lambda v: inner(v, v) * v)(V).shape == (3, 3)
    assert jacobian(lambda v: 2 * v + v)(V).tolist() == (3 * np.eye(3)).tolist()
    assert jacobian(lambda s: s * V)(2.0).tolist() == [1.0, -4.0, 2.0]
    assert jacobian(lambda x, v: x[0] * v, 1)(np.ones(2), V).tolist() == np.eye(3).tolist()


def test_jacobians_of_arrays_are_what_they_were():
    assert jacobian(lambda x: x**2)(np.array([1.0, 2.0])).tolist() == [[2.0, 0.0], [0.0, 4.0]]


def test_the_hessian_is_that_of_the_leaves():
    assert hessian(cubic)(V).tolist() == [[6.0, -8.0, 4.0], [-8.0, 2.0, 0.0], [4.0, 0.0, 2.0]]


def test_products_with_the_hessian_are_values_with_paths_of_both():
    expected = VValue({"a": 3.0 - 8.0, "b": {"c": -4.0 + 2.0, ":number": 2.0}, "elsewhere": 6.0})
    assert hessian_vector_product(cubic)(V, ALONG) == expected
    assert make_hvp(cubic)(V)[0](ALONG) == expected
    assert grad(lambda v: inner(grad(cubic)(v), ALONG))(V) == expected


def test_other_tools_give_values():
    assert value_and_grad(cubic)(V) == (21.0, grad(cubic)(V))
    assert elementwise_grad(cubic)(V) == grad(cubic)(V)
