"""The third loop: how the answers change along a direction of the weights, exactly. Least squares lives on it."""

from __future__ import annotations

import numpy as np

from dmmlab.engine.jit import compiled
from dmmlab.engine.loops import (
    ADD,
    CHARACTER,
    CLIP,
    COPY,
    FILL,
    GATHER,
    INNER,
    INNER_MORE,
    LINK,
    NEGATE,
    NORM,
    RELU,
    STEP,
    SUBTRACT,
    SUM,
    begin_window,
    combine,
    pick,
    row,
    run_forward,
    running_sums,
    set_row,
    unpack,
)  # fmt: skip


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
    if code == SUM:
        running_sums(tangents, to, a, rows, stride, t, n)
    elif code == NORM:
        norm_tangent(values, tangents, stride, to, a, rows, t, n)
    elif code == INNER:
        set_row(tangents, to, stride, t, n, 0.0)
    for r in range(rows):
        out, x = row(tangents, to + r, stride, t, n), row(tangents, a + r, stride, t, n)
        v = row(values, a + r, stride, t, n)
        if code in (INNER, INNER_MORE):
            out = row(tangents, to, stride, t, n)
            w, y = row(values, b + r, stride, t, n), row(tangents, b + r, stride, t, n)
            for i in range(n):
                out[i] += x[i] * w[i] + v[i] * y[i]
        elif code in (ADD, SUBTRACT):
            y = row(tangents, b + r, stride, t, n)
            for i in range(n):
                out[i] = x[i] + y[i] if code == ADD else x[i] - y[i]
        elif code == RELU:
            for i in range(n):
                out[i] = x[i] if v[i] > 0 else 0.0
        elif code == CLIP:
            bound = constants[extra]
            for i in range(n):
                out[i] = x[i] if abs(v[i]) < bound else 0.0
        elif code == COPY:
            for i in range(n):
                out[i] = x[i]
        elif code == NEGATE:
            for i in range(n):
                out[i] = -x[i]


@compiled
def jobs_tangent(rows, first, sources, values, tangents, live, stride, weights, changes, t, n, begin, end):
    """What arrives at rows changes with what was emitted and with the weights; rows that do not change are left out."""
    for j in range(begin, end):
        moved = False
        for k in range(first[j], first[j + 1]):
            moved = moved or live[sources[k]] or changes[k] != 0
        if moved:
            live[rows[j]] = True
            combine(rows, first[:-1], first[1:], sources, weights, tangents, tangents, stride, t, t - 1, n, j, j + 1)
            out = row(tangents, rows[j], stride, t, n)
            for k in range(first[j], first[j + 1]):
                if changes[k] != 0:
                    v, change = row(values, sources[k], stride, t - 1, n), changes[k]
                    for i in range(n):
                        out[i] += change * v[i]


@compiled
def reached(line, live):
    """Whether an operand of an instruction changes; then its results are marked."""
    code, to, a, b, rows = line[0], line[1], line[2], line[3], line[4]
    if code in (LINK, GATHER, FILL, CHARACTER, STEP):
        return False
    found = live[a : a + rows].any() or (b >= 0 and live[b : b + rows].any())
    if found:
        live[to : to + (1 if code in (INNER, INNER_MORE, NORM) else rows)] = True
    return found


@compiled
def run_tangent(program, values, tangents, live, weights, moves):
    """The changes of all rows, in `tangents`, where `moves` are those of the entries' weights; after `run_forward`."""
    p, n = program, program.sizes[1]
    set_row(tangents, 0, 0, 0, p.sizes[0] * (n + 1), 0.0)
    live[:] = False
    for block in range(len(p.blocks)):
        begin, end, looped = p.blocks[block, 0], p.blocks[block, 1], p.blocks[block, 2]
        job, last_job = p.blocks[block, 3], p.blocks[block, 4]
        if looped:  # what comes round is not known before
            for c in range(begin, end):
                live[p.code[c, 1] : p.code[c, 1] + p.code[c, 4]] = True
        for t in range(1, n + 1 if looped else 2):
            m = 1 if looped else n
            jobs_tangent(
                p.job_rows,
                p.job_first,
                p.job_sources,
                values,
                tangents,
                live,
                n + 1,
                weights,
                moves,
                t,
                m,
                job,
                last_job,
            )
            for c in range(begin, end):
                if reached(p.code[c], live):
                    formulas_tangent(p.constants, values, tangents, n + 1, p.code[c], t, m)


@compiled
def many_tangents(packed, first, last, begin, end, weights, values, tangents, directions, changes):
    """Changes of the answers, (directions, strings, ticks, 2), along directions (directions, links)."""
    for i in range(first, last):
        p = unpack(packed, i)
        n = p.sizes[1]
        job_weights, none = pick(weights, p.fixed, p.job_links), np.zeros(len(p.fixed), weights.dtype)
        begin_window(p, values, n + 1, 0, n, np.zeros(len(p.states), weights.dtype))
        run_forward(p, values, n + 1, n, job_weights)
        live = np.zeros(p.sizes[0], np.bool_)
        for d in range(begin, end):
            run_tangent(p, values, tangents, live, job_weights, pick(directions[d], none, p.job_links))
            for side in range(2):
                for t in range(n):
                    changes[d, i, t, side] = tangents[p.answers[side] * (n + 1) + 1 + t]
