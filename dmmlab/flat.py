"""The flat engine: a machine compiled to arrays, with fast values and gradients, for many weights and many strings.

Users keep trees; a compiler flattens them. All inputs of a block are one matrix product with the outputs of earlier
blocks, for all ticks at once; the kinds' formulas then run on whole streams (`layout`, `arrays`, `plans`, `windows`).
It computes what `dmmlab.engine` computes, for every machine whose streams are flat.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from autograd.extend import defvjp, primitive
from autograd.tracer import isbox

from dmmlab.engine import check_gradient, check_run
from dmmlab.files import DMMError
from dmmlab.layout import lay_out
from dmmlab.machines import Machine
from dmmlab.plans import Array, Compiled
from dmmlab.windows import MEMORY, Run, Stock

# Machines in one plan: few, so that its arrays stay in the processor's cache, unless they are small.
LEAST_MEMBERS, MOST_MEMBERS, CELLS = 8, 128, 1_000_000


class Flat:
    """A machine compiled for some strings.
    `ticks` (None: characters × speed + 20) and speeds are one number or one a string. `answers(w)` gives left and right
    at every tick; strings with fewer ticks than the longest run on to its end. `dtype` is np.float64 or np.float32; for
    `tie_order` see `max_norm`. A run that would take more than `memory` MB, for each 8 to 128 weight vectors, is gone
    through in windows (see `dmmlab.windows`). Raises DMMError for what cannot be run.

    >>> dmm.Flat(dmm.handcrafted_detector(), ["aa.", "b"]).answers(np.ones((5, 8))).shape  # members first
    (5, 2, 50, 2)
    """

    def __init__(
        self,
        machine: Machine,
        strings: str | Sequence[str],
        ticks: int | Sequence[int] | None = None,
        ticks_per_character: int | Sequence[int] = 10,
        dtype: type = np.float64,
        tie_order: str | None = None,
        memory: float = MEMORY,
    ) -> None:
        if not isinstance(machine, Machine):
            raise DMMError(f"a {type(machine).__name__} is no machine to run")
        if not isinstance(strings, (str, list, tuple)) or not len(strings) and not isinstance(strings, str):
            raise DMMError(f"no strings to run on ({strings!r}); give a list of at least one")
        if dtype not in (np.float32, np.float64):
            raise DMMError(f"dtype is {dtype!r}; it is np.float32 or np.float64")
        if isinstance(memory, bool) or not isinstance(memory, (int, float)) or not memory > 0:
            raise DMMError(f"memory is {memory!r}; it is a positive number of MB")
        check_gradient("full", tie_order)
        self.strings, self.dtype = (strings,) if isinstance(strings, str) else tuple(strings), dtype
        runs = zip(self.strings, self._spread(ticks), self._spread(ticks_per_character), strict=True)
        self.ticks, self.ticks_per_character = zip(*(check_run(*run) for run in runs), strict=True)
        layout = lay_out(machine)
        keys = [sorted(set(string) | layout.alphabet) for string in self.strings]
        places = [{key: i for i, key in enumerate(each)} for each in keys]
        shape = len(self.strings), max(map(len, keys)), max(self.ticks)
        fed = self.strings, self.ticks_per_character, places, shape
        self.compiled = Compiled(layout.parts, len(machine.links), *fed, machine.dot_clip, dtype, tie_order)
        # Clock, input and constants are the same for all weights: computed once.
        Stock(self.compiled, [block for block in layout.blocks if block.frozen], memory).freeze()
        self.stock = Stock(self.compiled, [block for block in layout.blocks if not block.frozen], memory)
        ends = sum(len(part.rows) + len(part.columns) for part in layout.parts)
        self.members = min(max(CELLS // (ends * math.prod(shape)), LEAST_MEMBERS), MOST_MEMBERS)

    def _spread(self, value: Any) -> list:
        if not isinstance(value, (list, tuple, np.ndarray)):
            return [value] * len(self.strings)
        if len(value) != len(self.strings):
            raise DMMError(f"{len(value)} ticks or speeds for {len(self.strings)} strings; give one a string")
        return list(value)

    def answers(self, weights: Array, memory_gradient: str = "full") -> Array:
        """Left and right: (strings, ticks, 2) for weights (links,), (members, strings, ticks, 2) for (members, links).

        `weights` may be traced by autograd; losses on top are ordinary autograd.numpy code. The gradient is of first
        order only: for higher derivatives use `dmmlab.engine.answers`.
        """
        if isbox(weights):
            return _traced_answers(weights, self, memory_gradient, [])
        check_gradient(memory_gradient)
        return self._run(weights, None)[0]

    def vjp(self, weights: Array, memory_gradient: str = "full") -> tuple[Array, Callable[[Array], Array]]:
        """The answers, and the function that turns the gradient of something for them into that for the weights.

        Shapes as for `answers`; both functions may be called as often as you like, in any order.
        """
        check_gradient(memory_gradient)
        answers, runs = self._run(weights, memory_gradient)
        return answers, partial(self._pull, runs, np.shape(weights))

    def _run(self, weights: Array, gradient: str | None) -> tuple[Array, list[Run]]:
        """The answers, and, if there is to be a gradient, the runs whose plans now hold what it needs."""
        try:
            weights = np.asarray(weights, self.dtype)
        except (TypeError, ValueError) as error:
            raise DMMError(f"weights are no array of numbers ({error}); give one a link") from None
        if weights.ndim not in (1, 2) or weights.shape[-1] != self.compiled.links:
            raise DMMError(f"weights have shape {weights.shape}; this machine has {self.compiled.links} links")
        members, runs = np.atleast_2d(weights), []
        answers = np.empty((len(members), *self.compiled.shape[::2], 2), self.dtype)
        for start in range(0, len(members), self.members):
            some = slice(start, start + self.members)
            run = Run(self.stock, members[some], gradient)
            run.answer(answers[some])
            runs += [run] if gradient else []
        return answers[0] if weights.ndim == 1 else answers, runs

    def _pull(self, runs: list[Run], shape: tuple, gradient: Array) -> Array:
        members = gradient.reshape(-1, *gradient.shape[-3:])
        starts = range(0, len(members), self.members)
        result = np.empty((len(members), self.compiled.links), self.dtype)
        for i, run in zip(starts, runs, strict=True):
            result[i : i + self.members] = run.pull(members[i : i + self.members])
        return result.reshape(shape)


@primitive
def _traced_answers(weights: Array, flat: Flat, memory_gradient: str, keep: list) -> Array:
    answers, pull = flat.vjp(weights, memory_gradient)
    keep.append(pull)
    return answers


def _answers_vjp(ans: Array, weights: Array, flat: Flat, memory_gradient: str, keep: list) -> Callable[[Array], Array]:
    def pull(gradient: Array) -> Array:
        if isbox(weights) or isbox(gradient):
            raise DMMError("the flat engine has first derivatives only; use dmmlab.engine.answers for higher ones")
        return keep[0](gradient)

    return pull


defvjp(_traced_answers, _answers_vjp, argnums=(0,))


def run(machine: Machine, string: str, ticks: int | None = None, ticks_per_character: int = 10) -> Array:
    """Run a machine on a string: an array (ticks, 2) of left and right, the numbers that arrive at its output.
    `ticks=None` runs len(string)·ticks_per_character + 20 ticks. Raises DMMError for a string without characters or
    fewer than one tick. `dmmlab.engine.answers` computes the same with the interpreter.

    >>> dmm.run(dmm.handcrafted_detector(), "hello. all.")[109]  # tick 110
    array([3., 2.])
    """
    return Flat(machine, string, ticks, ticks_per_character).answers(machine.vector())[0]
