"""Training: a descent along a gradient, its history, and checkpoints from which a killed run goes on bit by bit."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from tqdm.auto import tqdm

from dmmlab.engine.sums import total
from dmmlab.files import DMMError, check_int, read_json, write_json
from dmmlab.learn.objective import Objective
from dmmlab.machines import Machine

Array = np.ndarray
COLUMNS = ("data_loss", "loss", "l1")
Slope = Callable[[Array, int], tuple[float, Array]]  # (weights, updates so far) → data loss, gradient of the loss


@dataclass
class Adam:
    """Adam (Kingma & Ba 2015) with β 0.9 and 0.999, bias-corrected, ε outside the root, as Flux has it.
    `mean` and `variance` are the running moments of the gradient, (links,); `steps` counts the updates made.

    >>> dmm.Adam(learning_rate=0.1).update(np.zeros(2), np.array([3.0, -1.0]))
    array([-0.1,  0.1])
    """

    moments: ClassVar = ("mean", "variance")
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
class SGD:
    """Gradient descent with momentum: `velocity`, (links,), is a running mean of the gradient.

    >>> dmm.SGD(learning_rate=0.1, momentum=0.5).update(np.zeros(2), np.array([3.0, -1.0]))
    array([-0.15,  0.05])
    """

    moments: ClassVar = ("velocity",)
    learning_rate: float = 1e-3
    momentum: float = 0.9
    velocity: Array | float = 0.0
    steps: int = 0

    def update(self, weights: Array, gradient: Array) -> Array:
        """The weights after one more step down the gradient; remembers its velocity."""
        self.steps += 1
        self.velocity = self.momentum * self.velocity + (1 - self.momentum) * gradient
        return weights - self.learning_rate * self.velocity


@dataclass
class Training:
    """The result of a training: the machine, its history, and the optimizer to go on with.
    `history` has one record a step with the fields data_loss, loss and l1 (Σ|w|), all taken before that step's update;
    `history.data_loss` and `history["data_loss"]` are arrays of shape (steps,).

    >>> dmm.train(dmm.Objective(dmm.handcrafted_detector(), dmm.Task(["aa."])), steps=2, progress=False).history.l1
    array([8., 8.])
    """

    machine: Machine
    history: np.recarray
    optimizer: Adam | SGD


def train(
    objective: Objective,
    steps: int = 2500,
    learning_rate: float | None = None,
    optimizer: Adam | SGD | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 100,
    progress: bool = True,
) -> Training:
    """Train a machine's weights along the gradient, with Adam unless another optimizer is given.
    With a `checkpoint` path the state is written there every `checkpoint_every` steps and at the end; a run that finds
    its own goes on from it and ends with the same bits as one never stopped. `optimizer` continues an earlier training;
    `learning_rate` is the optimizer's (0.001) unless given. Raises DMMError for a loss that is not finite (`training`
    of the error is the last good state), and for a checkpoint damaged, of another training, or of more steps.

    >>> objective = dmm.Objective(dmm.handcrafted_detector().with_vector(np.full(8, 0.9)), dmm.Task(["aa."]))
    >>> dmm.train(objective, steps=200, progress=False).history.data_loss[[0, -1]].round(1)
    array([25. ,  0.1])
    """

    def slope(weights: Array, _: int) -> tuple[float, Array]:
        return objective.step_value_and_grad(weights)

    return descend(objective, slope, "", steps, learning_rate, optimizer, checkpoint, checkpoint_every, progress)


def descend(
    objective: Objective,
    slope: Slope,
    identity: str,
    steps: int,
    learning_rate: float | None,
    optimizer: Adam | SGD | None,
    checkpoint: str | os.PathLike | None,
    checkpoint_every: int,
    progress: bool,
) -> Training:
    """What `train` does, along any slope; `identity` holds what decides about the slope besides the objective."""
    steps, checkpoint_every = check_int("steps", steps, 0), check_int("checkpoint_every", checkpoint_every)
    state = _State(objective, slope, identity, learning_rate, optimizer)
    if checkpoint is not None and Path(checkpoint).exists():
        state.load(checkpoint, steps)
    bar = tqdm(total=steps, initial=state.step, disable=not progress, unit="step")
    with bar:
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

    def __init__(
        self,
        objective: Objective,
        slope: Slope,
        identity: str,
        learning_rate: float | None,
        optimizer: Adam | SGD | None,
    ) -> None:
        self.objective, self.slope, self.optimizer = objective, slope, replace(optimizer or Adam())
        if learning_rate is not None:
            self.optimizer.learning_rate = learning_rate
        rate, zeros = self.optimizer.learning_rate, np.zeros_like(objective.weights)
        if not (isinstance(rate, (int, float)) and 0 < rate < np.inf):
            raise DMMError(f"learning_rate is {rate!r}; it is a positive number")
        for name in self.optimizer.moments:
            moment = getattr(self.optimizer, name)
            if np.shape(moment) not in ((), zeros.shape):
                raise DMMError(f"the optimizer is of other links than these {len(zeros)}; begin with a new one")
            setattr(self.optimizer, name, moment + zeros)
        self.weights, self.rows = objective.weights, []
        self.good = self.weights, self.optimizer, 0  # the last weights whose loss was finite, and what led to them
        begin = f"{objective.identity()} {identity} {json.dumps(_plain(self.optimizer))}"
        self.identity, self.earlier = hashlib.sha256(begin.encode()).hexdigest(), self.optimizer.steps

    @property
    def step(self) -> int:
        return len(self.rows)

    def advance(self) -> None:
        data_loss, gradient = self.slope(self.weights, self.optimizer.steps)
        loss = data_loss + self.objective.penalty(self.weights)
        if not (np.isfinite(loss) and np.isfinite(gradient).all()):
            step, (self.weights, self.optimizer, kept) = self.step + 1, self.good
            self.rows = self.rows[:kept]
            raise DMMError(f"step {step}: the loss is {loss} or its gradient not finite; lower the learning rate")
        self.good = self.weights, replace(self.optimizer), self.step
        self.rows.append((float(data_loss), float(loss), float(total(np.abs(self.weights)))))
        self.weights = self.optimizer.update(self.weights, gradient)

    def result(self) -> Training:
        history = np.array(self.rows, dtype=[(name, float) for name in COLUMNS]).view(np.recarray)
        return Training(self.objective.machine.with_vector(self.weights), history, self.optimizer)

    def save(self, path: str | os.PathLike) -> None:
        content = {
            "format": "dmmlab checkpoint 2",
            "training": self.identity,
            "weights": self.weights.tolist(),
            "optimizer": _plain(self.optimizer),
            "history": self.rows,
        }
        write_json(path, content)

    def load(self, path: str | os.PathLike, steps: int) -> None:
        content = read_json(path, "checkpoint")
        try:
            if content["format"] != "dmmlab checkpoint 2":
                raise ValueError("another format")
            other = content["training"] != self.identity
            rows = [tuple(map(float, row)) for row in content["history"]]
            weights, kept = np.array(content["weights"], dtype=float), content["optimizer"]
            names = () if other else self.optimizer.moments
            moments = {name: np.array(kept[name], dtype=float) for name in names}
            counted = other or kept["steps"] == self.earlier + len(rows)
            if any(len(row) != len(COLUMNS) for row in rows) or not counted:
                raise ValueError("its history is damaged")
            if not other and any(x.shape != self.weights.shape for x in (weights, *moments.values())):
                raise ValueError("weights or moments are of another length")
        except (KeyError, TypeError, ValueError) as error:
            raise DMMError(f"{path}: this is no checkpoint of a training ({error}); delete it to begin anew") from None
        if other:
            raise DMMError(f"{path}: this checkpoint is of another training; name another file, or delete it")
        if len(rows) > steps:
            raise DMMError(f"{path}: this checkpoint has {len(rows)} steps already; ask for as many, or name another")
        self.optimizer = replace(self.optimizer, **moments, steps=kept["steps"])
        self.weights, self.rows = weights, rows
        self.good = weights, replace(self.optimizer), len(rows)


def _plain(optimizer: Adam | SGD) -> dict:
    return {"kind": type(optimizer).__name__} | {k: np.asarray(x).tolist() for k, x in asdict(optimizer).items()}
