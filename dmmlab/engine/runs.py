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
def pick(weights, fixed, tape, count):
    """The weights of the first entries: those of soft links, or of fixed ones, which stand behind them."""
    return np.append(weights, fixed)[tape.entries[1, : tape.sizes[count]]]


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
def run_values(tape, weights, buffer, answers, checkpoints):
    """The answers (ticks, 2), segment by segment."""
    for segment in range(len(checkpoints)):
        start, n, values = find_segment(tape, buffer, segment)
        values[tape.states, 0] = checkpoints[segment]
        run_forward(tape, values, n, weights)
        for side in range(2):
            answers[start : start + n, side] = values[tape.answers[side], 1 : n + 1]
        if segment + 1 < len(checkpoints):
            checkpoints[segment + 1] = values[tape.states, n]


@compiled
def run_gradient(tape, weights, buffer, gradient_buffer, checkpoints, seeds, out):
    """Add to `out` what the gradient of the answers, `seeds` (ticks, 2), means for the weights; after `run_values`.

    Segments whose values were not kept are run again, from their checkpoints.
    """
    segments, length = len(checkpoints), tape.sizes[LENGTH]
    gradients = arrange(gradient_buffer, tape.sizes[ROWS], length, 0)
    carried = np.zeros(len(tape.states), weights.dtype)  # what a segment gives back to the state in which it began
    for segment in range(segments - 1, -1, -1):
        start, n, values = find_segment(tape, buffer, segment)
        if segment < segments - tape.sizes[KEPT]:
            values[tape.states, 0] = checkpoints[segment]
            run_forward(tape, values, n, weights)
        gradients[:] = 0.0
        gradients[tape.states, n] = carried
        for side in range(2):
            gradients[tape.answers[side], 1 : n + 1] = seeds[start : start + n, side]
        run_backward(tape, values, gradients, n, weights, out)
        carried = gradients[tape.states, 0]


@compiled
def many_values(packed, first, last, begin, end, buffer, _, weights, answers):
    """The answers (members, strings, ticks, 2) at weights (members, links)."""
    for string in range(first, last):
        tape = unpack(packed, string)
        checkpoints = make_checkpoints(tape, buffer)
        for member in range(begin, end):
            picked = pick(weights[member], tape.fixed, tape, FORWARD)
            run_values(tape, picked, buffer, answers[member, string], checkpoints)


@compiled
def many_losses(
    packed, first, last, begin, end, buffer, gradient_buffer, weights, targets, squared, factor, losses, out
):
    """Losses (strings, members), and gradients of `factor` times them, `out` (strings, members, links) if it has rows.

    A loss is the sum of the squared errors of the answers against `targets`, (members or 1, strings, ticks, 2), where
    these are numbers. If not
    `squared`, `targets` are the gradient of the answers, whatever it comes from, and the losses mean nothing.
    """
    for string in range(first, last):
        tape = unpack(packed, string)
        checkpoints, answers = make_checkpoints(tape, buffer), np.empty((tape.sizes[TICKS], 2), buffer.dtype)
        for member in range(begin, end):
            picked = pick(weights[member], tape.fixed, tape, BACK if out.shape[1] else FORWARD)
            run_values(tape, picked, buffer, answers, checkpoints)
            target = targets[min(member, len(targets) - 1), string]
            loss = 0.0
            for t in range(len(answers)):
                for side in range(2):
                    wanted = target[t, side]
                    error = answers[t, side] - wanted
                    if wanted != wanted:  # not a number: nothing is asked here
                        error = factor - factor  # zero, in the precision of the run
                    loss += error * error
                    answers[t, side] = 2.0 * factor * error if squared else wanted
            losses[string, member] = loss
            if out.shape[1]:
                out[string, member] = 0.0
                own = out[string, member]
                run_gradient(tape, picked, buffer, gradient_buffer, checkpoints, answers, own)


@compiled
def many_tangents(packed, first, last, begin, end, buffer, tangent_buffer, weights, directions, changes):
    """Changes of the answers, (directions, strings, ticks, 2), along directions (directions, links)."""
    for string in range(first, last):
        tape = unpack(packed, string)
        rows, n = tape.sizes[ROWS], tape.sizes[TICKS]
        values, tangents = arrange(buffer, rows, n, 0), arrange(tangent_buffer, rows, n, 0)
        picked = pick(weights, tape.fixed, tape, FORWARD)
        values[tape.states, 0] = 0.0
        run_forward(tape, values, n, picked)
        tangents[:] = 0.0  # states, and what is the same for all weights, do not change
        for d in range(begin, end):
            run_tangent(tape, values, tangents, n, picked, pick(directions[d], tape.fixed * 0, tape, FORWARD))
            for side in range(2):
                changes[d, string, :n, side] = tangents[tape.answers[side], 1 : n + 1]
