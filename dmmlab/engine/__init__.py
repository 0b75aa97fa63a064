"""The engine: a machine compiled to a small program, and compiled loops that run it, with the same bits everywhere.

Users keep trees; a compiler flattens them (`compiler`, `program`). It computes what `dmmlab.interpreter` computes, for
every machine whose streams are flat, for many weights and many strings, on as many threads as there are cores.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from autograd.extend import defvjp, primitive
from autograd.tracer import isbox

from dmmlab.engine import runs
from dmmlab.engine.compiler import compile_machine
from dmmlab.engine.jit import call
from dmmlab.engine.program import Layout, Packed, Program, pack, tabulate
from dmmlab.engine.threads import room, share
from dmmlab.files import DMMError
from dmmlab.inputs import Inputs
from dmmlab.machines import Machine
from dmmlab.neurons import check_gradient

__all__ = ["Engine", "run"]
Array = np.ndarray
MEMORY = 7.0  # MB of values and their gradient; a longer run goes in windows
PARTS = 16  # of that memory: one for the gradient of a window, the others for values of windows


class Engine:
    """A machine compiled for some strings.
    `inputs` are the strings, with their ticks and speeds; a Task is one too. `answers(w)` gives left and right at every
    tick; past the end of a string they are zero. `dtype` is np.float64 or np.float32; for `tie_order` see
    `max_norm`. A run whose values and gradient would take more than `memory` MB goes in windows: the states between
    them are kept, and going back those whose values no longer fitted are run again. Raises DMMError for what
    cannot be run.

    >>> dmm.Engine(dmm.handcrafted_detector(), dmm.Inputs(["aa.", "b"])).answers(np.ones((5, 8))).shape  # members first
    (5, 2, 50, 2)
    """

    def __init__(
        self,
        machine: Machine,
        inputs: Inputs,
        dtype: type = np.float64,
        tie_order: str | None = None,
        memory: float = MEMORY,
    ) -> None:
        if not isinstance(machine, Machine):
            raise DMMError(f"a {type(machine).__name__} is no machine to run")
        if not isinstance(inputs, Inputs):
            raise DMMError(f"a {type(inputs).__name__} is no inputs to run on; give Inputs of strings, or a Task")
        if dtype not in (np.float32, np.float64):
            raise DMMError(f"dtype is {dtype!r}; it is np.float32 or np.float64")
        if isinstance(memory, bool) or not isinstance(memory, (int, float)) or not memory > 0:
            raise DMMError(f"memory is {memory!r}; it is a positive number of MB")
        check_gradient("full", tie_order)
        self.strings, self.ticks, self.ticks_per_character = inputs.strings, inputs.ticks, inputs.ticks_per_character
        self.links, self.dtype, self.tie_order, self.memory = len(machine.links), dtype, tie_order, memory
        self._structure, self._emitter = compile_machine(machine)
        tables, self._layouts = tabulate(self._structure, self._emitter), {}
        letters = self._emitter.letters
        self._free = [sorted(set(string) - letters.keys()) for string in self.strings]  # that no kind emits by itself
        for keys in {len(free) for free in self._free}:
            self._layouts[keys] = Layout(self._structure, self._emitter, tables, keys)
        self._programs = [self._program(i) for i in range(len(self.strings))]

    # ---- programs ----

    def _layout(self, i: int) -> Layout:
        return self._layouts[len(self._free[i])]

    def _program(self, i: int) -> Program:
        """The program of string i, with the rows that are the same for all weights: clock and input above all."""
        string, ticks, layout = self.strings[i], self.ticks[i], self._layout(i)
        keys = [*self._free[i], *sorted(self._emitter.letters, key=self._emitter.letters.get)]
        places = {key: place for place, key in enumerate(keys)}
        program = layout.program(places, string, ticks, self.ticks_per_character[i], self.tie_order)
        values, freezing = np.zeros(layout.rows * (ticks + 1), self.dtype), layout.freezing(program)
        if len(freezing.blocks):
            nothing, answers = np.zeros((1, self.links), self.dtype), np.empty((1, 1, ticks, 2), self.dtype)
            call(runs.many_values, self.dtype, pack([freezing], self.dtype), 0, 1, 0, 1, nothing, values, answers)
        frozen = values[: layout.frozen_rows * (ticks + 1)].reshape(-1, ticks + 1).copy()
        windows, kept = self.cut(i)
        program.sizes[3:] = -(-ticks // windows), kept
        return program._replace(frozen=frozen)

    @cached_property
    def _full(self) -> Packed:
        return pack(self._programs, self.dtype)

    @cached_property
    def _truncated(self) -> Packed:
        return pack([self._layout(i).truncated(each) for i, each in enumerate(self._programs)], self.dtype)

    @property
    def used(self) -> Array:
        """Which links the program has, (links,): those along which something can flow to the output."""
        used = np.zeros(self.links + len(self._structure.weights), bool)
        used[[place for jobs in self._structure.jobs for job in jobs for _, place in job.sources]] = True
        return used[: self.links]

    def rows(self, i: int) -> int:
        """How many numbers a tick of string i takes, for values; as many again for the gradient."""
        return self._layout(i).rows

    def windows(self, i: int) -> int:
        """In how many windows a run of string i goes."""
        return self.cut(i)[0]

    def cut(self, i: int) -> tuple[int, int]:
        """The windows of string i, and of how many of them, the last ones, the values are kept."""
        a_tick = np.dtype(self.dtype).itemsize * max(self.rows(i), 1)
        fitting, ticks = int(min(1e6 * self.memory / a_tick, 1e9)), self.ticks[i]
        if 2 * (ticks + 1) <= fitting:
            return 1, 1
        length = max(fitting // PARTS - 1, 1)
        windows = -(-ticks // length)
        return windows, max(min(windows, PARTS - 1, fitting // (length + 1) - 1), 1)

    @cached_property
    def room(self) -> tuple[int, int]:
        """How many numbers there must be room for: values of the windows that are kept, the gradient of one."""
        kept = [(program.sizes[0] * (program.sizes[3] + 1), program.sizes[4]) for program in self._programs]
        return max(size * count for size, count in kept), max(size for size, _ in kept)

    @cached_property
    def _costs(self) -> list[int]:
        return [self.rows(i) * ticks for i, ticks in enumerate(self.ticks)]

    # ---- running ----

    def _members(self, weights: Array) -> Array:
        """Weights as (members, links). Raises DMMError for what is none."""
        try:
            weights = np.asarray(weights, self.dtype)
        except (TypeError, ValueError) as error:
            raise DMMError(f"weights are no array of numbers ({error}); give one a link") from None
        if weights.ndim not in (1, 2) or weights.shape[-1] != self.links:
            raise DMMError(f"weights have shape {weights.shape}; this machine has {self.links} links")
        return np.ascontiguousarray(np.atleast_2d(weights))

    def answers(self, weights: Array, memory_gradient: str = "full") -> Array:
        """Left and right: (strings, ticks, 2) for weights (links,), (members, strings, ticks, 2) for (members, links).

        `weights` may be traced by autograd; losses on top are ordinary autograd.numpy code. The gradient is of first
        order only: for higher derivatives use `dmm.answers`.
        """
        if isbox(weights):
            return _traced_answers(weights, self, memory_gradient)
        check_gradient(memory_gradient)
        members = self._members(weights)
        answers = np.zeros((len(members), len(self.strings), max(self.ticks), 2), self.dtype)

        def do(*which: int) -> None:
            values, _ = room(*self.room, self.dtype)
            call(runs.many_values, self.dtype, self._full, *which, members, values, answers)

        share(do, self._costs, len(members))
        return answers[0] if np.ndim(weights) == 1 else answers

    def pull(self, weights: Array, gradient: Array, memory_gradient: str = "full") -> Array:
        """The gradient for the weights from that for the answers, in the shapes of `answers`; runs the machine anew."""
        check_gradient(memory_gradient)
        members, truncated = self._members(weights), memory_gradient == "truncated"
        seeds = np.ascontiguousarray(gradient, self.dtype).reshape(len(members), len(self.strings), max(self.ticks), 2)
        packed, gradients = self._packed(truncated), np.empty((len(self.strings), *members.shape), self.dtype)

        def do(*which: int) -> None:
            buffers = room(*self.room, self.dtype)
            call(runs.many_gradients, self.dtype, packed, *which, members, *buffers, seeds, truncated, gradients)

        share(do, self._costs, len(members))
        return _add_up(gradients).reshape(np.shape(weights))

    def squared_errors(
        self, weights: Array, targets: Array, memory_gradient: str | None = None
    ) -> tuple[Array, Array | None]:
        """The mean over strings of the sum of squared errors against `targets`, (strings, ticks, 2), and its gradient.

        Shapes are () and (links,), or (members,) and (members, links). Without `memory_gradient` there is no gradient.
        """
        members, truncated, count = self._members(weights), memory_gradient == "truncated", len(self.strings)
        losses = np.empty((count, len(members)), self.dtype)
        gradients = np.empty((count, len(members) if memory_gradient else 0, self.links), self.dtype)
        packed, factor = self._packed(truncated), self.dtype(1.0 / count)

        def do(*which: int) -> None:
            fed = packed, *which, members, *room(*self.room, self.dtype)
            call(runs.many_losses, self.dtype, *fed, targets, factor, truncated, losses, gradients)

        share(do, self._costs, len(members))
        loss, single = _add_up(losses) / self.dtype(count), np.ndim(weights) == 1
        gradient = _add_up(gradients) if memory_gradient else None
        return loss[0] if single else loss, gradient[0] if single and memory_gradient else gradient

    def tangents(self, weights: Array, directions: Array) -> Array:
        """How the answers change along directions (directions, links): (directions, strings, ticks, 2), exactly."""
        weights, directions = self._members(weights)[0], self._members(directions)
        changes = np.zeros((len(directions), len(self.strings), max(self.ticks), 2), self.dtype)
        whole = max(self.rows(i) * (ticks + 1) for i, ticks in enumerate(self.ticks))

        def do(*which: int) -> None:
            fed = self._full, *which, weights, *room(whole, whole, self.dtype)
            call(runs.many_tangents, self.dtype, *fed, directions, changes)

        share(do, self._costs, len(directions))
        return changes

    def _packed(self, truncated: bool) -> Packed:
        return self._truncated if truncated else self._full


def _add_up(each: Array) -> Array:
    """The sum over the first axis, one after another."""
    total = each[0].copy()
    for other in each[1:]:
        total += other
    return total


@primitive
def _traced_answers(weights: Array, engine: Engine, memory_gradient: str) -> Array:
    return engine.answers(weights, memory_gradient)


def _answers_vjp(ans: Array, weights: Array, engine: Engine, memory_gradient: str) -> Callable[[Array], Array]:
    def pull(gradient: Array) -> Array:
        if isbox(weights) or isbox(gradient):
            raise DMMError("the engine has first derivatives only; use dmm.answers for higher ones")
        return engine.pull(weights, gradient, memory_gradient)

    return pull


defvjp(_traced_answers, _answers_vjp, argnums=(0,))


def run(machine: Machine, string: str, ticks: int | None = None, ticks_per_character: int = 10) -> Array:
    """Run a machine on a string: an array (ticks, 2) of left and right, the numbers that arrive at its output.
    `ticks=None` runs len(string)·ticks_per_character + 20 ticks. Raises DMMError for a string without characters or
    fewer than one tick. `dmm.answers` computes the same with the interpreter.

    >>> dmm.run(dmm.handcrafted_detector(), "hello. all.")[109]  # tick 110
    array([3., 2.])
    """
    return Engine(machine, Inputs([string], ticks, ticks_per_character)).answers(machine.vector())[0]
