"""The two-stroke cycle on V-values: the truth one can read. Any machine, general trees, differentiable as it stands.

Down: every input field becomes the linear combination, by the matrix, of the outputs of the previous tick. Up: every
neuron turns its inputs into outputs (arXiv:1712.07447, section 3.4). All outputs start at zero.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import autograd.numpy as np
from autograd.extend import defjvp, defvjp, primitive
from autograd.tracer import getval

from dmmlab import trees, vvalues
from dmmlab.files import DMMError
from dmmlab.inputs import Inputs
from dmmlab.machines import Machine
from dmmlab.neurons import check_gradient, find_kind
from dmmlab.rewriting import MOST_LINKS, find_keeper
from dmmlab.vvalues import VValue, assemble, branch, from_leaves, from_tree, number


class Tick(NamedTuple):
    """What every neuron received and emitted at one tick: V-values neuron → field → value.

    >>> next(dmm.cycle(dmm.handcrafted_detector(), "hello.")).outputs["input"]
    VValue({'char': {'h': 1.0}})
    """

    tick: int
    inputs: VValue
    outputs: VValue


@dataclass(frozen=True)
class TreeOps:
    """The operations of `dmmlab.neurons.Ops` on V-values and floats."""

    dot_clip: float
    string: str = ""
    ticks_per_character: int = 10
    tie_order: str | None = None

    add = staticmethod(vvalues.add)
    inner = staticmethod(vvalues.inner)
    number = staticmethod(vvalues.number)
    constant = VValue
    difference = staticmethod(operator.sub)

    def max_norm(self, a: VValue) -> float:
        return vvalues.max_norm(a, self.tie_order)

    @staticmethod
    def relu(a: float) -> float:
        return a if a > 0 else 0.0

    @staticmethod
    def step(a: float) -> float:
        return 1.0 if a > 0 else 0.0

    @staticmethod
    def clip(a: float, bound: float) -> float:
        return a if -bound < a < bound else np.sign(getval(a)) * bound

    def character(self, timer: float) -> VValue:
        place, rest = divmod(getval(timer), self.ticks_per_character)
        if rest or place < 0:
            return VValue()
        return VValue({self.string[min(int(place), len(self.string) - 1)]: 1.0})


# ---- the down movement: matrix × outputs is bilinear, and so are its two transposes ----


def _streams(fields: VValue) -> dict[tuple[str, str], trees.Tree]:
    """The streams of a tree neuron → field → stream; numbers above them belong to no field."""
    neurons = {name: tree for name, tree in fields._tree.items() if type(tree) is not float}
    return {(name, each): x for name, tree in neurons.items() for each, x in tree.items() if each != trees.NUMBER}


def _combine(matrix: VValue, fields: VValue, transposed: bool) -> VValue:
    total: dict = {}
    streams = _streams(fields)
    for (to, to_field, source, source_field), weight in trees.leaves(matrix._tree):
        if transposed:
            to, to_field, source, source_field = source, source_field, to, to_field
        if (source, source_field) in streams:
            row, scaled = total.setdefault(to, {}), trees.scale(weight, streams[source, source_field])
            row[to_field] = trees.add(row.get(to_field, 0.0), scaled)
    rows = ((to, trees.collapse({each: x for each, x in row.items() if x})) for to, row in total.items())
    return from_tree(trees.collapse({to: row for to, row in rows if row}))


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
def _pair(inputs: VValue, outputs: VValue) -> VValue:
    """The matrix of inner products of every input field with every output field."""
    ends = [_streams(fields).items() for fields in (inputs, outputs)]
    pairs = (((*to, *source), trees.inner(x, y)) for to, x in ends[0] for source, y in ends[1])
    return from_leaves((path, weight) for path, weight in pairs if weight)


defvjp(
    down, lambda ans, m, outputs: lambda g: _pair(g, outputs), lambda ans, m, outputs: lambda g: _down_transposed(m, g)
)
defvjp(_down_transposed, lambda ans, m, inputs: lambda g: _pair(inputs, g), lambda ans, m, inputs: lambda g: down(m, g))
defvjp(
    _pair,
    lambda ans, inputs, outputs: lambda g: down(g, outputs),
    lambda ans, inputs, outputs: lambda g: _down_transposed(g, inputs),
)
defjvp(down, lambda g, ans, m, x: down(g, x), lambda g, ans, m, x: down(m, g))
defjvp(_down_transposed, lambda g, ans, m, y: _down_transposed(g, y), lambda g, ans, m, y: _down_transposed(m, g))
defjvp(_pair, lambda g, ans, y, x: _pair(g, x), lambda g, ans, y, x: _pair(y, g))


# ---- the up movement and the cycle ----


def up(neurons: Mapping[str, str], inputs: VValue, ops: TreeOps, memory_gradient: str = "full") -> VValue:
    """The outputs of neurons (name → kind) for their inputs, both neuron → field → value."""
    emitted = {}
    for name, kind_name in neurons.items():
        kind = find_kind(kind_name)
        received = branch(inputs, name)
        fields = {each: branch(received, each) for each in (received if kind.inputs is None else kind.inputs)}
        if memory_gradient == "truncated":
            # Zygote lost the gradient here without a word (issue 1113): copies of dictionaries looked constant.
            fields = {each: x if kind.passes_gradient(each) else getval(x) for each, x in fields.items()}
        answers = kind.up(fields, ops)
        emitted[name] = assemble(tuple(answers), *answers.values())
    return assemble(tuple(emitted), *emitted.values())


def cycle(
    machine: Machine,
    string: str,
    ticks: int | None = None,
    ticks_per_character: int = 10,
    weights: VValue | None = None,
    memory_gradient: str = "full",
    tie_order: str | None = None,
    start: VValue | None = None,
    most_links: int = MOST_LINKS,
) -> Iterator[Tick]:
    """The machine on a string, one `Tick` after another, the first being tick 1.
    `ticks=None` runs len(string)·ticks_per_character + 20 ticks. `weights` replaces the machine's trainable matrix and
    may be traced by autograd; `memory_gradient="truncated"` lets no gradient pass through memories, and at ties of a
    max-norm `tie_order` says where its gradient goes (see `max_norm`). `start` are the outputs before tick 1 (zero
    unless given), neuron → field → value; it may be traced, and be the outputs of an earlier run to go on with. Where
    it holds the matrix of a Self, the machine's own and `weights` play no part; else they begin. A machine with a
    neuron of kind `self` is rewritten by it (see `dmmlab.selves`); only neurons that a link touches are awake then, up
    to `most_links` links. Raises DMMError for a string without characters, fewer than one tick, or an unknown gradient,
    and, naming the tick, for what a Self must not emit: the outputs before that tick are in the error's `outputs`.

    >>> [tick.outputs["timer"]["timer"] for tick in dmm.cycle(dmm.handcrafted_detector(), "a", ticks=3)]
    [1.0, 2.0, 3.0]
    """
    fed = Inputs([string], ticks, ticks_per_character)
    (ticks,), (ticks_per_character,) = fed.ticks, fed.ticks_per_character
    check_gradient(memory_gradient, tie_order)
    matrix = (machine.weights if weights is None else weights) + machine.fixed
    ops = TreeOps(machine.dot_clip, string, ticks_per_character, tie_order)
    keeper = find_keeper(machine, matrix, most_links)
    outputs = keeper.begin(VValue(start))
    for tick in range(1, ticks + 1):
        before = outputs
        try:
            matrix = keeper.matrix(outputs)
            inputs = down(matrix, outputs)
            outputs = up(keeper.awake(matrix), inputs, ops, memory_gradient)
            keeper.awake(keeper.matrix(outputs))  # refuse it before anybody sees it
        except DMMError as error:
            stopped = DMMError(f"tick {tick}: {error}")
            stopped.outputs = before
            raise stopped from None
        yield Tick(tick, inputs, outputs)


def trace(
    machine: Machine, string: str, ticks: int | None = None, ticks_per_character: int = 10, **options: Any
) -> list[Tick]:
    """Every neuron's inputs and outputs at every tick, as V-values; item 0 is tick 1. Arguments as for `cycle`.

    >>> dmm.trace(dmm.handcrafted_detector(), "aa.", ticks_per_character=1)[3].outputs["accum"]
    VValue({'dict': {'a': 2.0, '.': 1.0}})
    """
    return list(cycle(machine, string, ticks, ticks_per_character, **options))


def answers(machine: Machine, string: str, ticks: int | None = None, **options: Any) -> np.ndarray:
    """What arrives at the output neuron: an array (ticks, 2) of left and right. Arguments as for `cycle`.
    The interpreter's counterpart of `dmmlab.run`; differentiable with respect to `weights`.

    >>> dmm.answers(dmm.handcrafted_detector(), "hello. all.")[109]
    array([3., 2.])
    """
    arriving = (branch(tick.inputs, machine.output) for tick in cycle(machine, string, ticks, **options))
    return np.array([[number(branch(fields, side)) for side in ("dict-1", "dict-2")] for fields in arriving])
