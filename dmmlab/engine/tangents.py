"""The third of the compiled loops: how all rows change along a direction of the weights, exactly.

`tangents` hold the changes of what stands in the same rows of `values`. Least squares lives on them.
"""

from __future__ import annotations

from dmmlab.engine import instructions as op
from dmmlab.engine.forward import combine, elementwise, row, running_sums, set_row
from dmmlab.engine.jit import compiled


@compiled
def norm_tangent(values, tangents, stride, to, a, rows, t, n):
    """The mean over the tied rows of the change of their sizes."""
    o, out = row(values, to, stride, t, n), row(tangents, to, stride, t, n)
    for i in range(n):
        total, count = out[0] * 0, 0.0
        for r in range(rows):
            v = values[(a + r) * stride + t + i]
            if abs(v) == o[i]:
                count += 1.0
                if v != 0:
                    change = tangents[(a + r) * stride + t + i]
                    total += change if v > 0 else -change
        out[i] = total / count


@compiled
def formulas_tangent(constants, values, tangents, stride, line, t, n):
    """One instruction but for links: the change of its result, from those of its operands."""
    code, to, a, b, rows, extra = line[0], line[1], line[2], line[3], line[4], line[5]
    if code == op.SUM:
        running_sums(tangents, to, a, rows, stride, t, n)
    elif code == op.NORM:
        norm_tangent(values, tangents, stride, to, a, rows, t, n)
    elif code == op.INNER:
        set_row(tangents, to, stride, t, n, 0.0)
    for r in range(rows):
        out, x = row(tangents, to + r, stride, t, n), row(tangents, a + r, stride, t, n)
        v = row(values, a + r, stride, t, n)
        if code in (op.INNER, op.INNER_MORE):
            out = row(tangents, to, stride, t, n)
            w, y = row(values, b + r, stride, t, n), row(tangents, b + r, stride, t, n)
            for i in range(n):
                out[i] += x[i] * w[i] + v[i] * y[i]
        elif code == op.RELU:
            for i in range(n):
                out[i] = x[i] if v[i] > 0 else 0.0
        elif code == op.CLIP:
            bound = constants[extra]
            for i in range(n):
                out[i] = x[i] if abs(v[i]) < bound else 0.0
        elif code in (op.ADD, op.SUBTRACT, op.COPY, op.NEGATE):  # they are linear
            elementwise(code, out, x, row(tangents, b + r, stride, t, n), 0.0)


@compiled
def run_tangent(program, values, tangents, stride, n, weights, moves):
    """All blocks in order, after `run_forward`, where `moves` are the changes of the weights of all entries."""
    p, ends = program, (program.job_first[:-1], program.job_first[1:])
    for block in range(len(p.blocks)):
        begin, end, looped = p.blocks[block, 0], p.blocks[block, 1], p.blocks[block, 2]
        job, last_job = p.blocks[block, 3], p.blocks[block, 4]
        for t in range(1, n + 1 if looped else 2):
            m = 1 if looped else n
            combine(p.job_rows, *ends, p.job_sources, weights, tangents, tangents, stride, t, t - 1, m, job, last_job)
            for j in range(job, last_job):
                for k in range(p.job_first[j], p.job_first[j + 1]):
                    if moves[k] != 0:
                        out = row(tangents, p.job_rows[j], stride, t, m)
                        v = row(values, p.job_sources[k], stride, t - 1, m)
                        for i in range(m):
                            out[i] += moves[k] * v[i]
            for c in range(begin, end):
                formulas_tangent(p.constants, values, tangents, stride, p.code[c], t, m)
