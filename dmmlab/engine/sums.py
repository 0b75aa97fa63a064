"""Sums and small dense systems in a fixed order: what NumPy and LAPACK would add up differently from place to place."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


@primitive
def span_spread(sums: Array, sizes: Sequence[int]) -> Array:
    """Each span's number repeated over the span: the transpose of `span_sums`."""
    return np.repeat(sums, sizes, axis=-1)


defvjp(span_sums, lambda ans, values, sizes: lambda g: span_spread(g, sizes), argnums=(0,))
defvjp(span_spread, lambda ans, sums, sizes: lambda g: span_sums(g, sizes), argnums=(0,))


def total(values: Array) -> float | Array:
    """The sum along the last axis, from left to right. May be differentiated by autograd."""
    return span_sums(values, [np.shape(values)[-1]])[..., 0]


@compiled
def normal_equations(jacobian, residuals, matrix, right):
    """Matrix = J Jᵀ and right = J r, for a Jacobian (links, residuals)."""
    n = len(jacobian)
    for i in range(n):
        x = jacobian[i]
        for j in range(i + 1):
            y, s = jacobian[j], 0.0
            for k in range(len(x)):
                s += x[k] * y[k]
            matrix[i, j] = matrix[j, i] = s
        s = 0.0
        for k in range(len(x)):
            s += x[k] * residuals[k]
        right[i] = s


@compiled
def cholesky_solve(matrix, right, scale):
    """The solution x of (matrix + diag(scale)) x = right; all zeros where that is not positive definite."""
    n = len(matrix)
    low, x = np.zeros((n, n)), np.zeros(n)
    for i in range(n):
        for j in range(i + 1):
            s = matrix[i, j] + (scale[i] if i == j else 0.0)
            for k in range(j):
                s -= low[i, k] * low[j, k]
            if i > j:
                low[i, j] = s / low[j, j]
            elif not s > 0:
                return x
            else:
                low[i, i] = np.sqrt(s)
    for i in range(n):
        s = right[i]
        for k in range(i):
            s -= low[i, k] * x[k]
        x[i] = s / low[i, i]
    for i in range(n - 1, -1, -1):
        s = x[i]
        for k in range(i + 1, n):
            s -= low[k, i] * x[k]
        x[i] = s / low[i, i]
    return x
