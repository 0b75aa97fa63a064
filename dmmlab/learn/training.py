"""Training: a descent along a gradient, its history, and checkpoints from which a killed run goes on bit by bit."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm.auto import tqdm

from dmmlab.engine.sums import total
from dmmlab.files import DMMError, check_int, check_positive, read_json, write_json
from dmmlab.learn.objective import Objective
from dmmlab.machines import Machine

Array = np.ndarray
COLUMNS = ("data_loss", "loss", "l1")
FORMAT = "dmmlab checkpoint 3"
GradientFn = Callable[..., Array]  # weights (links,) and step → gradient (links,)


class Optimizer(Protocol):
    """A dataclass with these fields; its other fields are numbers, or moments of shape (links,)."""

    learning_rate: float
    steps: int

    def update(self, weights: Array, gradient: Array) -> Array:
        """The weights after one more step down the gradient, which also counts the step."""


@dataclass
class Adam:
    """Adam (Kingma & Ba 2015) with β 0.9 and 0.999, bias-corrected, ε outside the root, as Flux has it.
    `mean` and `variance` are the running moments of the gradient, (links,); `steps` counts the updates made.

    >>> dmm.Adam(learning_rate=0.1).update(np.zeros(2), np.array([3.0, -1.0]))
    array([-0.1,  0.1])
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

    >>> dmm.train(dmm.Objective(dmm.handcrafted_detector(), dmm.Task(["aa."])), steps=2, progress=False).history.l1
    array([8., 8.])
    """

    machine: Machine
    history: np.recarray
    optimizer: Optimizer


class TrainingStopped(DMMError):
    """A loss or a gradient that is not finite; `training` is the state before the update that led there."""

    def __init__(self, message: str, training: Training | None = None) -> None:
        super().__init__(message)
        self.training = training


def train(
    objective: Objective,
    steps: int = 2500,
    learning_rate: float | None = None,
    optimizer: Optimizer | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 100,
    progress: bool = True,
) -> Training:
    """Train a machine's weights along the gradient, with Adam unless another optimizer is given.
    Raises DMMError for a loss that is not finite (`training` of the error is the last good state), and for a checkpoint
    damaged, of another training, or of more steps.

    Args:
        objective: the loss, and the weights to begin with.
        steps: how many, those of a checkpoint included.
        learning_rate: that of the optimizer, 0.001, unless given.
        optimizer: another one, or that of an earlier training, which goes on; it is left as it is.
        checkpoint: path of a JSON file where the state is kept. A run that finds its own goes on from it, and ends with
            the same bits as one never stopped.
        checkpoint_every: steps after which it is written, also at the end.
        progress: whether to show a progress bar.

    >>> objective = dmm.Objective(dmm.handcrafted_detector().with_vector(np.full(8, 0.9)), dmm.Task(["aa."]))
    >>> dmm.train(objective, steps=200, progress=False).history.data_loss[[0, -1]].round(1)
    array([25. ,  0.1])
    """
    descent = Descent(objective, optimizer, learning_rate)
    return descent.run(steps, checkpoint, checkpoint_every, progress)


class Descent:
    """A training on its way: weights, optimizer, and a row of the history for every step.

    Args:
        objective: the loss, and the weights to begin with.
        optimizer: to go on with; it is copied.
        learning_rate: the optimizer's unless given.
        estimate: from weights and `step` to a gradient, (links,); that of the objective unless given.
        settings: plain data, all that decides about the estimate.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: Optimizer | None,
        learning_rate: float | None,
        estimate: GradientFn | None = None,
        settings: dict | None = None,
    ) -> None:
        self.objective, self.weights, self.estimate = objective, objective.weights, estimate
        self.rows: list[tuple[float, ...]] = []
        self.optimizer = optimizer = replace(optimizer or Adam())
        rate = optimizer.learning_rate if learning_rate is None else learning_rate
        optimizer.learning_rate = check_positive("learning_rate", rate)
        self.moments = [each.name for each in fields(optimizer) if each.name not in ("learning_rate", "steps")]
        for name in self.moments:
            moment = getattr(optimizer, name)
            if np.shape(moment) not in ((), self.weights.shape):
                raise DMMError(f"the optimizer is of other links than these {len(self.weights)}; begin with a new one")
            setattr(optimizer, name, moment + np.zeros(len(self.weights)))
        begin = [
            type(optimizer).__name__,
            optimizer.learning_rate,
            optimizer.steps,
            *map(np.ndarray.tolist, self._state()),
        ]
        text = json.dumps([objective.fingerprint(), settings, begin])
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self.last_finite = self.weights, replace(optimizer), 0  # weights, what led to them, rows before them

    def run(self, steps: int, checkpoint: str | os.PathLike | None, checkpoint_every: int, progress: bool) -> Training:
        """Go on to that many steps; see `train`."""
        steps, checkpoint_every = check_int("steps", steps, 0), check_int("checkpoint_every", checkpoint_every)
        if checkpoint is not None and Path(checkpoint).exists():
            self.load(checkpoint, steps)
        with tqdm(total=steps, initial=len(self.rows), disable=not progress, unit="step") as bar:
            for step in range(len(self.rows) + 1, steps + 1):
                try:
                    self.advance()
                except TrainingStopped:
                    if checkpoint is not None:
                        self.save(checkpoint)
                    raise
                bar.update()
                if step % 50 == 0:
                    bar.set_postfix(data_loss=f"{self.rows[-1][0]:.6g}", refresh=False)
                if checkpoint is not None and (step % checkpoint_every == 0 or step == steps):
                    self.save(checkpoint)
        return self.result()

    def advance(self) -> None:
        """One step. Where its loss is not finite, raises TrainingStopped and goes back to before the last update."""
        if self.estimate is None:
            data_loss, loss, gradient = self.objective.losses_and_grad(self.weights)
        else:
            data_loss = self.objective.data_loss(self.weights)
            loss = data_loss + self.objective.penalty(self.weights)
            gradient = self.estimate(self.weights, step=self.optimizer.steps)
        if not (np.isfinite(loss) and np.isfinite(gradient).all()):
            step = len(self.rows) + 1
            self.weights, self.optimizer, kept = self.last_finite
            del self.rows[kept:]
            message = f"step {step}: the loss is {loss} or its gradient not finite; lower the learning rate"
            raise TrainingStopped(message, self.result())
        self.last_finite = self.weights, replace(self.optimizer), len(self.rows)
        self.rows.append((float(data_loss), float(loss), float(total(np.abs(self.weights)))))
        self.weights = self.optimizer.update(self.weights, gradient)

    def _state(self) -> list[Array]:
        """The weights, and the optimizer's moments."""
        return [self.weights, *(getattr(self.optimizer, name) for name in self.moments)]

    def result(self) -> Training:
        """What there is so far."""
        history = np.array(self.rows, dtype=[(name, float) for name in COLUMNS]).view(np.recarray)
        return Training(self.objective.machine.with_vector(self.weights), history, self.optimizer)

    def save(self, path: str | os.PathLike) -> None:
        """Write a checkpoint."""
        content = {
            "format": FORMAT,
            "training": self.fingerprint,
            "steps": len(self.rows),
            "state": self._state(),
            "history": self.rows,
        }
        write_json(path, content)

    def load(self, path: str | os.PathLike, most_steps: int) -> None:
        """Go on from a checkpoint. Raises DMMError that begins with its path."""
        content = read_json(path, "checkpoint")
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DMMError(f"{path}: this is no checkpoint of a training; delete it to begin anew")
        if content.get("training") != self.fingerprint:
            raise DMMError(f"{path}: this checkpoint is of another training; name another file, or delete it")
        try:
            state = np.array(content["state"], float)
            rows = [(float(data_loss), float(loss), float(l1)) for data_loss, loss, l1 in content["history"]]
        except (KeyError, TypeError, ValueError):
            state, rows = np.zeros(0), []
        if state.shape != np.shape(self._state()) or content.get("steps") != len(rows):
            raise DMMError(f"{path}: this checkpoint is damaged; delete it to begin anew")
        if len(rows) > most_steps:
            raise DMMError(f"{path}: this checkpoint has {len(rows)} steps already; ask for as many, or name another")
        self.weights, *moments = state
        moved = dict(zip(self.moments, moments, strict=True))
        self.optimizer = replace(self.optimizer, **moved, steps=self.optimizer.steps + len(rows))
        self.rows, self.last_finite = rows, (self.weights, replace(self.optimizer), len(rows))
