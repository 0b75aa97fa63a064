"""Sums and small systems in a fixed order."""

import numpy as np
import pytest
from autograd.test_util import check_grads

from dmmlab.engine.sums import cholesky_solve, normal_equations, span_sums, total


def test_a_total_is_added_from_left_to_right():
    values = np.random.default_rng(0).normal(size=(3, 1000)) * 10.0 ** (np.arange(1000) % 9)
    for row, found in zip(values, total(values), strict=True):
        expected = 0.0
        for x in row.tolist():
            expected += x
        assert found == expected
    assert total(np.zeros(0)) == 0.0


def test_sums_of_spans_and_their_derivatives():
    assert span_sums(np.arange(6.0), [1, 3, 2]).tolist() == [0.0, 6.0, 9.0]
    check_grads(lambda v: span_sums(v, [2, 3]) ** 2, modes=["rev"], order=2)(np.arange(5.0))
    check_grads(lambda v: total(v) ** 2, modes=["rev"], order=1)(np.arange(6.0).reshape(2, 3))


def test_normal_equations_are_solved_as_least_squares_are():
    rng = np.random.default_rng(1)
    jacobian, residuals = rng.normal(size=(6, 40)), rng.normal(size=40)
    matrix, right = np.empty((6, 6)), np.empty(6)
    normal_equations(jacobian, residuals, matrix, right)
    np.testing.assert_allclose(matrix, jacobian @ jacobian.T, rtol=1e-12, atol=1e-12)
    found = cholesky_solve(matrix, right, np.zeros(6))
    np.testing.assert_allclose(found, np.linalg.lstsq(jacobian.T, residuals, rcond=None)[0], rtol=1e-10)


@pytest.mark.parametrize("matrix", [[[0.0]], [[1.0, 2.0], [2.0, 1.0]], [[np.nan]]])
def test_what_is_not_positive_definite_moves_nothing(matrix):
    matrix = np.array(matrix)
    assert not cholesky_solve(matrix, np.ones(len(matrix)), np.zeros(len(matrix))).any()
