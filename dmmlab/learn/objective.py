"""The objective: a machine's loss on a task as a function of its vector of weights, and its gradient."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import groupby

import autograd.numpy as np
import numpy
from autograd.extend import defvjp, primitive
from autograd.tracer import isbox

from dmmlab.engine import MEMORY, Engine
from dmmlab.engine.sums import span_spread, span_sums, total
from dmmlab.files import DMMError
from dmmlab.learn.tasks import Task
from dmmlab.machines import Machine
from dmmlab.neurons import check_gradient

Array = numpy.ndarray


class Objective:
    """A machine's loss on a task, as a function of its vector of trainable weights.
    data loss: the mean over strings of the sum, over ticks and both outputs, of the squared error against the teacher;
    loss: data loss + l1·Σ|w| + l2·Σw² + rows·Σ(sum of an input field's weights − 1)², the last as the 2022 journal had
    it, after arXiv:1801.06105. All methods take weights of shape (links,), or (members, links) for many machines at
    once, and give one result a member; other shapes raise DMMError. `memory_gradient="truncated"` is the journal's,
    which stops at memories. At ties of a max-norm the gradient is split evenly, or all goes to the tied character that
    comes last in `tie_order`; the journal's was "nge trs.i". `memory` is what a run may take, in MB (see `Engine`).

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
        self.engine = Engine(machine, task, dtype, tie_order, memory)
        # The links of an input field stand together.
        groups = groupby(link[:2] for link in machine.links) if rows else ()
        self._row_sizes = [len([*group]) for _, group in groups]
        self._targets = np.ascontiguousarray(task.targets.astype(dtype))
        self._counted = numpy.broadcast_to(task.valid_ticks > 0, self._targets.shape)

    def data_loss(self, weights: Array) -> float | Array:
        """The data loss, without penalties. May be differentiated by autograd."""
        return _data_loss(weights, self)

    def residuals(self, weights: Array) -> Array:
        """All errors in one row, (ticks of all strings × 2,), scaled so that their squares add up to the data loss."""
        errors = self.engine.answers(weights) - self._targets
        return errors[..., self._counted] / np.sqrt(len(self._targets))

    def jacobian(self, weights: Array, free: Array | slice = slice(None)) -> Array:
        """How the residuals change with each weight, or those that are `free`, (links, residuals); exactly."""
        changes = self.engine.tangents(weights, numpy.eye(len(weights))[free])
        return changes[..., self._counted] / np.sqrt(len(self._targets))

    def penalty(self, weights: Array) -> float | Array:
        """l1·Σ|w| + l2·Σw² + rows·Σ(sum of an input field's weights − 1)²."""
        weights = weights if isbox(weights) else numpy.asarray(weights)
        squares = self.l2 * total(weights * weights) if self.l2 else 0.0
        if self._row_sizes:
            squares = squares + self.rows * total((span_sums(weights, self._row_sizes) - 1.0) ** 2)
        return self.l1 * total(np.abs(weights)) + squares

    def loss(self, weights: Array) -> float | Array:
        """Data loss and penalty. May be differentiated by autograd."""
        return self.data_loss(weights) + self.penalty(weights)

    def value_and_grad(self, weights: Array) -> tuple[float | Array, Array]:
        """The loss and its gradient, (links,); for (members, links) one of each a member."""
        data_loss, gradient = self.step_value_and_grad(weights)
        return data_loss + self.penalty(weights), gradient

    def step_value_and_grad(self, weights: Array) -> tuple[float | Array, Array]:
        """The data loss, and the gradient of the whole loss: what a step of training needs."""
        data_loss, gradient = self.engine.squared_errors(weights, self._targets, self.memory_gradient)
        if self.l1:
            gradient += self.l1 * numpy.sign(weights)
        if self.l2:
            gradient += 2.0 * self.l2 * numpy.asarray(weights)
        if self._row_sizes:
            excess = span_sums(numpy.asarray(weights), self._row_sizes) - 1.0
            gradient += 2.0 * self.rows * span_spread(excess, self._row_sizes)
        return data_loss, gradient

    def identity(self) -> str:
        """A hash of everything that decides the course of a training: machine, task, penalties, kind of gradient."""
        task = self.task
        content = {
            "machine": _plain(self.machine),
            "task": [task.strings, task.ticks, task.ticks_per_character, _plain(task.teacher)],
            "loss": [
                self.l1,
                self.l2,
                self.rows,
                self.memory_gradient,
                np.dtype(self.engine.dtype).name,
                self.tie_order,
            ],
            "windows": [self.engine.windows(i) for i in range(len(task.strings))],
        }
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@primitive
def _data_loss(weights: Array, objective: Objective) -> float | Array:
    return objective.engine.squared_errors(weights, objective._targets)[0]


def _data_loss_vjp(ans: Array, weights: Array, objective: Objective) -> Callable[[Array], Array]:
    def pull(g: Array) -> Array:
        if isbox(weights) or isbox(g):
            raise DMMError("an objective has first derivatives only; use dmm.answers for higher ones")
        gradient = objective.engine.squared_errors(weights, objective._targets, objective.memory_gradient)[1]
        return numpy.expand_dims(g, -1) * gradient

    return pull


defvjp(_data_loss, _data_loss_vjp, argnums=(0,))


def _plain(machine: Machine) -> list:
    neurons, settings = dict(machine.neurons), (machine.dot_clip, machine.silent_fields)
    return [neurons, machine.links, machine.vector().tolist(), machine.fixed.to_dict(), settings]
