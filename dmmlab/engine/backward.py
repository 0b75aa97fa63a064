"""The second of the compiled loops: from the gradient of the answers to that of the weights.

`slopes` hold the gradient of what stands in the same rows of `values`. An instruction adds its share to the gradient of
its operands; where it is the first to do so (`fresh`) the row begins at zero.
"""

from __future__ import annotations

from dmmlab.engine import instructions as op
from dmmlab.engine.forward import combine, row, set_row
from dmmlab.engine.jit import compiled
from dmmlab.engine.lanes import LANES, four_inner_products


@compiled
def norm_adjoint(ranks, values, slopes, stride, to, a, rows, t, n, room):
    """At a tie the tied rows share, or of them those that come last in the tie order."""
    o, g = row(values, to, stride, t, n), row(slopes, to, stride, t, n)
    top, count, ranked = room[:n], room[n : 2 * n], len(ranks) > 0
    set_row(room, 0, n, 0, n, 1.0)
    set_row(room, 1, n, 0, n, 0.0)
    for r in range(rows if ranked else 0):
        v, rank = row(values, a + r, stride, t, n), ranks[a + r]
        for i in range(n):
            if abs(v[i]) == o[i]:
                top[i] = max(top[i], rank)
    for r in range(rows):
        v, rank = row(values, a + r, stride, t, n), ranks[a + r] if ranked else top[0]
        for i in range(n):
            count[i] += 1.0 if abs(v[i]) == o[i] and rank == top[i] else 0.0
    for i in range(n):
        count[i] = g[i] / count[i]
    for r in range(rows):
        v, rank = row(values, a + r, stride, t, n), ranks[a + r] if ranked else top[0]
        out = row(slopes, a + r, stride, t, n)
        for i in range(n):
            share = count[i] if v[i] > 0 else -count[i]
            out[i] += share if abs(v[i]) == o[i] and rank == top[i] and v[i] != 0 else 0.0


