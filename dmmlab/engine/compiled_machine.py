"""A machine compiled for some strings: answers, gradients and tangents for one vector of weights or for a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from autograd.extend import defvjp, primitive
from autograd.tracer import isbox

from dmmlab.engine import runs
from dmmlab.engine.compiler import PLACE, compile_machine
from dmmlab.engine.jit import call
from dmmlab.engine.layout import Layout, free_keys
from dmmlab.engine.tape import Packed, pack
from dmmlab.engine.threads import buffers, run_in_threads
from dmmlab.files import DMMError, check_positive
from dmmlab.inputs import Inputs, Text
from dmmlab.machines import Machine
from dmmlab.neurons import check_gradient

Array = np.ndarray
MEMORY = 7.0  # MB of values and their gradient; a longer run goes in segments
PARTS = 16  # of that memory: one for the gradient of a segment, the others for values of segments


class Engine:
    """A machine compiled for some strings.
    A run whose values and gradient would take more memory than granted goes in segments: the states between them, the
    checkpoints, are kept, and going back those segments whose values no longer fitted are run again. Raises DMMError
    for what cannot be run.

    Args:
        machine: the machine; its streams are flat.
        inputs: the strings, with their ticks and speeds; a Task is one too.
        dtype: np.float64 or np.float32.
        tie_order: where the gradient of a max-norm goes at ties, see `max_norm`.
        memory: what a run may take, in MB.

    >>> dmm.Engine(dmm.handcrafted_detector(), dmm.Inputs(["aa.", "b"])).answers(np.ones((5, 8))).shape  # batch first
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
        self.memory = memory if memory == np.inf else check_positive("memory (MB)", memory)
        check_gradient("full", tie_order)
        self.strings, self.ticks, self.ticks_per_character = inputs.strings, inputs.ticks, inputs.ticks_per_character
        self.links, self.dtype, self.tie_order = len(machine.links), dtype, tie_order
        structure = compile_machine(machine.reading_values() if inputs.has_values else machine)
        # The links along which something can flow to the output.
        self.used = np.isin(np.arange(self.links), structure.entries[:, PLACE])
        self._streams = inputs.streams
        keys = [len(free_keys(stream, structure.letters)) for stream in self._streams]
        layouts = {count: Layout(structure, count) for count in {*keys}}
        self._layouts = [layouts[count] for count in keys]
        rows, ticks = np.array([layout.rows for layout in self._layouts]), np.array(self.ticks)
        fitting = 1e6 * self.memory / (np.dtype(dtype).itemsize * rows)
        self._cuts = [divide(*each) for each in zip(self.ticks, fitting, strict=True)]
        length, kept = np.array(self._cuts).T
        self._costs, self._whole = (rows * ticks).tolist(), int(max(rows * (ticks + 1)))
        # How many numbers there must be room for: values of the segments that are kept, the gradient of one.
        self.buffer_sizes = int(max(rows * (length + 1) * kept)), int(max(rows * (length + 1)))

    # ---- tapes ----

    def _pack(self, truncated: bool) -> Packed:
        tapes = []
        for i, layout in enumerate(self._layouts):
            run = self.ticks[i], self.ticks_per_character[i], *self._cuts[i]
            tapes.append(layout.tape(self._streams[i], run, self.tie_order, truncated))
        return pack(tapes, self.dtype)

    @cached_property
    def _full(self) -> Packed:
        return self._pack(truncated=False)

    @cached_property
    def _truncated(self) -> Packed:
        return self._pack(truncated=True)

    def segments(self, i: int) -> int:
        """In how many segments a run of string i goes."""
        return -(-self.ticks[i] // self._cuts[i][0])

    # ---- running ----

    def _batch(self, weights: Array) -> Array:
        """Weights as (members, links). Raises DMMError for what is none."""
        try:
            weights = np.ascontiguousarray(weights, self.dtype)
        except (TypeError, ValueError) as error:
            raise DMMError(f"weights are no array of numbers ({error}); give one a link") from None
        if weights.ndim not in (1, 2) or weights.shape[-1] != self.links:
            raise DMMError(f"weights have shape {weights.shape}; this machine has {self.links} links")
        return np.atleast_2d(weights)

    def _run(self, loop: Callable, packed: Packed, members: int, sizes: Sequence[int], *arguments: object) -> None:
        """Call a compiled loop for all strings and members; `sizes` are those of the two buffers it needs."""

        def do(*span: int) -> None:
            call(loop, self.dtype, packed, *span, *buffers(sizes, self.dtype), *arguments)

        run_in_threads(do, self._costs, members)

    def answers(self, weights: Array, memory_gradient: str = "full") -> Array:
        """Left and right: (strings, ticks, 2) for weights (links,), (members, strings, ticks, 2) for (members, links).

        Past the end of a string they are zero. `weights` may be traced by autograd; losses on top are ordinary
        autograd.numpy code. The gradient is of first order only: for higher derivatives use `dmm.answers`.
        """
        if isbox(weights):
            return _traced_answers(weights, self, memory_gradient)
        check_gradient(memory_gradient)
        batch = self._batch(weights)
        answers = np.zeros((len(batch), len(self.strings), max(self.ticks), 2), self.dtype)
        self._run(runs.many_values, self._full, len(batch), (self.buffer_sizes[0], 0), batch, answers)
        return answers[0] if np.ndim(weights) == 1 else answers

    def pull(self, weights: Array, gradient: Array, memory_gradient: str = "full") -> Array:
        """The gradient for the weights from that for the answers, in the shapes of `answers`; runs the machine anew."""
        check_gradient(memory_gradient)
        batch = self._batch(weights)
        seeds = np.ascontiguousarray(gradient, self.dtype).reshape(len(batch), len(self.strings), max(self.ticks), 2)
        return self._losses(batch, seeds, False, memory_gradient)[1].reshape(np.shape(weights))

    def squared_errors(
        self, weights: Array, targets: Array, memory_gradient: str | None = None
    ) -> tuple[Array, Array | None]:
        """The mean over strings of the sum of squared errors against `targets`, (strings, ticks, 2), and its gradient.

        Shapes are () and (links,), or (members,) and (members, links). Without `memory_gradient` there is no gradient.
        """
        losses, gradients = self._losses(self._batch(weights), targets[None], True, memory_gradient)
        losses /= self.dtype(len(self.strings))
        if np.ndim(weights) > 1:
            return losses, gradients
        return losses[0], gradients[0] if memory_gradient else None

    def _losses(
        self, batch: Array, targets: Array, squared: bool, memory_gradient: str | None
    ) -> tuple[Array, Array | None]:
        """Sums over strings of losses and gradients (see `runs.many_losses`); gradients of squares are means."""
        count = len(self.strings)
        losses = np.empty((count, len(batch)), self.dtype)
        gradients = np.empty((count, len(batch) if memory_gradient else 0, self.links), self.dtype)
        packed = self._truncated if memory_gradient == "truncated" else self._full
        sizes = self.buffer_sizes if memory_gradient else (self.buffer_sizes[0], 0)
        factor = self.dtype(1.0 / count)
        self._run(runs.many_losses, packed, len(batch), sizes, batch, targets, squared, factor, losses, gradients)
        return _add_up(losses), _add_up(gradients) if memory_gradient else None

    def tangents(self, weights: Array, directions: Array) -> Array:
        """How the answers change along directions (directions, links): (directions, strings, ticks, 2), exactly."""
        weights, directions = self._batch(weights)[0], self._batch(directions)
        changes = np.zeros((len(directions), len(self.strings), max(self.ticks), 2), self.dtype)
        self._run(runs.many_tangents, self._full, len(directions), (self._whole,) * 2, weights, directions, changes)
        return changes


def divide(ticks: int, fitting: float) -> tuple[int, int]:
    """How a run is cut: the ticks of a segment, and of how many segments, the last ones, the values are kept.

    `fitting` is how many ticks the memory can hold, of values or of their gradient.
    """
    fitting = int(min(fitting, 1e9))
    if 2 * (ticks + 1) <= fitting:
        return ticks, 1
    length = max(fitting // PARTS - 1, 1)
    segments = -(-ticks // length)
    kept = max(min(segments, PARTS - 1, fitting // (length + 1) - 1), 1)
    return -(-ticks // segments), kept


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


def run(
    machine: Machine, string: Text, ticks: int | None = None, ticks_per_character: int = 10, after_end: str = "repeat"
) -> Array:
    """Run a machine on a string: an array (ticks, 2) of left and right, the numbers that arrive at its output.
    A list of words, numbers or dicts is a string too (see `Inputs`). `ticks=None` runs len(string)·ticks_per_character
    + 20 ticks. After the end, so also in the last 20 of them, the last character comes again and again, as in the 2022
    journal, and is counted; with `after_end="nothing"` nothing comes. Raises DMMError for a string without characters
    or fewer than one tick. `dmm.answers` computes the same with the interpreter.

    >>> dmm.run(dmm.handcrafted_detector(), "hello. all.", after_end="nothing")[-1]  # else [3, 4], for two '.' more
    array([3., 2.])
    """
    return Engine(machine, Inputs([string], ticks, ticks_per_character, after_end=after_end)).answers(machine.vector())[
        0
    ]
