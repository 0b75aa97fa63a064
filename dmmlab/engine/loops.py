"""The compiled loops: a program run forwards and backwards, and along a direction.

`values` and `slopes` (the gradient) hold rows of `stride` numbers; instructions run on `n` ticks from `t` on. In a loop
of links that is one tick at a time. No sum is left to chance: terms are added in the order of links and rows, or lane
by lane (see `lanes`).
"""

from __future__ import annotations

import numpy as np

from dmmlab.engine import instructions as codes
from dmmlab.engine.jit import compiled
from dmmlab.engine.lanes import LANES, WIDE, combine_narrow, combine_wide, four_inner_products
from dmmlab.engine.program import Program

LINK, GATHER, SUM, ADD, SUBTRACT, COPY, NEGATE = (
    codes.LINK, codes.GATHER, codes.SUM, codes.ADD, codes.SUBTRACT, codes.COPY, codes.NEGATE,
)  # fmt: skip
INNER, INNER_MORE, NORM, RELU, STEP, CLIP, FILL, CHARACTER = (
    codes.INNER, codes.INNER_MORE, codes.NORM, codes.RELU, codes.STEP, codes.CLIP, codes.FILL, codes.CHARACTER,
)  # fmt: skip


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
def formulas(table, constants, steps, speed, values, stride, begin, end, t, n):
    """Run the instructions `begin` to `end` but for links, on `n` ticks from `t` on."""
    for c in range(begin, end):
        code, to, a, b, rows, extra = table[c, 0], table[c, 1], table[c, 2], table[c, 3], table[c, 4], table[c, 5]
        if code == SUM:
            running_sums(values, to, a, rows, stride, t, n)
        elif code == CHARACTER:
            character(steps, speed, values, stride, to, a, rows, t, n)
        elif code in (NORM, INNER):
            set_row(values, to, stride, t, n, 0.0)
        for r in range(rows):
            o = row(values, to + r, stride, t, n)
            v = row(values, a + r, stride, t, n)
            if code == NORM:
                o = row(values, to, stride, t, n)
                for i in range(n):
                    o[i] = max(o[i], abs(v[i]))
            elif code in (INNER, INNER_MORE):
                o, w = row(values, to, stride, t, n), row(values, b + r, stride, t, n)
                for i in range(n):
                    o[i] += v[i] * w[i]
            elif code in (ADD, SUBTRACT):
                w = row(values, b + r, stride, t, n)
                if code == ADD:
                    for i in range(n):
                        o[i] = v[i] + w[i]
                else:
                    for i in range(n):
                        o[i] = v[i] - w[i]
            elif code == RELU:
                for i in range(n):
                    o[i] = v[i] if v[i] > 0 else 0.0
            elif code == CLIP:
                bound = constants[extra]
                for i in range(n):
                    o[i] = min(max(v[i], -bound), bound)
            elif code == COPY:
                for i in range(n):
                    o[i] = v[i]
            elif code == NEGATE:
                for i in range(n):
                    o[i] = -v[i]
            elif code == STEP:
                for i in range(n):
                    o[i] = 1.0 if v[i] > 0 else 0.0
            elif code == FILL:
                set_row(values, to + r, stride, t, n, constants[extra])


@compiled
def run_forward(program, values, stride, n, weights):
    """All blocks in order, for n ticks."""
    p, speed, ends = program, program.sizes[3], (program.job_first[:-1], program.job_first[1:])
    for block in range(len(p.blocks)):
        begin, end, looped = p.blocks[block, 0], p.blocks[block, 1], p.blocks[block, 2]
        job, last_job = p.blocks[block, 3], p.blocks[block, 4]
        for t in range(1, n + 1 if looped else 2):
            m = 1 if looped else n
            combine(p.job_rows, *ends, p.job_sources, weights, values, values, stride, t, t - 1, m, job, last_job)
            formulas(p.code, p.constants, p.steps, speed, values, stride, begin, end, t, m)


