"""Whole runs: windows, members and strings around the compiled loops. These are the functions that Python calls."""

from __future__ import annotations

import numpy as np

from dmmlab.engine.backward import run_backward
from dmmlab.engine.forward import run_forward
from dmmlab.engine.jit import compiled
from dmmlab.engine.program import Program
from dmmlab.engine.tangents import run_tangent


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
        part(w, s, 19), part(x, s, 20), part(x, s, 21), part(x, s, 22),
        part(x, s, 23).reshape((-1, part(w, s, 19)[1] + 1)),
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
def slot(program, values, windows, window):
    """Where the values of a window lie: the last windows have places of their own, those before share the first."""
    size = program.sizes[0] * (program.sizes[3] + 1)
    place = max(window - (windows - program.sizes[4]), 0)
    return values[place * size : (place + 1) * size]


@compiled
def run_window(program, values, window, state, weights):
    """Run a window from the state in which the one before ended; gives back how many ticks it has."""
    ticks, length = program.sizes[1], program.sizes[3]
    start = window * length
    n = min(length, ticks - start)
    begin_window(program, values, length + 1, start, n, state)
    run_forward(program, values, length + 1, n, weights)
    return n


@compiled
def run_values(program, weights, values, answers, states):
    """The answers (ticks, 2), window by window; `states` keeps where each window began."""
    length, windows = program.sizes[3], len(states)
    states[0] = 0.0
    for window in range(windows):
        own = slot(program, values, windows, window)
        n = run_window(program, own, window, states[window], weights)
        for side in range(2):
            for i in range(n):
                answers[window * length + i, side] = own[program.answers[side] * (length + 1) + 1 + i]
        if window + 1 < windows:
            for i in range(len(program.states)):
                states[window + 1, i] = own[program.states[i] * (length + 1) + n]


@compiled
def run_gradient(program, weights, back_weights, values, slopes, states, seeds, truncated, room, gradient):
    """Add to `gradient` what that of the answers, `seeds` (ticks, 2), means for the weights; after `run_values`.

    Windows whose values were not kept are run again, from their states.
    """
    ticks, length, windows = program.sizes[1], program.sizes[3], len(states)
    stride = length + 1
    for window in range(windows - 1, -1, -1):
        own, start = slot(program, values, windows, window), window * length
        n = min(length, ticks - start)
        if window < windows - program.sizes[4]:
            run_window(program, own, window, states[window], weights)
        for r in program.states:  # what the window after gave back for the state in which this one ends
            slopes[r * stride + n] = slopes[r * stride] if window < windows - 1 else 0.0
        for side in range(2):
            for i in range(n):
                slopes[program.answers[side] * stride + 1 + i] = seeds[start + i, side]
        run_backward(program, own, slopes, stride, n, back_weights, truncated, room, gradient)


@compiled
def make_room(program, values):
    """Room for the state before every window, and for what the adjoint of a norm needs."""
    windows = -(-program.sizes[1] // program.sizes[3])
    return np.empty((windows, len(program.states)), values.dtype), np.empty(2 * program.sizes[3], values.dtype)


@compiled
def many_values(packed, first, last, begin, end, weights, values, answers):
    """The answers (members, strings, ticks, 2) of strings `first` to `last` and members `begin` to `end`, at weights
    (members, links).
    """
    for i in range(first, last):
        program = unpack(packed, i)
        states, _ = make_room(program, values)
        for member in range(begin, end):
            job_weights = pick(weights[member], program.fixed, program.job_links)
            run_values(program, job_weights, values, answers[member, i], states)


@compiled
def many_gradients(packed, first, last, begin, end, weights, values, slopes, seeds, truncated, gradients):
    """Gradients (strings, members, links) from those of the answers, `seeds` (members, strings, ticks, 2)."""
    for i in range(first, last):
        program = unpack(packed, i)
        states, room = make_room(program, values)
        answers = np.empty((program.sizes[1], 2), values.dtype)
        for member in range(begin, end):
            own = gradients[i, member]
            own[:] = 0.0
            job_weights = pick(weights[member], program.fixed, program.job_links)
            back_weights = pick(weights[member], program.fixed, program.back_links)
            run_values(program, job_weights, values, answers, states)
            more = states, seeds[member, i], truncated, room, own
            run_gradient(program, job_weights, back_weights, values, slopes, *more)


@compiled
def many_losses(
    packed, first, last, begin, end, weights, values, slopes, targets, factor, truncated, losses, gradients
):
    """Sums of squared errors (strings, members) against `targets` (strings, ticks, 2), and gradients of `factor` times
    them, (strings, members, links). Without rows for gradients there are only the losses.
    """
    for i in range(first, last):
        program = unpack(packed, i)
        states, room = make_room(program, values)
        answers = np.empty((program.sizes[1], 2), values.dtype)
        for member in range(begin, end):
            job_weights = pick(weights[member], program.fixed, program.job_links)
            run_values(program, job_weights, values, answers, states)
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
                back_weights = pick(weights[member], program.fixed, program.back_links)
                more = states, answers, truncated, room, own
                run_gradient(program, job_weights, back_weights, values, slopes, *more)


@compiled
def many_tangents(packed, first, last, begin, end, weights, values, tangents, directions, changes):
    """Changes of the answers, (directions, strings, ticks, 2), along directions (directions, links)."""
    for i in range(first, last):
        p = unpack(packed, i)
        rows, n = p.sizes[0], p.sizes[1]
        job_weights, none = pick(weights, p.fixed, p.job_links), np.zeros(len(p.fixed), weights.dtype)
        begin_window(p, values, n + 1, 0, n, np.zeros(len(p.states), weights.dtype))
        run_forward(p, values, n + 1, n, job_weights)
        for k in range(rows * (n + 1)):  # states, and what is the same for all weights, do not change
            tangents[k] = 0.0
        for d in range(begin, end):
            run_tangent(p, values, tangents, n + 1, n, job_weights, pick(directions[d], none, p.job_links))
            for side in range(2):
                for t in range(n):
                    changes[d, i, t, side] = tangents[p.answers[side] * (n + 1) + 1 + t]
