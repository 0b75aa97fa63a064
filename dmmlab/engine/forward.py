"""The first of the compiled loops: a program run forwards.

`values` hold rows of `stride` numbers; instructions run on `n` ticks from `t` on, in a loop of links one tick at a
time. No sum is left to chance: terms are added in the order of links and rows.
"""

from __future__ import annotations

from dmmlab.engine import instructions as op
from dmmlab.engine.jit import compiled
from dmmlab.engine.lanes import LANES, WIDE, combine_narrow, combine_wide


@compiled
def row(values, r, stride, t, n):
    """The n ticks of a row from t on."""
    start = r * stride + t
    return values[start : start + n]


@compiled
def set_row(values, r, stride, t, n, x):
    """Set the n ticks of a row from t on to a number."""
    for i in range(r * stride + t, r * stride + t + n):
        values[i] = x


@compiled
def combine(rows, first, last, sources, weights, values, out, stride, at, shift, n, begin, end):
    """For jobs `begin` to `end`: rows of `out` from `at` on, as combinations of rows of `values` from `shift` on."""
    if n < LANES:
        for j in range(begin, end):
            for i in range(n):
                x = values[0] * 0
                for k in range(first[j], last[j]):
                    x += weights[k] * values[sources[k] * stride + shift + i]
                out[rows[j] * stride + at + i] = x
        return
    i = 0
    while i < n:  # the last block goes over some ticks again where they are no multiple
        if n >= WIDE:
            i = min(i, n - WIDE)
            for j in range(begin, end):
                combine_wide(
                    values, sources, weights, out, rows[j] * stride + at + i, shift + i, stride, first[j], last[j]
                )
            i += WIDE
        else:
            i = min(i, n - LANES)
            for j in range(begin, end):
                combine_narrow(
                    values, sources, weights, out, rows[j] * stride + at + i, shift + i, stride, first[j], last[j]
                )
            i += LANES


@compiled
def running_sums(values, to, a, rows, stride, t, n):
    """Each row of `to` goes on from what it held at t − 1; four rows at a time, for a sum waits for the one before."""
    for r in range(0, rows - 3, 4):
        o0, o1 = row(values, to + r, stride, t - 1, n + 1), row(values, to + r + 1, stride, t - 1, n + 1)
        o2, o3 = row(values, to + r + 2, stride, t - 1, n + 1), row(values, to + r + 3, stride, t - 1, n + 1)
        v0, v1 = row(values, a + r, stride, t, n), row(values, a + r + 1, stride, t, n)
        v2, v3 = row(values, a + r + 2, stride, t, n), row(values, a + r + 3, stride, t, n)
        for i in range(n):
            o0[i + 1] = o0[i] + v0[i]
            o1[i + 1] = o1[i] + v1[i]
            o2[i + 1] = o2[i] + v2[i]
            o3[i + 1] = o3[i] + v3[i]
    for r in range(rows // 4 * 4, rows):
        o, v = row(values, to + r, stride, t - 1, n + 1), row(values, a + r, stride, t, n)
        for i in range(n):
            o[i + 1] = o[i] + v[i]


@compiled
def character(steps, speed, values, stride, to, a, rows, t, n):
    """The step that is due when the timer shows this number."""
    for r in range(rows):
        set_row(values, to + r, stride, t, n, 0.0)
    for i in range(n):
        timer = values[a * stride + t + i]
        if timer >= 0 and timer % speed == 0:
            step = min(timer // speed, len(steps) - 1.0)
            values[(to + steps[int(step)]) * stride + t + i] = 1.0


@compiled
def reductions(code, values, stride, to, a, b, rows, t, n):
    """Max-norms and inner products: one row out of several, gone through in their order."""
    out = row(values, to, stride, t, n)
    if code != op.INNER_MORE:
        set_row(values, to, stride, t, n, 0.0)
    for r in range(rows):
        v = row(values, a + r, stride, t, n)
        if code == op.NORM:
            for i in range(n):
                out[i] = max(out[i], abs(v[i]))
        else:
            w = row(values, b + r, stride, t, n)
            for i in range(n):
                out[i] += v[i] * w[i]


@compiled
def elementwise(code, out, v, w, x):
    """One row out of one or two, tick by tick; x is a constant."""
    if code == op.ADD:
        for i in range(len(out)):
            out[i] = v[i] + w[i]
    elif code == op.SUBTRACT:
        for i in range(len(out)):
            out[i] = v[i] - w[i]
    elif code == op.RELU:
        for i in range(len(out)):
            out[i] = v[i] if v[i] > 0 else 0.0
    elif code == op.CLIP:
        for i in range(len(out)):
            out[i] = min(max(v[i], -x), x)
    elif code == op.COPY:
        for i in range(len(out)):
            out[i] = v[i]
    elif code == op.NEGATE:
        for i in range(len(out)):
            out[i] = -v[i]
    elif code == op.STEP:
        for i in range(len(out)):
            out[i] = 1.0 if v[i] > 0 else 0.0
    elif code == op.FILL:
        for i in range(len(out)):
            out[i] = x


@compiled
def formulas(table, constants, steps, speed, values, stride, begin, end, t, n):
    """Run the instructions `begin` to `end` but for links, on `n` ticks from `t` on."""
    for c in range(begin, end):
        code, to, a, b, rows, extra = table[c, 0], table[c, 1], table[c, 2], table[c, 3], table[c, 4], table[c, 5]
        if code == op.SUM:
            running_sums(values, to, a, rows, stride, t, n)
        elif code == op.CHARACTER:
            character(steps, speed, values, stride, to, a, rows, t, n)
        elif code in (op.NORM, op.INNER, op.INNER_MORE):
            reductions(code, values, stride, to, a, b, rows, t, n)
        else:
            for r in range(rows):
                v, w = row(values, a + r, stride, t, n), row(values, b + r, stride, t, n)
                elementwise(code, row(values, to + r, stride, t, n), v, w, constants[extra])


@compiled
def run_forward(program, values, stride, n, weights):
    """All blocks in order, for n ticks."""
    p, speed, ends = program, program.sizes[2], (program.job_first[:-1], program.job_first[1:])
    for block in range(len(p.blocks)):
        begin, end, looped = p.blocks[block, 0], p.blocks[block, 1], p.blocks[block, 2]
        job, last_job = p.blocks[block, 3], p.blocks[block, 4]
        for t in range(1, n + 1 if looped else 2):
            m = 1 if looped else n
            combine(p.job_rows, *ends, p.job_sources, weights, values, values, stride, t, t - 1, m, job, last_job)
            formulas(p.code, p.constants, p.steps, speed, values, stride, begin, end, t, m)