# ---- backwards ----


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
def adjoints(table, constants, ranks, values, slopes, stride, begin, end, t, n, truncated, room):
    """The instructions `begin` to `end` in reverse: from the gradient of results to that of operands."""
    for c in range(end - 1, begin - 1, -1):
        code, to, a, b, rows = table[c, 0], table[c, 1], table[c, 2], table[c, 3], table[c, 4]
        extra, fresh = table[c, 5], table[c, 6]
        if code in (LINK, GATHER, FILL, CHARACTER):
            continue
        for r in range(rows):
            if fresh & 1:
                set_row(slopes, a + r, stride, t, n, 0.0)
            if fresh & 2:
                set_row(slopes, b + r, stride, t, n, 0.0)
        if code == SUM:
            sums_adjoint(slopes, stride, to, a, rows, t, n, truncated and extra == 1)
        elif code == NORM:
            norm_adjoint(ranks, values, slopes, stride, to, a, rows, t, n, room)
        elif code != STEP:
            one = code in (INNER, INNER_MORE)
            for r in range(rows):
                g, out = row(slopes, to if one else to + r, stride, t, n), row(slopes, a + r, stride, t, n)
                v = row(values, a + r, stride, t, n)
                if one:
                    w, other = row(values, b + r, stride, t, n), row(slopes, b + r, stride, t, n)
                    for i in range(n):
                        out[i] += g[i] * w[i]
                    for i in range(n):
                        other[i] += g[i] * v[i]
                elif code == RELU:
                    for i in range(n):
                        out[i] += g[i] if v[i] > 0 else 0.0
                elif code == CLIP:
                    bound = constants[extra]
                    for i in range(n):
                        out[i] += g[i] if abs(v[i]) < bound else 0.0
                elif code == NEGATE:
                    for i in range(n):
                        out[i] -= g[i]
                else:
                    for i in range(n):
                        out[i] += g[i]
                if code in (ADD, SUBTRACT):
                    other = row(slopes, b + r, stride, t, n)
                    for i in range(n):
                        other[i] += g[i] if code == ADD else -g[i]


@compiled
def add_slopes(rows, first, sources, links, values, slopes, stride, n, begin, end, gradient):
    """Add to `gradient`, for each trained link of the jobs, the inner product of what it carried and what came back."""
    for j in range(begin, end):
        g = row(slopes, rows[j], stride, 1, n)
        last = first[j + 1]
        for k in range(first[j], last, 4):
            k1, k2, k3 = min(k + 1, last - 1), min(k + 2, last - 1), min(k + 3, last - 1)
            a, b = row(values, sources[k], stride, 0, n), row(values, sources[k1], stride, 0, n)
            c, d = row(values, sources[k2], stride, 0, n), row(values, sources[k3], stride, 0, n)
            if n >= LANES:
                x, y, z, u = four_inner_products(g, a, b, c, d, n)
            else:
                x = y = z = u = g[0] * 0
                for i in range(n):
                    x += g[i] * a[i]
                    y += g[i] * b[i]
                    z += g[i] * c[i]
                    u += g[i] * d[i]
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
        job, last_job, first, last = p.blocks[block, 3], p.blocks[block, 4], p.code[end - 1, 1], p.code[end - 1, 2]
        if not looped:
            combine(p.back_rows, *ends, p.back_targets, weights, slopes, slopes, stride, 0, 1, n, first, last)
            adjoints(p.code, p.constants, p.ranks, values, slopes, stride, begin, end, 1, n, truncated, room)
        for t in range(n if looped else 0, 0, -1):
            adjoints(p.code, p.constants, p.ranks, values, slopes, stride, begin, end, t, 1, truncated, room)
            combine(p.back_rows, *ends, p.back_targets, weights, slopes, slopes, stride, t - 1, t, 1, first, last)
        add_slopes(
            p.job_rows,
            p.slope_first,
            p.slope_sources,
            p.slope_links,
            values,
            slopes,
            stride,
            n,
            job,
            last_job,
            gradient,
        )


# ---- whole runs ----


@compiled
def part(pool, spans, k):
    """Array k of a program."""
    return pool[spans[2 * k] : spans[2 * k + 1]]


@compiled
def unpack(packed, i):
    """Program i of those that `program.pack` put together."""
    s, w, x = packed[0][i], packed[1], packed[2]
    return Program(
        part(w, s, 0).reshape((-1, 7)), part(w, s, 1).reshape((-1, 5)), part(w, s, 2), part(w, s, 3), part(w, s, 4),
        part(w, s, 5), part(w, s, 6), part(w, s, 7), part(w, s, 8), part(w, s, 9), part(w, s, 10), part(w, s, 11),
        part(w, s, 12), part(w, s, 13), part(w, s, 14), part(w, s, 15), part(w, s, 16), part(w, s, 17), part(w, s, 18),
        part(x, s, 19), part(x, s, 20), part(x, s, 21), part(x, s, 22).reshape((-1, part(w, s, 18)[1] + 1)),
    )  # fmt: skip


@compiled
def pick(weights, fixed, links):
    """The weight of every entry of a table of links: soft ones first, then the fixed."""
    out, soft = np.empty(len(links), weights.dtype), len(weights)
    for k in range(len(links)):
        out[k] = weights[links[k]] if links[k] < soft else fixed[links[k] - soft]
    return out


