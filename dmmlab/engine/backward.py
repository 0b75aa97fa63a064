"""The second of the compiled loops: from the gradient of the answers to that of the weights.

`gradients` hold the gradient of what stands in the same places of `values`, and begin at zero. An instruction adds its
share to the gradient of its operands.
"""

from __future__ import annotations

from dmmlab.engine import instructions as op
from dmmlab.engine.forward import add_product, combine, fields
from dmmlab.engine.jit import compiled
from dmmlab.engine.lanes import LANES, four_inner_products
from dmmlab.engine.tape import FROZEN, SLOPES, TRUNCATED


@compiled
def norm_adjoint(ranks, values, gradients, to, a, rows, t, n):
    """At a tie the tied rows share, or of them those of the highest rank."""
    for i in range(t, t + n):
        size, top, count = values[to, i], 0.0, 0.0
        for r in range(a, a + rows):
            if abs(values[r, i]) == size and ranks[r] >= top:
                count = count + 1.0 if ranks[r] == top else 1.0
                top = ranks[r]
        share = gradients[to, i] / count
        for r in range(a, a + rows):
            x = values[r, i]
            if abs(x) == size and ranks[r] == top and x != 0:
                gradients[r, i] += share if x > 0 else -share


@compiled
def sums_adjoint(gradients, to, a, rows, t, n, cut):
    """What comes back to a running sum also belongs to all ticks before, unless the gradient stops there."""
    for i in range(t + n - 1, t - 1, -1):
        for r in range(rows):
            g = gradients[to + r, i]
            gradients[a + r, i] += g
            if not cut:
                gradients[to + r, i - 1] += g


@compiled
def inner_adjoint(values, gradients, to, a, b, rows, t, n):
    """Each factor gets what came back times the other factor."""
    g = gradients[to, t : t + n]
    for r in range(rows):
        add_product(gradients[a + r, t : t + n], g, values[b + r, t : t + n])
        add_product(gradients[b + r, t : t + n], g, values[a + r, t : t + n])


@compiled
def passed(code, g, x, constant):
    """What an instruction lets pass of a change or a gradient, to or from its first operand x."""
    if code == op.RELU:
        return g if x > 0 else 0.0
    if code == op.CLIP:
        return g if abs(x) < constant else 0.0
    if code == op.NEGATE:
        return -g
    return 0.0 if code == op.STEP or code == op.FILL else g


@compiled
def formula_adjoint(code, constant, values, gradients, to, a, b, t, n):
    """One row of the instructions that work tick by tick."""
    g, x, out = gradients[to, t : t + n], values[a, t : t + n], gradients[a, t : t + n]
    for i in range(n):
        out[i] += passed(code, g[i], x[i], constant)
    if code == op.ADD or code == op.SUBTRACT:
        out = gradients[b, t : t + n]
        for i in range(n):
            out[i] += g[i] if code == op.ADD else -g[i]


@compiled
def run_adjoints(tape, values, gradients, begin, end, t, n):
    """The instructions `begin` to `end` in reverse: from the gradient of results to that of operands."""
    for c in range(end - 1, begin - 1, -1):
        code, to, a, b, rows, extra = fields(tape.code, c)
        if code == op.SUM:
            sums_adjoint(gradients, to, a, rows, t, n, extra == 1 and tape.sizes[TRUNCATED])
        elif code == op.NORM:
            norm_adjoint(tape.ranks, values, gradients, to, a, rows, t, n)
        elif code == op.INNER:
            inner_adjoint(values, gradients, to, a, b, rows, t, n)
        elif code < op.FILL:
            for r in range(rows):
                formula_adjoint(code, tape.constants[extra], values, gradients, to + r, a + r, b + r, t, n)


@compiled
def add_weight_gradients(tape, values, gradients, n, gradient):
    """Add to `gradient`, for each trained link, the inner product of what it carried and what came back."""
    targets, links, stride = tape.entries[0], tape.entries[1], values.shape[1]
    for j in range(tape.sizes[SLOPES], tape.jobs.shape[1]):
        row, first, last = tape.jobs[0, j], tape.jobs[1, j], tape.jobs[2, j]
        if n < LANES:
            for k in range(first, last):
                total = values[row, 0] * 0
                for i in range(n):
                    total += values[row, i] * gradients[targets[k], i + 1]
                gradient[links[k]] += total
            continue
        for k in range(first, last, 4):  # four links at a time, the last of them perhaps more than once
            a, b = targets[k] * stride + 1, targets[min(k + 1, last - 1)] * stride + 1
            c, d = targets[min(k + 2, last - 1)] * stride + 1, targets[min(k + 3, last - 1)] * stride + 1
            sums = four_inner_products(values, gradients, row * stride, a, b, c, d, n)
            for i in range(min(4, last - k)):
                gradient[links[k + i]] += sums[i]


@compiled
def run_backward(tape, values, gradients, n, weights, gradient):
    """All blocks in reverse, after `run_forward`; `gradients` holds that of the answers and of the last state."""
    for block in tape.blocks[tape.sizes[FROZEN] :][::-1]:
        begin, end, first, last = block[1], block[2], block[5], block[6]
        if block[0]:
            for t in range(n, 0, -1):
                run_adjoints(tape, values, gradients, begin, end, t, 1)
                combine(tape.jobs, tape.entries, weights, gradients, t - 1, t, 1, first, last)
        else:
            combine(tape.jobs, tape.entries, weights, gradients, 0, 1, n, first, last)
            run_adjoints(tape, values, gradients, begin, end, 1, n)
    add_weight_gradients(tape, values, gradients, n, gradient)
