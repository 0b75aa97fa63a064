"""The objective: a machine's loss on a task as a function of its vector of weights, and its gradient."""

from __future__ import annotations

import hashlib
import json
from itertools import groupby

import autograd.numpy as np
import numpy
from autograd.extend import defvjp, primitive
from autograd.tracer import isbox

from dmmlab.engine import check_gradient
from dmmlab.files import DMMError
from dmmlab.flat import Flat
from dmmlab.machines import Machine
from dmmlab.tasks import Task
from dmmlab.windows import MEMORY

Array = numpy.ndarray


class Objective:
    """A machine's loss on a task, as a function of its vector of trainable weights.
    data loss: the mean over strings of the sum, over ticks and both outputs, of the squared error against the teacher;
    loss: data loss + l1·Σ|w| + l2·Σw² + rows·Σ(sum of an input field's weights − 1)², the last as the 2022 journal had
    it, after arXiv:1801.06105. All methods take weights of shape (links,), or (members, links) for many machines at
    once, and give one result a member; other shapes raise DMMError. `memory_gradient="truncated"` is the journal's,
    which stops at memories. At ties of a max-norm the gradient is split evenly, or all goes to the tied character that
    comes last in `tie_order`; the journal's was "nge trs.i". `memory` is what a run may take, in MB (see `Flat`).

    >>> dmm.Objective(dmm.handcrafted_detector(), dmm.Task(["aa."])).loss([np.ones(8), np.zeros(8)])
    array([  0., 167.])
    """

    def __init__(
        self,
        machine: Machine,
        task: Task,
        l1: float = 0.0,
        l2: float = 0.0,
        memory_gradient: str = "full",
        dtype: type = np.float64,
        tie_order: str | None = None,
        rows: float = 0.0,
        memory: float = MEMORY,
    ) -> None:
        check_gradient(memory_gradient, tie_order)
        if not isinstance(task, Task):
            raise DMMError(f"a {type(task).__name__} is no task to train on")
        for name, value in (("l1", l1), ("l2", l2), ("rows", rows)):
            if not (isinstance(value, (int, float)) and 0 <= value < np.inf):
                raise DMMError(f"{name} is {value!r}; it is a number of at least 0")
        self.machine, self.task, self.l1, self.l2, self.memory_gradient = machine, task, l1, l2, memory_gradient
        self.tie_order, self.rows = tie_order, rows
        self.weights = machine.vector()
        self.links = [str(link) for link in machine.links]
        self.flat = Flat(machine, task.strings, task.ticks, task.ticks_per_character, dtype, tie_order, memory)
        # The links of an input field stand together.
        groups = groupby(link[:2] for link in machine.links) if rows else ()
        self._row_sizes = [len([*group]) for _, group in groups]
        self._targets, self._counted = task.targets.astype(dtype), task.counted > 0

    def data_loss(self, weights: Array) -> float | Array:
        """The data loss, without penalties. May be differentiated by autograd."""
        return self._mean_square(self._errors(self.flat.answers(weights, self.memory_gradient)))

    def _errors(self, answers: Array) -> Array:
        return np.where(self._counted, answers - self._targets, 0.0)

    def _mean_square(self, errors: Array) -> float | Array:
        return np.sum(errors * errors, axis=(-3, -2, -1)) / len(self._targets)

    def residuals(self, weights: Array) -> Array:
        """All errors in one row, (ticks of all strings × 2,), scaled so that their squares add up to the data loss."""
        counted = numpy.broadcast_to(self._counted, self._targets.shape)
        return self._errors(self.flat.answers(weights))[..., counted] / np.sqrt(len(self._targets))

    def penalty(self, weights: Array) -> float | Array:
        """l1·Σ|w| + l2·Σw² + rows·Σ(sum of an input field's weights − 1)²."""
        weights = weights if isbox(weights) else numpy.asarray(weights)
        squares = self.l2 * np.sum(weights * weights, axis=-1) if self.l2 else 0.0
        if self._row_sizes:
            squares = squares + self.rows * np.sum((_row_sums(weights, self._row_sizes) - 1.0) ** 2, axis=-1)
        return self.l1 * np.sum(np.abs(weights), axis=-1) + squares

    def loss(self, weights: Array) -> float | Array:
        """Data loss and penalty. May be differentiated by autograd."""
        return self.data_loss(weights) + self.penalty(weights)

    def value_and_grad(self, weights: Array) -> tuple[float | Array, Array]:
        """The loss and its gradient, (links,); for (members, links) one of each a member."""
        data_loss, gradient = self.step_value_and_grad(weights)
        return data_loss + self.penalty(weights), gradient

    def step_value_and_grad(self, weights: Array) -> tuple[float | Array, Array]:
        """The data loss, and the gradient of the whole loss: what a step of training needs."""
        if numpy.ndim(weights) == 2 and len(weights) > self.flat.members:  # while they are in the cache
            size = self.flat.members
            some = [self.step_value_and_grad(weights[i : i + size]) for i in range(0, len(weights), size)]
            return tuple(numpy.concatenate(each) for each in zip(*some, strict=True))
        answers, pull = self.flat.vjp(weights, self.memory_gradient)
        errors = self._errors(answers)
        gradient = pull(errors * (2.0 / len(self._targets)))
        if self.l1:
            gradient += self.l1 * numpy.sign(weights)
        if self.l2:
            gradient += 2.0 * self.l2 * numpy.asarray(weights)
        if self._row_sizes:
            excess = _row_sums(numpy.asarray(weights), self._row_sizes) - 1.0
            gradient += 2.0 * self.rows * _row_spread(excess, self._row_sizes)
        return self._mean_square(errors), gradient

    def identity(self) -> str:
        """A hash of everything that decides the course of a training: machine, task, penalties, kind of gradient."""
        task = self.task
        content = {
            "machine": _plain(self.machine),
            "task": [task.strings, task.ticks, task.ticks_per_character, _plain(task.teacher)],
            "loss": [self.l1, self.l2, self.rows, self.memory_gradient, np.dtype(self.flat.dtype).name, self.tie_order],
            "windows": self.flat.stock.cut_up(1),
        }
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@primitive
def _row_sums(weights: Array, sizes: list[int]) -> Array:
    """Sums over the links of each input field, (..., input fields)."""
    return numpy.add.reduceat(weights, numpy.cumsum([0, *sizes[:-1]]), axis=-1)


@primitive
def _row_spread(sums: Array, sizes: list[int]) -> Array:
    return numpy.repeat(sums, sizes, axis=-1)


defvjp(_row_sums, lambda ans, weights, sizes: lambda g: _row_spread(g, sizes), argnums=(0,))
defvjp(_row_spread, lambda ans, sums, sizes: lambda g: _row_sums(g, sizes), argnums=(0,))


def _plain(machine: Machine) -> list:
    neurons, settings = dict(machine.neurons), (machine.dot_clip, machine.silent_fields)
    return [neurons, machine.links, machine.vector().tolist(), machine.fixed.to_dict(), settings]