@compiled
def begin_window(program, values, stride, start, n, state):
    """Put in place what is the same for all weights, and the state after tick `start`."""
    for r in range(len(program.frozen)):
        for i in range(n + 1):
            values[r * stride + i] = program.frozen[r, start + i]
    for i in range(len(program.states)):
        values[program.states[i] * stride] = state[i]


@compiled
def run_values(program, weights, values, answers, states):
    """The answers (ticks, 2), window by window; `states` keeps where each window began."""
    ticks, length = program.sizes[1], program.sizes[2]
    stride, job_weights = length + 1, pick(weights, program.fixed, program.job_links)
    states[0] = 0.0
    for window in range(len(states)):
        start = window * length
        n = min(length, ticks - start)
        begin_window(program, values, stride, start, n, states[window])
        run_forward(program, values, stride, n, job_weights)
        for side in range(2):
            for i in range(n):
                answers[start + i, side] = values[program.answers[side] * stride + 1 + i]
        if window + 1 < len(states):
            for i in range(len(program.states)):
                states[window + 1, i] = values[program.states[i] * stride + n]


@compiled
def run_gradient(program, weights, values, slopes, states, seeds, truncated, gradient):
    """Add to `gradient` what that of the answers, `seeds` (ticks, 2), means for the weights; after `run_values`.

    The last window still is as it was run; those before are run again, from their states.
    """
    ticks, length = program.sizes[1], program.sizes[2]
    stride, job_weights = length + 1, pick(weights, program.fixed, program.job_links)
    back_weights = pick(weights, program.fixed, program.back_links)
    room = np.empty(2 * length, weights.dtype)
    for window in range(len(states) - 1, -1, -1):
        start = window * length
        n = min(length, ticks - start)
        if window < len(states) - 1:
            begin_window(program, values, stride, start, n, states[window])
            run_forward(program, values, stride, n, job_weights)
        for r in program.states:  # what the window after gave back for the state in which this one ends
            slopes[r * stride + n] = slopes[r * stride] if window < len(states) - 1 else 0.0
        for side in range(2):
            for i in range(n):
                slopes[program.answers[side] * stride + 1 + i] = seeds[start + i, side]
        run_backward(program, values, slopes, stride, n, back_weights, truncated, room, gradient)


@compiled
def make_states(program, values):
    """Room for the state before every window."""
    return np.empty((-(-program.sizes[1] // program.sizes[2]), len(program.states)), values.dtype)


@compiled
def many_values(packed, first, last, begin, end, weights, values, answers):
    """The answers (members, strings, ticks, 2) of strings `first` to `last` and members `begin` to `end`, at weights
    (members, links).
    """
    for i in range(first, last):
        program = unpack(packed, i)
        states = make_states(program, values)
        for member in range(begin, end):
            run_values(program, weights[member], values, answers[member, i], states)


@compiled
def many_gradients(packed, first, last, begin, end, weights, values, slopes, seeds, truncated, gradients):
    """Gradients (strings, members, links) from those of the answers, `seeds` (members, strings, ticks, 2)."""
    for i in range(first, last):
        program = unpack(packed, i)
        states, answers = make_states(program, values), np.empty((program.sizes[1], 2), values.dtype)
        for member in range(begin, end):
            own = gradients[i, member]
            own[:] = 0.0
            run_values(program, weights[member], values, answers, states)
            run_gradient(program, weights[member], values, slopes, states, seeds[member, i], truncated, own)


@compiled
def many_losses(
    packed, first, last, begin, end, weights, values, slopes, targets, factor, truncated, losses, gradients
):
    """Sums of squared errors (strings, members) against `targets` (strings, ticks, 2), and gradients of `factor` times
    them, (strings, members, links). Without rows for gradients there are only the losses.
    """
    for i in range(first, last):
        program = unpack(packed, i)
        states, answers = make_states(program, values), np.empty((program.sizes[1], 2), values.dtype)
        for member in range(begin, end):
            run_values(program, weights[member], values, answers, states)
            loss = 0.0
            for t in range(len(answers)):
                for side in range(2):
                    error = answers[t, side] - targets[i, t, side]
                    loss += error * error
                    answers[t, side] = 2.0 * factor * error
            losses[i, member] = loss
            if gradients.shape[1]:
                own = gradients[i, member]
                own[:] = 0.0
                run_gradient(program, weights[member], values, slopes, states, answers, truncated, own)
