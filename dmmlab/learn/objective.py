"""The objective: a machine's loss on a task as a function of its vector of weights, and its gradient."""

from __future__ import annotations

import hashlib
import json
from itertools import groupby

import autograd.numpy as np
import numpy
from autograd.tracer import isbox

from dmmlab.engine import MEMORY, Engine
from dmmlab.engine.sums import span_sums, total
from dmmlab.files import DMMError, check_positive
from dmmlab.learn.tasks import Task
from dmmlab.machines import Machine
from dmmlab.neurons import check_gradient

Array = numpy.ndarray
SOLVED = 1e-12  # data loss of a machine that answers exactly, up to what least squares leaves over


class Objective:
    """A machine's loss on a task, as a function of its vector of trainable weights.
    data loss: the mean over strings of the sum, over ticks and both outputs, of the squared error against the teacher;
    loss: data loss + l1·Σ|w| + l2·Σw² + rows·Σ(sum of an input field's weights − 1)². All methods take weights of shape
    (links,), or (members, links) for many machines at once, and give one result a member; other shapes raise DMMError.

    Args:
        machine: its links are trained; `weights` holds their present weights, `links` their names.
        task: strings, and a teacher whose answers are the targets.
        l1, l2: factors of the penalties.
        memory_gradient: "full", or "truncated" as the journal's, which stops at memories.
        dtype: np.float64 or np.float32, in which the machine runs.
        tie_order: at ties of a max-norm the gradient is split evenly, or all goes to the tied character that comes last
            in this string; the journal's was "nge trs.i".
        rows: factor of the penalty on input fields, as the 2022 journal had it, after arXiv:1801.06105.
        memory: what a run may take, in MB (see `Engine`).

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
        self.machine, self.task, self.memory_gradient, self.tie_order = machine, task, memory_gradient, tie_order
        self.l1, self.l2 = check_positive("l1", l1, or_zero=True), check_positive("l2", l2, or_zero=True)
        self.rows = check_positive("rows", rows, or_zero=True)
        self.weights = machine.vector()
        self.links = [str(link) for link in machine.links]
        self.engine = Engine(machine, task, dtype, tie_order, memory)
        # The links of an input field stand together.
        self._row_sizes = [len([*row]) for _, row in groupby(machine.links, key=lambda link: link[:2])]
        self._targets = np.ascontiguousarray(task.targets.astype(dtype))
        self._counted = task.asked

    def data_loss(self, weights: Array) -> float | Array:
        """The data loss, without penalties. May be differentiated by autograd."""
        if isbox(weights):
            return total(self.residuals(weights) ** 2)
        return self.engine.squared_errors(weights, self._targets)[0]

    def residuals(self, weights: Array) -> Array:
        """All errors in one row, (ticks of all strings × 2,), scaled so that their squares add up to the data loss."""
        errors = self.engine.answers(weights, self.memory_gradient) - self._targets
        return errors[..., self._counted] / np.sqrt(len(self._targets))

    def penalty(self, weights: Array) -> float | Array:
        """l1·Σ|w| + l2·Σw² + rows·Σ(sum of an input field's weights − 1)². May be differentiated by autograd."""
        weights = weights if isbox(weights) else numpy.asarray(weights)
        squares = self.l2 * total(weights * weights) if self.l2 else 0.0
        if self.rows:
            squares = squares + self.rows * total((span_sums(weights, self._row_sizes) - 1.0) ** 2)
        return self.l1 * total(np.abs(weights)) + squares

    def loss(self, weights: Array) -> float | Array:
        """Data loss and penalty. May be differentiated by autograd."""
        return self.data_loss(weights) + self.penalty(weights)

    def value_and_grad(self, weights: Array) -> tuple[float | Array, Array]:
        """The loss and its gradient, (links,); for (members, links) one of each a member."""
        return self.losses_and_grad(weights)[1:]

    def losses_and_grad(self, weights: Array) -> tuple[float | Array, float | Array, Array]:
        """The data loss, the loss, and the gradient of the loss: what a step of training needs."""
        data_loss, gradient = self.engine.squared_errors(weights, self._targets, self.memory_gradient)
        weights = numpy.asarray(weights)
        if self.l1:
            gradient += self.l1 * numpy.sign(weights)
        if self.l2:
            gradient += 2.0 * self.l2 * weights
        if self.rows:
            excess = span_sums(weights, self._row_sizes) - 1.0
            gradient += 2.0 * self.rows * numpy.repeat(excess, self._row_sizes, axis=-1)
        return data_loss, data_loss + self.penalty(weights), gradient

    def jacobian(self, weights: Array, free: Array | slice = slice(None)) -> Array:
        """How the residuals change with each weight, or those that are `free`, (links, residuals); exactly."""
        changes = self.engine.tangents(weights, numpy.eye(len(weights))[free])
        return changes[..., self._counted] / np.sqrt(len(self._targets))

    def fingerprint(self) -> str:
        """A hash of everything that decides the course of a training: machine, task, penalties, kind of gradient."""
        task, engine = self.task, self.engine
        content = [
            [self.machine.to_dict(), task.describe()],
            [self.l1, self.l2, self.rows, self.memory_gradient, self.tie_order, np.dtype(engine.dtype).name],
            [engine.segments(i) for i in range(len(task.strings))],
        ]
        return hashlib.sha256(json.dumps(content, default=float).encode()).hexdigest()
