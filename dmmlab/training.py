"""Training: the objective, Adam, the history of a run, and checkpoints from which a killed run goes on bit by bit."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import autograd.numpy as np
import numpy
from autograd.extend import defvjp, primitive
from autograd.tracer import isbox
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from dmmlab.engine import check_gradient
from dmmlab.files import DMMError, read_json, whole, write_json
from dmmlab.flat import Flat
from dmmlab.machines import Machine
from dmmlab.tasks import Task
from dmmlab.windows import MEMORY

Array = numpy.ndarray
COLUMNS = ("data_loss", "loss", "l1")


class Objective:
    """A machine's loss on a task, as a function of its vector of trainable weights.

    data loss: the mean over strings of the sum, over ticks and both outputs, of the squared error against the teacher;
    loss: data loss + l1·Σ|w| + l2·Σw² + rows·Σ(sum of an input field's weights − 1)², the last as the 2022 journal had
    it, after arXiv:1801.06105. All methods take weights of shape (links,), or (members, links) for many machines at
    once, and give one result a member. `memory_gradient="truncated"` is the journal's gradient, which does not pass
    through memories. At ties of a max-norm the gradient is split evenly, or all goes to the tied character
    that comes last in `tie_order`; the journal's was "nge trs.i". `memory` is what a run may take, in MB (see `Flat`).
    Raises DMMError for weights of another length.
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
        self._row_sizes = [len([*group]) for _, group in groupby(link[:2] for link in machine.links)]
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
        if self.rows and self._row_sizes:
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
        if self.rows and self._row_sizes:
            excess = _row_sums(numpy.asarray(weights), self._row_sizes) - 1.0
            gradient += numpy.repeat(2.0 * self.rows * excess, self._row_sizes, axis=-1)
        return self._mean_square(errors), gradient

    def identity(self) -> str:
        """A hash of everything that decides the course of a training: machine, task, penalties, kind of gradient."""
        task = self.task
        content = {
            "machine": _plain(self.machine),
            "task": [task.strings, task.ticks, task.ticks_per_character, _plain(task.teacher)],
            "loss": [self.l1, self.l2, self.rows, self.memory_gradient, self.flat.dtype.__name__, self.tie_order],
        }
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@primitive
def _row_sums(weights: Array, sizes: list[int]) -> Array:
    """Sums over the links of each input field, (..., input fields)."""
    return numpy.add.reduceat(weights, numpy.cumsum([0, *sizes[:-1]]), axis=-1)


defvjp(_row_sums, lambda ans, weights, sizes: lambda g: np.repeat(g, sizes, axis=-1), argnums=(0,))


def _plain(machine: Machine) -> list:
    neurons, settings = dict(machine.neurons), (machine.dot_clip, machine.silent_fields)
    return [neurons, machine.links, machine.vector().tolist(), machine.fixed.to_dict(), settings]


@dataclass
class Adam:
    """Adam (Kingma & Ba 2015) with β 0.9 and 0.999, bias-corrected, ε outside the root, as Flux has it.

    `mean` and `variance` are the running moments of the gradient, (links,); `steps` counts the updates made.
    """

    learning_rate: float = 1e-3
    mean: Array | float = 0.0
    variance: Array | float = 0.0
    steps: int = 0

    def update(self, weights: Array, gradient: Array) -> Array:
        """The weights after one more step down the gradient; remembers its moments."""
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.variance = 0.999 * self.variance + 0.001 * gradient * gradient
        mean, variance = self.mean / (1 - 0.9**self.steps), self.variance / (1 - 0.999**self.steps)
        return weights - self.learning_rate * mean / (np.sqrt(variance) + 1e-8)


@dataclass
class Training:
    """The result of a training: the machine, its history, and the optimizer to go on with.

    `history` has one record a step with the fields data_loss, loss and l1 (Σ|w|), all taken before that step's update;
    `history.data_loss` and `history["data_loss"]` are arrays of shape (steps,).
    """

    machine: Machine
    history: numpy.recarray
    optimizer: Adam


def train(
    objective: Objective,
    steps: int = 2500,
    learning_rate: float | None = None,
    optimizer: Adam | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 100,
    progress: bool = True,
) -> Training:
    """Train a machine's weights with Adam.

    With a `checkpoint` path the state is written there every `checkpoint_every` steps and at the end; a run that finds
    its own checkpoint goes on from it and ends with the same bits as one that was never stopped. `optimizer` continues
    an earlier training; `learning_rate` is 0.001 or the optimizer's unless given. Raises DMMError for a loss that is
    not finite (the last good state is in the checkpoint, and in the error's `training`), and for a checkpoint that is
    unreadable, of another training, or of more steps than asked.
    """
    steps, checkpoint_every = whole("steps", steps, 0), whole("checkpoint_every", checkpoint_every)
    state = _State(objective, learning_rate, optimizer)
    if checkpoint is not None and Path(checkpoint).exists():
        state.load(checkpoint, steps)
    bar = tqdm(total=steps, initial=state.step, disable=not progress, unit="step")
    # The products of a step are so small that sharing them among threads costs more than it gives.
    with bar, threadpool_limits(1, "blas"):
        while state.step < steps:
            try:
                state.advance()
            except DMMError as error:
                if checkpoint is not None:
                    state.save(checkpoint)
                error.training = state.result()
                raise
            bar.update()
            if state.step % 50 == 0:
                bar.set_postfix(data_loss=f"{state.rows[-1][0]:.6g}", refresh=False)
            if checkpoint is not None and (state.step % checkpoint_every == 0 or state.step == steps):
                state.save(checkpoint)
    return state.result()


class _State:
    """Where a training stands: weights, optimizer, and the rows of its history."""

    def __init__(self, objective: Objective, learning_rate: float | None, optimizer: Adam | None) -> None:
        self.objective, self.adam, zeros = objective, replace(optimizer or Adam()), numpy.zeros_like(objective.weights)
        if learning_rate is not None:
            self.adam.learning_rate = learning_rate
        rate = self.adam.learning_rate
        if not (isinstance(rate, (int, float)) and 0 < rate < np.inf):
            raise DMMError(f"learning_rate is {rate!r}; it is a positive number")
        if any(numpy.shape(x) not in ((), zeros.shape) for x in (self.adam.mean, self.adam.variance)):
            raise DMMError(
                f"the optimizer is of a machine of other links than these {len(zeros)}; begin with a new one"
            )
        self.adam.mean, self.adam.variance = self.adam.mean + zeros, self.adam.variance + zeros
        self.weights, self.rows = objective.weights, []
        self.good = self.weights, self.adam, 0  # the last weights whose loss was finite, and what led to them
        begin = f"{objective.identity()} {json.dumps(_moments(self.adam))}"
        self.identity, self.earlier = hashlib.sha256(begin.encode()).hexdigest(), self.adam.steps

    @property
    def step(self) -> int:
        return len(self.rows)

    def advance(self) -> None:
        data_loss, gradient = self.objective.step_value_and_grad(self.weights)
        loss = data_loss + self.objective.penalty(self.weights)
        if not (np.isfinite(loss) and np.isfinite(gradient).all()):
            step, (self.weights, self.adam, kept) = self.step + 1, self.good
            self.rows = self.rows[:kept]
            raise DMMError(f"step {step}: the loss is {loss} or its gradient not finite; lower the learning rate")
        self.good = self.weights, replace(self.adam), self.step
        self.rows.append((float(data_loss), float(loss), float(np.sum(np.abs(self.weights)))))
        self.weights = self.adam.update(self.weights, gradient)

    def result(self) -> Training:
        history = numpy.array(self.rows, dtype=[(name, float) for name in COLUMNS]).view(numpy.recarray)
        return Training(self.objective.machine.with_vector(self.weights), history, self.adam)

    def save(self, path: str | os.PathLike) -> None:
        content = {
            "format": "dmmlab checkpoint 1",
            "training": self.identity,
            "weights": self.weights.tolist(),
            "adam": _moments(self.adam),
            "history": self.rows,
        }
        write_json(path, content)

    def load(self, path: str | os.PathLike, steps: int) -> None:
        content = read_json(path, "checkpoint")
        try:
            if content["format"] != "dmmlab checkpoint 1":
                raise ValueError("another format")
            identity, rows = content["training"], [tuple(map(float, row)) for row in content["history"]]
            weights, moments = numpy.array(content["weights"], dtype=float), content["adam"]
            arrays = (numpy.array(moments[name], dtype=float) for name in ("mean", "variance"))
            adam = Adam(self.adam.learning_rate, *arrays, moments["steps"])
            if any(len(row) != len(COLUMNS) for row in rows) or adam.steps != self.earlier + len(rows):
                raise ValueError("its history is damaged")
            if any(x.shape != self.weights.shape for x in (weights, adam.mean, adam.variance)):
                raise ValueError("weights or moments are of another length")
        except (KeyError, TypeError, ValueError) as error:
            raise DMMError(f"{path}: this is no checkpoint of a training ({error}); delete it to begin anew") from None
        if identity != self.identity:
            raise DMMError(f"{path}: this checkpoint is of another training; name another file, or delete it")
        if len(rows) > steps:
            raise DMMError(f"{path}: this checkpoint has {len(rows)} steps already; ask for as many, or name another")
        self.weights, self.adam, self.rows = weights, adam, rows
        self.good = weights, replace(adam), len(rows)


def _moments(adam: Adam) -> dict:
    moments = {name: np.asarray(getattr(adam, name)).tolist() for name in ("mean", "variance")}
    return {"learning_rate": adam.learning_rate, **moments, "steps": adam.steps}
