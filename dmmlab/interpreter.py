"""The two-stroke cycle on V-values: the truth one can read. Any machine, general trees, differentiable as it stands.

Down: every input field becomes the linear combination, by the matrix, of the outputs of the previous tick. Up: every
neuron turns its inputs into outputs (arXiv:1712.07447, section 3.4). All outputs start at zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import autograd.numpy as np
from autograd.extend import primitive
from autograd.tracer import getval

from dmmlab import trees
from dmmlab.differentiation import def_bilinear
from dmmlab.files import DMMError
from dmmlab.inputs import Inputs, Text
from dmmlab.machines import Machine
from dmmlab.neurons import Ops, check_gradient, find_kind
from dmmlab.rewriting import find_wiring, first_outputs
from dmmlab.trees import NUMBER, Path, Tree
from dmmlab.vvalues import VValue, from_leaves, from_tree, number


class Tick(NamedTuple):
    """What every neuron received and emitted at one tick: V-values neuron → field → value.

    >>> next(dmm.cycle(dmm.handcrafted_detector(), "hello.")).outputs["input"]
    VValue({'char': {'h': 1.0}})
    """

    tick: int
    inputs: VValue
    outputs: VValue


# ---- the down movement: matrix × outputs is bilinear, and so are its two transposes ----


def _streams(fields: VValue) -> dict[Path, Tree]:
    """The streams of a tree neuron → field → stream; numbers above them belong to no field."""
    rows = ((name, trees.root(row)) for name, row in fields.tree.items())
    return {(name, field): x for name, row in rows for field, x in row.items() if field != NUMBER}


def _combine(matrix: VValue, fields: VValue, transposed: bool) -> VValue:
    streams, sums = _streams(fields), {}
    for path, weight in matrix.leaves():
        to, source = (path[2:], path[:2]) if transposed else (path[:2], path[2:])
        if source in streams:
            # A link of weight 1 shares what may be large.
            stream = streams[source] if weight == 1.0 else trees.scale(weight, streams[source])
            sums[to] = trees.add(sums.get(to, 0.0), stream)
    rows: dict = {}
    for (name, field), x in sums.items():
        if x:
            rows.setdefault(name, {})[field] = x
    return from_tree(rows)


@primitive
def down(matrix: VValue, outputs: VValue) -> VValue:
    """The inputs of all neurons: at every neuron.field the combination of outputs that its row of the matrix asks for.

    `matrix` has depth 4; `outputs` and the result are neuron → field → value. Differentiable in both to any order,
    also with respect to links that are not there (their weight is zero).
    """
    return _combine(matrix, outputs, transposed=False)


@primitive
def _down_transposed(matrix: VValue, inputs: VValue) -> VValue:
    return _combine(matrix, inputs, transposed=True)


@primitive
def _outer(inputs: VValue, outputs: VValue) -> VValue:
    """The matrix of inner products of every input field with every output field."""
    sources = _streams(outputs)
    pairs = (((*to, *source), trees.inner(x, y)) for to, x in _streams(inputs).items() for source, y in sources.items())
    return from_leaves((path, weight) for path, weight in pairs if weight)


def_bilinear(down, _outer, lambda g, matrix: _down_transposed(matrix, g))
def_bilinear(_down_transposed, lambda g, inputs: _outer(inputs, g), lambda g, matrix: down(matrix, g))
def_bilinear(_outer, down, _down_transposed)


# ---- the up movement and the cycle ----


def up(neurons: Mapping[str, str], inputs: VValue, ops: Ops, memory_gradient: str = "full") -> VValue:
    """The outputs of neurons (name → kind) for their inputs, both neuron → field → value."""
    emitted = {}
    for name, kind_name in neurons.items():
        kind, received = find_kind(kind_name), inputs[name]
        fields = {field: received[field] for field in (received if kind.inputs is None else kind.inputs)}
        if memory_gradient == "truncated":
            # Zygote lost the gradient here without a word (issue 1113): copies of dictionaries looked constant.
            fields = {field: x if kind.passes_gradient(field) else getval(x) for field, x in fields.items()}
        emitted[name] = kind.up(fields, ops)
    return VValue(emitted)


def cycle(
    machine: Machine,
    string: Text,
    ticks: int | None = None,
    ticks_per_character: int = 10,
    weights: VValue | None = None,
    memory_gradient: str = "full",
    tie_order: str | None = None,
    start: VValue | None = None,
    after_end: str = "repeat",
) -> Iterator[Tick]:
    """The machine on a string, one `Tick` after another, the first being tick 1. A neuron of kind `self` rewrites it.

    Args:
        machine: neurons, and the matrices that begin.
        string: what the input emits, a character at a time; or a list of words, numbers, dicts (see `Inputs`).
        ticks: how many; None for len(string) · ticks_per_character + 20.
        ticks_per_character: ticks from one character to the next.
        weights: replaces the machine's trainable matrix; autograd may trace it.
        memory_gradient: "full", or "truncated": no gradient passes through memories.
        tie_order: where the gradient goes at ties of a max-norm (see `max_norm`).
        after_end: what comes after the last step: "repeat", it again and again, as in the journal; or "nothing".
        start: outputs before tick 1, neuron → field → value (zero by default), as an earlier run left them.

    Raises DMMError for nonsense, and, naming the tick, for what fails in one; it has the `outputs` before that tick.

    >>> [float(tick.outputs["timer"]["timer"]) for tick in dmm.cycle(dmm.handcrafted_detector(), "a", ticks=3)]
    [1.0, 2.0, 3.0]
    """
    fed = Inputs([string], ticks, ticks_per_character, after_end=after_end)
    machine = machine.reading_values() if fed.has_values else machine
    check_gradient(memory_gradient, tie_order)
    matrix = (machine.weights if weights is None else weights) + machine.fixed
    ops = Ops(machine.dot_clip, fed.streams[0], fed.ticks_per_character[0], tie_order)
    outputs = first_outputs(machine, matrix, start)
    with _at_tick(1, outputs):
        matrix, neurons = find_wiring(machine, matrix, outputs)
    for tick in range(1, fed.ticks[0] + 1):
        with _at_tick(tick, outputs):
            inputs = down(matrix, outputs)
            outputs = up(neurons, inputs, ops, memory_gradient)
            matrix, neurons = find_wiring(machine, matrix, outputs)  # refuse it before anybody sees it
        yield Tick(tick, inputs, outputs)


@contextmanager
def _at_tick(tick: int, before: VValue) -> Iterator[None]:
    """Errors name the tick, and have the outputs before it."""
    try:
        yield
    except (DMMError, RecursionError) as error:
        reason = error if isinstance(error, DMMError) else "a V-value is nested too deeply; give fewer ticks"
        stopped = DMMError(f"tick {tick}: {reason}")
        stopped.outputs = before
        raise stopped from None


def trace(
    machine: Machine, string: Text, ticks: int | None = None, ticks_per_character: int = 10, **options: Any
) -> list[Tick]:
    """Every neuron's inputs and outputs at every tick, as V-values; item 0 is tick 1. Arguments as for `cycle`.

    >>> dmm.trace(dmm.handcrafted_detector(), "aa.", ticks_per_character=1)[3].outputs["accum"]
    VValue({'dict': {'a': 2.0, '.': 1.0}})
    """
    return list(cycle(machine, string, ticks, ticks_per_character, **options))


def answers(machine: Machine, string: Text, ticks: int | None = None, **options: Any) -> np.ndarray:
    """What arrives at the output neuron: an array (ticks, 2) of left and right. Arguments as for `cycle`.
    The interpreter's counterpart of `dmmlab.run`; differentiable with respect to `weights`.

    >>> dmm.answers(dmm.handcrafted_detector(), "hello. all.")[109]
    array([3., 2.])
    """
    arriving = (tick.inputs[machine.output] for tick in cycle(machine, string, ticks, **options))
    return np.array([[number(fields[side]) for side in ("dict-1", "dict-2")] for fields in arriving])
