"""Sums and small dense systems in a fixed order: what NumPy and LAPACK would add up differently from place to place."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from autograd.extend import defvjp, primitive

from dmmlab.engine.jit import compiled

Array = np.ndarray


@compiled
def _span_sums(rows, ends, out):
    for r in range(len(rows)):
        start = 0
        for i in range(len(ends)):
            total = 0.0
            for k in range(start, ends[i]):
                total += rows[r, k]
            out[r, i] = total
            start = ends[i]


@primitive
def span_sums(values: Array, sizes: Sequence[int]) -> Array:
    """Sums over neighbouring spans of these sizes along the last axis, (..., spans), each from left to right."""
    values = np.asarray(values, float)
    rows = np.ascontiguousarray(values.reshape(math.prod(values.shape[:-1]), values.shape[-1]))
    out = np.zeros((len(rows), len(sizes)))
    _span_sums(rows, np.cumsum(sizes, dtype=int), out)
    return out.reshape(*values.shape[:-1], len(sizes))


def _spread(ans: Array, values: Array, sizes: Sequence[int]) -> Callable[[Array], Array]:
    span = np.repeat(np.arange(len(sizes)), sizes)
    return lambda gradient: gradient[..., span]


defvjp(span_sums, _spread, argnums=(0,))


def total(values: Array) -> float | Array:
    """The sum along the last axis, from left to right. May be differentiated by autograd."""
    return span_sums(values, [np.shape(values)[-1]])[..., 0]


@compiled
def add_products(start, sign, x, y):
    """`start`, and then the products of two rows, added (sign 1) or taken away (sign −1) one after another."""
    for k in range(len(x)):
        start += sign * (x[k] * y[k])
    return start


@compiled
def normal_equations(jacobian, residuals, matrix, right):
    """Matrix = J Jᵀ and right = J r, for a Jacobian (links, residuals)."""
    for i in range(len(jacobian)):
        for j in range(i + 1):
            matrix[i, j] = matrix[j, i] = add_products(0.0, 1.0, jacobian[i], jacobian[j])
        right[i] = add_products(0.0, 1.0, jacobian[i], residuals)


@compiled
def cholesky_solve(matrix, right, scale):
    """The solution x of (matrix + diag(scale)) x = right; all zeros where that is not positive definite."""
    n = len(matrix)
    low, x = np.zeros((n, n)), np.zeros(n)
    for i in range(n):
        for j in range(i):
            low[i, j] = add_products(matrix[i, j], -1.0, low[i, :j], low[j, :j]) / low[j, j]
        square = add_products(matrix[i, i] + scale[i], -1.0, low[i, :i], low[i, :i])
        if not square > 0:
            return x
        low[i, i] = np.sqrt(square)
    for i in range(n):
        x[i] = add_products(right[i], -1.0, low[i, :i], x[:i]) / low[i, i]
    for i in range(n - 1, -1, -1):
        x[i] = add_products(x[i], -1.0, low[i + 1 :, i], x[i + 1 :]) / low[i, i]
    return x
