"""The first of the compiled loops: a tape run forwards.

`values` are (rows, ticks + 1); instructions run on `n` ticks from `t` on, in a loop of links one tick at a time. No sum
is left to chance: terms are added in the order of links and rows.
"""

from __future__ import annotations

from dmmlab.engine import instructions as op
from dmmlab.engine.jit import compiled
from dmmlab.engine.lanes import LANES, WIDE, combine_narrow, combine_wide
from dmmlab.engine.tape import SPEED


@compiled
def combine(jobs, entries, weights, values, at, shift, n, begin, end):
    """Run jobs `begin` to `end`: n ticks from `at` on, out of rows from `shift` on."""
    rows, first, last, sources, stride = jobs[0], jobs[1], jobs[2], entries[0], values.shape[1]
    i = 0
    while i < n:  # the last step goes over some ticks again where they are no multiple
        if n >= WIDE:
            i = min(i, n - WIDE)
            for j in range(begin, end):
                to = rows[j] * stride + at + i
                combine_wide(values, sources, weights, to, shift + i, stride, first[j], last[j])
            i += WIDE
        elif n >= LANES:
            i = min(i, n - LANES)
            for j in range(begin, end):
                to = rows[j] * stride + at + i
                combine_narrow(values, sources, weights, to, shift + i, stride, first[j], last[j])
            i += LANES
        else:
            for j in range(begin, end):
                total = values[0, 0] * 0
                for k in range(first[j], last[j]):
                    total += weights[k] * values[sources[k], shift + i]
                values[rows[j], at + i] = total
            i += 1


@compiled
def running_sums(values, to, a, rows, t, n):
    """Each row of `to` goes on from what it held at t − 1; rows in turn, for a sum waits for the one before."""
    for i in range(t, t + n):
        for r in range(rows):
            values[to + r, i] = values[to + r, i - 1] + values[a + r, i]


@compiled
def due(tape, code, values, to, a, rows, t, n):
    """What the step that is due when the timer shows this number has of characters, or of numbers."""
    speed, last = tape.sizes[SPEED], len(tape.amounts) - 1.0
    for r in range(to, to + rows):
        values[r, t : t + n] = 0.0
    for i in range(t, t + n):
        timer = values[a, i]
        if timer >= 0 and timer % speed == 0:
            step = int(min(timer // speed, last))
            if code == op.AMOUNT:
                values[to, i] = tape.amounts[step]
            else:
                for j in range(tape.steps[step], tape.steps[step + 1]):
                    values[to + tape.parts[j], i] = tape.heights[j]


@compiled
def add_product(out, x, y):
    """Add to a row the product of two others."""
    for i in range(len(out)):
        out[i] += x[i] * y[i]


@compiled
def reduction(code, values, to, a, b, rows, t, n):
    """A max-norm, or an inner product that is added: one row out of several, gone through in their order."""
    out = values[to, t : t + n]
    if code == op.NORM:
        out[:] = 0.0
    for r in range(rows):
        x, y = values[a + r, t : t + n], values[b + r, t : t + n]
        if code == op.NORM:
            for i in range(n):
                out[i] = max(out[i], abs(x[i]))
        else:
            add_product(out, x, y)


@compiled
def formula(code, x, y, constant):
    """One number out of one or two."""
    if code == op.ADD:
        return x + y
    if code == op.SUBTRACT:
        return x - y
    if code == op.RELU:
        return x if x > 0 else 0.0
    if code == op.CLIP:
        return min(max(x, -constant), constant)
    if code == op.COPY:
        return x
    if code == op.NEGATE:
        return -x
    if code == op.STEP:
        return 1.0 if x > 0 else 0.0
    return constant


@compiled
def fields(code, c):
    """The numbers of an instruction."""
    line = code[c]
    return line[0], line[1], line[2], line[3], line[4], line[5]


@compiled
def run_formulas(tape, values, begin, end, t, n):
    """Run the instructions `begin` to `end`."""
    for c in range(begin, end):
        code, to, a, b, rows, extra = fields(tape.code, c)
        if code == op.SUM:
            running_sums(values, to, a, rows, t, n)
        elif code == op.CHARACTER or code == op.AMOUNT:
            due(tape, code, values, to, a, rows, t, n)
        elif code == op.NORM or code == op.INNER:
            reduction(code, values, to, a, b, rows, t, n)
        else:
            constant = tape.constants[extra]
            for r in range(rows):
                out, x, y = values[to + r, t : t + n], values[a + r, t : t + n], values[b + r, t : t + n]
                for i in range(n):
                    out[i] = formula(code, x[i], y[i], constant)


@compiled
def run_forward(tape, values, n, weights):
    """All blocks in order, for n ticks."""
    for block in tape.blocks:
        m = 1 if block[0] else n
        for t in range(1, n + 1, m):
            combine(tape.jobs, tape.entries, weights, values, t, t - 1, m, block[3], block[4])
            run_formulas(tape, values, block[1], block[2], t, m)
