"""Whole runs: segments, batches and strings around the compiled loops. These are the functions that Python calls.

A long run is checkpointed: it goes in segments, and the states between them, the checkpoints, are kept. Each function
runs strings `first` to `last` and members `begin` to `end` of the batch; the buffers hold what the last run left.
"""

from __future__ import annotations

import numpy as np

from dmmlab.engine.backward import run_backward
from dmmlab.engine.forward import run_forward
from dmmlab.engine.jit import compiled
from dmmlab.engine.tangents import run_tangent
from dmmlab.engine.tape import BACK, FORWARD, KEPT, LENGTH, ROWS, TICKS, unpack


@compiled
def pick(weights, fixed, tape, jobs):
    """The weight of every entry of the first jobs: the soft ones stand first, then the fixed."""
    links, soft = tape.entries[1, : tape.jobs[2, jobs - 1]], len(weights)
    out = np.empty(len(links), weights.dtype)
    for k in range(len(links)):
        out[k] = weights[links[k]] if links[k] < soft else fixed[links[k] - soft]
    return out


@compiled
def make_checkpoints(tape, buffer):
    """The state before every segment; the first is zero."""
    segments = -(-tape.sizes[TICKS] // tape.sizes[LENGTH])
    return np.zeros((segments, len(tape.states)), buffer.dtype)


@compiled
def arrange(buffer, rows, ticks, place):
    """A part of a buffer as rows of so many ticks and the state before them."""
    size = rows * (ticks + 1)
    return buffer[place * size : (place + 1) * size].reshape((rows, ticks + 1))


@compiled
def find_segment(tape, buffer, segment):
    """Where a segment begins, its ticks, its values: the last segments have places of their own, others share one."""
    length, ticks = tape.sizes[LENGTH], tape.sizes[TICKS]
    start, segments = segment * length, -(-ticks // length)
    place = max(segment - (segments - tape.sizes[KEPT]), 0)
    return start, min(length, ticks - start), arrange(buffer, tape.sizes[ROWS], length, place)


@compiled
def run_segment(tape, values, start, n, state, weights):
    """Run n ticks after tick `start` from a state, with what is the same for all weights."""
    for r in range(len(tape.frozen)):
        values[r, : n + 1] = tape.frozen[r, start : start + n + 1]
    values[tape.states, 0] = state
    run_forward(tape, values, n, weights)


@compiled
def run_values(tape, weights, buffer, answers, checkpoints):
    """The answers (ticks, 2), segment by segment."""
    for segment in range(len(checkpoints)):
        start, n, values = find_segment(tape, buffer, segment)
        run_segment(tape, values, start, n, checkpoints[segment], weights)
        for side in range(2):
            answers[start : start + n, side] = values[tape.answers[side], 1 : n + 1]
        if segment + 1 < len(checkpoints):
            checkpoints[segment + 1] = values[tape.states, n]


@compiled
def run_gradient(tape, weights, buffer, gradient_buffer, checkpoints, seeds, truncated, out):
    """Add to `out` what the gradient of the answers, `seeds` (ticks, 2), means for the weights; after `run_values`.

    Segments whose values were not kept are run again, from their checkpoints.
    """
    segments, length = len(checkpoints), tape.sizes[LENGTH]
    gradients = arrange(gradient_buffer, tape.sizes[ROWS], length, 0)
    carried = np.zeros(len(tape.states), weights.dtype)  # what a segment gives back to the state in which it began
    for segment in range(segments - 1, -1, -1):
        start, n, values = find_segment(tape, buffer, segment)
        if segment < segments - tape.sizes[KEPT]:
            run_segment(tape, values, start, n, checkpoints[segment], weights)
        gradients[:] = 0.0
        gradients[tape.states, n] = carried
        for side in range(2):
            gradients[tape.answers[side], 1 : n + 1] = seeds[start : start + n, side]
        run_backward(tape, values, gradients, n, weights, truncated, out)
        carried = gradients[tape.states, 0]


@compiled
def many_values(packed, first, last, begin, end, buffer, _, weights, answers):
    """The answers (members, strings, ticks, 2) at weights (members, links)."""
    for string in range(first, last):
        tape = unpack(packed, string)
        checkpoints = make_checkpoints(tape, buffer)
        for member in range(begin, end):
            picked = pick(weights[member], tape.fixed, tape, tape.sizes[FORWARD])
            run_values(tape, picked, buffer, answers[member, string], checkpoints)


@compiled
def many_losses(
    packed, first, last, begin, end, buffer, gradient_buffer, weights, targets, squared, factor, truncated, losses, out
):
    """Losses (strings, members), and gradients of `factor` times them, `out` (strings, members, links) if it has rows.

    A loss is the sum of the squared errors of the answers against `targets`, (members or 1, strings, ticks, 2); if
    not `squared`, that of the products of answers and targets.
    """
    for string in range(first, last):
        tape = unpack(packed, string)
        checkpoints, answers = make_checkpoints(tape, buffer), np.empty((tape.sizes[TICKS], 2), buffer.dtype)
        for member in range(begin, end):
            picked = pick(weights[member], tape.fixed, tape, tape.sizes[BACK if out.shape[1] else FORWARD])
            run_values(tape, picked, buffer, answers, checkpoints)
            target = targets[min(member, len(targets) - 1), string]
            loss = 0.0
            for t in range(len(answers)):
                for side in range(2):
                    error = answers[t, side] - target[t, side]
                    loss += error * error
                    answers[t, side] = 2.0 * factor * error if squared else target[t, side]
            losses[string, member] = loss
            if out.shape[1]:
                out[string, member] = 0.0
                own = out[string, member]
                run_gradient(tape, picked, buffer, gradient_buffer, checkpoints, answers, truncated, own)


@compiled
def many_tangents(packed, first, last, begin, end, buffer, tangent_buffer, weights, directions, changes):
    """Changes of the answers, (directions, strings, ticks, 2), along directions (directions, links)."""
    for string in range(first, last):
        tape = unpack(packed, string)
        rows, n = tape.sizes[ROWS], tape.sizes[TICKS]
        values, tangents = arrange(buffer, rows, n, 0), arrange(tangent_buffer, rows, n, 0)
        picked, none = pick(weights, tape.fixed, tape, tape.sizes[FORWARD]), np.zeros(len(tape.fixed), weights.dtype)
        run_segment(tape, values, 0, n, np.zeros(len(tape.states), weights.dtype), picked)
        tangents[:] = 0.0  # states, and what is the same for all weights, do not change
        for d in range(begin, end):
            run_tangent(tape, values, tangents, n, picked, pick(directions[d], none, tape, tape.sizes[FORWARD]))
            for side in range(2):
                changes[d, string, :n, side] = tangents[tape.answers[side], 1 : n + 1]
