"""The third of the compiled loops: how all rows change along a direction of the weights, exactly.

`tangents` hold the changes of what stands in the same places of `values`. Least squares lives on them.
"""

from __future__ import annotations

from dmmlab.engine import instructions as op
from dmmlab.engine.backward import passed
from dmmlab.engine.forward import combine, fields, formula, running_sums
from dmmlab.engine.jit import compiled
from dmmlab.engine.tape import FROZEN


@compiled
def norm_tangent(values, tangents, to, a, rows, t, n):
    """The mean over the tied rows of the change of their sizes."""
    for i in range(t, t + n):
        total, count = tangents[to, i] * 0, 0.0
        for r in range(a, a + rows):
            x, change = values[r, i], tangents[r, i]
            if abs(x) == values[to, i]:
                count += 1.0
                if x != 0:
                    total += change if x > 0 else -change
        tangents[to, i] = total / count


@compiled
def inner_tangent(values, tangents, to, a, b, rows, t, n):
    """Each pair of factors changes by the change of either times the other."""
    for r in range(rows):
        for i in range(t, t + n):
            tangents[to, i] += tangents[a + r, i] * values[b + r, i] + values[a + r, i] * tangents[b + r, i]


@compiled
def formula_tangent(code, constant, values, tangents, to, a, b, t, n):
    """One row of the instructions that work tick by tick."""
    for i in range(t, t + n):
        change = tangents[a, i]
        if code == op.ADD or code == op.SUBTRACT:
            tangents[to, i] = formula(code, change, tangents[b, i], constant)
        else:
            tangents[to, i] = passed(code, change, values[a, i], constant)


@compiled
def run_changes(tape, values, tangents, begin, end, t, n):
    """The instructions `begin` to `end`: the change of their results, from those of their operands."""
    for c in range(begin, end):
        code, to, a, b, rows, extra = fields(tape.code, c)
        if code == op.SUM:
            running_sums(tangents, to, a, rows, t, n)
        elif code == op.NORM:
            norm_tangent(values, tangents, to, a, rows, t, n)
        elif code == op.INNER:
            inner_tangent(values, tangents, to, a, b, rows, t, n)
        elif code < op.CHARACTER:
            for r in range(rows):
                formula_tangent(code, tape.constants[extra], values, tangents, to + r, a + r, b + r, t, n)


@compiled
def add_moves(tape, values, tangents, moves, t, n, begin, end):
    """Add to jobs `begin` to `end` what the changes of their weights bring about."""
    for j in range(begin, end):
        for k in range(tape.jobs[1, j], tape.jobs[2, j]):
            if moves[k] != 0:
                out, x = tangents[tape.jobs[0, j], t : t + n], values[tape.entries[0, k], t - 1 : t - 1 + n]
                for i in range(n):
                    out[i] += moves[k] * x[i]


@compiled
def run_tangent(tape, values, tangents, n, weights, moves):
    """All blocks in order, after `run_forward`, where `moves` are the changes of the weights of all entries."""
    for block in tape.blocks[tape.sizes[FROZEN] :]:
        m = 1 if block[0] else n
        for t in range(1, n + 1, m):
            combine(tape.jobs, tape.entries, weights, tangents, t, t - 1, m, block[3], block[4])
            add_moves(tape, values, tangents, moves, t, m, block[3], block[4])
            run_changes(tape, values, tangents, block[1], block[2], t, m)