@compiled
def sums_adjoint(slopes, stride, to, a, rows, t, n, cut):
    """What comes back to a running sum also belongs to all ticks before, unless the gradient stops there."""
    for r in range(0, 0 if cut else rows - 3, 4):
        g0, g1 = row(slopes, to + r, stride, t - 1, n + 1), row(slopes, to + r + 1, stride, t - 1, n + 1)
        g2, g3 = row(slopes, to + r + 2, stride, t - 1, n + 1), row(slopes, to + r + 3, stride, t - 1, n + 1)
        for i in range(n, 0, -1):
            g0[i - 1] += g0[i]
            g1[i - 1] += g1[i]
            g2[i - 1] += g2[i]
            g3[i - 1] += g3[i]
    for r in range(rows if cut else rows // 4 * 4, rows):
        g = row(slopes, to + r, stride, t - 1, n + 1)
        for i in range(n, 0, -1):
            g[i - 1] += g[i]
    for r in range(rows):
        g, out = row(slopes, to + r, stride, t, n), row(slopes, a + r, stride, t, n)
        for i in range(n):
            out[i] += g[i]


@compiled
def inner_adjoint(values, slopes, stride, to, a, b, rows, t, n):
    """Each factor gets what came back times the other factor."""
    g = row(slopes, to, stride, t, n)
    for r in range(rows):
        v, to_v = row(values, a + r, stride, t, n), row(slopes, a + r, stride, t, n)
        w, to_w = row(values, b + r, stride, t, n), row(slopes, b + r, stride, t, n)
        for i in range(n):
            to_v[i] += g[i] * w[i]
        for i in range(n):
            to_w[i] += g[i] * v[i]


@compiled
def elementwise_adjoint(code, g, v, to_v, to_w, x):
    """What came back, where the instruction let it pass."""
    if code == op.RELU:
        for i in range(len(g)):
            to_v[i] += g[i] if v[i] > 0 else 0.0
    elif code == op.CLIP:
        for i in range(len(g)):
            to_v[i] += g[i] if abs(v[i]) < x else 0.0
    elif code == op.NEGATE:
        for i in range(len(g)):
            to_v[i] -= g[i]
    elif code != op.STEP:
        for i in range(len(g)):
            to_v[i] += g[i]
    if code == op.ADD:
        for i in range(len(g)):
            to_w[i] += g[i]
    elif code == op.SUBTRACT:
        for i in range(len(g)):
            to_w[i] -= g[i]


@compiled
def adjoints(table, constants, ranks, values, slopes, stride, begin, end, t, n, truncated, room):
    """The instructions `begin` to `end` in reverse: from the gradient of results to that of operands."""
    for c in range(end - 1, begin - 1, -1):
        code, to, a, b, rows = table[c, 0], table[c, 1], table[c, 2], table[c, 3], table[c, 4]
        extra, fresh = table[c, 5], table[c, 6]
        for r in range(rows):
            if fresh & 1:
                set_row(slopes, a + r, stride, t, n, 0.0)
            if fresh & 2:
                set_row(slopes, b + r, stride, t, n, 0.0)
        if code == op.SUM:
            sums_adjoint(slopes, stride, to, a, rows, t, n, truncated and extra == 1)
        elif code == op.NORM:
            norm_adjoint(ranks, values, slopes, stride, to, a, rows, t, n, room)
        elif code in (op.INNER, op.INNER_MORE):
            inner_adjoint(values, slopes, stride, to, a, b, rows, t, n)
        elif code not in (op.FILL, op.CHARACTER):
            for r in range(rows):
                g, v = row(slopes, to + r, stride, t, n), row(values, a + r, stride, t, n)
                to_v, to_w = row(slopes, a + r, stride, t, n), row(slopes, b + r, stride, t, n)
                elementwise_adjoint(code, g, v, to_v, to_w, constants[extra])


@compiled
def add_slopes(rows, first, targets, links, values, slopes, stride, n, gradient):
    """Add to `gradient`, for each trained link, the inner product of what it carried and what came back."""
    for j in range(len(rows)):
        v, last = row(values, rows[j], stride, 0, n), first[j + 1]
        for k in range(first[j], last, 4):
            k1, k2, k3 = min(k + 1, last - 1), min(k + 2, last - 1), min(k + 3, last - 1)
            a, b = row(slopes, targets[k], stride, 1, n), row(slopes, targets[k1], stride, 1, n)
            c, d = row(slopes, targets[k2], stride, 1, n), row(slopes, targets[k3], stride, 1, n)
            if n >= LANES:
                x, y, z, u = four_inner_products(v, a, b, c, d, n)
            else:
                x = y = z = u = v[0] * 0
                for i in range(n):
                    x += v[i] * a[i]
                    y += v[i] * b[i]
                    z += v[i] * c[i]
                    u += v[i] * d[i]
            gradient[links[k]] += x
            if k + 1 < last:
                gradient[links[k1]] += y
            if k + 2 < last:
                gradient[links[k2]] += z
            if k + 3 < last:
                gradient[links[k3]] += u


@compiled
def run_backward(program, values, slopes, stride, n, weights, truncated, room, gradient):
    """All blocks in reverse, after `run_forward`; `slopes` holds the gradient of the answers and of the last state."""
    p, ends = program, (program.back_first, program.back_last)
    for r in p.cleared:
        set_row(slopes, r, stride, 0, n + 1, 0.0)
    for block in range(len(p.blocks) - 1, -1, -1):
        begin, end, looped = p.blocks[block, 0], p.blocks[block, 1], p.blocks[block, 2]
        first, last = p.code[end - 1, 1], p.code[end - 1, 2]
        if not looped:
            combine(p.back_rows, *ends, p.back_targets, weights, slopes, slopes, stride, 0, 1, n, first, last)
            adjoints(p.code, p.constants, p.ranks, values, slopes, stride, begin, end, 1, n, truncated, room)
        for t in range(n if looped else 0, 0, -1):
            adjoints(p.code, p.constants, p.ranks, values, slopes, stride, begin, end, t, 1, truncated, room)
            combine(p.back_rows, *ends, p.back_targets, weights, slopes, slopes, stride, t - 1, t, 1, first, last)
    add_slopes(p.slope_rows, p.slope_first, p.slope_targets, p.slope_links, values, slopes, stride, n, gradient)
